# SPDX-License-Identifier: Apache-2.0
"""A home router: a node's network behind it is private, and nftables translates."""

from lablib import network
from lablib.layout import NodeAddresses
from lablib.node import Node
from lablib.shell import ip_batch, run

from .scenario import Mesh

_INSIDE = "192.168.7"


class Router:
    """Stands between a node and the underlay from now on; the node keeps no address of the underlay."""

    def __init__(self, mesh: Mesh, node: Node, number: int = 203) -> None:
        layout = mesh.lab.layout
        self.outside = NodeAddresses(number).ipv4
        self.inside = f"{_INSIDE}.2"
        self.namespace = f"{node.namespace}-router"  # goes with the lab, as a pod's does
        underlay = layout.underlay
        run(["ip", "netns", "add", self.namespace])
        network.set_sysctls(
            self.namespace,
            {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/disable_ipv6": 1},
        )
        port = f"r{number}"
        ip_batch(
            [
                f"link add {port} type veth peer name wan netns {self.namespace}",
                f"link set {port} master br0 up",
                f"link set {node.name} nomaster",
                f"link set {node.name} netns {self.namespace} name lan",
            ],
            namespace=underlay,
        )
        ip_batch(
            [
                f"addr add {self.outside}/24 dev wan",
                f"addr add {_INSIDE}.1/24 dev lan",
                "link set lo up",
                "link set wan up",
                "link set lan up",
            ],
            namespace=self.namespace,
        )
        node.run("ip", "addr", "flush", "dev", "eth0")
        node.run("ip", "addr", "add", f"{self.inside}/24", "dev", "eth0")
        node.run("ip", "route", "add", "default", "via", f"{_INSIDE}.1")

    def translate(self, how: str, *, forward: int | None = None) -> None:
        """`how` follows `masquerade`; forward: this UDP port goes inside. All mappings are new afterwards."""
        rules = [
            "flush ruleset",
            "table ip nat {",
            "  chain out { type nat hook postrouting priority srcnat;"
            f' ip saddr {_INSIDE}.0/24 oifname "wan" masquerade {how}; }}',
        ]
        if forward is not None:
            rules.append(
                "  chain in { type nat hook prerouting priority dstnat;"
                f' iifname "wan" udp dport {forward} dnat to {self.inside}; }}'
            )
        rules += [
            "}",
            # As routers do: what nobody asked for is dropped, and leaves no flow behind that would take the
            # port away from the node's own.
            "table ip filter {",
            '  chain in { type filter hook input priority 0; iifname "wan" drop; }',
            "}",
        ]
        run(["ip", "netns", "exec", self.namespace, "nft", "-f", "-"], stdin="\n".join(rules) + "\n")
        # A masquerading host forgets the flows of a device that goes down.
        ip_batch(["link set wan down", "link set wan up"], namespace=self.namespace)

