# SPDX-License-Identifier: Apache-2.0
"""Paths between nodes die, move and come back: noticed in time, found again, and no false alarms."""

import os
import signal
import time

from lablib import Node
from lablib.shell import SLOW, run

from ..scenario import Mesh, check, eventually, scenario

_DETECTION = 10.0  # seconds, peers.downAfter's default
_QUIET = 40.0
# Of what comes to the WireGuard port; the other end loses as much of what goes the other way.
_LOSS = (
    "add table inet loss; add chain inet loss in { type filter hook prerouting priority -500; };"
    "add rule inet loss in udp dport 51820 numgen random mod 10 0 drop"
)


def cut(mesh: Mesh, node: Node) -> None:
    """Its cable leads nowhere; its own device notices nothing."""
    run(["ip", "-n", mesh.lab.layout.underlay, "link", "set", node.name, "nomaster"])


def mend(mesh: Mesh, node: Node) -> None:
    run(["ip", "-n", mesh.lab.layout.underlay, "link", "set", node.name, "master", "br0"])


def changes_of_state(mesh: Mesh, node: Node, name: str) -> list[str]:
    return [line for line in mesh.log(node).splitlines() if f"{name} is " in line]


def expect_undisturbed(mesh: Mesh, node: Node, name: str, *, seconds: float) -> None:
    before = changes_of_state(mesh, node, name)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(mesh.peer_state(node, name) == "up", f"{node.name} calls {name} {mesh.peer(node, name)}")
        time.sleep(0.5)
    more = changes_of_state(mesh, node, name)[len(before) :]
    check(not more, f"{node.name} said: {more}")


@scenario(nodes=3, core=True)
def dead_path_is_noticed_within_ten_seconds(mesh: Mesh) -> None:
    """A node's cable is cut: the others call it down within 10 s and nobody else, and find it again."""
    one, two, three = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    for attempt in range(3):
        time.sleep(1.7 * attempt)
        cut(mesh, two)
        start = time.monotonic()
        took = eventually(
            lambda: mesh.peer_state(one, "node2") == "down", "node1 doesn't notice", timeout=_DETECTION + 0.5
        )
        eventually(
            lambda: mesh.peer_state(three, "node2") == "down",
            "node3 doesn't notice",
            timeout=max(0.1, _DETECTION + 0.5 - (time.monotonic() - start)),
        )
        reason = (mesh.peer(one, "node2") or {})["reason"]
        check("no answer to" in reason, f"the reason is {reason!r}")
        check(mesh.peer_state(one, "node3") == "up", "node3 is suspected too")
        mend(mesh, two)
        back = eventually(
            lambda: all(
                mesh.peer_state(node, name) == "up"
                for node, name in ((one, "node2"), (three, "node2"), (two, "node1"), (two, "node3"))
            ),
            "node2 isn't found again",
            timeout=30,
        )
        print(f"down after {took:.1f} s, up {back:.1f} s after the mend")
        mesh.expect_ping(one, two.addresses.ipv4)
    check(len(changes_of_state(mesh, one, "node3")) <= 1, str(changes_of_state(mesh, one, "node3")))


@scenario(core=True)
def idle_healthy_peer_stays_up(mesh: Mesh) -> None:
    """Nobody sends anything: no alarm, a probe in 5 s at most, and a round trip is known."""
    one, two = mesh.nodes
    time.sleep(2)
    before = mesh.metric(one, "wglan_probes_sent_total")
    expect_undisturbed(mesh, one, "node2", seconds=_QUIET)
    sent = mesh.metric(one, "wglan_probes_sent_total") - before
    peer = mesh.peer(one, "node2") or {}
    print(f"{sent:g} probes in {_QUIET:g} s, round trip {peer['rttMs']} ms, {peer['probeLoss']} lost")
    check(1 <= sent <= _QUIET / 5 + 3 * SLOW, f"{sent} probes were sent")
    check(isinstance(peer["rttMs"], float) and 0 < peer["rttMs"] < 1000, f"rttMs is {peer['rttMs']}")
    check(mesh.metric(one, 'wglan_peer_rtt_seconds{peer="node2"}') > 0, "no wglan_peer_rtt_seconds")
    check(mesh.peer_state(two, "node1") == "up", "node2 thinks otherwise")


@scenario(core=False)
def lossy_path_stays_up(mesh: Mesh) -> None:
    """A tenth of all packets is lost each way: no alarm."""
    one, two = mesh.nodes
    for node in mesh.nodes:
        node.run("nft", _LOSS)
    expect_undisturbed(mesh, one, "node2", seconds=_QUIET)
    print(f"{(mesh.peer(one, 'node2') or {})['probeLoss']:.2f} of the probes were lost")


