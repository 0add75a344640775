"""Everything by which chance enters ingest, beside the store's own port. `tests/twins` has a twin of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
    """(device, field, t_ms, value as text)."""


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
