# SPDX-License-Identifier: Apache-2.0
"""The guard of the WireGuard port: floods are cut down, and nobody else notices either."""

import json
import sys
import time
from typing import Any

from lablib import Node
from lablib.shell import SLOW, run

from ..flood import Flood
from ..foreign_xdp import ForeignXdp
from ..scenario import Mesh, Patch, Skipped, check, eventually, scenario

_RATE = 20
_LIMITED: Patch = [{"op": "add", "path": "/guard", "value": {"handshakesPerSecond": _RATE}}]
_OFF: Patch = [{"op": "add", "path": "/guard", "value": {"enabled": False}}]
_REPAIR = 2.0
# A kernel with IPIP, GRE or SIT makes these in every namespace; tunnels are uplinks whatever they hold.
_KERNELS_OWN = {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0"}
_ATTACHED = "attach the guard to eth0"
_PROBE = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    sender.sendto(b"what is this?", (sys.argv[1], 51820))
"""


def _stranger(mesh: Mesh, command: list[str]) -> list[str]:
    """A host on the underlay that is no peer of anybody: the discovery service's."""
    return ["nsenter", f"--net=/run/netns/{mesh.lab.layout.discovery}", *command]


def _flood(mesh: Mesh, address: str, kind: str = "initiations") -> Flood:
    return Flood(lambda command: _stranger(mesh, command), address, kind=kind)


def _guard(node: Node) -> dict[str, Any]:
    return dict(node.wglanctl_json("status")["steering"]["guard"])


def _stands(node: Node) -> bool:
    places = {at["interface"]: at["mode"] for at in _guard(node)["interfaces"]}
    return places.pop("eth0", "") == "tc" and set(places) <= _KERNELS_OWN


def _await_guard(node: Node) -> None:
    """It comes shortly after all else."""
    eventually(lambda: _stands(node), "the guard doesn't stand at eth0", timeout=3)


def _needs_junk_dropped(node: Node) -> None:
    """Skips where the guard can't ask conntrack whether a datagram answers a masqueraded flow: it passes then."""
    pinned = "/sys/fs/bpf/wglan/maps/wglan_guard"
    entries = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", pinned).stdout)
    if not entries[0]["formatted"]["value"]["drop_odd"]:
        raise Skipped("conntrack can't be asked by BPF programs (no JIT?): what is no WireGuard message passes")


class Arrivals:
    """Counts what comes through to a node's WireGuard port from the stranger, behind the guard."""

    def __init__(self, mesh: Mesh, node: Node) -> None:
        self._mesh, self._node = mesh, node
        rules = " ".join(
            f"add rule inet arrivals input {address} udp dport 51820 counter;"
            for address in (
                f"ip saddr {mesh.lab.discovery.addresses.ipv4}",
                f"ip6 saddr {mesh.lab.discovery.addresses.ipv6}",
            )
        )
        chain = "add chain inet arrivals input { type filter hook input priority -300; };"
        node.run("nft", f"add table inet arrivals; {chain} {rules}")

    def guarded(self) -> bool:
        """Three datagrams of junk are sent, and none comes through."""
        before = self.count()
        run(_stranger(self._mesh, [sys.executable, "-c", _PROBE, self._node.addresses.ipv4]))
        return self.count() == before

    def count(self) -> int:
        rules = json.loads(self._node.run("nft", "-j", "list", "table", "inet", "arrivals").stdout)
        return sum(
            expression["counter"]["packets"]
            for item in rules["nftables"]
            for expression in item.get("rule", {}).get("expr", [])
            if "counter" in expression
        )


@scenario(nodes=3, core=True, start=False, patch=_LIMITED)
def handshake_floods_are_limited(mesh: Mesh) -> None:
    """A source's flood of initiations is cut to the rate; peers' data and others' handshakes aren't."""
    one, two, three = mesh.nodes
    one.agent_start()
    two.agent_start()
    one.wait_ready(1)
    two.wait_ready(1)
    _await_guard(one)
    check(_guard(one)["handshakesPerSecond"] == _RATE, "the configured rate isn't in force")
    arrivals = Arrivals(mesh, one)
    for address in (one.addresses.ipv4, one.addresses.ipv6):
        before, dropped = arrivals.count(), mesh.metric(one, 'wglan_dropped_packets_total{reason="guard_rate"}')
        with _flood(mesh, address) as flood, mesh.stream(two, one, one.addresses.ipv4) as stream:
            time.sleep(2 * SLOW)
            if address == one.addresses.ipv4:
                three.agent_start()
                took = eventually(
                    lambda: mesh.peer_state(one, "node3") == "up",
                    "node3 isn't up at node1 during the flood",
                    timeout=20,
                )
                print(f"node3 joined during the flood, up after {took:.1f} s")
        passed = arrivals.count() - before
        dropped = mesh.metric(one, 'wglan_dropped_packets_total{reason="guard_rate"}') - dropped
        most = _RATE * (flood.seconds + 2)
        print(
            f"{address}: {flood.sent} initiations in {flood.seconds:.1f} s, {passed} passed, {dropped:.0f} dropped; "
            f"meanwhile {stream.outcome}"
        )
        check(_RATE <= passed <= most, f"{passed} passed instead of {_RATE} to {most:.0f}")
        check(dropped >= flood.sent - most, f"only {dropped:.0f} of {flood.sent} were counted as dropped")
        check(stream.outcome.lost == 0, f"a session was disturbed: {stream.outcome}")
    mesh.expect_ping(three, one.addresses.ipv4)


@scenario(core=True, patch=_LIMITED, jit=True)
def junk_at_the_port_is_dropped(mesh: Mesh) -> None:
    """What is no WireGuard message goes no further, with or without an agent; a mutated one hurts nobody."""
    one, two = mesh.nodes
    _await_guard(one)
    _needs_junk_dropped(one)
    arrivals = Arrivals(mesh, one)
    with _flood(mesh, one.addresses.ipv4, "junk"):
        time.sleep(1 * SLOW)
    check(arrivals.count() == 0, f"{arrivals.count()} datagrams of junk passed")
    check(mesh.metric(one, 'wglan_dropped_packets_total{reason="guard_type"}') > 100, "no junk was counted")
    with _flood(mesh, one.addresses.ipv6, "mutated") as flood, mesh.stream(
        two, one, one.addresses.ipv6
    ) as stream:
        time.sleep(2 * SLOW)
    print(f"{flood.sent} mutated messages, {arrivals.count()} passed; meanwhile {stream.outcome}")
    check(stream.outcome.lost == 0, f"a session was disturbed: {stream.outcome}")
    check(mesh.metric(one, 'wglan_dropped_packets_total{reason="guard_length"}') > 100, "lengths aren't judged")

    one.agent_kill()
    before = arrivals.count()
    with _flood(mesh, one.addresses.ipv4, "junk"):
        time.sleep(0.5 * SLOW)
        one.agent_start()
        time.sleep(0.5 * SLOW)
    check(arrivals.count() == before, "junk passed while the agent was dead or starting")
    _await_guard(one)


@scenario(core=True, jit=True)
def guard_is_put_back_and_switched_off(mesh: Mesh) -> None:
    """Removed by hand it is back within 2 s; it goes and comes with the settings, and goes with --cleanup."""
    one, two = mesh.nodes
    _await_guard(one)
    _needs_junk_dropped(one)
    arrivals = Arrivals(mesh, one)
    check(arrivals.guarded(), "the guard isn't there to begin with")
    repairs = mesh.metric(one, "wglan_drift_repairs_total")
    attached = mesh.log(one).count(_ATTACHED)
    pins = one.run("ls", "/sys/fs/bpf/wglan/links").stdout
    if "guard-tc" in pins:
        one.run("sh", "-c", "rm /sys/fs/bpf/wglan/links/guard-tc-*")
    else:
        one.run("tc", "filter", "del", "dev", "eth0", "ingress", "pref", str(0x7767))
    took = eventually(
        lambda: mesh.log(one).count(_ATTACHED) > attached, "the guard isn't put back", timeout=_REPAIR
    )
    print(f"back {took:.2f} s after it was removed")
    eventually(arrivals.guarded, "the guard is back, but doesn't work", timeout=1)
    eventually(
        lambda: mesh.metric(one, "wglan_drift_repairs_total") > repairs, "the repair isn't counted", timeout=2
    )

    mesh.reconfigure(one, _OFF)
    eventually(lambda: not arrivals.guarded(), "the guard stays though it is off", timeout=5)
    check(not _guard(one)["enabled"] and not _guard(one)["interfaces"], f"the status says {_guard(one)}")
    check("_g" not in one.run("ls", "/sys/fs/bpf/wglan/maps").stdout, "the guard's maps stay")
    mesh.reconfigure(one, _LIMITED)
    eventually(lambda: arrivals.guarded() and _stands(one), "the guard isn't there again", timeout=5)
    check(_guard(one)["handshakesPerSecond"] == _RATE, "the new rate isn't in force")
    mesh.expect_ping(two, one.addresses.ipv4)

    one.agent_stop()
    check(arrivals.guarded(), "the guard went with the agent")
    one.run(*one.agent_command("--cleanup"))
    check(not arrivals.guarded(), "--cleanup left the guard")


@scenario(core=True, jit=True)
def foreign_xdp_programs_stay(mesh: Mesh) -> None:
    """Another XDP program at the uplink stays and runs; the guard works at TC behind it."""
    one, two = mesh.nodes
    one.agent_stop()
    one.run(*one.agent_command("--cleanup"))
    with ForeignXdp(one.command, "eth0"):
        one.agent_start()
        one.wait_ready(1)
        _await_guard(one)
        check(_foreign(one), "the other program was taken away")
        mesh.expect_ping(two, one.addresses.ipv4)
        _needs_junk_dropped(one)
        arrivals = Arrivals(mesh, one)
        with _flood(mesh, one.addresses.ipv4, "junk"):
            time.sleep(0.5 * SLOW)
        check(arrivals.count() == 0, "junk passed")
        one.agent_stop()
        one.run(*one.agent_command("--cleanup"))
        check(_foreign(one), "--cleanup took the other program away")


def _foreign(node: Node) -> bool:
    return '"xdp"' in node.run("ip", "-j", "-d", "link", "show", "eth0").stdout
