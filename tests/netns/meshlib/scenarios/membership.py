# SPDX-License-Identifier: Apache-2.0
"""Nodes come, go, are replaced, and claim what isn't theirs."""

import json
import secrets

from lablib import Node

from ..scenario import Mesh, check, eventually, scenario
from .restart import reboot

_PEER_TIMEOUT = 30


def up_at(mesh: Mesh, node: Node, name: str, *, timeout: float = _PEER_TIMEOUT) -> float:
    return eventually(
        lambda: mesh.peer_state(node, name) == "up", f"{name} isn't up at {node.name}", timeout=timeout
    )


@scenario(nodes=3, core=True, start=False)
def late_joiner(mesh: Mesh) -> None:
    """A third node joins two that run."""
    one, two, three = mesh.nodes
    one.agent_start()
    two.agent_start()
    one.wait_ready(1)
    mesh.expect_ping(one, two.addresses.ipv4)
    three.agent_start()
    three.wait_ready(2)
    for node in (one, two):
        print(f"up at {node.name} after {up_at(mesh, node, 'node3'):.2f} s more")
    mesh.expect_ping(three, one.addresses.ipv4)
    mesh.expect_ping(mesh.pod(two), mesh.pod(three).ipv6)


@scenario(nodes=3, core=True)
def node_leaves(mesh: Mesh) -> None:
    """--cleanup withdraws the record: everyone drops the peer at once."""
    one, two, three = mesh.nodes
    three.agent_stop()
    three.run(*three.agent_command("--cleanup"))
    for node in (one, two):
        took = eventually(
            lambda: mesh.peer(node, "node3") is None, f"{node.name} still has node3", timeout=5  # noqa: B023
        )
        print(f"gone from {node.name} after {took:.2f} s")
        routes = node.run("sh", "-c", "ip route show table all; ip -6 route show table all").stdout
        check(
            "10.244.3.0/24" not in routes and "fd00:244:3::/64" not in routes,
            f"{node.name} still routes node3's pods",
        )
    verdict = one.wglanctl_json("explain", three.addresses.ipv4)["verdict"]
    check(verdict == "pass", f"explain says {verdict} for a node that has left")
    mesh.expect_ping(one, two.addresses.ipv4)
    # What has left is reachable as any stranger: not steered, in clear.
    mesh.expect_ping(one, three.addresses.ipv4)


@scenario(nodes=3, core=True)
def node_replaced(mesh: Mesh) -> None:
    """A new machine under an old name and address, with other keys."""
    one, two, three = mesh.nodes
    old = three.wglanctl_json("status")["node"]["publicKey"]
    reboot(three)
    three.run("sh", "-c", "rm -rf /var/lib/wglan/*")
    three.agent_start()
    new = three.wglanctl_json("status")["node"]["publicKey"]
    check(new != old, "the replaced node has its predecessor's key")
    for node in (one, two):
        took = eventually(
            lambda: (mesh.peer(node, "node3") or {}).get("publicKey") == new
            and mesh.peer_state(node, "node3") == "up",  # noqa: B023  # noqa: B023
            f"the new node3 isn't up at {node.name}",
            timeout=120,
        )
        print(f"up at {node.name} after {took:.1f} s")
    mesh.expect_ping(one, three.addresses.ipv4)
    mesh.expect_ping(mesh.pod(one), mesh.pod(three).ipv4)


@scenario(nodes=3)
def prefix_of_another_is_refused(mesh: Mesh) -> None:
    """A member claims the pods, the address and the name of another: the incumbent keeps them."""
    one, two, three = mesh.nodes
    pod = mesh.pod(two)
    mesh.expect_ping(mesh.pod(one), pod.ipv4)
    mesh.reconfigure(
        three,
        [
            {
                "op": "add",
                "path": "/advertise/prefixes",
                "value": [two.addresses.pod_prefix4, f"{two.addresses.ipv4}/32", "0.0.0.0/0"],
            }
        ],
    )
    wanted = {two.addresses.pod_prefix4, f"{two.addresses.ipv4}/32", "0.0.0.0/0"}
    eventually(
        lambda: wanted
        <= {
            refusal["prefix"]
            for refusal in one.wglanctl_json("status")["refused"]
            if refusal["peer"] == "node3"
        },
        "node1 doesn't show the refused claims",
        timeout=15,
    )
    for refusal in one.wglanctl_json("status")["refused"]:
        print(f"refused: {refusal['peer']} {refusal['prefix']}: {refusal['reason']}")
        check(refusal["reason"] != "", "a refusal without a reason")
    mesh.expect_ping(mesh.pod(one), pod.ipv4)
    mesh.expect_ping(one, two.addresses.ipv4)
    check("10.244.2.0/24" in one.wglanctl("routes").stdout, "wglanctl routes doesn't show the prefix")
    verdict = one.wglanctl_json("explain", "203.0.113.1")["verdict"]
    check(verdict == "pass", f"a stranger's address is {verdict}ed: the default route was taken")


@scenario(nodes=3)
def name_of_another_is_refused(mesh: Mesh) -> None:
    """Two nodes with one name: the incumbent keeps it, the mesh stays."""
    one, two, three = mesh.nodes
    key = two.wglanctl_json("status")["node"]["publicKey"]
    three.agent_stop()
    mesh.reconfigure(three, [{"op": "add", "path": "/node/name", "value": "node2"}])
    three.agent_start()
    eventually(
        lambda: any("node2" in str(refusal.values()) for refusal in one.wglanctl_json("status")["refused"]),
        "node1 doesn't show the second node2 as refused",
        timeout=15,
    )
    peer = mesh.peer(one, "node2")
    check(peer is not None and peer["publicKey"] == key, "node2 isn't the first node2 any more")
    mesh.expect_ping(one, two.addresses.ipv4)


