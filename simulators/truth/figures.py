"""The true indicators over a period: from the physical world, and from what the meters showed.

The scenario says which meter shows which quantity. Nothing here reads the asset register or the store, so a swapped
role or a lost reading there cannot hide here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from simulators.scenario import Scenario
from simulators.truth.collected import Weights, between, collected, one_of_each_burst, rests
from simulators.truth.line import Rise, rise, unbroken
from simulators.truth.ratios import Ratio, ratios
from simulators.world.world import World

if TYPE_CHECKING:
    from simulators.truth.record import Record


LOOK_AROUND_MS = 24 * 3_600_000
"""How far beyond a period a bin's weights are looked at for the levels at its ends, in ms."""

EMPTYING_SHARE = 0.05
"""A level that falls by this share of a bin's capacity was an emptying."""


@dataclass(frozen=True, slots=True)
class TrueFigure:
    """One indicator of one area, in % or in kWh/m3; None where a total is missing or the denominator is 0."""

    id: str
    area: str
    meter: float | None
    """By what the meters showed."""
    meter_low: float | None
    meter_high: float | None
    """Between which figures the meters leave it, as a scale says nothing while its bin is in use; None: no bound."""
    world: float | None
    """By what truly happened."""
    class_percent: float
    """Combined class of its meters: the root of the sum of squares."""


class Shown(NamedTuple):
    """How far a total rose by what its meter showed, and the least and the most it may be; a totaliser has no doubt."""

    total: float
    least: float
    most: float


class Truth:
    """What is true of a recorded run."""

    def __init__(self, *, record: Record) -> None:
        meta = record.meta()
        self._record = record
        self.scenario = Scenario.model_validate_json(meta["scenario"])
        self.origin_ms = int(meta["origin_ms"])
        self.world = World(scenario=self.scenario, origin_ms=self.origin_ms)

    def indicators(self, from_ms: int, to_ms: int) -> list[TrueFigure]:
        """Every indicator of every area of the scenario over [from, to)."""
        return [self._figure(ratio, from_ms, to_ms) for ratio in ratios(self.scenario)]

    def _figure(self, ratio: Ratio, from_ms: int, to_ms: int) -> TrueFigure:
        totals = dict.fromkeys((*ratio.over, *ratio.under))
        shown = {name: self._shown(name, from_ms, to_ms) for name in totals}
        true = {name: self.world.value(name, to_ms) - self.world.value(name, from_ms) for name in totals}
        meters = {meter[0] for name in totals if (meter := self.meter_of(_shown_by(name))) is not None}
        classes = [self.scenario.meters[device].class_percent for device in sorted(meters)]
        return TrueFigure(
            id=ratio.id,
            area=ratio.area,
            meter=_of_totals(ratio, {name: each and each.total for name, each in shown.items()}),
            meter_low=_at_end(min, ratio, shown),
            meter_high=_at_end(max, ratio, shown),
            world=_of_totals(ratio, true),
            class_percent=math.hypot(*classes),
        )

    def shown_total(self, quantity: str, from_ms: int, to_ms: int) -> float | None:
        """How far a total of the world rose in [from, to) by the meter that shows it, a bin's by its scale."""
        found = self._shown(quantity, from_ms, to_ms)
        return found.total if found else None

    def _shown(self, quantity: str, from_ms: int, to_ms: int) -> Shown | None:
        meter = self.meter_of(_shown_by(quantity))
        if meter is None:
            return None
        if not quantity.endswith(_MASS_IN):
            found = self.shown_rise(*meter, from_ms, to_ms)
            return Shown(found.value, found.value, found.value) if found else None
        weights, emptying_kg = self._weights(quantity, meter, from_ms, to_ms)
        found = rise(collected(weights, emptying_kg=emptying_kg), from_ms, to_ms)
        if found is None:
            return None
        return Shown(found.value, *between(rests(weights, emptying_kg=emptying_kg), from_ms, to_ms))

    def _weights(self, quantity: str, meter: tuple[str, str], from_ms: int, to_ms: int) -> tuple[Weights, float]:
        """What the scale of a bin showed with its lid shut, in kg, and the drop that is an emptying."""
        name = quantity.removesuffix(_MASS_IN)
        door = self.meter_of(f"{name}.door_open")
        around = (from_ms - LOOK_AROUND_MS, to_ms + LOOK_AROUND_MS)
        cell = self.scenario.meters[meter[0]].load_cell
        is_open = {t for t, value in self._record.served(*door, *around) if value} if door else set()
        weights = [
            (t, value if cell is None else cell.kilograms(value))
            for t, value in self._record.served(*meter, *around)
            if value is not None and t not in is_open
        ]
        emptying_kg = EMPTYING_SHARE * self.scenario.bins[name].capacity_kg
        return weights if cell is None else list(one_of_each_burst(weights)), emptying_kg

    def meter_of(self, quantity: str) -> tuple[str, str] | None:
        """The first (device, field) of the scenario that shows `quantity`."""
        return meter_of(self.scenario, quantity)

    def shown_rise(self, device: str, field: str, from_ms: int, to_ms: int) -> Rise | None:
        """How far a totaliser rose in [from, to) by its own display; None if it showed less than two readings.

        Between the readings on both sides of an end the total is taken on the straight line; where readings lie on
        one side only, the nearest one inside is the end. A total that falls has begun again at 0.
        """
        before, _ = self._record.nearest(device, field, from_ms)
        _, after = self._record.nearest(device, field, to_ms)
        inside = self._record.served(device, field, from_ms, to_ms)
        readings = [(t, value) for t, value in inside if value is not None]
        readings = ([before] if before else []) + readings + ([after] if after else [])
        return rise(unbroken(readings), from_ms, to_ms)


