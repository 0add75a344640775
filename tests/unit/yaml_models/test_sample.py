"""A sample is made from the model, so it cannot describe another one; and it reads."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from device_profiles.profile import Profile
from device_profiles.recording import Recording
from yaml_models.parse import parse
from yaml_models.sample import sample


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Lamp(_Model):
    """A lamp."""

    type: Literal["lamp"] = Field(description="what it is")
    colour: Colour = Field(description="what it shines")
    watt: Annotated[float, Field(gt=0, le=60)] = Field(default=40, description="electric power")


class Fan(_Model):
    """A fan."""

    type: Literal["fan"] = Field(description="what it is")
    blades: int = Field(ge=2, description="how many blades")


class Room(_Model):
    """A room and what stands in it. Second sentence.

    Details that a sample need not tell.
    """

    name: str = Field(description="on the door: #1", examples=["no: 7"])
    things: dict[str, Annotated[Lamp | Fan, Field(discriminator="type")]] = Field(description="by name")
    spare: list[Fan] = Field(default=[Fan(type="fan", blades=3)], description="in the cupboard")
    area_m2: tuple[float, float] = (2.5, 4)
    best: Lamp | None = Field(default=None, description="the one that is never switched off")
    open: bool = False
    labels: list[str] = Field(min_length=2, description="at least two")


EXPECTED = """\
# A room and what stands in it. Second sentence.

# on the door: #1 (required)
name: "no: 7"
# by name (required)
things:
  lamp:
    # what it is [lamp] (required)
    type: lamp
    # what it shines [red | blue] (required)
    colour: red
    # electric power
    #watt: 40
  fan:
    # what it is [fan] (required)
    type: fan
    # how many blades (required)
    blades: 2
# in the cupboard
#spare:
#  -
#    # what it is [fan] (required)
#    type: fan
#    # how many blades (required)
#    blades: 3
#area_m2: [2.5, 4]
# the one that is never switched off (no default)
#best:
#  # what it is [lamp] (required)
#  type: lamp
#  # what it shines [red | blue] (required)
#  colour: red
#  # electric power
#  #watt: 40
#open: false
# at least two (required)
labels: [x, x]
"""


def _uncommented(text: str) -> str:
    """Every default made real, as a person would: by deleting the # directly before it."""
    while (live := re.sub(r"(?m)^( *)#(?=[ ]*[a-z0-9_]+:|  *[#-]|-)(?! [a-z])", r"\1", text)) != text:
        text = live
    return text


def test_a_sample_explains_every_key_marks_the_required_and_shows_the_defaults() -> None:
    assert sample(Room) == EXPECTED


@pytest.mark.parametrize("model", [Room, Profile, Recording], ids=lambda model: model.__name__)
def test_a_sample_reads_as_the_model_that_it_was_made_from(model: type[BaseModel]) -> None:
    parse(sample(model), model, file="sample.yaml")


def test_a_sample_still_reads_when_every_default_in_it_is_made_real() -> None:
    live = _uncommented(sample(Room))

    read = parse(live, Room, file="sample.yaml")
    assert "watt: 40" in live
    assert read.spare == [Fan(type="fan", blades=3)]
    assert read.best == Lamp(type="lamp", colour=Colour.RED, watt=40)


def test_values_that_the_caller_gives_take_the_place_of_examples() -> None:
    given = {"name": "hall", "things": {"big": {"type": "fan", "blades": 5}}, "open": True, "labels": ["a", "b"]}

    read = parse(sample(Room, given), Room, file="sample.yaml")

    assert read == Room.model_validate(given)
