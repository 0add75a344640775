"""Seawater reverse osmosis in a steady state: pressure vessels marched element by element by solution-diffusion.

Water passes the membrane by Jw = A (dP - dpi), salt by Js = B (Cm - Cp) (Lonsdale, Merten and Riley, Journal of Applied
Polymer Science 9, 1965, 1341); at the membrane there is more of it than in the stream, by exp(0.7 x the recovery of
the element), a rule of FilmTec's technical manual. The feed pressure is the one at which the recovery is met; Newton's
method finds it for a whole column of operating points at once.

An element has the mean of its two ends as concentration and pressure. Volumes are taken to add up, and grams per litre
stand for grams per kilogram, as plant sheets have it: at 30 g/kg that is 2 % less salt in a litre than there truly is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.parts.train import Ro
from simulators.world.seawater import SALINITY_G_KG_MAX, ZERO_C_K, Column, Numbers, Osmotic, osmotic

POLARISATION = 0.7
"""Exponent of the rule for the salt at the membrane, per unit of an element's recovery."""

WARM_C = 25.0
"""Permeabilities are stated at this temperature; the water's correction has another slope on either side of it."""

_TCF_K_WARM, _TCF_K_COLD = 2640.0, 3020.0
_TCF_ZERO_K, _TCF_WARM_K = 273.0, 298.0
_SALT_K = 3000.0
_BAR_M3_H_KW = 1.0 / 36.0
"""One bar times one cubic metre per hour, in kW."""

RECOVERY_OF_ELEMENT_MAX = 0.9
ROUNDS_MAX = 40
"""Most rounds of Newton's method; a point that has not settled by then has no steady state."""
_SETTLED = 1e-9
_WALL_G_L_MAX = 500.0
"""Bounds the osmotic pressure on the way to a solution, where an element may be asked for far too much."""


class Point(NamedTuple):
    """Operating points of one train: columns of equal length, or numbers."""

    feed_m3_h: Numbers
    recovery: Numbers
    """Permeate over feed."""
    salinity_g_l: Numbers
    """Salt in the sea that is fed."""
    temperature_c: Numbers
    fouling_factor: Numbers = 1.0
    """What is left of the membranes' permeability to water; their permeability to salt grows by its inverse."""


class Power(NamedTuple):
    """Electrical power in kW. The parts of a train are the pump of high pressure, the booster and the feed pump."""

    high_pressure: Column
    booster: Column
    feed_pump: Column
    without_recovery: Column
    """What the pump of high pressure would take if it had to lift the whole feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """Steady states of a train, as columns."""

    permeate_m3_h: Column
    brine_m3_h: Column
    feed_bar: Column
    """At the inlet of the vessels."""
    brine_bar: Column
    """At their outlet."""
    permeate_mg_l: Column
    brine_g_l: Column
    """As it leaves the plant, behind the energy recovery."""
    membrane_feed_g_l: Column
    """At the inlet of the vessels, where the energy recovery has mixed some brine in."""
    feed_salt_kg_h: Column
    permeate_salt_kg_h: Column
    brine_salt_kg_h: Column
    power: Power
    possible: NDArray[np.bool_]
    """False where no pressure was found that meets the recovery, or where the salt at the membrane leaves the range in
    which its osmotic pressure is known."""


def water_correction(temperature_c: Numbers) -> Column:
    """What the membranes let through, over what they do at 25 degrees C (FilmTec's temperature correction factor)."""
    t = np.asarray(temperature_c, dtype=np.float64)
    slope_k = np.where(t >= WARM_C, _TCF_K_WARM, _TCF_K_COLD)
    return np.exp(slope_k * (1.0 / _TCF_WARM_K - 1.0 / (_TCF_ZERO_K + t)))


def salt_correction(temperature_c: Numbers) -> Column:
    """The same for salt: about a third more for ten degrees."""
    t = np.asarray(temperature_c, dtype=np.float64)
    return np.exp(_SALT_K * (1.0 / (WARM_C + ZERO_C_K) - 1.0 / (t + ZERO_C_K)))


def steady(design: Ro, vessels: int, point: Point) -> Steady:
    """The steady states at `point` of a train of `vessels` pressure vessels in parallel."""
    feed, recovery, sea, temperature, fouling = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in point))
    found = _solve(design, Point(feed / vessels, recovery, sea, temperature, fouling))
    permeate, brine = found.march.permeate_m3_h * vessels, found.march.brine_m3_h * vessels
    permeate_salt = found.march.permeate_salt_kg_h * vessels
    mixed_in = (permeate + brine) * (found.inlet_g_l - sea)
    out_salt = found.march.brine_salt_kg_h * vessels - mixed_in  # what mixing gave to the seawater, the brine has lost
    return Steady(
        permeate_m3_h=permeate,
        brine_m3_h=brine,
        feed_bar=found.feed_bar,
        brine_bar=found.feed_bar - design.vessel_drop_bar,
        permeate_mg_l=1000.0 * permeate_salt / permeate,
        brine_g_l=out_salt / brine,
        membrane_feed_g_l=found.inlet_g_l,
        feed_salt_kg_h=feed * sea,
        permeate_salt_kg_h=permeate_salt,
        brine_salt_kg_h=out_salt,
        power=_power(design, feed, permeate, brine, found.feed_bar),
        possible=found.possible,
    )


