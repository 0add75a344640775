"""What an operator asks of a running worker: replay dead letters, close a run, note that a board is allowed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from data_contract.message import reason_of
from data_contract.verdict import Closed

IDS_MAX = 10_000
"""Letters in one request; the command makes several where there are more."""

Gateway = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Replay(_Model):
    """Take these dead letters through all steps again."""

    ask: Literal["replay"] = "replay"
    ids: Annotated[list[str], Field(max_length=IDS_MAX)]


class Close(_Model):
    """An operator's word about a run, to be put into the store."""

    ask: Literal["close"] = "close"
    gateway: Gateway
    said: Closed


class Allow(_Model):
    """A board has been allowed to speak for a gateway; the gateways file says so already."""

    ask: Literal["allow"] = "allow"
    gateway: Gateway
    board: Annotated[str, Field(max_length=32)]
    by: str = ""


Wish = Replay | Close | Allow

_WISH: TypeAdapter[Wish] = TypeAdapter(Annotated[Wish, Field(discriminator="ask")])


@dataclass(frozen=True, slots=True)
class Request:
    """A wish, under the ms UTC at which it was made; no two requests of one worker share it."""

    at_ms: int
    wish: Wish


def read(text: str) -> Wish:
    """What a request says. Raises ValueError."""
    try:
        return _WISH.validate_json(text)
    except ValidationError as error:
        raise ValueError(reason_of(error)) from None


def write(wish: Wish) -> str:
    """As `read` reads it."""
    return wish.model_dump_json()
