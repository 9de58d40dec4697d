# SPDX-License-Identifier: Apache-2.0
"""Kernel routes for peers' prefixes: behind a CNI's while those lead somewhere, in their place otherwise."""

import ipaddress
import json
from typing import Any

from lablib import Node

from ..scenario import Mesh, check, eventually, scenario

_SOON = 2.0  # seconds
_ARP = 8.0  # the kernel asks for a next hop three times before it gives up


def _ours(node: Node, prefix: str) -> bool:
    return prefix in _all_of_ours(node, prefix)


def _all_of_ours(node: Node, prefix: str) -> set[str]:
    family = "-6" if ":" in prefix else "-4"
    shown = json.loads(node.run("ip", "-j", family, "route", "show", "proto", "119").stdout)
    return {route["dst"] for route in shown if route.get("type", "unicast") == "unicast"}


def _overridden(node: Node, prefix: str) -> bool:
    """Both halves or none; a plan that is being carried out may show one for a moment."""
    halves = {str(half) for half in ipaddress.ip_network(prefix).subnets()}

    def whole() -> bool:
        return len(halves & _all_of_ours(node, prefix)) != 1

    eventually(whole, f"{prefix}: only one half is there", timeout=_SOON)
    return halves <= _all_of_ours(node, prefix)


def _shown(node: Node, prefix: str) -> dict[str, Any]:
    """What `wglanctl routes` says of the kernel's route."""
    for route in node.wglanctl_json("routes")["routes"]:
        if route["prefix"] == prefix:
            return dict(route["kernelRoute"])
    return {}


def _expect_shown(node: Node, prefix: str, form: str, in_force: str) -> None:
    shown = _shown(node, prefix)
    check((shown["form"], shown["inForce"]) == (form, in_force), f"wglanctl routes says {shown} of {prefix}")


def _route(node: Node, *words: str) -> None:
    family = "-6" if any(":" in word for word in words) else "-4"
    node.run("ip", family, "route", *words)


@scenario(core=True)
def dead_cni_routes_are_overridden(mesh: Mesh) -> None:
    """Blackholed, unreachable, over a next hop that doesn't answer: ours wins; mended, the CNI's has it back."""
    one, two = mesh.nodes
    pods = {two.addresses.pod_prefix4: mesh.pod(two).ipv4, two.addresses.pod_prefix6: mesh.pod(two).ipv6}
    gateways = {
        two.addresses.pod_prefix4: ("192.0.2.77", two.addresses.ipv4),
        two.addresses.pod_prefix6: ("2001:db8::77", two.addresses.ipv6),
    }
    for prefix, pod in pods.items():
        nobody, node2 = gateways[prefix]
        check(_ours(one, prefix) and not _overridden(one, prefix), f"{prefix} is overridden without need")
        for fault, timeout in (
            (("blackhole", prefix), _SOON),
            (("unreachable", prefix), _SOON),
            ((prefix, "via", nobody), _ARP),
        ):
            _route(one, "replace", *fault, "metric", "10", "proto", "bird")
            took = eventually(
                lambda pod=pod: mesh.ping(one, pod, count=1) == 1, f"{fault}: no way", timeout=timeout
            )
            check(_overridden(one, prefix), f"{fault}: not overridden")
            shown = _shown(one, prefix)
            check(
                (shown["form"], shown["inForce"]) == ("override", "dev wglan0") and shown["fault"] != "",
                f"{fault}: wglanctl routes says {shown}",
            )
            mesh.expect_ping(one, pod)
            mesh.expect_ping(mesh.pod(one), pod)
            print(f"{' '.join(fault)}: overridden after {took:.2f} s")
            _route(one, "delete", *fault, "metric", "10")
            eventually(
                lambda prefix=prefix: not _overridden(one, prefix), f"{fault}: still overridden", timeout=_SOON
            )
            mesh.expect_ping(one, pod)
        # A CNI's route that works keeps what it has: the programs on the uplink steer it.
        _route(one, "replace", prefix, "via", node2, "metric", "10", "proto", "bird")
        mesh.expect_ping(one, pod)
        check(not _overridden(one, prefix), f"{prefix}: a sound route is overridden")
        _expect_shown(one, prefix, "backup", f"via {node2} dev eth0")
        with mesh.capture() as capture:
            mesh.expect_ping(one, pod)
        check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")
        _route(one, "delete", prefix, "metric", "10")
    check("the route of" in mesh.log(one), "the log doesn't say why")


