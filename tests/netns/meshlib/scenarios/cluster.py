# SPDX-License-Identifier: Apache-2.0
"""What a cluster needs of the agent besides peers: its API reached in any case, and news of how it does."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lablib import Node

from ..kube import Server
from ..kube_api import KubeApi
from ..scenario import Mesh, Patch, check, eventually, scenario
from .settings import block_wireguard

_FAST: Patch = [{"op": "add", "path": "/peers/downAfter", "value": "5s"}]

# GET of the API by a process that isn't the agent: its packets carry no mark.
_ASK = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
context.check_hostname = False
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer token-" + sys.argv[3]})
print(urllib.request.urlopen(request, timeout=3, context=context).status)
"""


@contextmanager
def cluster(mesh: Mesh, host: Node | None = None, patch: Patch | None = None) -> Iterator[KubeApi]:
    """All nodes have a Node object and an agent that has nothing else to find the others by."""
    with KubeApi(mesh.lab, host) as api:
        for node in mesh.nodes:
            api.add_node(node)
            mesh.reconfigure(node, api.configure(node) + (patch or []))
        mesh.lab.start_agents()
        yield api


def kubernetes_source(node: Node) -> dict[str, Any]:
    sources = node.wglanctl_json("status")["sources"]
    return dict(next(source for source in sources if source["name"] == "kubernetes"))


def _asks_api(mesh: Mesh, node: Node, url: str) -> bool:
    words = [sys.executable, "-c", _ASK, f"{url}/api/v1/nodes/{node.name}", str(mesh.lab.layout.ca), node.name]
    return node.run(*words, check=False).stdout.strip() == "200"


def _connects(node: Node, address: str, port: int) -> bool:
    program = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"
    return node.run(sys.executable, "-c", program, address, str(port), check=False).returncode == 0


def _explain_api(node: Node, address: str) -> dict[str, Any]:
    return dict(node.wglanctl_json("explain", address, "--proto", "tcp", "--dport", "6443"))


def _unblock(node: Node) -> None:
    node.run("nft", "delete", "table", "inet", "wglantest")


@scenario(core=True, start=False, patch=_FAST)
def api_server_is_reached_past_a_dead_tunnel(mesh: Mesh) -> None:
    """whenDown: drop, and no tunnel to the control-plane node: its API answers, its other ports are closed."""
    one, two = mesh.nodes
    address = one.addresses.ipv4
    with cluster(mesh, one) as api, Server(mesh, one, "tcp", 8080):
        eventually(lambda: _explain_api(two, address)["verdict"] == "steer", "not steered while up", timeout=10)
        # The agent's own connections are marked and never steered, so a capture can't tell.
        steered = mesh.metric(two, "wglan_steered_packets_total")
        check(_asks_api(mesh, two, api.url), "the API doesn't answer by the tunnel")
        check(mesh.metric(two, "wglan_steered_packets_total") - steered >= 5, "not steered while up")

        block_wireguard(one)
        for node, other in ((two, "node1"), (one, "node2")):
            eventually(lambda n=node, o=other: mesh.peer_state(n, o) == "down", f"{other} isn't down", timeout=30)  # type: ignore[misc]
        explained = _explain_api(two, address)
        print(f"explain: {explained['reason']}")
        check(explained["verdict"] == "pass" and "API server" in explained["reason"], str(explained))
        began = time.monotonic()
        eventually(lambda: _asks_api(mesh, two, api.url), "the API isn't reached", timeout=10)
        print(f"the API answers after {time.monotonic() - began:.1f} s")
        drops = mesh.metric(two, "wglan_dropped_packets_total")
        check(not _connects(two, address, 8080), "another port of that node answers")
        check(mesh.ping(two, address) == 0, "pings are answered")
        check(mesh.metric(two, "wglan_dropped_packets_total") > drops, "no drop was counted")

        # A new agent that can't ask the API for where it is.
        two.agent_stop()
        api.stop()
        two.agent_start()
        check(_explain_api(two, address)["verdict"] == "pass", "forgotten over a restart")
        api.start()
        # A server that has just started refuses everybody for a moment.
        eventually(lambda: _asks_api(mesh, two, api.url), "the API isn't reached after the restart", timeout=10)

        _unblock(one)
        eventually(lambda: mesh.peer_state(two, "node1") == "up", "node1 isn't up again", timeout=40)
        eventually(lambda: _explain_api(two, address)["verdict"] == "steer", "not steered again", timeout=10)
        steered = mesh.metric(two, "wglan_steered_packets_total")
        check(_asks_api(mesh, two, api.url), "the API doesn't answer by the tunnel again")
        check(mesh.metric(two, "wglan_steered_packets_total") - steered >= 5, "not steered once it is up again")


