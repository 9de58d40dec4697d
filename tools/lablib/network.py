# SPDX-License-Identifier: Apache-2.0
"""The namespaces and links of a lab, by iproute2."""

import os

from .layout import Layout
from .shell import ip_batch, run

# Addresses are usable at once (no duplicate address detection), nothing is autoconfigured, hosts
# forward as Kubernetes nodes do, and reverse-path filtering is strict, which is the hard case.
_HOST_SYSCTLS = {
    "net/ipv6/conf/all/accept_dad": 0,
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/dad_transmits": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 1,
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv6/conf/default/forwarding": 1,
}
# The bridge itself speaks no IPv6: what crosses it is the nodes' alone.
_BRIDGE_SYSCTLS = {"net/ipv6/conf/all/disable_ipv6": 1, "net/ipv6/conf/default/disable_ipv6": 1}


def set_sysctls(namespace: str, values: dict[str, int]) -> None:
    script = "\n".join(f"echo {value} > /proc/sys/{key}" for key, value in values.items())
    run(["nsenter", f"--net=/run/netns/{namespace}", "sh", "-ec", script])


def make_underlay(layout: Layout) -> None:
    name = layout.underlay
    run(["ip", "netns", "add", name])
    set_sysctls(name, _BRIDGE_SYSCTLS)
    ip_batch(
        [
            "link set lo up",
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            "link set br0 up",
        ],
        namespace=name,
    )


def make_host(layout: Layout, namespace: str, port: str, *, mac: str, ipv4: str, ipv6: str) -> None:
    """A namespace with eth0 on the underlay; `port` names the bridge's end."""
    run(["ip", "netns", "add", namespace])
    set_sysctls(namespace, _HOST_SYSCTLS)
    ip_batch(
        [
            f"link add {port} type veth peer name eth0 address {mac} netns {namespace}",
            f"link set {port} master br0 up",
        ],
        namespace=layout.underlay,
    )
    ip_batch(
        [
            "link set lo up",
            "link set eth0 up",
            f"addr add {ipv4}/24 dev eth0",
            f"addr add {ipv6}/64 dev eth0 nodad",
        ],
        namespace=namespace,
    )


def make_pod(
    node: str, pod: str, device: str, *, addresses: tuple[str, str], gateways: tuple[str, str]
) -> None:
    """A pod behind a veth with host routes, as point-to-point CNIs do it."""
    ipv4, ipv6 = addresses
    gateway4, gateway6 = gateways
    run(["ip", "netns", "add", pod])
    set_sysctls(
        pod,
        {
            "net/ipv6/conf/all/accept_dad": 0,
            "net/ipv6/conf/default/accept_dad": 0,
            "net/ipv6/conf/default/accept_ra": 0,
        },
    )
    ip_batch(
        [
            f"link add {device} type veth peer name eth0 netns {pod}",
            f"link set {device} up",
            f"addr add {gateway4}/32 dev {device}",
            f"addr add {gateway6}/128 dev {device} nodad",
            f"route add {ipv4}/32 dev {device}",
            f"route add {ipv6}/128 dev {device}",
        ],
        namespace=node,
    )
    ip_batch(
        [
            "link set lo up",
            "link set eth0 up",
            f"addr add {ipv4}/32 dev eth0",
            f"addr add {ipv6}/128 dev eth0 nodad",
            f"route add {gateway4} dev eth0 scope link src {ipv4}",
            f"route add {gateway6} dev eth0",
            f"route add default via {gateway4} dev eth0",
            f"route add default via {gateway6} dev eth0",
        ],
        namespace=pod,
    )


def namespaces_of(layout: Layout) -> list[str]:
    try:
        return sorted(name for name in os.listdir("/run/netns") if layout.owns_namespace(name))
    except FileNotFoundError:
        return []


def remove_namespace(name: str) -> None:
    run(["ip", "netns", "delete", name])
