# SPDX-License-Identifier: Apache-2.0
"""What CNIs make of a node: devices, addresses, routes and table entries as the real ones leave them.

Each model is installed on all nodes of a mesh before the agents start, makes its pods, and knows how its
way between nodes breaks (`faults`) and how its daemon would put it back (`mend`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from lablib import Node, Pod, network
from lablib.layout import NodeAddresses
from lablib.node import FIRST_POD
from lablib.shell import ip_batch, run

from .scenario import Mesh

Fault = Callable[[Node], None]
ROUTER = 254


@dataclass(frozen=True)
class Wires:
    """A pair of devices: the node's end, and the pod's namespace."""

    device: str
    namespace: str
    ipv4: str
    ipv6: str


class Cni:
    """One CNI on all nodes."""

    name = ""
    pod_mtu = 1500

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._pods: dict[tuple[str, str], Pod] = {}
        self.router = make_router(mesh)
        for node in mesh.nodes:
            self.install(node)
        for node in mesh.nodes:
            self.connect(node)

    # --- what a model is ------------------------------------------------------------------------

    def install(self, node: Node) -> None:
        """Devices and addresses of one node."""

    def connect(self, node: Node) -> None:
        """The way to the other nodes; done again, it mends whatever is missing."""
        raise NotImplementedError

    def plug(self, node: Node, wires: Wires) -> None:
        """A pod's network: its namespace is there, and nothing in it."""
        raise NotImplementedError

    def faults(self) -> dict[str, Fault]:
        """Ways in which the path between nodes breaks, on one node."""
        return {"route gone": self.drop_routes, "blackhole route": self.blackhole_routes}

    def spared(self, fault: str) -> list[str]:
        """Families ("4", "6") of pod prefixes that the fault leaves reachable by the CNI."""
        return []

    def mend(self, node: Node) -> None:
        """What the CNI's daemon does when it is back."""
        for other in self.others(node):
            for prefix in (other.addresses.pod_prefix4, other.addresses.pod_prefix6):
                # By its protocol: IPv6 looks at nothing else, and would take the first it finds.
                if "blackhole" in ip_output(node, "route", "show", prefix, "proto", self.protocol):
                    ip(node, "route", "del", "blackhole", prefix, "proto", self.protocol)
        self.connect(node)

    # --- for all ----------------------------------------------------------------------------------

    def others(self, node: Node) -> list[Node]:
        return [other for other in self.mesh.nodes if other is not node]

    def pod(self, node: Node, name: str) -> Pod:
        """The pod of that name, made now if there is none."""
        if (node.name, name) not in self._pods:
            index = FIRST_POD + sum(1 for where, _ in self._pods if where == node.name)
            wires = Wires(
                f"{self.device_prefix}{index}",
                self.mesh.lab.layout.pod_namespace(node.name, name),
                node.addresses.pod4(index),
                node.addresses.pod6(index),
            )
            run(["ip", "netns", "add", wires.namespace])
            network.set_sysctls(
                wires.namespace,
                {f"net/ipv6/conf/{which}/accept_dad": 0 for which in ("all", "default")}
                | {"net/ipv6/conf/default/accept_ra": 0},
            )
            ip_batch(["link set lo up"], namespace=wires.namespace)
            self.plug(node, wires)
            self._pods[node.name, name] = Pod(
                node.name, name, wires.namespace, wires.device, wires.ipv4, wires.ipv6
            )
        return self._pods[node.name, name]

    device_prefix = "veth"

    def drop_routes(self, node: Node) -> None:
        for other in self.others(node):
            for prefix in (other.addresses.pod_prefix4, other.addresses.pod_prefix6):
                ip(node, "route", "del", prefix, "proto", self.protocol)

    def blackhole_routes(self, node: Node) -> None:
        for other in self.others(node):
            ip(node, "route", "replace", "blackhole", other.addresses.pod_prefix4, "proto", self.protocol)
            # IPv6 doesn't replace a route of one type by one of another.
            ip(node, "route", "del", other.addresses.pod_prefix6, "proto", self.protocol)
            ip(node, "route", "add", "blackhole", other.addresses.pod_prefix6, "proto", self.protocol)

    protocol = "static"


def make_router(mesh: Mesh) -> Pod:
    """A host on the underlay that is no node, and every node's default gateway."""
    there = NodeAddresses(ROUTER)
    layout = mesh.lab.layout
    namespace = layout.pod_namespace(mesh.nodes[0].name, "router")  # goes with the lab, as a pod's does
    network.make_host(layout, namespace, "router", mac=there.mac, ipv4=there.ipv4, ipv6=there.ipv6)
    for node in mesh.nodes:
        ip(node, "route", "add", "default", "via", there.ipv4)
        ip(node, "-6", "route", "add", "default", "via", there.ipv6)
    return Pod(mesh.nodes[0].name, "router", namespace, "router", there.ipv4, there.ipv6)


