"""Everything by which chance enters ingest, beside the store's own port. `tests/twins` has a twin of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from ingest.request import Request


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message from the broker. `token` is what the consumer needs to settle it."""

    topic: str
    payload: bytes
    token: object


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What can never be stored, kept for a person: a whole batch (`line`), or values that were refused (`values`)."""

    gateway: str
    run: str
    seq: int
    reason: str
    line: str = ""
    values: tuple[tuple[str, str, int, str], ...] = ()
    """(device, field, t_ms, value as text); field "" stands for a row that is no reading, as JSON."""
    kinds: tuple[tuple[str, str], ...] = ()
    """(device, measurement) of the values."""
    span: tuple[int, int] = (0, 0)
    """[from, to) of the batch of which the values are, ms UTC."""
    message: tuple[int, int, str] | None = None
    """(first, last, packing) of a message that could not be read at all: `line` of its first batch is all of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter as it lies there: since when, and under which id. Letters of the same content share their id."""

    id: str
    at_ms: int
    letter: DeadLetter


class Consumer(Protocol):
    """The broker's side of a worker."""

    async def take(self, wait_s: float) -> list[Delivery]:
        """At least one message as soon as there is one, all that wait, up to a bound; none after `wait_s`."""

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that it may send more. Flow control only: it promises nothing to the gateway."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand a message to the network without waiting. It may be lost: gateways repeat what is not acknowledged."""


class Gateways(Protocol):
    """Which boards may speak for which gateway."""

    async def admits(self, gateway: str, board: str) -> bool:
        """Whether this board may speak. The first board of a new name is taken on; any other waits to be allowed."""


class DeadLetters(Protocol):
    """Where dead letters are kept."""

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Make letters durable. Raises NoRoom: none was kept."""

    async def segments(self) -> list[str]:
        """The names of the parts that letters lie in, oldest first. Letters of one `keep` lie in one part."""

    async def find(self, segment: str, ids: Set[str]) -> list[Kept]:
        """The letters of these ids in one part, in the order in which they came."""

    async def settle(self, segment: str, left: Mapping[str, Sequence[DeadLetter]]) -> None:
        """Put what is left of letters in their place, all of one part at once or none. Raises NoRoom: none."""


class Names(Protocol):
    """Names of one sort that each gateway has brought into the store, up to a bound, by groups."""

    async def refused(self, gateway: str, wanted: Mapping[str, Set[str]]) -> Mapping[str, Set[str]]:
        """By group those of `wanted` for which there is no room; the others are known from now on."""


class Requests(Protocol):
    """What operators ask of a running worker."""

    async def next(self) -> Request | None:
        """The oldest request that waits, or None."""

    async def done(self, request: Request) -> None:
        """It has been carried out, and what came of it is durable."""
