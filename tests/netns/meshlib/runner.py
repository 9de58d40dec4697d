# SPDX-License-Identifier: Apache-2.0
"""Command line of programs that run scenarios."""

import argparse
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lablib import LabError
from lablib.lab import BACKENDS

from .scenario import SCENARIOS, Failed, Mesh, Scenario, Skipped

SKIPPED = 77


def run(chosen: Scenario, options: argparse.Namespace) -> int:
    print(f"=== {chosen.name}", flush=True)
    start = time.monotonic()
    try:
        with Mesh.running(chosen, backend=options.backend, programs=options.bin, keep=options.keep) as mesh:
            chosen.run(mesh)
    except Skipped as reason:
        print(f"skipped: {chosen.name}: {reason}", flush=True)
        return SKIPPED
    except (Failed, LabError) as error:
        print(f"FAILED: {chosen.name}: {error}", flush=True)
        return 1
    except Exception:
        traceback.print_exc()
        print(f"FAILED: {chosen.name}", flush=True)
        return 1
    print(f"passed: {chosen.name} ({time.monotonic() - start:.1f} s)", flush=True)
    return 0


def interrupted(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(description: str) -> int:
    """Runs those that are registered."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--bin", type=Path)
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    options = parser.parse_args()
    if options.list:
        for chosen in SCENARIOS.values():
            print(chosen.name, *chosen.labels)
        return 0
    if unknown := [name for name in options.scenario if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; see --list")
    if os.geteuid() != 0:
        print("skipped: needs root")
        return SKIPPED
    signal.signal(signal.SIGTERM, interrupted)
    try:
        results = [run(SCENARIOS[name], options) for name in options.scenario or SCENARIOS]
    except KeyboardInterrupt:
        return 130
    if 1 in results:
        return 1
    return SKIPPED if all(result == SKIPPED for result in results) else 0
