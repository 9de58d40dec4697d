# SPDX-License-Identifier: Apache-2.0
"""5,000 annotated Nodes at an API server: from the launch of an agent to its kernel's state, and one change."""

import json
import os
import re
import subprocess
import time
from datetime import datetime
from pathlib import Path

from lablib import Lab, LabError, Node
from lablib.shell import run, wait_until
from meshlib.kube_api import KubeApi

from . import agents
from .figures import Figure
from .idle import STAND_IN
from .mesh import Labs
from .namespaces import has_route
from .records import Records

NODES = 5000
CHANGES = 5
_PAGE = 250


def cluster(labs: Labs, rounds: int) -> list[Figure]:
    listed, planned, applied, changes, listing, memory = [], [], [], [], [], []
    empty: list[float] = []
    for _ in range(rounds):
        with labs(1) as lab, KubeApi(lab) as api:
            (node,) = lab.nodes.values()
            _configure(node, api)
            _launch(node, 0)
            empty.append(_peak_mb(node))
            node.agent_stop()
            api.command("PUT", "many", _nodes(lab, labs.programs, 0, NODES, 1))
            api.read_all()
            took = _launch(node, NODES)
            listed.append(took[0])
            planned.append(took[1])
            applied.append(took[2])
            listing.append(took[3])
            memory.append(_peak_mb(node))
        changes += _changes(labs)
    return [
        Figure("5,000 Nodes: launch to listed and verified", "ms", listed),
        Figure("5,000 Nodes: launch to desired state", "ms", planned, 3000),
        Figure("5,000 Nodes: launch to the last kernel route", "ms", applied),
        Figure("5,000 Nodes: one Node's change to the kernel", "ms", changes, 100),
        Figure("memory: no Nodes, most resident", "MB", empty),
        Figure("memory: 5,000 peers, most resident of all", "MB", memory),
        Figure("memory: most resident while 5,000 Nodes are listed", "MB", listing, 60),
    ]


def _changes(labs: Labs) -> list[float]:
    """With all peers up, as a stand-in for wireguard-go says: 5,000 that never answer are looked for."""
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{STAND_IN}:{path}"
    try:
        with labs(1) as lab, KubeApi(lab) as api:
            (node,) = lab.nodes.values()
            _configure(node, api)
            api.command("PUT", "many", _nodes(lab, labs.programs, 0, NODES, 1))
            api.read_all()
            _launch(node, NODES)
            return [
                _change(lab, labs.programs, api, node, sequence) for sequence in range(2, 2 + CHANGES)
            ]
    finally:
        os.environ["PATH"] = path


def _configure(node: Node, api: KubeApi) -> None:
    """Peers that were never up are bypassed by default, and have no kernel routes then."""
    api.settings(page=_PAGE, bookmark=60)
    api.add_node(node)
    settings = json.loads(node.patch.read_text()) + api.configure(node)
    settings.append({"op": "add", "path": "/peers/whenUnknown", "value": "drop"})
    node.patch.write_text(json.dumps(settings))


def _nodes(lab: Lab, programs: Path, first: int, count: int, sequence: int) -> list[dict[str, object]]:
    words = [str(programs / "bench_nodes"), str(lab.layout.token), str(first), str(count), str(sequence)]
    return [json.loads(line) for line in run(words, timeout=120).stdout.splitlines()]


def _launch(node: Node, nodes: int) -> tuple[float, float, float, float]:
    """Milliseconds to the end of the list, to the plan, and to the last kernel route; MB until the plan."""
    node.log.write_text("")
    begin = time.time()
    node.agent_launch()
    if nodes == 0:
        if not wait_until(lambda: "kubernetes: synced" in _log(node), timeout=120, step=0.02):
            raise LabError(f"not synced after 120 s\n{node.log_tail()}")
        return 0, 0, 0, 0
    samples: list[tuple[float, float]] = []

    def there() -> bool:
        samples.append((time.time(), _peak_mb(node)))
        return " changes more" in _log(node)

    if not wait_until(there, timeout=120, step=0.005):
        raise LabError(f"no plan after 120 s\n{node.log_tail()}")
    listed = _said(node, "kubernetes: listed")
    listing = max(peak for when, peak in samples if when <= listed)
    planned = _said(node, " changes more") - begin
    if not wait_until(lambda: _routes(node) >= nodes, timeout=300, step=0.05):
        raise LabError(f"{_routes(node)} routes after 300 s\n{node.log_tail()}")
    applied = time.time() - begin
    # Until what it does afterwards (copies for handshakes, the cache) is done.
    last, since = agents.cpu_seconds(agents.pid_of(node)), time.monotonic()
    while time.monotonic() - since < 60:
        time.sleep(3)
        now = agents.cpu_seconds(agents.pid_of(node))
        if now - last < 0.6:
            break
        last = now
    return (listed - begin) * 1000, planned * 1000, applied * 1000, listing


def _log(node: Node) -> str:
    return node.log.read_text(errors="replace")


def _said(node: Node, what: str) -> float:
    """When the log said so."""
    for line in _log(node).splitlines():
        if what in line and (found := re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)(Z|[+-]\d\d:?\d\d)", line)):
            return datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00")).timestamp()
    raise LabError(f"the log doesn't say {what!r}\n{node.log_tail()}")


def _routes(node: Node) -> int:
    return Path(f"/proc/{agents.pid_of(node)}/net/route").read_text().count("\nwglan0\t")


def _peak_mb(node: Node) -> float:
    text = Path(f"/proc/{agents.pid_of(node)}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise LabError("no VmHWM")
    return int(found[1]) / 1024


def _change(lab: Lab, programs: Path, api: KubeApi, node: Node, sequence: int) -> float:
    """Milliseconds from the API's answer to the writer to the kernel route of the Node's new prefix."""
    number = NODES // 2 + sequence
    ((changed),) = _nodes(lab, programs, number, 1, sequence)
    prefix = Records.prefix(number, sequence)
    pid = agents.pid_of(node)
    api.put(changed)
    sent = time.monotonic()
    while not has_route(pid, prefix, "wglan0"):
        if time.monotonic() - sent > 30:
            raise LabError(f"no route to {prefix} after 30 s")
        time.sleep(0.001)
    took = (time.monotonic() - sent) * 1000
    shown = subprocess.run(
        node.command(["wg", "show", "wglan0", "allowed-ips"]), capture_output=True, text=True, check=True
    )
    if prefix not in shown.stdout:
        raise LabError(f"the route of {prefix} is there, but WireGuard lacks it")
    time.sleep(2)
    return took
