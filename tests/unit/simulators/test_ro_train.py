"""A simulated desalination train must behave like a real one, or rehearsing on it teaches the wrong reflexes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from simulators.parts.train import Ro
from simulators.world.ro_train import Point, Steady, salt_correction, steady, water_correction

FLUX_LMH, VESSEL_M2 = 13.5, 7 * 37.0


class Row(NamedTuple):
    salt_g_l: float
    warmth_c: float
    recovery: float
    feed_bar: float
    permeate_mg_l: float
    brine_g_l: float
    ro_kwh_m3: float
    with_feed_pump_kwh_m3: float
    without_recovery_kwh_m3: float


TABLE = (
    Row(30, 2, 0.42, 57.2, 77, 51.7, 2.03, 2.28, 4.47),
    Row(30, 10, 0.42, 51.1, 106, 51.6, 1.83, 2.08, 4.00),
    Row(30, 18, 0.42, 47.4, 143, 51.6, 1.71, 1.95, 3.71),
    Row(30, 25, 0.42, 45.3, 185, 51.6, 1.64, 1.89, 3.55),
    Row(30, 28, 0.42, 44.8, 205, 51.6, 1.62, 1.87, 3.51),
    Row(32, 2, 0.42, 59.3, 82, 55.1, 2.11, 2.35, 4.64),
    Row(32, 25, 0.42, 47.9, 198, 55.0, 1.72, 1.97, 3.75),
    Row(35, 2, 0.42, 62.6, 90, 60.3, 2.22, 2.46, 4.90),
    Row(35, 25, 0.42, 51.7, 218, 60.2, 1.85, 2.10, 4.05),
    Row(30, 18, 0.35, 44.6, 132, 46.1, 1.66, 1.95, 4.19),
    Row(30, 18, 0.40, 46.5, 140, 49.9, 1.69, 1.95, 3.82),
    Row(30, 18, 0.45, 48.8, 150, 54.4, 1.74, 1.97, 3.57),
    Row(30, 18, 0.50, 51.8, 162, 59.8, 1.82, 2.03, 3.41),
)
FOULED = {0.95: 48.1, 0.90: 48.8, 0.85: 49.7, 0.80: 50.7}
"""Fouling factor -> feed pressure in bar at 30 g/L, 18 degrees C and recovery 0.42."""


def at(
    salt_g_l: float | np.ndarray = 30.0,
    warmth_c: float | np.ndarray = 18.0,
    recovery: float | np.ndarray = 0.42,
    fouling: float | np.ndarray = 1.0,
    design: Ro | None = None,
) -> Steady:
    feed = FLUX_LMH * VESSEL_M2 / 1000.0 / recovery
    return steady(design or Ro(), 1, Point(feed, recovery, salt_g_l, warmth_c, fouling))


def kwh_m3(found: Steady) -> tuple[float, float, float]:
    ro = found.power.high_pressure + found.power.booster
    each = (ro, ro + found.power.feed_pump, found.power.without_recovery)
    by_recovery, with_feed_pump, without = (float(kw / found.permeate_m3_h) for kw in each)
    return by_recovery, with_feed_pump, without


@pytest.mark.parametrize("row", TABLE)
def test_the_train_works_as_one_of_its_kind_is_known_to(row: Row) -> None:
    found = at(row.salt_g_l, row.warmth_c, row.recovery)
    given = (found.feed_bar, found.permeate_mg_l, found.brine_g_l, *kwh_m3(found))
    assert [float(each) for each in given] == pytest.approx(row[3:], rel=0.015)


@pytest.mark.parametrize("fouling", FOULED)
def test_fouling_raises_the_pressure_as_it_is_known_to(fouling: float) -> None:
    assert at(fouling=fouling).feed_bar == pytest.approx(FOULED[fouling], rel=0.01)


def test_a_fifth_of_the_flow_lost_to_fouling_shows_in_salt_and_energy() -> None:
    found = at(fouling=0.8)
    assert found.permeate_mg_l == pytest.approx(177.0, rel=0.01)
    assert kwh_m3(found)[0] == pytest.approx(1.82, rel=0.015)


def anywhere(number: int) -> Point:
    rng = np.random.default_rng(7)
    spans = ((4.0, 10.0), (0.3, 0.45), (27.0, 36.0), (0.0, 25.0), (0.75, 1.0))
    return Point(*(rng.uniform(low, high, number) for low, high in spans))


@pytest.mark.parametrize("mixing", [0.0, 0.06])
def test_no_water_and_no_salt_is_made_or_lost(mixing: float) -> None:
    point = anywhere(500)
    found = steady(Ro(erd_mixing=mixing), 1, point)
    possible = found.possible
    assert possible.all()
    feed = np.asarray(point.feed_m3_h)
    assert (found.permeate_m3_h + found.brine_m3_h) == pytest.approx(feed, rel=1e-12)
    assert (found.permeate_salt_kg_h + found.brine_salt_kg_h) == pytest.approx(found.feed_salt_kg_h, rel=1e-12)
    assert found.permeate_m3_h[possible] == pytest.approx((feed * point.recovery)[possible], rel=1e-9)


def test_salt_passes_every_element_by_its_own_law() -> None:
    """With one element the permeate follows from its flux and the salt in front of the membrane alone."""
    design = Ro(elements=1)
    feed, recovery = 4.0, 0.10
    found = steady(design, 1, Point(feed, recovery, 32.0, 25.0))
    lmh = 1000.0 * feed * recovery / 37.0
    wall = 0.5 * (32.0 + float(found.brine_g_l)) * np.exp(0.7 * recovery)
    assert found.permeate_mg_l == pytest.approx(1000.0 * 0.057 * wall / (lmh + 0.057), rel=1e-9)


def test_more_vessels_in_parallel_do_more_of_the_same() -> None:
    one, many = at(), steady(Ro(), 12, Point(12 * FLUX_LMH * VESSEL_M2 / 1000.0 / 0.42, 0.42, 30.0, 18.0))
    assert many.feed_bar == pytest.approx(one.feed_bar, rel=1e-12)
    assert many.power.high_pressure == pytest.approx(12 * one.power.high_pressure, rel=1e-12)


def test_a_point_does_not_depend_on_which_others_are_asked_for() -> None:
    point = anywhere(50)
    together = steady(Ro(), 1, point)
    for n in np.flatnonzero(together.possible)[::7]:
        alone = steady(Ro(), 1, Point(*(np.asarray(each)[n] for each in point)))
        assert alone.feed_bar == pytest.approx(together.feed_bar[n], rel=1e-11)


def test_pressure_rises_with_salt_recovery_and_fouling_and_falls_with_warmth() -> None:
    assert (np.diff(at(salt_g_l=np.linspace(26.0, 38.0, 40)).feed_bar) > 0.0).all()
    assert (np.diff(at(recovery=np.linspace(0.30, 0.50, 40)).feed_bar) > 0.0).all()
    assert (np.diff(at(fouling=np.linspace(1.0, 0.7, 40)).feed_bar) > 0.0).all()
    assert (np.diff(at(warmth_c=np.linspace(0.0, 30.0, 61)).feed_bar) < 0.0).all()


def test_warm_or_fouled_membranes_let_more_salt_pass() -> None:
    assert (np.diff(at(warmth_c=np.linspace(0.0, 30.0, 61)).permeate_mg_l) > 0.0).all()
    assert (np.diff(at(fouling=np.linspace(1.0, 0.7, 40)).permeate_mg_l) > 0.0).all()


def test_mixing_in_the_energy_recovery_costs_salt_and_pressure() -> None:
    plain, mixed = at(), at(design=Ro(erd_mixing=0.06))
    assert 1.02 < mixed.membrane_feed_g_l / plain.membrane_feed_g_l < 1.03
    assert mixed.feed_bar > plain.feed_bar + 0.5
    assert mixed.brine_g_l == pytest.approx(float(plain.brine_g_l), rel=1e-3)


def test_worse_energy_recovery_costs_energy() -> None:
    best, leaky, weak = (kwh_m3(at(design=how))[0] for how in (Ro(), Ro(erd_leakage=0.04), Ro(erd_efficiency=0.9)))
    assert best < leaky
    assert best < weak
    assert kwh_m3(at())[2] > 1.9 * best


def test_corrections_for_warmth_are_those_of_the_makers_tables() -> None:
    warmths = np.array([1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 28.0, 30.0])
    assert water_correction(warmths) == pytest.approx([0.412, 0.482, 0.584, 0.703, 0.841, 1.0, 1.092, 1.157], rel=2e-3)
    assert salt_correction(25.0) == 1.0
    assert 1.3 < salt_correction(25.0) / salt_correction(15.0) < 1.45


def test_the_search_finds_what_there_is_far_from_any_design() -> None:
    rng = np.random.default_rng(0)
    spans = ((0.3, 25.0), (0.05, 0.85), (10.0, 45.0), (0.0, 35.0), (0.4, 1.0))
    with np.errstate(all="raise", under="ignore"):
        point = Point(*(rng.uniform(low, high, 5000) for low, high in spans))
        found = steady(Ro(erd_mixing=0.1), 1, point)
    brine = np.asarray(point.salinity_g_l) / (1.0 - np.asarray(point.recovery))
    assert found.possible[brine < 75.0].mean() > 0.99
    assert found.brine_g_l[found.possible].max() < 130.0
    met = found.permeate_m3_h / (np.asarray(point.feed_m3_h) * point.recovery)
    assert met[found.possible] == pytest.approx(1.0, rel=1e-8)


@pytest.mark.parametrize(
    "recovery, salt_g_l, warmth_c",
    [(0.85, 30.0, 2.0), (0.75, 36.0, 25.0), (0.7, 45.0, 28.0), (0.5, 80.0, 20.0)],
)
def test_what_no_membrane_can_do_is_marked(recovery: float, salt_g_l: float, warmth_c: float) -> None:
    assert not bool(at(salt_g_l, warmth_c, recovery).possible)


def test_a_vessel_with_little_to_do_comes_close_to_equilibrium_at_its_end() -> None:
    """The search must not stumble where the last elements give nearly nothing."""
    flux = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    found = steady(Ro(), 1, Point(flux * VESSEL_M2 / 1000.0 / 0.45, 0.45, 30.0, 28.0))
    assert found.possible.all()
    assert (np.diff(found.feed_bar) > 0.0).all()
    assert found.feed_bar[0] > 30.0


def test_one_impossible_point_does_not_spoil_the_others() -> None:
    found = at(recovery=np.array([0.42, 0.85, 0.42]))
    assert found.possible.tolist() == [True, False, True]
    assert found.feed_bar[0] == found.feed_bar[2] == pytest.approx(float(at().feed_bar), rel=1e-10)
