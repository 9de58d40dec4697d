# SPDX-License-Identifier: Apache-2.0
"""What a mesh has to keep while somebody throws something at it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from lablib import Node

from .scenario import Mesh, check

Standing = dict[str, Any]


def standing(mesh: Mesh, node: Node) -> Standing:
    """The agent's process and device, the lab's other nodes as peers, and what is steered to them."""
    names = {other.name for other in mesh.nodes if other is not node}
    status = node.wglanctl_json("status")
    peers = {
        peer["name"]: {
            **{key: peer[key] for key in ("publicKey", "address", "state")},
            "prefixes": sorted(peer["prefixes"]),
        }
        for peer in status["peers"]
        if peer["name"] in names
    }
    routes = {
        route["prefix"]: route["peer"]
        for route in node.wglanctl_json("routes")["routes"]
        if route["peer"] in names
    }
    return {
        "agent": node.agent_pid(),
        "device": mesh.ifindex(node),
        "own": [status["node"][key] for key in ("name", "publicKey", "address", "listenPort")],
        "peers": peers,
        "routes": routes,
        "reconcile errors": mesh.metric(node, "wglan_reconcile_errors_total"),
    }


@contextlib.contextmanager
def undisturbed(mesh: Mesh) -> Iterator[None]:
    """No packet is lost inside, no agent ends, no peer and no prefix is another than before."""
    one, two = mesh.nodes[:2]
    pod = mesh.pod(two)
    mesh.expect_ping(mesh.pod(one), pod.ipv4)
    mesh.expect_ping(two, one.addresses.ipv6)
    before = {node.name: standing(mesh, node) for node in mesh.nodes}
    with mesh.stream(mesh.pod(one), pod, pod.ipv4) as pods, mesh.stream(
        two, one, one.addresses.ipv6
    ) as hosts:
        yield
    print(f"pod to pod: {pods.outcome}\nnode to node: {hosts.outcome}")
    for node in mesh.nodes:
        after = standing(mesh, node)
        for what, was in before[node.name].items():
            check(after[what] == was, f"{node.name}: {what}: was {was}, is {after[what]}")
    for outcome in (pods.outcome, hosts.outcome):
        check(outcome.sent > 50 and outcome.lost == 0, str(outcome))
