# SPDX-License-Identifier: Apache-2.0
"""`steering.uplinks` follows devices; programs of others on the same hooks stay where they are."""

import contextlib
import json
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Callable

from lablib import Node
from lablib.namespaces import enter, inside
from lablib.shell import SLOW, ip_batch

from .. import hooks
from ..scenario import Mesh, Skipped, check, eventually, scenario

_FOLLOWS = 0.1  # seconds, in the middle of some tries: a loaded machine may be late once
_TRIES = 5
_REPAIR = 2.0
_EGRESS = "wglan_egress"


def _hooked(device: str) -> bool | None:
    names = hooks.programs_at(device, "egress")
    return None if names is None else any(name.startswith(_EGRESS) for name in names)


class Follower:
    """How long after a change of devices our program is there, or gone."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._times: dict[str, list[float]] = {}

    def change(self, what: str, lines: list[str], device: str, *, hooked: bool = True) -> None:
        """The clock runs from before the last of the commands."""
        if lines[:-1]:
            ip_batch(lines[:-1], namespace=self._node.namespace)
        took: list[float | None] = []
        changed = threading.Event()

        def look() -> None:
            enter(self._node.namespace)
            changed.wait()
            took.append(hooks.wait_for(lambda: _hooked(device) == hooked, 2 * SLOW))

        thread = threading.Thread(target=look)
        thread.start()
        # `ip` is up and reads before the clock is started.
        command = ["ip", "-n", self._node.namespace, "-force", "-batch", "-"]
        process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.02)
        assert process.stdin
        changed.set()
        print(lines[-1], file=process.stdin, flush=True)
        said = process.communicate()[1]
        thread.join()
        check(process.returncode == 0, f"{what}: {lines[-1]}: {said.strip()}")
        check(took[0] is not None, f"{what}: {device} {'has no' if hooked else 'still has a'} program of ours")
        self._times.setdefault(what, []).append(took[0] or 0.0)

    def replace(self, what: str, lines: list[str], device: str) -> None:
        """All at once, so that one look may see nothing but what was there before. The clock runs from the end."""
        ip_batch(lines, namespace=self._node.namespace)
        took = inside(
            self._node.namespace, lambda: hooks.wait_for(lambda: _hooked(device) is True, 2 * SLOW)
        )
        check(took is not None, f"{what}: {device} has no program of ours")
        self._times.setdefault(what, []).append(took or 0.0)

    def report(self) -> None:
        for what, times in self._times.items():
            shown = " ".join(f"{1000 * time:.0f}" for time in sorted(times))
            print(f"{what}: {shown} ms")
        for what, times in self._times.items():
            check(statistics.median(times) <= _FOLLOWS * SLOW, f"{what}: {times}")


def _needs_tcx(mesh: Mesh, node: Node) -> None:
    if not mesh.has_tcx(node):
        raise Skipped("the kernel has no TCX: hooks can't be asked for fast enough")


@scenario(core=True)
def uplinks_are_followed(mesh: Mesh) -> None:
    """Devices come, are renamed, enslaved to a bridge, re-created and go: hooked within 100 ms."""
    one, two = mesh.nodes
    _needs_tcx(mesh, one)
    follower = Follower(one)
    veth = ["link add up1 type veth peer name far1", "link set far1 up", "link set up1 up"]
    with mesh.stream(one, two, two.addresses.ipv4) as stream:
        for number in range(_TRIES):
            address = f"198.51.100.{number + 1}/24"
            follower.change(
                "a device gets its first address", [*veth, f"address add {address} dev up1"], "up1"
            )
            follower.change("it is renamed", ["link set up1 name up2"], "up2")
            follower.change("its address goes", [f"address del {address} dev up2"], "up2", hooked=False)
            follower.change("it gets a default route", ["route add default dev up2 metric 999"], "up2")
            # With the route, of which the kernel says nothing.
            follower.change("it is set down", ["link set up2 down"], "up2", hooked=False)
            ip_batch(["link del up2"], namespace=one.namespace)

            # As a host that gets a bridge for its virtual machines: the address moves to it.
            ports = [
                "link add up3 type veth peer name far3",
                "link set far3 up",
                "link set up3 up",
                "address add 203.0.113.7/24 dev up3",
            ]
            follower.change("a device with an address", ports, "up3")
            moved = [
                "link add br3 type bridge",
                "link set br3 up",
                "link set up3 master br3",
                "address del 203.0.113.7/24 dev up3",
                "address add 203.0.113.7/24 dev br3",
                "route add default dev br3 metric 998",
            ]
            follower.change("its bridge takes address and default route over", moved, "br3")
            ip_batch(["link set up3 nomaster", "link del br3", "link del up3"], namespace=one.namespace)

            tunnel = "link add vx5 type vxlan id 5 dstport 4789 dev eth0"
            follower.change("a CNI's tunnel comes", [tunnel], "vx5")
            follower.change("it is deleted and made anew", ["link del vx5", tunnel], "vx5")
            ip_batch(["link del vx5"], namespace=one.namespace)
            numbered = "link add vx6 index 4242 type vxlan id 6 dstport 4790 dev eth0"
            follower.change("a device of a number of its own", [numbered], "vx6")
            follower.replace("another in its place, of the same number", ["link del vx6", numbered], "vx6")
            ip_batch(["link del vx6"], namespace=one.namespace)
    follower.report()
    print(stream.outcome)
    check(stream.outcome.lost == 0, str(stream.outcome))


@scenario()
def bridged_uplinks_are_found(mesh: Mesh) -> None:
    """The uplink of a host without a default route goes into a bridge: found where peers are behind it."""
    one, two = mesh.nodes
    one.run("ip", "link", "add", "docker9", "type", "bridge")
    one.run("ip", "address", "add", "172.18.0.1/16", "dev", "docker9")
    one.run("ip", "link", "add", "guest9", "type", "veth", "peer", "name", "far9")
    one.run("ip", "link", "set", "guest9", "master", "docker9", "up")
    one.run("ip", "link", "set", "docker9", "up")
    shown = json.loads(one.run("ip", "-j", "address", "show", "eth0").stdout)[0]["addr_info"]
    held = [f"{at['local']}/{at['prefixlen']}" for at in shown if at["scope"] == "global"]
    check(not any("default" in one.run("ip", f, "route").stdout for f in ("-4", "-6")), "a default route is there")
    move = ["link add br9 type bridge mcast_snooping 0", "link set br9 up", "link set eth0 master br9"]
    move += [f"address del {address} dev eth0" for address in held]
    move += [f"address add {address} dev br9 nodad" if ":" in address else f"address add {address} dev br9"
             for address in held]
    ip_batch(move, namespace=one.namespace)
    eventually(lambda: "br9" in _ours(one), "the bridge has no program of ours", timeout=2)
    for again in (False, True):
        check("docker9" not in _ours(one), "the guests' bridge is called an uplink")
        for address in (two.addresses.ipv4, two.addresses.ipv6, mesh.pod(two).ipv4):
            eventually(lambda: mesh.ping(one, address, count=1) == 1, f"{address}: no way", timeout=15)  # noqa: B023
            mesh.expect_ping(one, address)
        with mesh.capture() as capture:
            mesh.expect_ping(one, two.addresses.ipv4)
        check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")
        endpoints = one.wglanctl_json("record")["endpoints"]
        check(
            any(one.addresses.ipv4 in str(at) for at in endpoints) and "172.18" not in str(endpoints),
            f"published: {endpoints}",
        )
        if again:
            break
        # A start into it: what tells uplinks from guests is known a moment later.
        one.agent_stop()
        one.run(*one.agent_command("--cleanup"))
        one.agent_start()
        one.wait_ready(1)
        eventually(lambda: "br9" in _ours(one), "after a start: the bridge has no program of ours", timeout=5)


@scenario()
def bonds_are_followed(mesh: Mesh) -> None:
    """A device that has the address is enslaved to a bond, which takes it over."""
    one = mesh.nodes[0]
    _needs_tcx(mesh, one)
    if one.run("ip", "link", "add", "bond7", "type", "bond", check=False).returncode != 0:
        raise Skipped("the kernel has no bonding")
    ip_batch(["link del bond7"], namespace=one.namespace)
    follower = Follower(one)
    for _ in range(_TRIES):
        first = [
            "link add up7 type veth peer name far7",
            "link set far7 up",
            "link set up7 up",
            "address add 198.51.100.7/24 dev up7",
        ]
        follower.change("a device with an address", first, "up7")
        moved = [
            "link add bond7 type bond mode active-backup",
            "address del 198.51.100.7/24 dev up7",
            "link set up7 down",
            "link set up7 master bond7",
            "link set bond7 up",
            "address add 198.51.100.7/24 dev bond7",
        ]
        follower.change("its bond takes the address over", moved, "bond7")
        ip_batch(["link del bond7", "link del up7"], namespace=one.namespace)
    follower.report()


@scenario()
def named_uplinks_are_followed(mesh: Mesh) -> None:
    """A list of names and globs: renamed into it and out of it, within 100 ms."""
    one = mesh.nodes[0]
    _needs_tcx(mesh, one)
    mesh.reconfigure(one, [{"op": "add", "path": "/steering/uplinks", "value": ["eth0", "wan*"]}])
    eventually(lambda: "eth0" in _ours(one), "eth0 isn't hooked", timeout=5)
    follower = Follower(one)
    for _ in range(_TRIES):
        follower.change("a device of such a name comes", ["link add wan1 type veth peer name far1"], "wan1")
        follower.change("it is renamed out of the list", ["link set wan1 name lan1"], "lan1", hooked=False)
        follower.change("and into it", ["link set lan1 name wan2"], "wan2")
        ip_batch(["link del wan2"], namespace=one.namespace)
    follower.report()


def _ours(node: Node) -> set[str]:
    return {place["interface"] for place in node.wglanctl_json("status")["steering"]["attachments"]}


def _order(node: Node, device: str = "eth0", hook: str = "egress") -> list[str]:
    found: list[list[str] | None] = []

    def look() -> None:
        enter(node.namespace)
        found.append(hooks.programs_at(device, hook))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0] or []


@scenario(core=True)
def programs_of_others_stay(mesh: Mesh) -> None:
    """TCX programs and filters of others beside ours: they stay, in order, and see what we don't take."""
    one, two = mesh.nodes
    _needs_tcx(mesh, one)
    with contextlib.ExitStack() as others:
        egress, ingress, tunnel, clsact = (
            others.enter_context(hooks.Foreign(one.command, *place))
            for place in (
                ("eth0", "egress"),
                ("eth0", "ingress"),
                ("wglan0", "ingress"),
                ("eth0", "egress", "filter"),
            )
        )
        for order, first in (("first", True), ("last", False), ("first", True)):
            mesh.reconfigure(one, [{"op": "add", "path": "/steering/order", "value": order}])
            one.agent_kill()
            one.agent_start()
            one.wait_ready(1)
            wanted = [_EGRESS, "stranger"] if first else ["stranger", _EGRESS]
            eventually(lambda: _order(one) == wanted, f"order {order}: {_order(one)}", timeout=5)  # noqa: B023
            seen, count = (egress.count(), clsact.count()), 200
            check(mesh.ping(one, two.addresses.ipv4, count=count, interval=0.002) == count, "pings are lost")
            tcx, filtered = egress.count() - seen[0], clsact.count() - seen[1]
            # Of what is steered only WireGuard's own packets go on; a program before ours sees each twice.
            print(f"{order}: {count} pings steered; the other program saw {tcx} packets, its filter {filtered}")
            check(count <= tcx < 2 * count if first else tcx >= 2 * count, f"{order}: the program saw {tcx}")
            check(count <= filtered < 2 * count, f"{order}: the filter saw {filtered}")
        check(ingress.count() > 0 and tunnel.count() > 0, "programs at ingress stood still")
        _taken_away_by_hand(mesh, one)
        check(_order(one) == [_EGRESS, "stranger"], f"after the repair: {_order(one)}")
        one.agent_stop()
        one.run(*one.agent_command("--cleanup"))
        check(_order(one) == ["stranger"], f"after --cleanup: {_order(one)}")
        before = egress.count(), clsact.count()
        one.run("ping", "-c", "1", "-W", "1", two.addresses.ipv4, check=False)
        after = egress.count(), clsact.count()
        check(after[0] > before[0] and after[1] > before[1], f"after --cleanup: {before}, {after}")


