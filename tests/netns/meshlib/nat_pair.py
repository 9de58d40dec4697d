# SPDX-License-Identifier: Apache-2.0
"""Two nodes behind NATs and an exposed third one: do they join, and how fast."""

import contextlib
import datetime
import enum
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lablib import Lab, LabError, Node
from lablib.shell import SLOW, run, wait_until

from . import nat
from .nat import Kind, Place

JOIN_WITHIN = 15.0  # seconds from both records being published
GIVE_UP_WITHIN = 60.0
LANS = ("one", "two", "apart")


@dataclass(frozen=True)
class Pair:
    one: Kind
    two: Kind
    lans: str = ""  # of two nodes behind one NAT

    @property
    def name(self) -> str:
        return f"{self.one.name} x {self.two.name}" + (f" ({_LANS_SAY[self.lans]})" if self.lans else "")


_LANS_SAY = {"one": "one LAN", "two": "two LANs", "apart": "two LANs kept apart"}


def all_pairs() -> list[Pair]:
    """Every unordered pair of the kinds that differ in behaviour."""
    kinds = [kind for kind in nat.KINDS.values() if kind is not nat.SYMMETRIC_RANDOM]
    pairs = []
    for index, one in enumerate(kinds):
        for two in kinds[index:]:
            shared = one is two is nat.SHARED
            pairs += [Pair(one, two, lans) for lans in LANS] if shared else [Pair(one, two)]
    return pairs


class Chance(enum.Enum):
    """Of a pair to be joined."""

    SURE = "each sends to where the other is seen, and what comes back is let in"
    LUCK = "what comes first may shut the way"
    NONE = "a relay is needed"


def chance(pair: Pair) -> Chance:
    if pair.lans:
        return Chance.NONE if pair.lans == "apart" else Chance.SURE
    kinds = {pair.one, pair.two}
    if nat.BLOCKED in kinds:
        return Chance.NONE
    # The port that a range gives is known once a member has seen it; what came first may have shut the plain one.
    if kinds & {nat.PLAIN, nat.PLAIN_DOUBLE} and kinds & {nat.DOUBLE, nat.SHARED}:
        return Chance.LUCK
    symmetric = {nat.SYMMETRIC, nat.SYMMETRIC_RANDOM}
    if not kinds & symmetric:
        return Chance.SURE
    # A symmetric NAT's port towards the other can't be known beforehand: the other's filter must not ask for it.
    return Chance.SURE if kinds & {nat.NONE, nat.FULL_CONE, nat.ADDRESS_RESTRICTED} else Chance.NONE


@dataclass
class Outcome:
    pair: Pair
    seconds: float | None = None  # until joined; or until both called the other down, where they can't join
    problem: str = ""
    reasons: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)  # at which endpoints they reach each other

    @property
    def chance(self) -> Chance:
        return chance(self.pair)

    @property
    def joinable(self) -> bool:
        return self.chance is Chance.SURE

    @property
    def passed(self) -> bool:
        return not self.problem


class Trio:
    """node1 and node2 in their places, node3 public (and so are further nodes, if the lab has them)."""

    def __init__(self, lab: Lab, pair: Pair) -> None:
        self.lab = lab
        self.one, self.two, self.exposed, *self.others = lab.nodes.values()
        reach = self.exposed.addresses.ipv4
        if pair.lans:
            self.places = nat.put_behind_one(lab, [self.one, self.two], lans=pair.lans)
        else:
            self.places = [
                nat.put_behind(lab, node, kind, reach=reach)
                for node, kind in ((self.one, pair.one), (self.two, pair.two))
            ]

    @classmethod
    @contextlib.contextmanager
    def standing(cls, name: str, pair: Pair, *, backend: str, programs: Path | None) -> "Iterator[Trio]":
        try:
            yield cls(Lab.create(name, nodes=3, backend=backend, programs=programs), pair)
        finally:
            Lab.destroy(name)

    @property
    def both(self) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
        return (self.one, self.two), (self.two, self.one)

    def start(self) -> float:
        """The exposed node's agent, then both behind NATs at once; returns when both records were published.

        That is when the exposed node heard of the later one: logs are read, since whoever asks an agent for its
        status makes it look at its peers.
        """
        for node in (self.exposed, *self.others):
            node.agent_start()
        for node in (self.one, self.two):
            node.agent_launch()
        heard = [
            wait_for_line(self.exposed, rf"set steering of peer \d+ \({node.name}\) to ", within=20)
            for node in (self.one, self.two)
        ]
        return max(heard)

    def place_of(self, node: Node) -> Place:
        return self.places[0] if node is self.one else self.places[1]

    def join(self, *, since: float, within: float) -> float:
        """Until each calls the other up and hears its pings; raises LabError after the time-out."""
        for node, other in self.both:
            wait_for_line(node, rf" {other.name} is up", within=max(0.1, since + within - time.time()))
        return wait_for_pings(self.both, since=since, within=within)

    def give_up(self, *, since: float, within: float) -> float:
        """Until each calls the other down."""
        for node, other in self.both:
            wait_for_line(node, rf" {other.name} is down", within=max(0.1, since + within - time.time()))
        return time.time() - since


