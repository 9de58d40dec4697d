# SPDX-License-Identifier: Apache-2.0
"""`wglanctl doctor`: nothing to say of a healthy mesh, and it names what is broken."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from lablib import Node
from lablib.shell import SLOW, wait_until

from ..hooks import Foreign
from ..masquerade import Router
from ..scenario import Mesh, Skipped, check, eventually, scenario

Answer = dict[str, Any]

_KNOCKS_AT_ONCE = 6  # requests of one peer that are served, before one in 5 s
# Asks as a peer does, but as often as it can, and sends what is no question at all.
_SPAM = """
import os, socket, sys
out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
out.bind((sys.argv[1], 51822))
for i in range(int(sys.argv[3])):
    out.sendto(b"wglr\\1\\1\\0\\0" + os.urandom(16) + bytes(104), (sys.argv[2], 51822))
    out.sendto(os.urandom(i % 200), (sys.argv[2], 51822))
"""


def ask(node: Node) -> Answer:
    """The answer; its exit status is held against what it says."""
    said = node.wglanctl("doctor", "-o", "json", check=False)
    answer: Answer = json.loads(said.stdout)
    failed = answer["summary"]["fail"] > 0
    check(said.returncode == (1 if failed else 0), f"exit {said.returncode}, and it says {answer['summary']}")
    return answer


def of(answer: Answer, check_name: str, *statuses: str) -> list[str]:
    """What it says in lines of that check, with that status where one is given."""
    return [
        one["text"]
        for one in answer["checks"]
        if one["check"] == check_name and (not statuses or one["status"] in statuses)
    ]


def expect(answer: Answer, check_name: str, status: str, words: str) -> None:
    found = [one for one in answer["checks"] if one["check"] == check_name and one["status"] == status]
    check(
        any(words in one["text"] for one in found),
        f"no {status} of {check_name} with {words!r}: {json.dumps(answer['checks'], indent=1)}",
    )
    if status in ("warn", "fail"):
        check(all(one["mend"] for one in found), f"no mend: {found}")


def expect_healthy(answer: Answer) -> None:
    """But for the clock, which is the machine's."""
    odd = [one for one in answer["checks"] if one["status"] != "pass" and one["check"] != "clock"]
    check(not odd, f"it complains: {odd}")


@contextlib.contextmanager
def nft(node: Node, chain: str, rule: str) -> Iterator[None]:
    node.run("nft", f"add table inet t; add chain inet t c {{ {chain} }}; add rule inet t c {rule}")
    try:
        yield
    finally:
        node.run("nft", "delete table inet t")


@contextlib.contextmanager
def held(node: Node, file: str, value: int) -> Iterator[None]:
    """Somebody else's program sets it, again and again."""
    process = node.popen(
        "sh", "-c", f"while :; do echo {value} > {file}; sleep 0.02; done", stdin=subprocess.DEVNULL
    )
    try:
        time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


@scenario(core=True)
def doctor_finds_what_is_broken(mesh: Mesh) -> None:
    """A healthy mesh passes; a filtered port, a colliding mark and a dead agent are named."""
    one, two = mesh.nodes
    answer = ask(one)
    expect_healthy(answer)
    address = one.addresses.ipv4
    expect(answer, "nat", "pass", f"no NAT: node2 sees this node at {address}:51820")
    expect(answer, "port", "pass", f"{address}:51820 is reachable")
    expect(answer, "port", "pass", f"[{one.addresses.ipv6}]:51820 is reachable")
    check([nat["mapping"] for nat in answer["nat"]] == ["none"], f"nat is {answer['nat']}")
    (asked,) = answer["reachability"]
    check(asked["peer"] == "node2" and asked["status"] == "knocked", f"asked: {asked}")
    check(abs(asked["clockOffsetSeconds"]) <= 1, f"the clocks are apart: {asked}")
    text = one.wglanctl("doctor", check=False).stdout
    check("0 failed" in text and "\nwarn  " not in text.replace("warn  clock", ""), text)

    with nft(one, "type filter hook input priority 0;", "udp dport 51820 ct state new drop"):
        expect(ask(one), "port", "fail", "a firewall here dropped it")
        check(mesh.peer_state(one, "node2") == "up", "the session is gone")
    with nft(one, "type filter hook output priority 0;", "udp dport 53 meta mark set meta mark or 0x10"):
        expect(ask(one), "marks", "fail", "nft inet t c marks packets with 0x10/0x10")
    one.agent_kill()
    answer = ask(one)
    expect(answer, "agent", "fail", "no agent answers")
    expect(answer, "interface", "pass", "wglan0 is up")
    expect(answer, "hooks", "pass", "tc-egress")
    for unasked in ("sources", "peers", "nat", "port"):
        expect(answer, unasked, "skip", "only the agent knows")
    one.agent_start()
    one.wait_ready(1)
    eventually(lambda: not of(ask(one), "port", "skip", "fail"), "it isn't whole again", timeout=30, step=2)