@scenario(nodes=3, start=False, patch=_FAST)
def all_api_servers_are_known(mesh: Mesh) -> None:
    """Several, by the EndpointSlice; they change; without the right to read it, said once, the one configured."""
    one, two, three = mesh.nodes
    with cluster(mesh) as api:
        api.tell_servers(one.addresses.ipv4, one.addresses.ipv6, two.addresses.ipv4)
        block_wireguard(two)
        eventually(lambda: mesh.peer_state(three, "node2") == "down", "node2 isn't down", timeout=30)
        eventually(
            lambda: _explain_api(three, two.addresses.ipv4)["verdict"] == "pass", "node2's isn't known", timeout=10
        )
        check(_explain_api(three, two.addresses.ipv6)["verdict"] == "drop", "an address that is none passes")
        check(_explain_api(three, one.addresses.ipv6)["verdict"] == "steer", "node1 is up, yet not steered")
        api.tell_servers(two.addresses.ipv6)
        eventually(
            lambda: _explain_api(three, two.addresses.ipv6)["verdict"] == "pass", "not followed", timeout=10
        )
        check(_explain_api(three, two.addresses.ipv4)["verdict"] == "drop", "the old one still passes")
        # A sole API server takes itself out when it stops.
        api.tell_servers()
        time.sleep(1)
        check(_explain_api(three, two.addresses.ipv6)["verdict"] == "pass", "an empty list counted")

        api.settings(forbid=["endpointslices"])
        three.agent_stop()
        three.agent_start()
        eventually(
            lambda: any("not all API servers are known" in note for note in kubernetes_source(three)["notes"]),
            "the missing right isn't shown",
            timeout=10,
        )
        check(mesh.log(three).count("API servers other than those of the configuration") == 1, "not logged once")
        explained = _explain_api(three, two.addresses.ipv6)
        check(explained["verdict"] == "pass", f"forgotten for want of a right: {explained}")


@scenario(core=True, start=False)
def peers_of_a_cluster_survive_a_restart_without_its_api(mesh: Mesh) -> None:
    """Known by Nodes alone, remembered in the cache, verified; and a changed cache makes no peer."""
    one, two = mesh.nodes
    with cluster(mesh) as api:
        mesh.expect_ping(one, two.addresses.ipv4)
        pods = {two.addresses.pod_prefix4, two.addresses.pod_prefix6}
        eventually(
            lambda: pods <= set((mesh.peer(one, "node2") or {})["prefixes"]), "no pods of node2", timeout=10
        )
        eventually(
            lambda: "10.244.1.0/24" in api.annotations("node1")["wglan.dev/prefixes"], "no own pods", timeout=10
        )
        api.stop()
        one.agent_stop()
        # Of the kernel, all; the API is away.
        check(one.run(*one.agent_command("--cleanup"), check=False).returncode == 1, "--cleanup is content")
        check(not mesh.has_device(one), "--cleanup waits for the API")
        one.agent_start()
        eventually(lambda: mesh.peer_state(one, "node2") == "up", "node2 isn't known from the cache", timeout=30)
        mesh.expect_ping(one, two.addresses.ipv4)
        mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv4)
        peer = mesh.peer(one, "node2") or {}
        check(peer["sources"] == ["cache"], f"node2 is known from {peer['sources']}")
        check(pods <= set(peer["prefixes"]), str(peer))
        own = one.wglanctl_json("record")["podPrefixes"]
        check(one.addresses.pod_prefix4 in own, f"its own pods are forgotten: {own}")

        one.agent_stop()
        cache = one.state / "peers.json"
        content = json.loads(cache.read_text())
        node = content["nodes"][0]["node"]
        node["podCIDRs"].append("10.99.0.0/16")
        cache.write_text(json.dumps(content))
        one.agent_start()
        check("the MAC is wrong" in mesh.log(one), "the log doesn't tell of the changed Node")
        check(mesh.peer(one, "node2") is None, "a changed Node makes a peer")
        api.start()
        eventually(lambda: mesh.peer_state(one, "node2") == "up", "node2 isn't up with the API back", timeout=40)


