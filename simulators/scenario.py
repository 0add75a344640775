"""The model of a scenario: one YAML file says what exists in a simulated world, how it is metered, what goes wrong.

Everything that follows from it is drawn from its seed; the world begins at its origin, with its totals at 0.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from simulators import crosscheck
from simulators.parts.areas import Area
from simulators.parts.base import Id, PartModel
from simulators.parts.calendar import Calendar
from simulators.parts.city import Bin, Load, Park, Plant
from simulators.parts.collection import Station, Vehicle
from simulators.parts.train import Train
from simulators.parts.weather import WEATHER, Weather

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class Line(PartModel):
    """A TCP port behind which several units answer, like a gateway with an RS-485 line."""

    port: Port = Field(default=0, description="TCP port; 0 takes a free one")


class LoadCell(PartModel):
    """A load cell behind a converter that shows counts: raw = zero_counts + counts_per_kg x gross mass."""

    zero_counts: Annotated[int, Field(ge=-(2**23), lt=2**23)] = Field(description="counts of the empty platform")
    counts_per_kg: Annotated[float, Field(ge=-1e6, le=1e6)] = Field(
        description="counts that one kilogram adds; negative where the cell hangs upside down"
    )

    def kilograms(self, counts: float) -> float:
        """The mass that `counts` stand for."""
        return (counts - self.zero_counts) / self.counts_per_kg


class Meter(PartModel):
    """A device: which profile it answers by, what it measures, and how well."""

    profile: str = Field(description="id of the device profile")
    gateway: Id | None = Field(default=None, description="gateway that is meant to read it; default: the scenario's")
    unit_id: Annotated[int, Field(ge=1, le=247)] | None = Field(
        default=None, description="Modbus unit id; default: the profile's"
    )
    port: Port | None = Field(default=None, description="a TCP port of its own; 0, and the default, takes a free one")
    line: str | None = Field(default=None, description="or the line that it shares with other units")
    fields: dict[FieldName, str] = Field(default={}, description="profile field -> quantity of the world that it shows")
    start: dict[FieldName, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="profile field -> what its totaliser showed at the origin"
    )
    resolution: dict[FieldName, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="profile field -> smallest step that it shows; default: the profile's, else 0.01"
    )
    levels: dict[FieldName, float] = Field(
        default={}, description="profile field -> level about which it wanders, where nothing in the world feeds it"
    )
    pipe_mm: Annotated[float, Field(gt=0, le=5000)] = Field(
        default=100.0, description="inner diameter of the pipe that a flow meter is on; its velocity follows"
    )
    load_cell: LoadCell | None = Field(default=None, description="a gross_kg is shown in counts of this load cell")
    class_percent: Annotated[float, Field(ge=0, le=20)] = Field(
        default=1.0, description="class: the meter's one relative error is drawn from within +- this, in %"
    )


class Fault(PartModel):
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


class Scenario(PartModel):
    """One simulated world."""

    scenario: Id = Field(description="its name")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=1, description="every chance is drawn from it")
    gateway: Id = Field(default="gw-1", description="gateway that is meant to read the meters")
    city: Id | None = Field(default=None, description="area that holds all others")
    areas: dict[Id, Area] = Field(
        default={}, max_length=100, description="the tree of areas; with it, a part's area must be in it"
    )
    calendar: Calendar | None = Field(default=None, description="workdays, weekends and holidays")
    weather: Weather | None = Field(default=None, description="how warm it is, and when it rains")
    bins: dict[Id, Bin] = Field(default={}, description="bins by name")
    vehicles: dict[Id, Vehicle] = Field(default={}, max_length=1000, description="collecting vehicles by name")
    stations: dict[Id, Station] = Field(default={}, max_length=1000, description="stations with a weighbridge, by name")
    plants: dict[Id, Plant] = Field(default={}, description="reclaimed-water plants by name")
    parks: dict[Id, Park] = Field(default={}, description="industry that recirculates water, by name")
    trains: dict[Id, Train] = Field(default={}, description="desalination trains by name")
    loads: dict[Id, Load] = Field(default={}, description="electrical loads by name")
    lines: dict[Id, Line] = Field(default={}, description="shared TCP ports by name")
    meters: dict[Id, Meter] = Field(min_length=1, max_length=1000, description="meters by device id")
    faults: tuple[Fault, ...] = Field(default=(), max_length=10_000, description="what goes wrong when")

    def quantities(self) -> frozenset[str]:
        """The names of everything in this world that a meter can show."""
        parts = (self.trains, self.loads, self.bins, self.plants, self.parks, self.vehicles, self.stations)
        found = {
            f"{name}.{quantity}" for named in parts for name, part in named.items() for quantity in part.quantities()
        }
        if self.weather is not None:
            found |= {f"{WEATHER}.{quantity}" for quantity in self.weather.quantities()}
        return frozenset(found)

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
