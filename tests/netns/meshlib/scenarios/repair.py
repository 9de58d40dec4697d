# SPDX-License-Identifier: Apache-2.0
"""What others break is mended; what is ours is taken away whole, what isn't is left alone."""

import ipaddress
import json
import time
from typing import Any

from lablib import Node

from ..scenario import Mesh, check, eventually, scenario

_REPAIR = 2.0  # seconds, by netlink events


def carries(mesh: Mesh, source: Node, address: str) -> bool:
    return mesh.ping(source, address, count=1) == 1


@scenario(core=True)
def deleted_device_is_repaired(mesh: Mesh) -> None:
    """`ip link del wglan0`: it is back within 2 s and carries traffic again."""
    one, two = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    old = mesh.ifindex(one)
    address = mesh.overlay(one)
    one.run("ip", "link", "delete", "wglan0")
    took = eventually(
        lambda: mesh.has_device(one) and address in _addresses(one), "wglan0 isn't back", timeout=_REPAIR
    )
    print(f"device and address back after {took:.2f} s")
    check(mesh.ifindex(one) != old, "the device was never gone")
    took = eventually(lambda: carries(mesh, one, two.addresses.ipv4), "no traffic passes", timeout=30)
    print(f"traffic back after {took:.1f} s more")
    check(carries(mesh, one, mesh.pod(two).ipv6), "pod traffic doesn't pass")
    with mesh.capture() as capture:
        mesh.expect_ping(one, two.addresses.ipv4)
    check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")


def _addresses(node: Node) -> str:
    return node.run("ip", "-o", "addr", "show", "dev", "wglan0", check=False).stdout


@scenario(core=True)
def flushed_addresses_are_repaired(mesh: Mesh) -> None:
    """Flushed addresses, deleted routes, a device set down, detached programs: all are mended."""
    one, two = mesh.nodes
    before = sorted(line.split()[3] for line in _addresses(one).splitlines())
    one.run("ip", "addr", "flush", "dev", "wglan0")
    took = eventually(
        lambda: sorted(line.split()[3] for line in _addresses(one).splitlines()) == before,
        "the addresses aren't back",
        timeout=_REPAIR,
    )
    print(f"addresses back after {took:.2f} s")
    for family, prefix in (("-4", two.addresses.pod_prefix4), ("-6", two.addresses.pod_prefix6)):
        check(_has_route(one, family, prefix), f"there is no route for {prefix} to begin with")
        one.run("ip", family, "route", "delete", prefix, "dev", "wglan0")
        took = eventually(
            lambda: _has_route(one, family, prefix), f"{prefix} isn't back", timeout=_REPAIR  # noqa: B023
        )
        print(f"route for {prefix} back after {took:.2f} s")
    one.run("ip", "link", "set", "wglan0", "down")
    took = eventually(
        lambda: "UP" in json.loads(one.run("ip", "-j", "link", "show", "wglan0").stdout)[0]["flags"],
        "wglan0 isn't up again",
        timeout=_REPAIR,
    )
    print(f"up again after {took:.2f} s")
    eventually(lambda: carries(mesh, one, mesh.pod(two).ipv4), "no traffic passes", timeout=20)
    check(mesh.metric(one, "wglan_drift_repairs_total") > 0, "the repairs weren't counted")


def _has_route(node: Node, family: str, prefix: str) -> bool:
    return "wglan0" in node.run("ip", family, "route", "show", prefix).stdout


def _entries(node: Node, name: str) -> dict[str, Any]:
    """A map's entries, by their keys' bytes as `bpftool` takes them."""
    pinned = f"/sys/fs/bpf/wglan/maps/{name}"
    dump = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", pinned).stdout)
    return {" ".join(entry["key"]): entry["formatted"]["key"] for entry in dump}


def _value_size(node: Node, name: str) -> int:
    shown = node.run("bpftool", "-j", "map", "show", "pinned", f"/sys/fs/bpf/wglan/maps/{name}").stdout
    return int(json.loads(shown)["bytes_value"])


@scenario(core=True)
def drift_in_maps_is_repaired(mesh: Mesh) -> None:
    """Entries deleted by hand, of which no event tells, are back within 2 s: prefixes, peers, endpoints."""
    one, two = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    nodes = [
        [8 * len(packed), packed]
        for packed in (ipaddress.ip_address(at).packed for at in (two.addresses.ipv4, two.addresses.ipv6))
    ]
    for name in ("wglan_route4", "wglan_route6", "wglan_peers", "wglan_endpts", "wglan_pstats"):
        before = _entries(one, name)
        check(bool(before), f"{name} is empty to begin with")
        repairs = mesh.metric(one, "wglan_drift_repairs_total")
        # Of prefixes one with another around it, which a look-up would find instead, and which says another thing.
        key = next(
            key
            for key, shown in before.items()
            if "route" not in name or [shown["prefix_len"], bytes(shown["address"])] in nodes
        )
        one.run("bpftool", "map", "delete", "pinned", f"/sys/fs/bpf/wglan/maps/{name}", "key", *key.split())
        check(key not in _entries(one, name), f"{name}: {before[key]} is still there")
        took = eventually(
            lambda: key in _entries(one, name), f"{name}: {before[key]} isn't back", timeout=_REPAIR  # noqa: B023
        )
        eventually(
            lambda: mesh.metric(one, "wglan_drift_repairs_total") > repairs,  # noqa: B023
            f"{name}: the repair wasn't counted",
            timeout=1,
        )
        print(f"{name}: {before[key]} back after {took:.2f} s")
    # All zeros: no device, no port, no layout.
    size = _value_size(one, "wglan_config")
    pinned = "/sys/fs/bpf/wglan/maps/wglan_config"
    one.run("bpftool", "map", "update", "pinned", pinned, "key", *["0"] * 4, "value", *["0"] * size)
    took = eventually(lambda: carries(mesh, one, two.addresses.ipv4), "no traffic passes", timeout=_REPAIR)
    print(f"wglan_config: back after {took:.2f} s")
    mesh.expect_ping(one, two.addresses.ipv4)
    time.sleep(4)
    repairs = mesh.metric(one, "wglan_drift_repairs_total")
    time.sleep(4)
    check(mesh.metric(one, "wglan_drift_repairs_total") == repairs, "something is repaired again and again")


