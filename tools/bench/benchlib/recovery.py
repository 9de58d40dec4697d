# SPDX-License-Identifier: Apache-2.0
"""tools/bench/recovery: each change several times, in a lab of its own."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from lablib import Lab, LabError
from lablib.discovery import missing_programs
from lablib.lab import BACKENDS, default_programs
from lablib.recovery import CASES, Case, measure, start

from .figures import Figure, machine, table


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    programs = (options.bin or default_programs()).resolve()
    name = f"bench-{os.getpid()}"
    figures: list[Figure] = []
    failed = False
    try:
        if os.geteuid() != 0:
            raise LabError("the cases need network namespaces: use sudo")
        if missing := missing_programs(programs):
            raise LabError(f"{programs} has no {', '.join(missing)}: run tools/build, or use --bin")
        for case in [CASES[chosen] for chosen in options.cases or CASES]:
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            try:
                figures.append(_figure(case, name, programs, options.backend, options.runs))
            except LabError as error:
                print(f"bench: {case.name}: {error}", file=sys.stderr)
                failed = True
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        Lab.destroy(name)
    print(table(figures))
    if options.json:
        results = {"machine": machine(), "results": [figure.json() for figure in figures]}
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if failed else 0


def _figure(case: Case, name: str, programs: Path, backend: str, runs: int) -> Figure:
    Lab.destroy(name)
    try:
        lab = Lab.create(name, nodes=case.nodes, backend=backend, programs=programs)
        start(lab, case)
        values = [measure(lab, case) for _ in range(runs)]
    finally:
        Lab.destroy(name)
    return Figure(f"{case.name}: {case.text}", "s", values, case.limit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/recovery", description=sys.modules["__main__"].__doc__)
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", choices=[*CASES, []], help=f"{', '.join(CASES)} (all)"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each case (%(default)s)")
    parser.add_argument(
        "--short", dest="runs", action="store_const", const=1, help="one run: to see that it works"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--bin", type=Path, metavar="DIR", help="programs (default: build/release/bin)")
    return parser


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
