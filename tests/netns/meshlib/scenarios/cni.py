# SPDX-License-Identifier: Apache-2.0
"""Beside each CNI: pods and hosts of two nodes through the tunnel, in whatever way the CNI would carry them."""

import re

from lablib import Node, Pod
from lablib.namespaces import inside
from lablib.shell import run

from .. import hooks
from ..cni import Bridge, Cni, Ptp
from ..cni_cilium import Cilium
from ..cni_tunnel import Calico, Flannel
from ..scenario import Mesh, check, scenario
from .carry import tcp_transfer


def _talk(mesh: Mesh, cni: Cni) -> None:
    """Pod to pod, host to pod and pod to host, in both families, large and small; nothing of it in clear."""
    one, two = mesh.nodes[:2]
    a, b = cni.pod(one, "a"), cni.pod(two, "a")
    mesh.lab.start_agents()
    with mesh.capture() as capture:
        for address, host in ((b.ipv4, two.addresses.ipv4), (b.ipv6, two.addresses.ipv6)):
            mesh.expect_ping(a, address)
            mesh.expect_ping(one, address)
            mesh.expect_ping(a, host)
            tcp_transfer(mesh, a, b, address)
            tcp_transfer(mesh, one, b, address)
            large_packets(mesh, a, address)
        mesh.expect_ping(two, a.ipv4)
        mesh.expect_ping(b, one.addresses.ipv6)
    summary = capture.summary()
    check(not summary.foreign, f"{cni.name}: in clear, or in another tunnel: {dict(summary.foreign)}")
    check(summary.allowed["WireGuard UDP"] > 1000, f"{cni.name}: hardly any packet took the tunnel")
    mtu = one.wglanctl_json("status")["node"]["mtu"]
    print(f"{cni.name}: {summary.allowed['WireGuard UDP']} WireGuard packets, MTU {mtu}, nothing else")


def large_packets(mesh: Mesh, source: Pod, address: str) -> None:
    """Fragmented ones arrive. IPv6 senders learn the path's MTU by the first, at both ends."""
    place = mesh.at(source)
    run(place(["ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", "-s", "4000", address]), check=False)
    said = run(place(["ping", "-n", "-c", "3", "-i", "0.1", "-W", "3", "-s", "4000", address])).stdout
    check("3 received" in said, f"packets of 4000 bytes to {address}: {said}")


def _policy_holds(mesh: Mesh, cni: Cni) -> None:
    """What the host's netfilter forbids one pod doesn't go through the tunnel, in neither direction."""
    one, two = mesh.nodes[:2]
    a, b, c = cni.pod(one, "a"), cni.pod(two, "a"), cni.pod(two, "c")
    rules = f"""
table inet netpol {{
  chain forward {{ type filter hook forward priority filter;
    ip daddr {c.ipv4} counter drop
    ip6 daddr {c.ipv6} counter drop
  }}
}}"""
    run(two.command(["nft", "-f", "-"]), stdin=rules)
    for allowed, forbidden in ((b.ipv4, c.ipv4), (b.ipv6, c.ipv6)):
        mesh.expect_ping(a, allowed)
        check(mesh.ping(a, forbidden, count=2) == 0, f"{cni.name}: the policy of {forbidden} isn't enforced")
    counted = two.run("nft", "list", "table", "inet", "netpol").stdout
    packets = [int(found) for found in re.findall(r"packets (\d+)", counted)]
    check(len(packets) == 2 and min(packets) >= 2, f"{cni.name}: the policy has seen {packets} packets")
    two.run("nft", "delete", "table", "inet", "netpol")
    mesh.expect_ping(a, c.ipv4)


def _beside(mesh: Mesh, cni: Cni) -> None:
    _talk(mesh, cni)
    _policy_holds(mesh, cni)


@scenario(start=False, core=True)
def beside_a_bridge(mesh: Mesh) -> None:
    """kubenet, or the bridge plugin with host-gw routes."""
    _beside(mesh, Bridge(mesh))


@scenario(start=False)
def beside_ptp(mesh: Mesh) -> None:
    """A /32 for each pod, no bridge."""
    _beside(mesh, Ptp(mesh))


@scenario(start=False, core=True)
def beside_flannel(mesh: Mesh) -> None:
    """flannel's VXLAN: nothing is encapsulated twice."""
    _beside(mesh, Flannel(mesh))


@scenario(start=False)
def beside_calico(mesh: Mesh) -> None:
    """Calico: /32 routes, proxy ARP, IPIP (VXLAN where the kernel has none)."""
    _beside(mesh, Calico(mesh))


def _programs(node: Node) -> dict[str, list[str]]:
    """Whose program runs after whose, by device and hook."""
    places = [("eth0", "ingress"), ("eth0", "egress"), ("cilium_vxlan", "egress"), ("cilium_host", "egress")]
    found = inside(node.namespace, lambda: [hooks.programs_at(*place) for place in places])
    return {" ".join(place): names or [] for place, names in zip(places, found, strict=True)}


@scenario(start=False)
def beside_cilium(mesh: Mesh) -> None:
    """A CNI of programs: ours are in front of theirs at egress, theirs stay, and see all that isn't steered."""
    one, two = mesh.nodes
    cni = Cilium(mesh)
    theirs = _programs(one)
    _talk(mesh, cni)
    order = _programs(one)
    for place, names in theirs.items():
        check(bool(names), f"the model has no program at {place}")
        rest = [name for name in order[place] if not name.startswith("wglan")]
        check(rest == names, f"{place}: was {names}, is {order[place]}")
        if place.endswith("egress"):
            check(order[place][0].startswith("wglan_egress"), f"{place}: ours isn't first: {order[place]}")
    one.agent_kill()
    one.agent_start()
    check(_programs(one) == order, f"after a restart: {_programs(one)}, not {order}")

    before = cni.counts(one)
    run(mesh.at(one)(["ping", "-n", "-c", "20", "-i", "0.01", "-W", "1", "192.0.2.250"]))
    after = cni.counts(one)
    seen = {place: after[place] - before[place] for place in after}
    print(f"of 20 pings to a host that is no peer their programs saw {seen}")
    check(seen["eth0 egress"] >= 20 and seen["eth0 ingress"] >= 20, f"their programs starve: {seen}")

    one.agent_stop()
    one.run(*one.agent_command("--cleanup"))
    check(_programs(one) == theirs, f"after a clean-up: {_programs(one)}, not {theirs}")
    a, b = cni.pod(one, "a"), cni.pod(two, "a")
    two.agent_stop()
    two.run(*two.agent_command("--cleanup"))
    for address in (b.ipv4, b.ipv6):  # their way again
        mesh.expect_ping(a, address)
        mesh.expect_ping(one, address)
