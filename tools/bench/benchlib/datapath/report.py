# SPDX-License-Identifier: Apache-2.0
"""Results as text: a table a kind, and the goals."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .methods import METHODS
from .results import Case, Packets, Results, Spread, short


@dataclass(frozen=True)
class Goal:
    what: str
    value: float | None  # None: not measured in this run
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )


def goals(results: Results) -> list[Goal]:
    bare, conntrack = Case("forwarded", 1000), Case("forwarded", 1000, conntrack=True)
    large, scattered = Case("forwarded", 100000), Case("forwarded", 100000, spread="random")
    ratio = results.ratio
    return [
        Goal("direct / route, forwarded, bare, 1k hot", ratio(bare, "wglan-direct", "route"), 0.62),
        Goal("the same with conntrack", ratio(conntrack, "wglan-direct", "route"), 0.50),
        Goal("direct / KubeSpan, the same", ratio(conntrack, "wglan-direct", "kubespan-nft"), 0.28),
        Goal("direct / route, forwarded, bare, 100k hot", ratio(large, "wglan-direct", "route"), 0.70),
        Goal("direct / KubeSpan, 100k random", ratio(scattered, "wglan-direct", "kubespan-nft"), 0.50),
        Goal(
            "direct / route, 100k random (with a second structure)",
            ratio(scattered, "wglan-direct", "route"),
            0.70,
        ),
        Goal("host, connected: added by egress / added by KubeSpan", _added(results), 0.10),
        Goal(
            "wglan0 to pod, conntrack: direct / stack",
            ratio(Case("wglan0-to-pod", 1000, conntrack=True), "wglan-direct", "route"),
            0.45,
        ),
        Goal("one change of a map, µs", _changes(results, "map", 1e3), 2),
        *(
            Goal(f"one change at 10k: {what} / map", _times_cheaper(results, kind), least=1000)
            for kind, what in (
                ("nft-rebuild", "KubeSpan's"),
                ("nft-command", "one element by nft(8)"),
                ("nft-element", "one element by netlink alone"),
            )
        ),
        Goal("100k prefixes loaded, the slower family, ms", _load(results, 100000), 150),
        Goal("egress program alone, 1k hot, ns", _program(results, 1000), 60),
        Goal("egress program alone, 100k hot, ns", _program(results, 100000), 70),
        *(
            Goal(f"TCP, {tunnel}: {METHODS[method].title} / route", _share(rates, method), least=0.97)
            for tunnel, rates in results.throughput.items()
            for method in ("wglan-egress", "wglan-direct")
            if method in rates
        ),
    ]


def _added(results: Results) -> float | None:
    case = Case("host-connected", 1000)
    route, ours, theirs = (results.median(case, name) for name in ("route", "wglan-egress", "kubespan-nft"))
    return (ours - route) / (theirs - route) if route and ours and theirs else None


def _changes(results: Results, kind: str, unit: float) -> float | None:
    medians = [times[kind].median for times in results.updates.values() if kind in times]
    return max(medians) / unit if medians else None


def _times_cheaper(results: Results, kind: str) -> float | None:
    times = results.updates.get((4, 10000), {})
    return times[kind].median / times["map"].median if kind in times else None


def _load(results: Results, prefixes: int) -> float | None:
    medians = [times["map"].median for (_, count), times in results.loads.items() if count == prefixes]
    return max(medians) / 1e6 if medians else None


def _program(results: Results, prefixes: int) -> float | None:
    times = results.programs.get((4, prefixes))
    return times["uplink-egress"].median - times["empty"].median if times else None


def _share(rates: dict[str, Spread], method: str) -> float | None:
    return rates[method].median / rates["route"].median if "route" in rates else None


def text(results: Results) -> str:
    parts = [
        _table(_packet_rows(results), "CPU ns a packet: median ± half the spread, x plain route")
        if results.packets
        else "",
        _table(_update_rows(results), "One prefix added or taken away, µs: median (min to max)")
        if results.updates
        else "",
        _table(_load_rows(results), "All prefixes into an empty table, ms: median (min to max)")
        if results.loads
        else "",
        _table(_program_rows(results), "Programs alone, ns a run with the harness: median (min to max)")
        if results.programs
        else "",
        _table(_throughput_rows(results), "TCP through the tunnel, Mb/s: median (min to max)")
        if results.throughput
        else "",
        _table(_goal_rows(results), "Goals, of those that this run measured")
        if any(goal.value is not None for goal in goals(results))
        else "",
        *(f"not available: {METHODS[name].title}: {reason}" for name, reason in results.missing.items()),
        *(f"void: {line}" for line in results.voided),
        *(f"failed: {line}" for line in results.failures),
    ]
    return "\n\n".join(part for part in parts if part)


def _packet_rows(results: Results) -> Iterator[Sequence[str]]:
    yield ["case", *(method.title for method in METHODS.values()), "generator"]
    for case, methods in results.packets.items():
        cells = [
            _packet_cell(methods[name], results.ratio(case, name, "route"))
            if name in methods
            else "not available"
            if name in results.missing
            else "not measured"
            for name in METHODS
        ]
        floor = results.floors.get(case, Packets()).median
        yield [case.name, *cells, f"{floor:.0f}" if floor else ""]


def _packet_cell(packets: Packets, ratio: float | None) -> str:
    if packets.median is None:
        return "void" if packets.delivered else "not measured"
    half = (max(packets.cpu_ns) - min(packets.cpu_ns)) / 2 / packets.median
    voids = f" {packets.void} void" if packets.void else ""
    return f"{packets.median:.0f} ±{half:.0%}" + (f" x{ratio:.2f}" if ratio else "") + voids


def _update_rows(results: Results) -> Iterator[Sequence[str]]:
    titles = {
        "map": "ours, map",
        "route": "route",
        "nft-element": "nft element, netlink",
        "nft-command": "nft element, nft(8)",
        "nft-rebuild": "KubeSpan's table anew",
        "nft-start": "nft(8) that does nothing",
    }
    yield ["prefixes", *titles.values()]
    for (family, prefixes), times in results.updates.items():
        yield [f"{short(prefixes)} IPv{family}", *(_spread(times.get(name), 1e3) for name in titles)]


def _load_rows(results: Results) -> Iterator[Sequence[str]]:
    yield ["prefixes", "ours, batches", "one by one", "nft(8)", "one by one / ours", "nft / ours"]
    for (family, prefixes), times in results.loads.items():
        ours = times["map"].median
        yield [
            f"{short(prefixes)} IPv{family}",
            *(_spread(times[name], 1e6) for name in ("map", "singly", "nft")),
            *(_number(times[name].median / ours) for name in ("singly", "nft")),
        ]


def _program_rows(results: Results) -> Iterator[Sequence[str]]:
    names = list(dict.fromkeys(name for times in results.programs.values() for name in times))
    yield ["prefixes", *names]
    for (family, prefixes), times in results.programs.items():
        yield [f"{short(prefixes)} IPv{family}", *(_spread(times.get(name), 1) for name in names)]


def _throughput_rows(results: Results) -> Iterator[Sequence[str]]:
    names = list(dict.fromkeys(name for rates in results.throughput.values() for name in rates))
    yield ["tunnel", *(METHODS[name].title for name in names)]
    for tunnel, rates in results.throughput.items():
        yield [tunnel, *(_spread(rates.get(name), 1) for name in names)]


def _goal_rows(results: Results) -> Iterator[Sequence[str]]:
    yield ["goal", "value", "wanted", ""]
    for goal in goals(results):
        if goal.value is not None:
            wanted = f"<= {goal.most:g}" if goal.most is not None else f">= {goal.least:g}"
            yield [goal.what, _number(goal.value), wanted, "met" if goal.met else "MISSED"]


def _spread(spread: Spread | None, unit: float) -> str:
    if spread is None:
        return ""
    middle, low, high = (_number(v / unit) for v in (spread.median, min(spread.values), max(spread.values)))
    return f"{middle} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _table(rows: Iterable[Sequence[str]], title: str) -> str:
    lines = list(rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    formatted = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join([title, *formatted])
