# SPDX-License-Identifier: Apache-2.0
"""What a NAT does, found out with plain UDP sockets and named as RFC 4787 does."""

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lablib import Lab
from lablib.namespaces import inside
from lablib.shell import SLOW

from . import nat
from .nat import WIREGUARD

_WAIT = 0.3 * SLOW  # seconds; what passes at all passes in microseconds


@dataclass(frozen=True)
class Behaviour:
    mapping: str  # "none", "endpoint-independent", "address-dependent", "address-and-port-dependent", "blocked"
    filtering: str
    hairpins: bool


def _open(namespace: str, address: str, port: int) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, port))
        made.settimeout(_WAIT)
        return made

    return inside(namespace, make)


def _source_of(sender: socket.socket, receiver: socket.socket, to: tuple[str, int]) -> tuple[str, int] | None:
    """Where the receiver sees the sender; None: nothing came."""
    token = secrets.token_bytes(16)
    try:
        sender.sendto(token, to)
        while True:
            data, source = receiver.recvfrom(64)
            if data == token:
                return str(source[0]), int(source[1])
    except OSError:  # timed out, or the NAT said that it is prohibited
        return None


def observe(namespace: str, address: str, outside: Sequence[tuple[str, str]]) -> Behaviour:
    """`namespace`, `address`: the host behind the NAT; `outside`: two public hosts, the first may be reached.

    Uses the port that WireGuard has, which must be free.
    """
    (first_ns, first), (second_ns, second) = outside
    with (
        _open(namespace, address, WIREGUARD) as host,
        _open(namespace, address, WIREGUARD + 1) as other,
        _open(first_ns, first, 40001) as first_a,
        _open(first_ns, first, 40002) as first_b,
        _open(second_ns, second, 40001) as second_a,
    ):
        seen = _source_of(host, first_a, (first, 40001))
        if seen is None:
            return Behaviour("blocked", "blocked", False)
        # Filtering first: the host has sent to nobody else yet.
        same_address = _source_of(first_b, host, seen) is not None
        other_address = _source_of(second_a, host, seen) is not None
        by_port = _source_of(host, first_b, (first, 40002))
        by_address = _source_of(host, second_a, (second, 40001))
        if by_address is None:
            mapping = "blocked"
        elif seen == by_port == by_address:
            mapping = "none" if seen == (address, WIREGUARD) else "endpoint-independent"
        else:
            mapping = "address-dependent" if seen == by_port else "address-and-port-dependent"
        filtering = (
            "endpoint-independent"
            if other_address
            else "address-dependent"
            if same_address
            else "address-and-port-dependent"
        )
        hairpins = mapping != "none" and _source_of(other, host, seen) is not None
        return Behaviour(mapping, filtering, hairpins)


# By kind, and by RFC 4787's names.
EXPECTED = {
    nat.NONE: Behaviour("none", "endpoint-independent", False),
    nat.FULL_CONE: Behaviour("endpoint-independent", "endpoint-independent", False),
    nat.ADDRESS_RESTRICTED: Behaviour("endpoint-independent", "address-dependent", False),
    nat.PORT_RESTRICTED: Behaviour("endpoint-independent", "address-and-port-dependent", False),
    nat.SYMMETRIC: Behaviour("address-and-port-dependent", "address-and-port-dependent", False),
    nat.SYMMETRIC_RANDOM: Behaviour("address-and-port-dependent", "address-and-port-dependent", False),
    nat.DOUBLE: Behaviour("endpoint-independent", "address-and-port-dependent", False),
    nat.SHARED: Behaviour("endpoint-independent", "address-and-port-dependent", False),
    # Independent of the endpoint, but for those that sent first.
    nat.PLAIN: Behaviour("address-and-port-dependent", "address-and-port-dependent", False),
    nat.PLAIN_DOUBLE: Behaviour("address-and-port-dependent", "address-and-port-dependent", False),
    nat.BLOCKED: Behaviour("blocked", "address-and-port-dependent", False),
}


def wrong_kinds_in(lab: Lab) -> list[str]:
    """Of a lab with one node a kind and one more, which is public; what isn't as it should be, in words."""
    *inside_nodes, exposed = lab.nodes.values()
    outside = [
        (exposed.namespace, exposed.addresses.ipv4),
        (lab.layout.discovery, lab.discovery.addresses.ipv4),
    ]
    wrong = []
    for node, (kind, expected) in zip(inside_nodes, EXPECTED.items(), strict=True):
        place = nat.put_behind(lab, node, kind, reach=exposed.addresses.ipv4)
        for moment in ("", ", after a reboot"):
            found = observe(node.namespace, place.address, outside)
            if found != expected:
                wrong.append(f"{kind.name}{moment}: {found}, and not {expected}")
            if not place.routers:
                break
            place.reboot(f"192.0.2.{150 + node.number}")
    return wrong


def wrong_kinds(name: str, *, programs: Path | None) -> list[str]:
    try:
        return wrong_kinds_in(Lab.create(name, nodes=len(EXPECTED) + 1, programs=programs))
    finally:
        Lab.destroy(name)