def stamped(line: str) -> float:
    """When a log line was written, as time.time() counts."""
    return datetime.datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()


def wait_for_line(node: Node, pattern: str, *, within: float, after: float = 0) -> float:
    """The time of the first line of the node's log that matches and was written after that time."""
    wanted = re.compile(pattern)
    found: list[float] = []

    def look() -> bool:
        with contextlib.suppress(FileNotFoundError):
            for line in node.log.read_text(errors="replace").splitlines():
                if wanted.search(line) and (at := stamped(line)) > after:
                    found.append(at)
                    return True
        return False

    if not wait_until(look, timeout=within, step=0.05):
        raise LabError(f"{node.name}'s log has no {pattern.strip()!r} within {within * SLOW:.0f} s")
    return found[0]


def overlay_of(node: Node) -> str:
    """Without asking its agent, which would look at its peers at once."""
    found = re.search(r"is up: (\S+) on wglan0", node.log.read_text(errors="replace"))
    if not found:
        raise LabError(f"{node.name}'s log doesn't tell its address")
    return found[1]


def pings(node: Node, address: str) -> bool:
    return run(node.command(["ping", "-n", "-q", "-c", "1", "-W", "1", address]), check=False).returncode == 0


def wait_for_pings(pairs: Iterable[tuple[Node, Node]], *, since: float, within: float) -> float:
    """Until the first of each pair hears the second; raises LabError after the time-out."""
    for node, other in pairs:
        address = overlay_of(other)
        left = max(0.1, since + within * SLOW - time.time())
        if not wait_until(lambda: pings(node, address), timeout=left / SLOW):  # noqa: B023
            raise LabError(f"{node.name} gets no answer from {other.name} within {within * SLOW:.0f} s")
    return time.time() - since


def peer_of(node: Node, name: str) -> dict[str, object]:
    for peer in node.wglanctl_json("status")["peers"]:
        if peer["name"] == name:
            return dict(peer)
    raise LabError(f"{node.name} knows no {name}")


def lab_name(number: int) -> str:
    return f"test-{os.getpid()}-nat-{number}"


def try_pair(pair: Pair, name: str, *, backend: str, programs: Path | None, logs: Path | None = None) -> Outcome:
    outcome = Outcome(pair)
    with Trio.standing(name, pair, backend=backend, programs=programs) as trio:
        try:
            since = trio.start()
            if outcome.joinable:
                outcome.seconds = trio.join(since=since, within=3 * JOIN_WITHIN)
                if outcome.seconds > JOIN_WITHIN * SLOW:
                    outcome.problem = f"joined after {outcome.seconds:.1f} s"
            elif outcome.chance is Chance.LUCK:
                with contextlib.suppress(LabError):
                    outcome.seconds = trio.join(since=since, within=JOIN_WITHIN)
            else:
                outcome.seconds = trio.give_up(since=since, within=GIVE_UP_WITHIN)
        except LabError as error:
            outcome.problem = str(error).splitlines()[0]
        for node, other in trio.both:
            with contextlib.suppress(LabError):
                peer = peer_of(node, other.name)
                outcome.reasons.append(f"{peer['state']}: {peer['reason']}")
                outcome.path.append(str(peer["endpoint"]))
        if logs is not None:
            keep_logs(trio, logs / re.sub(r"[^a-z]+", "-", pair.name))
    return outcome


def keep_logs(trio: Trio, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for node in trio.lab.nodes.values():
        (folder / f"{node.name}.log").write_text(node.log.read_text(errors="replace"))
        with contextlib.suppress(LabError):
            (folder / f"{node.name}.peers").write_text(node.wglanctl("peers", check=False).stdout)
