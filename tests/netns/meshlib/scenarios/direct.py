# SPDX-License-Identifier: Apache-2.0
"""podDatapath: direct: pods past the host's stack, and whatever needs the stack through it."""

import json
import re
import subprocess
import sys
import time

from lablib import LabError, Node, Pod
from lablib.shell import run

from .. import netkit
from ..kube import (
    Server,
    Service,
    ask,
    conntrack_knows,
    delivers,
    direct_counters,
    expect,
    install,
    invalid_dropped,
    pod_hooks,
    wait_direct,
)
from ..scenario import Mesh, Patch, Skipped, check, eventually, scenario
from .carry import tcp_transfer

DIRECT: Patch = [{"op": "add", "path": "/steering/podDatapath", "value": "direct"}]
_HOST: Patch = [{"op": "add", "path": "/steering/podDatapath", "value": "host"}]


def start_agents(mesh: Mesh) -> None:
    """The agents; skips where the kernel can't do it, which they say."""
    try:
        mesh.lab.start_agents()
    except LabError as error:
        refused = re.search(r"podDatapath: direct isn't possible on this kernel: ([^;]+)", str(error))
        if refused:
            raise Skipped(refused[1]) from error
        raise


def _reload(mesh: Mesh, node: Node, patch: Patch) -> None:
    """A changed file; skips where the kernel can't do what it says."""
    mode = patch[0]["value"]

    def settled() -> bool:
        status = node.wglanctl_json("status")
        if "isn't possible on this kernel" in status["settings"]["error"]:
            raise Skipped(status["settings"]["error"])
        return bool(status["steering"]["podDatapath"] == mode and delivers(node) == (mode == "direct"))

    mesh.reconfigure(node, patch)
    eventually(settled, f"{node.name} doesn't go {mode}", timeout=10)


def start_pods(mesh: Mesh, *names: str) -> list[Pod]:
    """Agents in direct mode, and pods on every node, node by node."""
    start_agents(mesh)
    pods = [node.pod(name) for node in mesh.nodes for name in names]
    for node in mesh.nodes:
        wait_direct(node, *(pod.device for pod in pods if pod.node == node.name))
    return pods


def _rules(mesh: Mesh, services: list[Service]) -> None:
    for node in mesh.nodes:
        install(node, services, node.addresses.pod_prefix4, node.addresses.pod_prefix6)


def _no_invalid(mesh: Mesh) -> None:
    for node in mesh.nodes:
        check(invalid_dropped(node) == 0, f"{node.name} dropped {invalid_dropped(node)} INVALID packets")


@scenario(start=False, patch=DIRECT, core=True, jit=True)
def direct_pods(mesh: Mesh) -> None:
    """Pod to pod goes past both stacks, in both families, unseen by conntrack, whole and encrypted."""
    one, two = mesh.nodes
    a, b = start_pods(mesh, "a")
    _rules(mesh, [])
    with mesh.capture() as capture, Server(mesh, b, "tcp", 8080), Server(mesh, b, "udp", 8080):
        for address, source in ((b.ipv4, a.ipv4), (b.ipv6, a.ipv6)):
            mesh.expect_ping(a, address)
            for kind in ("tcp", "udp"):
                seen = expect(mesh, "pod to pod", a, kind, address, 8080)
                check(seen == source, f"the server sees {seen}, not {source}")
            tcp_transfer(mesh, a, b, address)
    check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")
    for node, pod in ((one, a), (two, b)):
        counters = direct_counters(node)
        print(f"{node.name}: {counters}")
        check(min(counters["sent"], counters["delivered"]) > 100, f"{node.name}: {counters}")
        check(not conntrack_knows(node, pod.ipv4), f"{node.name}'s conntrack knows a flow of {pod.ipv4}")
        all_counters = node.wglanctl_json("status")["steering"]["counters"]
        check(all_counters["mssClamped"] > 0, "no MSS was clamped")
    _no_invalid(mesh)


