# SPDX-License-Identifier: Apache-2.0
"""The CNI's way between nodes breaks under traffic, and comes back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lablib import Node
from lablib.shell import SLOW

from ..cni import Bridge, Cni, Fault, Ptp
from ..cni_cilium import Cilium
from ..cni_tunnel import Calico, Flannel
from ..scenario import Mesh, Patch, check, eventually, scenario
from ..stream import Stream
from .direct import start_agents

_CNI_DOWN: Patch = [{"op": "add", "path": "/steering/pods", "value": "cniDown"}]
_OVERRIDE: Patch = [{"op": "add", "path": "/steering/routes", "value": "override"}]
_MOST_MS = 1000 * SLOW
_SETTLE = 0.5 * SLOW  # seconds of traffic before, and more after
_LONG = 1.5 * SLOW


@dataclass
class Traffic:
    """Both directions in IPv4, one in IPv6."""

    streams: dict[str, Stream]

    def lost(self) -> int:
        return sum(stream.outcome.lost for stream in self.streams.values())

    def sent(self) -> int:
        return sum(stream.outcome.sent for stream in self.streams.values())

    def outage_ms(self) -> float:
        """The longest silence, or what the lost packets would have taken: the end may have been silent too."""
        return max(
            max(stream.outcome.longest_gap_ms, stream.outcome.lost / stream.outcome.sent * self.seconds * 1000)
            for stream in self.streams.values()
        )

    seconds = 0.0

    def __str__(self) -> str:
        each = ", ".join(f"{name} {stream.outcome.lost}" for name, stream in self.streams.items())
        return f"{self.lost()} of {self.sent()} lost ({each}), at most {self.outage_ms():.0f} ms of silence"


@contextmanager
def traffic(mesh: Mesh, cni: Cni) -> Iterator[Traffic]:
    one, two = mesh.nodes[:2]
    a, b, c, d = cni.pod(one, "a"), cni.pod(two, "a"), cni.pod(one, "c"), cni.pod(two, "c")
    flow = Traffic(
        {
            "forth": mesh.stream(a, b, b.ipv4),
            "back": mesh.stream(b, a, a.ipv4),
            "IPv6": mesh.stream(c, d, d.ipv6),
        }
    )
    with flow.streams["forth"], flow.streams["back"], flow.streams["IPv6"]:
        start = time.monotonic()
        time.sleep(_SETTLE)
        yield flow
        flow.seconds = time.monotonic() - start
    for name, stream in flow.streams.items():
        check(stream.outcome.sent > 100, f"{name}: only {stream.outcome.sent} packets were sent")


def _ready(mesh: Mesh, cni: Cni) -> None:
    for node in mesh.nodes:
        for name in ("a", "c"):
            cni.pod(node, name)
    start_agents(mesh)
    with traffic(mesh, cni) as flow:
        pass
    check(flow.lost() == 0, f"{cni.name}: {flow} before anything broke")


def _left(node: Node) -> int:
    """How many pod prefixes are left to the CNI."""
    return int(node.wglanctl_json("status")["steering"]["cni"]["left"])


def _faults(cni: Cni, only: tuple[str, ...]) -> dict[str, Fault]:
    faults = cni.faults()
    return {name: faults[name] for name in only if name in faults} if only else faults


def _steered_always(mesh: Mesh, cni: Cni, *only: str, none_of: Callable[[str], bool] = lambda _: True) -> None:
    """Each fault, and its end; `none_of` tells by which no packet is lost."""
    one = mesh.nodes[0]
    _ready(mesh, cni)
    for name, fault in _faults(cni, only).items():
        with mesh.capture("fault") as capture:
            with traffic(mesh, cni) as broken:
                fault(one)
                time.sleep(_LONG)
            with traffic(mesh, cni) as mended:
                cni.mend(one)
                time.sleep(_LONG)
        print(f"| {cni.name} | {name} | always | {broken} | back: {mended.lost()} lost |")
        check(not capture.summary().foreign, f"{cni.name}, {name}: in clear: {dict(capture.summary().foreign)}")
        if none_of(name):
            check(broken.lost() == 0, f"{cni.name}, {name}: {broken}")
        check(broken.outage_ms() <= _MOST_MS, f"{cni.name}, {name}: {broken}")
        check(mended.lost() == 0, f"{cni.name}, {name}, mended: {mended}")


def _backup_only(mesh: Mesh, cni: Cni, *only: str) -> None:
    """steering.pods: cniDown. The CNI carries all, until it can't, and again when it can."""
    one, two = mesh.nodes
    _ready(mesh, cni)
    for node in mesh.nodes:
        check(_left(node) == 2, f"{node.name} leaves {_left(node)} pod prefixes to the CNI, not 2")
    for name, fault in _faults(cni, only).items():
        with traffic(mesh, cni) as broken:
            fault(one)
            time.sleep(_LONG)
        spared = cni.spared(name)
        for node in mesh.nodes:
            left = _left(node)
            check(left == len(spared), f"{cni.name}, {name}: {node.name} leaves {left} pod prefixes to the CNI")
        why = _why(one, two.addresses.pod_prefix4)
        told = _why(two, one.addresses.pod_prefix4)
        with mesh.capture("fault") as capture, traffic(mesh, cni) as flow:
            time.sleep(_SETTLE)
        check(flow.lost() == 0, f"{cni.name}, {name}: {flow} while it is down")
        # What the CNI still carries it may carry in clear: in the capture by its addresses.
        clear = [what for what in capture.summary().foreign if not ("6" in spared and "from fd00:" in what)]
        check(not clear, f"{cni.name}, {name}: {clear}")
        with traffic(mesh, cni) as mended:
            cni.mend(one)
            for node in mesh.nodes:
                eventually(lambda node=node: _left(node) == 2, f"{node.name}: not given back", timeout=8)
            time.sleep(_SETTLE)
        print(f"| {cni.name} | {name} | cniDown | {broken} | back: {mended.lost()} lost | {why}; {told} |")
        check(broken.outage_ms() <= _MOST_MS, f"{cni.name}, {name}: {broken}")
        check(mended.lost() == 0, f"{cni.name}, {name}, mended: {mended}")
        check("steered: " in why and "says that its CNI" in told, f"{name}: the reasons are {why}; {told}")
        # A fresh agent: what fails again soon is trusted later.
        for node in mesh.nodes:
            node.agent_stop()
            node.agent_start()
        for node in mesh.nodes:
            eventually(lambda node=node: _left(node) == 2, f"{node.name}: after a restart", timeout=8)
    check(mesh.metric(one, 'wglan_cni_prefixes{state="left"}') == 2, "the metric says otherwise")


