# SPDX-License-Identifier: Apache-2.0
"""Host names in a node's configuration, and the name server that tells of them."""

import contextlib
from collections.abc import Iterator

from lablib import Node

from ..scenario import Mesh, check, eventually, scenario
from .restart import end_wireguard
from .settings import block_wireguard

_NAME = "edge.example"
_UNKNOWN = "nobody.example"


@contextlib.contextmanager
def name_server(mesh: Mesh, node: Node, address: str) -> Iterator[None]:
    """A real one at the node's address that knows _NAME alone."""
    log = (mesh.lab.layout.directory / "dnsmasq.log").open("w")
    server = node.popen(
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--user=root",
        "--bind-interfaces",
        f"--listen-address={node.addresses.ipv4}",
        f"--host-record={_NAME},{address}",
        stdout=log,
        stderr=log,
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait(10)
        log.close()


def use_name_server(mesh: Mesh, node: Node, server: Node) -> None:
    file = mesh.lab.layout.directory / "resolv.conf"
    file.write_text(f"nameserver {server.addresses.ipv4}\noptions timeout:1 attempts:1\n")
    # In the node's own mount namespace.
    node.run("sh", "-ec", f"mount --bind {file} $(realpath /etc/resolv.conf)")


def candidates(mesh: Mesh, node: Node, peer: str) -> list[str]:
    found = mesh.peer(node, peer)
    return [candidate["endpoint"] for candidate in (found or {}).get("candidates", [])]


def result_of(mesh: Mesh, node: Node, peer: str, endpoint: str) -> str:
    """Of the last try of that candidate."""
    found = mesh.peer(node, peer)
    results = [c["result"] for c in (found or {}).get("candidates", []) if c["endpoint"] == endpoint]
    return str(results[0]) if results else "no candidate"


@scenario(nodes=3, start=False, core=True, patch=[{"op": "add", "path": "/peers/keepaliveSeconds", "value": 1}])
def names_are_looked_up_past_a_dead_tunnel(mesh: Mesh) -> None:
    """A name server behind a peer that is down (whenDown: drop): others can't ask it, the agent can."""
    one, two, three = mesh.nodes
    use_name_server(mesh, one, two)
    announced = [f"{_NAME}:51820", f"{_UNKNOWN}:51820"]
    mesh.reconfigure(three, [{"op": "add", "path": "/advertise/endpoints", "value": announced}])
    with name_server(mesh, two, "192.0.2.77"):
        mesh.lab.start_agents()
        eventually(
            lambda: "192.0.2.77:51820" in candidates(mesh, one, "node3"),
            "the name isn't looked up by the tunnel",
            timeout=10,
        )
        eventually(
            lambda: result_of(mesh, one, "node3", f"{_UNKNOWN}:51820") == "the name can't be looked up",
            "a name that nobody knows isn't shown as such",
            timeout=40,
        )
        two.agent_stop()
        # Its programs are gone, whether they stood there by TCX or as filters.
        two.run("sh", "-c", "rm -rf /sys/fs/bpf/wglan; tc qdisc del dev eth0 clsact 2>/dev/null || true")
        block_wireguard(two)
        end_wireguard(two)
        eventually(lambda: mesh.peer_state(one, "node2") == "down", "node2 isn't down", timeout=60)
    with name_server(mesh, two, "192.0.2.78"):
        asked = one.run("getent", "ahostsv4", _NAME, check=False)
        check(asked.returncode != 0, f"others reach the name server: {asked.stdout}")
        one.agent_stop()
        one.agent_start()
        check(mesh.peer_state(one, "node2") == "down", "the new agent holds node2 for up")
        took = eventually(
            lambda: "192.0.2.78:51820" in candidates(mesh, one, "node3"),
            "the name isn't looked up past the dead tunnel",
            timeout=10,
        )
        print(f"looked up {took:.1f} s after the start")
        asked = one.run("getent", "ahostsv4", _NAME, check=False)
        check(asked.returncode != 0, f"others reach the name server now: {asked.stdout}")
