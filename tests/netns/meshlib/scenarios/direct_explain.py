# SPDX-License-Identifier: Apache-2.0
"""`wglanctl explain` of what pods send with podDatapath: direct."""

import re
import sys
from typing import Any

from lablib import Node, Pod
from lablib.network import set_sysctls
from lablib.shell import run

from ..kube import Server, Service, direct_counters, expect, install
from ..scenario import Mesh, check, eventually, scenario
from .direct import DIRECT, start_pods

_CLIENT_PORT = 5555
_SEND = """
import socket, sys
address, port, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", own))
s.sendto(b"x", (address, port))
"""


def _explain(node: Node, to: str, source: str, *more: str) -> dict[str, Any]:
    return dict(node.wglanctl_json("explain", to, "--src", source, *more))


def _details(explained: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["detail"] for step in explained["steps"]}


def _left(explained: dict[str, Any], reason: str) -> dict[str, str]:
    """To the host's stack, for that reason, and on from there."""
    names = [step["step"] for step in explained["steps"]]
    details = _details(explained)
    check(not explained["direct"], f"direct: {explained}")
    check(details.get("stack") == f"left to the host's stack: {reason}", f"not for {reason}: {explained}")
    check(names.index("pod program") < names.index("stack") < names.index("own address"), str(names))
    check("says pass" in details["pod program"], f"the program disagrees: {details['pod program']}")
    check("other than the tables" not in str(details), f"tables and programs disagree: {explained}")
    return details


def _hits(node: Node, peer: Node) -> int:
    """Of the peer's pod prefixes."""
    prefixes = (peer.addresses.pod_prefix4, peer.addresses.pod_prefix6)
    routes = node.wglanctl_json("routes")["routes"]
    return sum(route["hits"] for route in routes if route["prefix"] in prefixes)


@scenario(start=False, patch=DIRECT, core=True, jit=True)
def direct_explained(mesh: Mesh) -> None:
    """Past the host's stack, or left to it and why; as the loaded program says, and without a trace."""
    one, two = mesh.nodes
    a, c, b, _ = start_pods(mesh, "a", "c")
    install(
        one,
        [Service(80, a.ipv4, 8080, address="10.96.0.10"), Service(80, a.ipv6, 8080, address="fd00:96::10")],
        one.addresses.pod_prefix4,
        one.addresses.pod_prefix6,
    )
    before = direct_counters(one), _hits(one, two)
    for own, remote in ((a.ipv4, b.ipv4), (a.ipv6, b.ipv6)):
        flow = ["--proto", "tcp", "--sport", "40000", "--dport", "8080"]
        for more in ([], flow):
            explained = _explain(one, remote, own, *more)
            details = _details(explained)
            check(
                (explained["verdict"], explained["via"], explained["peer"], explained["peerState"])
                == ("steer", "wglan0", "node2", "up"),
                str(explained),
            )
            check(explained["direct"], f"not direct: {explained}")
            check(f"{own} is behind {a.device}:" in details["pod device"], str(details))
            check("route" not in details, f"the host's stack is asked: {details}")
            last = explained["steps"][-1]
            check((last["step"], last["result"]) == ("pod program", "steer"), str(last))
        text = one.wglanctl("explain", remote, "--src", own, *flow).stdout
        check(re.search(r"pod flow +conntrack has no entry of this flow\n", text) is not None, text)
        check(text.endswith("verdict: steer via wglan0 to node2 (up), past the host's stack\n"), text)
    _left(_explain(one, b.ipv4, a.ipv4, "--proto", "sctp"), "neither TCP, UDP nor an echo")
    check((direct_counters(one), _hits(one, two)) == before, "a question was counted as packets")
    with Server(mesh, b, "tcp", 8080):
        expect(mesh, "what was explained", a, "tcp", b.ipv4, 8080)
    _explain_others(mesh, a, c, b)
    _explain_translated(mesh, a, b)


def _explain_others(mesh: Mesh, a: Pod, c: Pod, b: Pod) -> None:
    """Destinations of no peer, and sources that are no pods."""
    one, two = mesh.nodes
    stranger = _explain(one, "198.51.100.7", a.ipv4)
    _left(stranger, "no steered prefix")
    check(stranger["verdict"] == "pass", f"a stranger's: {stranger}")
    neighbour = _explain(one, "192.0.2.200", a.ipv4)
    _left(neighbour, "192.0.2.0/24 is excluded from steering")
    check((neighbour["verdict"], neighbour["via"]) == ("pass", "eth0"), f"a neighbour's: {neighbour}")
    beside = _explain(one, c.ipv4, a.ipv4)
    _left(beside, f"{one.addresses.pod_prefix4} is excluded from steering")
    check((beside["verdict"], beside["via"]) == ("pass", c.device), f"to a pod of this host: {beside}")
    here = _explain(one, one.addresses.ipv4, a.ipv4)
    check("stack" in _details(here) and here["verdict"] == "local", f"to its own host: {here}")
    host = _explain(one, two.addresses.ipv4, a.ipv4)
    _left(host, "no pod of a peer")
    check(host["verdict"] == "steer" and host["steps"][-1]["step"] == "program", f"to a peer's host: {host}")
    forged = _explain(one, b.ipv4, "192.0.2.77")
    check("is behind eth0, which is no device towards pods" in _details(forged)["pod device"], str(forged))
    check(forged["verdict"] == "steer" and not forged["direct"], f"from no pod: {forged}")
    own = _explain(one, b.ipv4, one.addresses.ipv4)
    check("pod device" not in _details(own), f"the host's own packet: {own}")
    check(own["verdict"] == "steer" and not own["direct"], f"the host's own packet: {own}")


def _explain_translated(mesh: Mesh, a: Pod, b: Pod) -> None:
    """Answers of a pod behind a cluster address, which node2's pods reach by node1."""
    one, two = mesh.nodes
    set_sysctls(one.namespace, {"net/ipv4/conf/eth0/rp_filter": 0})  # pods' addresses are behind wglan0
    two.run("ip", "route", "add", "10.96.0.0/16", "via", one.addresses.ipv4)
    two.run("ip", "route", "add", "fd00:96::/64", "via", one.addresses.ipv6)
    for cluster, own, remote in (("10.96.0.10", a.ipv4, b.ipv4), ("fd00:96::10", a.ipv6, b.ipv6)):
        ports = ["--sport", "8080", "--dport", str(_CLIENT_PORT)]
        check(_explain(one, remote, own, "--proto", "udp", *ports)["direct"], "known before it began")

        def known(cluster: str = cluster, own: str = own, remote: str = remote) -> bool:
            send = [sys.executable, "-c", _SEND, cluster, "80", str(_CLIENT_PORT)]
            run(mesh.at(b)(send))
            return not _explain(one, remote, own, "--proto", "udp", *ports)["direct"]

        eventually(known, f"conntrack's entry for {cluster} isn't told of", timeout=5, step=0.2)
        explained = _explain(one, remote, own, "--proto", "udp", *ports)
        details = _left(explained, "conntrack knows the flow")
        check(details["pod flow"].startswith("conntrack has an entry of this flow"), str(details))
        check((explained["verdict"], explained["peer"]) == ("steer", "node2"), str(explained))
        check("dev wglan0 (the agent's own route)" in details["route"], f"by another route: {details}")
        check(_explain(one, remote, own, "--proto", "tcp", *ports)["direct"], "another protocol's flow")