@scenario(
    start=False, patch=[*_FAST, {"op": "add", "path": "/peers/forgetAfter", "value": "10s"}]
)
def replaced_node_takes_its_place(mesh: Mesh) -> None:
    """A machine made anew under the old name and address has it as soon as it says so; the old key goes."""
    one, two = mesh.nodes
    with cluster(mesh) as api:
        mesh.expect_ping(one, two.addresses.ipv4)
        old = two.wglanctl_json("status")["node"]["publicKey"]
        api.delete("node2")
        mesh.expect_ping(one, two.addresses.ipv4)  # absence alone removes nobody who is up
        two.agent_stop()
        two.run(*two.agent_command("--cleanup"))
        for path in two.state.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        api.add_node(two)
        two.agent_start()
        new = two.wglanctl_json("status")["node"]["publicKey"]
        check(new != old, "the state was kept")

        def has_it() -> bool:
            peer = mesh.peer(one, "node2")
            return (
                peer is not None
                and peer["publicKey"] == new
                and peer["state"] == "up"
                and f"{two.addresses.ipv4}/32" in peer["prefixes"]
            )

        took = eventually(has_it, "the new node2 doesn't take its place", timeout=40, step=0.2)
        print(f"the new node2 has its place {took:.1f} s after its agent was ready")
        mesh.expect_ping(one, two.addresses.ipv4)
        mesh.expect_ping(mesh.pod(one), mesh.pod(two).ipv4)
        peers = lambda: one.wglanctl_json("status")["peers"]  # noqa: E731
        eventually(lambda: old not in {peer["publicKey"] for peer in peers()}, "the old key stays", timeout=60)

        # For good: the peer goes after the grace time.
        two.agent_stop()
        two.run(*two.agent_command("--cleanup"))
        api.delete("node2")
        took = eventually(lambda: peers() == [], "the deleted Node's peer stays", timeout=90, step=0.5)
        print(f"gone {took:.1f} s after its Node")