@scenario()
def doctor_names_each_fault(mesh: Mesh) -> None:
    """One thing at a time is broken on a host, and said to be."""
    one, two = mesh.nodes
    with held(one, "/proc/sys/net/ipv4/conf/wglan0/rp_filter", 1):
        expect(ask(one), "rp_filter", "fail", "strict at wglan0")
    if mesh.has_tcx(one):
        with Foreign(one.command, "eth0", "egress", "first"):
            # The place is won back from the first that takes it, within seconds, and not from the next.
            wait_until(lambda: not of(ask(one), "hooks", "warn"), timeout=5, step=1)
            with Foreign(one.command, "eth0", "egress", "first"):
                expect(ask(one), "hooks", "warn", "stranger runs before wglan_egress")
    else:
        with Foreign(one.command, "eth0", "egress", "filter"):
            expect(ask(one), "hooks", "warn", "stranger runs before wglan_egress")
        one.run("tc", "filter", "del", "dev", "eth0", "egress", "pref", "1")
    eventually(lambda: not of(ask(one), "hooks", "warn"), "the stranger is gone", timeout=5, step=1)
    for rule, words in (
        (["fwmark", "0x10/0x10", "table", "77"], "routes packets with the mark of WireGuard's own"),
        (["not", "fwmark", "0xca6c", "table", "51820"], "another VPN carries the tunnel"),
    ):
        one.run("ip", "rule", "add", *rule)
        expect(ask(one), "marks", "warn", words)
        one.run("ip", "rule", "del", *rule)
    one.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
    eventually(lambda: bool(of(ask(one), "forwarding", "fail")), "forwarding is off", timeout=5, step=1)
    one.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    one.run("ip", "link", "set", "eth0", "mtu", "1300")
    expect(ask(one), "mtu", "warn", "eth0 takes 1300")
    one.run("ip", "link", "set", "eth0", "mtu", "1500")
    mesh.pod(one)
    expect(ask(one), "mtu", "warn", "lead to pods with MTU 1500")
    one.run("chmod", "644", "/var/lib/wglan/private.key")
    expect(ask(one), "permissions", "fail", "others can read the private key")
    one.run("chmod", "600", "/var/lib/wglan/private.key")
    mesh.lab.discovery.stop()
    eventually(lambda: bool(of(ask(one), "sources", "fail")), "the service is down", timeout=60, step=2)


@scenario(jit=True)
def doctor_warns_of_policy_that_direct_mode_goes_past(mesh: Mesh) -> None:
    """Chains that drop forwarded packets don't see pods' direct traffic."""
    one, _ = mesh.nodes
    with nft(one, "type filter hook forward priority 0; policy accept;", "tcp dport 4711 drop"):
        check(not of(ask(one), "policy"), "it is told of without direct mode")
        mesh.reconfigure(one, [{"op": "add", "path": "/steering/podDatapath", "value": "direct"}])

        def taken() -> bool:
            status = one.wglanctl_json("status")
            if "isn't possible on this kernel" in status["settings"]["error"]:
                raise Skipped(status["settings"]["error"])
            return bool(status["steering"]["podDatapath"] == "direct")

        eventually(taken, "node1 doesn't go direct", timeout=10)
        expect(ask(one), "policy", "warn", "pod traffic goes past what nft inet t c drops or rejects")
    expect(ask(one), "policy", "pass", "nobody filters")


