# SPDX-License-Identifier: Apache-2.0
"""What it costs to add or take away one prefix where there are many, and to load all of them."""

import time
from collections.abc import Callable, Mapping

from lablib.shell import run

from .host import Host
from .methods import NFT_SET4, NFT_TABLE, kubespan_rules
from .network import nft, prefix4, prefixes
from .results import Results, Spread

_CHANGES = {"map": 2000, "route": 500, "nft": 20}
_COMMANDS = 4
_LOADS = 7


def measure(hosts: Mapping[str, Host], count: int, rebuilds: int, results: Results) -> None:
    """`hosts` by method. The prefix that comes and goes is the one after the last."""
    for family in (4, 6):
        results.updates[family, count] = {
            "map": _by_worker(hosts["wglan-egress"], "map", family),
            "route": _by_worker(hosts["main-routes"], "route", family, device="wglan0"),
            "nft-element": _by_worker(
                hosts["kubespan-nft"], "nft", family, table=NFT_TABLE, set=f"kubespan_targets_ipv{family}"
            ),
        }
        results.loads[family, count] = {
            "map": _load(hosts["wglan-egress"], family, singly=False),
            "singly": _load(hosts["wglan-egress"], family, singly=True),
            "nft": _nft_load(hosts["kubespan-nft"], family, rebuilds),
        }
    results.updates[4, count] |= _by_command(hosts["kubespan-nft"], count, rebuilds)


def _by_worker(host: Host, kind: str, family: int, **where: str) -> Spread:
    return Spread(
        host.worker.call(
            "change", kind=kind, family=family, number=host.prefixes, count=_CHANGES[kind], **where
        )
    )


def _load(host: Host, family: int, *, singly: bool) -> Spread:
    return Spread(host.worker.call("load", family=family, rounds=_LOADS, singly=singly))


def _nft_load(host: Host, family: int, rounds: int) -> Spread:
    """All elements into the empty set, by nft(8): one transaction."""
    name = f"inet {NFT_TABLE} kubespan_targets_ipv{family}"
    elements = prefixes(host.prefixes)[0 if family == 4 else 1]
    text = f"add element {name} {{ {', '.join(elements)} }}\n"
    times = []
    for _ in range(rounds):
        nft(host.space, f"flush set {name}\n")
        times.append(_timed(lambda: nft(host.space, text)))
    return Spread(times)


def _by_command(host: Host, count: int, rebuilds: int) -> dict[str, Spread]:
    """nft(8) with its start; and the whole table anew, which is what KubeSpan does at any change."""
    element = f"element inet {NFT_TABLE} {NFT_SET4} {{ {prefix4(count)} }}"
    whole = f"table inet {NFT_TABLE}\ndelete table inet {NFT_TABLE}\n{kubespan_rules(count)}"
    commands = [
        _timed(lambda verb=verb: nft(host.space, f"{verb} {element}\n"))
        for verb in ("add", "delete") * (_COMMANDS // 2)
    ]
    return {
        "nft-command": Spread(commands),
        "nft-rebuild": Spread([_timed(lambda: nft(host.space, whole)) for _ in range(rebuilds)]),
        "nft-start": Spread([_timed(lambda: run(["ip", "netns", "exec", host.space, "nft", "-v"]))]),
    }


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - start
