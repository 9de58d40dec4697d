# SPDX-License-Identifier: Apache-2.0
"""How long the peers of a node are without it after its NAT was rebooted and got another address, and nodes
behind NATs without the exposed one after that was rebooted."""

import contextlib
import random
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lablib import LabError, Node, changes
from lablib.shell import SLOW, wait_until
from lablib.watch import Watch

from . import nat
from .nat_pair import JOIN_WITHIN, Pair, Trio, overlay_of

SURVIVED_WITHIN = 15.0
_PINGS = 0.2  # seconds between them
_CALM = (8.0, 14.0)  # between two reboots: longer than any time-out, and no multiple of one
_FIRST_PUBLIC = 150

# What is rebooted is the first one's NAT.
PAIRS = (
    Pair(nat.PORT_RESTRICTED, nat.NONE),
    Pair(nat.SYMMETRIC, nat.NONE),
    Pair(nat.DOUBLE, nat.NONE),
    Pair(nat.PORT_RESTRICTED, nat.PORT_RESTRICTED),
    Pair(nat.SHARED, nat.PORT_RESTRICTED),
    Pair(nat.DOUBLE, nat.PORT_RESTRICTED),
    Pair(nat.SYMMETRIC, nat.FULL_CONE),
    Pair(nat.ADDRESS_RESTRICTED, nat.SYMMETRIC),
)


# What is rebooted is the exposed node that they joined by.
EXPOSED_PAIRS = (Pair(nat.PORT_RESTRICTED, nat.PORT_RESTRICTED), Pair(nat.SYMMETRIC, nat.FULL_CONE))
EXPOSED_BACK_WITHIN = 5.0


@dataclass
class Outage:
    pair: Pair
    seconds: list[float] = field(default_factory=list)
    problem: str = ""
    exposed: bool = False  # it was that one

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None


class Pings:
    """A ping that goes on, and when its answers came."""

    def __init__(self, source: Node, address: str) -> None:
        self.answered: list[float] = []
        command = ["ping", "-n", "-D", "-i", str(_PINGS), address]
        self._process = subprocess.Popen(source.command(command), stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.match(r"\[(\d+\.\d+)\] \d+ bytes from", line):
                self.answered.append(float(found[1]))

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    @classmethod
    @contextlib.contextmanager
    def running(cls, source: Node, address: str) -> "Iterator[Pings]":
        pings = cls(source, address)
        try:
            yield pings
        finally:
            pings.end()


def reboot_once(trio: Trio, public: str) -> float:
    """node1's NAT; node2 pings node1, which sends nothing of its own: the harder direction."""
    with Pings.running(trio.two, overlay_of(trio.one)) as pings:
        if not wait_until(lambda: len(pings.answered) > 0, timeout=5):
            raise LabError("no ping is answered before the reboot")
        time.sleep(1)
        began = time.time()
        trio.places[0].reboot(public)
        done = time.time()

        def back() -> bool:
            return len(pings.answered) > 0 and pings.answered[-1] > done + _PINGS

        if not wait_until(back, timeout=3 * SURVIVED_WITHIN):
            raise LabError(f"no answer within {3 * SURVIVED_WITHIN * SLOW:.0f} s of the reboot")
        return next(at for at in pings.answered if at > done + _PINGS) - began


def reboot_exposed_once(trio: Trio) -> float:
    """From its agent's start until node1 reaches it; node1 and node2 don't miss it meanwhile."""
    one = trio.one.namespace
    with Watch(one, overlay_of(trio.exposed)) as watch, Watch(one, overlay_of(trio.two)) as punched:
        watch.recovered(time.monotonic(), timeout=30)
        changes.power_off(trio.exposed)
        time.sleep(1)
        began = time.monotonic()
        trio.exposed.agent_launch()
        took = watch.recovered(began, timeout=60)
        punched.pause()
        if lost := punched.lost():
            raise LabError(f"{lost} pings between the other two are lost")
    return took


def reboots(trio: Trio, runs: int, calm: tuple[float, float] = _CALM) -> Iterator[float]:
    """How long each took; time passes before each."""
    for run in range(runs):
        time.sleep(random.uniform(*calm))
        yield reboot_once(trio, f"192.0.2.{_FIRST_PUBLIC + run}")


def exposed_reboots(trio: Trio, runs: int) -> Iterator[float]:
    for _ in range(runs):
        time.sleep(random.uniform(*_CALM))
        yield reboot_exposed_once(trio)


def outage_of(
    pair: Pair, name: str, *, runs: int, backend: str, programs: Path | None, exposed: bool = False
) -> Outage:
    """`exposed`: of the exposed node's reboots, not of the NAT's."""
    outage = Outage(pair, exposed=exposed)
    measured, most = (exposed_reboots, EXPOSED_BACK_WITHIN) if exposed else (reboots, SURVIVED_WITHIN)
    with Trio.standing(name, pair, backend=backend, programs=programs) as trio:
        try:
            trio.join(since=trio.start(), within=3 * JOIN_WITHIN)
            for took in measured(trio, runs):
                outage.seconds.append(took)
        except LabError as error:
            outage.problem = str(error).splitlines()[0]
    slowest = max(outage.seconds, default=0.0)
    if not outage.problem and slowest > most * SLOW:
        outage.problem = f"one took {slowest:.1f} s"
    return outage
