# SPDX-License-Identifier: Apache-2.0
"""NATs between a lab's underlay and its nodes, by nftables, and what RFC 4787 calls their behaviour.

A node behind a NAT has an address of a private network, and IPv4 alone. Conntrack by itself maps
independently of the endpoint (a flow's source that is mapped already keeps its port), and filters by address
and port; the chain `input` drops what nobody behind the NAT asked for, as home routers do.
"""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from lablib import Lab, Node, network
from lablib.namespaces import inside
from lablib.shell import ip_batch, run

WIREGUARD = 51820
_LAN = "192.168.1"
_SECOND_LAN = "192.168.2"
_CARRIER_LAN = "100.64.0"
_NFNL_SUBSYS_CTNETLINK = 1
_IPCTNL_MSG_CT_DELETE = 2
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_NLMSG_ERROR = 2
_NETLINK_NETFILTER = 12


@dataclass(frozen=True)
class Kind:
    """`source`: how UDP leaves; `inward`: what of the unasked is let in; {public}, {port}, {reach} are filled in."""

    name: str
    says: str
    source: str = "masquerade"
    inward: str = ""
    forward: str = ""
    carrier: bool = False
    drops: bool = True  # what nobody behind it asked for

    @property
    def translates(self) -> bool:
        return self is not NONE


# The WireGuard port is mapped to another one by a fixed rule, which is the same for all destinations.
_FIXED = f"udp sport {WIREGUARD} snat to {{public}}:{{port}}"
# Conntrack picks a port of a range for a source's first flow; the later ones get the same.
_RANGE = "meta l4proto udp snat to {public}:{port}-{last}"

NONE = Kind("none", "a public address")
FULL_CONE = Kind(
    "full-cone",
    "any host may send to a mapping that is in use",
    _FIXED,
    f"udp dport {{port}} meta l4proto @awake dnat to {{host}}:{WIREGUARD}",
)
ADDRESS_RESTRICTED = Kind(
    "address-restricted",
    "hosts may send to it that it sent to",
    _FIXED,
    f"udp dport {{port}} ip saddr @asked dnat to {{host}}:{WIREGUARD}",
)
PORT_RESTRICTED = Kind("port-restricted", "only whom it sent to, from that port; plain masquerading")
SYMMETRIC = Kind("symmetric", "another port for each destination", "masquerade fully-random")
SYMMETRIC_RANDOM = Kind("symmetric-random", "another port for each destination", "masquerade random")
DOUBLE = Kind("double", "a home router behind a carrier's NAT, both port-restricted", carrier=True)
SHARED = Kind("shared", "port-restricted, another port, no hairpin; both nodes behind one, if both are", _RANGE)
PLAIN = Kind(
    "plain",
    "masquerades and drops nothing: what comes too early shuts it (agent/probe/opening.h)",
    drops=False,
)
PLAIN_DOUBLE = Kind("plain-double", "such a one behind another", carrier=True, drops=False)
BLOCKED = Kind(
    "blocked",
    "port-restricted, and UDP passes to and from one node alone",
    forward="meta l4proto udp ip daddr != {reach} ip saddr != {reach} drop",
)
KINDS = {
    kind.name: kind
    for kind in (
        NONE,
        FULL_CONE,
        ADDRESS_RESTRICTED,
        PORT_RESTRICTED,
        SYMMETRIC,
        SYMMETRIC_RANDOM,
        DOUBLE,
        SHARED,
        PLAIN,
        PLAIN_DOUBLE,
        BLOCKED,
    )
}

_RULES = """
table ip nat
delete table ip nat
table ip nat {{
  set asked {{ type ipv4_addr; flags dynamic, timeout; timeout 120s; }}
  set awake {{ type inet_proto; flags dynamic, timeout; timeout 120s; }}
  chain out {{
    type nat hook postrouting priority srcnat;
    oifname "wan" ip protocol udp {source}
    oifname "wan" masquerade
  }}
  chain in {{
    type nat hook prerouting priority dstnat;
    {inward}
  }}
  chain forward {{
    type filter hook forward priority filter;
    oifname "wan" ip protocol udp update @asked {{ ip daddr }} update @awake {{ meta l4proto }}
    {forward}
    {unasked}
  }}
  chain input {{
    type filter hook input priority filter;
    {unexpected}
  }}
}}
"""
_UNASKED = 'iifname "wan" ct state new ct status & dnat == 0 drop'
_UNEXPECTED = 'iifname "wan" ct state { new, invalid } drop'


class Router:
    """One NAT in a namespace of its own: `wan` outside, `lan...` inside."""

    def __init__(self, namespace: str, kind: Kind, *, public: str, host: str, reach: str) -> None:
        self.namespace = namespace
        self.kind = kind
        self.public = public
        self.host = host
        self.reach = reach
        self.port = 41820

    def load(self) -> None:
        values = {
            "public": self.public,
            "port": self.port,
            "last": self.port + 999,
            "host": self.host,
            "reach": self.reach,
        }
        rules = _RULES.format(
            source=self.kind.source.format(**values).removeprefix("meta l4proto udp "),
            inward=f'iifname "wan" {self.kind.inward.format(**values)}' if self.kind.inward else "",
            forward=self.kind.forward.format(**values),
            unasked=_UNASKED if self.kind.drops else "",
            unexpected=_UNEXPECTED if self.kind.drops else "",
        )
        run(["ip", "netns", "exec", self.namespace, "nft", "-f", "-"], stdin=rules)

    def reboot(self, public: str) -> None:
        """All that it knew is forgotten, and its provider gives it another address."""
        ip_batch(["addr flush dev wan", f"addr add {public}/24 dev wan"], namespace=self.namespace)
        self.public = public
        self.port += 1000
        self.load()
        forget_flows(self.namespace)


