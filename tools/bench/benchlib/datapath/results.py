# SPDX-License-Identifier: Apache-2.0
"""What was measured, by case and method."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# More than what was sent is as wrong as less: a packet that goes round.
_DELIVERED = (0.999, 1.001)


@dataclass(frozen=True)
class Spread:
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def json(self) -> dict[str, float]:
        return {"min": min(self.values), "median": self.median, "max": max(self.values)}


@dataclass(frozen=True)
class Case:
    scenario: str
    prefixes: int
    family: int = 4
    conntrack: bool = False
    spread: str = "hot"

    @property
    def group(self) -> str:
        """All but the number of prefixes."""
        parts = [self.scenario, "conntrack" if self.conntrack else "bare", self.spread]
        return "-".join(parts + ["ipv6"] * (self.family == 6))

    @property
    def name(self) -> str:
        parts = [self.scenario, "conntrack" if self.conntrack else "bare", short(self.prefixes), self.spread]
        return "-".join(parts + ["ipv6"] * (self.family == 6))


@dataclass
class Packets:
    """Samples of one method in one case. Those that lost packets say nothing of the cost of a packet."""

    cpu_ns: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)

    def add(self, sample: dict[str, Any]) -> None:
        self.delivered.append(sample["delivered"])
        if _DELIVERED[0] <= sample["delivered"] <= _DELIVERED[1]:
            self.cpu_ns.append(sample["cpuNs"] / sample["packets"])

    @property
    def void(self) -> int:
        return len(self.delivered) - len(self.cpu_ns)

    @property
    def median(self) -> float | None:
        return statistics.median(self.cpu_ns) if self.cpu_ns else None


@dataclass
class Results:
    packets: dict[Case, dict[str, Packets]] = field(default_factory=dict)
    floors: dict[Case, Packets] = field(default_factory=dict)
    throughput: dict[str, dict[str, Spread]] = field(default_factory=dict)  # Mb/s by backend and family
    # Nanoseconds by family and number of prefixes.
    updates: dict[tuple[int, int], dict[str, Spread]] = field(default_factory=dict)
    loads: dict[tuple[int, int], dict[str, Spread]] = field(default_factory=dict)
    programs: dict[tuple[int, int], dict[str, Spread]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # methods that can't run here, and why
    failures: list[str] = field(default_factory=list)  # parts that broke off, and why

    def median(self, case: Case, method: str) -> float | None:
        return self.packets.get(case, {}).get(method, Packets()).median

    def ratio(self, case: Case, method: str, other: str) -> float | None:
        ours, theirs = self.median(case, method), self.median(case, other)
        return ours / theirs if ours and theirs else None

    @property
    def measured(self) -> bool:
        samples = any(packets.delivered for methods in self.packets.values() for packets in methods.values())
        return bool(samples or self.throughput or self.updates or self.programs)

    @property
    def voided(self) -> list[str]:
        """Methods none of whose samples delivered what was sent."""
        return [
            f"{case.name} {method}: {min(packets.delivered):.2%} to {max(packets.delivered):.2%} delivered"
            for case, methods in self.packets.items()
            for method, packets in methods.items()
            if packets.delivered and not packets.cpu_ns
        ]

    def json(self) -> dict[str, Any]:
        return {
            "results": [
                _packets_json(self, case, method, packets)
                for case, methods in self.packets.items()
                for method, packets in methods.items()
                if packets.delivered
            ],
            "generatorNsPerPacket": {
                case.name: Spread(packets.cpu_ns).json()
                for case, packets in self.floors.items()
                if packets.cpu_ns
            },
            "tcpMbitPerSecond": _nested(self.throughput),
            "updateNs": _nested({_sized(*key): values for key, values in self.updates.items()}),
            "loadNs": _nested({_sized(*key): values for key, values in self.loads.items()}),
            "programNs": _nested({_sized(*key): values for key, values in self.programs.items()}),
            "notAvailable": self.missing,
            "failures": self.failures,
        }


def _packets_json(results: Results, case: Case, method: str, packets: Packets) -> dict[str, Any]:
    ratio = results.ratio(case, method, "route")
    return {
        "case": case.name,
        "method": method,
        "cpuNsPerPacket": Spread(packets.cpu_ns).json() if packets.cpu_ns else None,
        "pps": round(1e9 / packets.median) if packets.median else 0,
        "delivered": min(packets.delivered),
        "ratioToRoute": ratio and round(ratio, 4),
        "samples": len(packets.delivered),
        "voidSamples": packets.void,
    }


def _nested(values: dict[str, dict[str, Spread]]) -> dict[str, dict[str, dict[str, float]]]:
    return {key: {name: spread.json() for name, spread in inner.items()} for key, inner in values.items()}


def _sized(family: int, prefixes: int) -> str:
    return f"{short(prefixes)}-ipv{family}"


def short(count: int) -> str:
    return f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else str(count)
