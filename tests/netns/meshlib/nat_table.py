# SPDX-License-Identifier: Apache-2.0
"""What the grid found out, as Markdown."""

import statistics
from collections.abc import Sequence

from . import nat
from .nat_pair import Chance, Outcome
from .nat_reboot import Outage


def _cell(found: Sequence[Outcome]) -> str:
    runs: dict[str, list[Outcome]] = {}
    for outcome in found:
        runs.setdefault(outcome.pair.name, []).append(outcome)
    return " / ".join(_verdict(outcomes) for outcomes in runs.values())


def _verdict(runs: Sequence[Outcome]) -> str:
    if any(outcome.problem for outcome in runs):
        return "FAILED"
    if runs[0].chance is Chance.LUCK:
        return "luck"
    if not runs[0].joinable:
        return "relay"
    return f"{statistics.median(outcome.seconds or 0 for outcome in runs):.1f}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Of all joins in one line."""
    took = sorted(o.seconds for o in outcomes if o.joinable and o.seconds is not None)
    if not took:
        return ""
    return f"{len(took)} joins: median {statistics.median(took):.1f} s, slowest {took[-1]:.1f} s"


def grid_table(outcomes: Sequence[Outcome]) -> list[str]:
    """A triangle: seconds until joined (the median of several runs), or that a relay is needed."""
    kinds = [kind for kind in nat.KINDS.values() if any(kind in (o.pair.one, o.pair.two) for o in outcomes)]
    lines = [
        f"| | {' | '.join(kind.name for kind in kinds)} |",
        f"|---|{'---|' * len(kinds)}",
    ]
    for row, one in enumerate(kinds):
        cells = [
            _cell([o for o in outcomes if {o.pair.one, o.pair.two} == {one, two}]) if column >= row else ""
            for column, two in enumerate(kinds)
        ]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return lines


def reason_list(outcomes: Sequence[Outcome]) -> list[str]:
    """Each reason that nodes gave, and for which pairs."""
    pairs: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.joinable:
            continue
        for reason in dict.fromkeys(outcome.reasons):
            pairs.setdefault(reason, []).append(outcome.pair.name)
    return [f"- {reason} ({', '.join(names)})" for reason, names in pairs.items()]


def _outage_rows(outages: Sequence[Outage]) -> list[str]:
    lines = []
    for outage in outages:
        median = "-" if outage.median is None else f"{outage.median:.1f} s"
        runs = ", ".join(f"{seconds:.1f}" for seconds in sorted(outage.seconds))
        lines.append(f"| {outage.pair.one.name} | {outage.pair.two.name} | {median} | {outage.problem or runs} |")
    return lines


def reboot_table(outages: Sequence[Outage]) -> list[str]:
    nats = [outage for outage in outages if not outage.exposed]
    if not nats:
        return []
    head = ["| whose NAT reboots | its peer | median | all runs |", "|---|---|---|---|"]
    return head + _outage_rows(nats)


def exposed_table(outages: Sequence[Outage]) -> list[str]:
    exposed = [outage for outage in outages if outage.exposed]
    if not exposed:
        return []
    head = ["| behind | and | the exposed node is back after (median) | all runs |", "|---|---|---|---|"]
    return head + _outage_rows(exposed)
