# SPDX-License-Identifier: Apache-2.0
"""tools/bench/datapath's command line."""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lablib import LabError
from lablib.lab import default_programs
from lablib.shell import run

from .. import figures
from . import packets, plot, programs, report, tcp, updates
from .host import Host, Tools
from .methods import METHODS
from .network import Spaces
from .packets import Load
from .results import Case, Results
from .worker import PINS, Worker

_HELPER = "datapath_worker"
_NEEDED = ("ip", "tc", "nft", "nsenter", "unshare", "wg", "wireguard-go")
_SIZES = (10, 1000, 10000, 100000)


@dataclass(frozen=True)
class Plan:
    cases: Sequence[Case]
    load: Load
    updates: Sequence[int]  # at these numbers of prefixes
    rebuilds: int
    programs: Sequence[int]
    passes: int
    tcp: tcp.Plan


_TCP_METHODS = ("route", "kubespan-nft", "wglan-egress", "wglan-direct")

_SHORT = Plan(
    cases=(
        Case("forwarded", 1000),
        Case("forwarded", 1000, conntrack=True),
        Case("forwarded", 1000, family=6),
        Case("host-connected", 1000),
        Case("wglan0-to-pod", 1000, conntrack=True),
        Case("forwarded", 100000),
        Case("forwarded", 100000, spread="random"),
    ),
    load=Load(rounds=3, frames=50000, datagrams=20000),
    updates=(10000,),
    rebuilds=1,
    programs=(1000, 100000),
    passes=10,
    tcp=tcp.Plan(_TCP_METHODS, families=(4,), rounds=2, seconds=1),
)


def _full() -> Plan:
    cases = tuple(
        Case(scenario, size, family, conntrack, spread)
        for size in _SIZES
        for scenario in packets.SCENARIOS
        for conntrack in (False, True)
        for family in (4, 6)
        for spread in ("hot", "random")
        # One socket a destination: of more than a few hundred nobody has as many.
        if (scenario, spread) != ("host-connected", "random")
    )
    return Plan(
        cases=cases,
        load=Load(rounds=7, frames=100000, datagrams=50000),
        updates=_SIZES,
        rebuilds=3,
        programs=_SIZES,
        passes=50,
        tcp=tcp.Plan(_TCP_METHODS, families=(4, 6), rounds=7, seconds=4),
    )


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    spaces = Spaces(f"bench-{os.getpid()}")
    results = Results()
    started = time.monotonic()
    interrupted = False
    try:
        if os.geteuid() != 0:
            raise LabError("the cases need network namespaces: use sudo")
        for path in (options.json, options.svg):
            if path and not path.absolute().parent.is_dir():
                raise LabError(f"{path}: there is no such folder")
        program = _program(options.bin)
        stolen = _stolen()
        try:
            _run(options, Tools(program, spaces, options.cpu), results)
        except KeyboardInterrupt:
            # Half an hour's figures are not for nothing.
            interrupted = True
            results.failures.append("interrupted: what follows is not measured")
        stolen = _stolen() - stolen
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        spaces.remove_all()
    if interrupted and not results.measured:
        return 130
    machine = figures.machine() | {"secondsStolenByTheHost": round(stolen, 1)}
    print(report.text(results))
    _write(options, program, results, machine)
    print(f"{time.monotonic() - started:.0f} s; {_caption(machine)}")
    if interrupted:
        return 130
    return 1 if results.voided or results.failures else 0