@scenario(core=True)
def peer_of_a_stopped_agent_stays_up(mesh: Mesh) -> None:
    """The agent ends, by SIGTERM or SIGKILL or held still: its data plane lives, and its peers see that."""
    one, two = mesh.nodes
    two.agent_stop()
    expect_undisturbed(mesh, one, "node2", seconds=15)
    two.agent_start()
    two.agent_kill()
    expect_undisturbed(mesh, one, "node2", seconds=15)
    two.agent_start()
    two.wait_ready(1)
    pid = two.agent_pid() or 0
    os.kill(pid, signal.SIGSTOP)
    try:
        expect_undisturbed(mesh, one, "node2", seconds=15)
    finally:
        os.kill(pid, signal.SIGCONT)
    # Who was held still for longer than any time-out alarms nobody either.
    expect_undisturbed(mesh, two, "node1", seconds=12)


@scenario()
def peer_that_answers_no_echo_stays_up(mesh: Mesh) -> None:
    """A host that ignores pings is alive by what WireGuard itself answers."""
    one, two = mesh.nodes
    two.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/icmp/echo_ignore_all")
    one.agent_kill()
    one.agent_start()
    one.wait_ready(1)
    expect_undisturbed(mesh, one, "node2", seconds=_QUIET)
    cut(mesh, two)
    took = eventually(
        lambda: mesh.peer_state(one, "node2") == "down", "node1 doesn't notice its death", timeout=35
    )
    print(f"down after {took:.1f} s")


@scenario(core=True)
def moved_peer_is_found(mesh: Mesh) -> None:
    """A node's address changes, with its agent running and without: reached again in seconds."""
    one, two = mesh.nodes
    mesh.expect_ping(one, mesh.overlay(two))
    new = "192.0.2.77"
    # With another address at hand it would be reached there in the moment in between.
    two.run("ip", "addr", "del", f"{two.addresses.ipv6}/64", "dev", "eth0")

    def reached_at(address: str) -> bool:
        peer = mesh.peer(one, "node2") or {}
        return peer["state"] == "up" and str(peer["endpoint"]).startswith(address)

    overlay = mesh.overlay(two)
    old = two.addresses.ipv4
    two.run("ip", "addr", "del", f"{old}/24", "dev", "eth0")
    two.run("ip", "addr", "add", f"{new}/24", "dev", "eth0")
    took = eventually(lambda: reached_at(new), "node1 doesn't follow", timeout=10)
    again = eventually(lambda: mesh.ping(one, overlay, count=1) == 1, "no traffic passes", timeout=10)
    print(f"agent running: followed after {took:.1f} s, traffic {again:.1f} s later")
    for line in changes_of_state(mesh, two, "node1")[1:]:
        print(f"  node2: {line}")
    check("is reached at" in mesh.log(one), "the log doesn't tell of the move")
    check(mesh.peer_state(two, "node1") == "up", "node2 lost node1")
    eventually(
        lambda: any(
            str(one_of["endpoint"]).startswith(new) and one_of["source"] == "announced"
            for one_of in (mesh.peer(one, "node2") or {})["candidates"]
        ),
        "the new address isn't announced",
        timeout=10,
    )
    # Nobody tells of the way back: the other end has to search.
    two.run("ip", "addr", "add", f"{two.addresses.ipv6}/64", "dev", "eth0", "nodad")
    eventually(
        lambda: any(
            str(one_of["endpoint"]).startswith(f"[{two.addresses.ipv6}]")
            for one_of in (mesh.peer(one, "node2") or {})["candidates"]
        ),
        "the IPv6 address isn't announced",
        timeout=10,
    )
    two.agent_kill()
    two.run("ip", "addr", "del", f"{new}/24", "dev", "eth0")
    took = eventually(
        lambda: (mesh.peer(one, "node2") or {})["state"] == "up"
        and mesh.ping(one, overlay, count=1) == 1
        and not reached_at(new),
        "node1 doesn't find node2's other address",
        timeout=40,
    )
    print(f"agent dead: found by its IPv6 address after {took:.1f} s")


@scenario(core=True)
def both_agents_restarted_at_once(mesh: Mesh) -> None:
    """Both ends' agents are killed and started together: nothing is lost, both are up within seconds."""
    one, two = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    with mesh.stream(one, two, two.addresses.ipv4) as stream:
        time.sleep(0.5)
        for node in mesh.nodes:
            node.agent_kill()
        time.sleep(0.5)
        start = time.monotonic()
        for node in mesh.nodes:
            node.agent_launch()
        for node in mesh.nodes:
            node.agent_await()
            node.wait_ready(1)
        took = time.monotonic() - start
        time.sleep(6)
    print(f"both up after {took:.1f} s; {stream.outcome}")
    check(stream.outcome.lost == 0, str(stream.outcome))
    for node, other in ((one, "node2"), (two, "node1")):
        said = [line for line in changes_of_state(mesh, node, other) if " down" in line]
        check(not said, f"{node.name} said {said}")