@scenario(nodes=3, core=True, start=False, patch=_FAST)
def cluster_sees_how_its_mesh_does(mesh: Mesh) -> None:
    """Condition and Events, lag, Nodes without an agent; the kubelet's condition stays, few requests."""
    one, two, three = mesh.nodes
    with cluster(mesh) as api:
        api.put({"kind": "Node", "metadata": {"name": "bare"}, "spec": {}, "status": {}})
        for node in mesh.nodes:
            eventually(
                lambda n=node: (api.condition(n.name) or {}).get("reason") == "MeshReady",  # type: ignore[misc]
                f"{node.name} has no condition",
                timeout=20,
            )
        print(f"condition: {api.condition('node1')}")
        kinds = [condition["type"] for condition in api.node("node1")["status"]["conditions"]]
        check(kinds.count("WglanReady") == 1 and "Ready" in kinds, f"conditions: {kinds}")
        eventually(
            lambda: kubernetes_source(one).get("someWithoutAgent") == ["bare"], "bare isn't shown", timeout=5
        )
        check(kubernetes_source(one)["nodesWithoutAgent"] == 1, str(kubernetes_source(one)))
        lag = kubernetes_source(one)["lagSeconds"]
        check(isinstance(lag, int) and 0 <= lag <= 10, f"lag {lag}")
        text = one.wglanctl("status").stdout
        check("1 Node without an agent: bare" in text and "heard" in text, text)

        before = api.condition("node1") or {}
        block_wireguard(three)
        eventually(
            lambda: any(e["reason"] == "PeerDown" and "node3" in e["note"] for e in api.events("node1")),
            "no Event tells of node3",
            timeout=30,
        )
        event = next(e for e in api.events("node1") if e["reason"] == "PeerDown")
        check(event["type"] == "Warning" and event["regarding"]["kind"] == "Node", str(event))
        check(event["regarding"]["uid"] == api.node("node1")["metadata"]["uid"], str(event))
        # node3 has lost all: that is worth its condition; node1's stays as it was.
        eventually(
            lambda: (api.condition("node3") or {}).get("reason") == "NoPeerUp", "node3 is content", timeout=90
        )
        check(api.condition("node1") == before, f"{api.condition('node1')} after {before}")
        _unblock(three)
        eventually(
            lambda: any(e["reason"] == "PeerUp" for e in api.events("node1")), "no Event of its return", timeout=60
        )
        eventually(lambda: (api.condition("node3") or {})["status"] == "True", "node3's stays", timeout=60)
        for node in mesh.nodes:
            patches = api.requests(node.name, "patch", "nodes/status")
            posts = api.requests(node.name, "post", "events")
            print(f"{node.name}: {patches} patches of its condition, {posts} Events")
            check(patches <= 6 and posts <= 8, "too many")

        two.agent_stop()
        two.run(*two.agent_command("--cleanup"))
        check(api.condition("node2") is None, "--cleanup leaves the condition")
        kinds = [condition["type"] for condition in api.node("node2")["status"]["conditions"]]
        check(kinds == ["Ready"], f"left of the conditions: {kinds}")


@scenario(start=False)
def missing_rights_are_done_without(mesh: Mesh) -> None:
    """No Events, no condition, no slices: one line each, shown, no storm; a policy that denies our patch too."""
    one, two = mesh.nodes
    with KubeApi(mesh.lab) as api:
        api.settings(forbid=["events", "nodes/status", "endpointslices"])
        for node in mesh.nodes:
            api.add_node(node)
            mesh.reconfigure(node, api.configure(node))
        mesh.lab.start_agents()
        mesh.expect_ping(one, two.addresses.ipv4)
        eventually(
            lambda: any("the Node's condition can't be written" in n for n in kubernetes_source(one)["notes"]),
            "the missing right isn't shown",
            timeout=20,
        )
        check(kubernetes_source(one)["state"] == "synced", str(kubernetes_source(one)))
        time.sleep(5)
        for what in ("nodes/status", "events"):
            asked = api.requests("node1", "patch", what) + api.requests("node1", "post", what)
            # The first refusal may be that of a server that has just started.
            check(asked <= 2, f"{what} was asked for {asked} times")
        check(mesh.log(one).count("going on without") <= 2, "said more than once")

        patches = api.patches("node2")
        api.settings(deny="only wglan.dev annotations may change")
        mesh.reconfigure(two, [{"op": "add", "path": "/advertise/prefixes", "value": ["10.77.0.0/16"]}])
        eventually(
            lambda: "an admission policy of the cluster denies it" in kubernetes_source(two)["lastError"],
            "the policy's word isn't shown",
            timeout=10,
        )
        print(kubernetes_source(two)["lastError"])
        time.sleep(8)
        more = api.patches("node2") - patches
        check(more <= 3, f"{more} patches in 8 s, all denied")
        mesh.expect_ping(one, two.addresses.ipv4)
        api.settings(deny="")
        eventually(
            lambda: "10.77.0.0/16" in api.annotations("node2")["wglan.dev/prefixes"], "not tried again", timeout=40
        )
        mesh.reconfigure(one, [{"op": "add", "path": "/discovery/kubernetes/publishStatus", "value": "off"}])
        eventually(
            lambda: not any("condition" in note for note in kubernetes_source(one)["notes"]),
            "publishStatus: off isn't taken",
            timeout=10,
        )
