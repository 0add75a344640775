"""The model of a scenario: one YAML file says what exists in a simulated world, how it is metered, what goes wrong.

Everything that follows from it is drawn from its seed; civil time begins at the origin of the clock.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from simulators import crosscheck

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Port = Annotated[int, Field(ge=0, le=65535)]

TRAIN_QUANTITIES = (
    "feed.volume_m3",
    "feed.flow_m3_h",
    "permeate.volume_m3",
    "permeate.flow_m3_h",
    "brine.volume_m3",
    "brine.flow_m3_h",
    "energy.energy_kwh",
    "energy.power_w",
)
"""What a desalination train has, to be named behind its own name: `train-1.feed.volume_m3`."""

LOAD_QUANTITIES = ("energy_kwh", "power_w")
"""What an electrical load has: `pump-1.energy_kwh`."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DayCurve(_Model):
    """How a flow or a load rises and falls with the hour."""

    swing: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.12, description="half-range over the mean, 1 = 100 %"
    )
    peak_hour: Annotated[float, Field(ge=0, lt=24)] = Field(default=14.0, description="local hour of the peak")
    utc_offset_h: Annotated[float, Field(ge=-12, le=14)] = Field(default=8.0, description="local time less UTC, in h")
    wander: Annotated[float, Field(ge=0, le=0.3)] = Field(
        default=0.03, description="slow seeded variation over the mean"
    )


class Train(_Model):
    """A desalination train: feed is split into permeate and brine, and energy follows the permeate."""

    title: str = Field(default="", description="what people call it")
    feed_m3_h: Annotated[float, Field(gt=0, le=100_000)] = Field(description="mean feed flow in m3/h")
    day: DayCurve = Field(default=DayCurve(), description="daily pattern of the feed")
    recovery: Annotated[float, Field(ge=0.1, le=0.85)] = Field(default=0.42, description="mean of permeate over feed")
    recovery_wander: Annotated[float, Field(ge=0, le=0.09)] = Field(
        default=0.01, description="most that it departs from its mean"
    )
    specific_energy_kwh_m3: Annotated[float, Field(ge=1, le=10)] = Field(
        default=3.0, description="mean energy of the whole plant per permeate, in kWh/m3"
    )
    specific_energy_wander: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.1, description="most that it departs from its mean, in kWh/m3"
    )


class Load(_Model):
    """Something that draws electrical power."""

    power_w: Annotated[float, Field(gt=0, le=1e8)] = Field(description="mean active power in W")
    day: DayCurve = Field(default=DayCurve(), description="daily pattern of the power")


class Line(_Model):
    """A TCP port behind which several units answer, like a gateway with an RS-485 line."""

    port: Port = Field(default=0, description="TCP port; 0 takes a free one")


class Meter(_Model):
    """A device: which profile it answers by, what it measures, and how well."""

    profile: str = Field(description="id of the device profile")
    gateway: Id | None = Field(default=None, description="gateway that is meant to read it; default: the scenario's")
    unit_id: Annotated[int, Field(ge=1, le=247)] | None = Field(
        default=None, description="Modbus unit id; default: the profile's"
    )
    port: Port | None = Field(default=None, description="a TCP port of its own; 0, and the default, takes a free one")
    line: str | None = Field(default=None, description="or the line that it shares with other units")
    fields: dict[FieldName, str] = Field(description="profile field -> quantity of the world that it shows")
    start: dict[FieldName, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="profile field -> what its totaliser showed at the origin"
    )
    resolution: dict[FieldName, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="profile field -> smallest step that it shows; default: the profile's, else 0.01"
    )
    class_percent: Annotated[float, Field(ge=0, le=20)] = Field(
        default=1.0, description="class: the meter's one relative error is drawn from within +- this, in %"
    )


class Fault(_Model):
    """What goes wrong with one device, from `start_s` after the origin for `duration_s` of civil time."""

    device: str = Field(description="which meter")
    what: Literal["silent", "exception", "late", "nan", "reboot_reset"] = Field(
        description="silent: no answer · exception: an exception answer · late: a late answer · nan: every value is not"
        " a number · reboot_reset: no answer, and its totalisers have begun again at 0"
    )
    start_s: Annotated[float, Field(ge=0)] = Field(description="begin, in s of civil time after the origin")
    duration_s: Annotated[float, Field(gt=0)] = Field(description="how long, in s of civil time")
    exception_code: Literal[1, 2, 3, 4, 5, 6, 7, 8, 10, 11] = Field(
        default=4, description="exception: the Modbus code that it answers with"
    )
    late_ms: Annotated[int, Field(ge=1, le=60_000)] = Field(default=1500, description="late: by how many real ms")

    @property
    def end_s(self) -> float:
        """When it is over, in s of civil time after the origin."""
        return self.start_s + self.duration_s


class Scenario(_Model):
    """One simulated world."""

    scenario: Id = Field(description="its name")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=1, description="every chance is drawn from it")
    gateway: Id = Field(default="gw-1", description="gateway that is meant to read the meters")
    trains: dict[Id, Train] = Field(default={}, description="desalination trains by name")
    loads: dict[Id, Load] = Field(default={}, description="electrical loads by name")
    lines: dict[Id, Line] = Field(default={}, description="shared TCP ports by name")
    meters: dict[Id, Meter] = Field(min_length=1, max_length=1000, description="meters by device id")
    faults: tuple[Fault, ...] = Field(default=(), max_length=10_000, description="what goes wrong when")

    def quantities(self) -> frozenset[str]:
        """The names of everything in this world that a meter can show."""
        of_trains = {f"{train}.{name}" for train in self.trains for name in TRAIN_QUANTITIES}
        return frozenset(of_trains | {f"{load}.{name}" for load in self.loads for name in LOAD_QUANTITIES})

    def gateway_of(self, device: str) -> str:
        """The gateway that is meant to read `device`."""
        return self.meters[device].gateway or self.gateway

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        found = [
            InitErrorDetails(type="value_error", loc=at, input=None, ctx={"error": ValueError(f"{problem}; {mend}")})
            for at, problem, mend in crosscheck.mistakes(self)
        ]
        if found:
            raise ValidationError.from_exception_data("Scenario", found)
        return self
