# SPDX-License-Identifier: Apache-2.0
"""A CNI that changes thousands of routes: what it costs the agent, and that nothing is missed."""

import base64
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from lablib import Node
from lablib.shell import SLOW, ip_batch

from ..scenario import Mesh, check, eventually, scenario

_ROUTES = 10_000
_PEERS = 10  # that hold the steered prefixes; a static peer has at most 1,024
_SETTLED = 1.0  # seconds without work: longer than the agent waits between two looks at routes
# Of one core while routes flap: a fifth for looks and what follows, the rest for reading the events.
_MOST_BUSY = 0.5


def _prefix(number: int, first: int = 20) -> str:
    return f"{first + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24"


def cpu_seconds(pid: int) -> float:
    """Of all threads, by the scheduler's nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Watch:
    """`with Watch(...) as watch`: the agent's time on a processor, from here until it has settled."""

    def __init__(self, node: Node, what: str) -> None:
        self._pid, self._what = node.agent_pid() or 0, what

    def __enter__(self) -> "Watch":
        self._cpu, self._start = cpu_seconds(self._pid), time.monotonic()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        quiet = cpu_seconds(self._pid)
        last = time.monotonic()
        while time.monotonic() - last < _SETTLED:
            time.sleep(0.05)
            now = cpu_seconds(self._pid)
            if now - quiet > 0.005:
                quiet, last = now, time.monotonic()
        self.cpu, self.seconds = quiet - self._cpu, last - self._start
        print(
            f"{self._what}: {self.cpu:.3f} s of CPU in {self.seconds:.2f} s ({self.cpu / self.seconds:.0%})"
        )


def _batch(node: Node, verb: str, words: str, first: int = 20, start: int = 0) -> None:
    """A change of each of the CNI's routes."""
    ip_batch(
        [f"route {verb} {words.format(_prefix(i, first))}" for i in range(start, _ROUTES)],
        namespace=node.namespace,
    )


def _overriding(node: Node) -> int:
    """Halves of the prefixes that are in the main table."""
    shown = node.run("ip", "-4", "route", "show", "proto", "119", "type", "unicast").stdout
    return sum(line.split()[0].endswith("/25") for line in shown.splitlines() if line)


def _steered(node: Node) -> int:
    return int(node.wglanctl_json("status")["steering"]["prefixes"]["ipv4"])


def _start_with_prefixes(mesh: Mesh) -> Node:
    """node1 steers a /24 for each route of the storm; the peers that hold them are never up."""
    one = mesh.nodes[0]
    gateways = [
        {
            "name": f"gateway{peer}",
            "publicKey": base64.b64encode(bytes([peer + 1]) * 31 + b"\x42").decode(),
            "endpoints": [f"192.0.2.{200 + peer}:51820"],
            "prefixes": [_prefix(number) for number in range(peer, _ROUTES, _PEERS)],
        }
        for peer in range(_PEERS)
    ]
    mesh.reconfigure(
        one,
        [
            {"op": "add", "path": "/discovery/static", "value": gateways},
            {"op": "add", "path": "/peers", "value": {"whenUnknown": "drop"}},
        ],
    )
    mesh.lab.start_agents()
    eventually(lambda: _steered(one) >= _ROUTES, "the prefixes aren't steered", timeout=30, step=0.5)
    return one


@scenario(start=False)
def route_storms_cost_bounded_time(mesh: Mesh) -> None:
    """10,000 CNI routes come, change and go: bounded CPU, each fault seen, no packet of others lost."""
    one, two = _start_with_prefixes(mesh), mesh.nodes[1]
    via = f"{{}} via {two.addresses.ipv4} dev eth0 metric 10 proto bird"
    cases: list[tuple[str, Callable[[], None], int]] = [
        ("routes of no concern come", lambda: _batch(one, "add", via, first=40), 0),
        ("and go", lambda: _batch(one, "del", via, first=40), 0),
        ("sound routes for steered prefixes come", lambda: _batch(one, "add", via), 0),
        ("and change", lambda: _batch(one, "replace", via + " src 192.0.2.1"), 0),
        ("and go", lambda: _batch(one, "del", via), 0),
        ("blackholes come", lambda: _batch(one, "add", "blackhole {} metric 10 proto bird"), 2 * _ROUTES),
        ("and go", lambda: _batch(one, "del", "blackhole {} metric 10"), 0),
    ]
    mesh.expect_ping(one, two.addresses.ipv4)
    with mesh.stream(one, two, two.addresses.ipv4) as stream:
        for what, change, halves in cases:
            with Watch(one, what) as watch:
                change()
                eventually(
                    lambda: _overriding(one) == halves,  # noqa: B023
                    f"{what}: not {halves} halves",
                    timeout=15,
                    step=0.2,
                )
            check(watch.cpu < 3 * SLOW, f"{what}: {watch.cpu:.2f} s of CPU")
        with Watch(one, "blackholes flap") as watch:
            end = time.monotonic() + 10
            while time.monotonic() < end:
                _batch(one, "add", "blackhole {} metric 10 proto bird")
                _batch(one, "del", "blackhole {} metric 10")
            _batch(one, "add", "blackhole {} metric 10 proto bird", start=_ROUTES - 100)
            check(_steered(one) >= _ROUTES, "prefixes went")
            eventually(lambda: _overriding(one) == 200, "a fault was missed", timeout=15, step=0.5)
        check(watch.cpu < _MOST_BUSY * watch.seconds, f"{watch.cpu:.2f} s of CPU in {watch.seconds:.1f} s")
    print(stream.outcome)
    check(stream.outcome.lost == 0, str(stream.outcome))