@scenario(start=False, patch=DIRECT, jit=True)
def direct_hops(mesh: Mesh) -> None:
    """TTL falls by one a node, traceroute shows each, and captures in a pod are readable."""
    one, two = mesh.nodes
    a, b = start_pods(mesh, "a")
    _rules(mesh, [])
    mesh.expect_ping(a, b.ipv4)
    for address, nodes in (
        (b.ipv4, ("10.244.1.1", two.addresses.ipv4)),
        (b.ipv6, ("fd00:244:1::1", None)),
    ):
        echo = run(mesh.at(a)(["ping", "-n", "-c", "1", "-W", "3", address])).stdout
        check(re.search(r"ttl=62\b", echo) is not None, f"the TTL isn't 62: {echo}")
        for option in ("-U", "-I", "-T"):
            family = "-6" if ":" in address else "-4"
            command = ["traceroute", family, "-n", "-q", "1", "-w", "3", "-m", "5", option]
            if option == "-U":
                command += ["-p", "33434"]
            trace = run(mesh.at(a)([*command, address]), check=False).stdout
            hops = [line.split()[1] for line in trace.splitlines()[1:] if len(line.split()) > 1]
            print(f"  traceroute {option} {address}: {hops}")
            check(len(hops) == 3 and hops[2] == address, f"traceroute {option} to {address}: {trace}")
            check("*" not in hops, f"a hop doesn't answer: {trace}")
            check(hops[0] == nodes[0], f"the first hop isn't this node: {trace}")
    for place in (a, b):
        dump = run(
            mesh.at(place)(["sh", "-c", "timeout 10 tcpdump -n -e -i eth0 -c 2 icmp & sleep 1; "
                            f"ping -c 2 -i 0.2 -W 2 {b.ipv4 if place is a else a.ipv4} >/dev/null; wait"]),
            timeout=20,
        ).stdout
        frames = [line for line in dump.splitlines() if "ethertype IPv4" in line]
        check(len(frames) == 2 and "echo request" in frames[0] and "echo reply" in frames[1], dump)
        check("00:00:00:00:00:00" not in dump, f"a frame without addresses: {dump}")
    _no_invalid(mesh)


@scenario(start=False, patch=DIRECT, core=True, jit=True)
def direct_errors(mesh: Mesh) -> None:
    """Fragments and packets too big go by the stack; ICMP errors find their way, translated or not."""
    one, two = mesh.nodes
    a, b = start_pods(mesh, "a")
    service4 = Service(8080, b.ipv4, 9, address="10.96.0.10")
    service6 = Service(8080, b.ipv6, 9, address="fd00:96::10")
    _rules(mesh, [service4, service6])
    mtu = int(one.wglanctl_json("status")["node"]["mtu"])
    for address in (b.ipv4, b.ipv6):
        # IPv6 senders learn the path's MTU by the first of them, at both ends.
        run(mesh.at(a)(["ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", "-s", "3000", address]), check=False)
        for size in ("3000", "20000"):
            result = run(mesh.at(a)(["ping", "-n", "-c", "3", "-i", "0.1", "-W", "3", "-s", size, address]))
            check("3 received" in result.stdout, f"fragments of {size}: {result.stdout}")
    with Server(mesh, b, "udp", 8081):
        for address in (b.ipv4, b.ipv6):
            # A fragmented question and answer, after which conntrack knows the flow: small ones must go on.
            check(ask(mesh, a, "udp", address, 8081, 5000) != "", f"no answer to fragments from {address}")
            check(ask(mesh, a, "udp", address, 8081, 10) != "", f"no answer from {address}")
    for address, headers in ((b.ipv4, 28), (b.ipv6, 48)):
        run(mesh.at(a)(["ip", "route", "flush", "cache"]), check=False)
        size = str(1500 - headers)
        result = run(
            mesh.at(a)(["ping", "-n", "-c", "3", "-i", "0.3", "-W", "1", "-M", "do", "-s", size, address]),
            check=False,
        )
        said = result.stdout + result.stderr
        check(re.search(rf"mtu\W+{mtu}\b", said) is not None, f"no path MTU of {mtu} learned: {said}")
    refused = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.settimeout(3)
try:
    s.send(b"x"); s.recv(10)
except ConnectionRefusedError:
    print("refused")