@scenario(nodes=3, start=False)
def what_members_see_is_published(mesh: Mesh) -> None:
    """Nobody announces an endpoint but node1: it tells node2 and node3 where it sees each of them."""
    one, two, three = mesh.nodes
    for node, filters in ((one, ["0.0.0.0/0"]), (two, ["!0.0.0.0/0", "!::/0"]), (three, ["!0.0.0.0/0", "!::/0"])):
        mesh.reconfigure(node, [{"op": "add", "path": "/advertise", "value": {"endpointFilters": filters}}])
        node.agent_start()
    eventually(
        lambda: set(one.wglanctl_json("record")["observed"].values())
        == {f"{node.addresses.ipv4}:51820" for node in (two, three)},
        "node1's record doesn't say where it sees the others",
        timeout=30,
    )
    took = eventually(
        lambda: mesh.peer_state(two, "node3") == "up" and mesh.peer_state(three, "node2") == "up",
        "node2 and node3 don't find each other",
        timeout=30,
    )
    print(f"found {took:.1f} s after node1's record told of them")
    sources = {c["source"] for c in (mesh.peer(two, "node3") or {})["candidates"]}
    check("peers" in sources or "roamed" in sources, f"candidates by {sources}")
    mesh.expect_ping(two, mesh.overlay(three))


def _know_each_other(mesh: Mesh, endpoints: list[str]) -> float:
    """node1 gets an entry of node2 with these endpoints, node2 one of node1 without any; how long until up."""
    entries = {}
    for node in mesh.nodes:
        own = node.wglanctl_json("status")["node"]
        entries[node.name] = {
            "name": node.name,
            "publicKey": own["publicKey"],
            "address": own["address"],
            "prefixes": [f"{node.addresses.ipv4}/32"],
        }
    one, two = mesh.nodes
    before = {node: node.patch.read_text() for node in mesh.nodes}
    mesh.reconfigure(two, [{"op": "add", "path": "/discovery/static/-", "value": entries["node1"]}])
    eventually(lambda: mesh.peer(two, "node1") is not None, "node2 doesn't take the entry", timeout=5)
    entry = {**entries["node2"], "endpoints": endpoints}
    mesh.reconfigure(one, [{"op": "add", "path": "/discovery/static/-", "value": entry}])
    eventually(lambda: mesh.peer(one, "node2") is not None, "node1 doesn't take the entry", timeout=5, step=0.01)
    took = eventually(
        lambda: mesh.peer_state(one, "node2") == "up", "node2 isn't found", timeout=5, step=0.01
    )
    eventually(lambda: mesh.peer_state(two, "node1") == "up", "node2 doesn't see node1 up", timeout=5)
    mesh.expect_ping(one, two.addresses.ipv4)
    for node, text in before.items():
        mesh.write_patch(node, text)
    for node, name in ((one, "node2"), (two, "node1")):
        eventually(lambda: mesh.peer(node, name) is None, "an entry stays", timeout=5)  # noqa: B023
    return took


@scenario(core=True, start=False)
def right_candidate_of_eight_is_found_at_once(mesh: Mesh) -> None:
    """Tried in turn it would take 40 s: each initiation goes to all, and those of the other family come next."""
    for node in mesh.nodes:
        mesh.reconfigure(node, [{"op": "replace", "path": "/discovery/services", "value": []}])
        node.agent_start()
    one, two = mesh.nodes
    four, six = two.addresses.ipv4, two.addresses.ipv6
    wrong4 = [f"192.0.2.{100 + i}:51820" for i in range(6)] + [f"{four}:51999"]
    wrong6 = [f"[2001:db8::{100 + i}]:51820" for i in range(3)] + [f"[{six}]:51999"]
    for name, endpoints in (
        ("the last of eight, IPv4", [*wrong4, f"{four}:51820"]),
        ("the last of five, IPv6", [*wrong6, f"[{six}]:51820"]),
        ("the only one of its family", [*wrong6, f"{four}:51820"]),
        ("in the midst of both families", [*wrong6[:2], *wrong4[:2], f"{four}:51820", *wrong4[2:4], *wrong6[2:]]),
    ):
        took = sorted(_know_each_other(mesh, endpoints) for _ in range(3))
        print(f"{name}: {' '.join(f'{seconds * 1000:.0f}' for seconds in took)} ms")
    cloned = one.wglanctl_json("status")["steering"]["counters"]["handshakesCloned"]
    check(cloned > 0, "no initiation was cloned")
    print(f"{cloned} clones")