def _power(design: Ro, feed: Column, permeate: Column, brine: Column, feed_bar: Column) -> Power:
    """Power of the pumps. The filters consume what the feed pump gives, so the others lift from no pressure.

    The energy recovery hands on a share of the brine's pressure to as much seawater, less what leaks through it, which
    the pump of high pressure has to lift instead. The product of both, 0.96 by default, is what makers call efficiency:
    flow x pressure that leaves over what enters (Stover, Desalination 203, 2007, 168-175).
    """
    leak = design.erd_leakage * brine
    recovered_bar = design.erd_efficiency * (feed_bar - design.vessel_drop_bar)
    full = feed_bar * _BAR_M3_H_KW / design.hp_efficiency
    return Power(
        high_pressure=(permeate + leak) * full,
        booster=(brine - leak) * (feed_bar - recovered_bar) * _BAR_M3_H_KW / design.booster_efficiency,
        feed_pump=feed * design.feed_pump_bar * _BAR_M3_H_KW / design.feed_pump_efficiency,
        without_recovery=feed * full,
    )


class _March(NamedTuple):
    """What comes out of a vessel."""

    permeate_m3_h: Column
    permeate_salt_kg_h: Column
    brine_m3_h: Column
    brine_salt_kg_h: Column
    slope_m3_h_bar: Column
    """By how much the permeate rises with the feed pressure."""
    unsettled: Column
    """By how much the flux of an element still moves, relative to the mean flux."""
    wall_g_l_max: Column


class _Found(NamedTuple):
    feed_bar: Column
    inlet_g_l: Column
    march: _March
    possible: NDArray[np.bool_]


def _solve(design: Ro, point: Point) -> _Found:
    """Newton's method for the feed pressure of one vessel and, at the same time, the fluxes of its elements."""
    feed, recovery, sea, temperature, fouling = (np.asarray(each) for each in point)
    membrane = _Membrane(
        lmh_bar=design.water_lmh_bar * water_correction(temperature) * fouling,
        salt_lmh=design.salt_lmh * salt_correction(temperature) / fouling,
        osmotic=osmotic(temperature),
    )
    wanted = feed * recovery
    mean_lmh = wanted / (design.elements * design.element_m2) * 1000.0
    mixed = design.erd_mixing * (1.0 - design.erd_leakage)
    inlet = sea * (1.0 - mixed * (1.0 - recovery)) / (1.0 - mixed)
    middle = inlet * -np.log1p(-recovery) / recovery
    feed_bar = mean_lmh / membrane.lmh_bar + membrane.osmotic.bar(
        middle * np.exp(POLARISATION * recovery / design.elements)
    )
    feed_bar = feed_bar + 0.5 * design.vessel_drop_bar
    fluxes = [mean_lmh * share for share in np.linspace(1.8, 0.4, design.elements)]
    for _ in range(ROUNDS_MAX):
        march = _march(design, membrane, feed, inlet, feed_bar, fluxes, mean_lmh)
        step = (wanted - march.permeate_m3_h) / march.slope_m3_h_bar
        permeate_g_l = march.permeate_salt_kg_h / march.permeate_m3_h
        mixed_inlet = (sea * (1.0 - mixed * (1.0 - recovery)) - mixed * recovery * permeate_g_l) / (1.0 - mixed)
        moved = np.maximum(np.abs(step) / feed_bar, np.abs(mixed_inlet / inlet - 1.0))
        moved = np.maximum(moved, march.unsettled)
        if not np.any(moved > _SETTLED):
            break
        feed_bar, inlet = feed_bar + np.clip(step, -0.1 * feed_bar, 0.1 * feed_bar), mixed_inlet
    possible = (moved <= _SETTLED) & (march.wall_g_l_max <= SALINITY_G_KG_MAX)
    return _Found(feed_bar, inlet, march, possible)


