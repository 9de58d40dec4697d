# SPDX-License-Identifier: Apache-2.0
"""The ways to bring packets for N prefixes to wglan0. Each can be put on a host and taken off it."""

from collections.abc import Callable
from dataclasses import dataclass

from lablib.shell import ip_batch, run

from .network import ALL4, ALL6, MTU, POD4, POD6, nft, prefixes, set_sysctls
from .worker import PINS, Worker

NFT_TABLE, NFT_SET4 = "talos_kubespan", "kubespan_targets_ipv4"
_TABLE, _PRIORITY = 180, 32500


@dataclass(frozen=True)
class Site:
    """Where a method works: the host's namespace, its worker, its uplink."""

    space: str
    worker: Worker
    uplink: str
    gateway4: str
    gateway6: str


@dataclass(frozen=True)
class Method:
    name: str  # as docs and the JSON have it
    title: str
    apply: Callable[[Site, int], None]
    remove: Callable[[Site, int], None]


def _routes(count: int, table: str, *, add: bool) -> list[str]:
    verb = "add" if add else "del"
    ipv4, ipv6 = prefixes(count)
    return [f"route {verb} {prefix} dev wglan0 table {table}" for prefix in ipv4] + [
        f"route {verb} {prefix} dev wglan0 table {table}" for prefix in ipv6
    ]


def _route(site: Site, *, add: bool) -> None:
    verb = "add" if add else "del"
    ip_batch([f"route {verb} {ALL4} dev wglan0", f"route {verb} {ALL6} dev wglan0"], namespace=site.space)


def _main_routes(site: Site, count: int, *, add: bool) -> None:
    ip_batch(_routes(count, "main", add=add), namespace=site.space)


def _rule(site: Site, selector: str, *, add: bool) -> None:
    verb = "add" if add else "del"
    rule = f"rule {verb} {selector} priority {_PRIORITY} lookup {_TABLE}".split()
    for family in ("-4", "-6"):
        run(["ip", "-n", site.space, family, *rule])


def _rule_routes(site: Site, count: int, *, add: bool) -> None:
    ip_batch(_routes(count, str(_TABLE), add=add), namespace=site.space)
    _rule(site, "", add=add)


def _by_uplink(site: Site, *, add: bool) -> None:
    """What a host without any of this would do with the packets."""
    verb = "add" if add else "del"
    ip_batch(
        [
            f"route {verb} {ALL4} via {site.gateway4} dev {site.uplink}",
            f"route {verb} {ALL6} via {site.gateway6} dev {site.uplink}",
        ],
        namespace=site.space,
    )


def kubespan_rules(count: int) -> str:
    """KubeSpan's table: what carries WireGuard's mark passes, what goes to a target gets the other mark."""
    ipv4, ipv6 = prefixes(count)
    mark = "meta mark set meta mark & 0xffffff9f | 0x40 accept"
    clamp = "tcp flags & (syn | rst) == syn tcp option maxseg size > {0} tcp option maxseg size set {0}"
    return f"""
table inet {NFT_TABLE} {{
  set {NFT_SET4} {{ type ipv4_addr; flags interval; elements = {{ {", ".join(ipv4)} }} }}
  set kubespan_targets_ipv6 {{ type ipv6_addr; flags interval; elements = {{ {", ".join(ipv6)} }} }}
  chain kubespan_prerouting {{
    type filter hook prerouting priority filter; policy accept;
    meta mark & 0x60 == 0x20 accept
    ip daddr @{NFT_SET4} {mark}
    ip6 daddr @kubespan_targets_ipv6 {mark}
  }}
  chain kubespan_outgoing {{
    type route hook output priority filter; policy accept;
    meta mark & 0x60 == 0x20 accept
    oifname "lo" accept
    ip daddr @{NFT_SET4} {clamp.format(MTU - 40)}
    ip daddr @{NFT_SET4} {mark}
    ip6 daddr @kubespan_targets_ipv6 {clamp.format(MTU - 60)}
    ip6 daddr @kubespan_targets_ipv6 {mark}
  }}
}}
"""


def _kubespan(site: Site, count: int, *, add: bool) -> None:
    verb = "add" if add else "del"
    ip_batch(
        [
            f"route {verb} default dev wglan0 table {_TABLE}",
            f"route {verb} ::/0 dev wglan0 table {_TABLE}",
        ],
        namespace=site.space,
    )
    _rule(site, "fwmark 0x40/0x60", add=add)
    _by_uplink(site, add=add)
    nft(site.space, kubespan_rules(count) if add else f"delete table inet {NFT_TABLE}\n")


def _ours(site: Site, count: int, *, add: bool, pod: str) -> None:
    _by_uplink(site, add=add)
    if add:
        # As the agent sets it.
        set_sysctls(site.space, {"net/ipv4/conf/wglan0/rp_filter": 2})
        site.worker.call(
            "steer",
            pins=PINS,
            tunnel="wglan0",
            uplinks=[site.uplink],
            pod=pod,
            podAddresses=[POD4, POD6],
            prefixes=count,
        )
    else:
        site.worker.call("unsteer")
        set_sysctls(site.space, {"net/ipv4/conf/wglan0/rp_filter": 0})


METHODS = {
    method.name: method
    for method in (
        Method(
            "route",
            "plain route",
            lambda site, _: _route(site, add=True),
            lambda site, _: _route(site, add=False),
        ),
        Method(
            "main-routes",
            "routes in main",
            lambda site, count: _main_routes(site, count, add=True),
            lambda site, count: _main_routes(site, count, add=False),
        ),
        Method(
            "rule-routes",
            "ip rule + table",
            lambda site, count: _rule_routes(site, count, add=True),
            lambda site, count: _rule_routes(site, count, add=False),
        ),
        Method(
            "kubespan-nft",
            "KubeSpan's nft",
            lambda site, count: _kubespan(site, count, add=True),
            lambda site, count: _kubespan(site, count, add=False),
        ),
        Method(
            "wglan-egress",
            "ours, uplink egress",
            lambda site, count: _ours(site, count, add=True, pod=""),
            lambda site, count: _ours(site, count, add=False, pod=""),
        ),
        Method(
            "wglan-direct",
            "ours, direct",
            lambda site, count: _ours(site, count, add=True, pod="pod0"),
            lambda site, count: _ours(site, count, add=False, pod="pod0"),
        ),
    )
}


def set_conntrack(space: str, *, on: bool) -> None:
    """As kube-proxy has it: connection tracking everywhere, and INVALID is dropped."""
    table = "inet bench_conntrack"
    if not on:
        run(["ip", "netns", "exec", space, "nft", "delete", "table", *table.split()], check=False)
        return
    chains = "\n".join(
        f"chain {hook} {{ type filter hook {hook} priority filter; policy accept; ct state invalid drop; }}"
        for hook in ("forward", "input", "output")
    )
    nft(space, f"table {table} {{\n{chains}\n}}\n")
