# SPDX-License-Identifier: Apache-2.0
"""Measured values: medians with their spread, beside the goal."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    case: str
    unit: str
    values: Sequence[float]
    goal: float | None = None  # at most; None = no goal, told for understanding

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.median <= self.goal

    def json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "unit": self.unit,
            "samples": len(self.values),
            "min": min(self.values),
            "median": self.median,
            "max": max(self.values),
            "goal": self.goal,
            "met": self.met,
        }


def machine() -> dict[str, Any]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": os.uname().release, "load": round(os.getloadavg()[0], 2)}


def table(figures: Sequence[Figure]) -> str:
    rows = [("case", "median", "min", "max", "unit", "n", "goal", "")]
    for figure in figures:
        verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
        rows.append(
            (
                figure.case,
                _number(figure.median),
                _number(min(figure.values)),
                _number(max(figure.values)),
                figure.unit,
                str(len(figure.values)),
                "" if figure.goal is None else f"<= {_number(figure.goal)}",
                verdict,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numeric = (1, 2, 3, 5)
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in numeric else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
