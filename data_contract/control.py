"""The small messages beside the data: who I am, what has been made durable, and that storing is possible again.

All are JSON objects; unknown keys are ignored, so that either end may be upgraded first.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_contract.reading import FieldKind

CONTROL_BYTES_MAX = 262_144
"""A larger control message is ignored and counted."""

Seq = Annotated[int, Field(ge=1)]


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


def read_ack(payload: bytes) -> Ack | None:
    """The ack in `payload`, or None where it is not one."""
    if len(payload) > CONTROL_BYTES_MAX:
        return None
    try:
        ack = Ack.model_validate_json(payload)
    except ValidationError:
        return None
    return ack if all(first <= last for first, last in ack.stored) else None


def write(message: BaseModel) -> bytes:
    """The bytes of a control message, without the keys that hold their default."""
    return message.model_dump_json(exclude_defaults=True).encode()