def _hits(node: Node, prefix: str) -> int:
    found = {route["prefix"]: route["hits"] for route in node.wglanctl_json("routes")["routes"]}
    return int(found[prefix])


@scenario(core=True)
def hits_are_counted(mesh: Mesh) -> None:
    """Each packet to and from a prefix is one hit, whichever way it takes into the tunnel, across restarts."""
    one, two = mesh.nodes
    pod = mesh.pod(two)
    # By the backup route, by a CNI's route and the uplink's program, and from pod to pod.
    for prefix, address, gateway in (
        (two.addresses.pod_prefix4, pod.ipv4, two.addresses.ipv4),
        (two.addresses.pod_prefix6, pod.ipv6, two.addresses.ipv6),
    ):
        before = _hits(one, prefix)
        mesh.expect_ping(one, address)
        check(_hits(one, prefix) == before + 6, f"{prefix}: {_hits(one, prefix) - before} hits by 3 pings")
        _route(one, "add", prefix, "via", gateway, "metric", "10")
        mesh.expect_ping(one, address)
        mesh.expect_ping(mesh.pod(one), address)
        check(_hits(one, prefix) == before + 18, f"{prefix}: {_hits(one, prefix) - before} hits by 9 pings")
        one.agent_kill()
        mesh.expect_ping(one, address)
        one.agent_start()
        check(_hits(one, prefix) == before + 24, f"{prefix}: {_hits(one, prefix) - before} hits by 12 pings")
        one.wglanctl("explain", address)
        check(_hits(one, prefix) == before + 24, "explain counts as a hit")
        _route(one, "delete", prefix, "metric", "10")
    print(one.wglanctl("routes").stdout)


@scenario(core=True)
def dead_ipv6_default_routes_lose_no_pods(mesh: Mesh) -> None:
    """Pods that the IPv6 default route would lead to an uplink: ours is there when it doesn't any more."""
    one, two = mesh.nodes
    prefix, pod = two.addresses.pod_prefix6, mesh.pod(two).ipv6
    one.run("ip", "link", "add", "lan9", "type", "veth", "peer", "name", "far9")
    for device in ("lan9", "far9"):
        one.run("ip", "link", "set", device, "up")
    mesh.reconfigure(one, [{"op": "add", "path": "/steering/uplinks", "value": ["eth0"]}])
    for fault, timeout in ((("via", "2001:db8::77", "dev", "eth0"), _ARP), (("dev", "lan9"), _SOON)):
        _route(one, "add", "::/0", "via", two.addresses.ipv6, "dev", "eth0")
        # A CNI's tunnel could not have its routes beside ours.
        eventually(lambda: not _ours(one, prefix), "ours is in the way of a CNI's", timeout=_SOON)
        mesh.expect_ping(one, pod)
        mesh.expect_ping(mesh.pod(one), pod)
        _route(one, "replace", "::/0", *fault)
        with mesh.capture() as capture:
            took = eventually(lambda: mesh.ping(one, pod, count=1) == 1, f"{fault}: no way", timeout=timeout)
            mesh.expect_ping(mesh.pod(one), pod)
        check(not capture.summary().foreign, f"{fault}: in clear: {dict(capture.summary().foreign)}")
        print(f"default {' '.join(fault)}: pods are reached after {took:.2f} s")
        check(_shown(one, prefix)["inForce"] == "dev wglan0", f"{fault}: {_shown(one, prefix)}")
        _route(one, "delete", "::/0", *fault)
        mesh.expect_ping(one, pod)
    # Beside a sound default route others may be better, or there is none that leads to pods.
    sound = ("::/0", "via", two.addresses.ipv6, "dev", "eth0")
    for routes in (
        (sound, ("blackhole", "fd00:244::/32")),
        (sound, ("fd00:244::/32", "dev", "lan9")),
        (sound, ("blackhole", "::/0", "metric", "10")),
        (("::/0", "from", "2001:db8:5::/48", "via", two.addresses.ipv6, "dev", "eth0"),),
        (("::/0", "dev", "eth0"),),
    ):
        for route in routes:
            _route(one, "add", *route)
        with mesh.capture() as capture:
            what = ", ".join(" ".join(route) for route in routes)
            took = eventually(lambda: mesh.ping(one, pod, count=1) == 1, f"{what}: no way", timeout=_SOON)  # noqa: B023
            mesh.expect_ping(one, pod)
            mesh.expect_ping(mesh.pod(one), pod)
        check(not capture.summary().foreign, f"{what}: in clear: {dict(capture.summary().foreign)}")
        print(f"{what}: pods are reached after {took:.2f} s")
        for route in routes:
            _route(one, "delete", *route)