@scenario()
def doctor_says_who_does_not_answer(mesh: Mesh) -> None:
    """A peer whose agent is gone can't be asked; its data plane lives, and nothing fails for it."""
    one, two = mesh.nodes
    two.agent_stop()
    answer = ask(one)
    expect(answer, "port", "skip", "no answer from node2")
    expect(answer, "nat", "skip", "no peer that is up says where it sees this node")
    check(answer["summary"]["fail"] == 0, f"{answer['summary']}")
    check([asked["status"] for asked in answer["reachability"]] == ["noAnswer"], str(answer["reachability"]))


@scenario(nodes=3, start=False)
def doctor_knows_the_nat(mesh: Mesh) -> None:
    """Behind a router: which kind of NAT it is, whether the port is reachable, and what to do."""
    one, two, three = mesh.nodes
    router = Router(mesh, three)
    router.translate("")
    for node in mesh.nodes:
        node.agent_start()
    for node in mesh.nodes:
        node.wait_ready(2, timeout=60)

    def verdict(mapping: str) -> Answer:
        found: list[Answer] = [{}]

        def holds() -> bool:
            found[0] = ask(three)
            nats = found[0]["nat"]
            return [nat["mapping"] for nat in nats] == [mapping] and len(nats[0]["seenBy"]) == 2

        # Six questions may be asked at once, then one in 5 s.
        eventually(holds, f"it isn't called {mapping}", timeout=90, step=5)
        return found[0]

    answer = verdict("endpoint-independent")
    expect(answer, "nat", "pass", f"keeping the port: node1, node2 see this node at {router.outside}:51820")
    expect(answer, "nat", "pass", "port-restricted cone")
    expect(answer, "port", "pass", "hole punching gets through")
    check(answer["summary"]["fail"] == 0, f"{answer['summary']}")
    expect(ask(one), "nat", "pass", "no NAT")

    router.translate("", forward=51820)
    eventually(
        lambda: any("is reachable" in text for text in of(ask(three), "port", "pass")),
        "the forwarded port isn't noticed",
        timeout=90,
        step=5,
    )
    expect(verdict("endpoint-independent"), "nat", "pass", "full cone")

    router.translate("fully-random")
    answer = verdict("endpoint-dependent")
    expect(answer, "nat", "warn", "symmetric")
    mends = [said["mend"] for said in answer["checks"] if said["check"] == "nat"]
    check("needs a relay" in mends[0] and "forward UDP port 51820" in mends[0], f"mend: {mends}")


@scenario()
def knocks_are_few_whatever_is_asked(mesh: Mesh) -> None:
    """A member that asks without end, or sends nonsense, makes a node send a few packets, to itself alone."""
    one, two = mesh.nodes
    target = mesh.overlay(one)
    source = mesh.overlay(two)
    two.agent_stop()
    with mesh.capture("knocks") as capture:
        two.run(sys.executable, "-c", _SPAM, source, target, "2000", timeout=60)
        time.sleep(1 * SLOW)
    check(capture.missed == 0, "frames were missed")
    # From other ports than WireGuard's, to WireGuard's: knocks.
    knocks = f"udp dst port 51820 and not udp src port 51820 and ether src {one.addresses.mac}"
    listed = subprocess.run(
        ["tcpdump", "-nn", "-r", str(capture.path), knocks],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    own = tuple(f"> {address}.51820" for address in (two.addresses.ipv4, two.addresses.ipv6))
    elsewhere = [line for line in listed if not any(to in line for to in own)]
    check(0 < len(listed) <= 2 * _KNOCKS_AT_ONCE, f"{len(listed)} knocks")
    check(not elsewhere, f"knocks elsewhere: {elsewhere}")
    check(one.agent_pid() is not None and mesh.peer_state(one, "node2") == "up", "node1's agent suffered")
    two.agent_start()
    expect_healthy(ask(one))