def _why(node: Node, prefix: str) -> str:
    for route in node.wglanctl_json("routes")["routes"]:
        if route["prefix"] == prefix:
            return str(route["why"])
    return ""


def _reaches_the_device(fault: str) -> bool:
    """Otherwise the kernel drops before our program is asked, until the route is overridden."""
    return fault not in ("blackhole route", "neighbour entries gone")


@scenario(start=False)
def bridge_fails_unnoticed(mesh: Mesh) -> None:
    """steering.pods: always. Routes gone or blackholed."""
    _steered_always(mesh, Bridge(mesh), none_of=_reaches_the_device)


@scenario(start=False)
def ptp_fails_unnoticed(mesh: Mesh) -> None:
    """steering.pods: always, without a bridge."""
    _steered_always(mesh, Ptp(mesh), none_of=_reaches_the_device)


@scenario(start=False)
def flannel_fails_unnoticed(mesh: Mesh) -> None:
    """steering.pods: always. The VXLAN device down, gone, without its entries."""
    _steered_always(mesh, Flannel(mesh), none_of=_reaches_the_device)


@scenario(start=False)
def calico_fails_unnoticed(mesh: Mesh) -> None:
    """steering.pods: always, /32 routes."""
    _steered_always(mesh, Calico(mesh), none_of=_reaches_the_device)


@scenario(start=False)
def cilium_fails_unnoticed(mesh: Mesh) -> None:
    """steering.pods: always. Programs detached, and all of it uninstalled."""
    _steered_always(mesh, Cilium(mesh))


@scenario(start=False, patch=_OVERRIDE)
def overridden_routes_fail_unnoticed(mesh: Mesh) -> None:
    """steering.routes: override. Not even a blackhole loses a packet."""
    _steered_always(mesh, Bridge(mesh))


@scenario(start=False, patch=_CNI_DOWN, core=True)
def bridge_is_backed_up(mesh: Mesh) -> None:
    """steering.pods: cniDown. Routes blackholed."""
    _backup_only(mesh, Bridge(mesh), "blackhole route")


@scenario(start=False, patch=_CNI_DOWN)
def routes_are_backed_up(mesh: Mesh) -> None:
    """steering.pods: cniDown, without a bridge."""
    _backup_only(mesh, Ptp(mesh))


@scenario(start=False, patch=_CNI_DOWN)
def flannel_is_backed_up(mesh: Mesh) -> None:
    """steering.pods: cniDown. The VXLAN device down, gone, without its entries."""
    _backup_only(mesh, Flannel(mesh))


@scenario(start=False, patch=_CNI_DOWN)
def calico_is_backed_up(mesh: Mesh) -> None:
    """steering.pods: cniDown, /32 routes."""
    _backup_only(mesh, Calico(mesh))