def _dropped_events(node: Node) -> int:
    """Netlink messages that the agent's sockets had no room for."""
    pid = node.agent_pid() or 0
    shown = node.run("cat", "/proc/net/netlink").stdout.splitlines()[1:]
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    return sum(int(row.split()[8]) for row in shown if row.split()[9] in inodes)


@scenario(start=False)
def lost_netlink_events_are_made_up_for(mesh: Mesh) -> None:
    """More events than the agent's socket holds, while it can't read: it looks at everything again."""
    one, two = _start_with_prefixes(mesh), mesh.nodes[1]
    pid = one.agent_pid() or 0
    before = _dropped_events(one)
    os.kill(pid, signal.SIGSTOP)
    try:
        filler = "{} dev lo metric 10"
        for _ in range(8):
            _batch(one, "add", filler, first=40)
            _batch(one, "del", filler, first=40)
            if _dropped_events(one) > before:
                break
        lost = _dropped_events(one) - before
        check(lost > 0, "nothing was dropped: the socket's buffer holds it all")
        # All of these are among what is dropped.
        _batch(one, "add", "blackhole {} metric 10 proto bird", start=_ROUTES - 100)
        one.run("ip", "link", "add", "up9", "type", "vxlan", "id", "9", "dstport", "4789", "dev", "eth0")
        one.run("ip", "link", "set", "up9", "up")
        one.run("ip", "route", "del", two.addresses.pod_prefix4, "dev", "wglan0")
        lost = _dropped_events(one) - before
    finally:
        os.kill(pid, signal.SIGCONT)
    print(f"{lost} events dropped")
    took = eventually(lambda: _overriding(one) == 200, "a fault was missed", timeout=5)
    print(f"routes overridden after {took:.2f} s")
    took = eventually(lambda: _is_uplink(one, "up9"), "a device was missed", timeout=5)
    print(f"device hooked after {took:.2f} s more")
    took = eventually(
        lambda: "wglan0" in one.run("ip", "route", "show", two.addresses.pod_prefix4).stdout,
        "a route of ours wasn't put back",
        timeout=5,
    )
    print(f"route of ours back after {took:.2f} s more")
    mesh.expect_ping(one, two.addresses.ipv4)


def _is_uplink(node: Node, device: str) -> bool:
    places = node.wglanctl_json("status")["steering"]["attachments"]
    return any(place["interface"] == device and place["hook"] == "tc-egress" for place in places)


@scenario()
def full_tables_are_announced(mesh: Mesh) -> None:
    """A warning at 80 % of bpf.maxRoutes; beyond it what is in stays in; a larger one loses no packet."""
    one, two = mesh.nodes
    room = 1024

    def peers(count: int) -> list[dict[str, object]]:
        return [
            {
                "name": f"gateway{first}",
                "publicKey": base64.b64encode(bytes([first // 500 + 1]) * 31 + b"\x42").decode(),
                "prefixes": [_prefix(number) for number in range(first, min(first + 500, count))],
            }
            for first in range(0, count, 500)
        ]

    def restart_with(room: int) -> None:
        mesh.reconfigure(one, [{"op": "add", "path": "/bpf", "value": {"maxRoutes": room}}])
        one.agent_kill()
        one.agent_start()
        one.wait_ready(1)

    def warnings() -> str:
        return " ".join(one.wglanctl_json("status")["warnings"])

    restart_with(room)
    with mesh.stream(one, two, two.addresses.ipv4) as stream:
        for count, said in (
            (room * 7 // 10, ""),
            (room * 8 // 10, "IPv4 prefixes is more than 80 % full"),
            (room * 12 // 10, "no room for some prefixes"),
        ):
            mesh.reconfigure(one, [{"op": "add", "path": "/discovery/static", "value": peers(count)}])
            least = min(count, room * 9 // 10)
            eventually(lambda: _steered(one) >= least, f"{count} prefixes aren't there", timeout=5)  # noqa: B023
            eventually(
                lambda: said in warnings() and bool(said) == ("prefixes" in warnings()),  # noqa: B023
                f"{count} of {room}: the status says something else",
                timeout=5,
            )
            check(said in mesh.log(one), f"{count} of {room}: the log says nothing")
            check(_steered(one) <= room, f"{_steered(one)} of {room} are steered")
            print(f"{count} of {room}: {_steered(one)} steered; {warnings() or 'nothing to say'}")
            mesh.expect_ping(one, two.addresses.ipv6)
        restart_with(4096)
        eventually(lambda: _steered(one) >= room * 12 // 10, "there is room, and no use of it", timeout=5)
        check("prefixes" not in warnings(), warnings())
    print(stream.outcome)
    check(stream.outcome.lost == 0, str(stream.outcome))
