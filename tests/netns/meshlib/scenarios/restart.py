# SPDX-License-Identifier: Apache-2.0
"""Programs die and come back; the mesh carries on."""

import json
import os
import signal
import time
from typing import Any

from lablib import Node

from ..scenario import Mesh, Skipped, check, eventually, scenario
from ..sick_service import SickService


def reboot(node: Node) -> None:
    """What a reboot leaves: the files under the state directory, nothing in the kernel."""
    node.agent_kill()
    end_wireguard(node)
    node.run("ip", "link", "delete", "wglan0", check=False)
    for device in ("eth0",):
        node.run("tc", "qdisc", "delete", "dev", device, "clsact", check=False)
    # Links are detached by the removal of their last pin.
    node.run("rm", "-rf", "/sys/fs/bpf/wglan")
    node.run("sh", "-c", "rm -rf /run/wglan/* /run/wireguard/*")


def wireguard_pid(node: Node) -> int | None:
    """The wireguard-go of that node's wglan0."""
    for pid in node.run("ip", "netns", "pids", node.namespace).stdout.split():
        try:
            with open(f"/proc/{pid}/comm") as comm:
                if comm.read().strip().startswith("wireguard-go"):
                    return int(pid)
        except OSError:
            continue
    return None


def end_wireguard(node: Node) -> None:
    """The node's WireGuard is gone: its process, or the kernel's device, which would go on calling peers."""
    pid = wireguard_pid(node)
    if pid is None:
        node.run("ip", "link", "delete", "wglan0", check=False)
        return
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: wireguard_pid(node) is None, "wireguard-go doesn't end", timeout=5)


@scenario(core=True)
def agent_killed_under_traffic(mesh: Mesh) -> None:
    """SIGKILL and a new start lose no packet: device, sessions, programs and maps are adopted."""
    one, two = mesh.nodes
    source, destination = mesh.pod(one), mesh.pod(two)
    mesh.expect_ping(source, destination.ipv4)
    mesh.expect_ping(one, two.addresses.ipv6)
    before = (mesh.ifindex(one), mesh.peer(one, "node2"))
    with mesh.stream(source, destination, destination.ipv4) as pods, mesh.stream(
        one, two, two.addresses.ipv6
    ) as hosts:
        time.sleep(1)
        one.agent_kill()
        time.sleep(1.5)
        one.agent_start()
        one.wait_ready(1)
        time.sleep(1)
        two.agent_kill()
        two.agent_start()
        two.wait_ready(1)
        time.sleep(1)
    print(f"pod to pod: {pods.outcome}\nnode to node: {hosts.outcome}")
    after = mesh.peer(one, "node2")
    check(before[1] is not None and after is not None, "node2 isn't node1's peer")
    check(mesh.ifindex(one) == before[0], "wglan0 was made anew")
    for name, outcome in (("pod to pod", pods.outcome), ("node to node", hosts.outcome)):
        check(outcome.sent > 100, f"{name}: hardly anything was sent")
        check(outcome.lost == 0, f"{name}: {outcome}")
        check(outcome.duplicates == 0, f"{name}: {outcome}")


@scenario(core=True)
def upgrade_swaps_the_layout(mesh: Mesh) -> None:
    """A version with another layout of the maps takes over under traffic, and the old one again."""
    one, two = mesh.nodes
    if not one.has_program("wglan-agent-next"):
        raise Skipped("wglan-agent-next isn't built (it is part of the tests' build)")
    source, destination = mesh.pod(one), mesh.pod(two)
    mesh.expect_ping(source, destination.ipv4)
    mesh.expect_ping(one, two.addresses.ipv6)
    versions = [_layout_version(one)]
    with mesh.stream(source, destination, destination.ipv4) as ipv4, mesh.stream(
        one, two, two.addresses.ipv6
    ) as ipv6:
        for program in ("wglan-agent-next", "wglan-agent"):
            time.sleep(0.5)
            one.agent_kill()
            time.sleep(0.5)
            one.agent_program = program
            one.agent_start()
            one.wait_ready(1)
            time.sleep(0.5)
            versions.append(_layout_version(one))
    print(f"layout versions {versions}; IPv4 {ipv4.outcome}; IPv6 {ipv6.outcome}")
    check(versions[0] == versions[2] != versions[1], f"layout versions {versions}")
    for outcome in (ipv4.outcome, ipv6.outcome):
        check(outcome.sent > 100 and outcome.lost == 0, str(outcome))
    check(mesh.peer_state(one, "node2") == "up", "node2 isn't up")


def _layout_version(node: Node) -> int:
    pinned = "/sys/fs/bpf/wglan/maps/wglan_config"
    entries = json.loads(node.run("bpftool", "-j", "map", "dump", "pinned", pinned).stdout)
    return int(entries[0]["formatted"]["value"]["layout_version"])


@scenario(core=True)
def agent_stopped_keeps_forwarding(mesh: Mesh) -> None:
    """SIGTERM leaves data plane and record; the successor changes nothing that stands."""
    one, two = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    with mesh.stream(one, two, two.addresses.ipv4) as stream:
        time.sleep(0.5)
        one.agent_stop()
        time.sleep(2)
        check(mesh.peer_state(two, "node1") == "up", "a stopped agent's node isn't up any more")
        one.agent_start()
        one.wait_ready(1)
        time.sleep(0.5)
    print(stream.outcome)
    check(stream.outcome.lost == 0, str(stream.outcome))
    eventually(
        lambda: bool(one.wglanctl_json("status")["steering"]["guard"]["interfaces"]),
        "the guard isn't there",
        timeout=5,
    )
    plan = one.run(*one.agent_command("--dry-run")).stdout
    print(f"dry run on a settled node: {plan.strip()}")
    check(
        not any(word in plan.lower() for word in ("add ", "remove ", "change ", "steer", "set ", "attach")),
        f"a settled node's plan isn't empty: {plan}",
    )


