# SPDX-License-Identifier: Apache-2.0
"""Peers from Node objects, and our own record there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lablib import Node

from ..kube_api import KubeApi
from ..scenario import Mesh, check, eventually, scenario
from .restart import end_wireguard


@contextmanager
def cluster(mesh: Mesh) -> Iterator[KubeApi]:
    """All nodes have a Node object and an agent that has nothing else to find the others by."""
    with KubeApi(mesh.lab) as api:
        for node in mesh.nodes:
            api.add_node(node)
            mesh.reconfigure(node, api.configure(node))
        mesh.lab.start_agents()
        yield api


def _prefixes(mesh: Mesh, node: Node, name: str) -> set[str]:
    peer = mesh.peer(node, name)
    return set() if peer is None else {str(prefix) for prefix in peer["prefixes"]}


@scenario(nodes=3, core=True, start=False)
def nodes_of_a_cluster_find_each_other(mesh: Mesh) -> None:
    """Node and pod traffic between Nodes that know of each other by annotations alone; one patch each."""
    one, two, three = mesh.nodes
    with cluster(mesh) as api:
        for node in mesh.nodes:
            for other in mesh.nodes:
                if node is not other:
                    mesh.expect_ping(node, other.addresses.ipv4)
        mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv4)
        mesh.expect_ping(mesh.pod(three), mesh.pod(one).ipv6)
        found = api.annotations("node2")
        key = two.wglanctl_json("status")["node"]["publicKey"]
        check(found["wglan.dev/public-key"] == key, f"node2's annotations are {found}")
        check(two.addresses.pod_prefix4 in found["wglan.dev/prefixes"].split(","), str(found))
        check({two.addresses.pod_prefix4, two.addresses.pod_prefix6} <= _prefixes(mesh, one, "node2"), "no pods")
        source = one.wglanctl_json("status")["sources"]
        check(any(s["name"] == "kubernetes" and s["state"] == "synced" for s in source), f"sources: {source}")
        patches = api.patches("node2")
        print(f"{patches} patches of node2")
        check(patches <= 3, f"node2 was patched {patches} times")


@scenario(core=True, start=False)
def node_annotations_are_kept_and_verified(mesh: Mesh) -> None:
    """Removed ones come back; changed, copied and foreign ones make no peer; a deleted Node's peer stays up."""
    one, two = mesh.nodes
    with cluster(mesh) as api:
        good = api.annotations("node2")
        gone = {f"wglan.dev/{name}": None for name in ("public-key", "endpoints", "signature")}
        api.ask("PATCH", "/api/v1/nodes/node2", {"metadata": {"annotations": gone}})
        took = eventually(lambda: set(api.annotations("node2")) == set(good), "node2 doesn't repair", timeout=5)
        print(f"repaired after {took:.1f} s")
        check(mesh.peer_state(one, "node2") == "up", "node2 isn't up")

        # Somebody who may patch Nodes, but has no token of the cluster.
        good = api.annotations("node2")
        forged = {"kind": "Node", "metadata": {"name": "mallory", "annotations": good}}
        api.put({**forged, "spec": {"podCIDRs": ["10.244.66.0/24"]}, "status": {}})
        refused = lambda name: any(r["peer"] == name for r in one.wglanctl_json("status")["refused"])  # noqa: E731
        eventually(lambda: refused("mallory"), "the copied annotations aren't refused", timeout=5)
        check(mesh.peer(one, "mallory") is None, "mallory is a peer")
        bent = {**good, "wglan.dev/endpoints": "198.51.100.66:51820"}
        two.agent_kill()
        api.ask("PATCH", "/api/v1/nodes/node2", {"metadata": {"annotations": bent}})
        eventually(lambda: refused("node2"), "the changed endpoint isn't refused", timeout=5)
        mesh.expect_ping(one, two.addresses.ipv4)
        two.agent_start()
        eventually(
            lambda: api.annotations("node2")["wglan.dev/endpoints"] == good["wglan.dev/endpoints"],
            "node2 doesn't put its endpoint back",
            timeout=10,
        )
        eventually(lambda: not refused("node2"), "what is sound again stays refused", timeout=5)
        check(refused("mallory"), "the copied annotations are refused no more")
        api.delete("mallory")
        eventually(lambda: not refused("mallory"), "a Node that is gone stays refused", timeout=5)
        api.delete("node2")
        mesh.expect_ping(one, two.addresses.ipv4)
        check(mesh.peer_state(one, "node2") == "up", "a peer that is up went with its Node")
        api.add_node(two)
        check(api.await_patch("node2", "signature"), "the new Node has no annotations")