@scenario(core=True)
def place_is_won_back(mesh: Mesh) -> None:
    """A program that comes before ours under traffic: ours is first again, once; nothing is lost."""
    one, two = mesh.nodes
    _needs_tcx(mesh, one)
    with contextlib.ExitStack() as others, mesh.stream(one, two, two.addresses.ipv4) as stream:
        repairs = mesh.metric(one, "wglan_drift_repairs_total")
        others.enter_context(hooks.Foreign(one.command, "eth0", "egress", "first"))
        took = eventually(
            lambda: _order(one) == [_EGRESS, "stranger"], f"our place is lost: {_order(one)}", timeout=_REPAIR
        )
        print(f"first again after {took:.2f} s")
        eventually(
            lambda: mesh.metric(one, "wglan_drift_repairs_total") > repairs,
            "the repair wasn't counted",
            timeout=5,
        )
        # Who insists gets it, until our next try in five minutes; doctor says so.
        others.enter_context(hooks.Foreign(one.command, "eth0", "egress", "first"))
        time.sleep(3)
        check(_order(one) == ["stranger", _EGRESS, "stranger"], f"we fight: {_order(one)}")
        found = one.wglanctl("doctor", check=False).stdout
        check("stranger runs before wglan_egress" in found, f"doctor: {found}")
    print(stream.outcome)
    check(stream.outcome.sent > 50 and stream.outcome.lost == 0, str(stream.outcome))


