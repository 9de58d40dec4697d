# SPDX-License-Identifier: Apache-2.0
"""Agents that find each other by Nodes alone, and what they write there."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from lablib import Node
from meshlib.container import Container, daemonset
from meshlib.scenario import Mesh, check, eventually, scenario

from ..cluster import PORT, Cluster


def source(node: Node) -> dict[str, object]:
    for one in node.wglanctl_json("status")["sources"]:
        if one["name"] == "kubernetes":
            return dict(one)
    return {}


@contextmanager
def cluster(mesh: Mesh, *options: str) -> Iterator[Cluster]:
    with Cluster(mesh.lab, *options) as api:
        for node in mesh.nodes:
            api.admit(node)
            mesh.reconfigure(node, api.configure(node))
        try:
            mesh.lab.start_agents()
            yield api
        except Exception:
            print(api.programs.log_tail())
            raise


def reaches(mesh: Mesh, one: Node, two: Node) -> None:
    """Pods of both, as soon as their prefixes have gone round."""
    for address in (mesh.pod(two).ipv4, mesh.pod(two).ipv6):
        place = mesh.pod(one)
        eventually(lambda to=address: mesh.ping(place, to, count=1) == 1, f"no way to {address}", timeout=10)
        mesh.expect_ping(place, address)


def stays(api: Cluster, names: list[str], seconds: float) -> None:
    """Nobody writes to these Nodes."""
    before = {name: api.version(name) for name in names}
    time.sleep(seconds)
    after = {name: api.version(name) for name in names}
    check(before == after, f"Nodes are written to without news: {before} {after}")


@scenario(nodes=3, start=False)
def nodes_of_a_real_cluster_find_each_other(mesh: Mesh) -> None:
    """Pod traffic by Nodes alone; the record is written, left alone, and repaired; Events and the condition."""
    one, two, three = mesh.nodes
    with cluster(mesh) as api:
        reaches(mesh, one, two)
        reaches(mesh, three, two)
        good = api.annotations("node2")
        check(two.addresses.pod_prefix4 in good["wglan.dev/prefixes"].split(","), str(good))
        for node in mesh.nodes:
            eventually(
                lambda name=node.name: (api.condition(name) or {}).get("reason") == "MeshReady",
                f"{node.name} isn't WglanReady: {api.condition(node.name)} {source(node)}",
                timeout=20,
            )
        check(all("notes" not in source(node) or not source(node)["notes"] for node in mesh.nodes), str(source(one)))
        stays(api, [node.name for node in mesh.nodes], 8)

        api.annotate("node2", {"wglan.dev/signature": None, "wglan.dev/public-key": None})
        took = eventually(lambda: api.annotations("node2") == good, "node2 doesn't repair", timeout=10)
        api.annotate("node2", {"wglan.dev/endpoints": "198.51.100.66:51820"})
        eventually(lambda: api.annotations("node2") == good, "node2 doesn't repair what was changed", timeout=10)
        api.annotate("node2", dict.fromkeys(good))
        eventually(lambda: api.annotations("node2") == good, "node2 doesn't repair all", timeout=10)
        print(f"repaired after {took:.1f} s")
        check(mesh.peer_state(one, "node2") == "up", "node2 isn't up")
        stays(api, ["node2"], 3)

        three.agent_kill()
        three.run("ip", "link", "set", "wglan0", "down")
        eventually(
            lambda: any(event["reason"] == "PeerDown" for event in api.events("node1")),
            f"no Event PeerDown: {api.events('node1')} {source(one)}",
            timeout=300,
            step=2,
        )
        condition = api.condition("node1") or {}
        check(condition.get("status") == "True", f"one dead peer of two: {condition}")


@scenario(start=False)
def agents_run_as_the_daemonset_has_them(mesh: Mesh) -> None:
    """In-cluster configuration: the pod's token, renewed in its file; `--cleanup` withdraws record and condition."""
    one, two = mesh.nodes
    with Cluster(mesh.lab) as api:
        for node in mesh.nodes:
            api.admit(node)
        mesh.reconfigure(two, api.configure(two))
        without = {"op": "replace", "path": "/discovery/services", "value": []}
        external = {"op": "add", "path": "/interface/wireguardGo", "value": "external"}
        mesh.reconfigure(one, [without, {"op": "remove", "path": "/node/podPrefixes"}, external])
        account = one.directory / "account"
        account.mkdir()
        (account / "ca.crt").write_bytes(mesh.lab.layout.ca.read_bytes())
        token = account / "token"
        token.write_text(api.new_token("node1"))
        manifest = copy.deepcopy(daemonset("base/daemonset.yaml"))
        for volume in manifest["spec"]["template"]["spec"]["volumes"]:
            if volume["name"] == "service-account":
                del volume["projected"]
                volume["hostPath"] = {"path": str(account), "type": "DirectoryOrCreate"}
        # Below /run, which /var/run leads to: of the container, not of who makes it.
        for mount in manifest["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]:
            mount["mountPath"] = mount["mountPath"].replace("/var/run/", "/run/")
        server = [f"KUBERNETES_SERVICE_HOST={api.host.ipv6}", f"KUBERNETES_SERVICE_PORT={PORT}"]
        command = ["env", *server, *one.agent_command("--log-format", "text")]
        two.agent_start()
        wireguard = daemonset("overlays/userspace-wireguard/wireguard-go.yaml")
        with Container(one, wireguard), Container(one, manifest, command) as agent:
            agent.await_agent()
            one.wait_ready(1)
            reaches(mesh, one, two)
            # The pod is another one, as after a roll-out: its old token is nobody's.
            api.delete_pod("node1")
            api.add_pod("node1")
            old = token.read_text()
            eventually(
                lambda: api.ask("GET", "/api/v1/nodes", token=old).status == 401, "the old token holds", timeout=15
            )
            token.write_text(api.new_token("node1"))
            api.annotate("node1", {"wglan.dev/signature": None})
            eventually(lambda: "wglan.dev/signature" in api.annotations("node1"), "no repair", timeout=60)
            check(agent.stop() == 0, "SIGTERM")
        check("wglan.dev/signature" in api.annotations("node1"), "SIGTERM withdraws the record")
        check(api.condition("node1") is not None, "SIGTERM withdraws the condition")
        with Container(one, manifest, [*command, "--cleanup"]) as last:
            check(last.wait(30) == 0, f"--cleanup failed:\n{one.log_tail()}")
        check(api.condition("node1") is None, f"left: {api.condition('node1')}")
        left = api.annotations("node1")
        check("wglan.dev/public-key" not in left, f"left of node1: {left}")


@scenario(start=False)
def a_node_is_made_anew(mesh: Mesh) -> None:
    """Deleted and there again under its name with another UID: signed anew, and the peer is never lost."""
    one, two = mesh.nodes
    with cluster(mesh) as api, mesh.stream(one, two, two.addresses.ipv4) as stream:
        before = api.annotations("node2")
        api.put_node("plain", ["10.244.77.0/24"], ["192.0.2.77"])
        eventually(lambda: source(one).get("nodesWithoutAgent") == 1, f"no word of `plain`: {source(one)}", timeout=10)
        check(mesh.peer(one, "plain") is None, "a Node without annotations is a peer")
        api.do("DELETE", "/api/v1/nodes/node2")
        time.sleep(2)
        check(mesh.peer_state(one, "node2") == "up", "a peer that is up went with its Node")
        api.add_node(two)
        eventually(lambda: len(api.annotations("node2")) == len(before), "the new Node stays bare", timeout=20)
        after = api.annotations("node2")
        check(after["wglan.dev/signature"] != before["wglan.dev/signature"], "signed as the old one")
        check(after["wglan.dev/identity"] == before["wglan.dev/identity"], "another identity")
        eventually(lambda: (api.condition("node2") or {}).get("status") == "True", "no condition", timeout=40)
        time.sleep(2)
        check(not one.wglanctl_json("status")["refused"], str(one.wglanctl_json("status")["refused"]))
    check(stream.outcome.lost == 0, str(stream.outcome))


@scenario(start=False)
def many_nodes_are_listed_and_watched(mesh: Mesh) -> None:
    """250 Nodes besides ours: pages of the real server, gzip, and news within a moment."""
    one, two = mesh.nodes
    with Cluster(mesh.lab) as api:
        items = []
        for number in range(250):
            metadata = {"name": f"other{number:03}", "annotations": {"wglan.dev/note": "x" * 400}}
            cidr = f"10.{100 + number // 200}.{number % 200}.0/24"
            spec = {"podCIDR": cidr, "podCIDRs": [cidr]}
            items.append({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})
        api.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(items))
        for node in mesh.nodes:
            api.admit(node)
            mesh.reconfigure(node, api.configure(node))
        start = time.monotonic()
        mesh.lab.start_agents()
        print(f"two of 252 Nodes see each other after {time.monotonic() - start:.1f} s")
        check(source(one).get("nodesWithoutAgent") == 250, f"{source(one)}")
        patch = [{"op": "add", "path": "/advertise/prefixes", "value": ["10.77.0.0/16"]}]
        mesh.reconfigure(two, patch)
        took = eventually(
            lambda: "10.77.0.0/16" in (mesh.peer(one, "node2") or {}).get("prefixes", []), "no news", timeout=10
        )
        print(f"news after {took:.2f} s")
