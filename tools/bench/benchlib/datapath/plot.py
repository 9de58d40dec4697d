# SPDX-License-Identifier: Apache-2.0
"""The packet cases as SVG: a panel a case, the number of prefixes to the right, nanoseconds upwards."""

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from .methods import METHODS
from .results import Case, Packets, Results, short

_COLOURS = {
    "route": "#555555",
    "main-routes": "#1f77b4",
    "rule-routes": "#17becf",
    "kubespan-nft": "#d62728",
    "wglan-egress": "#ff7f0e",
    "wglan-direct": "#2ca02c",
}
_COLUMNS, _WIDTH, _HEIGHT, _TOP = 4, 330, 240, 70
_LEFT, _BOTTOM, _HEAD = 50, 30, 26


def svg(results: Results, caption: str) -> str:
    panels: dict[str, list[Case]] = {}
    for case in results.packets:
        panels.setdefault(case.group, []).append(case)
    columns = min(_COLUMNS, len(panels)) or 1
    width, height = max(columns * _WIDTH, 860), _TOP + math.ceil(len(panels) / columns) * _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(10, 20, "CPU nanoseconds a packet, median and range, by number of prefixes", size=15),
        _text(10, 38, caption),
        *_legend([name for name in METHODS if any(name in methods for methods in results.packets.values())]),
    ]
    for index, (title, cases) in enumerate(sorted(panels.items())):
        x, y = index % columns * _WIDTH, _TOP + index // columns * _HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *_panel(title, cases, results), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(names: Sequence[str]) -> list[str]:
    parts = []
    for index, name in enumerate(names):
        x = 10 + index * 140
        parts.append(f'<rect x="{x}" y="48" width="12" height="12" fill="{_COLOURS[name]}"/>')
        parts.append(_text(x + 17, 58, METHODS[name].title))
    return parts


def _panel(title: str, cases: list[Case], results: Results) -> list[str]:
    cases = sorted(cases, key=lambda case: case.prefixes)
    shown = [packets for case in cases for packets in results.packets[case].values()]
    top = _round_up(max((value for packets in shown for value in packets.cpu_ns), default=0))
    right, floor = _WIDTH - 15, _HEIGHT - _BOTTOM

    def x_of(index: int) -> float:
        return _LEFT + (right - _LEFT) * (index + 0.5) / len(cases)

    def y_of(value: float) -> float:
        return floor - (floor - _HEAD) * value / top

    parts = [_text(_LEFT, 16, title, size=12)]
    for step in range(5):
        y = y_of(top * step / 4)
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 5, y + 4, f"{top * step / 4:.0f}", anchor="end"))
    for index, case in enumerate(cases):
        parts.append(_text(x_of(index), floor + 16, short(case.prefixes), anchor="middle"))
    for offset, name in enumerate(METHODS):
        shift = (offset - (len(METHODS) - 1) / 2) * 5
        points = [
            (x_of(index) + shift, results.packets[case].get(name, Packets()))
            for index, case in enumerate(cases)
        ]
        parts += _line([(x, packets) for x, packets in points if packets.cpu_ns], _COLOURS[name], y_of)
    return parts


def _line(
    points: list[tuple[float, Packets]], colour: str, y_of: Callable[[float], float]
) -> list[str]:
    places = [(x, y_of(packets.median or 0)) for x, packets in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-opacity="0.5"/>']
    for (x, y), (_, packets) in zip(places, points, strict=True):
        low, high = y_of(min(packets.cpu_ns)), y_of(max(packets.cpu_ns))
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
    return parts


def _round_up(value: float) -> float:
    if value <= 0:
        return 1
    unit = 10 ** math.floor(math.log10(value))
    return next(unit * step for step in (1, 2, 4, 6, 8, 10) if unit * step >= value)


def _text(x: float, y: float, words: str, *, size: int = 11, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(words)}</text>'