def _taken_away_by_hand(mesh: Mesh, node: Node) -> None:
    """Each program of ours, by `bpftool link detach`."""
    for device, hook in (("eth0", "egress"), ("wglan0", "ingress"), ("wglan0", "egress")):
        (name,) = (name for name in _order(node, device, hook) if name.startswith("wglan_"))
        repairs = mesh.metric(node, "wglan_drift_repairs_total")
        pinned = node.run("sh", "-c", "ls /sys/fs/bpf/wglan/links").stdout.split()
        index = mesh.ifindex(node, device)
        pin = [pin for pin in pinned if re.fullmatch(rf"tc-{hook}-(first|last)-{index}", pin)]
        check(len(pin) == 1, f"{device} {hook}: pins {pinned}")
        path = f"/sys/fs/bpf/wglan/links/{pin[0]}"
        link = json.loads(node.run("bpftool", "-j", "link", "show", "pinned", path).stdout)
        node.run("bpftool", "link", "detach", "id", str(link["id"]))
        check(name not in _order(node, device, hook), f"{device} {hook}: still attached")
        took = eventually(
            lambda: name in _order(node, device, hook),  # noqa: B023
            f"{device} {hook}: our program isn't back",
            timeout=_REPAIR,
        )
        counted = eventually(
            lambda: mesh.metric(node, "wglan_drift_repairs_total") > repairs,  # noqa: B023
            f"{device} {hook}: the repair wasn't counted",
            timeout=1,
        )
        print(f"{device} {hook}: detached by hand, back after {took:.2f} s, counted ({counted:.2f} s later)")
