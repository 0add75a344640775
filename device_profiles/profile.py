"""The model of a device profile: one YAML file says what a meter's registers mean and how they may be read.

Addresses are PDU addresses (0-based, as sent on the wire). There are no expressions and no conditions: a device that
cannot be said in these words gets a new named decode type in `registers.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_contract.reading import FieldKind

Address = Annotated[int, Field(ge=0, le=65535)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegisterTable(StrEnum):
    """Which of the two register tables of Modbus holds a value: function code 3 or 4."""

    HOLDING = "holding"
    INPUT = "input"


class WordOrder(StrEnum):
    """The order of bytes on the wire for a value whose bytes, most significant first, are A B C D."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


class DecodeType(StrEnum):
    """How registers become a number. `i32_f32` is an integer part followed by a float32 fraction (4 registers)."""

    I16 = "i16"
    U16 = "u16"
    I32 = "i32"
    U32 = "u32"
    I64 = "i64"
    U64 = "u64"
    F32 = "f32"
    F64 = "f64"
    I32_F32 = "i32_f32"

    @property
    def registers(self) -> int:
        """How many 16-bit registers a value takes."""
        return _REGISTERS.get(self.value, 4)


_REGISTERS = {"i16": 1, "u16": 1, "i32": 2, "u32": 2, "f32": 2}


class ProfileField(_Model):
    """One value of the device, in engineering units after scale."""

    table: RegisterTable = Field(description="register table: holding (function 3) or input (function 4)")
    address: Address = Field(
        description="PDU address of the first register, 0-based; the printed form belongs in a comment"
    )
    type: DecodeType = Field(description="how the registers become a number", examples=["u16"])
    word_order: WordOrder | None = Field(
        default=None,
        description="only where it differs from the device's; a single register has plain order unless this says BADC",
    )
    scale: float = Field(
        default=1.0, description="value = raw x scale; not for f32, f64 unless the document says so", examples=[1.0]
    )
    mask: Annotated[int, Field(ge=1, le=0xFFFF)] | None = Field(
        default=None, description="bits of a u16 that count; they stay where they are", examples=[255]
    )
    unit: str = Field(
        description="UCUM code of the value, such as m3/h, kW.h, 1", min_length=1, max_length=32, examples=["m3/h"]
    )
    kind: FieldKind = Field(description="how the values add up")
    group: str = Field(default="main", description="poll group that reads it")
    resolution: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="smallest step that the device shows", examples=[0.01]
    )
    range: tuple[float, float] | None = Field(
        default=None, description="values outside are kept and marked out of range", examples=[(0, 400)]
    )
    sentinels: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(),
        description="what the registers hold for: no value; one integer over all of them, word order undone, unmasked",
    )
    rollover: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="counters: total at which it starts again at 0", examples=[1_000_000]
    )
    rate_max_per_h: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="counters: largest possible rise per hour; a site may set a smaller one",
        examples=[100],
    )
    accuracy_percent: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None, description="class of the meter, % of reading", examples=[1.0]
    )
    personal: bool = Field(
        default=False,
        description="the number of a card or a person: only its pseudonym leaves the gateway; name it ..._pseudonym",
    )


class ForbiddenSpan(_Model):
    """Registers that must never be part of a request, not even to bridge a gap."""

    table: RegisterTable = Field(description="register table of the span")
    first: Address = Field(description="PDU address of its first register")
    last: Address = Field(description="PDU address of its last register")


class SerialDefaults(_Model):
    """Factory settings of the serial line."""

    baud: int = Field(default=9600, ge=300, le=1_000_000, description="bits per second")
    parity: Literal["N", "E", "O"] = Field(default="N", description="none, even or odd")
    stop_bits: Literal[1, 2] = Field(default=1, description="stop bits")


class ModbusDefaults(_Model):
    """How the device wants to be asked."""

    unit_id: Annotated[int, Field(ge=0, le=255)] = Field(default=1, description="factory unit id")
    word_order: WordOrder = Field(
        default=WordOrder.ABCD,
        description="order of bytes of values longer than one register, unless a field says otherwise",
    )
    registers_max: Annotated[int, Field(ge=1, le=125)] = Field(default=125, description="most registers in one request")
    even_only: bool = Field(default=False, description="start and count must be even")
    bridge_max: Annotated[int, Field(ge=0, le=124)] = Field(
        default=16, description="most unused registers that one request may read to join two values"
    )
    timeout_ms: Annotated[int, Field(ge=20, le=30_000)] = Field(default=1000, description="longest wait for an answer")
    serial: SerialDefaults = Field(default=SerialDefaults(), description="factory settings of the serial line")


class PollGroup(_Model):
    """Fields that are read at the same pace."""

    every_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        description="sampling interval in s of civil time", examples=[10]
    )


class Verified(_Model):
    """From which document the map is known, and how far it has been checked."""

    confidence: Literal["H", "M", "L"] = Field(
        description="H: vendor document or maintained driver; M: one secondary source; L: unverified"
    )
    document: str = Field(description="title, edition, page of the source", examples=["Operating manual V1.2, p. 14"])
    note: str = Field(default="", description="what the document leaves open, and what was checked on a device")


class Profile(_Model):
    """A device type: what its registers mean, and how they may be read."""

    profile: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = Field(
        description="its id, which is also the name of its folder", examples=["maker-model"]
    )
    version: Annotated[int, Field(ge=1)] = Field(description="counts up when the meaning of a field changes")
    title: str = Field(description="what a person calls it", examples=["Flow meter"])
    maker: str = Field(description="who makes it", examples=["Maker"])
    model: str = Field(description="model, as printed on the device", examples=["FM-1"])
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")] = Field(
        description="measurement that its readings go to", examples=["water_meter"]
    )
    modbus: ModbusDefaults = Field(default=ModbusDefaults(), description="how the device wants to be asked")
    groups: dict[str, PollGroup] = Field(description="poll groups by name", examples=[{"main": {"every_s": 10}}])
    fields: dict[str, ProfileField] = Field(
        description="what is read, by field name; the unit stands at the end of the name",
        examples=[
            {"flow_m3_h": {"table": "holding", "address": 0, "type": "f32", "unit": "m3/h", "kind": "gauge"}},
        ],
    )
    forbidden: tuple[ForbiddenSpan, ...] = Field(
        default=(), description="registers that must never be part of a request, not even to bridge a gap"
    )
    verified: Verified = Field(description="from which document the map is known, and how far it has been checked")
