# SPDX-License-Identifier: Apache-2.0
"""Cases with 1,000 peers that don't exist: the whole reconciliation against wg(8), memory, one change."""

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from lablib import Lab, LabError, Node
from lablib.processes import ProcessFile
from lablib.shell import ip_batch, run, wait_until

from . import agents
from .figures import Figure
from .mesh import Labs
from .records import Records

PEERS = 1000
CHANGES = 5
_SPARE = "wgbench0"


@dataclass
class Times:
    whole: list[float] = field(default_factory=list)
    setconf: list[float] = field(default_factory=list)
    routes: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    wg_set: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)


def reconcile(labs: Labs, rounds: int) -> list[Figure]:
    times = Times()
    with labs(1) as lab:
        _with_routes(lab)
        records = Records(lab, labs.programs)
        try:
            records.put_all(records.make(0, PEERS))
            for number in range(rounds):
                _one_round(lab, records, number, times)
        finally:
            records.close()
    ratio = [a / b for a, b in zip(times.whole, times.setconf, strict=True)]
    with_routes = [a / (b + c) for a, b, c in zip(times.whole, times.setconf, times.routes, strict=True)]
    one_ratio = [a / b for a, b in zip(times.one, times.wg_set, strict=True)]
    return [
        Figure("1,000 peers: reconcile into an empty device", "ms", times.whole),
        Figure("1,000 peers: wg setconf of the same", "ms", times.setconf),
        Figure("1,000 peers: ip -batch of the same routes", "ms", times.routes),
        Figure("1,000 peers: reconcile / wg setconf", "x", ratio, 1.5),
        Figure("1,000 peers: reconcile / (wg setconf + ip -batch)", "x", with_routes),
        Figure("1,000 peers: reconcile of one peer's change", "ms", times.one),
        Figure("1,000 peers: wg set of one peer", "ms", times.wg_set),
        Figure("1,000 peers: one change / wg set", "x", one_ratio, 2),
        Figure("memory: 1,000 peers, VmRSS", "MB", times.resident, 40),
        Figure("memory: 1,000 peers, of that RssAnon", "MB", times.own),
    ]


def _with_routes(lab: Lab) -> None:
    """Peers that were never up are bypassed by default, and have no kernel routes then."""
    (node,) = lab.nodes.values()
    settings = json.loads(node.patch.read_text())
    settings.append({"op": "add", "path": "/peers/whenUnknown", "value": "drop"})
    node.patch.write_text(json.dumps(settings))


def _one_round(lab: Lab, records: Records, number: int, times: Times) -> None:
    (node,) = lab.nodes.values()
    times.whole.append(_start_and_reconcile(node) * 1000)
    _wait_quiet(node)
    for change in range(CHANGES):
        sequence = 2 + number * CHANGES + change
        times.one.append(_one_change(node, records, sequence))
    memory = agents.resident_mb(node)
    times.resident.append(memory["VmRSS"])
    times.own.append(memory["RssAnon"])
    configuration = node.run("wg", "showconf", "wglan0").stdout
    routes = _routes(node)
    node.agent_stop()
    node.run(*node.agent_command("--cleanup"))
    _forget_state(node)
    _compare(node, configuration, routes, times)


def _forget_state(node: Node) -> None:
    """The folder itself stays: it is mounted."""
    for path in node.state.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _start_and_reconcile(node: Node) -> float:
    """Seconds of the reconciliation that brought in all peers: the longest of the first ones."""
    node.agent_launch()
    node.agent_await()
    # The first one knew nobody yet; any later one may be the one that is wanted.
    longest, count, total = 0.0, 1, agents.start_phases(node)["first_reconcile"] / 1000
    deadline = time.monotonic() + 60
    while node_peers(node) < PEERS:
        if time.monotonic() > deadline:
            raise LabError(f"the peers aren't there after 60 s\n{node.log_tail()}")
        count, total, longest = _next_reconciliation(node, count, total, longest)
        time.sleep(0.005)
    _, _, longest = _next_reconciliation(node, count, total, longest)
    return longest


def _next_reconciliation(node: Node, count: int, total: float, longest: float) -> tuple[int, float, float]:
    now_count, now_total = agents.reconciliations(node)
    return now_count, now_total, max(longest, now_total - total)