"""
    for name, address, port in (
        ("direct", b.ipv4, 9),
        ("direct", b.ipv6, 9),
        ("translated", "10.96.0.10", 8080),
        ("translated", "fd00:96::10", 8080),
    ):
        result = run(mesh.at(a)(["python3", "-c", refused, address, str(port)]), check=False)
        check("refused" in result.stdout, f"no port unreachable of the {name} flow to {address}: {result.stderr}")
    _no_invalid(mesh)


@scenario(start=False, patch=DIRECT, core=True, jit=True)
def direct_services(mesh: Mesh) -> None:
    """Cluster addresses, node ports, hairpin, masquerade, hosts and local pods, where INVALID is dropped."""
    one, two = mesh.nodes
    a, c, b, _ = start_pods(mesh, "a", "c")
    one.run("ip", "addr", "add", "203.0.113.53/32", "dev", "lo")  # somebody's anycast service
    for node in mesh.nodes:  # as a default route would
        node.run("ip", "route", "add", "10.96.0.0/16", "dev", "eth0")
        node.run("ip", "route", "add", "fd00:96::/64", "dev", "eth0")
    _rules(
        mesh,
        [
            Service(80, b.ipv4, 8080, address="10.96.0.10", node_port=30080),
            Service(80, b.ipv6, 8080, address="fd00:96::10", node_port=30080),
            Service(80, a.ipv4, 8080, address="10.96.0.11"),  # a's own
            Service(80, a.ipv6, 8080, address="fd00:96::11"),
            Service(80, two.addresses.ipv4, 8080, address="10.96.0.12"),  # a pod on the host's network
        ],
    )
    for family in (4, 6):
        six = family == 6
        pod_a, pod_b = (a.ipv6, b.ipv6) if six else (a.ipv4, b.ipv4)
        host1 = one.addresses.ipv6 if six else one.addresses.ipv4
        host2 = two.addresses.ipv6 if six else two.addresses.ipv4
        remote_ip, own_ip = ("fd00:96::10", "fd00:96::11") if six else ("10.96.0.10", "10.96.0.11")
        # kube-proxy's rules DNAT whatever is asked of a node's own address at that port.
        for kind in ("tcp", "udp"):
            with (
                Server(mesh, a, kind, 8080),
                Server(mesh, b, kind, 8080),
                Server(mesh, one, kind, 8080),
                Server(mesh, two, kind, 8080),
            ):
                seen = expect(mesh, "pod to pod", a, kind, pod_b, 8080)
                check(seen == pod_a, f"pod to pod is translated: {seen}")
                expect(mesh, "pod to cluster address", a, kind, remote_ip, 80)
                expect(mesh, "remote pod to cluster address of a local pod", b, kind, own_ip, 80)
                expect(mesh, "hairpin", a, kind, own_ip, 80)
                expect(mesh, "local pod's cluster address", c, kind, own_ip, 80)
                expect(mesh, "host to cluster address", one, kind, remote_ip, 80)
                expect(mesh, "host to local pod", one, kind, pod_a, 8080)
                expect(mesh, "host to remote pod", one, kind, pod_b, 8080)
                expect(mesh, "remote host to pod", two, kind, pod_a, 8080)
                expect(mesh, "pod to local pod", c, kind, pod_a, 8080)
                expect(mesh, "pod to own node", a, kind, host1, 8080)
                expect(mesh, "pod to own node's port", a, kind, host1, 30080)
                expect(mesh, "pod to other node's port", a, kind, host2, 30080)
                expect(mesh, "node to the other's port", two, kind, host1, 30080)
                seen = expect(mesh, "masqueraded pod to node", a, kind, host2, 8080)
                check(seen == host1 or six, f"masquerade took {seen}, not {host1}")
                if not six:
                    seen = expect(mesh, "cluster address of a node", a, kind, "10.96.0.12", 80)
                    check(seen == host1, f"masquerade took {seen}, not {host1}")
    counters = direct_counters(one)
    print(f"node1: {counters}")
    check(counters["known"] > 0, "no translated packet was left to the stack")
    _no_invalid(mesh)


@scenario(jit=True)
def direct_on_one_side(mesh: Mesh) -> None:
    """Each node chooses for itself: the other end by the stack works as well."""
    one, two = mesh.nodes
    a, b = one.pod("a"), two.pod("a")
    _reload(mesh, one, DIRECT)
    wait_direct(one, a.device)
    services = [
        Service(80, b.ipv4, 8080, address="10.96.0.10"),
        Service(80, a.ipv4, 8080, address="10.96.0.11"),
    ]
    _rules(mesh, services)
    for source, target, address in ((a, b, "10.96.0.10"), (b, a, "10.96.0.11")):
        with Server(mesh, target, "tcp", 8080):
            for where, port in ((target.ipv4, 8080), (target.ipv6, 8080), (address, 80)):
                expect(mesh, f"{source.node} to {target.node}", source, "tcp", where, port)
        mesh.expect_ping(source, target.ipv4)
        mesh.expect_ping(source, target.ipv6)
    check(conntrack_knows(two, b.ipv4) is not False, "node2's conntrack has seen nothing")
    _no_invalid(mesh)


_HOLD = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 8080), timeout=10)
n = 0
print("open", flush=True)
for line in sys.stdin:
    message = b"%08d" % n
    s.sendall(message)
    got = b""
    while not got.endswith(message):
        data = s.recv(65536)
        if not data:
            sys.exit("closed")
        got += data
    n += 1
    print(n, flush=True)
"""


