"""Every kind of mistake in a file, with the exact line that a person gets: drop a folder, get a test."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from yaml_models.bad_file import BadFile
from yaml_models.parse import parse

GOLDEN = Path(__file__).parents[2] / "golden" / "bad_yaml"
CASES = sorted(folder for folder in GOLDEN.iterdir() if folder.is_dir())


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Tcp(_Model):
    type: Literal["modbus_tcp"]
    host: str = Field(description="name or address of the converter", examples=["192.0.2.7"])
    port: int = Field(default=502, ge=1, le=65535, description="TCP port")


class Rtu(_Model):
    type: Literal["modbus_rtu"]
    path: str = Field(description="serial device", examples=["/dev/ttyUSB0"])


class Lane(StrEnum):
    LIVE = "live"
    BACKLOG = "backlog"


class Device(_Model):
    unit_id: int = Field(ge=0, le=255, description="Modbus unit id", examples=[1])
    range: tuple[float, float] | None = Field(default=None, description="lower and upper limit")
    lane: Lane = Field(default=Lane.LIVE, description="which lane its data takes")


class Site(_Model):
    """A site, as an agent would be told it."""

    gateway: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = Field(description="id", examples=["plant-1"])
    buses: dict[str, Annotated[Tcp | Rtu, Field(discriminator="type")]] = Field(description="buses by name")
    devices: list[Device] = Field(default=[], description="what hangs on them")
    spool_mb_max: float = Field(default=256, gt=0, lt=1e6, description="size of the spool")
    utc: bool = Field(default=True, description="times in UTC")
    password: SecretStr | None = Field(default=None, description="for the broker")
    names: dict[Annotated[str, Field(pattern="^[a-z]+$")], int] = Field(default={}, description="numbers by name")

    @field_validator("spool_mb_max")
    @classmethod
    def _not_a_floppy(cls, value: float) -> float:
        if value == 1.44:
            raise ValueError("1.44 is a floppy disk; write the size of the card")
        return value


def _line(folder: Path) -> str:
    text = (folder / "input.yaml").read_text(encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        parse(text, Site, file="site.yaml")
    return str(caught.value)


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_a_mistake_in_a_file_is_told_in_one_line_with_its_mend(folder: Path) -> None:
    assert _line(folder) == (folder / "expected.txt").read_text(encoding="utf-8").rstrip("\n")


def test_the_golden_folder_has_cases_at_all() -> None:
    assert len(CASES) > 30
