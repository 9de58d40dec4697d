# SPDX-License-Identifier: Apache-2.0
"""Changes of the world: each recovers by itself, within its time (tools/bench/recovery has the medians)."""

import base64
import socket
import time

from lablib import changes
from lablib.namespaces import inside
from lablib.recovery import CASES, Case, measure, start
from lablib.shell import SLOW, run
from lablib.watch import Watch

from .. import noise
from ..scenario import Mesh, check, eventually, scenario
from ..stream import Stream
from .paths import changes_of_state

_CORE = ("own_address_no_discovery", "rebooted", "blackhole_in")
_DETECTION = 10.0


def _register(case: Case) -> None:
    def recover(mesh: Mesh) -> None:
        start(mesh.lab, case)
        took = measure(mesh.lab, case)
        print(f"{case.text}: {took:.2f} s")
        check(took <= case.limit * SLOW, f"{took:.2f} s, more than {case.limit:g}")

    recover.__name__ = f"recovery_{case.name}"
    recover.__doc__ = case.text
    scenario(nodes=case.nodes, start=False, core=case.name in _CORE)(recover)


for _case in CASES.values():
    _register(_case)


@scenario()
def one_way_blackhole_is_noticed_by_both(mesh: Mesh) -> None:
    """One direction dies, of either node, with traffic and without: both call the other down in time."""
    one, two = mesh.nodes
    for where in ("prerouting", "output"):
        for busy in (False, True):
            mesh.lab.wait_ready()
            with Watch((two if busy else one).namespace, mesh.overlay(one if busy else two)) as watch:
                watch.recovered(time.monotonic(), timeout=30)
                if not busy:
                    watch.pause()
                    time.sleep(3)
                begin = time.monotonic()
                changes.drop(two, "udp dport 51820", hook=where)
                took = {}
                while len(took) < 2 and time.monotonic() - begin < 2 * _DETECTION * SLOW:
                    for node, other in ((one, "node2"), (two, "node1")):
                        if node.name not in took and mesh.peer_state(node, other) == "down":
                            took[node.name] = time.monotonic() - begin
                    time.sleep(0.05)
                reasons = [
                    (mesh.peer(node, other) or {})["reason"]
                    for node, other in ((one, "node2"), (two, "node1"))
                ]
                text = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(took.items()))
                print(f"{where} of node2, {'busy' if busy else 'idle'}: down at {text}: {reasons}")
                changes.drop_nothing(two)
            check(len(took) == 2, f"{where}: noticed by {sorted(took)} alone")
            check(max(took.values()) <= (_DETECTION + 0.5) * SLOW, f"{where}: {took}")


@scenario()
def clock_set_back_is_overcome(mesh: Mesh) -> None:
    """A node kept its key, its clock was set back over a reboot, and nobody can call it: found again."""
    one, two = mesh.nodes
    key = base64.b64decode(two.run("cat", "/var/lib/wglan/private.key").stdout)
    peer = base64.b64decode(one.wglanctl_json("status")["node"]["publicKey"])
    address = mesh.overlay(two)
    changes.power_off(two)
    # As if its last handshake had been tomorrow: that is what node1 remembers of it.
    message = noise.initiation(key, peer, time.time() + 86400)

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.bind((two.addresses.ipv4, 51820))
            wire.settimeout(5 * SLOW)
            wire.sendto(message, (one.addresses.ipv4, 51820))
            check(len(wire.recv(2048)) == 92, "node1 doesn't answer the forged initiation")

    inside(two.namespace, send)
    # node1's initiations don't reach it, as behind a NAT.
    two.run(
        "nft",
        "add table inet nat1; add chain inet nat1 in { type filter hook input priority 0; };"
        "add rule inet nat1 in udp dport 51820 ct state new drop",
    )
    begin = time.monotonic()
    two.agent_start()
    took = eventually(
        lambda: mesh.peer_state(one, "node2") == "up" and mesh.ping(one, address, count=1) == 1,
        "node1 doesn't take node2 back",
        timeout=30,
    )
    since = time.monotonic() - begin
    print(f"reached again {since:.1f} s after its agent's start ({took:.1f} s after it answered)")
    said = changes_of_state(mesh, one, "node2")
    for line in said:
        print(f"  node1: {line}")
    check(any(" is down: " in line for line in said), "node1 never refused node2: the clock wasn't set back")


@scenario(start=False)
def better_path_is_taken_without_loss(mesh: Mesh) -> None:
    """Two nodes reach each other by routers; a network in common comes, dead at first: taken once it works."""
    lab, (one, two) = mesh.lab, mesh.nodes
    changes.set_gateway(lab, "br0", "192.0.2.254/24")
    for number, node in enumerate(mesh.nodes, 1):
        other = f"br{number}"
        changes.add_network(lab, other, f"198.51.{99 + number}.254/24")
        changes.mend(lab, node, other)
        changes.set_addresses(
            node,
            remove=[f"{node.addresses.ipv4}/24", f"{node.addresses.ipv6}/64"],
            add=[f"198.51.{99 + number}.{number}/24"],
        )
        node.run("ip", "route", "replace", "default", "via", f"198.51.{99 + number}.254")
    run(["ip", "-n", lab.layout.discovery, "route", "replace", "default", "via", "192.0.2.254"])
    lab.start_agents()
    far, near = "198.51.101.2:51820", "10.77.0.2:51820"

    def reached_at(endpoint: str) -> bool:
        peer = mesh.peer(one, "node2") or {}
        return peer["endpoint"] == endpoint and peer["state"] == "up"

    def near_one() -> dict[str, object]:
        peer = mesh.peer(one, "node2") or {}
        found = [one for one in peer["candidates"] if one["endpoint"] == near]
        return dict(found[0]) if found else {}

    check(reached_at(far), f"node2 is reached at {(mesh.peer(one, 'node2') or {})['endpoint']}")
    for node in mesh.nodes:
        changes.add_network(lab, f"near{node.number}", f"10.78.{node.number}.254/24")
    address = {node: mesh.overlay(node) for node in mesh.nodes}
    rate = max(50, round(1000 / SLOW))
    with (
        Stream(one.command, two.command, address[two], rate=rate) as there,
        Stream(two.command, one.command, address[one], rate=rate) as back,
    ):
        for node in mesh.nodes:
            changes.add_uplink(lab, node, "eth1", f"near{node.number}", f"10.77.0.{node.number}/24")
        took = eventually(
            lambda: "no better" in str(near_one().get("result")), "the dead network isn't tried", timeout=20
        )
        print(f"tried {took:.1f} s after it came, and left alone: {near_one()['result']}")
        check(reached_at(far), "it was taken, though it is dead")
        for node in mesh.nodes:
            run(["ip", "-n", lab.layout.underlay, "link", "set", f"{node.name}-eth1", "master", "near1"])
            # What tells a host that its cable leads somewhere else.
            for state in ("down", "up"):
                run(["ip", "-n", lab.layout.underlay, "link", "set", f"{node.name}-eth1", state])
        took = eventually(lambda: reached_at(near), "the better path isn't taken", timeout=20)
        print(f"taken {took:.1f} s after it works")
        time.sleep(3)
        check(reached_at(near), "it isn't kept")
    for name, stream in (("there", there), ("back", back)):
        print(f"{name}: {stream.outcome}")
        check(stream.outcome.lost == 0, f"{name}: {stream.outcome}")
        check(stream.outcome.duplicates == 0, f"{name}: {stream.outcome}")
    check("a better path" in mesh.log(one) + mesh.log(two), "nobody says why")
