# SPDX-License-Identifier: Apache-2.0
"""Headers that are out of the ordinary: marks that somebody clears, options, extension headers."""

import json
import re
import sys
import time

from lablib import Node, Pod
from lablib.capture import WIREGUARD
from lablib.shell import ip_batch, run

from ..scenario import Mesh, check, eventually, scenario
from .carry import tcp_transfer

_SCRUB = """
table inet scrub {
  chain output { type route hook output priority -140; policy accept; meta mark set 0; }
  chain postrouting { type filter hook postrouting priority -140; policy accept; meta mark set 0; }
}
"""

# Prints the path's MTU as the socket sees it after a few datagrams that mustn't be fragmented.
_LEARN = """
import socket, sys, time
address, headers, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
six = ":" in address
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
if six:
    s.setsockopt(socket.IPPROTO_IPV6, 23, 2)  # IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO
    if headers:
        # An option that whoever doesn't know it skips (RFC 4727).
        option = bytes([0, headers // 8 - 1, 0x1e, headers - 4]) + bytes(headers - 4)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, option)
else:
    s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
    if headers:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1] * headers))
s.connect((address, 9))
for _ in range(5):
    try:
        s.send(bytes(length - headers))
    except OSError:
        pass
    time.sleep(0.1)
print(s.getsockopt(socket.IPPROTO_IPV6, 24) if six else s.getsockopt(socket.IPPROTO_IP, 14))
"""


@scenario(core=True)
def scrubbed_marks_cause_no_loop(mesh: Mesh) -> None:
    """Somebody's rules clear every mark: WireGuard's packets are known by port and endpoint, whole or in pieces."""
    one, two = mesh.nodes
    pods = {node.name: mesh.pod(node) for node in mesh.nodes}
    for node in mesh.nodes:
        run(node.command(["nft", "-f", "-"]), stdin=_SCRUB)
    for mtu in (1500, 1300):
        for node in mesh.nodes:
            ip_batch([f"link set eth0 mtu {mtu}"], namespace=node.namespace)
        eventually(lambda: _mtu(one) == max(1280, mtu - 80), f"wglan0's MTU is {_mtu(one)}", timeout=5)  # noqa: B023
        with mesh.capture(f"underlay{mtu}") as capture:
            for source, address in (
                (one, two.addresses.ipv4),
                (one, two.addresses.ipv6),
                (pods["node1"], pods["node2"].ipv4),
                (pods["node1"], pods["node2"].ipv6),
            ):
                mesh.expect_ping(source, address)
                # Larger than one packet of the underlay: pieces inside, and outside where the tunnel's is.
                big = ["ping", "-n", "-c", "10", "-i", "0.05", "-W", "2", "-M", "dont", "-s", "2500", address]
                said = run(mesh.at(source)(big), check=False).stdout
                received = re.search(r"(\d+) received", said)
                # IPv6 loses one each way until both ends know the path's MTU.
                check(received is not None and int(received[1]) >= 7, f"MTU {mtu}: {said}")
        summary = capture.summary()
        print(f"MTU {mtu}:", *summary.lines(), sep="\n")
        check(not summary.foreign, f"in clear on the underlay: {dict(summary.foreign)}")
        # 104 packets of pings, in up to three pieces each way, and those again outside.
        check(summary.allowed[WIREGUARD] < 2000, f"packets go round: {summary.allowed}")


def _mtu(node: Node) -> int:
    return int(json.loads(node.run("ip", "-j", "link", "show", "wglan0").stdout)[0]["mtu"])


@scenario(core=True)
def path_mtu_is_learned_whatever_the_headers(mesh: Mesh) -> None:
    """IPv4 options, IPv6 hop-by-hop options: the answer to what is too big still finds its socket. It does so as well
    where the device on the way back would fill in the checksum that the packet was still to get."""
    one, two = mesh.nodes
    pod = mesh.pod(one)
    for source in (one, pod):
        _learn(mesh, source, two, (0, 4, 40), (0, 8, 16, 64, 104))
    for device in json.loads(one.run("ip", "-j", "link", "show", "type", "veth").stdout):
        one.run("ethtool", "-K", device["ifname"], "tx", "off")
    _learn(mesh, pod, two, (0, 40), (0, 104))
    dropped = one.wglanctl_json("status")["steering"]["counters"]["dropped"]
    check(dropped["too_big"] == 0, f"not answered: {dropped}")


def _learn(mesh: Mesh, source: Node | Pod, to: Node, *options: tuple[int, ...]) -> None:
    """`options`: lengths of IPv4's, and of IPv6's."""
    mtu = int(mesh.nodes[0].wglanctl_json("status")["node"]["mtu"])
    for address, minimum, lengths in zip((to.addresses.ipv4, to.addresses.ipv6), (28, 48), options, strict=True):
        for length in lengths:
            # Learned for the address, not for the socket: each time anew.
            family = "-6" if ":" in address else "-4"
            run(mesh.at(source)(["ip", family, "route", "flush", "cache"]), check=False)
            time.sleep(0.05)
            learn = [sys.executable, "-c", _LEARN, address, str(length), str(1500 - minimum)]
            learned = run(mesh.at(source)(learn)).stdout.strip()
            print(f"  {source.name} to {address} with {length} bytes of options: {learned}")
            check(learned == str(mtu), f"{length} bytes of options to {address}: the path's MTU is {learned}")


@scenario()
def tunnels_of_others_carry_large_packets(mesh: Mesh) -> None:
    """A tunnel between two nodes that forbids fragments, whose device may fill in checksums and cut segments."""
    one, two = mesh.nodes
    made = []
    for number, (kind, local) in enumerate(_TUNNELS):
        command = f"ip link add t{number} type {kind}"
        if all(_tunnel(node, other, command, local, number) for node, other in ((one, two), (two, one))):
            made.append(number)
        else:
            print(f"  this kernel has no {kind}")
    check(bool(made), "no tunnel can be made")
    time.sleep(1)  # duplicate address detection
    with mesh.capture() as capture:
        for number in made:
            addresses = [f"198.51.{100 + number}.2", f"fd51:{number}::2"]
            for address in addresses[: 1 if _TUNNELS[number][0] == "ipip" else 2]:
                mesh.expect_ping(one, address)
                tcp_transfer(mesh, one, two, address)
                print(f"  {_TUNNELS[number][0]}: TCP to {address}")
    check(not (summary := capture.summary()).foreign, f"in clear on the underlay: {dict(summary.foreign)}")


# What `ip link add` is told, and the family outside.
_TUNNELS = (
    ("vxlan id 7 dstport 4789 df set", 4),
    ("vxlan id 8 dstport 4790", 6),
    ("gretap", 4),
    ("ipip", 4),
    ("geneve id 9 df set", 4),
)


def _tunnel(node: Node, other: Node, command: str, family: int, number: int) -> bool:
    """False: the kernel doesn't know the kind."""
    own, far = (
        (node.addresses.ipv4, other.addresses.ipv4) if family == 4 else (node.addresses.ipv6, other.addresses.ipv6)
    )
    place = f"remote {far}" if "geneve" in command else f"local {own} remote {far}"
    if node.run(*command.split(), *place.split(), check=False).returncode != 0:
        return False
    side = 1 if node.name == "node1" else 2
    commands = [f"link set t{number} mtu 1450 up", f"addr add 198.51.{100 + number}.{side}/24 dev t{number}"]
    if "ipip" not in command:
        commands.append(f"addr add fd51:{number}::{side}/64 dev t{number} nodad")
    ip_batch(commands, namespace=node.namespace)
    return True