@scenario(core=True, start=False)
def foreign_device_is_left_alone(mesh: Mesh) -> None:
    """wglan0 exists as something else: the agent says so, ends or waits, and never touches it."""
    one = mesh.nodes[0]
    one.run("ip", "link", "add", "wglan0", "type", "veth", "peer", "name", "stranger0")
    one.run("ip", "addr", "add", "203.0.113.9/32", "dev", "wglan0")
    before = one.run("ip", "-d", "link", "show", "wglan0").stdout
    one.agent_launch()
    eventually(
        lambda: "wglan0" in mesh.log(one) and one.agent_pid() is None,
        "the agent doesn't end with a message",
        timeout=15,
    )
    line = [line for line in mesh.log(one).splitlines() if "wglan0" in line][-1]
    print(line)
    check(one.run("ip", "-d", "link", "show", "wglan0").stdout == before, "the foreign device was changed")
    check("203.0.113.9" in _addresses(one), "the foreign device lost its address")
    one.run(*one.agent_command("--cleanup"))
    check(mesh.has_device(one), "--cleanup removed a device that isn't ours")


@scenario(core=True)
def cleanup_leaves_nothing(mesh: Mesh) -> None:
    """After --cleanup: no device, route, pin, program, process or changed setting; twice is fine."""
    one, two = mesh.nodes
    # The agent has made one where the kernel has no TCX.
    one.run("tc", "qdisc", "add", "dev", "eth0", "clsact", check=False)
    mesh.expect_ping(one, two.addresses.ipv4)
    one.agent_kill()
    check(mesh.has_device(one), "the device went with the agent")
    for _ in range(2):
        one.run(*one.agent_command("--cleanup"))
        check(not mesh.has_device(one), "wglan0 is still there")
        # The kernel itself puts those two into a new bpffs (CONFIG_BPF_PRELOAD).
        left = set(one.run("sh", "-c", "ls -A /sys/fs/bpf").stdout.split()) - {"maps.debug", "progs.debug"}
        check(not left, f"pins are left: {left}")
        left = set(one.run("sh", "-c", "ls -A /run/wglan").stdout.split())
        check(not left, f"/run/wglan has {left}")
        routes = one.run("sh", "-c", "ip route show table all; ip -6 route show table all").stdout
        check("wglan0" not in routes and "10.244.2.0/24" not in routes, f"routes are left:\n{routes}")
        check(
            "wglan" not in one.run("bpftool", "net", "show", "dev", "eth0").stdout,
            "a program is still attached",
        )
        check(
            one.run("sh", "-c", "ls -A /run/wireguard").stdout.strip() == "", "a wireguard-go socket is left"
        )
    check("clsact" in one.run("tc", "qdisc", "show", "dev", "eth0").stdout, "another's clsact was removed")
    eventually(lambda: mesh.peer(two, "node1") is None, "node2 still has node1", timeout=10)
    one.agent_start()
    one.wait_ready(1)
    mesh.expect_ping(one, two.addresses.ipv4)


@scenario(core=True)
def foreign_objects_survive(mesh: Mesh) -> None:
    """Routes, filters and addresses of others are there after start, reload and --cleanup."""
    one = mesh.nodes[0]
    one.agent_stop()
    one.run(*one.agent_command("--cleanup"))
    one.run("ip", "link", "add", "d0", "type", "bridge")
    one.run("ip", "link", "set", "d0", "up")
    one.run("ip", "route", "add", "10.244.2.0/24", "dev", "d0", "metric", "50")
    # The agent has made one where the kernel has no TCX.
    one.run("tc", "qdisc", "add", "dev", "eth0", "clsact", check=False)
    one.run(
        "tc",
        "filter",
        "add",
        "dev",
        "eth0",
        "egress",
        "pref",
        "1",
        "protocol",
        "ip",
        "u32",
        "match",
        "u32",
        "0",
        "0",
        "classid",
        "1:1",
    )
    one.agent_start()
    one.wait_ready(1)
    _check_foreign(one)
    one.agent_stop()
    one.run(*one.agent_command("--cleanup"))
    _check_foreign(one)


def _check_foreign(node: Node) -> None:
    check("d0" in node.run("ip", "route", "show", "10.244.2.0/24").stdout, "another's route is gone")
    filters = node.run("tc", "filter", "show", "dev", "eth0", "egress").stdout
    check("u32" in filters, "another's filter is gone")
