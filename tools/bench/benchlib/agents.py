# SPDX-License-Identifier: Apache-2.0
"""What an agent says of itself (metrics) and what the kernel says of it (/proc)."""

import ipaddress
import re
import socket
from pathlib import Path

from lablib import LabError, Node
from lablib.namespaces import inside

_METRICS = ("127.0.0.1", 9586)


def metrics(node: Node) -> dict[str, float]:
    """Every sample by name with its labels, as the text has it."""

    def fetch() -> bytes:
        with socket.create_connection(_METRICS, timeout=30) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(65536), b""))

    text = inside(node.namespace, fetch).decode()
    samples: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("wglan_"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


def reconciliations(node: Node) -> tuple[int, float]:
    """How many there were, and how many seconds they took together."""
    samples = metrics(node)
    name = "wglan_reconcile_duration_seconds"
    return int(samples[f"{name}_count"]), samples[f"{name}_sum"]


def start_phases(node: Node) -> dict[str, float]:
    """Milliseconds by phase."""
    phases: dict[str, float] = {}
    for name, value in metrics(node).items():
        if found := re.fullmatch(r'wglan_start_seconds\{phase="(.+)"\}', name):
            phases[found[1]] = value * 1000
    return phases


def pid_of(node: Node) -> int:
    pid = node.agent_pid()
    if pid is None:
        raise LabError(f"{node.name}: the agent ended\n{node.log_tail()}")
    return pid


def resident_mb(node: Node) -> dict[str, float]:
    """VmRSS and the part of it that is the process's own (RssAnon), in MB of 2^20 bytes."""
    status = Path(f"/proc/{pid_of(node)}/status").read_text()
    values = dict(re.findall(r"^(VmRSS|RssAnon|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return {name: int(value) / 1024 for name, value in values.items()}


def cpu_seconds(pid: int) -> float:
    """Time on a processor so far, of all threads, to the nanosecond; /proc/PID/stat counts in 10 ms."""
    return (
        sum(
            int(thread.joinpath("schedstat").read_text().split()[0])
            for thread in Path(f"/proc/{pid}/task").iterdir()
        )
        / 1e9
    )


def overlay_address(node: Node) -> str:
    """RFC 4291 appendix A in the default network, known before the agent runs."""
    mac = bytes.fromhex(node.addresses.mac.replace(":", ""))
    identifier = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    return str(ipaddress.IPv6Address(bytes.fromhex("0200100100000000") + identifier))
