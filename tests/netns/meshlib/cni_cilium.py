# SPDX-License-Identifier: Apache-2.0
"""A CNI whose programs carry the packets, as Cilium in tunnel mode with endpoint routes and TCX links: from
pods and from the host into one VXLAN device by metadata, and counting at the node's device.

Run as a program (`cni_cilium.py`) it is the daemon of one node: it reads lines from standard input
(`encapsulate|overlay|count DEVICE ingress|egress`, `remotes JSON`, `counts`), answers each with one, and its
programs go when it ends.
"""

import ipaddress
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import meshlib  # noqa: F401  puts tools/ on the path

    from meshlib import hooks
    from meshlib.hooks import Assembly
else:
    from lablib import Node
    from lablib.shell import ip_batch, run

    from .cni import Cni, Fault, Wires, ip, sysctl
    from .scenario import Mesh, Skipped, check

_LOAD_BYTES, _SET_TUNNEL_KEY, _REDIRECT, _CHANGE_TYPE = 26, 21, 23, 32  # linux/bpf.h
_PROTOCOL = 16  # offset in struct __sk_buff
_IPV4, _IPV6 = 0x0008, 0xDD86  # as they stand there
_VNI = 2


class Daemon:
    """Programs of one node."""

    def __init__(self) -> None:
        self._remotes: list[tuple[str, str, str]] = []  # IPv4 and IPv6 prefix, the node's IPv4 address
        self._counters: dict[str, int] = {}

    def serve(self) -> None:
        for line in sys.stdin:
            words = line.split(maxsplit=1)
            if words[0] == "remotes":
                self._remotes = json.loads(words[1])
                print("ok", flush=True)
            elif words[0] == "counts":
                counts = {name: hooks.read_counter(fd) for name, fd in self._counters.items()}
                print(json.dumps(counts), flush=True)
            else:
                device, hook = words[1].split()
                print(self._attach(words[0], device, hook), flush=True)

    def _attach(self, kind: str, device: str, hook: str) -> str:
        counter = hooks.make_counter()
        code = Assembly()
        code.count(counter)
        if kind == "encapsulate":
            self._encapsulate(code)
        elif kind == "overlay":  # the inner frame is for the other node's MAC address
            code.move_register(1, 6).move(2, socket.PACKET_HOST).call(_CHANGE_TYPE)
        code.go_on()
        try:
            hooks.attach(code.load(f"cil_{kind[:8]}"), device, hook, "last")
        except OSError as error:
            return str(error)
        self._counters[f"{device} {hook}"] = counter
        return "ok"

    def _encapsulate(self, code: "Assembly") -> None:
        vxlan = socket.if_nametoindex("cilium_vxlan")
        code.load_field(7, 6, _PROTOCOL, 4)
        code.jump_if_not(7, _IPV4, "not4").load_packet(_LOAD_BYTES, 14 + 16, 4, "end")
        code.load_stack(2, 4).mask(2, 0x00FFFFFF)
        for index, (prefix4, _, _) in enumerate(self._remotes):
            network = ipaddress.IPv4Network(prefix4).network_address.packed
            code.jump_if(2, struct.unpack("<I", network)[0], f"to{index}")
        code.jump("end").label("not4").jump_if_not(7, _IPV6, "end")
        code.load_packet(_LOAD_BYTES, 14 + 24, 8, "end").load_stack(2, 8)
        for index, (_, prefix6, _) in enumerate(self._remotes):
            network = ipaddress.IPv6Network(prefix6).network_address.packed
            code.wide(3, struct.unpack("<Q", network[:8])[0]).jump_if_same(2, 3, f"to{index}")
        code.jump("end")
        for index, (_, _, remote) in enumerate(self._remotes):
            # struct bpf_tunnel_key: VNI, remote address in host order.
            code.label(f"to{index}").store(-48, _VNI).store(-44, int(ipaddress.IPv4Address(remote)))
            code.move_register(1, 6).stack_address(2, -48).move(3, 8).move(4, 0).call(_SET_TUNNEL_KEY)
            code.move(1, vxlan).move(2, 0).call(_REDIRECT).exit()
        code.label("end")


if __name__ == "__main__":
    Daemon().serve()
    sys.exit()


