# SPDX-License-Identifier: Apache-2.0
"""What happens to hosts and their networks: addresses, cables, routes, filters, reboots."""

import json
from collections.abc import Sequence
from typing import Any

from .lab import Lab
from .network import set_sysctls
from .node import Node
from .shell import ip_batch, run


def set_addresses(node: Node, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """In one go, as a DHCP client does it that got another lease."""
    lines = [f"addr del {address} dev eth0" for address in remove]
    lines += [f"addr add {address} dev eth0{' nodad' if ':' in address else ''}" for address in add]
    ip_batch(lines, namespace=node.namespace)


def cut(lab: Lab, node: Node) -> None:
    """Its cable leads nowhere; its own device notices nothing."""
    run(["ip", "-n", lab.layout.underlay, "link", "set", node.name, "nomaster"])


def mend(lab: Lab, node: Node, bridge: str = "br0") -> None:
    run(["ip", "-n", lab.layout.underlay, "link", "set", node.name, "master", bridge])


def unplug(lab: Lab, node: Node) -> None:
    """Its device loses the carrier."""
    run(["ip", "-n", lab.layout.underlay, "link", "set", node.name, "down"])


def plug_in(lab: Lab, node: Node) -> None:
    run(["ip", "-n", lab.layout.underlay, "link", "set", node.name, "up"])


def link_down(node: Node) -> None:
    run(["ip", "-n", node.namespace, "link", "set", "eth0", "down"])


def link_up(node: Node) -> None:
    """With the IPv6 address, which the kernel takes away with the link and a network manager gives back."""
    ip_batch(
        ["link set eth0 up", f"addr replace {node.addresses.ipv6}/64 dev eth0 nodad"],
        namespace=node.namespace,
    )


def drop(node: Node, rule: str, *, hook: str = "prerouting") -> None:
    """An nftables match whose packets vanish; before conntrack and any guard's answer to them."""
    node.run(
        "nft",
        f"add table inet lost; add chain inet lost {hook} {{ type filter hook {hook} priority -500; }};"
        f"add rule inet lost {hook} {rule} drop",
    )


def drop_nothing(node: Node) -> None:
    node.run("nft", "delete", "table", "inet", "lost", check=False)


def power_off(node: Node) -> None:
    """What a reboot takes from a host: processes, devices, programs, routes."""
    node.agent_kill()
    node.run("ip", "link", "del", "wglan0", check=False)
    node.run("sh", "-c", "rm -rf /sys/fs/bpf/wglan")
    for family in ("-4", "-6"):
        node.run("ip", family, "route", "flush", "proto", "119", check=False)


def wipe_state(node: Node) -> None:
    """A new disk: another key, another identity."""
    node.run("sh", "-c", "rm -rf /var/lib/wglan/*")


def configure(node: Node, operations: list[dict[str, Any]]) -> None:
    """Adds to the node's own configuration patch, in one step."""
    fresh = node.patch.with_suffix(".new")
    fresh.write_text(json.dumps(json.loads(node.patch.read_text()) + operations))
    fresh.rename(node.patch)


def add_network(lab: Lab, name: str, gateway: str) -> None:
    """One more bridge; the underlay routes between those that have a gateway's address."""
    namespace = lab.layout.underlay
    ip_batch(
        [f"link add {name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0", f"link set {name} up"],
        namespace=namespace,
    )
    set_gateway(lab, name, gateway)


def set_gateway(lab: Lab, bridge: str, gateway: str) -> None:
    namespace = lab.layout.underlay
    set_sysctls(namespace, {"net/ipv4/ip_forward": 1, "net/ipv4/conf/all/rp_filter": 0})
    set_sysctls(namespace, {f"net/ipv4/conf/{bridge}/rp_filter": 0})
    ip_batch([f"addr add {gateway} dev {bridge}"], namespace=namespace)


def add_uplink(lab: Lab, node: Node, device: str, bridge: str, address: str) -> None:
    """A second device of the node, on that bridge."""
    port = f"{node.name}-{device}"
    ip_batch(
        [
            f"link add {port} type veth peer name {device} netns {node.namespace}",
            f"link set {port} master {bridge} up",
        ],
        namespace=lab.layout.underlay,
    )
    ip_batch([f"link set {device} up", f"addr add {address} dev {device}"], namespace=node.namespace)