@scenario(start=False)
def api_server_may_be_away(mesh: Mesh) -> None:
    """Down, started again with another history, and up: nothing is lost, and news come through."""
    one, two = mesh.nodes
    with cluster(mesh) as api, mesh.stream(one, two, two.addresses.ipv4) as stream:
        api.stop()
        state = lambda: next(  # noqa: E731
            s["state"] for s in one.wglanctl_json("status")["sources"] if s["name"] == "kubernetes"
        )
        eventually(lambda: state() != "synced", "the source still says synced", timeout=10)
        check(mesh.peer_state(one, "node2") == "up", "node2 went with the API server")
        api.start()
        eventually(lambda: state() == "synced", "the source doesn't come back", timeout=40)
        # For a moment it knew nobody's rights.
        notes = lambda: [n for s in one.wglanctl_json("status")["sources"] for n in s.get("notes", [])]  # noqa: E731
        eventually(lambda: not notes(), f"it goes on without: {notes()}", timeout=20)
        mesh.reconfigure(two, [{"op": "add", "path": "/advertise/prefixes", "value": ["10.77.0.0/16"]}])
        eventually(lambda: "10.77.0.0/16" in _prefixes(mesh, one, "node2"), "no news", timeout=10)
    print(stream.outcome)
    check(stream.outcome.lost == 0, str(stream.outcome))


@scenario(start=False)
def cleanup_takes_the_annotations_away(mesh: Mesh) -> None:
    """`--cleanup` leaves nothing of ours on the Node, and what others wrote there."""
    one, two = mesh.nodes
    with cluster(mesh) as api:
        api.ask("PATCH", "/api/v1/nodes/node2", {"metadata": {"annotations": {"wglan.dev/note": "rack 7"}}})
        two.agent_stop()
        check("wglan.dev/public-key" in api.annotations("node2"), "a stopped agent takes its record along")
        two.run(*two.agent_command("--cleanup"))
        left = [name for name in api.annotations("node2") if name.startswith("wglan.dev/")]
        check(left == ["wglan.dev/note"], f"left are {left}")


@scenario(core=True, start=False)
def cleanup_tells_what_stays_on_the_node(mesh: Mesh) -> None:
    """A busy API is waited for; one that refuses makes `--cleanup` fail, and the next one succeeds with the right back."""
    two = mesh.nodes[1]
    with cluster(mesh) as api:

        def left() -> list[str]:
            condition = ["condition"] if api.condition("node2") else []
            return condition + [name for name in api.annotations("node2") if name.startswith("wglan.dev/")]

        def known() -> bool:
            return "wglan.dev/public-key" in left() and "condition" in left()

        def clean_up() -> str:
            """What is printed, and the exit status."""
            begin = time.monotonic()
            done = two.run(*two.agent_command("--cleanup", "--log-format", "text"), check=False)
            print(f"--cleanup took {time.monotonic() - begin:.1f} s: {done.stdout} {done.stderr}")
            check(not mesh.has_device(two), "the device stays")
            check(two.state.joinpath("private.key").exists(), "the keys are gone")
            return f"exit {done.returncode}: {done.stdout}{done.stderr}"

        eventually(known, f"on node2 are {left()}", timeout=20)
        two.agent_stop()
        api.settings(busy=3)
        said = clean_up()
        check(said.startswith("exit 0: nothing of WgLAN is left"), said)
        check(left() == [], f"left are {left()}")

        refusals: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
            ({"deny": "not now"}, {"deny": ""}, "wglan.dev/public-key"),
            ({"forbid": ["nodes/status"]}, {"forbid": []}, "condition"),
        )
        for refuse, allow, stays in refusals:
            two.agent_start()
            eventually(known, f"on node2 are {left()}", timeout=20)
            two.agent_stop()
            api.settings(**refuse)
            said = clean_up()
            check(said.startswith("exit 1") and "Node node2: answer 403" in said, said)
            check("repeat --cleanup" in said and "nothing of WgLAN" not in said, said)
            check(stays in left(), f"{stays} went without a right")
            api.settings(**allow)
            said = clean_up()
            check(said.startswith("exit 0: nothing of WgLAN is left"), said)
            check(left() == [], f"left are {left()}")


