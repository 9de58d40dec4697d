# SPDX-License-Identifier: Apache-2.0
"""A node: its namespaces, its pods and its agent."""

import fcntl
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import network
from .errors import LabError
from .layout import Layout, NodeAddresses
from .pod import Pod
from .processes import ProcessFile
from .shell import SLOW, run, wait_until

FIRST_POD = 10
# Where a node has mounts of its own. WireGuard's user-space sockets have a fixed folder.
_TMPFS = ("/run/wglan", "/run/wireguard")
STATE_DIRECTORY = "/var/lib/wglan"
MOUNT_POINTS = (*_TMPFS, STATE_DIRECTORY)


class Node:
    def __init__(self, layout: Layout, number: int, programs: Path, patches: Sequence[Path] = ()) -> None:
        self.layout = layout
        self.number = number
        self.name = f"node{number}"
        self.addresses = NodeAddresses(number)
        self.namespace = layout.node_namespace(self.name)
        self.directory = layout.directory / self.name
        self.state = self.directory / "state"
        self.log = self.directory / "agent.log"
        self.patch = self.directory / "patch.json"
        self._programs = programs
        self.agent_program = "wglan-agent"
        self.agent_environment: dict[str, str] = {}
        self._patches = list(patches)
        self._holder = ProcessFile(self.directory / "holder.pid")
        self._agent = ProcessFile(self.directory / "agent.pid")

    # --- namespaces ---------------------------------------------------------------------------

    def create(self) -> None:
        self.directory.mkdir(mode=0o755)
        self.state.mkdir(mode=0o700)
        self.patch.write_text(
            json.dumps(
                [
                    {
                        "op": "add",
                        "path": "/node/podPrefixes",
                        "value": [self.addresses.pod_prefix4, self.addresses.pod_prefix6],
                    }
                ]
            )
            + "\n"
        )
        network.make_host(
            self.layout,
            self.namespace,
            self.name,
            mac=self.addresses.mac,
            ipv4=self.addresses.ipv4,
            ipv6=self.addresses.ipv6,
        )
        self._hold()

    def _hold(self) -> None:
        """Makes the mount and UTS namespaces; a sleeping process keeps them."""
        ready = self.directory / "ready"
        mounts = [f"mount -t tmpfs -o mode=0755 wglan-lab {path}" for path in _TMPFS]
        script = "\n".join(
            [
                f"hostname {self.name}",
                *mounts,
                "mount -t bpf bpf /sys/fs/bpf",
                f"mount --bind {self.state} {STATE_DIRECTORY}",
                f": > {ready}",
                "exec sleep infinity",
            ]
        )
        log = self.directory / "holder.log"
        self._holder.start(
            [
                "ip",
                "netns",
                "exec",
                self.namespace,
                "unshare",
                "--mount",
                "--uts",
                "--propagation",
                "slave",
                "sh",
                "-ec",
                script,
            ],
            log=log,
        )
        wait_until(lambda: ready.exists() or self._holder.pid() is None, timeout=10)
        if not ready.exists():
            raise LabError(f"{self.name}: its mounts failed: {log.read_text().strip()}")

    def command(self, arguments: Sequence[str], *, directory: str = "/") -> list[str]:
        """The command line that runs the arguments inside the node."""
        holder = self._holder.pid()
        if holder is None:
            raise LabError(f"{self.name} isn't up: its holder process is gone; run tools/lab down")
        return [
            "nsenter",
            f"--target={holder}",
            "--net",
            "--mount",
            "--uts",
            f"--wdns={directory}",
            "--",
            *arguments,
        ]

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._programs}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
            "NODE_NAME": self.name,
        }

    def run(
        self, *arguments: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return run(
            self.command(["env", f"PATH={self.environment()['PATH']}", *arguments]),
            check=check,
            timeout=timeout,
        )

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(arguments), text=True, env={**os.environ, **self.environment()}, **options
        )

    # --- pods ---------------------------------------------------------------------------------

    def pods(self) -> dict[str, Pod]:
        try:
            return {name: Pod(**pod) for name, pod in json.loads(self._pods_file().read_text()).items()}
        except FileNotFoundError:
            return {}

    def pod(self, name: str) -> Pod:
        """The pod of that name, made now if there is none."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
            raise LabError(f"pod name {name!r}: use up to 32 of a-z, 0-9 and -")
        with (self.directory / "pods.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            pods = self.pods()
            if name not in pods:
                index = FIRST_POD + len(pods)
                if index > 250:
                    raise LabError(f"{self.name} has no pod address left")
                pods[name] = Pod(
                    self.name,
                    name,
                    self.layout.pod_namespace(self.name, name),
                    f"veth{index}",
                    self.addresses.pod4(index),
                    self.addresses.pod6(index),
                )
                network.make_pod(
                    self.namespace,
                    pods[name].namespace,
                    pods[name].device,
                    addresses=(pods[name].ipv4, pods[name].ipv6),
                    gateways=(self.addresses.pod_gateway4, self.addresses.pod_gateway6),
                )
                self._pods_file().write_text(
                    json.dumps({key: asdict(pod) for key, pod in pods.items()}) + "\n"
                )
            return pods[name]

    def _pods_file(self) -> Path:
        return self.directory / "pods.json"

    # --- the agent ----------------------------------------------------------------------------

    def agent_command(self, *options: str) -> list[str]:
        """wglan-agent with this node's configuration and further options."""
        patches = [self.patch, *self._patches]
        return [
            str(self._programs / self.agent_program),
            "--config",
            str(self.layout.config),
            *(word for patch in patches for word in ("--config-patch", str(patch))),
            *options,
        ]

    def has_program(self, name: str) -> bool:
        return self.program(name).exists()

    def program(self, name: str) -> Path:
        return self._programs / name

    def agent_pid(self) -> int | None:
        return self._agent.pid()

    def agent_start(self, *, timeout: float = 20) -> None:
        """Returns when the agent answers on its control socket."""
        self.agent_launch()
        self.agent_await(timeout=timeout)

    def agent_await(self, *, timeout: float = 20) -> None:
        pid = self._agent.pid()
        if not wait_until(lambda: self.agent_answers() or self._agent.pid() is None, timeout=timeout):
            raise LabError(f"{self.name}: the agent (pid {pid}) doesn't answer\n{self.log_tail()}")
        if self._agent.pid() is None:
            raise LabError(f"{self.name}: the agent ended\n{self.log_tail()}")

    def agent_launch(self) -> None:
        """Starts the agent without waiting for it."""
        self._agent.start(
            self.command(self.agent_command("--log-format", "text")),
            log=self.log,
            environment={**self.environment(), **self.agent_environment},
        )

    def agent_answers(self) -> bool:
        return self.wglanctl("status", "-o", "json", check=False).returncode == 0

    def agent_stop(self) -> None:
        self._agent.end(signal.SIGTERM)

    def agent_kill(self) -> None:
        self._agent.end(signal.SIGKILL)

    def log_tail(self, lines: int = 15) -> str:
        try:
            tail = self.log.read_text(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            tail = []
        return "\n".join(f"  {self.name}: {line}" for line in tail) or f"  {self.name}: (the log is empty)"

    # --- wglanctl -----------------------------------------------------------------------------

    def wglanctl(
        self, *arguments: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return self.run(str(self._programs / "wglanctl"), *arguments, check=check, timeout=timeout)

    def wglanctl_json(self, *arguments: str) -> Any:
        return json.loads(self.wglanctl(*arguments, "-o", "json").stdout)

    def wait_ready(self, peers: int, *, timeout: float = 30) -> None:
        """Returns when the sources are synced and that many peers are up."""
        seconds = timeout * SLOW
        start = time.monotonic()
        result = self.wglanctl(
            "status",
            "--wait-ready",
            "--timeout",
            f"{seconds:.0f}s",
            "--peers",
            str(peers),
            check=False,
            timeout=timeout + 20,
        )
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            raise LabError(
                f"{self.name}: not ready after {time.monotonic() - start:.1f} s: {said}\n"
                f"{self.log_tail()}"
            )
