# SPDX-License-Identifier: Apache-2.0
"""What a real agent's life costs the packets that pass meanwhile, at a rate that matters."""

import base64
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from benchlib.datapath.network import prefixes
from benchlib.datapath.worker import Worker
from lablib import Node
from lablib.shell import ip_batch

from ..scenario import Mesh, Skipped, check, eventually, scenario

_RATE = 100_000  # packets a second, of each family
_PREFIXES = 500
_STAND_IN = os.path.join(os.path.dirname(__file__), "../../../../tools/bench/benchlib/stand-in")


@contextlib.contextmanager
def _stand_in() -> Iterator[None]:
    """A WireGuard device that takes any rate: its peers are up, and what goes in is counted by us."""
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{os.path.abspath(_STAND_IN)}:{path}"
    try:
        yield
    finally:
        os.environ["PATH"] = path


class Traffic:
    """`with Traffic(...) as traffic: ...`: frames from a pod, IPv4 and IPv6, counted behind wglan0's programs."""

    def __init__(self, node: Node, pod: Any, seconds: float) -> None:
        program = node.program("datapath_worker")
        self._workers = [Worker(program, node.namespace, cpu=None) for _ in range(3)]
        self._node, self._pod, self._seconds = node, pod, seconds
        self.sent = self.arrived = 0
        self._rates: list[float] = []

    def __enter__(self) -> "Traffic":
        self._workers[2].call("sink", sink="wglan0", kind="egress", device="wglan0")
        self._threads = [
            threading.Thread(target=self._send, args=(worker, family))
            for worker, family in zip(self._workers, (4, 6), strict=False)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def _send(self, worker: Worker, family: int) -> None:
        done = worker.call(
            "pace",
            device=self._pod.device,
            family=family,
            prefixes=_PREFIXES,
            destinations=2 * _PREFIXES,
            other=self._pod.ipv4 if family == 4 else self._pod.ipv6,
            rate=_RATE,
            milliseconds=int(1000 * self._seconds),
        )
        self.sent += int(done["packets"])
        self._rates.append(done["packets"] / done["seconds"])

    @property
    def ends(self) -> bool:
        return not all(thread.is_alive() for thread in self._threads)

    def __exit__(self, kind: object, *_: object) -> None:
        for thread in self._threads:
            thread.join()
        self.arrived = int(self._workers[2].call("count", sink="wglan0"))
        for worker in self._workers:
            worker.close()
        rates = " and ".join(f"{rate:,.0f}" for rate in self._rates)
        print(f"{self.sent:,} packets, {rates} a second: {self.sent - self.arrived} lost")


@scenario(
    nodes=1,
    core=True,
    start=False,
    patch=[{"op": "add", "path": "/interface", "value": {"backend": "userspace"}}],
)
def no_packet_is_lost_at_100000_a_second(mesh: Mesh) -> None:
    """SIGKILL, a restart, an upgrade to maps of another layout and back, at 100,000 packets a second each."""
    one = mesh.nodes[0]
    if not one.has_program("datapath_worker"):
        raise Skipped("datapath_worker isn't built")
    pod = one.pod("a")
    with _stand_in():
        _start(mesh, one)
        if not mesh.has_tcx(one):
            raise Skipped("the kernel has no TCX, by which the packets are counted")
        stages = [("SIGKILL and a start", _killed), ("SIGTERM and a start", _stopped), ("another record", _changed)]
        if one.has_program("wglan-agent-next"):
            stages.append(("an upgrade to another layout, and back", _upgraded))
        for what, stage in stages:
            with Traffic(one, pod, seconds=8) as traffic:
                time.sleep(0.5)
                stage(mesh, one)
                check(not traffic.ends, f"{what}: it took longer than the traffic")
            print(f"  during {what}")
            check(traffic.sent > 8 * _RATE, f"{what}: only {traffic.sent} packets were sent")
            check(traffic.arrived == traffic.sent, f"{what}: {traffic.sent - traffic.arrived} packets lost")
    check(mesh.metric(one, "wglan_steered_packets_total") > 0, "nothing was steered")


def _start(mesh: Mesh, node: Node) -> None:
    """A peer with the benchmark's prefixes; the CNI's routes send half of them to the uplink."""
    ipv4, ipv6 = prefixes(_PREFIXES)
    peers = [
        {
            "name": f"gateway{number}",
            "publicKey": base64.b64encode(bytes([number + 1]) * 31 + b"\x42").decode(),
            "endpoints": [f"192.0.2.{200 + number}:51820"],
            "prefixes": list(held),
        }
        for number, held in enumerate((ipv4, ipv6))
    ]
    mesh.reconfigure(node, [{"op": "add", "path": "/discovery/static", "value": peers}])
    mac = "02:00:00:00:02:02"
    ip_batch(
        [
            f"neighbour add 192.0.2.254 lladdr {mac} dev eth0 nud permanent",
            f"neighbour add 2001:db8::fe lladdr {mac} dev eth0 nud permanent",
            *(f"route add {prefix} via 192.0.2.254 dev eth0 metric 10 proto bird" for prefix in ipv4[::2]),
            # The others by our own route; of IPv6 all: a route into a TUN device makes a neighbour a packet.
            *(f"route add {prefix} via 2001:db8::fe dev eth0 metric 10 proto bird" for prefix in ipv6),
        ],
        namespace=node.namespace,
    )
    node.agent_start()
    _up(mesh, node)


def _up(mesh: Mesh, node: Node) -> None:
    def all_up() -> bool:
        states = [mesh.peer_state(node, f"gateway{number}") for number in (0, 1)]
        return states == ["up", "up"]

    eventually(all_up, "the peers aren't up", timeout=20)
    shown = "ip route show proto 119 | wc -l"
    eventually(
        lambda: int(node.run("sh", "-c", shown).stdout) >= _PREFIXES, "the routes aren't there", timeout=10
    )


def _killed(mesh: Mesh, node: Node) -> None:
    node.agent_kill()
    time.sleep(0.5)
    node.agent_start()
    _up(mesh, node)


def _stopped(mesh: Mesh, node: Node) -> None:
    node.agent_stop()
    node.agent_start()
    _up(mesh, node)


def _changed(mesh: Mesh, node: Node) -> None:
    """Prefixes come and go beside those in use, as with each change of a route table."""
    more = {
        "name": "gateway9",
        "publicKey": base64.b64encode(bytes([99]) * 31 + b"\x42").decode(),
        "endpoints": ["192.0.2.209:51820"],
        "prefixes": [f"30.0.{number}.0/24" for number in range(250)],
    }
    for patch in (
        {"op": "add", "path": "/discovery/static/-", "value": more},
        {"op": "remove", "path": "/discovery/static/2"},
    ):
        mesh.reconfigure(node, [patch])
        wanted = patch["op"] == "add"
        eventually(
            lambda: (mesh.peer(node, "gateway9") is not None) == wanted, f"{patch['op']}", timeout=5  # noqa: B023
        )


def _upgraded(mesh: Mesh, node: Node) -> None:
    for program in ("wglan-agent-next", "wglan-agent"):
        node.agent_kill()
        node.agent_program = program
        node.agent_start()
        _up(mesh, node)
