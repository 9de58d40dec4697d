# SPDX-License-Identifier: Apache-2.0
"""CNIs that carry pods' packets between nodes in tunnels of their own: flannel's VXLAN, Calico's IPIP."""

from lablib import Node
from lablib.shell import ip_batch, run, wait_until

from .cni import Cni, Fault, Wires, ip, ip_output, make_bridge, plug_into_bridge, sysctl
from .scenario import Mesh, check


class Vxlan:
    """A device without learning, whose daemon writes a route, a neighbour and a forwarding entry per node."""

    def __init__(self, device: str, six: bool, protocol: str) -> None:
        self.device, self.six, self.protocol = device, six, protocol

    def mac(self, node: Node) -> str:
        return f"0e:{'66' if self.six else '44'}:00:00:00:{node.number:02x}"

    def address(self, node: Node) -> str:
        """flannel's: the pod network's own."""
        there = node.addresses
        return (there.pod_prefix6 if self.six else there.pod_prefix4).split("/")[0]

    def outer(self, node: Node) -> str:
        return node.addresses.ipv6 if self.six else node.addresses.ipv4

    def prefix(self, node: Node) -> str:
        return node.addresses.pod_prefix6 if self.six else node.addresses.pod_prefix4

    def is_there(self, node: Node) -> bool:
        return run(["ip", "-n", node.namespace, "link", "show", self.device], check=False).returncode == 0

    def make(self, node: Node) -> None:
        length = 128 if self.six else 32
        ip_batch(
            [
                f"link add {self.device} address {self.mac(node)} mtu {1430 if self.six else 1450} type vxlan"
                f" id 1 dev eth0 local {self.outer(node)} dstport 8472 nolearning",
                f"addr add {self.address(node)}/{length} dev {self.device}{' nodad' if self.six else ''}",
            ],
            namespace=node.namespace,
        )

    def connect(self, node: Node, others: list[Node]) -> None:
        if not self.is_there(node):
            self.make(node)
        ip(node, "link", "set", self.device, "up")
        for other in others:
            to, mac = self.address(other), self.mac(other)
            ip(node, "neigh", "replace", to, "lladdr", mac, "dev", self.device, "nud", "permanent")
            fdb = ["bridge", "-n", node.namespace, "fdb", "replace", mac, "dev", self.device]
            run([*fdb, "dst", self.outer(other), "self", "permanent"])
            # The kernel refuses it as long as another device has a route to the next hop: one of the
            # agent's in the place of a dead one, which takes a moment to go. A daemon tries again.
            route = ["route", "replace", self.prefix(other), "via", to, "dev", self.device, "onlink"]
            check(
                wait_until(lambda route=route: self._is_routed(node, route), timeout=2, step=0.1),
                f"{node.name}: no route by {self.device} can be made",
            )

    def _is_routed(self, node: Node, route: list[str]) -> bool:
        family = "-6" if self.six else "-4"
        command = ["ip", "-n", node.namespace, family, *route, "proto", self.protocol]
        if run(command, check=False).returncode == 0:
            return True
        return self.device in ip_output(node, "route", "show", route[2])

    def forget_neighbours(self, node: Node, others: list[Node]) -> None:
        for other in others:
            ip(node, "neigh", "del", self.address(other), "dev", self.device)

    def forget_ends(self, node: Node, others: list[Node]) -> None:
        for other in others:
            run(["bridge", "-n", node.namespace, "fdb", "del", self.mac(other), "dev", self.device, "self"])


class Tunnelled(Cni):
    """With tunnel devices of its own."""

    tunnels: list[Vxlan]

    def connect(self, node: Node) -> None:
        for tunnel in self.tunnels:
            tunnel.connect(node, self.others(node))

    def tunnel_faults(self) -> dict[str, Fault]:
        def each(*action: str) -> Fault:
            def act(node: Node) -> None:
                for tunnel in self.tunnels:
                    ip(node, "link", action[0], tunnel.device, *action[1:])

            return act

        def forget_neighbours(node: Node) -> None:
            for tunnel in self.tunnels:
                tunnel.forget_neighbours(node, self.others(node))

        def forget_ends(node: Node) -> None:
            for tunnel in self.tunnels:
                tunnel.forget_ends(node, self.others(node))

        return {
            "tunnel device down": each("set", "down"),
            "tunnel device deleted": each("del"),
            "neighbour entries gone": forget_neighbours,
            "forwarding entries gone": forget_ends,
        }

    def faults(self) -> dict[str, Fault]:
        return super().faults() | self.tunnel_faults()