def ip(node: Node, *words: str, check: bool = True) -> None:
    family = ["-6"] if any(":" in word and "/" in word for word in words) and words[0] == "route" else []
    run(["ip", "-n", node.namespace, *family, *words], check=check)


def ip_output(node: Node, *words: str) -> str:
    family = ["-6"] if any(":" in word and "/" in word for word in words) else []
    return run(["ip", "-n", node.namespace, *family, *words]).stdout


def sysctl(node: Node, **values: int) -> None:
    """Of the node; names with `__` for slashes."""
    network.set_sysctls(node.namespace, {name.replace("__", "/"): value for name, value in values.items()})


class Bridge(Cni):
    """kubenet, or the bridge plugin with host-gw routes: pods behind cni0, the other nodes as gateways."""

    name = "bridge + host-gw"

    def install(self, node: Node) -> None:
        make_bridge(node, self.pod_mtu)

    def connect(self, node: Node) -> None:
        route_by_nodes(node, self.others(node))

    def plug(self, node: Node, wires: Wires) -> None:
        plug_into_bridge(node, wires, self.pod_mtu)


def route_by_nodes(node: Node, others: list[Node]) -> None:
    """host-gw: each node is the next hop to its pods."""
    for other in others:
        there = other.addresses
        ip(node, "route", "replace", there.pod_prefix4, "via", there.ipv4, "dev", "eth0", "proto", "static")
        ip(node, "route", "replace", there.pod_prefix6, "via", there.ipv6, "dev", "eth0", "proto", "static")


def make_bridge(node: Node, mtu: int) -> None:
    """As the bridge plugin with isGateway; its MAC stays what it is when ports come and go."""
    there = node.addresses
    ip_batch(
        [
            f"link add cni0 address 0a:58:0a:f4:{node.number:02x}:01 mtu {mtu} type bridge",
            "link set cni0 up",
            f"addr add {there.pod_gateway4}/24 dev cni0",
            f"addr add {there.pod_gateway6}/64 dev cni0 nodad",
        ],
        namespace=node.namespace,
    )


def plug_into_bridge(node: Node, wires: Wires, mtu: int) -> None:
    ip_batch(
        [
            f"link add {wires.device} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {wires.namespace}",
            f"link set {wires.device} master cni0 up",
            f"link set {wires.device} type bridge_slave hairpin on",
        ],
        namespace=node.namespace,
    )
    there = node.addresses
    ip_batch(
        [
            "link set eth0 up",
            f"addr add {wires.ipv4}/24 dev eth0",
            f"addr add {wires.ipv6}/64 dev eth0 nodad",
            f"route add default via {there.pod_gateway4}",
            f"route add default via {there.pod_gateway6}",
        ],
        namespace=wires.namespace,
    )


class Ptp(Cni):
    """The ptp plugin: a /32 for each pod on its own veth, no bridge; the other nodes as gateways."""

    name = "ptp"

    def connect(self, node: Node) -> None:
        route_by_nodes(node, self.others(node))

    def plug(self, node: Node, wires: Wires) -> None:
        there = node.addresses
        ip_batch(
            [
                f"link add {wires.device} type veth peer name eth0 netns {wires.namespace}",
                f"link set {wires.device} up",
                f"addr add {there.pod_gateway4}/32 dev {wires.device}",
                f"addr add {there.pod_gateway6}/128 dev {wires.device} nodad",
                f"route add {wires.ipv4}/32 dev {wires.device}",
                f"route add {wires.ipv6}/128 dev {wires.device}",
            ],
            namespace=node.namespace,
        )
        ip_batch(
            [
                "link set eth0 up",
                f"addr add {wires.ipv4}/24 dev eth0 noprefixroute",
                f"addr add {wires.ipv6}/64 dev eth0 nodad noprefixroute",
                f"route add {there.pod_gateway4}/32 dev eth0 scope link src {wires.ipv4}",
                f"route add {there.pod_prefix4} via {there.pod_gateway4} dev eth0 src {wires.ipv4}",
                f"route add default via {there.pod_gateway4} dev eth0",
                f"route add {there.pod_gateway6}/128 dev eth0",
                f"route add {there.pod_prefix6} via {there.pod_gateway6} dev eth0",
                f"route add default via {there.pod_gateway6} dev eth0",
            ],
            namespace=wires.namespace,
        )
