# SPDX-License-Identifier: Apache-2.0
"""A container on a node, as a DaemonSet of config/kubernetes describes it: capabilities, volumes, read-only root.

What a runtime does is done by hand: a mount and a process namespace, a root file system of the host's programs, a
read-only /sys and /proc/sys, the volumes, and no capability but those that are named.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from lablib import Node
from lablib.shell import SLOW, wait_until

from .scenario import Skipped, check

_MANIFESTS = Path(__file__).resolve().parents[3] / "config" / "kubernetes"


def daemonset(path: str) -> dict[str, Any]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise Skipped(f"{error}: tools/deps test") from error
    found: dict[str, Any] = yaml.safe_load((_MANIFESTS / path).read_text())
    check(found["kind"] == "DaemonSet", f"{path} is a {found['kind']}")
    return found


class Container:
    """`with Container(node, daemonset(...), command): ...`; SIGKILL at the end, to all in it."""

    def __init__(self, node: Node, manifest: dict[str, Any], command: list[str] | None = None) -> None:
        pod = manifest["spec"]["template"]["spec"]
        self._node, self._container = node, pod["containers"][0]
        self._volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self._command = command or [*self._container["command"], *self._container.get("args", [])]
        self._root = node.directory / f"container-{self._container['name']}"
        self._process: subprocess.Popen[str] | None = None
        check(not self._container["securityContext"].get("privileged"), "a privileged container proves nothing")
        check(pod["hostNetwork"], "the container has a network of its own")

    def __enter__(self) -> "Container":
        self._root.mkdir(exist_ok=True)
        with self._node.log.open("ab") as log:
            self._process = self._node.popen(
                *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
                *("sh", "-ec", self._script()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _script(self) -> str:
        root = str(self._root)
        lines = [
            f"mount -t tmpfs -o mode=0755 tmpfs {root}",
            # As on the host: a folder, or a link to one below /usr.
            'for name in bin sbin lib lib64 lib32 usr etc; do',
            f'    if [ -L /$name ]; then cp -P /$name {root}/; elif [ -d /$name ]; then',
            f'        mkdir {root}/$name; mount --bind /$name {root}/$name; mount -o remount,bind,ro {root}/$name; fi',
            "done",
            f"mkdir -p {root}/dev {root}/proc {root}/sys {root}/tmp {root}/run {root}/var",
            f"ln -s /run {root}/var/run",
            # /dev as runtimes make it: the harmless devices, and no other.
            f"mount -t tmpfs -o mode=0755 tmpfs {root}/dev",
            f"for name in null zero full random urandom tty; do : >{root}/dev/$name;",
            f"    mount --bind /dev/$name {root}/dev/$name; done",
            f"mount -t proc proc {root}/proc",
            f"mount -t sysfs -o ro sysfs {root}/sys",
            f"mount --bind {root}/proc/sys {root}/proc/sys",
            f"mount -o remount,bind,ro {root}/proc/sys",
        ]
        # The lab's own: programs and configuration.
        for folder in {self._node.program("").resolve(), self._node.layout.directory}:
            lines += [f"mkdir -p {root}{folder}", f"mount --bind {folder} {root}{folder}"]
        for mount in self._container["volumeMounts"]:
            if host := self._volumes[mount["name"]].get("hostPath"):
                lines += self._volume(host, mount["mountPath"])
        lines.append(f"mount -o remount,ro {root}")
        kept = ",".join("+" + name.lower() for name in self._container["securityContext"]["capabilities"]["add"])
        words = ["setpriv", "--bounding-set", f"-all,{kept}", "--inh-caps", "-all", *self._command]
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        return "\n".join([*lines, f"exec chroot {root} {quoted}"])

    def _volume(self, host: dict[str, str], path: str) -> list[str]:
        source, target = host["path"], f"{self._root}{path}"
        if host["type"] == "DirectoryOrCreate":
            return [f"mkdir -p {source} {target}", f"mount --bind {source} {target}"]
        if host["type"] == "CharDevice":
            return [f"mkdir -p {os.path.dirname(target)}", f": >{target}", f"mount --bind {source} {target}"]
        # /sys has its folders already.
        return [f"[ -d {target} ] || mkdir -p {target}", f"mount --bind {source} {target}"]

    def pid(self) -> int | None:
        """Of the first process in it, as the host sees it."""
        if self._process is None or self._process.poll() is not None:
            return None
        # Not by /proc/PID/task/PID/children, which not every kernel has.
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if stat.read_text().rpartition(")")[2].split()[1] == str(self._process.pid):
                    return int(stat.parent.name)
        return None

    def answers(self, probe: list[str]) -> bool:
        """A probe's command ends well in it."""
        pid = self.pid()
        if pid is None:
            return False
        inside = ["nsenter", f"--target={pid}", "--mount", "--pid", "--root", "--wd", *probe]
        return subprocess.run(inside, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM, as the kubelet; the exit status."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        return self.wait(10 * SLOW)

    def wait(self, timeout: float) -> int:
        assert self._process is not None
        return self._process.wait(timeout=timeout)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=10 * SLOW)

    def await_agent(self) -> None:
        wait_until(lambda: self._node.agent_answers() or not self.runs(), timeout=40)
        check(self.runs() and self._node.agent_answers(), f"the agent ended:\n{self._node.log_tail()}")