@scenario(core=True)
def excluded_parts_leave_a_cnis_route_alone(mesh: Mesh) -> None:
    """steering.exclude inside a peer's pods: a CNI's route for all of them keeps what it has, while it is sound."""
    one, two = mesh.nodes
    prefix, pod = two.addresses.pod_prefix4, mesh.pod(two).ipv4
    hole = str(list(ipaddress.ip_network(prefix).subnets(new_prefix=28))[-1])
    inside = str(ipaddress.ip_network(hole)[5])
    mesh.reconfigure(one, [{"op": "add", "path": "/steering/exclude", "value": [hole]}])
    parts = lambda: {route for route in _all_of_ours(one, prefix) if route.startswith("10.244.")}  # noqa: E731

    def way(address: str) -> str:
        return one.run("ip", "route", "get", address, check=False).stdout

    eventually(lambda: len(parts()) == 4, f"not cut around {hole}: {parts()}", timeout=5)
    check("wglan0" in way(pod) and "wglan0" not in way(inside), f"{way(pod)} {way(inside)}")
    check(_shown(one, prefix)["inForce"] == "dev wglan0", f"cut: wglanctl routes says {_shown(one, prefix)}")
    mesh.expect_ping(one, pod)

    _route(one, "add", prefix, "via", two.addresses.ipv4, "metric", "10", "proto", "bird")
    # Ours for the whole would take what is excluded, once the CNI's is gone.
    eventually(lambda: not parts(), f"beside a CNI's route ours are {parts()}", timeout=_SOON)
    check("dev eth0" in way(pod) and "dev eth0" in way(inside), f"{way(pod)} {way(inside)}")
    _expect_shown(one, prefix, "", f"via {two.addresses.ipv4} dev eth0")
    with mesh.capture() as capture:
        mesh.expect_ping(one, pod)
    check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")
    one.agent_kill()
    one.agent_start()
    one.wait_ready(1)
    eventually(lambda: not parts(), f"after a restart ours are {parts()}", timeout=_SOON)

    _route(one, "replace", "blackhole", prefix, "metric", "10", "proto", "bird")
    eventually(lambda: mesh.ping(one, pod, count=1) == 1, "the blackhole isn't overridden", timeout=_SOON)
    check("wglan0" in way(pod) and "wglan0" not in way(inside), f"{way(pod)} {way(inside)}")
    check(_shown(one, prefix)["form"] == "override", f"blackhole: wglanctl routes says {_shown(one, prefix)}")
    _route(one, "delete", "blackhole", prefix, "metric", "10")
    eventually(lambda: prefix not in parts() and len(parts()) == 4, f"at last ours are {parts()}", timeout=_SOON)
    # A route of somebody's inside, around the hole: no part is longer than that.
    inner = str(ipaddress.ip_network(hole).supernet(new_prefix=26))
    beside = str(ipaddress.ip_network(inner)[3])
    _route(one, "add", inner, "via", two.addresses.ipv4, "proto", "static")
    eventually(lambda: "dev eth0" in way(beside), f"ours takes {inner}: {parts()}", timeout=_SOON)
    check("wglan0" in way(pod), way(pod))
    mesh.expect_ping(one, pod)


