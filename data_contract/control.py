"""The small messages beside the data: who I am, what has been made durable, that storing is possible again, commands.

All are JSON objects; unknown keys are ignored, so that either end may be upgraded first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_contract.reading import FieldKind

CONTROL_BYTES_MAX = 262_144
"""A larger control message is ignored and counted."""

COMMAND_BYTES_MAX = 2048
"""A larger command is refused."""

REPLY_BYTES_MAX = 65_536
"""What an answer has no room for is left out of it, and counted there."""

N_MAX = 2**53 - 1
"""Largest number of a command: the largest that every JSON reader keeps exact."""

Seq = Annotated[int, Field(ge=1)]


M = TypeVar("M", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rejected(_Model):
    """A batch that can never be stored; ingest keeps it as a dead letter."""

    seq: Seq
    reason: str


class Ack(_Model):
    """What one ingest worker itself has made durable: ranges of batches of one run, both ends included."""

    run: str
    stored: tuple[tuple[Seq, Seq], ...] = ()
    rejected: tuple[Rejected, ...] = ()
    worker: str = ""


class Ready(_Model):
    """An ingest worker can store; gateways offer again what is unconfirmed."""

    worker: str = ""


class FieldBirth(_Model):
    """One field of a device, for people and for the register of assets."""

    unit: str
    kind: FieldKind
    accuracy_percent: float | None = None


class DeviceBirth(_Model):
    """One device of a gateway."""

    kind: str
    profile: str
    profile_version: int
    simulated: bool
    fields: dict[str, FieldBirth]


class Birth(_Model):
    """Who a gateway is. Retained for people; nothing in the delivery depends on it."""

    gateway: str
    board: str
    version: str
    run: str
    devices: dict[str, DeviceBirth]


class Verb(StrEnum):
    """What a gateway can be told to do."""

    BIRTH = "birth"
    """Publish the birth message again."""
    FLUSH = "flush"
    """Seal now what has been read, and send all that is sealed."""
    REREAD = "reread"
    """Ask the devices once, out of schedule; the answer says what they said."""
    RESTART = "restart"
    """Stop in order; the supervisor starts the agent again."""


class Refusal(StrEnum):
    """Why a gateway did not do what it was told."""

    RETAINED = "retained"
    """The broker had kept it: nobody knows from when it is."""
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    OTHER_RUN = "other_run"
    """It names another run of the agent than the present one."""
    REPLAYED = "replayed"
    """Its number is not above those before it."""
    TOO_MANY = "too_many"
    """More than a gateway obeys in so short a time."""
    UNKNOWN_VERB = "unknown_verb"
    UNKNOWN_DEVICE = "unknown_device"
    BUSY = "busy"
    """As many as may wait are waiting already."""


class Command(_Model):
    """What an operator tells a gateway on `cmd/{verb}`.

    `run` is that of the gateway's retained birth, and `n` is above that of every command before in this run: so a
    recorded command is worth nothing later, and no clock is needed to know.
    """

    run: str = Field(pattern=r"^[0-9a-f]{32}$")
    n: int = Field(ge=1, le=N_MAX, strict=True)
    by: str = Field(default="", pattern=r"^[ -~]{0,64}$", description="who says so, for the gateway's log")
    device: str | None = Field(default=None, max_length=63, description="with reread: only this one")


class DeviceAnswer(_Model):
    """What one device said when it was asked again."""

    device: str
    values: dict[str, float | None] = {}
    quality: dict[str, int] = Field(default={}, description="of those that are not good")
    missing: dict[str, str] = Field(default={}, description="cause, of those that were not read")
    detail: str = Field(default="", description="what the bus said of the last that was not read")


class Reply(_Model):
    """What became of a command, on `reply`."""

    run: str = Field(description="of the agent that answers")
    n: int = Field(default=0, ge=0, le=N_MAX, description="of the command; 0 where none could be read")
    verb: str
    ok: bool = Field(description="it was done, and all of it worked")
    text: str
    refused: str | None = Field(default=None, description="why it was not done: a Refusal, or one of a later version")
    last_n: int = Field(default=0, ge=0, le=N_MAX, description="largest number in this run so far; use a larger one")
    devices: tuple[DeviceAnswer, ...] = ()
    left_out: int = Field(default=0, ge=0, description="fields that the answer had no room for")


def read_ack(payload: bytes) -> Ack | None:
    """The ack in `payload`, or None where it is not one."""
    if len(payload) > CONTROL_BYTES_MAX:
        return None
    try:
        ack = Ack.model_validate_json(payload)
    except ValidationError:
        return None
    return ack if all(first <= last for first, last in ack.stored) else None


def read_birth(payload: bytes) -> Birth | None:
    """The birth in `payload`, or None where it is not one."""
    return _read(Birth, payload, CONTROL_BYTES_MAX)


def read_command(payload: bytes) -> Command | None:
    """The command in `payload`, or None where it is not one."""
    return _read(Command, payload, COMMAND_BYTES_MAX)


def read_reply(payload: bytes) -> Reply | None:
    """The reply in `payload`, or None where it is not one."""
    return _read(Reply, payload, REPLY_BYTES_MAX)


def _read(model: type[M], payload: bytes, bytes_max: int) -> M | None:
    if len(payload) > bytes_max:
        return None
    try:
        return model.model_validate_json(payload)
    except ValidationError:
        return None


def write(message: BaseModel) -> bytes:
    """The bytes of a control message, without the keys that hold their default."""
    return message.model_dump_json(exclude_defaults=True).encode()