@scenario(nodes=3, core=True)
def service_restarted_empty(mesh: Mesh) -> None:
    """The service stops, and comes back with nothing in its store: nobody loses a peer."""
    one, two, _ = mesh.nodes
    mesh.expect_ping(one, two.addresses.ipv4)
    with mesh.stream(one, two, two.addresses.ipv4) as stream:
        mesh.lab.discovery.kill()
        eventually(
            lambda: _service(one)["state"] in ("down", "degraded", "connecting"),
            "node1 doesn't notice that the service is gone",
            timeout=20,
        )
        check(mesh.peer_state(one, "node2") == "up", "a peer went with the service")
        mesh.lab.discovery.start()
        for node in mesh.nodes:
            took = eventually(
                lambda: _service(node)["state"] == "synced"
                and int(_service(node)["records"]) >= 2,  # noqa: B023  # noqa: B023
                f"{node.name} isn't synced with the new service",
                timeout=60,
            )
            print(f"{node.name} synced again after {took:.1f} s")
            for other in mesh.nodes:
                if other is not node:
                    check(mesh.peer_state(node, other.name) == "up", f"{other.name} isn't up at {node.name}")
    print(stream.outcome)
    check(stream.outcome.lost == 0, str(stream.outcome))


def _service(node: Node) -> dict[str, Any]:
    for source in node.wglanctl_json("status")["sources"]:
        if str(source["name"]).startswith("service"):
            return dict(source)
    return {"state": "missing", "records": 0}


@scenario(nodes=3)
def cache_bridges_an_outage(mesh: Mesh) -> None:
    """All nodes reboot while the service is down: the cache alone brings the mesh back."""
    keys = {node.name: node.wglanctl_json("status")["node"]["publicKey"] for node in mesh.nodes}
    for node in mesh.nodes:
        # It is written every few seconds.
        eventually(lambda: _cached(node) >= 2, f"{node.name} remembers {_cached(node)} peers", timeout=20)  # noqa: B023
    mesh.lab.discovery.stop()
    for node in mesh.nodes:
        reboot(node)
    for node in mesh.nodes:
        node.agent_launch()
    for node in mesh.nodes:
        node.agent_await()
    for node in mesh.nodes:
        for other in mesh.nodes:
            if other is not node:
                eventually(
                    lambda: mesh.peer_state(node, other.name) == "up",  # noqa: B023
                    f"{other.name} isn't up at {node.name}",
                    timeout=40,
                )
        check(
            node.wglanctl_json("status")["node"]["publicKey"] == keys[node.name],
            f"{node.name} has another key after the reboot",
        )
    mesh.expect_ping(mesh.nodes[0], mesh.nodes[2].addresses.ipv4)


def _cached(node: Node) -> int:
    """How many records the file holds."""
    return len(json.loads(node.run("cat", "/var/lib/wglan/peers.json", check=False).stdout or "{}").get("records", []))


@scenario(core=True)
def wireguard_go_killed(mesh: Mesh) -> None:
    """The user-space backend dies: it is started again and its peers are restored."""
    one, two = mesh.nodes
    if one.wglanctl_json("status")["node"]["backend"] != "userspace":
        raise Skipped("the kernel's WireGuard has no process to kill")
    mesh.expect_ping(one, two.addresses.ipv4)
    first = wireguard_pid(one)
    check(first is not None, "there is no wireguard-go")
    end_wireguard(one)
    took = eventually(
        lambda: wireguard_pid(one) is not None and mesh.has_device(one),
        "wireguard-go isn't started again",
        timeout=10,
    )
    print(f"device back after {took:.1f} s")
    took = eventually(
        lambda: mesh.ping(one, two.addresses.ipv4, count=1) == 1, "no traffic passes", timeout=30
    )
    print(f"traffic back after {took:.1f} s more")
    eventually(lambda: mesh.peer_state(one, "node2") == "up", "node2 isn't up", timeout=30)
    with mesh.capture() as capture:
        mesh.expect_ping(one, two.addresses.ipv4)
    check(not capture.summary().foreign, f"in clear: {dict(capture.summary().foreign)}")


@scenario()
def one_service_of_two_is_sick(mesh: Mesh) -> None:
    """Services that hang, talk garbage, close mid-body or never end a line leave the mesh as it is."""
    one, two = mesh.nodes
    for manner in SickService.MANNERS:
        with SickService(mesh.lab, manner) as sick:
            mesh.reconfigure(
                one,
                [
                    {
                        "op": "add",
                        "path": "/discovery/services/-",
                        "value": {"url": sick.url, "caFile": str(mesh.lab.layout.ca)},
                    }
                ],
            )
            eventually(
                lambda: sick.asked() > 0,
                f"{manner}: the agent doesn't ask the service",  # noqa: B023
                timeout=20,
            )
            time.sleep(3)
            status = one.wglanctl_json("status")
            states = {source["name"]: source["state"] for source in status["sources"]}
            print(f"{manner}: {states}")
            check("synced" in states.values(), f"{manner}: the good service isn't synced: {states}")
            check(mesh.peer_state(one, "node2") == "up", f"{manner}: node2 isn't up")
            memory = _resident_kib(one.agent_pid() or 0)
            # A list may have 64 MiB; twice that while its buffer grows, and the text parsed.
            check(memory < 256 << 10, f"{manner}: the agent uses {memory} KiB")
            mesh.reconfigure(one, [{"op": "remove", "path": "/discovery/services/1"}])
    mesh.expect_ping(one, two.addresses.ipv4)


def _resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0
