"""A picture of a day is looked at by people who do not read the code: it must be whole, legible and true."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.load_scenario import find, load_scenario, shipped_names
from simulators.story import svg
from simulators.story.calendar import DAY_MS, HOUR_MS, Calendar, instant_ms
from simulators.story.happenings import RISES, SPELLS, SWITCHES, Happening, happenings, told_by
from simulators.story.panels import LINES_MAX, PANELS_MAX, RATES, UNDRAWN, UNITS, ending_of, panels
from simulators.story.picture import WIDTH, Day, faults_of, picture
from simulators.world.world import World
from tests.unit.simulators.town import town_scenario

SVG = "{http://www.w3.org/2000/svg}"


@cache
def day(name: str) -> Day:
    plan = load_scenario(find(name), Library().load).scenario
    calendar = Calendar(instant_ms("2025-07-01", 8 * HOUR_MS), 60_000, 8 * HOUR_MS)
    world = World(scenario=plan, origin_ms=calendar.from_ms)
    t_ms = calendar.times(0)
    return Day(
        scenario=plan,
        date=calendar.date(0),
        begin_ms=calendar.from_ms,
        t_ms=t_ms,
        columns={name: world.column(name, t_ms) for name in world.names},
        happenings=happenings(world, world.names, calendar.from_ms, calendar.from_ms + DAY_MS),
        faults=faults_of(plan, calendar.from_ms, calendar.from_ms),
    )


def numbers(path: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?[0-9.]+", path)]


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_scenario_has_a_picture_within_its_frame(name: str) -> None:
    root = ElementTree.fromstring(picture(day(name)))  # noqa: S314
    height = float(root.attrib["height"])
    curves = [each for each in root.iter(f"{SVG}path") if each.attrib.get("fill") == "none"]
    assert curves
    for each in curves:
        xy = numbers(each.attrib["d"])
        assert all(0 <= x <= WIDTH for x in xy[::2])
        assert all(0 <= y <= height for y in xy[1::2])
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= WIDTH
        assert 0 <= float(text.attrib["y"]) <= height
        assert text.text


@pytest.mark.parametrize("name", [*shipped_names(), "town"])
def test_every_quantity_is_drawn_or_told_or_left_out_for_a_reason(name: str) -> None:
    """A quantity that no panel and no event knows would be missing from every picture, and nobody would notice."""
    plan = town_scenario() if name == "town" else load_scenario(find(name), Library().load).scenario
    names = plan.quantities()
    drawn = {each for panel in panels(plan, names) for each in panel.names}
    assert len(panels(plan, names)) < PANELS_MAX, "some would be left out"
    for each in sorted(names - drawn - set(told_by(names))):
        stem, _, last = each.rpartition(".")
        by_rate = f"{stem}.{RATES.get(last, '')}" in drawn
        assert by_rate or any(each.endswith(f".{ending}") for ending in UNDRAWN), f"{each}: give it a panel in UNITS"


def test_no_panel_and_no_reason_is_for_quantities_that_nobody_has() -> None:
    plans = [load_scenario(find(name), Library().load).scenario for name in shipped_names()]
    known = {each.partition(".")[2] for plan in (*plans, town_scenario()) for each in plan.quantities()}
    assert {ending_of(what) for what in known} - {None} == set(UNITS)
    for ending in (*UNDRAWN, *RATES, *RISES, *SWITCHES, *SPELLS):
        assert any(what.endswith(ending) for what in known), ending


def test_a_store_stands_at_its_level_and_a_fill_in_percent() -> None:
    found = {panel.title: panel for panel in panels(day("bad-day").scenario, day("bad-day").columns)}
    fill = found["Yard 小区 · Fill 满溢度"]
    assert (fill.unit, fill.factor, fill.names) == ("%", 100.0, ("paper.fill_ratio",))
    level = found["Reclaimed-water plant 再生水厂 · Level 液位 · storage"]
    assert (level.unit, level.names) == ("m", ("plant.storage.level_m",))
    sewage = found["Reclaimed-water plant 再生水厂 · Flow 流量 · sewage 污水"]
    assert "plant.overflow.flow_m3_h" in sewage.names and "plant.lawn.flow_m3_h" not in sewage.names
    assert list(found)[:2] == ["Weather 天气 · Temperature 温度", "Weather 天气 · Rain 降雨"]


def test_a_spell_is_a_bar_from_its_begin_to_its_end_and_one_that_lasts_reaches_midnight() -> None:
    of = day("bad-day")
    hours = [
        Happening(of.begin_ms + h * HOUR_MS, kind, "weather", 1.0) for h, kind in ((3, "rain_begin"), (6, "rain_end"))
    ]
    late = [*hours, Happening(of.begin_ms + 21 * HOUR_MS, "rain_begin", "weather", 1.0)]
    before = [Happening(of.begin_ms + 3 * HOUR_MS, "rain_end", "weather", 0.0)]
    for told, widths in ((hours, [1 / 8]), (late, [1 / 8, 1 / 8]), (before, [1 / 8])):
        drawn = picture(replace(of, happenings=told, faults=()))
        bars = [each for each in drawn.splitlines() if each.startswith("<rect") and 'fill="#56b4e9"' in each]
        wide = [float(re.findall(r'width="([0-9.]+)"', each)[0]) for each in bars if 'height="13.0"' in each]
        assert wide == pytest.approx([(WIDTH - 356) * share for share in widths], rel=0.01)
        assert "Rain 降雨" in drawn


def test_every_flow_power_and_content_of_the_world_is_a_line_with_its_unit() -> None:
    of = day("tianjin-year")
    shown = [name for panel in panels(of.scenario, of.columns) for name in panel.names]
    assert len(shown) == len(set(shown))
    assert set(shown) >= {each for each in of.columns if each.endswith(("flow_m3_h", "power_w", "content_kg"))}
    assert all(len(panel.names) <= LINES_MAX <= len(svg.COLOURS) for panel in panels(of.scenario, of.columns))
    drawn = picture(of)
    assert drawn.count('fill="none"') == len(shown)
    for said in ("m³/h", "kW", "kg", "bar", "°C", "24 h", "西部再生水厂", "simulated 模拟", "2025-07-01"):
        assert said in drawn


def test_a_curve_stands_where_its_values_are() -> None:
    of = day("jizhou-reclaimed")
    steps = np.where(of.t_ms < of.begin_ms + DAY_MS // 2, 100.0, 200.0)
    names = {name: steps for name in of.columns if name == "blowers.power_w"}
    root = ElementTree.fromstring(picture(replace(of, columns={"blowers.power_w": 1000.0 * steps}, happenings=())))  # noqa: S314
    assert names
    (curve,) = [each for each in root.iter(f"{SVG}path") if each.attrib.get("fill") == "none"]
    xy = numbers(curve.attrib["d"])
    ticks = {each.text: float(each.attrib["y"]) - 4 for each in root.iter(f"{SVG}text")}
    assert xy[1] == pytest.approx(ticks["100"], abs=0.2)
    assert xy[-1] == pytest.approx(ticks["200"], abs=0.2)
    turn = next(x for x, y in zip(xy[::2], xy[1::2], strict=True) if y < xy[1] - 1)
    noon = [float(each.attrib["x"]) for each in root.iter(f"{SVG}text") if each.text == "12"]
    assert turn == pytest.approx(noon[0], abs=2)


def test_a_fault_is_named_where_its_name_can_be_read() -> None:
    """A PNG has no pointer to rest on a bar: a long bar bears its name, also where another begins upon it."""
    of = day("bad-day")
    root = ElementTree.fromstring(picture(of))  # noqa: S314
    bars = [each for each in root.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    row = {each.text: float(each.attrib["y"]) for each in root.iter(f"{SVG}text") if each.text}["Fault 故障 · quality"]
    bars = [each for each in bars if float(each.attrib["y"]) == row - 10]
    names = {each.text: each for each in root.iter(f"{SVG}text") if float(each.attrib["y"]) == row}
    assert len({each.attrib["fill"] for each in bars}) == 2, "a fault upon another looks like one with it"
    for what in ("nan", "drift", "silent"):
        x, fill = float(names[what].attrib["x"]), names[what].attrib["fill"]
        on = any(float(bar.attrib["x"]) <= x <= float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in bars)
        assert on == (fill == "#ffffff"), f"{what}: red on red, or white on white"


def test_emptyings_and_faults_are_marked_and_a_gap_stays_a_gap() -> None:
    of = day("bad-day")
    drawn = picture(of)
    for said in ("emptying", "reboot_reset", "energy-meter", "exception", "Events and faults 事件与故障"):
        assert said in drawn
    broken = {name: np.where(np.arange(column.size) % 99 < 50, column, np.nan) for name, column in of.columns.items()}
    drawn = picture(replace(of, columns=broken))
    assert "nan," not in drawn and ">nan<" not in drawn.replace(">nan</text>", "").replace("<title>nan</title>", "")
    curve = next(line for line in drawn.splitlines() if 'fill="none"' in line)
    assert curve.count("M") > 5


def test_titles_are_never_taken_for_markup() -> None:
    of = day("bad-day")
    bad = of.scenario.bins["paper"].model_copy(update={"title": '<b> & "paper"'})
    scenario = of.scenario.model_copy(update={"bins": {**of.scenario.bins, "paper": bad}})
    drawn = picture(replace(of, scenario=scenario))
    ElementTree.fromstring(drawn)  # noqa: S314
    assert "&lt;b&gt; &amp;" in drawn


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 100, [0, 25, 50, 75, 100]),
        (0, 0.3, [0, 0.1, 0.2, 0.3]),
        (44, 49, [44, 46, 48]),
        (-5, 5, [-5, -2.5, 0, 2.5, 5]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert svg.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("low, high", [(1, 1), (0, math.inf), (math.nan, 1)])
def test_an_axis_of_nothing_has_one_tick(low: float, high: float) -> None:
    assert len(svg.ticks(low, high)) == 1