@scenario(start=False, patch=_CNI_DOWN)
def cilium_is_backed_up(mesh: Mesh) -> None:
    """steering.pods: cniDown. Programs detached, and all of it uninstalled."""
    _backup_only(mesh, Cilium(mesh))


_DIRECT_BACKUP: Patch = [*_CNI_DOWN, {"op": "add", "path": "/steering/podDatapath", "value": "direct"}]


@scenario(start=False, patch=_DIRECT_BACKUP, jit=True)
def direct_pods_are_backed_up(mesh: Mesh) -> None:
    """steering.pods: cniDown with podDatapath: direct. What is left to the CNI goes by the stack."""
    _backup_only(mesh, Ptp(mesh), "blackhole route")


@scenario(start=False, patch=_CNI_DOWN)
def backup_lasts_until_both_sides_are_well(mesh: Mesh) -> None:
    """Both sides down, an agent killed and started meanwhile, then one mended long before the other."""
    one, two = mesh.nodes
    cni = Bridge(mesh)
    _ready(mesh, cni)
    pod = cni.pod(two, "a").ipv4
    said = one.wglanctl("explain", pod).stdout
    check("left to the CNI" in said and "verdict: pass" in said.lower().replace("  ", " "), said)
    for node in mesh.nodes:
        cni.blackhole_routes(node)
    for node in mesh.nodes:
        eventually(lambda node=node: _left(node) == 0, f"{node.name} doesn't steer", timeout=2)
    said = one.wglanctl("explain", pod).stdout
    check("leads nowhere" in said or "override" in one.wglanctl("routes").stdout, said)
    with traffic(mesh, cni) as flow:
        two.agent_kill()
        two.agent_start()
        time.sleep(_LONG)
        check(_left(two) == 0, "the new agent leaves pods to the CNI")
        cni.mend(one)
        time.sleep(5 * SLOW)
        check(_left(one) == 0, "node1 leaves pods to a CNI that is down on the other side")
        check("says that its CNI" in _why(one, two.addresses.pod_prefix4), "node1 says another reason")
        cni.mend(two)
        for node in mesh.nodes:
            eventually(lambda node=node: _left(node) == 2, f"{node.name}: not given back", timeout=8)
        time.sleep(_SETTLE)
    print(flow)
    check(flow.lost() == 0, str(flow))
    check(mesh.metric(one, "wglan_cni_failovers_total") >= 2, "the failovers weren't counted")


@scenario(start=False, patch=_CNI_DOWN)
def routes_around_pods_count(mesh: Mesh) -> None:
    """A CNI with one route for all pods: ours for a node's pods is out of its way, and takes its place."""
    one, two = mesh.nodes
    cni = Bridge(mesh)
    _ready(mesh, cni)
    prefix, address = two.addresses.pod_prefix4, cni.pod(two, "a").ipv4
    one.run("ip", "route", "replace", "10.244.0.0/16", "via", two.addresses.ipv4, "proto", "static")
    with traffic(mesh, cni) as flow:
        one.run("ip", "route", "del", prefix, "proto", "static")
        eventually(lambda: "dev eth0" in _way(one, address), "ours stays in the way", timeout=8)
        check("left to the CNI" in _why(one, prefix), _why(one, prefix))
    print(f"to one route for all: {flow}")
    check(flow.outage_ms() <= _MOST_MS, str(flow))
    with traffic(mesh, cni) as flow:
        one.run("ip", "route", "del", "10.244.0.0/16", "proto", "static")
        eventually(lambda: "dev wglan0" in _way(one, address), "ours doesn't take over", timeout=2)
    print(f"without it: {flow}")
    check(flow.outage_ms() <= _MOST_MS, str(flow))


def _way(node: Node, address: str) -> str:
    return node.run("ip", "route", "get", address, check=False).stdout


@scenario(start=False)
def backup_is_switched_on_and_off(mesh: Mesh) -> None:
    """steering.pods changes while agents run and traffic flows: nothing is lost."""
    one, two = mesh.nodes
    cni = Bridge(mesh)
    _ready(mesh, cni)
    with traffic(mesh, cni) as flow:
        for value, left in (("cniDown", 2), ("always", 0)):
            for node in mesh.nodes:
                mesh.reconfigure(node, [{"op": "add", "path": "/steering/pods", "value": value}])
            for node in mesh.nodes:
                eventually(lambda node=node, left=left: _left(node) == left, f"{node.name}: {value}", timeout=8)
            time.sleep(_SETTLE)
    print(flow)
    check(flow.lost() == 0, str(flow))
    check(one.wglanctl_json("status")["steering"]["pods"] == "always", "the status says otherwise")
    check(_why(one, two.addresses.pod_prefix4) == "", "a reason is given where none is needed")
