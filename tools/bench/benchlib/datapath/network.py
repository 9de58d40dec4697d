# SPDX-License-Identifier: Apache-2.0
"""Namespaces of one run, and the destinations that all methods steer."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

from lablib.namespaces import inside
from lablib.shell import ip_batch, run

MTU = 1420
POD4, POD6 = "10.9.0.2", "fd09::2"
ALL4, ALL6 = "20.0.0.0/6", "fd20::/16"
_SLOTS = 1 << 17


def _slot(number: int) -> int:
    return (number * 40503 + 12289) % _SLOTS


def prefix4(number: int) -> str:
    """As in datapath_worker/bench.h."""
    return f"{ipaddress.IPv4Address(0x14000000 + (_slot(number) << 9))}/24"


def prefix6(number: int) -> str:
    slot = _slot(number)
    return f"fd20:{slot >> 15:x}:{slot << 1 & 0xFFFF:x}::/48"


def prefixes(count: int) -> tuple[list[str], list[str]]:
    return [prefix4(number) for number in range(count)], [prefix6(number) for number in range(count)]


class Spaces:
    """Makes network namespaces whose names start alike, and removes all of them."""

    def __init__(self, name: str) -> None:
        self._prefix = f"wglan-{name}-"

    def add(self, name: str) -> str:
        space = self._prefix + name
        run(["ip", "netns", "add", space])
        ip_batch(["link set lo up"], namespace=space)
        return space

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            run(["ip", "netns", "del", name], check=False)

    def remove_all(self) -> None:
        listed = run(["ip", "netns", "list"], check=False).stdout.splitlines()
        self.remove([line.split()[0] for line in listed if line.startswith(self._prefix)])


def set_sysctls(space: str, values: Mapping[str, int], *, missing_is_fine: bool = False) -> None:
    def write() -> None:
        for name, value in values.items():
            path = Path("/proc/sys") / name
            if path.exists() or not missing_is_fine:
                path.write_text(str(value))

    inside(space, write)


FORWARDING = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
}
"""To be set before there are devices: they take what is the default then."""


def connect_pod(host: str, pod: str) -> None:
    """A pod behind a veth with host routes, as several CNIs do it; nobody has to ask for a neighbour."""
    host_mac, pod_mac = "02:00:00:00:01:01", "02:00:00:00:01:02"
    set_sysctls(pod, {"net/ipv4/conf/all/rp_filter": 0, "net/ipv4/conf/default/rp_filter": 0})
    ip_batch(
        [
            f"link add pod0 address {host_mac} type veth peer name eth0 address {pod_mac} netns {pod}",
            "link set pod0 up",
        ],
        namespace=host,
    )
    ip_batch(
        [
            "link set eth0 up",
            f"address add {POD4}/32 dev eth0",
            f"address add {POD6}/128 dev eth0 nodad",
            f"neighbour add 169.254.1.1 lladdr {host_mac} dev eth0 nud permanent",
            f"neighbour add fe80::1 lladdr {host_mac} dev eth0 nud permanent",
            "route add 169.254.1.1 dev eth0 scope link",
            "route add default via 169.254.1.1 dev eth0",
            "route add ::/0 via fe80::1 dev eth0",
        ],
        namespace=pod,
    )
    ip_batch(
        [
            f"neighbour add {POD4} lladdr {pod_mac} dev pod0 nud permanent",
            f"neighbour add {POD6} lladdr {pod_mac} dev pod0 nud permanent",
            f"route add {POD4}/32 dev pod0",
            f"route add {POD6}/128 dev pod0",
        ],
        namespace=host,
    )


def nft(space: str, rules: str) -> None:
    run(["ip", "netns", "exec", space, "nft", "-f", "-"], stdin=rules, timeout=300)
