# SPDX-License-Identifier: Apache-2.0
"""A datapath_worker in a network namespace: calls and answers, one JSON object a line."""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

from lablib import LabError


PINS = "/mnt/wglan"


class Worker:
    def __init__(self, program: Path, namespace: str, cpu: int | None) -> None:
        # Its mounts, and with them its pins, end with it.
        script = 'mount -t tmpfs tmpfs /mnt && exec "$0"'
        self._process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", "unshare", "--mount", "--propagation", "private"]
            + ["sh", "-c", script, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._namespace = namespace
        if cpu is not None:
            self.call("pin", cpu=cpu)

    def call(self, name: str, **arguments: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        try:
            print(json.dumps({"call": name, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise LabError(f"{self._namespace}: the worker ended during {name!r}: exit {code}")
        answer = json.loads(line)
        if "error" in answer:
            raise LabError(f"{self._namespace}: {name}: {answer['error']}")
        return answer["ok"]

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
