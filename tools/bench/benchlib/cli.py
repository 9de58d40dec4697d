# SPDX-License-Identifier: Apache-2.0
"""tools/bench/agent's command line."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lablib import Lab, LabError
from lablib.discovery import missing_programs
from lablib.lab import BACKENDS, default_programs
from lablib.shell import run

from . import cluster, decide, idle, mesh, scale
from .figures import Figure, machine, table

_HELPERS = ("agent_decide", "bench_nodes", "bench_records")


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    labs = mesh.Labs(f"bench-{os.getpid()}", _programs(options.bin), options.backend)
    figures: list[Figure] = []
    try:
        if os.geteuid() != 0:
            raise LabError("the cases need network namespaces: use sudo")
        for name, case in _cases(labs, options.short).items():
            if options.cases and name not in options.cases:
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            figures += case()
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        Lab.destroy(labs.name)
    print(table(figures))
    if options.json:
        results = {"machine": machine(), "results": [figure.json() for figure in figures]}
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _cases(labs: mesh.Labs, short: bool) -> dict[str, Callable[[], list[Figure]]]:
    return {
        "decide": lambda: decide.decide(labs.programs),
        "start": lambda: mesh.start(labs, 2 if short else 7),
        "small": lambda: mesh.small(labs, 5 if short else 15),
        "scale": lambda: scale.reconcile(labs, 1 if short else 5),
        "cluster": lambda: cluster.cluster(labs, 1 if short else 3),
        "idle": lambda: idle.idle(labs, 30 if short else 60),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/agent", description=sys.modules["__main__"].__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="decide, start, small, scale, cluster, idle (all)")
    parser.add_argument("--short", action="store_true", help="fewer rounds: to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--bin", type=Path, metavar="DIR", help="programs (default: build/release/bin)")
    return parser


def _programs(chosen: Path | None) -> Path:
    """The folder of the programs, with the benchmarks' own ones built beside them."""
    programs = (chosen or default_programs()).resolve()
    if missing := missing_programs(programs):
        raise SystemExit(f"bench: {programs} has no {', '.join(missing)}: run tools/build, or use --bin")
    if (programs.parent / "CMakeCache.txt").exists():
        run(["cmake", "--build", str(programs.parent), "--target", *_HELPERS], timeout=1800)
    for helper in _HELPERS:
        if not os.access(programs / helper, os.X_OK):
            raise SystemExit(f"bench: {programs} has no {helper}: build it with the programs")
    return programs


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