def forget_flows(namespace: str) -> None:
    """`conntrack -F`: a delete without attributes (kernel's nf_conntrack_netlink.c)."""
    payload = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    kind = _NFNL_SUBSYS_CTNETLINK << 8 | _IPCTNL_MSG_CT_DELETE
    header = struct.pack("=IHHII", 16 + len(payload), kind, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)

    def ask() -> bytes:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
            netlink.send(header + payload)
            return netlink.recv(4096)

    answer = inside(namespace, ask)
    kind, error = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    if kind != _NLMSG_ERROR or error != 0:
        raise OSError(-error, f"flush conntrack in {namespace}")


@dataclass
class Place:
    """Where a node stands: its own address, and the NATs from the outside in."""

    kind: Kind
    address: str
    routers: list[Router]

    def reboot(self, public: str) -> None:
        self.routers[0].reboot(public)


def _make_router(lab: Lab, name: str, kind: Kind, *, public: str, inner: str, host: str, reach: str) -> Router:
    namespace = f"wglan-{lab.name}-{name}"
    run(["ip", "netns", "add", namespace])
    network.set_sysctls(
        namespace, {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/disable_ipv6": 1}
    )
    ip_batch(
        [
            "link set lo up",
            "link add lan type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            "link set lan up",
            f"addr add {inner}.1/24 dev lan",
        ],
        namespace=namespace,
    )
    return Router(namespace, kind, public=public, host=host, reach=reach)


def _connect_outside(lab: Lab, router: Router, port: str) -> None:
    ip_batch(
        [
            f"link add {port} type veth peer name wan netns {router.namespace}",
            f"link set {port} master br0 up",
        ],
        namespace=lab.layout.underlay,
    )
    ip_batch([f"addr add {router.public}/24 dev wan", "link set wan up"], namespace=router.namespace)


def _connect_inside(lab: Lab, node: Node, router: Router, *, bridge: str, address: str, gateway: str) -> None:
    """Takes the node's cable from the underlay's bridge to the router's."""
    inner = f"to-{node.name}"
    ip_batch([f"link set {node.name} nomaster netns {router.namespace} name {inner}"], namespace=lab.layout.underlay)
    ip_batch([f"link set {inner} master {bridge} up"], namespace=router.namespace)
    network.set_sysctls(node.namespace, {"net/ipv6/conf/eth0/disable_ipv6": 1})
    ip_batch(
        [
            "addr flush dev eth0",
            f"addr add {address}/24 dev eth0",
            f"route add default via {gateway} dev eth0",
        ],
        namespace=node.namespace,
    )


def put_behind(lab: Lab, node: Node, kind: Kind, *, reach: str) -> Place:
    """Before its agent starts. `reach`: whom a node may reach whose UDP is blocked otherwise.

    All home networks use the same addresses, as homes do.
    """
    if kind is NONE:
        return Place(kind, node.addresses.ipv4, [])
    public = f"192.0.2.{100 + node.number}"
    address = f"{_LAN}.{10 + node.number}"
    outer_public, routers = public, []
    if kind.carrier:
        carrier = _make_router(
            lab, f"{node.name}-carrier", SHARED if kind.drops else PLAIN, public=public, inner=_CARRIER_LAN, host="", reach=reach
        )
        _connect_outside(lab, carrier, node.name + "-c")
        carrier.load()
        routers.append(carrier)
        outer_public = f"{_CARRIER_LAN}.2"
    home = _make_router(
        lab, f"{node.name}-nat", kind, public=outer_public, inner=_LAN, host=address, reach=reach
    )
    _connect_inside(lab, node, home, bridge="lan", address=address, gateway=f"{_LAN}.1")
    if kind.carrier:
        ip_batch(
            [f"link add to-home type veth peer name wan netns {home.namespace}", "link set to-home master lan up"],
            namespace=routers[0].namespace,
        )
        ip_batch(
            [
                f"addr add {outer_public}/24 dev wan",
                "link set wan up",
                f"route add default via {_CARRIER_LAN}.1",
            ],
            namespace=home.namespace,
        )
    else:
        _connect_outside(lab, home, node.name)
    home.load()
    routers.append(home)
    return Place(kind, address, routers)


def put_behind_one(lab: Lab, nodes: Sequence[Node], *, lans: str) -> list[Place]:
    """All behind one NAT: `lans` is "one" network, "two" that it routes between, or two it keeps "apart"."""
    router = _make_router(
        lab, f"{nodes[0].name}-nat", SHARED, public="192.0.2.101", inner=_LAN, host="", reach=""
    )
    bridges = [("lan", _LAN)] * len(nodes)
    if lans != "one":
        ip_batch(
            [
                "link add lan2 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                "link set lan2 up",
                f"addr add {_SECOND_LAN}.1/24 dev lan2",
            ],
            namespace=router.namespace,
        )
        bridges = [("lan", _LAN), ("lan2", _SECOND_LAN)]
    places = []
    for node, (bridge, lan) in zip(nodes, bridges, strict=True):
        address = f"{lan}.{10 + node.number}"
        _connect_inside(lab, node, router, bridge=bridge, address=address, gateway=f"{lan}.1")
        places.append(Place(SHARED, address, [router]))
    _connect_outside(lab, router, nodes[0].name)
    if lans == "apart":
        router.kind = Kind("shared-apart", "", _RANGE, forward='iifname "lan*" oifname "lan*" drop')
    router.load()
    return places
