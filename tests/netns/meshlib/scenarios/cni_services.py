# SPDX-License-Identifier: Apache-2.0
"""kube-proxy beside a CNI: Services whose endpoints are on other nodes, in both of its modes."""

from lablib import Node, Pod

from .. import kube_proxy
from ..cni import Bridge, Cni
from ..cni_tunnel import Calico
from ..kube import Server, expect
from ..kube_proxy import Service
from ..scenario import Mesh, check, scenario

def _services(a: Pod, b: Pod, two: Node, six: bool) -> dict[str, Service]:
    pod_a, pod_b = (a.ipv6, b.ipv6) if six else (a.ipv4, b.ipv4)
    host = two.addresses.ipv6 if six else two.addresses.ipv4
    network_address = "fd00:96::1" if six else "10.96.0.1"
    endpoints = {
        "remote": [(pod_b, 8080)],
        "both": [(pod_a, 8080), (pod_b, 8080)],
        "own": [(pod_a, 8080)],
        "host": [(host, 8080)],
    }
    return {
        name: Service(f"{name}{6 if six else 4}", f"{network_address}{index}", 80, tuple(to), 30080 + index)
        for index, (name, to) in enumerate(endpoints.items())
    }


def _ask_all(mesh: Mesh, cni: Cni, six: bool, kind: str) -> None:
    one, two = mesh.nodes
    outside = cni.router
    a, b, c = cni.pod(one, "a"), cni.pod(two, "a"), cni.pod(one, "c")
    services = _services(a, b, two, six)
    pod_a, pod_b = (a.ipv6, b.ipv6) if six else (a.ipv4, b.ipv4)
    host1, host2 = (
        (one.addresses.ipv6, two.addresses.ipv6) if six else (one.addresses.ipv4, two.addresses.ipv4)
    )
    remote, both, own, host = (services[name] for name in ("remote", "both", "own", "host"))
    seen = expect(mesh, "pod to remote pod", a, kind, pod_b, 8080)
    check(seen == pod_a, f"pod to pod is translated: {seen}, not {pod_a}")
    seen = expect(mesh, "pod to cluster address", a, kind, remote.address, 80)
    check(seen == pod_a, f"a cluster address hides the client: {seen}, not {pod_a}")
    for _ in range(4):  # either endpoint
        expect(mesh, "pod to a Service on both nodes", c, kind, both.address, 80)
    seen = expect(mesh, "the other way", b, kind, own.address, 80)
    check(seen == pod_b, f"a cluster address hides the client: {seen}, not {pod_b}")
    expect(mesh, "hairpin", a, kind, own.address, 80)
    expect(mesh, "pod to a pod on the host's network", a, kind, host.address, 80)
    expect(mesh, "host to cluster address", one, kind, remote.address, 80)
    expect(mesh, "host to its own node port", one, kind, host1, remote.node_port)
    expect(mesh, "node to the other's port", two, kind, host1, remote.node_port)
    expect(mesh, "pod to its node's port", a, kind, host1, remote.node_port)
    expect(mesh, "pod to the other node's port", a, kind, host2, own.node_port)
    seen = expect(mesh, "outside to a port of a node without the endpoint", outside, kind, host1, remote.node_port)
    # Masquerade takes an address of the device that routing chose: the node's, its CNI tunnel's or wglan0's.
    here = one.addresses
    prefixes = (here.pod_prefix4.split("/")[0], here.pod_prefix6.split("/")[0])
    own_addresses = (host1, mesh.overlay(one), *prefixes, here.pod_gateway4)  # Calico's tunl0 has that one
    check(seen in own_addresses, f"masquerade took {seen}, which isn't one of {own_addresses}")
    expect(mesh, "outside to a port of the node with the endpoint", outside, kind, host2, remote.node_port)


def _services_work(mesh: Mesh, cni: Cni) -> None:
    one, two = mesh.nodes
    a, b, _ = cni.pod(one, "a"), cni.pod(two, "a"), cni.pod(one, "c")
    mesh.lab.start_agents()
    services = [service for six in (False, True) for service in _services(a, b, two, six).values()]
    for mode in kube_proxy.MODES:
        for node in mesh.nodes:
            kube_proxy.install(node, services, mode)
        steered = mesh.metric(one, "wglan_steered_packets_total")
        for kind in ("tcp", "udp"):
            with Server(mesh, a, kind, 8080), Server(mesh, b, kind, 8080), Server(mesh, two, kind, 8080):
                for six in (False, True):
                    _ask_all(mesh, cni, six, kind)
        for node in mesh.nodes:
            count, which = kube_proxy.invalid(node)
            check(count == 0, f"{cni.name}, {mode}: {node.name} saw {count} INVALID packets: {which}")
        check(mesh.metric(one, "wglan_steered_packets_total") > steered, "nothing was steered")
        print(f"{cni.name}, kube-proxy in {mode} mode: all answered, none INVALID")


@scenario(start=False)
def services_beside_a_bridge(mesh: Mesh) -> None:
    """Cluster addresses, node ports and masquerade over a bridge CNI with host-gw routes."""
    _services_work(mesh, Bridge(mesh))


@scenario(start=False)
def services_beside_calico(mesh: Mesh) -> None:
    """The same over /32 routes and Calico's tunnel."""
    _services_work(mesh, Calico(mesh))