def node_peers(node: Node) -> int:
    """From the routes: a file read."""
    text = Path(f"/proc/{agents.pid_of(node)}/net/route").read_text()
    return text.count("\nwglan0\t")


def _wait_quiet(node: Node) -> None:
    """Until no reconciliation came for a while: nothing else is in the way of what is timed."""
    last, since = agents.reconciliations(node)[0], time.monotonic()
    deadline = time.monotonic() + 30
    while time.monotonic() - since < 1.0 and time.monotonic() < deadline:
        time.sleep(0.1)
        if (count := agents.reconciliations(node)[0]) != last:
            last, since = count, time.monotonic()


def _one_change(node: Node, records: Records, sequence: int) -> float:
    """Milliseconds of the reconciliation after one record's change."""
    before, sum_before = agents.reconciliations(node)
    ((path, body),) = records.make(PEERS // 2, sequence=sequence)
    records.put(path, body)
    if not wait_until(lambda: agents.reconciliations(node)[0] > before, timeout=10):
        raise LabError(f"no reconciliation after a change\n{node.log_tail()}")
    after, sum_after = agents.reconciliations(node)
    return (sum_after - sum_before) / (after - before) * 1000


def _routes(node: Node) -> list[str]:
    """The agent's routes as `ip -batch` lines for the spare device."""
    lines = []
    for family in ("-4", "-6"):
        for route in json.loads(run(_ip(node, family, "route", "show", "proto", "119")).stdout):
            kind = route.get("type", "unicast")
            lines.append(
                f"route add {kind} {route['dst']} metric {route['metric']} proto 119"
                + (f" dev {_SPARE}" if kind == "unicast" else "")
            )
    return lines


def _ip(node: Node, family: str, *words: str) -> list[str]:
    return ["ip", "-n", node.namespace, "-j", family, *words]


def _compare(node: Node, configuration: str, routes: list[str], times: Times) -> None:
    """wg setconf, ip -batch and wg set of the same on a device that is up, as the agent's is."""
    file = node.directory / "bench.conf"
    file.touch(mode=0o600)
    file.write_text(configuration)
    daemon = ProcessFile(node.directory / "bench-wireguard.pid")
    kernel = _make_device(node, daemon)
    try:
        run(["ip", "-n", node.namespace, "link", "set", _SPARE, "up"])
        times.setconf.append(_timed(node.command(["wg", "setconf", _SPARE, str(file)])))
        begin = time.monotonic()
        ip_batch(routes, namespace=node.namespace)
        times.routes.append((time.monotonic() - begin) * 1000)
        key, prefixes = _peer_of(configuration)
        for index in range(CHANGES):
            wanted = f"{prefixes},100.64.{index}.0/24"
            times.wg_set.append(
                _timed(node.command(["wg", "set", _SPARE, "peer", key, "allowed-ips", wanted]))
            )
    finally:
        file.unlink()
        if kernel:
            run(["ip", "-n", node.namespace, "link", "del", _SPARE])
        else:
            daemon.end()
        ip_batch(
            [f"{line.replace('route add', 'route del')}" for line in routes if "unreachable" in line],
            namespace=node.namespace,
        )


def _make_device(node: Node, daemon: ProcessFile) -> bool:
    """True where the kernel has WireGuard."""
    made = run(["ip", "-n", node.namespace, "link", "add", _SPARE, "type", "wireguard"], check=False)
    if made.returncode == 0:
        return True
    daemon.start(
        node.command(["wireguard-go", "-f", _SPARE]),
        log=node.directory / "bench-wireguard.log",
        environment={"LOG_LEVEL": "silent", "WG_PROCESS_FOREGROUND": "1"},
    )
    if not wait_until(lambda: node.run("wg", "show", _SPARE, check=False).returncode == 0, timeout=10):
        raise LabError("wireguard-go doesn't answer")
    return False


def _peer_of(configuration: str) -> tuple[str, str]:
    blocks = configuration.split("[Peer]")[1:]
    block = blocks[len(blocks) // 2]
    key = re.search(r"PublicKey = (\S+)", block)
    prefixes = re.search(r"AllowedIPs = (.+)", block)
    if key is None or prefixes is None:
        raise LabError("wg showconf: a peer without key or allowed IPs")
    return key[1], prefixes[1].replace(" ", "")


def _timed(command: list[str]) -> float:
    """Milliseconds; nsenter's own millisecond is part of it."""
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - begin) * 1000
