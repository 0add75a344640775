"""A train of reverse osmosis through its days: sea, membranes and pumps together, minute by minute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulators import chance
from simulators.parts.train import BRINE_FLOWS, MEMBRANE_QUANTITIES, PUMPS, TRAIN_FLOWS, Ro, Train
from simulators.world import fouling, sea
from simulators.world.fouling import Membranes
from simulators.world.quantity import shaped
from simulators.world.ro_train import Point, Steady, steady
from simulators.world.seawater import permeate_conductivity_us_cm, sea_conductivity_us_cm
from simulators.world.tabulated import DAY_MS, HOUR_MS, MINUTE_MS, MINUTES, Integral, Tabulated, TabulatedQuantity
from simulators.world.waves import Column, CosineSum, wandering


class TrainDays:
    """The days of one train; what it carries over is the state of its membranes."""

    def __init__(self, name: str, train: Train, ro: Ro, *, seed: int, origin_ms: int) -> None:
        origin_s = origin_ms / 1000.0

        def slow(what: str, size: float) -> CosineSum:
            return CosineSum(0.0, wandering(size=size, of=chance.key(seed, name, what), origin_s=origin_s))

        self._train, self._ro, self._vessels = train, ro, vessels(train, ro)
        self._origin_ms = origin_ms
        self._offset_ms = round(train.day.utc_offset_h * HOUR_MS)
        self._feed = shaped(train.feed_m3_h, train.day, of=chance.key(seed, name, "feed"), origin_ms=origin_ms)
        self._recovery = CosineSum(train.recovery) + slow("recovery", train.recovery_wander)
        self._used = CosineSum(train.brine_used_share or 0.0) + slow("brine used", train.brine_used_wander)
        self._of_sea = chance.key(seed, train.area, "sea")  # trains of one place drink from one sea
        self._of_dirt = chance.key(seed, name, "fouling")

    def state0(self) -> Membranes:
        """New membranes."""
        return Membranes()

    def day(self, day: int, state: Membranes) -> tuple[Mapping[str, Column], Membranes]:
        """The columns of local day `day`, taken in the middle of each minute, and the membranes after it."""
        state = fouling.at_midnight(self._ro.fouling, state)
        left, after = fouling.through_day(self._ro.fouling, state, of=self._of_dirt, day=day, minutes=MINUTES)
        local_ms = day * DAY_MS + MINUTE_MS * np.arange(MINUTES, dtype=np.int64) + MINUTE_MS // 2
        tau_s = (local_ms - self._offset_ms - self._origin_ms) / 1000.0
        point = Point(
            feed_m3_h=self._feed.column(tau_s),
            recovery=self._recovery.column(tau_s),
            salinity_g_l=sea.salinity_g_l(self._ro.sea, local_ms, of=self._of_sea),
            temperature_c=sea.temperature_c(self._ro.sea, local_ms, of=self._of_sea),
            fouling_factor=left,
        )
        found = steady(self._ro, self._vessels, point)
        assert bool(found.possible.all()), "the checks of the scenario keep every point possible"
        used = self._used.column(tau_s) if self._train.brine_used_share is not None else None
        columns = _flows(point, found, used) | _salt(point, found) | _power(self._ro, found)
        columns["membranes.fouling_factor"] = left
        columns["membranes.cleanings"] = np.full(MINUTES, float(state.cleanings))
        return columns, after


def vessels(train: Train, ro: Ro) -> int:
    """How many pressure vessels the train has."""
    if ro.vessels is not None:
        return ro.vessels
    of_one = ro.flux_lmh * ro.elements * ro.element_m2 / 1000.0
    return max(1, round(train.feed_m3_h * train.recovery / of_one))


def hardest(train: Train, ro: Ro, vessels: int) -> tuple[Point, Steady]:
    """The steady states at the corners of all that the train may meet, as columns.

    Pressure rises with flow, recovery and salt, and falls with warmth and permeability; the ends of what is possible
    lie at corners, too.
    """
    swing = train.day.swing * 4.0 / 3.0 + train.day.wander
    spans = (
        (train.feed_m3_h * (1.0 - swing), train.feed_m3_h * (1.0 + swing)),
        (train.recovery - train.recovery_wander, train.recovery + train.recovery_wander),
        sea.salinity_span_g_l(ro.sea),
        sea.temperature_span_c(ro.sea),
        (fouling.least(ro.fouling), 1.0),
    )
    corners = Point(*(each.ravel() for each in np.meshgrid(*(np.array(span) for span in spans))))
    return corners, steady(ro, vessels, corners)


def ro_quantities(name: str, train: Train, ro: Ro, *, seed: int, origin_ms: int) -> dict[str, TabulatedQuantity]:
    """All quantities of a train with `ro`, under their full names."""
    flows = (*TRAIN_FLOWS, *(BRINE_FLOWS if train.brine_used_share is not None else ()))
    integrals = {f"{flow}.volume_m3": Integral(f"{flow}.flow_m3_h") for flow in flows}
    integrals |= {f"{stream}.salt_kg": Integral(f"{stream}.salt_kg_h") for stream in TRAIN_FLOWS}
    integrals |= {f"{part}.energy_kwh": Integral(f"{part}.power_w", factor=0.001) for part in ("energy", *PUMPS)}
    table = Tabulated(
        TrainDays(name, train, ro, seed=seed, origin_ms=origin_ms),
        name=name,
        origin_ms=origin_ms,
        utc_offset_h=train.day.utc_offset_h,
        integrals=integrals,
    )
    return table.quantities((*(each.rate for each in integrals.values()), *MEMBRANE_QUANTITIES))


def _flows(point: Point, found: Steady, used: Column | None) -> dict[str, Column]:
    columns = {
        "feed.flow_m3_h": np.asarray(point.feed_m3_h),
        "permeate.flow_m3_h": found.permeate_m3_h,
        "brine.flow_m3_h": found.brine_m3_h,
        "feed.pressure_bar": found.feed_bar,
        "brine.pressure_bar": found.brine_bar,
    }
    if used is not None:
        columns["brine_used.flow_m3_h"] = found.brine_m3_h * used
        columns["brine_outfall.flow_m3_h"] = found.brine_m3_h - columns["brine_used.flow_m3_h"]
    return columns


def _salt(point: Point, found: Steady) -> dict[str, Column]:
    return {
        "feed.temperature_c": np.asarray(point.temperature_c),
        "feed.salinity_g_l": np.asarray(point.salinity_g_l),
        "feed.conductivity_us_cm": sea_conductivity_us_cm(point.salinity_g_l),
        "feed.salt_kg_h": found.feed_salt_kg_h,
        "permeate.salinity_mg_l": found.permeate_mg_l,
        "permeate.conductivity_us_cm": permeate_conductivity_us_cm(found.permeate_mg_l),
        "permeate.salt_kg_h": found.permeate_salt_kg_h,
        "brine.salinity_g_l": found.brine_g_l,
        "brine.conductivity_us_cm": sea_conductivity_us_cm(found.brine_g_l),
        "brine.salt_kg_h": found.brine_salt_kg_h,
    }


def _power(ro: Ro, found: Steady) -> dict[str, Column]:
    parts = {
        "hp_pump.power_w": 1000.0 * found.power.high_pressure,
        "booster.power_w": 1000.0 * found.power.booster,
        "feed_pump.power_w": 1000.0 * found.power.feed_pump,
        "rest.power_w": 1000.0 * ro.rest_kwh_m3 * found.permeate_m3_h,
    }
    return parts | {"energy.power_w": sum(parts.values(), np.zeros(MINUTES))}
