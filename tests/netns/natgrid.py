#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins nodes behind every pair of NATs, with one exposed third node, and prints how long that took.

  natgrid.py [KIND,KIND...] [--jobs N] [--runs N] [--reboots N] [--backend auto|kernel|userspace] [--bin DIR]
             [--json FILE] [--markdown FILE] [--logs DIR]
  natgrid.py --list         the kinds of NAT

Without pairs: all of them. First each kind shows what it does (RFC 4787). --reboots N measures besides how long
peers are without each other when a NAT reboots, or the exposed node, N times a pair. Exit 0: all is as expected; 1: it isn't;
77: skipped. WGLAN_TEST_SLOW multiplies every time-out.
"""

import argparse
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

sys.dont_write_bytecode = True

import meshlib  # noqa: E402, F401  puts tools/ on the path
from lablib.lab import BACKENDS  # noqa: E402
from meshlib import nat, nat_pair, nat_reboot  # noqa: E402
from meshlib.nat_behaviour import wrong_kinds  # noqa: E402
from meshlib.nat_pair import Outcome, Pair  # noqa: E402
from meshlib.nat_reboot import Outage  # noqa: E402
from meshlib.nat_table import exposed_table, grid_table, reason_list, reboot_table, summary  # noqa: E402

SKIPPED = 77


def wanted_pairs(texts: list[str]) -> list[Pair]:
    pairs = nat_pair.all_pairs()
    if not texts:
        return pairs
    wanted = []
    for text in texts:
        names = text.split(",")
        if len(names) != 2 or any(name not in nat.KINDS for name in names):
            raise ValueError(f"{text}: two of {', '.join(nat.KINDS)} with a comma between them")
        one, two = (nat.KINDS[name] for name in names)
        found = [pair for pair in pairs if {pair.one, pair.two} == {one, two}]
        wanted += found or [Pair(one, two)]
    return wanted


def print_outcome(outcome: Outcome) -> None:
    seconds = "-" if outcome.seconds is None else f"{outcome.seconds:.2f} s"
    lucky = outcome.chance is nat_pair.Chance.LUCK and outcome.seconds is not None
    said = "joined" if outcome.joinable or lucky else "given up"
    print(f"{outcome.pair.name:48} {outcome.problem or f'{said} after {seconds}'}", flush=True)
    for reason in outcome.reasons if outcome.problem or not outcome.joinable else []:
        print(f"    {reason}", flush=True)


def print_outage(outage: Outage) -> None:
    times = " ".join(f"{seconds:.1f}" for seconds in outage.seconds)
    whose = "exposed node" if outage.exposed else "NAT"
    print(f"{whose} reboots: {outage.pair.name:40} {outage.problem or 'back after'} {times} s", flush=True)


def as_json(outcomes: list[Outcome], outages: list[Outage]) -> dict[str, Any]:
    return {
        "pairs": [
            {
                "pair": outcome.pair.name,
                "joinable": outcome.joinable,
                "seconds": outcome.seconds,
                "problem": outcome.problem,
                "reasons": outcome.reasons,
            }
            for outcome in outcomes
        ],
        "reboots": [
            {
                "pair": outage.pair.name,
                "exposed": outage.exposed,
                "seconds": outage.seconds,
                "median": outage.median,
                "problem": outage.problem,
            }
            for outage in outages
        ],
    }


def measure(options: argparse.Namespace, pairs: list[Pair]) -> tuple[list[Outcome], list[Outage]]:
    common = {"backend": options.backend, "programs": options.bin}

    def one_pair(number: int) -> Outcome:
        outcome = nat_pair.try_pair(pairs[number], nat_pair.lab_name(number), logs=options.logs, **common)
        print_outcome(outcome)
        return outcome

    def one_reboot(pair: Pair, number: int, exposed: bool) -> Outage:
        name = f"{nat_pair.lab_name(number)}-{'exposed' if exposed else 'reboot'}"
        outage = nat_reboot.outage_of(pair, name, runs=options.reboots, exposed=exposed, **common)
        print_outage(outage)
        return outage

    # Those that can't be joined say the same each time, and take longest.
    pairs = pairs + [pair for pair in pairs if nat_pair.chance(pair) is nat_pair.Chance.SURE] * (options.runs - 1)
    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        outcomes = list(pool.map(one_pair, range(len(pairs))))
        outages: list[Outage] = []
        for rebooted, exposed in ((nat_reboot.PAIRS, False), (nat_reboot.EXPOSED_PAIRS, True)):
            if options.reboots:
                outages += pool.map(one_reboot, rebooted, range(len(rebooted)), [exposed] * len(rebooted))
        return outcomes, outages


def interrupted(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pair", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=2, help="pairs at a time")
    parser.add_argument("--runs", type=int, default=1, help="of each pair that can be joined; medians are shown")
    parser.add_argument("--reboots", type=int, default=0, help="of each NAT that is rebooted, and of the exposed node")
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--bin", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--logs", type=Path, help="keep each pair's logs there")
    options = parser.parse_args()
    if options.list:
        for kind in nat.KINDS.values():
            print(f"{kind.name:20} {kind.says}")
        return 0
    try:
        pairs = wanted_pairs(options.pair)
    except ValueError as error:
        parser.error(str(error))
    if os.geteuid() != 0:
        print("skipped: needs root")
        return SKIPPED
    signal.signal(signal.SIGTERM, interrupted)
    try:
        if wrong := wrong_kinds(nat_pair.lab_name(999), programs=options.bin):
            print("\n".join(wrong))
            return 1
        outcomes, outages = measure(options, pairs)
    except KeyboardInterrupt:
        return 130
    parts = [grid_table(outcomes), [summary(outcomes)], reason_list(outcomes)]
    parts += [reboot_table(outages), exposed_table(outages)]
    table = "\n\n".join("\n".join(part) for part in parts if any(part))
    print(f"\n{table}")
    if options.json:
        options.json.write_text(json.dumps(as_json(outcomes, outages), indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(table + "\n")
    problems = [item.problem for item in (*outcomes, *outages) if item.problem]
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
