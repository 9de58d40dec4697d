# SPDX-License-Identifier: Apache-2.0
"""The agent's own share of a reconciliation, in memory: see agent_decide.cpp."""

import json
from pathlib import Path

from lablib.shell import run

from .figures import Figure


def decide(programs: Path) -> list[Figure]:
    said = json.loads(run([str(programs / "agent_decide")], timeout=120).stdout)
    figures = []
    for which, title, goal in (("whole", "1,000 peers from nothing", 50), ("one", "one peer's change", 1)):
        parts = said[which]
        figures.append(_figure(f"decide: {title}", parts.pop("total"), goal))
        figures += [_figure(f"decide: {title}, {part}", times, None) for part, times in parts.items()]
    return figures


def _figure(case: str, times: dict[str, float], goal: float | None) -> Figure:
    return Figure(case, "ms", [times["min"], times["median"], times["max"]], goal)
