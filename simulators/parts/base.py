"""What the descriptions of all parts of a world share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
UtcOffset = Annotated[float, Field(ge=-12, le=14)]

FLOW_QUANTITIES = ("volume_m3", "flow_m3_h")

AREA = "site"
"""Area of a part that names none."""


class PartModel(BaseModel):
    """What all parts share: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DayCurve(PartModel):
    """How a flow or a load rises and falls with the hour."""

    swing: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.12, description="half-range over the mean, 1 = 100 %"
    )
    peak_hour: Annotated[float, Field(ge=0, lt=24)] = Field(default=14.0, description="local hour of the peak")
    utc_offset_h: UtcOffset = Field(default=8.0, description="local time less UTC, in h")
    wander: Annotated[float, Field(ge=0, le=0.3)] = Field(
        default=0.03, description="slow seeded variation over the mean"
    )


def of_flows(*flows: str) -> tuple[str, ...]:
    """The quantities of these flows: a volume and a rate for each."""
    return tuple(f"{flow}.{quantity}" for flow in flows for quantity in FLOW_QUANTITIES)
