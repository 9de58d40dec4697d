# SPDX-License-Identifier: Apache-2.0
"""A node between two that don't know each other sends their packets on, without its stack."""

import re
from typing import Any

from lablib import Node
from lablib.shell import run

from ..kube import Server, expect, install, invalid_dropped
from ..scenario import Mesh, check, eventually, scenario
from .carry import tcp_transfer


def _entry(node: Node, *others: Node) -> dict[str, Any]:
    """What the configuration says of a node, and of those behind it."""
    status = node.wglanctl_json("status")["node"]
    prefixes = []
    for one in (node, *others):
        prefixes += [f"{one.addresses.ipv4}/32", one.addresses.pod_prefix4, one.addresses.pod_prefix6]
    return {
        "name": node.name,
        "publicKey": status["publicKey"],
        "address": status["address"],
        "prefixes": prefixes,
        "endpoints": [f"[{node.addresses.ipv6}]:51820"],
    }


def _forwarded(node: Node) -> int:
    return int(node.wglanctl_json("status")["steering"]["counters"]["forwarded"])


def _star(mesh: Mesh) -> None:
    """node1 and node3 know node2 alone."""
    for node in mesh.nodes:
        mesh.reconfigure(node, [{"op": "replace", "path": "/discovery/services", "value": []}])
        node.agent_start()
    one, hub, three = mesh.nodes
    for node, entries in (
        (one, [_entry(hub, three)]),
        (hub, [_entry(one), _entry(three)]),
        (three, [_entry(hub, one)]),
    ):
        mesh.reconfigure(
            node, [{"op": "add", "path": "/discovery/static/-", "value": entry} for entry in entries]
        )
    for node, peers in ((one, 1), (hub, 2), (three, 1)):
        node.wait_ready(peers)


@scenario(nodes=3, core=True, start=False, jit=True)
def hub_sends_on(mesh: Mesh) -> None:
    """Both families, TCP whole, one hop less in each packet, nothing in clear, seen by no conntrack."""
    _star(mesh)
    one, hub, three = mesh.nodes
    a, c = mesh.pod(one), mesh.pod(three)
    install(hub, [], hub.addresses.pod_prefix4, hub.addresses.pod_prefix6)
    programs = {a["program"] for a in hub.wglanctl_json("status")["steering"]["attachments"]}
    by_program = "wglan_tun_hub" in programs
    with mesh.capture() as capture, Server(mesh, c, "tcp", 8080), Server(mesh, c, "udp", 8080):
        for address, source in ((c.ipv4, a.ipv4), (c.ipv6, a.ipv6)):
            before = _forwarded(hub)
            mesh.expect_ping(a, address)
            for kind in ("tcp", "udp"):
                seen = expect(mesh, "pod to pod by a hub", a, kind, address, 8080)
                check(seen == source, f"the server sees {seen}, not {source}")
            tcp_transfer(mesh, a, c, address)
            sent_on = _forwarded(hub) - before
            print(f"to {address}: {sent_on} packets sent on")
            check(sent_on > 100 if by_program else sent_on == 0, f"{sent_on} packets sent on")
    summary = capture.summary()
    check(not summary.foreign, f"in clear: {dict(summary.foreign)}")
    check(invalid_dropped(hub) == 0, f"{invalid_dropped(hub)} INVALID packets dropped")
    echo = run(mesh.at(a)(["ping", "-n", "-c", "1", "-W", "3", c.ipv4])).stdout
    check(re.search(r"ttl=61\b", echo) is not None, f"three hops should leave a TTL of 61: {echo}")
    trace = run(mesh.at(a)(["traceroute", "-4", "-n", "-q", "1", "-w", "3", "-m", "6", "-U", c.ipv4])).stdout
    hops = [line.split()[1] for line in trace.splitlines()[1:] if len(line.split()) > 1]
    expected = ["10.244.1.1", hub.addresses.ipv4, three.addresses.ipv4, c.ipv4]
    check(hops == expected, f"traceroute: {trace}")
    print(f"forwarded in the metrics: {mesh.metric(hub, 'wglan_forwarded_packets_total'):g}")
    if by_program:
        check(mesh.metric(hub, "wglan_forwarded_packets_total") > 100, "the metric doesn't count")


@scenario(nodes=3, start=False, jit=True)
def hub_translates(mesh: Mesh) -> None:
    """A flow that the hub's netfilter translates keeps going through its stack, both ways."""
    _star(mesh)
    one, hub, three = mesh.nodes
    a, c = mesh.pod(one), mesh.pod(three)
    install(hub, [], hub.addresses.pod_prefix4, hub.addresses.pod_prefix6)
    rules = f"""
table inet translation {{
  chain prerouting {{ type nat hook prerouting priority -90;
    ip daddr {hub.addresses.ipv4} meta l4proto {{ tcp, udp }} th dport 30080 dnat ip to {c.ipv4}:8080
  }}
}}
"""
    run(hub.command(["nft", "-f", "-"]), stdin=rules)
    with Server(mesh, c, "tcp", 8080), Server(mesh, c, "udp", 8080):
        for kind in ("tcp", "udp"):
            before = _forwarded(hub)
            # The pod itself is seen: only the destination is translated, so replies pass the hub as well.
            seen = expect(mesh, "a pod by the hub's port", a, kind, hub.addresses.ipv4, 30080)
            check(seen == a.ipv4, f"the server sees {seen}, not {a.ipv4}")
            check(_forwarded(hub) == before, "a translated flow went past the stack")
            expect(mesh, "the same pod by its address", a, kind, c.ipv4, 8080)
    check(invalid_dropped(hub) == 0, f"{invalid_dropped(hub)} INVALID packets dropped")


@scenario(nodes=3, core=True)
def wide_prefixes_take_nothing_that_is_here(mesh: Mesh) -> None:
    """A peer that announces all of 10.0.0.0/8 and fd00::/8: what comes in for our pods still comes to them."""
    one, two, wide = mesh.nodes
    mesh.reconfigure(
        wide, [{"op": "add", "path": "/advertise/prefixes", "value": ["10.0.0.0/8", "fd00::/8"]}]
    )
    for node in (one, two):
        eventually(
            lambda node=node: "10.0.0.0/8" in (mesh.peer(node, "node3") or {"prefixes": []})["prefixes"],
            f"{node.name} doesn't know the wide prefix",
            timeout=10,
        )
    before = _forwarded(one)
    a, b = mesh.pod(one), mesh.pod(two)
    for address in (a.ipv4, a.ipv6):
        mesh.expect_ping(b, address)
        tcp_transfer(mesh, b, a, address)
    mesh.expect_ping(two, mesh.overlay(one))
    check(_forwarded(one) == before, "packets for our own pods were sent on to another peer")