class _Membrane(NamedTuple):
    """A membrane at the temperature and in the state that it is in."""

    lmh_bar: Column
    salt_lmh: Column
    osmotic: Osmotic


def _march(
    design: Ro,
    membrane: _Membrane,
    feed: Column,
    inlet: Column,
    feed_bar: Column,
    fluxes: list[Column],
    mean_lmh: Column,
) -> _March:
    """Go down a vessel. `fluxes` (LMH, by element) holds where to begin, and afterwards what was found.

    Each element gives up what it really takes, settled or not, so water and salt close in every round.
    """
    litres = 1e-3 * design.element_m2
    flow, salt = feed, feed * inlet
    bar = feed_bar - 0.5 * design.vessel_drop_bar / design.elements
    none = np.zeros_like(feed)
    permeate = permeate_salt = unsettled = wall_max = none
    d_flow = d_salt = none  # per bar of feed pressure
    for n in range(design.elements):
        salinity, of_flow = salt / flow, litres / flow
        most = RECOVERY_OF_ELEMENT_MAX / of_flow
        flux = np.minimum(fluxes[n], most)
        wall, through, growth = _wall(membrane, flux, flux * of_flow, salinity)
        wall_bar, wall_slope = membrane.osmotic.with_slope(np.minimum(wall, _WALL_G_L_MAX))
        through_bar, through_slope = membrane.osmotic.with_slope(through)
        push = membrane.lmh_bar * through_slope * through
        pull = membrane.lmh_bar * wall_slope * wall - push
        bend = 1.0 + pull * growth * of_flow + push / (flux + membrane.salt_lmh)
        rest = membrane.lmh_bar * (bar - wall_bar + through_bar) - flux
        flux = np.clip(flux + rest / bend, 0.0, most)
        unsettled = np.maximum(unsettled, np.abs(flux - fluxes[n]) / mean_lmh)
        fluxes[n] = flux
        wall, through, growth = _wall(membrane, flux, flux * of_flow, salinity)
        wall_max = np.maximum(wall_max, wall)
        taken, taken_salt = flux * litres, flux * litres * through
        crowding = 1.0 + growth * flux * of_flow
        d_wall = d_salt / salt - crowding * d_flow / flow  # of the logarithm of the salt at the membrane, at this flux
        d_flux = (membrane.lmh_bar - pull * d_wall) / bend
        d_through = d_wall + growth * of_flow * d_flux - d_flux / (flux + membrane.salt_lmh)
        d_flow, d_salt = d_flow - litres * d_flux, d_salt - litres * through * (d_flux + flux * d_through)
        flow, salt = flow - taken, salt - taken_salt
        permeate, permeate_salt = permeate + taken, permeate_salt + taken_salt
        bar = bar - design.vessel_drop_bar / design.elements
    return _March(permeate, permeate_salt, flow, salt, -d_flow, unsettled, wall_max)


def _wall(membrane: _Membrane, flux: Column, recovery: Column, salinity: Column) -> tuple[Column, Column, Column]:
    """Salt at the membrane and behind it in g/L, and how fast the logarithm of the first grows with the recovery.

    What passes depends on what is at the membrane, and that on what has passed; both relations are linear.
    """
    passage = membrane.salt_lmh / (flux + membrane.salt_lmh)
    left = 1.0 - recovery
    crowd = 0.5 * np.exp(POLARISATION * recovery)
    wall = crowd * salinity * (1.0 + 1.0 / left) / (1.0 + crowd * passage * recovery / left)
    return wall, passage * wall, POLARISATION + 1.0 / (left * (1.0 + left))
