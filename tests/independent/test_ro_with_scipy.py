"""The reverse osmosis train against a second computation: scipy's solvers, and formulas written down anew.

Two references. An element march with nested root finding says whether the train solves the equations that it claims to:
there the two agree to the last digits. A continuous vessel, as an ordinary differential equation, says what dividing it
into elements is worth: an element's salt and pressure are the mean of its two ends, and the salt at the membrane rises
with the recovery of the whole element, where the continuous vessel goes by the recovery that an element would have at
the local flux. They differ by a fifth of a percent in pressure and a third in permeate salt; twice that is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from simulators.parts.train import Ro
from simulators.world.ro_train import Point, steady

LMH, SALT_LMH = 1.15, 0.057
AREA_M2, ELEMENTS, DROP_BAR = 37.0, 7, 1.2


class Case(NamedTuple):
    sea_g_l: float
    warmth_c: float
    recovery: float
    fouling: float
    flux_lmh: float = 13.5


class Vessel(NamedTuple):
    feed_bar: float
    permeate_mg_l: float
    brine_g_l: float


CASES = (
    Case(33.0, 7.0, 0.38, 0.9),
    Case(28.5, 26.5, 0.45, 0.82),
    Case(36.0, 12.0, 0.40, 1.0),
    Case(31.0, 0.5, 0.35, 0.95, 15.0),
    Case(25.0, 15.0, 0.50, 0.88, 12.0),
    Case(39.0, 20.0, 0.36, 0.75),
    Case(29.7, 24.99, 0.42, 1.0, 9.0),
    Case(32.2, 4.0, 0.44, 0.85, 16.0),
)


def osmotic_bar(grams: float, celsius: float) -> float:
    """Van 't Hoff with the osmotic coefficient of Sharqawy, Lienhard and Zubair (2010), eq. 49, term by term."""
    s, t = grams / 1000.0, celsius
    powers = (1, t, t**2, t**4, s, s * t, s * t**3, s**2, s**2 * t, s**2 * t**2)
    terms = (
        8.9453e-1,
        4.1561e-4,
        -4.6262e-6,
        2.2211e-11,
        -1.1445e-1,
        -1.4783e-3,
        -1.3526e-8,
        7.0132,
        5.696e-2,
        -2.8624e-4,
    )
    phi = math.fsum(a * b for a, b in zip(terms, powers, strict=True))
    molality = 1000.0 * s / (1.0 - s) / 31.4038218
    water = math.fsum(a * t**n for n, a in enumerate((9.999e2, 2.034e-2, -6.162e-3, 2.261e-5, -4.657e-8)))
    return phi * molality * water * 8.314462618 * (t + 273.15) / 1e5


def permeabilities(case: Case) -> tuple[float, float]:
    slope = 2640.0 if case.warmth_c >= 25.0 else 3020.0
    water = LMH * math.exp(slope * (1 / 298 - 1 / (273 + case.warmth_c))) * case.fouling
    salt = SALT_LMH * math.exp(3000.0 * (1 / 298.15 - 1 / (273.15 + case.warmth_c))) / case.fouling
    return water, salt


def feed_m3_h(case: Case) -> float:
    return case.flux_lmh * AREA_M2 * ELEMENTS / 1000.0 / case.recovery


def flux(case: Case, bar: float, wall: Callable[[float, float], float], most: float) -> tuple[float, float]:
    """The flux of a membrane at `bar`, and what passes it in g/L; `wall(flux, passed)` is the salt in front of it."""
    water, salt = permeabilities(case)

    def passed(j: float) -> float:
        return float(brentq(lambda c: c - salt * wall(j, c) / (j + salt), 0.0, 2.0 * wall(j, 0.0), xtol=1e-14))

    def residual(j: float) -> float:
        behind = passed(j)
        pull = osmotic_bar(wall(j, behind), case.warmth_c) - osmotic_bar(behind, case.warmth_c)
        return j - water * (bar - pull)

    j = float(brentq(residual, 1e-6, most, xtol=1e-12)) if residual(most) > 0.0 else most
    return j, passed(j)


def march(case: Case, feed_bar: float, inlet_g_l: float) -> tuple[float, float, float]:
    """Permeate in m3/h, its salt in g/L and the brine's, by elements."""
    flow, grams, bar = feed_m3_h(case), inlet_g_l, feed_bar
    permeate = salt = 0.0
    for _ in range(ELEMENTS):

        def wall(j: float, behind: float, flow: float = flow, grams: float = grams) -> float:
            y = j * AREA_M2 / 1000.0 / flow
            out = (grams - y * behind) / (1.0 - y)
            return 0.5 * (grams + out) * math.exp(0.7 * y)

        most = 0.4 * flow * 1000.0 / AREA_M2  # no element takes more; only the search for the pressure gets there
        j, behind = flux(case, bar - DROP_BAR / ELEMENTS / 2.0, wall, most)
        taken = j * AREA_M2 / 1000.0
        grams = (flow * grams - taken * behind) / (flow - taken)
        flow, bar = flow - taken, bar - DROP_BAR / ELEMENTS
        permeate, salt = permeate + taken, salt + taken * behind
    return permeate, salt / permeate, grams


