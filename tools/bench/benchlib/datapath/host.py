# SPDX-License-Identifier: Apache-2.0
"""One host a method: a pod, an uplink, and a wglan0 whose packets are counted and end there."""

from dataclasses import dataclass
from pathlib import Path

from lablib.shell import ip_batch, run

from .methods import Method, Site
from .network import FORWARDING, MTU, Spaces, connect_pod, set_sysctls
from .worker import Worker

PORT = 9
_GATEWAY_MAC = "02:00:00:00:02:02"
# What conntrack learnt before the rounds must still be there at their end.
_CONNTRACK = {
    "net/netfilter/nf_conntrack_udp_timeout": 3600,
    "net/netfilter/nf_conntrack_udp_timeout_stream": 3600,
}


@dataclass(frozen=True)
class Tools:
    """What every host of a run needs."""

    program: Path
    spaces: Spaces
    cpu: int


class Host:
    def __init__(self, tools: Tools, method: Method, prefixes: int) -> None:
        self.method, self.prefixes = method, prefixes
        self._tools = tools
        self.space, self.pod, self._far = (
            tools.spaces.add(f"{method.name}{suffix}") for suffix in ("", "-pod", "-far")
        )
        self.worker = Worker(tools.program, self.space, tools.cpu)
        try:
            self._make_network()
            self.site = Site(self.space, self.worker, "up0", "192.0.2.254", "2001:db8::fe")
            method.apply(self.site, prefixes)
        except BaseException:
            self.close()
            raise

    def _make_network(self) -> None:
        set_sysctls(self.space, FORWARDING)
        set_sysctls(self.space, _CONNTRACK, missing_is_fine=True)
        self.worker.call("sink", sink="tunnel", kind="tun", device="wglan0")
        connect_pod(self.space, self.pod)
        ip_batch(
            [
                f"link add up0 type veth peer name far0 address {_GATEWAY_MAC} netns {self._far}",
                "link add feed0 type veth peer name feed1",
                "link add floor0 type veth peer name floor1",
                *(f"link set {device} up" for device in ("up0", "feed0", "feed1", "floor0", "floor1")),
                "address add 192.0.2.1/24 dev up0",
                "address add 2001:db8::1/64 dev up0 nodad",
                f"neighbour add 192.0.2.254 lladdr {_GATEWAY_MAC} dev up0 nud permanent",
                f"neighbour add 2001:db8::fe lladdr {_GATEWAY_MAC} dev up0 nud permanent",
                f"link set wglan0 mtu {MTU} up",
                "address add 192.0.2.1/32 dev wglan0 noprefixroute",
                "address add 200:1001::1/128 dev wglan0 nodad noprefixroute",
            ],
            namespace=self.space,
        )
        ip_batch(["link set far0 up"], namespace=self._far)
        # Like a WireGuard device; a TUN device would put a queue before our counter.
        run(["tc", "-n", self.space, "qdisc", "replace", "dev", "wglan0", "root", "noqueue"])
        self.worker.call("sink", sink="pod", kind="socket", space=self.pod, port=PORT)
        self.worker.call("sink", sink="floor", kind="discard", device="floor0")

    def close(self) -> None:
        self.worker.close()
        self._tools.spaces.remove([self.space, self.pod, self._far])
