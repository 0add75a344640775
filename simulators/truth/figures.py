"""The true indicators of a train over a period: from the physical world, and from what its meters showed.

The scenario says which meter shows which quantity. Nothing here reads the asset register or the store, so a swapped
role or a lost reading there cannot hide here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from simulators.scenario import Scenario
from simulators.world.world import World

if TYPE_CHECKING:
    from simulators.truth.record import Record


@dataclass(frozen=True, slots=True)
class Rise:
    """How far a totaliser rose between two moments (ms UTC): those asked for, if readings lie around them."""

    value: float
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class TrainFigures:
    """Volumes in m3, energy in kWh and the two indicators of a train; None where a total is missing or 0."""

    feed_m3: float | None
    permeate_m3: float | None
    energy_kwh: float | None

    @property
    def recovery(self) -> float | None:
        """Permeate over feed."""
        return _ratio(self.permeate_m3, self.feed_m3)

    @property
    def specific_energy_kwh_m3(self) -> float | None:
        """Energy over permeate, in kWh/m3."""
        return _ratio(self.energy_kwh, self.permeate_m3)


class Truth:
    """What is true of a recorded run."""

    def __init__(self, *, record: Record) -> None:
        meta = record.meta()
        self._record = record
        self.scenario = Scenario.model_validate_json(meta["scenario"])
        self.origin_ms = int(meta["origin_ms"])
        self.world = World(scenario=self.scenario, origin_ms=self.origin_ms)

    def world_figures(self, train: str, from_ms: int, to_ms: int) -> TrainFigures:
        """What truly flowed through `train` in [from, to)."""

        def rise(name: str) -> float:
            quantity = f"{train}.{name}"
            return self.world.value(quantity, to_ms) - self.world.value(quantity, from_ms)

        return TrainFigures(rise("feed.volume_m3"), rise("permeate.volume_m3"), rise("energy.energy_kwh"))

    def meter_figures(self, train: str, from_ms: int, to_ms: int) -> TrainFigures:
        """What the meters of `train` showed to have flowed in [from, to)."""

        def rise(name: str) -> float | None:
            meter = self.meter_of(f"{train}.{name}")
            found = self.shown_rise(*meter, from_ms, to_ms) if meter else None
            return found.value if found else None

        return TrainFigures(rise("feed.volume_m3"), rise("permeate.volume_m3"), rise("energy.energy_kwh"))

    def meter_of(self, quantity: str) -> tuple[str, str] | None:
        """The first (device, field) of the scenario that shows `quantity`."""
        for device, meter in self.scenario.meters.items():
            for field, shown in meter.fields.items():
                if shown == quantity:
                    return device, field
        return None

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
        line = _unbroken(readings)
        if len(line) < 2:
            return None
        from_ms, to_ms = max(from_ms, line[0][0]), min(to_ms, line[-1][0])
        return Rise(_on_line(line, to_ms) - _on_line(line, from_ms), from_ms, to_ms)


def _unbroken(readings: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The readings as one total that starts at 0 and never falls, each moment once."""
    total, line = 0.0, [(readings[0][0], 0.0)] if readings else []
    for (_, last), (t_ms, value) in pairwise(readings):
        total += value - last if value >= last else value
        if t_ms > line[-1][0]:
            line.append((t_ms, total))
    return line


def _on_line(line: list[tuple[int, float]], t_ms: int) -> float:
    for (t_0, total_0), (t_1, total_1) in pairwise(line):
        if t_0 <= t_ms <= t_1:
            return total_0 + (total_1 - total_0) * (t_ms - t_0) / (t_1 - t_0)
    raise AssertionError("asked beyond the ends of the line")


def _ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None