class Flannel(Tunnelled):
    """flannel's VXLAN back end, dual-stack: flannel.1 and flannel-v6.1, pods behind cni0."""

    name = "flannel VXLAN"
    pod_mtu = 1430

    def __init__(self, mesh: Mesh) -> None:
        self.tunnels = [Vxlan("flannel.1", False, "static"), Vxlan("flannel-v6.1", True, "static")]
        super().__init__(mesh)

    def install(self, node: Node) -> None:
        make_bridge(node, self.pod_mtu)

    def plug(self, node: Node, wires: Wires) -> None:
        plug_into_bridge(node, wires, self.pod_mtu)


class Calico(Tunnelled):
    """Calico with host-local IPAM: no bridge, a /32 and a /128 for each pod on cali*, proxy ARP, the node's
    own network blackholed. IPIP between nodes for IPv4 and plain routes for IPv6, or VXLAN for both where the
    kernel has no IPIP."""

    protocol = "bird"
    device_prefix = "cali"
    pod_mtu = 1430
    _GATEWAY4, _GATEWAY6 = "169.254.1.1", "fe80::ecee:eeff:feee:eeee"

    def __init__(self, mesh: Mesh) -> None:
        self.ipip = kernel_has_ipip()
        self.name = "Calico IPIP" if self.ipip else "Calico VXLAN"
        self.tunnels = (
            []
            if self.ipip
            else [Vxlan("vxlan.calico", False, "bird"), Vxlan("vxlan-v6.calico", True, "bird")]
        )
        super().__init__(mesh)

    def install(self, node: Node) -> None:
        there = node.addresses
        if self.ipip:
            # The module makes tunl0 in every namespace.
            run(["ip", "-n", node.namespace, "link", "add", "tunl0", "type", "ipip"], check=False)
            ip_batch(
                ["link set tunl0 mtu 1480 up", f"addr add {there.pod_gateway4}/32 dev tunl0"],
                namespace=node.namespace,
            )
        ip_batch(
            [f"route add blackhole {prefix} proto bird" for prefix in (there.pod_prefix4, there.pod_prefix6)],
            namespace=node.namespace,
        )

    def connect(self, node: Node) -> None:
        super().connect(node)
        if not self.ipip:
            return
        ip(node, "link", "set", "tunl0", "up")
        for other in self.others(node):
            there = other.addresses
            ip(
                node, "route", "replace", there.pod_prefix4, "via", there.ipv4, "dev", "tunl0", "onlink",
                "proto", "bird",
            )  # fmt: skip
            ip(node, "route", "replace", there.pod_prefix6, "via", there.ipv6, "dev", "eth0", "proto", "bird")

    def plug(self, node: Node, wires: Wires) -> None:
        ip_batch(
            [
                f"link add {wires.device} address ee:ee:ee:ee:ee:ee mtu {self.pod_mtu} type veth"
                f" peer name eth0 mtu {self.pod_mtu} netns {wires.namespace}",
                f"link set {wires.device} up",
                f"route add {wires.ipv4}/32 dev {wires.device} scope link",
                f"route add {wires.ipv6}/128 dev {wires.device}",
            ],
            namespace=node.namespace,
        )
        path = f"net__ipv4__conf__{wires.device}"
        sysctl(node, **{f"{path}__proxy_arp": 1, f"net__ipv4__neigh__{wires.device}__proxy_delay": 0})
        ip_batch(
            [
                "link set eth0 up",
                f"addr add {wires.ipv4}/32 dev eth0",
                f"addr add {wires.ipv6}/128 dev eth0 nodad",
                f"route add {self._GATEWAY4} dev eth0 scope link",
                f"route add default via {self._GATEWAY4} dev eth0",
                f"route add default via {self._GATEWAY6} dev eth0",
            ],
            namespace=wires.namespace,
        )

    def faults(self) -> dict[str, Fault]:
        if not self.ipip:
            return super().faults()
        down: Fault = lambda node: ip(node, "link", "set", "tunl0", "down")  # noqa: E731
        return Cni.faults(self) | {"tunnel device down": down}

    def spared(self, fault: str) -> list[str]:
        # With IPIP, IPv6 goes by plain routes.
        return ["6"] if self.ipip and fault == "tunnel device down" else []


def kernel_has_ipip() -> bool:
    """The module leaves a device in every namespace."""
    run(["modprobe", "ipip"], check=False)
    look = "ip link show tunl0 || ip link add tunl0 type ipip"
    return run(["unshare", "--net", "sh", "-c", look], check=False).returncode == 0

