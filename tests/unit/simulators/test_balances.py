"""Mass, water, salt and energy of every ready scenario: what was told of a day must add up by its totals alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from device_profiles.library import Library
from simulators.load_scenario import find, load_scenario, shipped_names
from simulators.parts.process import PROCESS_ENERGY
from simulators.parts.train import PUMPS
from simulators.scenario import Scenario
from simulators.story.app import write_story
from simulators.story.book import Book
from simulators.story.calendar import Calendar, instant_ms, offset_ms_of
from simulators.story.shares import What
from simulators.world.world import World

NEAR = 1e-6
"""By how much of what goes in a balance may be open."""
DAY = "2025-07-09"
"""A Wednesday of the rainy season."""
STEPS = 1440
COUNTS = (".emptyings", ".rounds", ".weighings", ".cleanings", ".net_total_kg")
"""Totals of events, and the weighbridge's, which has a test of its own."""

Column = NDArray[np.float64]


class Balance(NamedTuple):
    """What goes in is what comes out and what stays; every name is a quantity of the world."""

    goes_in: tuple[str, ...]
    comes_out: tuple[str, ...]
    stays: tuple[str, ...] = ()
    """Levels: what they hold more than at the begin."""
    times: float = 1.0
    """What goes in counts so many times."""


def balances(scenario: Scenario) -> Iterator[Balance]:
    """All that must add up in a scenario."""
    yield from _mass(scenario)
    yield from _water(scenario)
    for part, train in scenario.trains.items():
        if train.ro is not None:
            yield Balance((f"{part}.feed.salt_kg",), (f"{part}.permeate.salt_kg", f"{part}.brine.salt_kg"))
            yield Balance((f"{part}.energy.energy_kwh",), tuple(f"{part}.{pump}.energy_kwh" for pump in PUMPS))
            yield Balance((f"{part}.permeate.volume_m3",), (f"{part}.rest.energy_kwh",), times=train.ro.rest_kwh_m3)
    for part, plant in scenario.plants.items():
        if plant.process is not None:
            whole, *parts = (f"{part}.{each}.energy_kwh" for each in PROCESS_ENERGY)
            treats, reclaims = plant.process.treatment_kwh_m3, plant.process.reclaiming_kwh_m3
            yield Balance((whole,), tuple(parts))
            yield Balance((f"{part}.treated.volume_m3",), (f"{part}.treatment.energy_kwh",), times=treats)
            yield Balance((f"{part}.product.volume_m3",), (f"{part}.reclaiming.energy_kwh",), times=reclaims)


def _mass(scenario: Scenario) -> Iterator[Balance]:
    for part in scenario.bins:
        yield Balance((f"{part}.mass_in_kg",), (f"{part}.mass_out_kg",), (f"{part}.content_kg",))
    for part, vehicle in scenario.vehicles.items():
        gave = (f"{each}.{'mass_out' if each in scenario.bins else 'dispatched'}_kg" for each in vehicle.collects)
        yield Balance(tuple(gave), (f"{part}.collected_kg",))
        yield Balance((f"{part}.collected_kg",), (f"{part}.delivered_kg",), (f"{part}.load_kg",))
    for part in scenario.stations:
        brought = (f"{name}.delivered_kg" for name, each in scenario.vehicles.items() if each.station == part)
        yield Balance(tuple(brought), (f"{part}.received_kg",))
        yield Balance((f"{part}.received_kg",), (f"{part}.dispatched_kg",), (f"{part}.stock_kg",))


def _water(scenario: Scenario) -> Iterator[Balance]:
    for part, plant in scenario.plants.items():
        users = tuple(f"{part}.{user}.volume_m3" for user in plant.users)
        yield Balance((f"{part}.reclaimed.volume_m3",), (*users, f"{part}.losses.volume_m3"))
        if plant.process is not None:
            level = (f"{part}.storage.volume_m3",) if plant.process.storage is not None else ()
            for goes_in, comes_out in (
                (("sewage", "infiltration"), ("inflow",)),
                (("inflow",), ("treated", "overflow")),
                (("treated",), ("intake", "discharge")),
                (("intake",), ("product", "backwash")),
            ):
                yield Balance(_volumes(part, *goes_in), _volumes(part, *comes_out))
            yield Balance(_volumes(part, "product"), _volumes(part, "reclaimed"), level)
            away = _volumes(part, "overflow", "discharge", "backwash", "losses")
            yield Balance(_volumes(part, "sewage", "infiltration"), (*away, *users), level)
    for part, train in scenario.trains.items():
        yield Balance(_volumes(part, "feed"), _volumes(part, "permeate", "brine"))
        if train.brine_used_share is not None:
            yield Balance(_volumes(part, "brine"), _volumes(part, "brine_used", "brine_outfall"))


def _volumes(part: str, *flows: str) -> tuple[str, ...]:
    return tuple(f"{part}.{flow}.volume_m3" for flow in flows)