def meter_of(scenario: Scenario, quantity: str) -> tuple[str, str] | None:
    """The first (device, field) of a scenario that shows `quantity`."""
    for device, meter in scenario.meters.items():
        for field, shown in meter.fields.items():
            if shown == quantity:
                return device, field
    return None


def not_shown(scenario: Scenario) -> dict[tuple[str, str], tuple[str, ...]]:
    """(indicator, area) -> those of its totals that no meter shows; empty where meters show them all."""
    return {
        (ratio.id, ratio.area): tuple(
            name for name in dict.fromkeys((*ratio.over, *ratio.under)) if meter_of(scenario, _shown_by(name)) is None
        )
        for ratio in ratios(scenario)
    }


_MASS_IN = ".mass_in_kg"


def _shown_by(quantity: str) -> str:
    """What a meter shows from which `quantity` can be told: for the mass put into a bin, the load on its scale."""
    return quantity.removesuffix(_MASS_IN) + ".gross_kg" if quantity.endswith(_MASS_IN) else quantity


def _of_totals(ratio: Ratio, totals: Mapping[str, float | None]) -> float | None:
    over, under = [totals[name] for name in ratio.over], [totals[name] for name in ratio.under]
    if None in over or None in under:
        return None
    below = math.fsum(filter(None, under))
    return ratio.factor * math.fsum(filter(None, over)) / below if below else None


def _at_end(end: Callable[[Iterable[float]], float], ratio: Ratio, shown: Mapping[str, Shown | None]) -> float | None:
    """The least (`end` is min) or the greatest figure that totals between their bounds make; None: there is none."""
    low = {name: each and each.least for name, each in shown.items()}
    high = {name: each and each.most for name, each in shown.items()}
    over, under = {*ratio.over}, {*ratio.under}
    upper, lower = (low, high) if end is min else (high, low)
    own = {name: upper[name] for name in over - under} | {name: lower[name] for name in under - over}
    # A total on both sides moves the figure one way or the other: both of its ends are tried.
    found = [_of_totals(ratio, own | {name: of[name] for name in over & under}) for of in (low, high)]
    return None if None in found else end(figure for figure in found if figure is not None)
