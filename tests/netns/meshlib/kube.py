# SPDX-License-Identifier: Apache-2.0
"""What kube-proxy and a CNI do to a node's netfilter, as far as it decides whether flows work."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass

from lablib import Node, Pod
from lablib.shell import SLOW, run, wait_until

from .scenario import Mesh, check

CLUSTER4, CLUSTER6 = "10.244.0.0/16", "fd00:244::/32"
_MASQUERADE = "0x4000"  # kube-proxy's mark

_SERVER = """
import socket, sys, threading
kind, port = sys.argv[1], int(sys.argv[2])
server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::", port))
if kind == "tcp":
    server.listen(64)
else:
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
print("ready", flush=True)
def echo(connection, client):
    try:
        while data := connection.recv(65536):
            connection.sendall(client[0].encode() + b" " + data)
    except OSError:
        pass
    connection.close()
while True:
    if kind == "udp":
        data, control, _, client = server.recvmsg(65535, 256)
        # From the address that was asked, by whatever device.
        asked = control[0][2][:16] + bytes(4)
        control = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked)]
        server.sendmsg([client[0].encode() + b" " + data], control, 0, client)
        continue
    threading.Thread(target=echo, args=server.accept(), daemon=True).start()
"""

# Prints the address that the server saw.
_CLIENT = """
import socket, sys
kind, address, port, size, timeout = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
client = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
client.settimeout(timeout)
client.connect((address, port))
client.sendall(b"x" * size)
seen = b""
while not seen.endswith(b"x" * size):
    data = client.recv(65536)
    if not data:
        sys.exit("closed early")
    seen += data
print(seen.split(b" ")[0].decode().removeprefix("::ffff:"))
"""


class Server:
    """An echo server in a pod or on a node: `with Server(mesh, place, "tcp", 8080): ...`."""

    def __init__(self, mesh: Mesh, place: Node | Pod, kind: str, port: int) -> None:
        self._command = mesh.at(place)([sys.executable, "-c", _SERVER, kind, str(port)])
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Server":
        self._process = subprocess.Popen(
            self._command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        check(self._process.stdout.readline() == "ready\n", "the echo server doesn't start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def ask(mesh: Mesh, place: Node | Pod, kind: str, address: str, port: int, size: int = 100) -> str:
    """The client's address as the server sees it; "" and the reason printed if there is no answer."""
    timeout = max(4, round(4 * SLOW))
    result = run(
        mesh.at(place)([sys.executable, "-c", _CLIENT, kind, address, str(port), str(size), str(timeout)]),
        check=False,
        timeout=timeout + 10,
    )
    if result.returncode != 0:
        print(f"  {kind} {address}:{port}: {result.stderr.strip().splitlines()[-1:]}")
        return ""
    return result.stdout.strip()


def expect(mesh: Mesh, what: str, place: Node | Pod, kind: str, address: str, port: int) -> str:
    seen = ask(mesh, place, kind, address, port)
    check(seen != "", f"{what}: {kind} to {address}:{port} isn't answered")
    print(f"  {what}: {kind} to {address}:{port}, seen as {seen}")
    return seen


@dataclass(frozen=True)
class Service:
    """A cluster address, or with `node_port` alone any address of a node, in front of one pod."""

    port: int
    backend: str
    backend_port: int
    address: str = ""
    node_port: int = 0


def install(node: Node, services: list[Service], pods4: str, pods6: str) -> None:
    """Service addresses, node ports, hairpin and masquerade rules, and the drop of what is INVALID."""
    dnat, marks = [], []
    for service in services:
        six = ":" in service.backend
        family, nat = ("ip6", "ip6") if six else ("ip", "ip")
        target = f"[{service.backend}]" if six else service.backend
        to = f"dnat {nat} to {target}:{service.backend_port}"
        for protocol in ("tcp", "udp"):
            if service.address:
                dnat.append(f"{family} daddr {service.address} {protocol} dport {service.port} {to}")
                outside = f"{family} saddr != {CLUSTER6 if six else CLUSTER4}"
                hit = f"{family} daddr {service.address} {protocol} dport {service.port}"
                marks.append(f"{outside} {hit} meta mark set meta mark or {_MASQUERADE}")
                # Hairpin: a pod that reaches itself.
                marks.append(
                    f"{family} saddr {service.backend} {hit} meta mark set meta mark or {_MASQUERADE}"
                )
            if service.node_port:
                hit = f"meta nfproto {'ipv6' if six else 'ipv4'} fib daddr type local"
                hit += f" {protocol} dport {service.node_port}"
                marks.append(f"{hit} meta mark set meta mark or {_MASQUERADE}")
                dnat.append(f"{hit} {to}")
    services_rules = "\n".join(marks + dnat)
    rules = f"""
table inet kube {{
  chain services {{
    {services_rules}
  }}
  chain prerouting {{ type nat hook prerouting priority -100; jump services; }}
  chain output {{ type nat hook output priority -100; jump services; }}
  chain postrouting {{ type nat hook postrouting priority 100;
    meta mark and {_MASQUERADE} == {_MASQUERADE} masquerade
    ip saddr {pods4} ip daddr != {CLUSTER4} ip daddr != 224.0.0.0/4 masquerade
    ip6 saddr {pods6} ip6 daddr != {CLUSTER6} ip6 daddr != ff00::/8 masquerade
  }}
  chain forward {{ type filter hook forward priority 0;
    ct state invalid counter drop
  }}
}}
"""
    run(node.command(["nft", "-f", "-"]), stdin=rules)


def invalid_dropped(node: Node) -> int:
    text = node.run("nft", "list", "chain", "inet", "kube", "forward").stdout
    found = re.search(r"ct state invalid counter packets (\d+)", text)
    return int(found[1]) if found else -1


def conntrack_knows(node: Node, address: str) -> bool | None:
    """TCP or UDP of that IPv4 address; None where the kernel doesn't show (CONFIG_NF_CONNTRACK_PROCFS)."""
    table = node.run("cat", "/proc/net/nf_conntrack", check=False)
    if table.returncode != 0:
        print("  conntrack's table isn't shown by this kernel: not looked at")
        return None
    return any(f"={address} " in line and "icmp" not in line for line in table.stdout.splitlines())


def direct_counters(node: Node) -> dict[str, int]:
    counters = node.wglanctl_json("status")["steering"]["counters"]["direct"]
    return {name: int(count) for name, count in counters.items()}


def pod_hooks(node: Node) -> list[str]:
    """Devices with the program of direct mode."""
    attachments = node.wglanctl_json("status")["steering"]["attachments"]
    return sorted(a["interface"] for a in attachments if a["program"] == "wglan_pod_in")


def delivers(node: Node) -> bool:
    attachments = node.wglanctl_json("status")["steering"]["attachments"]
    return any(a["program"] == "wglan_tun_dir" for a in attachments)


def is_direct(node: Node, devices: list[str]) -> bool:
    return delivers(node) and set(devices) <= set(pod_hooks(node))


def wait_direct(node: Node, *devices: str) -> None:
    check(
        wait_until(lambda: is_direct(node, list(devices)), timeout=10),
        f"{node.name}: no direct mode for {devices}: {json.dumps(pod_hooks(node))}",
    )