class Told:
    """One day of a story, and the begin of the next."""

    def __init__(self, folder: Path, name: str) -> None:
        loaded = load_scenario(find(name), Library().load)
        self.scenario = loaded.scenario
        offset_ms = offset_ms_of(loaded.scenario)
        calendar = Calendar(instant_ms(DAY, offset_ms), 60_000, offset_ms)
        write_story(loaded, folder=folder, calendar=calendar, days=2, what=What.TRUTH)
        self._book = Book.open_readonly(folder)
        self._ids = {each.name: each.id for each in self._book.series()}
        self.names = frozenset(self._ids)

    def column(self, name: str) -> Column:
        """What was told of `name`: every minute of the day, and the midnight after it."""
        days = [self._book.column(self._ids[name], day) for day in (0, 1)]
        return np.append(days[0], days[1][:1])

    def sum(self, names: tuple[str, ...], *, since: bool = False) -> Column:
        found = np.zeros(STEPS + 1)
        for name in names:
            column = self.column(name)
            found += column - column[0] if since else column
        return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> object:
    @cache
    def tell(name: str) -> Told:
        return Told(tmp_path_factory.mktemp(name), name)

    return tell


@pytest.mark.parametrize("name", shipped_names())
def test_what_goes_in_comes_out_or_stays_at_every_minute_of_a_day(name: str, told: object) -> None:
    assert callable(told)
    day: Told = told(name)
    for each in balances(day.scenario):
        goes_in = each.times * day.sum(each.goes_in)
        open_ = goes_in - day.sum(each.comes_out) - day.sum(each.stays, since=True)
        assert np.abs(open_).max() <= NEAR * max(goes_in[-1], 1e-3), (each, np.abs(open_).max())


@pytest.mark.parametrize("name", shipped_names())
def test_every_total_is_in_a_balance_or_is_what_its_rate_adds_up_to(name: str, told: object) -> None:
    """A total that nobody adds up would be one in which anything could go missing."""
    assert callable(told)
    day: Told = told(name)
    balanced = {each for one in balances(day.scenario) for each in (*one.goes_in, *one.comes_out)}
    for total in sorted(day.names):
        rate, factor = _rate_of(total)
        if rate is None or rate not in day.names:
            continue
        passed, of_minutes = day.column(total), day.column(rate)
        by_minute = _stands_by_minute(day.scenario, total)
        added = (of_minutes[:-1] if by_minute else 0.5 * (of_minutes[1:] + of_minutes[:-1])).sum() / 60.0 * factor
        near = NEAR if by_minute else 1e-5
        assert passed[-1] - passed[0] == pytest.approx(added, rel=near, abs=1e-3), total
        balanced.add(total)
    totals = {name for name in world_totals(day.scenario) if not name.endswith(COUNTS)}
    assert totals and totals <= balanced


@pytest.mark.parametrize(
    "name", [each for each in shipped_names() if each in ("bad-day", "nankai-bins", "tianjin-year")]
)
def test_a_weighbridge_has_weighed_what_was_brought(name: str, told: object) -> None:
    """Its net total follows the unloading by some minutes; at midnight nobody stands on it."""
    assert callable(told)
    day: Told = told(name)
    for part in day.scenario.stations:
        received = day.column(f"{part}.received_kg")
        assert day.column(f"{part}.weighbridge.net_total_kg")[-1] == pytest.approx(received[-1], rel=NEAR)
    assert any(day.column(f"{part}.received_kg")[-1] > 1.0 for part in day.scenario.stations)


def test_a_balance_that_is_open_is_seen(told: object) -> None:
    """Half a litre of a thousand cubic metres is enough."""
    assert callable(told)
    day: Told = told("jizhou-reclaimed")
    whole = day.column("water-plant.treated.volume_m3")
    parts = day.sum(_volumes("water-plant", "intake", "discharge"))
    assert math.isclose(whole[-1], parts[-1], rel_tol=NEAR) and not math.isclose(
        whole[-1] * 1.00001, parts[-1], rel_tol=NEAR
    )


def world_totals(scenario: Scenario) -> tuple[str, ...]:
    """Every quantity that only rises."""
    return World(scenario=scenario, origin_ms=0).totals


def _rate_of(total: str) -> tuple[str | None, float]:
    """The rate of a total, and what an hour of it adds."""
    for ending, rate, factor in (
        (".volume_m3", ".flow_m3_h", 1.0),
        (".energy_kwh", ".power_w", 0.001),
        (".salt_kg", ".salt_kg_h", 1.0),
        (".rain_mm", ".rain_mm_h", 1.0),
    ):
        if total.endswith(ending):
            return total.removesuffix(ending) + rate, factor
    return None, 1.0


def _stands_by_minute(scenario: Scenario, total: str) -> bool:
    """Whether its rate is one value for each whole minute; others swing on."""
    part = total.partition(".")[0]
    return (
        part == "weather"
        or (part in scenario.plants and scenario.plants[part].process is not None)
        or (part in scenario.trains and scenario.trains[part].ro is not None)
    )
