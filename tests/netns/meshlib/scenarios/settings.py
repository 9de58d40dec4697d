# SPDX-License-Identifier: Apache-2.0
"""Settings do what they say, and a running agent takes changed ones."""

import os
import signal
import time

from lablib import Node

from ..scenario import Mesh, check, eventually, scenario
from .restart import end_wireguard

_BLOCK = """
table inet wglantest {
  chain in { type filter hook input priority -500; udp dport 51820 drop; }
}
"""


def block_wireguard(node: Node) -> None:
    """From now on no WireGuard packet reaches the node."""
    node.run("sh", "-c", f"printf '%s' '{_BLOCK}' | nft -f -")


def foreign_after_ping(mesh: Mesh, source: Node, address: str, name: str) -> tuple[int, list[str]]:
    """How many pings were answered, and what crossed the underlay that a mesh doesn't send."""
    with mesh.capture(name) as capture:
        answered = mesh.ping(source, address)
    return answered, list(capture.summary().foreign)


@scenario(start=False, patch=[{"op": "add", "path": "/peers/whenUnknown", "value": "drop"}], core=True)
def unknown_peers_drop(mesh: Mesh) -> None:
    """whenUnknown: drop: before the first handshake nothing leaves in clear, and it is counted."""
    one, two = mesh.nodes
    block_wireguard(two)
    one.agent_start()
    two.agent_start()
    eventually(
        lambda: mesh.peer_state(one, "node2") == "unknown", "node2 isn't `unknown` at node1", timeout=20
    )
    answered, foreign = foreign_after_ping(mesh, one, two.addresses.ipv4, "drop")
    check(answered == 0 and not foreign, f"{answered} pings answered; in clear: {foreign}")
    check(mesh.metric(one, "wglan_dropped_packets_total") > 0, "no drop was counted")
    print("dropped: " + str(one.wglanctl_json("status")["steering"]["counters"]["dropped"]))
    check(one.wglanctl_json("explain", two.addresses.ipv4)["verdict"] == "drop", "explain doesn't say drop")


@scenario(start=False, core=True)
def unknown_peers_bypass(mesh: Mesh) -> None:
    """whenUnknown: bypass, the default: until the first handshake traffic goes as before."""
    one, two = mesh.nodes
    block_wireguard(two)
    one.agent_start()
    two.agent_start()
    eventually(
        lambda: mesh.peer_state(one, "node2") == "unknown", "node2 isn't `unknown` at node1", timeout=20
    )
    answered, foreign = foreign_after_ping(mesh, one, two.addresses.ipv4, "bypass")
    check(answered == 3 and foreign != [], f"{answered} pings answered; in clear: {foreign}")
    two.run("nft", "delete", "table", "inet", "wglantest")
    eventually(lambda: mesh.peer_state(one, "node2") == "up", "node2 isn't up", timeout=40)
    # The answers are node2's: it has to know as well.
    eventually(lambda: mesh.peer_state(two, "node1") == "up", "node1 isn't up at node2", timeout=40)
    answered, foreign = foreign_after_ping(mesh, one, two.addresses.ipv4, "up")
    check(answered == 3 and not foreign, f"{answered} pings answered; in clear: {foreign}")


@scenario(start=False)
def peers_that_never_were_up_bypass_though_down(mesh: Mesh) -> None:
    """Looked for in vain a peer is called down, with the reason: what goes to it isn't dropped for that."""
    one, two = mesh.nodes
    block_wireguard(two)
    one.agent_start()
    two.agent_start()
    took = eventually(
        lambda: mesh.peer_state(one, "node2") == "down", "node2 isn't given up", timeout=40, step=0.5
    )
    reason = str((mesh.peer(one, "node2") or {})["reason"])
    print(f"given up after {took:.1f} s: {reason}")
    check("no answer from any of 2 endpoints" in reason, f"the reason is {reason!r}")
    check("its agent runs" in reason and (mesh.peer(one, "node2") or {})["needsRelay"] is True, reason)
    answered, foreign = foreign_after_ping(mesh, one, two.addresses.ipv4, "vain")
    check(answered == 3 and foreign != [], f"{answered} pings answered; in clear: {foreign}")
    two.run("nft", "delete", "table", "inet", "wglantest")
    took = eventually(lambda: mesh.peer_state(one, "node2") == "up", "node2 isn't up", timeout=40)
    print(f"up {took:.1f} s after the block ended")


@scenario(patch=[{"op": "add", "path": "/peers/keepaliveSeconds", "value": 1}])
def down_peers_drop(mesh: Mesh) -> None:
    """whenDown: drop, the default: a peer that was up and is not gets nothing in clear."""
    one, two = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    two.agent_kill()
    block_wireguard(two)
    end_wireguard(two)
    took = eventually(
        lambda: mesh.peer_state(one, "node2") == "down", "node2 isn't down at node1", timeout=60
    )
    print(f"down after {took:.1f} s")
    answered, foreign = foreign_after_ping(mesh, one, two.addresses.ipv4, "down")
    check(answered == 0 and not foreign, f"{answered} pings answered; in clear: {foreign}")
    check(one.wglanctl("status").returncode == 0, "status fails with a peer down")
    # The agent's death changes nothing: the decision stands in the maps.
    one.agent_kill()
    answered, foreign = foreign_after_ping(mesh, one, two.addresses.ipv4, "dead")
    check(answered == 0 and not foreign, f"without an agent: {answered} answered; in clear: {foreign}")


