"""The few shapes of SVG that a picture of a day needs, as text. All coordinates are in px."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

FONT = "font-family=\"'Noto Sans','Noto Sans CJK SC','WenQuanYi Zen Hei','Microsoft YaHei',sans-serif\""

INK, FAINT, GRID = "#1f2933", "#5f6b76", "#e3e7eb"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6a3d9a", "#4d4d4d")
"""Lines of one panel, in this order; told apart also by colour-blind eyes (after Okabe and Ito, 2008)."""


def text(
    x: float, y: float, what: str, *, size: float = 11, fill: str = INK, anchor: str = "start", bold: bool = False
) -> str:
    """A line of text; `y` is its base line."""
    weight = ' font-weight="600"' if bold else ""
    how = f'font-size="{size:g}" fill="{fill}" text-anchor="{anchor}"{weight}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {how}>{escape(what)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = GRID, width: float = 1.0) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width:g}"/>'


def box(x: float, y: float, width: float, height: float, *, fill: str, title: str = "") -> str:
    """A filled rectangle; `title` is shown when the pointer rests on it."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}">{inside}</rect>'


def curve(points: Sequence[tuple[float, float]], *, stroke: str, title: str = "") -> str:
    """A line through points; it is broken where a point is not a number."""
    parts, pen = [], "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        parts.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<path d={quoteattr("".join(parts))} fill="none" stroke="{stroke}" stroke-width="1.4">{inside}</path>'


def mark(x: float, y: float, *, fill: str, title: str = "") -> str:
    """A triangle that stands on its point at (x, y)."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<path d="M{x:.1f} {y:.1f}l-4 -7h8z" fill="{fill}">{inside}</path>'


def document(width: float, height: float, shapes: Sequence[str], *, title: str) -> str:
    """A whole file."""
    extent = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {extent} {FONT}>'
    ground = box(0, 0, width, height, fill="#ffffff")
    return "\n".join((head, f"<title>{escape(title)}</title>", ground, *shapes, "</svg>", ""))


def ticks(low: float, high: float, number: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about so many."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    rough = span / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * of for of in (1, 2, 2.5, 5, 10) if power * of >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A number of an axis: as many digits as it needs."""
    return f"{value:,.10g}".replace(",", "\u2009")
