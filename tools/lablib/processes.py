# SPDX-License-Identifier: Apache-2.0
"""Processes that outlive the command which started them, found again by a file.

A process file holds the pid and the start time in clock ticks, so that a pid which the kernel has
given to another process meanwhile is never mistaken for ours.
"""

import contextlib
import functools
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .errors import LabError
from .shell import wait_until


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None for a process that is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


class ProcessFile:
    """A detached process whose pid stands in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pid(self) -> int | None:
        """The pid while that very process lives."""
        try:
            pid, start = (int(word) for word in self.path.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        return pid if _start_time(pid) == start else None

    def start(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> int:
        """Starts it in a session of its own, output appended to log."""
        if self.pid() is not None:
            raise LabError(f"{self.path.stem} is running already (pid {self.pid()})")
        with log.open("ab") as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    cwd="/",
                    env={**os.environ, **(environment or {})},
                )
            except FileNotFoundError as error:
                raise LabError(f"{command[0]} isn't there: {error.strerror}") from error
        self.path.write_text(f"{process.pid} {_start_time(process.pid) or 0}\n")
        return process.pid

    def end(self, sig: signal.Signals = signal.SIGTERM, *, timeout: float = 15) -> None:
        """Signals it and waits until it is gone; fine when it is already."""
        if (pid := self.pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
            if not wait_until(functools.partial(_all_gone, [pid]), timeout=timeout):
                raise LabError(f"{self.path.stem} (pid {pid}) didn't end on {sig.name}")
        self.path.unlink(missing_ok=True)


def _reaped(pid: int) -> bool:
    """Collects a child of ours; False for anyone else's."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def pids_in_namespaces(names: Iterable[str]) -> list[int]:
    """Every process whose network namespace is one of the named ones."""
    wanted: set[tuple[int, int]] = set()
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            info = os.stat(f"/run/netns/{name}")
            wanted.add((info.st_dev, info.st_ino))
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            info = os.stat(f"/proc/{entry}/ns/net")
        except OSError:
            continue
        if (info.st_dev, info.st_ino) in wanted and int(entry) != os.getpid():
            found.append(int(entry))
    return found


def end_all_in_namespaces(names: Sequence[str]) -> None:
    """Ends every process there: asks first, then insists."""
    for sig, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        pids = pids_in_namespaces(names)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        if wait_until(lambda: _all_gone(pids), timeout=patience):
            continue
    left = pids_in_namespaces(names)
    if left:
        raise LabError(f"processes {left} can't be ended")


def _all_gone(pids: Iterable[int]) -> bool:
    gone = True
    for pid in pids:
        if not _reaped(pid) and _start_time(pid) is not None:
            gone = False
    return gone