@scenario(
    patch=[
        {"op": "add", "path": "/peers/keepaliveSeconds", "value": 1},
        {"op": "add", "path": "/peers/whenDown", "value": "bypass"},
    ]
)
def down_peers_bypass(mesh: Mesh) -> None:
    """whenDown: bypass: traffic to a peer that is down goes as if there were no mesh."""
    one, two = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    two.agent_stop()
    two.run("sh", "-c", "rm -rf /sys/fs/bpf/wglan")
    block_wireguard(two)
    end_wireguard(two)
    eventually(lambda: mesh.peer_state(one, "node2") == "down", "node2 isn't down at node1", timeout=60)
    answered, foreign = foreign_after_ping(mesh, one, two.addresses.ipv4, "down")
    check(answered == 3 and foreign != [], f"{answered} pings answered; in clear: {foreign}")


@scenario(
    patch=[
        {"op": "add", "path": "/steering/alwaysReach", "value": ["192.0.2.2:8080/tcp"]},
        {"op": "add", "path": "/steering/exclude", "value": ["2001:db8::2/128"]},
    ],
    core=True,
)
def exceptions_go_in_clear(mesh: Mesh) -> None:
    """alwaysReach and exclude keep exactly what they name out of the tunnel."""
    one, two = mesh.nodes
    with mesh.capture("reach") as capture:
        one.run("curl", "-s", "--max-time", "3", "http://192.0.2.2:8080/", check=False)
        one.run("curl", "-s", "--max-time", "3", "http://192.0.2.2:8081/", check=False)
        mesh.ping(one, "2001:db8::2")
        mesh.expect_ping(one, two.addresses.ipv4)
    foreign = capture.summary().foreign
    print(f"in clear: {dict(foreign)}")
    check(any("192.0.2.2 port 8080" in kind for kind in foreign), "the alwaysReach port was steered")
    check(any("to 2001:db8::2" in kind for kind in foreign), "the excluded prefix was steered")
    check(not any("port 8081" in kind for kind in foreign), "another port went in clear")
    check(not any("protocol 1 " in kind for kind in foreign), "pings over IPv4 went in clear")
    check(one.wglanctl_json("explain", "2001:db8::2")["verdict"] == "pass", "explain doesn't say pass")


@scenario(core=True)
def configuration_reloads(mesh: Mesh) -> None:
    """A changed file and SIGHUP reload; an invalid one keeps the old settings and is named."""
    one, two = mesh.nodes
    pid, destination = one.agent_pid(), two.addresses.ipv6
    check(_verdict(one, destination) == "steer", "node2's address isn't steered to begin with")
    good = one.patch.read_text()
    mesh.reconfigure(one, [{"op": "add", "path": "/steering/exclude", "value": [f"{destination}/128"]}])
    took = eventually(lambda: _verdict(one, destination) == "pass", "the changed file isn't taken", timeout=5)
    print(f"taken {took:.2f} s after the file changed")

    mesh.write_patch(one, '[{"op": "add", "path": "/steering/exlcude", "value": []}]')
    eventually(lambda: "exlcude" in mesh.log(one), "the log doesn't name the unknown key", timeout=5)
    check(one.agent_pid() == pid and one.agent_answers(), "an invalid file ended the agent")
    check(_verdict(one, destination) == "pass", "an invalid file changed the settings")
    check(
        "exlcude" in one.wglanctl("status").stdout + str(one.wglanctl_json("status")),
        "the status doesn't tell of the invalid file",
    )

    mesh.write_patch(one, good)
    os.kill(pid or 0, signal.SIGHUP)
    eventually(lambda: _verdict(one, destination) == "steer", "the old file isn't taken again", timeout=5)
    mesh.expect_ping(one, destination)


def _verdict(node: Node, address: str) -> str:
    return str(node.wglanctl_json("explain", address)["verdict"])


@scenario(core=True)
def prefixes_change_live(mesh: Mesh) -> None:
    """A prefix advertised at run time reaches the others' kernels at once, and goes again."""
    one, two = mesh.nodes
    two.run("ip", "addr", "add", "198.51.100.1/32", "dev", "lo")
    mesh.reconfigure(two, [{"op": "add", "path": "/advertise/prefixes", "value": ["198.51.100.0/24"]}])
    took = eventually(
        lambda: mesh.ping(one, "198.51.100.1", count=1) == 1, "the new prefix isn't reached", timeout=10
    )
    print(f"reached {took:.2f} s after the file changed")
    mesh.reconfigure(two, [{"op": "remove", "path": "/advertise/prefixes"}])
    took = eventually(lambda: _verdict(one, "198.51.100.1") == "pass", "the prefix stays", timeout=10)
    print(f"gone {took:.2f} s after the file changed")
    time.sleep(0.2)
    mesh.expect_ping(one, two.addresses.ipv4)
