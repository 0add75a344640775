"""A reclaimed-water plant through its days: sewage and rain in; users, pipes, backwash and the river out.

Every flow but one is the difference or the sum of others, so nothing has to be balanced afterwards: what is not treated
overflows, what is treated and not taken into the line is discharged, what the line does not yield is backwash, what is
produced and not sent out is stored, and what is sent out is what users and leaks take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulators import chance
from simulators.parts.city import Plant
from simulators.parts.process import PROCESS_ENERGY, PROCESS_FLOWS, PROCESS_QUANTITIES, Network, Process, Storage
from simulators.world.demand import demand_m3_h
from simulators.world.sewage import day_shape, harmon, infiltration
from simulators.world.surroundings import Surroundings
from simulators.world.tabulated import DAY_MS, HOUR_MS, MINUTE_MS, MINUTES, Integral, Tabulated, TabulatedQuantity
from simulators.world.waves import Column

MINUTE_H = MINUTE_MS / HOUR_MS
CAPACITY_OVER_PEAK = 1.25
WANDER_MS = 3 * HOUR_MS


class Carried(NamedTuple):
    """What a midnight hands on: water in the store and rain on its way in the sewers, in m3."""

    stored_m3: float
    rain_m3: float = 0.0


class PlantDays:
    """The days of one plant."""

    def __init__(self, name: str, plant: Plant, process: Process, *, seed: int, around: Surroundings) -> None:
        self._plant, self._process, self._around = plant, process, around
        self._of = {what: chance.key(seed, name, what) for what in ("sewage", "yield", "losses", *plant.users)}

    def state0(self) -> Carried:
        """The store as the scenario says, and dry sewers."""
        storage = self._process.storage
        return Carried(storage.volume_m3 * storage.start_share if storage is not None else 0.0)

    def day(self, day: int, state: Carried) -> tuple[Mapping[str, Column], Carried]:
        """The columns of local day `day`, and what it hands on."""
        process, columns = self._process, dict[str, Column]()
        columns["sewage.flow_m3_h"] = self._sewage(day)
        infiltrating, rain_m3 = infiltration(self._runoff(day), state.rain_m3, process.recession_h)
        columns["infiltration.flow_m3_h"] = infiltrating
        inflow = columns["inflow.flow_m3_h"] = columns["sewage.flow_m3_h"] + infiltrating
        treated = columns["treated.flow_m3_h"] = np.minimum(inflow, capacity_m3_h(self._plant, process))
        columns["overflow.flow_m3_h"] = inflow - treated
        wanted = self._wanted(day)
        drawn = sum(wanted.values(), np.zeros(MINUTES))
        mean = sum(user.flow_m3_h for user in self._plant.users.values())
        pressure = columns["network.pressure_bar"] = pressure_bar(process.network, drawn / mean)
        wanted["losses"] = self._leaks(day, pressure)
        wants = drawn + wanted["losses"]
        share_of_intake = process.yield_share + process.yield_wander * self._slow("yield", day)
        most = share_of_intake * np.minimum(treated, process.line_m3_h or np.inf)
        product, served, stored_m3 = run_store(process.storage, wants, most, state.stored_m3)
        columns |= {f"{name}.flow_m3_h": flow * served for name, flow in wanted.items()}
        sent = columns["reclaimed.flow_m3_h"] = sum(
            (columns[f"{name}.flow_m3_h"] for name in wanted), np.zeros(MINUTES)
        )
        columns["supply_share"] = served
        columns["product.flow_m3_h"] = product
        intake = columns["intake.flow_m3_h"] = np.minimum(product / share_of_intake, treated)
        columns["backwash.flow_m3_h"] = intake - product
        columns["discharge.flow_m3_h"] = treated - intake
        columns["storage.net_m3_h"] = product - sent
        columns["treatment.power_w"] = 1000.0 * process.treatment_kwh_m3 * treated
        columns["reclaiming.power_w"] = 1000.0 * process.reclaiming_kwh_m3 * product
        columns["energy.power_w"] = columns["treatment.power_w"] + columns["reclaiming.power_w"]
        return columns, Carried(stored_m3, rain_m3)

    def _sewage(self, day: int) -> Column:
        process = self._process
        shape = day_shape(process.population, process.morning_hour, process.evening_hour)
        of_day = process.weekend if self._around.days.is_off(day) else 1.0
        found: Column = self._plant.treated_m3_h * of_day * shape * (1.0 + process.wander * self._slow("sewage", day))
        return found

    def _runoff(self, day: int) -> Column:
        if self._around.sky is None:
            return np.zeros(MINUTES)
        found: Column = self._process.runoff_m3_per_mm * self._around.sky.of_day(day).rain_mm_h
        return found

    def _wanted(self, day: int) -> dict[str, Column]:
        users = self._plant.users.items()
        return {name: demand_m3_h(user, day, of=self._of[name], around=self._around) for name, user in users}

    def _leaks(self, day: int, pressure: Column) -> Column:
        slow = 1.0 + self._plant.losses_wander * self._slow("losses", day)
        found: Column = self._plant.losses_m3_h * slow * leak_factor(self._process.network, pressure)
        return found

    def _slow(self, what: str, day: int) -> Column:
        local_ms = day * DAY_MS + MINUTE_MS * np.arange(MINUTES, dtype=np.int64)
        return chance.drifts(self._of[what], local_ms, WANDER_MS)


def capacity_m3_h(plant: Plant, process: Process) -> float:
    """What the plant can treat."""
    return process.capacity_m3_h or CAPACITY_OVER_PEAK * harmon(process.population) * plant.treated_m3_h


def pressure_bar(network: Network, drawn: Column) -> Column:
    """Pressure at the users while `drawn` times the mean is drawn; what is lost on the way grows with the square."""
    found: Column = np.maximum(network.least_bar, network.pressure_bar - network.drop_bar * drawn**2)
    return found


def leak_factor(network: Network, pressure: Column) -> Column:
    """Leakage over that at the mean draw: a power of the pressure (May, 1994: fixed and variable area discharges)."""
    usual = max(network.least_bar, network.pressure_bar - network.drop_bar)
    found: Column = (pressure / usual) ** network.leak_exponent
    return found


def run_store(storage: Storage | None, wants: Column, most: Column, stored_m3: float) -> tuple[Column, Column, float]:
    """Product in m3/h, share of `wants` that is met, and m3 stored in the end; at `most` m3/h can be produced.

    The plant follows what is wanted and makes up for what the store lacks, as far as its line and the store allow.
    """
    if storage is None:
        served = np.minimum(1.0, most / wants)
        return wants * served, served, 0.0
    target_m3, full_m3, return_h = storage.volume_m3 * storage.target_share, storage.volume_m3, storage.return_h
    products, shares = [], []
    for want, can in zip(wants.tolist(), most.tolist(), strict=True):
        product = min(want + (target_m3 - stored_m3) / return_h, want + (full_m3 - stored_m3) / MINUTE_H, can)
        product = max(product, 0.0)
        there = product + stored_m3 / MINUTE_H
        sent = min(want, there)
        products.append(product)
        shares.append(sent / want)
        stored_m3 = max(0.0, stored_m3 + (product - sent) * MINUTE_H)
    return np.asarray(products), np.asarray(shares), stored_m3


def process_quantities(
    name: str, plant: Plant, process: Process, *, seed: int, origin_ms: int, around: Surroundings
) -> dict[str, TabulatedQuantity]:
    """All quantities of a plant with `process`, under their full names."""
    days = PlantDays(name, plant, process, seed=seed, around=around)
    offset_h = plant.day.utc_offset_h if around.utc_offset_h is None else around.utc_offset_h
    flows = (*PROCESS_FLOWS, "treated", "reclaimed", "losses", *plant.users)
    integrals = {f"{flow}.volume_m3": Integral(f"{flow}.flow_m3_h") for flow in flows}
    integrals |= {f"{part}.energy_kwh": Integral(f"{part}.power_w", factor=0.001) for part in PROCESS_ENERGY}
    rates = (*(each.rate for each in integrals.values()), *PROCESS_QUANTITIES)
    if process.storage is not None:
        start_m3 = _stored_at(days, origin_ms=origin_ms, offset_ms=round(offset_h * HOUR_MS))
        of_level = process.storage.depth_m / process.storage.volume_m3
        net = "storage.net_m3_h"
        integrals["storage.volume_m3"] = Integral(net, start=start_m3, total=False)
        integrals["storage.level_m"] = Integral(net, factor=of_level, start=start_m3 * of_level, total=False)
        rates = (*rates, net)
    table = Tabulated(days, name=name, origin_ms=origin_ms, utc_offset_h=offset_h, integrals=integrals)
    return table.quantities(rates)


def _stored_at(days: PlantDays, *, origin_ms: int, offset_ms: int) -> float:
    """What is in the store at the origin, which may lie within a day."""
    day, into_ms = divmod(origin_ms + offset_ms, DAY_MS)
    state = days.state0()
    columns, _ = days.day(day, state)
    net = columns["storage.net_m3_h"] * MINUTE_H
    minute, rest_ms = divmod(into_ms, MINUTE_MS)
    return state.stored_m3 + float(net[:minute].sum()) + float(net[minute]) * (rest_ms / MINUTE_MS)
