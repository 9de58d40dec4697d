# SPDX-License-Identifier: Apache-2.0
"""The mesh forms, and carries everything it should and nothing else."""

import contextlib
import hashlib
import subprocess
import sys
import threading

from lablib import Node, Pod

from ..scenario import Mesh, check, eventually, scenario
from ..stream import PAYLOAD

_TCP_BYTES = 8 << 20
_SERVER = """
import hashlib, socket, sys
server = socket.create_server(("::", 9098), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
connection, digest = server.accept()[0], hashlib.sha256()
while block := connection.recv(1 << 16):
    digest.update(block)
connection.sendall(digest.hexdigest().encode())
"""
_CLIENT = """
import socket, sys
block = (sys.argv[3].encode() * 4096)[:65536]
connection = socket.create_connection((sys.argv[1], 9098), timeout=60)
for _ in range(int(sys.argv[2]) // len(block)):
    connection.sendall(block)
connection.shutdown(socket.SHUT_WR)
print(connection.recv(64, socket.MSG_WAITALL).decode())
"""


def tcp_transfer(mesh: Mesh, source: Node | Pod, destination: Node | Pod, address: str) -> None:
    """Sends some megabytes and compares digests."""
    server = subprocess.Popen(
        mesh.at(destination)([sys.executable, "-c", _SERVER]),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        marker = PAYLOAD.decode()
        client = subprocess.run(
            mesh.at(source)([sys.executable, "-c", _CLIENT, address, str(_TCP_BYTES), marker]),
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        check(client.returncode == 0, f"TCP to {address}: {client.stderr.strip()}")
        block = (PAYLOAD * 4096)[:65536]
        digest = hashlib.sha256(block * (_TCP_BYTES // len(block))).hexdigest()
        check(client.stdout.strip() == digest, f"TCP to {address}: what arrived differs from what was sent")
    finally:
        server.kill()
        server.wait()


@scenario(nodes=3, core=True)
def three_nodes_mesh(mesh: Mesh) -> None:
    """Node and pod traffic in both families reaches everyone, encrypted."""
    pods = {node.name: mesh.pod(node) for node in mesh.nodes}
    steered = mesh.metric(mesh.nodes[0], "wglan_steered_packets_total")
    with mesh.capture() as capture:
        threads = [
            threading.Thread(
                target=lambda *pair: failures.extend(_try_pair(mesh, *pair)),
                args=(source, destination, pods[source.name], pods[destination.name]),
            )
            for source in mesh.nodes
            for destination in mesh.nodes
            if source is not destination
        ]
        failures: list[str] = []
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(not failures, "; ".join(failures))
        one, two = mesh.nodes[0], mesh.nodes[1]
        for address in (two.addresses.ipv4, two.addresses.ipv6, mesh.overlay(two)):
            tcp_transfer(mesh, one, two, address)
        for address in (pods["node2"].ipv4, pods["node2"].ipv6):
            tcp_transfer(mesh, pods["node1"], pods["node2"], address)
    summary = capture.summary()
    print("\n".join(summary.lines()))
    check(not summary.foreign, f"in clear on the underlay: {dict(summary.foreign)}")
    check(summary.allowed["WireGuard UDP"] > 100, "hardly any WireGuard packets were captured")
    check(not capture.holds(PAYLOAD), "a payload crossed the underlay readable")
    check(
        mesh.metric(mesh.nodes[0], "wglan_steered_packets_total") > steered,
        "no packet was counted as steered",
    )


def _try_pair(mesh: Mesh, source: Node, destination: Node, from_pod: Pod, to_pod: Pod) -> list[str]:
    failures = []
    addresses = [destination.addresses.ipv4, destination.addresses.ipv6, to_pod.ipv4, to_pod.ipv6]
    places: list[tuple[str, Node | Pod]] = [
        (source.name, source),
        (f"{source.name}/{from_pod.name}", from_pod),
    ]
    for name, place in places:
        for address in addresses:
            if mesh.ping(place, address) != 3:
                failures.append(f"ping from {name} to {address} isn't answered each time")
    return failures


@scenario(core=True)
def status_has_the_public_fields(mesh: Mesh) -> None:
    """`wglanctl ... -o json` holds the documented fields, and tables are there for people."""
    one = mesh.nodes[0]
    status = one.wglanctl_json("status")
    _has(
        status,
        "",
        {
            "version": str,
            "pid": int,
            "uptimeSeconds": (int, float),
            "sources": list,
            "peers": list,
            "refused": list,
            "node": {
                "name": str,
                "publicKey": str,
                "address": str,
                "interface": str,
                "listenPort": int,
                "mtu": int,
                "backend": str,
                "keyAgeSeconds": (int, float),
            },
            "steering": {
                "attachments": list,
                "prefixes": {"ipv4": int, "ipv6": int},
                "counters": {"steered": int, "passed": int, "dropped": dict},
            },
        },
    )
    _has(
        status["peers"][0],
        "peers[0]",
        {
            "name": str,
            "publicKey": str,
            "address": str,
            "state": str,
            "reason": str,
            "endpoint": str,
            "path": str,
            "candidates": list,
            "lastHandshake": str,
            "rxBytes": int,
            "txBytes": int,
            "prefixes": list,
        },
    )
    _has(
        status["sources"][0],
        "sources[0]",
        {"name": str, "state": str, "records": int, "lastSync": str, "lastError": str},
    )
    check(status["pid"] == one.agent_pid(), "status names another pid than the agent's")
    hooks = {(each["interface"], each["hook"]) for each in status["steering"]["attachments"]}
    check(
        {("eth0", "tc-egress"), ("wglan0", "tc-ingress"), ("wglan0", "tc-egress")} <= hooks,
        f"attachments are {sorted(hooks)}",
    )
    check(status["node"]["mtu"] == 1420, f"wglan0's MTU is {status['node']['mtu']}")
    for command in (
        ["status"],
        ["peers"],
        ["routes"],
        ["record"],
        ["keys", "show"],
        ["explain", mesh.nodes[1].addresses.ipv4],
    ):
        check(one.wglanctl(*command).stdout.strip() != "", f"wglanctl {' '.join(command)} prints nothing")
    verdict = one.wglanctl_json("explain", mesh.nodes[1].addresses.ipv4)["verdict"]
    check(verdict == "steer", f"explain says {verdict} for a peer's address")
    verdict = one.wglanctl_json("explain", "192.0.2.200")["verdict"]
    check(verdict == "pass", f"explain says {verdict} for a stranger's address")


def _has(value: object, where: str, shape: object) -> None:
    if isinstance(shape, dict) and isinstance(value, dict):
        for key, inner in shape.items():
            check(key in value, f"{where}.{key} is missing")
            _has(value[key], f"{where}.{key}", inner)
    else:
        check(isinstance(value, shape), f"{where} is {value!r}")  # type: ignore[arg-type]


_UDP_SERVER = """
import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 9097))
print("ready", flush=True)
while True:
    data, where = server.recvfrom(1 << 16)
    server.sendto(str(len(data)).encode(), where)
"""
_UDP_CLIENT = """
import socket, sys
address, size, marker = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
for _ in range(5):
    client.sendto((marker * size)[:size], (address, 9097))
    try:
        print(client.recv(64).decode())
        break
    except OSError:
        pass
"""


@scenario(core=True)
def large_datagrams_stay_in_the_tunnel(mesh: Mesh) -> None:
    """All fragments go the way of the first, to nodes and pods; and none leaves when the tunnel is down."""
    one, two = mesh.nodes
    size = 3500

    def answers(source: Node | Pod, address: str) -> str:
        return subprocess.run(
            mesh.at(source)([sys.executable, "-c", _UDP_CLIENT, address, str(size), PAYLOAD.decode()]),
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        ).stdout.strip()

    with contextlib.ExitStack() as servers:
        for place in (two, mesh.pod(two)):
            server = subprocess.Popen(
                mesh.at(place)([sys.executable, "-c", _UDP_SERVER]),
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            servers.callback(server.wait)
            servers.callback(server.kill)
            assert server.stdout is not None
            server.stdout.readline()
        pod = mesh.pod(two)
        with mesh.capture() as capture:
            for source in (one, mesh.pod(one)):
                for address in (two.addresses.ipv4, two.addresses.ipv6, pod.ipv4, pod.ipv6):
                    got = answers(source, address)
                    check(got == str(size), f"{source.name} to {address}: answer {got!r}")
        check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")
        one.agent_kill()
        one.run("ip", "link", "set", "wglan0", "down")
        with mesh.capture() as capture:
            for address in (two.addresses.ipv4, two.addresses.ipv6):
                check(answers(one, address) == "", f"{address} answers without a tunnel")
        check(not capture.summary().foreign, f"in clear, the tunnel down: {dict(capture.summary().foreign)}")


@scenario(core=True)
def path_mtu_is_honoured(mesh: Mesh) -> None:
    """What is too big for the tunnel is answered, and never fragmented outside."""
    one, two = mesh.nodes
    pod = mesh.pod(two)
    mtu = int(one.wglanctl_json("status")["node"]["mtu"])
    with mesh.capture() as capture:
        paths: list[tuple[Node | Pod, str, int]] = [
            (one, two.addresses.ipv4, 28),
            (one, two.addresses.ipv6, 48),
            (mesh.pod(one), pod.ipv4, 28),
            (mesh.pod(one), pod.ipv6, 48),
        ]
        for source, address, header in paths:
            fits = _ping_size(mesh, source, address, mtu - header)
            check(fits, f"a packet of {mtu} bytes to {address} isn't answered")
            eventually(
                lambda: not _ping_size(mesh, source, address, mtu - header + 1),  # noqa: B023
                f"a packet of {mtu + 1} bytes to {address} passes unfragmented",
                timeout=3,
            )
    summary = capture.summary()
    check(not summary.foreign, f"in clear on the underlay: {dict(summary.foreign)}")


def _ping_size(mesh: Mesh, source: Node | Pod, address: str, size: int) -> bool:
    command = ["ping", "-n", "-q", "-c", "2", "-i", "0.1", "-W", "1", "-M", "do", "-s", str(size), address]
    return (
        subprocess.run(
            mesh.at(source)(command), capture_output=True, stdin=subprocess.DEVNULL, check=False
        ).returncode
        == 0
    )
