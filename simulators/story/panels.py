"""What a picture of a day shows: which quantities share a panel, under which title and unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from simulators.parts.areas import walk
from simulators.parts.base import AREA
from simulators.parts.weather import WEATHER
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
    "stock_kg": ("Stock 库存", "kg", 1.0),
    "load_kg": ("Load 载重", "kg", 1.0),
    "fill_ratio": ("Fill 满溢度", "%", 100.0),
    "level_m": ("Level 液位", "m", 1.0),
    "pressure_bar": ("Pressure 压力", "bar", 1.0),
    "supply_share": ("Supply 供水", "%", 100.0),
    "fouling_factor": ("Membranes' flow 膜通量", "%", 100.0),
    "temperature_c": ("Temperature 温度", "°C", 1.0),
    "salinity_g_l": ("Salinity 盐度", "g/L", 1.0),
    "salinity_mg_l": ("Salinity 盐度", "mg/L", 1.0),
    "permeate.conductivity_us_cm": ("Conductivity 电导率", "µS/cm", 1.0),
    "conductivity_us_cm": ("Conductivity 电导率", "mS/cm", 0.001),
    "rain_mm_h": ("Rain 降雨", "mm/h", 1.0),
}
"""Ending of a quantity -> what a panel of such quantities is called, its unit, and the factor to it."""

RATES = {"volume_m3": "flow_m3_h", "energy_kwh": "power_w", "salt_kg": "salt_kg_h", "rain_mm": "rain_mm_h"}
"""Totals that are not drawn -> the rate that is drawn instead, behind the same name."""

UNDRAWN: dict[str, str] = {
    "gross_kg": "the content or the load, and the tare",
    "weighbridge.tare_kg": "of the last vehicle; the weighing is an event",
    "weighbridge.net_kg": "of the last vehicle; the weighing is an event",
    "received_kg": "each delivery is an event",
    "dispatched_kg": "each loading is an event",
    "emptyings": "each is an event",
    "weighings": "each is an event",
    "level_mm": "the fill, seen from above",
    "volume_m3": "of a bin its fill; of a store its level",
}
"""What else no panel shows, by its ending, and where a picture has it instead."""

WEATHER_TITLE, LOADS_TITLE = "Weather 天气", "Loads 用电负荷"

_TOGETHER = ("content_kg", "stock_kg", "load_kg", "fill_ratio")
"""Quantities of which all parts of an area share a panel."""

_SEWAGE, _LINE = "sewage 污水", "reclaiming 再生"
_GROUPS = {
    **dict.fromkeys(("inflow", "sewage", "infiltration", "treated", "overflow", "discharge"), _SEWAGE),
    **dict.fromkeys(("intake", "product", "backwash", "storage"), _LINE),
}
"""Flows of a plant with a process that do not stand in the panel of its users."""


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
    """The panels for these quantities: the weather, then the parts of each area, in the order of the areas."""
    found: dict[tuple[str, str, str], list[str]] = {}
    places = {path[-1]: area.title or path[-1] for path, area in walk(scenario.areas)}
    called = titles(scenario) | {WEATHER: WEATHER_TITLE}
    for name in sorted(names, key=lambda each: _order(scenario, each)):
        part, _, what = name.partition(".")
        ending = ending_of(what)
        if ending is None:
            continue
        whose = called.get(part, part)
        if part in scenario.loads:
            whose = LOADS_TITLE
        elif ending in _TOGETHER:
            whose = places.get(area_of(scenario, part), area_of(scenario, part))
        found.setdefault((whose, ending, _group(scenario, part, what)), []).append(name)
    made = [panel for key, lines in found.items() for panel in _panels(*key, lines)]
    return made[:PANELS_MAX]


def ending_of(what: str) -> str | None:
    """The entry of UNITS for a quantity, given without its part; None for one that has no panel."""
    return next((each for each in UNITS if what.endswith(each)), None)


def _group(scenario: Scenario, part: str, what: str) -> str:
    plant = scenario.plants.get(part)
    if plant is None or plant.process is None or not what.endswith("_m3_h"):
        return ""
    return _GROUPS.get(what.partition(".")[0], "")


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


def _order(scenario: Scenario, name: str) -> tuple[bool, int, str, int, str]:
    part, _, what = name.partition(".")
    ending = ending_of(what)
    together = ending in _TOGETHER
    held = _parts(scenario).get(part)
    order = list(held.quantities()) if isinstance(held, _Part) else []
    at = order.index(what) if what in order else len(order)
    place = list(UNITS).index(ending) if ending is not None else len(UNITS)
    area = area_of(scenario, part)
    areas = [path[-1] for path, _ in walk(scenario.areas)]
    return (
        part != WEATHER,
        areas.index(area) if area in areas else len(areas),
        area,
        -1 if together else 0,
        f"{'' if together else part}\x1f{place:02d}\x1f{at:04d}{name}",
    )


def _panels(whose: str, ending: str, group: str, names: list[str]) -> list[Panel]:
    """Panels of about as many lines each."""
    title, unit, factor = UNITS[ending]
    number = -(-len(names) // LINES_MAX)
    size = -(-len(names) // number)
    found = []
    for n in range(number):
        shown = tuple(names[n * size : (n + 1) * size])
        parts = tuple(dict.fromkeys(name.partition(".")[0] for name in shown))
        stem = shown[0].partition(".")[2].rpartition(".")[0].replace("_", " ")
        more = f" · {group}" if group else ""
        more += f" · {stem}" if len(shown) == 1 and stem else f" {n + 1}/{number}" if number > 1 else ""
        found.append(Panel(f"{whose} · {title}{more}", unit, factor, shown, parts))
    return found
