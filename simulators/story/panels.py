"""What a picture of a day shows: which quantities share a panel, under which title and unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from simulators.parts.base import AREA
from simulators.scenario import Scenario

PANELS_MAX = 60
"""Most panels of a picture; what comes after them is left out."""
LINES_MAX = 7
"""Most lines of a panel; of more there are several panels."""

UNITS: dict[str, tuple[str, str, float]] = {
    "_m3_h": ("Flow 流量", "m³/h", 1.0),
    "_kg_h": ("Salt 盐", "kg/h", 1.0),
    "power_w": ("Power 功率", "kW", 0.001),
    "content_kg": ("Content 存量", "kg", 1.0),
    "content_m3": ("Content 存量", "m³", 1.0),
    "level_m": ("Level 液位", "m", 1.0),
    "fill_percent": ("Fill 满溢度", "%", 1.0),
    "_percent": ("Share 比例", "%", 1.0),
    "pressure_bar": ("Pressure 压力", "bar", 1.0),
    "temperature_c": ("Temperature 温度", "°C", 1.0),
    "_c": ("Temperature 温度", "°C", 1.0),
    "salinity_g_l": ("Salinity 盐度", "g/L", 1.0),
    "_mg_l": ("Concentration 浓度", "mg/L", 1.0),
    "_mm_h": ("Rain 雨", "mm/h", 1.0),
    "_m": ("Level 液位", "m", 1.0),
}
"""Ending of a quantity -> what a panel of such quantities is called, its unit, and the factor to it."""

_TOGETHER = ("content_kg", "content_m3", "fill_percent", "level_m")
"""Quantities of which all parts of an area share a panel."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A small chart: its lines are quantities of the world."""

    title: str
    unit: str
    factor: float
    names: tuple[str, ...]
    parts: tuple[str, ...]
    """Whose events are marked on it."""


@runtime_checkable
class _Part(Protocol):
    def quantities(self) -> tuple[str, ...]: ...


def panels(scenario: Scenario, names: Iterable[str]) -> list[Panel]:
    """The panels for these quantities, in the order of the scenario's areas and parts."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(names, key=lambda each: _order(scenario, each)):
        part, _, what = name.partition(".")
        ending = next((each for each in UNITS if what.endswith(each)), None)
        if ending is None:
            continue
        alone = ending not in _TOGETHER and not _is_load(scenario, part)
        whose = titles(scenario).get(part, part) if alone else area_of(scenario, part)
        found.setdefault((whose, ending), []).append(name)
    made = [panel for (whose, ending), lines in found.items() for panel in _panels(whose, ending, lines)]
    return made[:PANELS_MAX]


def titles(scenario: Scenario) -> dict[str, str]:
    """What people call each part; its name where nobody calls it anything."""
    return {name: str(getattr(part, "title", "") or name) for name, part in _parts(scenario).items()}


def area_of(scenario: Scenario, part: str) -> str:
    """The area of a part."""
    return str(getattr(_parts(scenario).get(part), "area", AREA))


def _parts(scenario: Scenario) -> dict[str, object]:
    found: dict[str, object] = {}
    for section in type(scenario).model_fields:
        held = getattr(scenario, section)
        if section not in ("meters", "lines") and isinstance(held, Mapping):
            found |= held
    return found


def _is_load(scenario: Scenario, part: str) -> bool:
    return part in scenario.loads


def _order(scenario: Scenario, name: str) -> tuple[str, int, str]:
    part, _, what = name.partition(".")
    ending = next((n for n, each in enumerate(UNITS) if what.endswith(each)), len(UNITS))
    together = ending < len(UNITS) and list(UNITS)[ending] in _TOGETHER
    held = _parts(scenario).get(part)
    order = list(held.quantities()) if isinstance(held, _Part) else []
    at = order.index(what) if what in order else len(order)
    return (
        area_of(scenario, part),
        -1 if together else 0,
        f"{'' if together else part}\x1f{ending:02d}\x1f{at:04d}{name}",
    )


def _panels(whose: str, ending: str, names: list[str]) -> list[Panel]:
    """Panels of about as many lines each."""
    title, unit, factor = UNITS[ending]
    number = -(-len(names) // LINES_MAX)
    size = -(-len(names) // number)
    found = []
    for n in range(number):
        shown = tuple(names[n * size : (n + 1) * size])
        parts = tuple(dict.fromkeys(name.partition(".")[0] for name in shown))
        stem = shown[0].partition(".")[2].rpartition(".")[0].replace("_", " ")
        more = f" · {stem}" if len(shown) == 1 and stem else f" {n + 1}/{number}" if number > 1 else ""
        found.append(Panel(f"{whose} · {title}{more}", unit, factor, shown, parts))
    return found