@contextmanager
def _away(node: Node, api: KubeApi) -> Iterator[None]:
    """The API server refuses that node's connections, and breaks those that it has."""
    rules = (
        f"table inet wglantest {{ chain output {{ type filter hook output priority 0; "
        f"ip daddr {api.address} tcp dport {api.port} reject with tcp reset; }}; }}"
    )
    node.run("nft", rules)
    try:
        yield
    finally:
        node.run("nft", "delete", "table", "inet", "wglantest")


@scenario(nodes=3, core=True, start=False, patch=[{"op": "add", "path": "/peers/downAfter", "value": "5s"}])
def one_node_leaves_a_cluster(mesh: Mesh) -> None:
    """`--cleanup` of one node with `whenDown: drop`: no wait for it, also where the API was away; absence is none."""
    one, two, three = mesh.nodes
    address = two.addresses.ipv4
    with cluster(mesh) as api:
        for node in (one, three):
            mesh.expect_ping(node, address)
            pods = lambda n=node: two.addresses.pod_prefix4 in _prefixes(mesh, n, "node2")  # noqa: E731
            eventually(pods, "node2's pods aren't known", timeout=10)
        key = two.wglanctl_json("status")["node"]["publicKey"]
        before = int(api.annotations("node2")["wglan.dev/sequence"])
        two.agent_stop()
        with _away(three, api):
            eventually(lambda: _kubernetes_state(three) == "down", "node3 still hears the API", timeout=20)
            begin = time.monotonic()
            two.run(*two.agent_command("--cleanup"))
            print(f"--cleanup took {time.monotonic() - begin:.1f} s")
            left = [name for name in api.annotations("node2") if name.startswith("wglan.dev/")]
            check(left == [], f"left are {left}")
            took = eventually(lambda: mesh.peer(one, "node2") is None, "node1 still has node2", timeout=2)
            print(f"node1 dropped it {took:.2f} s after --cleanup had ended")
            mesh.expect_ping(one, address)
            check(mesh.peer(three, "node2") is not None, "node3 can't know")
        took = eventually(lambda: mesh.peer(three, "node2") is None, "node3 doesn't hear of it", timeout=45)
        print(f"node3 dropped it {took:.1f} s after the API was back")
        mesh.expect_ping(three, address)
        # A restarted agent remembers that node2 has left: what its cache held of it makes no peer.
        three.agent_stop()
        three.agent_start()
        check(mesh.peer(three, "node2") is None, "the withdrawn node2 is a peer again")

        two.agent_start()
        for node in (one, three):
            eventually(lambda n=node: mesh.peer_state(n, "node2") == "up", "node2 isn't back", timeout=15)  # type: ignore[misc]
            mesh.expect_ping(node, address)
        check(two.wglanctl_json("status")["node"]["publicKey"] == key, "the key was lost")
        check(int(api.annotations("node2")["wglan.dev/sequence"]) >= before + 2, "the sequence isn't higher")

        # Whoever may patch Nodes can take annotations away. That is no word of node2's.
        two.agent_kill()
        gone = {name: None for name in api.annotations("node2") if name.startswith("wglan.dev/")}
        api.ask("PATCH", "/api/v1/nodes/node2", {"metadata": {"annotations": gone}})
        # Not by its device: wireguard-go goes on with handshakes and keepalives at times.
        end_wireguard(two)
        eventually(lambda: mesh.peer_state(one, "node2") == "down", "node2 isn't missed", timeout=30)
        check(mesh.ping(one, address, count=5) == 0, "absence opened the way in clear")


def _kubernetes_state(node: Node) -> str:
    sources = node.wglanctl_json("status")["sources"]
    return str(next(source["state"] for source in sources if source["name"] == "kubernetes"))
