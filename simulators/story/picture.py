"""A picture of a day that was made: flows, levels, loads, events and faults as small charts over the local hours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.scenario import Scenario
from simulators.story import svg
from simulators.story.calendar import DAY_MS, Times
from simulators.story.happenings import SPELLS, Happening
from simulators.story.panels import Panel, panels, titles

Column = NDArray[np.float64]

WIDTH = 1240.0
_GAP, _MARGIN = 34.0, 28.0
_LEFT = 58.0
_CELL = (WIDTH - 2 * _MARGIN - _GAP) / 2
_PLOT_H, _HEAD, _FOOT = 118.0, 40.0, 26.0
_ROW_H, _LEGEND_H = 17.0, 14.0
_POINTS_MAX = 480
"""Most points of a line; of a longer column the picture shows every n-th."""

MARKED = {"emptying": "emptied 清运", "cleaning": "cleaned 清洗"}
_KINDS = {
    "rain": ("Rain 降雨", "#56b4e9"),
    "overflow": ("Overflow 溢流", "#c0392b"),
    "shortage": ("Shortage 供水不足", "#c0392b"),
    "deposit": ("Deposits 投放", "#0072b2"),
    "emptying": ("Emptyings 清运", "#d55e00"),
    "door_open": ("Lid opened 开门", "#009e73"),
    "delivery": ("Unloaded 卸车", "#6a3d9a"),
    "weighing": ("Weighed 过磅", "#4d4d4d"),
    "cleaning": ("Cleanings 清洗", "#cc79a7"),
}
"""Rows of the strip of events, from above: what happened, what it is called, and its colour."""
_LASTING = frozenset(spell.what for spell in SPELLS.values())
_FAULT, _FAULT_ABOVE, _ON_FAULT, _MARK = "#c0392b", "#7b241c", "#ffffff", "#b03a2e"


@dataclass(frozen=True, slots=True)
class Day:
    """What a picture is drawn from."""

    scenario: Scenario
    date: str
    begin_ms: int
    t_ms: Times
    columns: Mapping[str, Column]
    happenings: Sequence[Happening]
    faults: Sequence[tuple[str, str, int, int]]
    """Device, what, and from when to when (ms UTC)."""


def picture(day: Day) -> str:
    """The picture as SVG."""
    shapes, y = _title(day), 74.0
    found = panels(day.scenario, day.columns)
    for pair in (found[n : n + 2] for n in range(0, len(found), 2)):
        head = max(_head(day, panel) for panel in pair)
        for n, panel in enumerate(pair):
            shapes += _chart(day, panel, _MARGIN + n * (_CELL + _GAP), y, head)
        y += head + _PLOT_H + _FOOT + 8
    shapes += _events(day, y)
    return svg.document(WIDTH, y + _events_height(day), shapes, title=_name(day))


def _name(day: Day) -> str:
    return f"{day.scenario.scenario} · {day.date}"


def _title(day: Day) -> list[str]:
    scenario = day.scenario
    deposits = [each for each in day.happenings if each.kind == "deposit"]
    said = [f"seed {scenario.seed}", f"{len(scenario.meters)} meters 表计", "local hours 当地时间"]
    if deposits:
        mass = math.fsum(each.value for each in deposits)
        said.insert(2, f"{len(deposits)} deposits 投放, {svg.number(round(mass))} kg")
    if day.faults:
        said.insert(2, f"{len(day.faults)} faults 故障")
    return [
        svg.text(_MARGIN, 36, _name(day), size=20, bold=True),
        svg.text(_MARGIN, 56, " · ".join(["simulated 模拟", *said]), size=12, fill=svg.FAINT),
    ]


def _chart(day: Day, panel: Panel, x: float, y: float, head: float) -> list[str]:
    """One panel; its corner is at (x, y), its curves begin `head` below."""
    left, top, right = x + _LEFT, y + head, x + _CELL
    every = max(1, -(-day.t_ms.size // _POINTS_MAX))
    lines = [day.columns[name][::every] * panel.factor for name in panel.names]
    low, high = _span(lines)
    marks = svg.ticks(low, high)

    def across(t_ms: float) -> float:
        return left + (right - left) * (t_ms - day.begin_ms) / DAY_MS

    def up(value: float) -> float:
        return top + _PLOT_H * (1.0 - (value - low) / (high - low))

    shapes = [svg.text(x, y + 12, panel.title, size=12.5, bold=True)]
    shapes += [svg.text(right, y + 12, panel.unit, size=11, fill=svg.FAINT, anchor="end")]
    for n, row in enumerate(_legend(day, panel)):
        at = y + 27 + n * _LEGEND_H
        shapes += [svg.box(x + dx, at - 6, 10, 3, fill=colour) for _, colour, dx in row]
        shapes += [svg.text(x + dx + 14, at, name, size=10, fill=svg.FAINT) for name, _, dx in row]
    for value in marks:
        shapes += [svg.line(left, up(value), right, up(value))]
        shapes += [svg.text(left - 6, up(value) + 4, svg.number(value), size=10, fill=svg.FAINT, anchor="end")]
    shapes += _hours(left, right, top, top + _PLOT_H)
    for name, colour, values in zip(panel.names, svg.COLOURS, lines, strict=False):
        points = [(across(t), up(v)) for t, v in zip(day.t_ms[::every].tolist(), values.tolist(), strict=True)]
        shapes.append(svg.curve(points, stroke=colour, title=name))
    for each in day.happenings:
        if each.kind in MARKED and each.part in panel.parts and _concerns(each, panel):
            colour = svg.COLOURS[panel.parts.index(each.part)] if len(panel.parts) > 1 else _MARK
            shapes.append(svg.mark(across(each.t_ms), top - 1, fill=colour, title=_said(day, each)))
    return shapes


def _concerns(each: Happening, panel: Panel) -> bool:
    """Emptyings are marked on levels, cleanings on pressures."""
    return ("content" in panel.names[0] or "fill" in panel.names[0]) == (each.kind == "emptying")


def _span(lines: Sequence[Column]) -> tuple[float, float]:
    """From where to where an axis goes: from 0, unless all lies in a narrow band far from it."""
    values = np.concatenate(lines)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if 0.0 <= low < 0.6 * high:
        low = 0.0
    elif high <= 0.0 and high > 0.6 * low:
        high = 0.0
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return (low if low == 0.0 else low - pad), high + pad


def _legend(day: Day, panel: Panel) -> list[list[tuple[str, str, float]]]:
    """What each line is: rows of (name, colour, x), at most two; names are cut where the width does not do."""
    if len(panel.names) == 1:
        return []
    called = [_cut(_called(day, name, panel), _CELL / 3 - 26) for name in panel.names]
    rows: list[list[tuple[str, str, float]]] = [[]]
    at = 0.0
    for name, colour in zip(called, svg.COLOURS, strict=False):
        if at and at + 14 + _wide(name) > _CELL:
            rows.append([])
            at = 0.0
        rows[-1].append((name, colour, at))
        at += 14 + _wide(name) + 12
    return rows


def _head(day: Day, panel: Panel) -> float:
    """How far above its curves a panel begins."""
    return _HEAD + _LEGEND_H * max(0, len(_legend(day, panel)) - 1)


def _called(day: Day, name: str, panel: Panel) -> str:
    part, _, what = name.partition(".")
    stem, _, last = what.rpartition(".")
    if len(panel.parts) > 1 or not stem:
        return titles(day.scenario).get(part, part) if "." not in what else f"{part} {stem}"
    several = len({each.rpartition(".")[0] for each in panel.names}) < len(panel.names)
    return f"{stem} {last}" if several else stem.replace("_", " ")


def _wide(what: str) -> float:
    """About how wide a text of 10 px is."""
    return sum(10.0 if ord(each) > 0x2E80 else 5.4 for each in what)


def _cut(what: str, width: float) -> str:
    while len(what) > 3 and _wide(what) > width:
        what = what.rstrip("…")[:-1].rstrip() + "…"
    return what


def _hours(left: float, right: float, top: float, bottom: float) -> list[str]:
    shapes = []
    for hour in range(0, 25, 3):
        x = left + (right - left) * hour / 24
        shapes.append(svg.line(x, top, x, bottom))
        called = f"{hour:02d}" if hour < 24 else "24 h"
        shapes.append(svg.text(x, bottom + 14, called, size=10, fill=svg.FAINT, anchor="middle"))
    return shapes


def _rows(day: Day) -> list[tuple[str, str]]:
    """The rows of the strip of events, as kind and part."""
    seen = {(_kind(each), each.part) for each in day.happenings if _kind(each) in _KINDS}
    seen -= {("door_open", part) for kind, part in seen if kind == "deposit"}  # whoever puts in opens the lid
    order = list(_KINDS)
    return sorted(seen, key=lambda row: (order.index(row[0]), row[1]))[:60]


def _kind(each: Happening) -> str:
    """What it is in the strip: both ends of a spell are one kind."""
    return each.kind.removesuffix("_begin").removesuffix("_end")


def _bars(day: Day, kind: str, part: str) -> list[tuple[int, int, str]]:
    """What is drawn in one row of the strip: from when to when, and what is said when the pointer rests on it."""
    events = [each for each in day.happenings if (_kind(each), each.part) == (kind, part)]
    if kind not in _LASTING:
        return [(each.t_ms, each.t_ms, _said(day, each)) for each in events]
    found, began_ms, said = [], day.begin_ms, ""
    for each in events:
        if each.kind.endswith("_begin"):
            began_ms, said = each.t_ms, _said(day, each)
        else:
            found.append((began_ms, each.t_ms, said or _said(day, each)))
    if events and events[-1].kind.endswith("_begin"):
        found.append((began_ms, day.begin_ms + DAY_MS, said))
    return found


def _events_height(day: Day) -> float:
    rows = len(_rows(day)) + len({each[0] for each in day.faults})
    return 24.0 if not rows else 74.0 + rows * _ROW_H


def _events(day: Day, y: float) -> list[str]:
    """One row for each part and kind of event, then one for each device with a fault."""
    rows, broken = _rows(day), sorted({each[0] for each in day.faults})
    if not rows and not broken:
        return []
    left, right, top = _MARGIN + 300.0, WIDTH - _MARGIN, y + 24.0
    bottom = top + _ROW_H * (len(rows) + len(broken))
    shapes = [svg.text(_MARGIN, y + 12, "Events and faults 事件与故障", size=12.5, bold=True)]
    shapes += _hours(left, right, top, bottom)

    def across(t_ms: float) -> float:
        return left + (right - left) * min(max((t_ms - day.begin_ms) / DAY_MS, 0.0), 1.0)

    called = titles(day.scenario)
    for n, (kind, part) in enumerate(rows):
        at, (label, colour) = top + n * _ROW_H, _KINDS[kind]
        label = _cut(f"{label} · {called.get(part, part)}" if part in called else label, 285)
        shapes.append(svg.text(left - 8, at + 12, label, size=10, anchor="end"))
        least = 1.2 if kind in ("deposit", "door_open") else 3.5
        for from_ms, to_ms, said in _bars(day, kind, part):
            wide = max(least, across(to_ms) - across(from_ms))
            x = across(from_ms) - (least / 2 if wide == least else 0.0)
            shapes.append(svg.box(x, at + 2, wide, _ROW_H - 4, fill=colour, title=said))
    for n, device in enumerate(broken, start=len(rows)):
        at = top + n * _ROW_H
        shapes.append(svg.text(left - 8, at + 12, _cut(f"Fault 故障 · {device}", 285), size=10, anchor="end"))
        shapes += _spans([each for each in day.faults if each[0] == device], across, at, (left, right))
    return shapes


def _spans(
    faults: Sequence[tuple[str, str, int, int]],
    across: Callable[[float], float],
    y: float,
    ends: tuple[float, float],
) -> list[str]:
    """The faults of one device as bars, each with its name where there is room on, behind or before it.

    Faults of a sensor stand beside those of its device: a bar that begins upon another is darker.
    """
    shapes: list[str] = []
    bars = sorted(
        (across(from_ms), max(across(to_ms), across(from_ms) + 2.0), what) for _, what, from_ms, to_ms in faults
    )
    taken = ends[0]
    for n, (begin, end, what) in enumerate(bars):
        below = max((bar[1] for bar in bars[:n]), default=ends[0])
        fill, wide = _FAULT_ABOVE if begin < below else _FAULT, _wide(what) + 8
        shapes.append(svg.box(begin, y + 2, end - begin, _ROW_H - 4, fill=fill, title=what))
        free = bars[n + 1][0] if n + 1 < len(bars) else ends[1]
        if begin + wide <= min(end, free):
            shapes.append(svg.text(begin + 4, y + 12, what, size=10, fill=_ON_FAULT))
            taken = max(taken, end)
        elif end + wide <= free and not end < below < end + wide:
            shapes.append(svg.text(end + 4, y + 12, what, size=10, fill=_ON_FAULT if end < below else _FAULT))
            taken = max(taken, end + wide)
        else:
            if begin - wide >= taken:
                shapes.append(svg.text(begin - 4, y + 12, what, size=10, fill=_FAULT, anchor="end"))
            taken = max(taken, end)
    return shapes


def _said(day: Day, each: Happening) -> str:
    minutes = (each.t_ms - day.begin_ms) // 60_000
    value = f" {each.value:g}" if each.kind not in ("door_open", "door_close") else ""
    return (
        f"{minutes // 60:02d}:{minutes % 60:02d} {each.kind}{value} · {titles(day.scenario).get(each.part, each.part)}"
    )


def faults_of(scenario: Scenario, origin_ms: int, begin_ms: int) -> list[tuple[str, str, int, int]]:
    """The scenario's faults that hold some of the day that begins at `begin_ms`."""
    found: list[tuple[str, str, int, int]] = []
    for fault in scenario.faults:
        from_ms, to_ms = (origin_ms + round(at_s * 1000.0) for at_s in (fault.start_s, fault.end_s))
        if from_ms < begin_ms + DAY_MS and to_ms > begin_ms:
            found.append((fault.device, fault.what, from_ms, to_ms))
    return found
