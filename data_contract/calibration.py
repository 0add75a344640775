"""What turns a load cell's counts into kilograms, from a date on: gateways weigh by it, figures lead back to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

CALIBRATION = "calibration"
"""Kind of the record that names the calibrations of a device."""


class Calibration(BaseModel):
    """A straight line through zero and one known mass: kg = (counts - zero_counts) / counts_per_kg."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = Field(description="name, such as 2026-11-a")
    from_: AwareDatetime = Field(alias="from", description="holds from then on; with its offset from UTC")
    zero_counts: float = Field(description="counts of the empty platform", examples=[84_210])
    counts_per_kg: float = Field(description="counts that one kilogram adds; negative where the cell hangs upside down")
    mass_kg: Annotated[float, Field(gt=0)] | None = Field(default=None, description="known mass that it was made with")

    @field_validator("counts_per_kg")
    @classmethod
    def _some(cls, value: float) -> float:
        if value == 0:
            raise ValueError("counts_per_kg is 0; weigh a known mass with `loopgauge edge calibrate`")
        return value

    def kilograms(self, counts: float) -> float:
        """Mass on the platform."""
        return (counts - self.zero_counts) / self.counts_per_kg


def in_force(calibrations: Sequence[Calibration], at: datetime) -> Calibration:
    """The one that holds at a time: the last that has begun, or the first if none has."""
    begun = [each for each in calibrations if each.from_ <= at]
    return max(begun, key=lambda each: each.from_) if begun else min(calibrations, key=lambda each: each.from_)