class _Held:
    """A TCP connection that stays open."""

    def __init__(self, mesh: Mesh, place: Pod, address: str) -> None:
        self._process = subprocess.Popen(
            mesh.at(place)([sys.executable, "-c", _HOLD, address]),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        check(self._process.stdout.readline() == "open\n", f"no connection to {address}")

    def works(self) -> bool:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return self._process.stdout.readline() != ""

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@scenario(core=True, jit=True)
def direct_switched(mesh: Mesh) -> None:
    """Host to direct and back, while connections are open and datagrams flow: nothing breaks or is lost."""
    one, two = mesh.nodes
    a, b = one.pod("a"), two.pod("a")
    _rules(mesh, [Service(80, b.ipv4, 8080, address="10.96.0.10")])
    if not mesh.has_tcx(one):
        # A device's first clsact stops it for a moment: the kernel's doing, and once only.
        for node, pod in ((one, a), (two, b)):
            node.run("tc", "qdisc", "add", "dev", pod.device, "clsact")
    with Server(mesh, b, "tcp", 8080):
        held = {"from host mode": _Held(mesh, a, b.ipv4), "IPv6": _Held(mesh, a, b.ipv6)}
        with mesh.stream(a, b, b.ipv4) as forth, mesh.stream(b, a, a.ipv6) as back:
            for turn in range(2):
                for node in mesh.nodes:
                    _reload(mesh, node, DIRECT)
                for node, pod in ((one, a), (two, b)):
                    wait_direct(node, pod.device)
                _all_work(held, f"host to direct, turn {turn}")
                held[f"from direct mode {turn}"] = _Held(mesh, a, b.ipv4)
                held[f"from direct mode {turn}, IPv6"] = _Held(mesh, a, b.ipv6)
                _all_work(held, "in direct mode")
                time.sleep(0.3)
                for node in mesh.nodes:
                    _reload(mesh, node, _HOST)
                    check(not pod_hooks(node), f"{node.name} keeps {pod_hooks(node)}")
                _all_work(held, f"direct to host, turn {turn}")
        for name, outcome in (("forth", forth.outcome), ("back", back.outcome)):
            print(f"{name}: {outcome}")
            check(outcome.lost == 0, f"{name}: {outcome.lost} datagrams lost")
        for connection in held.values():
            connection.close()
    _no_invalid(mesh)


def _all_work(held: dict[str, _Held], when: str) -> None:
    for name, connection in held.items():
        check(connection.works(), f"{when}: the connection {name} is dead")


@scenario(start=False, patch=DIRECT, jit=True)
def direct_restart(mesh: Mesh) -> None:
    """SIGKILL and a new start lose nothing; devices come and go; --cleanup leaves nothing."""
    one, two = mesh.nodes
    a, b = start_pods(mesh, "a")
    _rules(mesh, [])
    with mesh.stream(a, b, b.ipv4) as stream:
        one.agent_kill()
        time.sleep(0.3)
        one.agent_start()
        wait_direct(one, a.device)
        two.agent_stop()
        two.agent_start()
        wait_direct(two, b.device)
    print(stream.outcome)
    check(stream.outcome.lost == 0, f"{stream.outcome.lost} datagrams lost")
    # A pod that goes takes its entry along; one that comes is there within moments.
    before = one.wglanctl_json("status")["steering"]["attachments"]
    new = one.pod("new")
    took = eventually(lambda: new.device in pod_hooks(one), "the new pod's device isn't hooked", timeout=5)
    print(f"hooked after {took * 1000:.0f} ms")
    with Server(mesh, b, "tcp", 8080):
        expect(mesh, "new pod", new, "tcp", b.ipv4, 8080)
    one.run("ip", "link", "del", new.device)
    eventually(
        lambda: one.wglanctl_json("status")["steering"]["attachments"] == before,
        "the gone device is still listed",
        timeout=5,
    )
    pods = one.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/wglan/maps/wglan_pods").stdout
    check(len(json.loads(pods)) == 1, f"entries left behind: {pods}")
    one.agent_stop()
    one.run(*one.agent_command("--cleanup"))
    check("wglan" not in one.run("bpftool", "net").stdout, "a program is left")
    check(one.run("ls", "/sys/fs/bpf").stdout.strip() in ("", "maps.debug\nprogs.debug"), "pins are left")


@scenario(start=False, patch=DIRECT, jit=True)
def direct_address_change(mesh: Mesh) -> None:
    """A node that gets another address keeps its pods' flows, direct and translated ones."""
    one, two = mesh.nodes
    a, b = start_pods(mesh, "a")
    _rules(mesh, [Service(80, b.ipv4, 8080, address="10.96.0.10")])
    with Server(mesh, b, "tcp", 8080), Server(mesh, two, "tcp", 8081):
        held = {"direct": _Held(mesh, a, b.ipv4)}
        one.run("ip", "addr", "add", "192.0.2.101/24", "dev", "eth0")
        one.run("ip", "addr", "del", "192.0.2.1/24", "dev", "eth0")
        one.run("ip", "addr", "replace", "192.0.2.101/24", "dev", "eth0")
        eventually(
            lambda: "192.0.2.101/32" in (mesh.peer(two, "node1") or {}).get("prefixes", []),
            "node2 doesn't learn of the new address",
            timeout=20,
        )
        # The tunnel itself has to find its way again.
        eventually(lambda: mesh.ping(one, two.addresses.ipv4, count=1) == 1, "no tunnel any more", timeout=60)
        _all_work(held, "after the change")
        expect(mesh, "pod to pod", a, "tcp", b.ipv4, 8080)
        expect(mesh, "pod to cluster address", a, "tcp", "10.96.0.10", 80)
        eventually(
            lambda: ask(mesh, a, "tcp", two.addresses.ipv4, 8081) == "192.0.2.101",
            "masquerade doesn't take the new address",
            timeout=10,
        )
        held["direct"].close()
    _no_invalid(mesh)


def _bridge_pod(mesh: Mesh, node: Node, name: str, index: int) -> Pod:
    """A pod on cni0, the bridge that holds the pods' gateway."""
    addresses = node.addresses
    if not mesh.has_device(node, "cni0"):
        node.run("ip", "link", "add", "cni0", "type", "bridge")
        node.run("ip", "link", "set", "cni0", "up")
        node.run("ip", "addr", "add", f"{addresses.pod_gateway4}/24", "dev", "cni0")
        node.run("ip", "addr", "add", f"{addresses.pod_gateway6}/64", "dev", "cni0", "nodad")
    pod = Pod(
        node.name,
        name,
        mesh.lab.layout.pod_namespace(node.name, name),
        f"port{index}",
        addresses.pod4(index),
        addresses.pod6(index),
    )
    run(["ip", "netns", "add", pod.namespace])
    node.run("ip", "link", "add", pod.device, "type", "veth", "peer", "name", "eth0", "netns", pod.namespace)
    node.run("ip", "link", "set", pod.device, "master", "cni0", "up")
    script = f"""
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
ip link set lo up; ip link set eth0 up
ip addr add {pod.ipv4}/24 dev eth0; ip addr add {pod.ipv6}/64 dev eth0 nodad
ip route add default via {addresses.pod_gateway4}; ip route add default via {addresses.pod_gateway6}
"""
    run(mesh.at(pod)(["sh", "-ec", script]))
    return pod


@scenario(start=False, patch=DIRECT, jit=True)
def direct_bridge(mesh: Mesh) -> None:
    """Pods behind a bridge, with the bridge's frames shown to netfilter as kube-proxy wants it."""
    start_agents(mesh)
    one, two = mesh.nodes
    a, c = _bridge_pod(mesh, one, "a", 20), _bridge_pod(mesh, one, "c", 21)
    b = _bridge_pod(mesh, two, "a", 20)
    wait_direct(one, a.device, c.device)
    wait_direct(two, b.device)
    _rules(
        mesh,
        [
            Service(80, b.ipv4, 8080, address="10.96.0.10"),
            Service(80, b.ipv6, 8080, address="fd00:96::10"),
            Service(80, c.ipv4, 8080, address="10.96.0.11"),
        ],
    )
    for address in (b.ipv4, b.ipv6, c.ipv4, c.ipv6):
        mesh.expect_ping(a, address)
    mesh.expect_ping(b, a.ipv4)
    explained = one.wglanctl_json("explain", b.ipv4, "--src", a.ipv4)
    check(explained["direct"], f"not explained as direct: {explained}")
    check("cni0, whose port" in explained["steps"][0]["detail"], f"no port is named: {explained['steps'][0]}")
    for kind in ("tcp", "udp"):
        with Server(mesh, b, kind, 8080), Server(mesh, c, kind, 8080), Server(mesh, one, kind, 8081):
            check(expect(mesh, "pod to pod", a, kind, b.ipv4, 8080) == a.ipv4, "translated")
            check(expect(mesh, "pod to pod", a, kind, b.ipv6, 8080) == a.ipv6, "translated")
            expect(mesh, "pod to cluster address", a, kind, "10.96.0.10", 80)
            expect(mesh, "pod to cluster address", a, kind, "fd00:96::10", 80)
            expect(mesh, "remote pod to cluster address", b, kind, "10.96.0.11", 80)
            expect(mesh, "pod to local pod", a, kind, c.ipv4, 8080)
            expect(mesh, "host to pod", one, kind, c.ipv4, 8080)
            expect(mesh, "remote host to pod", two, kind, c.ipv4, 8080)
            expect(mesh, "pod to own node", a, kind, one.addresses.ipv4, 8081)
            expect(mesh, "remote pod to node", b, kind, one.addresses.ipv4, 8081)
    tcp_transfer(mesh, a, b, b.ipv4)
    tcp_transfer(mesh, b, a, a.ipv6)
    # The bridge takes its lowest port's address: pods that know the old one go on.
    with Server(mesh, b, "tcp", 8080):
        held = {"held": _Held(mesh, a, b.ipv4)}
        one.run("ip", "link", "add", "lowest", "address", "02:00:00:00:00:01", "type", "veth", "peer", "low2")
        one.run("ip", "link", "set", "lowest", "master", "cni0", "up")
        _all_work(held, "with another address of the bridge")
        expect(mesh, "pod to pod", a, "tcp", b.ipv4, 8080)
        held["held"].close()
    for node in (one, two):
        counters = direct_counters(node)
        print(f"{node.name}: {counters}")
        check(min(counters["sent"], counters["delivered"]) > 100, f"{node.name}: {counters}")
    _no_invalid(mesh)


def _routed_pod(node: Node, pod: Pod, link: list[str]) -> None:
    """A pod behind a route alone, as Calico makes them: the host's end has no address, and the pod knows its
    MAC address without asking, so that the host never learns the pod's from it."""
    mac = "ee:ee:ee:ee:ee:ee"
    run(["ip", "netns", "add", pod.namespace])
    if "netkit" in link:
        command = [sys.executable, netkit.__file__, link[-1], pod.device, "eth0", f"/run/netns/{pod.namespace}"]
    else:
        command = ["ip", "link", "add", pod.device, *link, "netns", pod.namespace]
    made = node.run(*command, check=False)
    if made.returncode != 0:
        raise Skipped(f"{' '.join(link)}: {made.stderr.strip()}")
    has_mac = "l3" not in link
    if has_mac:
        node.run("ip", "link", "set", pod.device, "address", mac)
    node.run("ip", "link", "set", pod.device, "up")
    node.run("ip", "route", "add", f"{pod.ipv4}/32", "dev", pod.device)
    node.run("ip", "route", "add", f"{pod.ipv6}/128", "dev", pod.device)
    neighbours = ""
    if has_mac:
        neighbours = f"""
ip neigh add 169.254.1.1 lladdr {mac} nud permanent dev eth0
ip neigh add fe80::1 lladdr {mac} nud permanent dev eth0"""
    script = f"""
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
ip link set lo up; ip link set eth0 up
ip addr add {pod.ipv4}/32 dev eth0; ip addr add {pod.ipv6}/128 dev eth0 nodad
ip route add 169.254.1.1 dev eth0 scope link; ip route add default via 169.254.1.1 dev eth0
ip route add default via fe80::1 dev eth0{neighbours}
"""
    run(["nsenter", f"--net=/run/netns/{pod.namespace}", "sh", "-ec", script])


def _exchange(mesh: Mesh, a: Pod, b: Pod) -> None:
    one = mesh.lab.node(a.node)
    with Server(mesh, b, "tcp", 8080), Server(mesh, a, "tcp", 8080):
        for source, address, own in ((a, b.ipv4, a.ipv4), (b, a.ipv4, b.ipv4), (a, b.ipv6, a.ipv6), (b, a.ipv6, b.ipv6)):
            check(expect(mesh, f"{source.name}", source, "tcp", address, 8080) == own, "translated")
        expect(mesh, "to the cluster address", a, "tcp", "10.96.0.10", 80)
        expect(mesh, "host to pod", one, "tcp", a.ipv4, 8080)
    tcp_transfer(mesh, b, a, a.ipv4)
    counters = direct_counters(one)
    check(min(counters["sent"], counters["delivered"]) > 100, f"{one.name}: {counters}")
    _no_invalid(mesh)


def _new_pod(mesh: Mesh, node: Node, name: str, device: str, index: int) -> Pod:
    addresses = node.addresses
    return Pod(
        node.name,
        name,
        mesh.lab.layout.pod_namespace(node.name, name),
        device,
        addresses.pod4(index),
        addresses.pod6(index),
    )


@scenario(start=False, patch=DIRECT, jit=True)
def direct_routed(mesh: Mesh) -> None:
    """Pods behind host routes alone, whose neighbour entries the node has to make itself."""
    one, two = mesh.nodes
    start_agents(mesh)
    a, b = _new_pod(mesh, one, "r", "cali1", 30), two.pod("a")
    _routed_pod(one, a, ["type", "veth", "peer", "name", "eth0"])
    wait_direct(one, a.device)
    _rules(mesh, [Service(80, b.ipv4, 8080, address="10.96.0.10")])
    check(a.ipv4 not in one.run("ip", "neigh").stdout, "the node knows the pod already: nothing is tested")
    _exchange(mesh, a, b)


@scenario(start=False, patch=DIRECT, jit=True)
def direct_netkit(mesh: Mesh) -> None:
    """Pods behind netkit devices, with and without MAC addresses, where the kernel has them."""
    one, two = mesh.nodes
    start_agents(mesh)
    b = two.pod("a")
    _rules(mesh, [Service(80, b.ipv4, 8080, address="10.96.0.10")])
    for index, mode in enumerate(("l3", "l2")):
        a = _new_pod(mesh, one, mode, f"nk{index}", 31 + index)
        _routed_pod(one, a, ["type", "netkit", "mode", mode])
        wait_direct(one, a.device)
        _exchange(mesh, a, b)


@scenario(start=False, patch=[*DIRECT, {"op": "add", "path": "/steering/podInterfaces", "value": ["veth1*"]}], jit=True)
def direct_chosen_devices(mesh: Mesh) -> None:
    """podInterfaces as a list: the rest goes by the stack."""
    one, two = mesh.nodes
    a, b = start_pods(mesh, "a")
    other = _new_pod(mesh, one, "r", "cali1", 30)
    _routed_pod(one, other, ["type", "veth", "peer", "name", "eth0"])
    _rules(mesh, [])
    with Server(mesh, b, "tcp", 8080):
        expect(mesh, "chosen", a, "tcp", b.ipv4, 8080)
        expect(mesh, "not chosen", other, "tcp", b.ipv4, 8080)
    check(other.device not in pod_hooks(one), "the other device is hooked as well")
    check(conntrack_knows(one, other.ipv4) is not False, "the other pod's flow wasn't in the stack")
    check(not conntrack_knows(one, a.ipv4), "the chosen pod's flow was in the stack")
    _no_invalid(mesh)
