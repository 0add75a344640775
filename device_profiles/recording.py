"""A recording: registers as a device once served them or a document prints them, and what a profile makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from device_profiles.profile import Address, Profile, ProfileField, RegisterTable
from device_profiles.registers import Value, decoder

WORDS_MAX = 2000
"""Most registers in one frame."""

Registers = Mapping[tuple[RegisterTable, int], int]
"""(table, PDU address) -> what the register holds."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Frame(_Model):
    """Consecutive registers of one table."""

    table: RegisterTable = Field(description="register table: holding (function 3) or input (function 4)")
    address: Address = Field(description="PDU address of the first register")
    words: str = Field(
        description="the registers as four hexadecimal digits each, separated by spaces",
        max_length=WORDS_MAX * 6,
        examples=["4366 3334"],
    )
    source: str = Field(
        description="where they come from: document and page, or device, place and date",
        examples=["Operating manual V1.2, p. 14"],
    )

    @field_validator("words")
    @classmethod
    def _hexadecimal(cls, text: str) -> str:
        for word in text.split():
            if len(word) != 4 or any(digit not in "0123456789abcdefABCDEF" for digit in word):
                raise ValueError(f"{word[:20]!r} is not a register; write four hexadecimal digits, such as 4366")
        if not text.split():
            raise ValueError("no registers; write them as four hexadecimal digits each, such as 4366 3334")
        return text

    @property
    def registers(self) -> tuple[int, ...]:
        """The registers, 0 to 65535."""
        return tuple(int(word, 16) for word in self.words.split())


class Recording(_Model):
    """Registers of one device at one moment."""

    frames: Annotated[tuple[Frame, ...], Field(min_length=1)] = Field(description="what was read, frame by frame")
    note: str = Field(default="", description="what a reader should know about it")

    def registers(self) -> Registers:
        """All registers. Where two frames hold the same one, the later frame wins."""
        held: dict[tuple[RegisterTable, int], int] = {}
        for frame in self.frames:
            for offset, word in enumerate(frame.registers):
                held[frame.table, frame.address + offset] = word
        return held


class Expected(RootModel[dict[str, float | None]]):
    """Field name -> the value that a recording decodes to; null where the device says that it has none."""


def replay(profile: Profile, registers: Registers) -> dict[str, Value]:
    """Every field of `profile` whose registers were all recorded, decoded."""
    return {
        name: decoder(field, profile.modbus.word_order)(words)
        for name, field in profile.fields.items()
        if (words := words_of(field, registers)) is not None
    }


def words_of(field: ProfileField, registers: Registers) -> tuple[int, ...] | None:
    """The registers of `field`, or None where one of them was not recorded."""
    words = tuple(registers.get((field.table, field.address + i)) for i in range(field.type.registers))
    held = tuple(word for word in words if word is not None)
    return held if len(held) == len(words) else None