def _run(options: argparse.Namespace, tools: Tools, results: Results) -> None:
    plan = _SHORT if options.short else _full()
    load = Load(options.rounds or plan.load.rounds, plan.load.frames, plan.load.datagrams)
    wanted = re.compile(options.only)
    cases = [case for case in plan.cases if wanted.search(case.name)]
    if not cases and not any(wanted.search(part) for part in ("updates", "programs", "tcp")):
        raise LabError(f"--only {options.only}: no case has such a name")
    methods = _available(tools, results)

    def sizes_of(name: str, sizes: Sequence[int]) -> Sequence[int]:
        return sizes if wanted.search(name) else ()

    at_updates, at_programs = sizes_of("updates", plan.updates), sizes_of("programs", plan.programs)
    for size in sorted({case.prefixes for case in cases} | {*at_updates} | {*at_programs}):
        some = [case for case in cases if case.prefixes == size]
        # Where only updates are wanted, only the methods that they compare.
        names = methods if some or size in at_programs else ("main-routes", "kubespan-nft", "wglan-egress")
        _say(f"{size} prefixes: making {len(names)} hosts")
        with _noted(results, f"{size} prefixes"), _hosts(tools, names, size) as hosts:
            packets.measure(list(hosts.values()), some, load, results, _say)
            if size in at_programs:
                _say("programs alone")
                programs.measure(hosts, size, plan.passes, results)
            if size in at_updates:
                _say("updates")
                updates.measure(hosts, size, plan.rebuilds, results)
    if wanted.search("tcp"):
        _say("tcp")
        names = [name for name in plan.tcp.methods if name in methods]
        chosen = tcp.Plan(names, plan.tcp.families, options.rounds or plan.tcp.rounds, plan.tcp.seconds)
        with _noted(results, "tcp"):
            tcp.measure(tools.program, tools.spaces, chosen, results)


@contextlib.contextmanager
def _noted(results: Results, part: str) -> Iterator[None]:
    """What fails in one part takes no other part's figures with it."""
    try:
        yield
    except LabError as error:
        print(f"bench: {part}: {error}", file=sys.stderr)
        results.failures.append(f"{part}: {error}")


@contextlib.contextmanager
def _hosts(tools: Tools, names: Sequence[str], size: int) -> Iterator[dict[str, Host]]:
    with ThreadPoolExecutor() as pool:
        made = {name: pool.submit(Host, tools, METHODS[name], size) for name in names}
    try:
        yield {name: host.result() for name, host in made.items()}
    finally:
        for host in made.values():
            if host.exception() is None:
                host.result().close()


def _available(tools: Tools, results: Results) -> list[str]:
    space = tools.spaces.add("probe")
    worker = Worker(tools.program, space, cpu=None)
    try:
        reason = worker.call("direct", pins=PINS)
    finally:
        worker.close()
        tools.spaces.remove([space])
    if reason:
        results.missing["wglan-direct"] = reason
    return [name for name in METHODS if name not in results.missing]


def _write(
    options: argparse.Namespace, program: Path, results: Results, machine: dict[str, object]
) -> None:
    folder = program.parent.parent
    as_json: Path = options.json or folder / "bench-datapath.json"
    as_svg: Path = options.svg or as_json.with_suffix(".svg")
    goals = [
        {"goal": goal.what, "value": goal.value, "atMost": goal.most, "atLeast": goal.least, "met": goal.met}
        for goal in report.goals(results)
    ]
    as_json.write_text(json.dumps({"machine": machine, **results.json(), "goals": goals}, indent=1) + "\n")
    as_svg.write_text(plot.svg(results, _caption(machine)))
    print(f"\nwritten: {as_json}, {as_svg}")


def _caption(machine: dict[str, object]) -> str:
    return (
        f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, load {machine['load']:.1f}, "
        f"{machine['secondsStolenByTheHost']} s of CPU time stolen by the host"
    )


def _stolen() -> float:
    """Seconds that a hypervisor took from all CPUs; they are in what was measured."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def _program(chosen: Path | None) -> Path:
    if missing := [name for name in _NEEDED if not shutil.which(name)]:
        raise LabError(f"{', '.join(missing)} isn't installed: run tools/deps")
    folder = (chosen or default_programs()).resolve()
    if (folder.parent / "CMakeCache.txt").exists():
        run(["cmake", "--build", str(folder.parent), "--target", _HELPER], timeout=1800)
    program = folder / _HELPER
    if not os.access(program, os.X_OK):
        raise LabError(f"{folder} has no {_HELPER}: run tools/build, or use --bin")
    return program


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/datapath", description=sys.modules["__main__"].__doc__)
    parser.add_argument("--short", action="store_true", help="a few cases in less than a minute")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="default: bench-datapath.json in the build folder"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="default: beside the JSON")
    parser.add_argument(
        "--only", default="", metavar="REGEX", help="cases by name; also: updates, programs, tcp (all)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="of each case, all methods in turn")
    last = max(os.sched_getaffinity(0))
    parser.add_argument("--cpu", type=int, default=last, help="that packets are measured on (the last)")
    parser.add_argument("--bin", type=Path, metavar="DIR", help="programs (default: build/release/bin)")
    return parser


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
