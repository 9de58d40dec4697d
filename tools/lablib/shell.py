# SPDX-License-Identifier: Apache-2.0
"""Running commands and waiting for things."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence

from .errors import LabError

# Emulated CPUs are slow: every time-out is multiplied by this.
SLOW = float(os.environ.get("WGLAN_TEST_SLOW") or "1")


def run(
    command: Sequence[str], *, check: bool = True, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Runs to the end with output captured; a failure (with check) carries what it printed."""
    try:
        result = subprocess.run(
            command,
            input=stdin,
            text=True,
            errors="replace",
            capture_output=True,
            stdin=subprocess.DEVNULL if stdin is None else None,
            timeout=timeout * SLOW,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} isn't installed: run tools/deps") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: no end within {timeout * SLOW:.0f} s") from error
    if check and result.returncode != 0:
        said = (result.stderr or result.stdout).strip()
        raise LabError(f"{' '.join(command)}: exit {result.returncode}: {said}")
    return result


def ip_batch(lines: Sequence[str], *, namespace: str | None = None) -> None:
    """Runs `ip` commands in order in one process; the first that fails ends it."""
    where = ["-n", namespace] if namespace else []
    run(["ip", *where, "-batch", "-"], stdin="\n".join(lines) + "\n")


def wait_until(condition: Callable[[], bool], *, timeout: float, step: float = 0.02) -> bool:
    """True as soon as the condition holds, False after the time-out."""
    deadline = time.monotonic() + timeout * SLOW
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True
