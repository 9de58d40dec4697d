# SPDX-License-Identifier: Apache-2.0
"""`wglanctl monitor`: who watches sees what happens to packets, and nobody is slowed down by it."""

import contextlib
import json
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from lablib import Node
from lablib.shell import SLOW

from ..scenario import Mesh, Patch, check, eventually, scenario

Event = dict[str, Any]

_GHOST = "ghost"
_GHOST_PREFIX = "10.99.0.0/24"
_GHOST_ADDRESS = "10.99.0.9"
# A peer that never answers: until its first handshake all for it is dropped.
_WITH_GHOST: Patch = [
    {"op": "add", "path": "/peers/whenUnknown", "value": "drop"},
    {
        "op": "add",
        "path": "/discovery/static/-",
        "value": {
            "name": _GHOST,
            "publicKey": "Z2hvc3RnaG9zdGdob3N0Z2hvc3RnaG9zdGdob3N0Z2g=",
            "prefixes": [_GHOST_PREFIX],
            "endpoints": ["192.0.2.254:51820"],
        },
    },
]
_SEND = """
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[3])):
    try:
        out.sendto(b"x" * int(sys.argv[4]), (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
"""


class Monitor:
    """`wglanctl monitor -o json` in a node; reads what it prints as it comes."""

    def __init__(self, node: Node, *options: str) -> None:
        self.process = node.popen(
            "wglanctl",
            "monitor",
            "-o",
            "json",
            *options,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.events: list[Event] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def look(self) -> list[Event]:
        """All events up to now."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.events.append(json.loads(self._lines.get_nowait()))
        return self.events

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.look() if event["type"] == kind]

    def expect(self, what: str, matches: Callable[[Event], bool], *, timeout: float = 10) -> Event:
        eventually(
            lambda: any(matches(event) for event in self.look()),
            f"the monitor doesn't show {what}",
            timeout=timeout,
        )
        return next(event for event in self.events if matches(event))

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=10 * SLOW)


@contextlib.contextmanager
def watching(node: Node, *options: str) -> Iterator[Monitor]:
    """Nothing escapes it from the beginning of the block on."""
    monitor = Monitor(node, *options)
    try:
        monitor.expect("its start", lambda event: event["type"] == "start")
        yield monitor
    finally:
        if monitor.process.poll() is None:
            monitor.process.kill()
            monitor.process.wait()


def _send(node: Node, address: str, *, count: int = 1, size: int = 32) -> None:
    node.run("python3", "-c", _SEND, address, "5000", str(count), str(size))


def _to_ghost(node: Node, two: Node) -> None:
    """Sends out what is for the ghost as a CNI's route would, over the uplink."""
    node.run("ip", "route", "add", _GHOST_PREFIX, "via", two.addresses.ipv4, "dev", "eth0")
    node.run("ping", "-c", "1", "-W", "1", two.addresses.ipv4)


def _config(node: Node) -> Event:
    dump = node.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/wglan/maps/wglan_config").stdout
    return dict(json.loads(dump)[0]["formatted"]["value"])


@scenario(core=True, patch=_WITH_GHOST)
def monitor_shows_what_happens(mesh: Mesh) -> None:
    """Flows, too-big answers, clamped SYNs and drops come with the right fields, past the filters."""
    one, two = mesh.nodes
    _to_ghost(one, two)
    with (
        watching(one) as everything,
        watching(one, "--drops") as drops,
        watching(one, "--peer", "node2") as of_two,
        watching(one, "--drops", "--peer", "node2") as drops_of_two,
    ):
        mesh.expect_ping(one, two.addresses.ipv4)
        flow = everything.expect(
            "the ping", lambda e: e["type"] == "flow" and e["destination"] == two.addresses.ipv4
        )
        check(flow["protocol"] == "icmp" and flow["sourcePort"] is None, f"odd flow: {flow}")
        check(flow["peer"] == "node2" and flow["interface"] == "eth0", f"odd flow: {flow}")
        check(flow["length"] == 84 and flow["packets"] >= 1, f"odd flow: {flow}")

        one.run("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1472", two.addresses.ipv4, check=False)
        big = everything.expect("a too-big answer", lambda e: e["type"] == "too_big")
        mtu = one.wglanctl_json("status")["node"]["mtu"]
        check(big["length"] == 1500 and big["mtu"] == mtu, f"odd answer: {big}, MTU {mtu}")
        check(big["peer"] == "node2" and big["destination"] == two.addresses.ipv4, f"odd answer: {big}")

        # Refused, but the SYN goes out with the size of the underlay.
        one.run("ip", "route", "flush", "cache")
        one.run("bash", "-c", f"exec 3<>/dev/tcp/{two.addresses.ipv6}/4444", check=False)
        clamp = everything.expect("a clamped SYN", lambda e: e["type"] == "mss_clamp")
        check(clamp["mss"] == mtu - 60 and clamp["mssBefore"] == 1440, f"odd clamp: {clamp}")
        check(clamp["protocol"] == "tcp" and clamp["destinationPort"] == 4444, f"odd clamp: {clamp}")

        _send(one, _GHOST_ADDRESS)
        drop = everything.expect("the drop", lambda e: e["type"] == "drop")
        check(drop["reason"] == "peer_unknown" and drop["peer"] == _GHOST, f"odd drop: {drop}")
        check(drop["destination"] == _GHOST_ADDRESS and drop["destinationPort"] == 5000, f"odd: {drop}")
        check(drop["protocol"] == "udp" and drop["length"] == 60, f"odd drop: {drop}")

        drops.expect("the drop", lambda e: e["type"] == "drop")
        check({e["type"] for e in drops.look()} == {"start", "drop"}, f"--drops shows {drops.events}")
        of_two.expect("the clamp", lambda e: e["type"] == "mss_clamp")
        check(
            {e["peer"] for e in of_two.look() if e["type"] != "start"} == {"node2"},
            f"--peer node2 shows {of_two.events}",
        )
        check(len(drops_of_two.look()) == 1, f"--drops --peer node2 shows {drops_of_two.events}")
        for monitor in (everything, drops, of_two, drops_of_two):
            check(monitor.end() == 0, "Ctrl-C isn't a clean end")
    refused = one.wglanctl("monitor", "--peer", "nobody", check=False)
    check(refused.returncode == 1 and "no peer named nobody" in refused.stderr, refused.stderr)


@scenario(core=True, patch=_WITH_GHOST)
def monitor_shows_the_present(mesh: Mesh) -> None:
    """Nothing is collected while nobody watches; an agent that goes ends its monitors with a word."""
    one, two = mesh.nodes
    _to_ghost(one, two)
    check(_config(one)["watched_until_s"] == 0, "events are collected though nobody watches")
    with watching(one):
        check(_config(one)["watched_until_s"] > 0, "nothing is collected though somebody watches")
    eventually(lambda: _config(one)["watched_until_s"] == 0, "the last reader isn't noticed to go", timeout=5)
    _send(one, _GHOST_ADDRESS, count=10)

    with watching(one, "--drops") as monitor:
        _send(one, _GHOST_ADDRESS)
        monitor.expect("the drop", lambda e: e["type"] == "drop")
        time.sleep(0.3)
        check(len(monitor.of("drop")) == 1, f"what happened before is shown: {monitor.events}")
        one.agent_kill()
        check(monitor.process.wait(timeout=10 * SLOW) == 1, "the agent's end isn't a failure")
        assert monitor.process.stderr is not None
        said = monitor.process.stderr.read()
        check("ended the stream" in said, f"the agent's end isn't told: {said!r}")
    # The programs run on and report for some seconds: that is no news for who watches later.
    _send(one, _GHOST_ADDRESS, count=10)
    check(one.wglanctl("monitor", check=False).returncode == 3, "no agent isn't exit 3")
    one.agent_start()
    one.wait_ready(1)
    with watching(one, "--drops") as monitor:
        begin = monitor.of("start")[0]["time"]
        _send(one, _GHOST_ADDRESS, count=2)
        eventually(lambda: len(monitor.of("drop")) >= 2, "the drops aren't shown", timeout=10)
        old = [event for event in monitor.of("drop") if event["time"] < begin]
        check(not old, f"events from before the start: {old}")
        one.agent_stop()
        check(monitor.process.wait(timeout=10 * SLOW) == 1, "the agent's end isn't a failure")


@scenario(patch=_WITH_GHOST)
def monitor_counts_what_it_misses(mesh: Mesh) -> None:
    """A storm of drops: a bounded share is shown, the rest counted; one that hangs stalls nobody."""
    one, two = mesh.nodes
    _to_ghost(one, two)
    with watching(one, "--drops") as monitor, watching(one) as hangs:
        hangs.process.send_signal(signal.SIGSTOP)
        before = mesh.metric(one, 'wglan_dropped_packets_total{reason="peer_unknown"}')
        start = time.monotonic()
        _send(one, _GHOST_ADDRESS, count=20000)
        took = time.monotonic() - start
        dropped = mesh.metric(one, 'wglan_dropped_packets_total{reason="peer_unknown"}') - before
        check(dropped >= 20000, f"only {dropped:g} were dropped")
        # Others of the ghost's may be dropped meanwhile; none is shown twice or forgotten.
        eventually(
            lambda: len(monitor.of("drop")) + sum(e["events"] for e in monitor.of("lost")) >= dropped,
            f"of {dropped:g} drops some are neither shown nor counted",
            timeout=10,
        )
        shown, lost = len(monitor.of("drop")), sum(e["events"] for e in monitor.of("lost"))
        print(f"{dropped:g} drops in {took:.2f} s: {shown} shown, {lost} counted as lost")
        processors = len(one.run("cat", "/proc/cpuinfo").stdout.split("processor\t")) - 1
        check(shown <= 128 * processors * (took + 3), f"{shown} events in {took:.1f} s")
        check({e["reason"] for e in monitor.of("lost")} == {"rate"}, f"odd losses: {monitor.of('lost')}")
        mesh.expect_ping(one, two.addresses.ipv4)
        hangs.process.send_signal(signal.SIGCONT)
        hangs.expect("what it missed", lambda e: e["type"] == "drop")
