# SPDX-License-Identifier: Apache-2.0
"""What a scenario is, and what it works with."""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lablib import Lab, Node, Pod
from lablib.capture import Capture
from lablib.shell import SLOW, run, wait_until

from .stream import Stream

Patch = list[dict[str, Any]]


class Failed(Exception):
    """An expectation that didn't hold."""


class Skipped(Exception):
    """The scenario can't run here; the message says why."""


def check(condition: bool, message: str) -> None:
    if not condition:
        raise Failed(message)


def eventually(condition: Callable[[], bool], message: str, *, timeout: float, step: float = 0.05) -> float:
    """Waits for the condition; returns how long it took."""
    start = time.monotonic()
    check(wait_until(condition, timeout=timeout, step=step), f"{message}, not within {timeout * SLOW:g} s")
    return time.monotonic() - start


@dataclass(frozen=True)
class Scenario:
    name: str
    run: "Callable[[Mesh], None]"
    nodes: int
    core: bool
    jit: bool
    start: bool
    patch: Patch = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        more = {"netns-core": self.core, "netns-jit": self.jit}
        return ["netns", *(label for label, has in more.items() if has)]


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *,
    nodes: int = 2,
    core: bool = False,
    jit: bool = False,
    start: bool = True,
    patch: Patch | None = None,
) -> "Callable[[Callable[[Mesh], None]], Callable[[Mesh], None]]":
    """Registers a function. `start`: the agents run and see each other when it is called; `jit`: what it shows
    needs a kernel that compiles BPF programs, since others don't let them ask conntrack."""

    def register(function: "Callable[[Mesh], None]") -> "Callable[[Mesh], None]":
        SCENARIOS[function.__name__] = Scenario(
            function.__name__, function, nodes, core, jit, start, patch or []
        )
        return function

    return register


class Mesh:
    """A lab and the questions that scenarios ask it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nodes = list(lab.nodes.values())

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, chosen: Scenario, *, backend: str, programs: Path | None, keep: bool
    ) -> "Iterator[Mesh]":
        name = f"test-{os.getpid()}-{chosen.name.replace('_', '-')}"[:32].rstrip("-")
        patch = Path(f"/tmp/{name}.json")
        try:
            patch.write_text(json.dumps(chosen.patch))
            mesh = cls(
                Lab.create(name, nodes=chosen.nodes, backend=backend, programs=programs, patches=[patch])
            )
            try:
                if chosen.start:
                    mesh.lab.start_agents()
                yield mesh
            except Exception:
                mesh.print_state()
                raise
        finally:
            patch.unlink(missing_ok=True)
            if not keep:
                Lab.destroy(name)

    def print_state(self) -> None:
        for node in self.nodes:
            print(f"--- {node.name}: status, then the log's end")
            with contextlib.suppress(Exception):
                print(node.wglanctl("status", check=False).stdout)
            print(node.log_tail(40))

    # --- who ----------------------------------------------------------------------------------

    def pod(self, node: Node) -> Pod:
        return node.pod("a")

    def peer(self, node: Node, name: str) -> dict[str, Any] | None:
        """That peer in the node's status."""
        for peer in node.wglanctl_json("status")["peers"]:
            if peer["name"] == name:
                return dict(peer)
        return None

    def peer_state(self, node: Node, name: str) -> str | None:
        peer = self.peer(node, name)
        return None if peer is None else str(peer["state"])

    def overlay(self, node: Node) -> str:
        return str(node.wglanctl_json("status")["node"]["address"])

    def ifindex(self, node: Node, device: str = "wglan0") -> int:
        found = json.loads(node.run("ip", "-j", "link", "show", device).stdout)
        return int(found[0]["ifindex"])

    def has_device(self, node: Node, device: str = "wglan0") -> bool:
        return node.run("ip", "link", "show", device, check=False).returncode == 0

    def has_tcx(self, node: Node) -> bool:
        """Whether the kernel has it: the agent takes clsact filters else."""
        places = node.wglanctl_json("status")["steering"]["attachments"]
        return all(place["kind"] != "clsact" for place in places)

    def metric(self, node: Node, name: str) -> float:
        """The sum over a metric's labels; a name with {labels} picks one; 0 if it isn't there."""
        text = node.run("curl", "-sS", "--max-time", "5", "http://127.0.0.1:9586/metrics").stdout
        total = 0.0
        for line in text.splitlines():
            found = re.fullmatch(r"([a-z_]+(?:\{.*\})?) (\S+)(?: \d+)?", line)
            if found and (found[1] == name or found[1].startswith(name + "{")):
                total += float(found[2])
        return total

    def log(self, node: Node) -> str:
        return node.log.read_text(errors="replace")

    # --- traffic ------------------------------------------------------------------------------

    def ping(self, source: Node | Pod, address: str, *, count: int = 3, interval: float = 0.1) -> int:
        """How many of the pings were answered."""
        wait = max(1, round(SLOW))
        # For what is missing at last, ping waits no longer than the interval (iputils' __schedule_exit()).
        if SLOW > 1 and count <= 10:
            interval = max(interval, 0.3)
        result = run(
            self.at(source)(
                ["ping", "-n", "-q", "-c", str(count), "-i", str(interval), "-W", str(wait), address]
            ),
            check=False,
            timeout=count * (wait + interval) + 10,
        )
        found = re.search(r"(\d+) received", result.stdout)
        return int(found[1]) if found else 0

    def expect_ping(self, source: Node | Pod, address: str) -> None:
        name = source.name if isinstance(source, Node) else f"{source.node}/{source.name}"
        check(self.ping(source, address) == 3, f"ping from {name} to {address} isn't answered each time")

    def at(self, place: Node | Pod) -> Callable[[list[str]], list[str]]:
        return place.command

    def stream(self, source: Node | Pod, destination: Node | Pod, address: str) -> Stream:
        return Stream(self.at(source), self.at(destination), address, rate=max(50, round(2000 / SLOW)))

    @contextlib.contextmanager
    def capture(self, name: str = "underlay") -> Iterator[Capture]:
        with Capture(self.lab.layout, self.lab.layout.directory / f"{name}.pcap") as capture:
            yield capture

    # --- settings -----------------------------------------------------------------------------

    def reconfigure(self, node: Node, patch: Patch) -> None:
        """Adds to the node's own configuration patch, in one step, as an editor does that renames."""
        operations = json.loads(node.patch.read_text()) + patch
        self.write_patch(node, json.dumps(operations))

    def write_patch(self, node: Node, text: str) -> None:
        fresh = node.patch.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(node.patch)