@scenario()
def ports_that_are_always_reached_have_no_route_of_ours(mesh: Mesh) -> None:
    """steering.alwaysReach inside a peer's pods: a route can't look at ports, so the address has none."""
    one, two = mesh.nodes
    pod = mesh.pod(two)
    _route(one, "add", "0.0.0.0/0", "via", two.addresses.ipv4)
    mesh.reconfigure(
        one, [{"op": "add", "path": "/steering/alwaysReach", "value": [f"{pod.ipv4}:8080/tcp"]}]
    )
    eventually(
        lambda: "dev eth0" in one.run("ip", "route", "get", pod.ipv4).stdout, "ours takes the address", timeout=5
    )
    said = one.wglanctl_json("explain", pod.ipv4, "--proto", "tcp", "--dport", "8080")
    check(said["verdict"] == "pass", f"explain says {said}")
    said = one.wglanctl_json("explain", pod.ipv4, "--proto", "tcp", "--dport", "8081")
    check(said["verdict"] == "steer", f"explain says {said}")
    # Its other ports are steered by the program at the uplink, its neighbours by the route, too.
    with mesh.capture() as capture:
        mesh.expect_ping(one, pod.ipv4)
        mesh.expect_ping(mesh.pod(one), pod.ipv4)
    check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")


@scenario()
def routes_can_be_fixed_to_override(mesh: Mesh) -> None:
    """`steering.routes: override`, and back to `backup` while it runs."""
    one, two = mesh.nodes
    prefixes = (two.addresses.pod_prefix4, two.addresses.pod_prefix6)
    mesh.reconfigure(one, [{"op": "add", "path": "/steering/routes", "value": "override"}])
    for prefix in prefixes:
        eventually(lambda prefix=prefix: _overridden(one, prefix), f"{prefix} isn't overridden", timeout=_SOON)
    mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv4)
    mesh.reconfigure(one, [{"op": "add", "path": "/steering/routes", "value": "backup"}])
    for prefix in prefixes:
        eventually(
            lambda prefix=prefix: not _overridden(one, prefix), f"{prefix} is overridden still", timeout=_SOON
        )
        _route(one, "replace", "blackhole", prefix, "metric", "10")
    mesh.expect_ping(mesh.pod(two), mesh.pod(two).ipv6)
    check(mesh.ping(one, mesh.pod(two).ipv4, count=1) == 0, "backup routes don't override")


@scenario(core=True)
def nothing_leaves_in_clear_without_the_device(mesh: Mesh) -> None:
    """wglan0 down, then gone, and no agent to mend it: under whenDown: drop nothing is sent at all."""
    one, two = mesh.nodes
    pod4, pod6 = mesh.pod(two).ipv4, mesh.pod(two).ipv6
    targets = (two.addresses.ipv4, two.addresses.ipv6, pod4, pod6)
    # A CNI that would carry the pods' packets in clear.
    _route(one, "add", two.addresses.pod_prefix4, "via", two.addresses.ipv4, "metric", "10")
    _route(one, "add", two.addresses.pod_prefix6, "via", two.addresses.ipv6, "metric", "10")
    for target in targets:
        mesh.expect_ping(one, target)
    one.agent_kill()
    for change in (("link", "set", "wglan0", "down"), ("link", "delete", "wglan0")):
        one.run("ip", *change)
        with mesh.capture(f"wglan0-{change[-1]}") as capture:
            for source in (one, mesh.pod(one)):
                for target in targets:
                    answered = mesh.ping(source, target, count=1)
                    check(answered == 0, f"{' '.join(change)}: {target} answers")
        check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")
    one.agent_start()
    check(mesh.metric(one, "wglan_dropped_packets_total") > 0, "the drops weren't counted")
    for target in targets:
        eventually(lambda target=target: mesh.ping(one, target, count=1) == 1, f"{target}: no way", timeout=15)