@scenario(nodes=4, core=True, start=False)
def clusters_stay_separate(mesh: Mesh) -> None:
    """Two tokens on one service make two meshes that know nothing of each other."""
    other_token = mesh.lab.layout.directory / "other-token"
    other_token.touch(mode=0o600)
    other_token.write_text(secrets.token_urlsafe(32) + "\n")
    for node in mesh.nodes[2:]:
        mesh.reconfigure(node, [{"op": "replace", "path": "/cluster/tokenFile", "value": str(other_token)}])
    for node in mesh.nodes:
        node.agent_launch()
    for node in mesh.nodes:
        node.agent_await()
        node.wait_ready(1)
    for node, mate in zip(mesh.nodes, ("node2", "node1", "node4", "node3"), strict=True):
        peers = [peer["name"] for peer in node.wglanctl_json("status")["peers"]]
        check(peers == [mate], f"{node.name} has the peers {peers}")
    mesh.expect_ping(mesh.nodes[0], mesh.nodes[1].addresses.ipv4)
    mesh.expect_ping(mesh.nodes[2], mesh.nodes[3].addresses.ipv4)


@scenario(nodes=3, start=False)
def two_nodes_with_one_mac(mesh: Mesh) -> None:
    """MACs repeat across sites: one of the two derives another overlay address, and all is well."""
    for node in mesh.nodes[:2]:
        node.run("ip", "link", "add", "a0", "type", "bridge")
        node.run("ip", "link", "set", "a0", "address", "00:16:3e:aa:bb:cc", "up")
    mesh.lab.start_agents()
    eventually(
        lambda: mesh.overlay(mesh.nodes[0]) != mesh.overlay(mesh.nodes[1]),
        "two nodes share an overlay address",
        timeout=20,
    )
    addresses = [mesh.overlay(node) for node in mesh.nodes]
    print(f"overlay addresses: {' '.join(addresses)}")
    check(len(set(addresses)) == 3, f"overlay addresses: {addresses}")
    for source in mesh.nodes:
        for destination in mesh.nodes:
            if source is not destination:
                eventually(
                    lambda: mesh.ping(source, mesh.overlay(destination), count=1) == 1,  # noqa: B023
                    f"{source.name} doesn't reach {destination.name}'s overlay address",
                    timeout=20,
                )


@scenario(core=True, start=False)
def static_peers_need_no_service(mesh: Mesh) -> None:
    """Two nodes that name each other form a mesh without any service; bad entries are refused."""
    entries = {}
    for node in mesh.nodes:
        mesh.reconfigure(node, [{"op": "replace", "path": "/discovery/services", "value": []}])
        node.agent_start()
        own = node.wglanctl_json("status")["node"]
        entries[node.name] = {
            "name": node.name,
            "publicKey": own["publicKey"],
            "address": own["address"],
            "prefixes": [f"{node.addresses.ipv4}/32", node.addresses.pod_prefix4, node.addresses.pod_prefix6],
            "endpoints": [f"[{node.addresses.ipv6}]:51820"],
        }
    one, two = mesh.nodes
    mesh.reconfigure(one, [{"op": "add", "path": "/discovery/static/-", "value": entries["node2"]}])
    mesh.reconfigure(two, [{"op": "add", "path": "/discovery/static/-", "value": entries["node1"]}])
    for node in mesh.nodes:
        node.wait_ready(1)
    mesh.expect_ping(one, two.addresses.ipv4)
    mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv6)

    good = one.patch.read_text()
    third = {
        "name": "third",
        "publicKey": "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=",
        "prefixes": ["10.9.0.0/24"],
        "endpoints": ["192.0.2.9:51820"],
    }
    for change, word in (
        ({"name": "node2"}, "name"),
        ({"publicKey": entries["node2"]["publicKey"]}, "publicKey"),
        ({"endpoints": ["192.0.2.9"]}, "endpoints"),
        ({"publicKey": "short"}, "publicKey"),
    ):
        one.patch.write_text(good)
        mesh.reconfigure(one, [{"op": "add", "path": "/discovery/static/-", "value": {**third, **change}}])
        result = one.run(*one.agent_command("--check"), check=False)
        check(
            result.returncode == 2 and word in result.stderr + result.stdout,
            f"{change}: exit {result.returncode}: {result.stderr}",
        )
    # An endpoint inside what is steered to somebody would be a tunnel inside a tunnel.
    one.patch.write_text(good)
    mesh.reconfigure(
        one,
        [
            {
                "op": "add",
                "path": "/discovery/static/-",
                "value": {**third, "endpoints": ["10.244.2.77:51820"]},
            }
        ],
    )
    eventually(
        lambda: any("10.244.2.77" in refusal["prefix"] for refusal in one.wglanctl_json("status")["refused"]),
        "the endpoint inside a steered prefix isn't refused",
        timeout=10,
    )
    mesh.expect_ping(one, two.addresses.ipv4)


@scenario()
def reboot_keeps_identity(mesh: Mesh) -> None:
    """Keys and overlay address survive a reboot, and the peer takes the node back at once."""
    one, two = mesh.nodes
    before = json.dumps([one.wglanctl_json("status")["node"][key] for key in ("publicKey", "address")])
    reboot(one)
    one.agent_start()
    one.wait_ready(1)
    after = json.dumps([one.wglanctl_json("status")["node"][key] for key in ("publicKey", "address")])
    check(after == before, f"before {before}, after {after}")
    up_at(mesh, two, "node1")
    mesh.expect_ping(two, one.addresses.ipv4)
