# SPDX-License-Identifier: Apache-2.0
"""Processor time a packet: every method in turn, round by round, so that what disturbs one disturbs all."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .host import PORT, Host
from .methods import set_conntrack
from .network import POD4, POD6
from .results import Case, Packets, Results

HOT = 256
# Every destination of a case is one flow of conntrack, in one table for all namespaces: so many fit well.
_MOST_FLOWS = 32768
_A_PREFIX = 250


@dataclass(frozen=True)
class Load:
    rounds: int
    frames: int  # live frames a sample
    datagrams: int  # system calls a sample


Report = Callable[[str], None]


def _destinations(case: Case) -> int:
    if case.spread == "hot":
        return HOT
    most = case.prefixes * _A_PREFIX
    return min(most, _MOST_FLOWS) if case.conntrack else most


def _traffic(case: Case) -> dict[str, Any]:
    return {
        "family": case.family,
        "prefixes": case.prefixes,
        "destinations": _destinations(case),
        "other": POD4 if case.family == 4 else POD6,
        "port": PORT,
    }


class _Frames:
    """Live frames that arrive at the device, or that go on from there into wglan0's ingress."""

    def __init__(self, case: Case, load: Load, *, inwards: bool) -> None:
        self._arguments = {"device": "pod0", "sink": "tunnel", **_traffic(case)}
        if inwards:
            self._arguments |= {"device": "feed0", "feed": "wglan0", "sink": "pod", "fromRange": True}
        self._destinations = min(self._arguments["destinations"], _MOST_FLOWS)
        self._packets = load.frames

    def prepare(self, host: Host) -> None:
        host.worker.call("generate", **self._arguments, packets=self._destinations, inOrder=True)

    def sample(self, host: Host) -> Any:
        return host.worker.call("generate", **self._arguments, packets=self._packets)


class _Datagrams:
    """A program that sends, in the pod or on the host."""

    def __init__(self, case: Case, load: Load, *, pod: bool, connected: bool) -> None:
        self._traffic, self._pod, self._connected = _traffic(case), pod, connected
        self._packets = load.datagrams

    def prepare(self, host: Host) -> None:
        space = host.pod if self._pod else ""
        count = host.worker.call(
            "sender", sender="sender", space=space, connected=self._connected, **self._traffic
        )
        host.worker.call("send", sender="sender", sink="tunnel", packets=2 * count)

    def sample(self, host: Host) -> Any:
        return host.worker.call("send", sender="sender", sink="tunnel", packets=self._packets)


class _Writes:
    """What wireguard-go does with each packet that it has decrypted."""

    def __init__(self, case: Case, load: Load) -> None:
        self._traffic, self._packets = _traffic(case) | {"fromRange": True}, load.datagrams
        self._warm_up = min(2 * self._traffic["destinations"], 2 * _MOST_FLOWS)

    def prepare(self, host: Host) -> None:
        host.worker.call("writer", into="tunnel", **self._traffic)
        host.worker.call("write", sink="pod", packets=self._warm_up)

    def sample(self, host: Host) -> Any:
        return host.worker.call("write", sink="pod", packets=self._packets)


_SCENARIOS: dict[str, Callable[[Case, Load], _Frames | _Datagrams | _Writes]] = {
    "forwarded": lambda case, load: _Frames(case, load, inwards=False),
    "forwarded-veth": lambda case, load: _Datagrams(case, load, pod=True, connected=False),
    "host-connected": lambda case, load: _Datagrams(case, load, pod=False, connected=True),
    "host-unconnected": lambda case, load: _Datagrams(case, load, pod=False, connected=False),
    "wglan0-to-pod": _Writes,
    "wglan0-to-pod-batched": lambda case, load: _Frames(case, load, inwards=True),
}
SCENARIOS = tuple(_SCENARIOS)


def measure(
    hosts: Sequence[Host], cases: Sequence[Case], load: Load, results: Results, report: Report
) -> None:
    """The cases are of the hosts' number of prefixes."""
    for conntrack, some in itertools.groupby(sorted(cases, key=lambda c: c.conntrack), lambda c: c.conntrack):
        for host in hosts:
            set_conntrack(host.space, on=conntrack)
        for case in some:
            report(case.name)
            _measure_case(hosts, case, load, results)
            for host in hosts:
                host.worker.call("flush")
    for host in hosts:
        set_conntrack(host.space, on=False)


def _measure_case(hosts: Sequence[Host], case: Case, load: Load, results: Results) -> None:
    scenario = _SCENARIOS[case.scenario](case, load)
    samples = results.packets.setdefault(case, {host.method.name: Packets() for host in hosts})
    for host in hosts:
        scenario.prepare(host)
    for number in range(load.rounds):
        first = number % len(hosts)
        for host in [*hosts[first:], *hosts[:first]]:
            samples[host.method.name].add(scenario.sample(host))
        if case.scenario == "forwarded":
            floor = {"device": "floor0", "sink": "floor", "packets": load.frames, **_traffic(case)}
            results.floors.setdefault(case, Packets()).add(hosts[0].worker.call("generate", **floor))