class _Client:
    """The daemon of one node, seen from outside."""

    def __init__(self, node: Node, remotes: list[tuple[str, str, str]]) -> None:
        self._process = subprocess.Popen(
            node.command([sys.executable, __file__]), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.ask(f"remotes {json.dumps(remotes)}")

    def ask(self, line: str) -> str:
        assert self._process.stdin and self._process.stdout
        print(line, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def attach(self, kind: str, device: str, hook: str) -> None:
        said = self.ask(f"{kind} {device} {hook}")
        if "Invalid argument" in said:
            raise Skipped("this kernel has no TCX links")
        check(said == "ok", f"{kind} at {device} {hook}: {said}")

    def end(self) -> None:
        self._process.communicate()


class Cilium(Cni):
    name = "Cilium-like"
    device_prefix = "lxc"
    protocol = "kernel"
    pod_mtu = 1450

    def __init__(self, mesh: Mesh) -> None:
        self._daemons: dict[str, _Client] = {}
        self._devices: dict[str, list[str]] = {node.name: [] for node in mesh.nodes}
        super().__init__(mesh)

    def install(self, node: Node) -> None:
        there = node.addresses
        sysctl(node, net__ipv4__conf__default__rp_filter=0)
        ip_batch(
            [
                "link add cilium_host type veth peer name cilium_net",
                "link set cilium_host arp off up",
                "link set cilium_net arp off up",
                f"addr add {there.pod_gateway4}/32 dev cilium_host",
                f"addr add {there.pod_gateway6}/128 dev cilium_host nodad",
                f"route add {there.pod_gateway4}/32 dev cilium_host scope link",
            ],
            namespace=node.namespace,
        )

    def connect(self, node: Node) -> None:
        if run(["ip", "-n", node.namespace, "link", "show", "cilium_vxlan"], check=False).returncode != 0:
            ip(node, *"link add cilium_vxlan type vxlan external dstport 8472".split())
        ip(node, "link", "set", "cilium_vxlan", "up")
        self._start(node)
        here = node.addresses
        for other in self.others(node):
            there = other.addresses
            ip(
                node, "route", "replace", there.pod_prefix4, "via", here.pod_gateway4, "dev", "cilium_host",
                "proto", "kernel", "src", here.pod_gateway4, "mtu", "1450",
            )  # fmt: skip
            ip(
                node, "route", "replace", there.pod_prefix6, "dev", "cilium_host", "proto", "kernel",
                "mtu", "1450",
            )  # fmt: skip

    def _start(self, node: Node) -> None:
        self.stop_daemon(node)
        remotes = [
            (other.addresses.pod_prefix4, other.addresses.pod_prefix6, other.addresses.ipv4)
            for other in self.others(node)
        ]
        daemon = self._daemons[node.name] = _Client(node, remotes)
        daemon.attach("overlay", "cilium_vxlan", "ingress")
        daemon.attach("count", "cilium_vxlan", "egress")
        daemon.attach("encapsulate", "cilium_host", "egress")
        daemon.attach("count", "eth0", "ingress")
        daemon.attach("count", "eth0", "egress")
        for device in self._devices[node.name]:
            daemon.attach("encapsulate", device, "ingress")

    def stop_daemon(self, node: Node) -> None:
        """Its programs go with it, as when it is taken off the node."""
        if daemon := self._daemons.pop(node.name, None):
            daemon.end()

    def counts(self, node: Node) -> dict[str, int]:
        """Packets that its programs saw, by device and hook."""
        return dict(json.loads(self._daemons[node.name].ask("counts")))

    def plug(self, node: Node, wires: Wires) -> None:
        there = node.addresses
        mac = f"0a:00:00:00:{node.number:02x}:{int(wires.device[3:]):02x}"
        ip_batch(
            [
                f"link add {wires.device} address {mac} mtu {self.pod_mtu} type veth"
                f" peer name eth0 mtu {self.pod_mtu} netns {wires.namespace}",
                f"link set {wires.device} up",
                f"route add {wires.ipv4}/32 dev {wires.device} scope link",
                f"route add {wires.ipv6}/128 dev {wires.device}",
            ],
            namespace=node.namespace,
        )
        lines = ["link set eth0 up", f"addr add {wires.ipv4}/32 dev eth0"]
        lines.append(f"addr add {wires.ipv6}/128 dev eth0 nodad")
        # Its programs answer for the router's address.
        for gateway in (there.pod_gateway4, there.pod_gateway6):
            lines += [
                f"route add {gateway} dev eth0",
                f"neigh add {gateway} lladdr {mac} dev eth0 nud permanent",
                f"route add default via {gateway} dev eth0",
            ]
        ip_batch(lines, namespace=wires.namespace)
        self._devices[node.name].append(wires.device)
        self._daemons[node.name].attach("encapsulate", wires.device, "ingress")

    def uninstall(self, node: Node) -> None:
        self.stop_daemon(node)
        for device in ("cilium_vxlan", "cilium_host"):
            ip(node, "link", "del", device)

    def mend(self, node: Node) -> None:
        if run(["ip", "-n", node.namespace, "link", "show", "cilium_host"], check=False).returncode != 0:
            self.install(node)
        super().mend(node)

    def faults(self) -> dict[str, Fault]:
        """What its programs redirect never meets the host's routes: those that count are of the host."""
        return {"programs detached": self.stop_daemon, "uninstalled": self.uninstall}
