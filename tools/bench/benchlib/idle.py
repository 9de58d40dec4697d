# SPDX-License-Identifier: Apache-2.0
"""Processor time of an agent that has nothing to do, with 100 and 1,000 peers: they are up, and answer its
probes; or they never answer."""

import os
import time
from pathlib import Path

from lablib import LabError, Node
from lablib.shell import wait_until

from . import agents
from .figures import Figure
from .mesh import Labs
from .records import Records

SIZES = (100, 1000)
STAND_IN = Path(__file__).resolve().parent / "stand-in"


def idle(labs: Labs, seconds: float) -> list[Figure]:
    up = {peers: _measure(labs, seconds, peers, stand_in=True) for peers in SIZES}
    searching = _measure(labs, seconds, SIZES[0], stand_in=False)
    return [
        Figure("idle: CPU with 100 peers up", "% of a core", up[100], 0.2),
        Figure("idle: CPU with 1,000 peers up", "% of a core", up[1000]),
        Figure("idle: CPU with 100 peers that never answer", "% of a core", searching),
    ]


def _measure(labs: Labs, seconds: float, peers: int, *, stand_in: bool) -> list[float]:
    path = os.environ["PATH"]
    if stand_in:
        # A `wireguard-go` whose peers are all up: real ones would need a process each.
        os.environ["PATH"] = f"{STAND_IN}:{path}"
    try:
        with labs(1) as lab:
            (node,) = lab.nodes.values()
            records = Records(lab, labs.programs)
            try:
                records.put_all(records.make(0, peers))
            finally:
                records.close()
            node.agent_start()
            _wait_for_peers(node, peers, up=stand_in)
            time.sleep(5)
            return [_busy(agents.pid_of(node), seconds)]
    finally:
        os.environ["PATH"] = path


def _wait_for_peers(node: Node, wanted: int, *, up: bool) -> None:
    def there() -> bool:
        peers = node.wglanctl_json("status")["peers"]
        return len(peers) == wanted and (not up or all(peer["state"] == "up" for peer in peers))

    if not wait_until(there, timeout=60, step=0.5):
        raise LabError(f"the {wanted} peers aren't {'up' if up else 'there'}\n{node.log_tail()}")


def _busy(pid: int, seconds: float) -> float:
    """Percent of one core; the scheduler's nanoseconds, since clock ticks are too coarse."""
    cpu, begin = agents.cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (agents.cpu_seconds(pid) - cpu) / (time.monotonic() - begin) * 100
