# SPDX-License-Identifier: Apache-2.0
"""Cases on a mesh of real nodes: start, the way of a record into every kernel, memory of a small mesh."""

import functools
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lablib import Lab, LabError, Node

from . import agents
from .figures import Figure
from .namespaces import Pinger, has_route
from .records import Records

PEERS = 3  # of each node in the small mesh
_GOAL_MS = 2000


class Labs:
    """Labs with a name of their own, each removed whatever happens."""

    def __init__(self, name: str, programs: Path, backend: str) -> None:
        self.name = name
        self.programs = programs
        self._backend = backend
        self._lab: Lab | None = None

    def __call__(self, nodes: int) -> "Labs":
        self._nodes = nodes
        return self

    def __enter__(self) -> Lab:
        Lab.destroy(self.name)
        try:
            return Lab.create(self.name, nodes=self._nodes, backend=self._backend, programs=self.programs)
        except BaseException:
            Lab.destroy(self.name)
            raise

    def __exit__(self, *_: object) -> None:
        Lab.destroy(self.name)


def start(labs: Labs, rounds: int) -> list[Figure]:
    """Three agents on hosts that never had one, and one that joins two that run."""
    together, first, joined, own, slow = [], [], [], [], []
    phases: dict[str, list[float]] = {}
    for _ in range(rounds):
        with labs(3) as lab:
            nodes = list(lab.nodes.values())
            times = _launch_and_ping(nodes, nodes)
            first.append(min(times))
            together.append(max(times))
            slow.append(100 * sum(time > _GOAL_MS for time in times) / len(times))
            for node in nodes:
                node.agent_await()
                said = agents.start_phases(node)
                own.append(said.pop("total"))
                for phase, value in said.items():
                    phases.setdefault(phase, []).append(value)
        with labs(3) as lab:
            *running, late = lab.nodes.values()
            _launch_and_ping(running, running)
            joined.append(max(_launch_and_ping([late], [late, *running])))
    return [
        Figure("start: three agents at once, first ping of a pair", "ms", first, _GOAL_MS),
        Figure("start: three agents at once, all six pairs", "ms", together, _GOAL_MS),
        Figure(f"start: of those pairs, over {_GOAL_MS} ms", "%", slow),
        Figure("start: one agent joins two, pings both ways", "ms", joined, _GOAL_MS),
        Figure("start: the agent's own work, to the end of its start", "ms", own, 300),
        *(Figure(f"start: phase {phase}", "ms", values) for phase, values in sorted(phases.items())),
    ]


def _launch_and_ping(launched: list[Node], pinging: list[Node]) -> list[float]:
    """Milliseconds from the launch to the first answer: each launched node to and from the others."""
    addresses = {node.name: agents.overlay_address(node) for node in pinging}
    pingers = [
        Pinger(
            node.namespace,
            [
                addresses[other.name]
                for other in pinging
                if other is not node and (node in launched or other in launched)
            ],
        )
        for node in pinging
    ]
    begin = time.monotonic()
    for node in launched:
        node.agent_launch()
    complete = [pinger.wait(max(0.1, begin + 30 - time.monotonic())) for pinger in pingers]
    if not all(complete):
        logs = "\n".join(node.log_tail() for node in pinging)
        raise LabError(f"no ping through the mesh after 30 s\n{logs}")
    return [(when - begin) * 1000 for pinger in pingers for when in pinger.answered.values()]


def small(labs: Labs, rounds: int) -> list[Figure]:
    """A mesh with three peers a node: memory, then records on their way into every kernel."""
    with labs(PEERS + 1) as lab:
        lab.start_agents()
        time.sleep(3)
        nodes = list(lab.nodes.values())
        memory = [agents.resident_mb(node) for node in nodes]
        records = Records(lab, labs.programs)
        try:
            added = [_propagation(lab, records, number, 1) for number in range(rounds)]
            changed = [_propagation(lab, records, 0, sequence) for sequence in range(2, rounds + 2)]
        finally:
            records.close()
    return [
        Figure(f"memory: {PEERS} peers, VmRSS", "MB", [m["VmRSS"] for m in memory], 20),
        Figure(f"memory: {PEERS} peers, of that RssAnon", "MB", [m["RssAnon"] for m in memory]),
        Figure("record: a new node's, to the last watcher's kernel", "ms", [max(t) for t in added], 200),
        Figure("record: a new prefix, to the last watcher's kernel", "ms", [max(t) for t in changed], 200),
        Figure(
            "record: a new prefix, to any watcher's kernel",
            "ms",
            [time for times in changed for time in times],
        ),
    ]


def _propagation(lab: Lab, records: Records, number: int, sequence: int) -> list[float]:
    """Milliseconds from the sending of the PUT to the kernel route of its prefix, for every node.

    The route is what a plan puts in last: WireGuard's allowed IPs and the BPF map's entry are there.
    """
    prefix = records.prefix(number, sequence)
    ((path, body),) = records.make(number, sequence=sequence)
    nodes = list(lab.nodes.values())
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        seen = [pool.submit(_route_seen, agents.pid_of(node), prefix) for node in nodes]
        sent = records.put(path, body)
        times = [(result.result() - sent) * 1000 for result in seen]
    for node in nodes:
        said = subprocess.run(
            node.command(["wg", "show", "wglan0", "allowed-ips"]), capture_output=True, text=True, check=True
        )
        if prefix not in said.stdout:
            raise LabError(f"{node.name}: the route of {prefix} is there, but WireGuard lacks it")
    return times


def _route_seen(pid: int, prefix: str) -> float:
    deadline = time.monotonic() + 15
    there = functools.partial(has_route, pid, prefix, "wglan0")
    while not there():
        if time.monotonic() > deadline:
            raise LabError(f"no route to {prefix} after 15 s")
        time.sleep(0.001)
    return time.monotonic()