def flow_through(case: Case, feed_bar: float, inlet_g_l: float) -> tuple[float, float, float]:
    """The same for a vessel without joints: x runs from 0 to the number of elements."""

    def change(x: float, state: np.ndarray) -> list[float]:
        flow, salt, _, _ = state
        grams = salt / flow

        def wall(j: float, _: float) -> float:
            return float(grams * math.exp(0.7 * j * AREA_M2 / 1000.0 / flow))

        j, behind = flux(case, feed_bar - DROP_BAR * x / ELEMENTS, wall, 60.0)
        taken = j * AREA_M2 / 1000.0
        return [-taken, -taken * behind, taken, taken * behind]

    feed = feed_m3_h(case)
    found = solve_ivp(change, (0.0, ELEMENTS), [feed, feed * inlet_g_l, 0.0, 0.0], rtol=1e-7, atol=1e-9)
    assert found.success
    flow, salt, permeate, permeate_salt = found.y[:, -1]
    return float(permeate), float(permeate_salt / permeate), float(salt / flow)


def at_recovery(case: Case, way: Callable[[Case, float, float], tuple[float, float, float]]) -> Vessel:
    wanted = feed_m3_h(case) * case.recovery
    low = 1.02 * osmotic_bar(case.sea_g_l / (1.0 - case.recovery), case.warmth_c) + DROP_BAR
    bar = float(brentq(lambda bar: way(case, bar, case.sea_g_l)[0] - wanted, low, low + 30.0, xtol=1e-9))
    _, permeate, brine = way(case, bar, case.sea_g_l)
    return Vessel(bar, 1000.0 * permeate, brine)


def ours(case: Case, design: Ro | None = None) -> Vessel:
    point = Point(feed_m3_h(case), case.recovery, case.sea_g_l, case.warmth_c, case.fouling)
    found = steady(design or Ro(), 1, point)
    assert bool(found.possible)
    return Vessel(float(found.feed_bar), float(found.permeate_mg_l), float(found.brine_g_l))


@pytest.mark.parametrize("case", CASES)
def test_the_train_solves_its_own_equations_as_nested_root_finding_does(case: Case) -> None:
    assert ours(case) == pytest.approx(at_recovery(case, march), rel=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_a_vessel_in_elements_is_close_to_a_continuous_one(case: Case) -> None:
    found, continuous = ours(case), at_recovery(case, flow_through)
    assert found.feed_bar == pytest.approx(continuous.feed_bar, rel=0.004)
    assert found.permeate_mg_l == pytest.approx(continuous.permeate_mg_l, rel=0.006)
    assert found.brine_g_l == pytest.approx(continuous.brine_g_l, rel=1e-4)


def test_mixing_in_the_energy_recovery_gives_what_iterating_round_the_loop_gives() -> None:
    case, mixing, leakage = Case(31.0, 12.0, 0.41, 0.92), 0.06, 0.01
    inlet = case.sea_g_l
    feed = feed_m3_h(case)
    wanted, back = feed * case.recovery, feed * (1.0 - case.recovery)
    for _ in range(30):
        bar = brentq(lambda bar, inlet=inlet: march(case, bar, inlet)[0] - wanted, 48.0, 90.0, xtol=1e-9)
        _, permeate, brine = march(case, bar, inlet)
        through = (1.0 - leakage) * back
        mixed = case.sea_g_l + mixing * (brine - case.sea_g_l)
        inlet = ((feed - through) * case.sea_g_l + through * mixed) / feed
    out = (feed * case.sea_g_l - wanted * permeate) / back
    assert ours(case, Ro(erd_mixing=mixing, erd_leakage=leakage)) == pytest.approx(
        (bar, 1000.0 * permeate, out), rel=1e-7
    )


def test_the_pumps_take_what_their_flows_and_pressures_say() -> None:
    case = CASES[0]
    design = Ro(erd_efficiency=0.95, erd_leakage=0.02, feed_pump_bar=2.5)
    point = Point(feed_m3_h(case), case.recovery, case.sea_g_l, case.warmth_c, case.fouling)
    power = steady(design, 1, point).power
    vessel = at_recovery(case, march)
    feed = feed_m3_h(case)
    permeate, brine = feed * case.recovery, feed * (1.0 - case.recovery)

    def kw(m3_h: float, bar: float, efficiency: float) -> float:
        return m3_h / 3600.0 * bar * 1e5 / efficiency / 1000.0

    recovered = 0.95 * (vessel.feed_bar - DROP_BAR)
    assert power.high_pressure == pytest.approx(kw(permeate + 0.02 * brine, vessel.feed_bar, 0.845), rel=1e-8)
    assert power.booster == pytest.approx(kw(0.98 * brine, vessel.feed_bar - recovered, 0.8), rel=1e-7)
    assert power.feed_pump == pytest.approx(kw(feed, 2.5, 0.8), rel=1e-8)
    assert power.without_recovery == pytest.approx(kw(feed, vessel.feed_bar, 0.845), rel=1e-8)
