"""Everything by which chance enters the agent, each behind one to three methods. `tests/twins` has a twin of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from edge_agent.errors import NotSampled

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Civil:
    """What the system says the time is (ms UTC), and whether it has been set by a source that can be trusted."""

    utc_ms: int
    trusted: bool


class Clock(Protocol):
    """Civil time and the monotonic time of this boot. Both run at the same speed; only a demo's is not 1."""

    @property
    def boot(self) -> str:
        """An id that is new with each boot."""

    def mono_ms(self) -> int:
        """Milliseconds of civil speed since this boot; never steps."""

    def civil(self) -> Civil:
        """Civil time now; may step."""

    def real_s(self, span_ms: float) -> float:
        """How many real seconds `span_ms` of this clock lasts: what to pass to asyncio.sleep."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for the registers [address, address + count) of a unit's `holding` or `input` table."""

    unit: int
    table: str
    address: int
    count: int
    timeout_s: float


Answer = Sequence[int] | NotSampled
"""The registers that were asked for, as many as were asked for; or why there are none."""

Talk = Generator[Ask, Answer, None]
"""One side of a conversation with the devices of a bus: it yields a request, and is sent the answer to it."""


def unheeded() -> None:
    """Nobody wants to know when a request is made."""


class Bus(Protocol):
    """One line or connection to devices. Requests are made one at a time."""

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        """Carry a conversation to its end. Each request is answered in finite time.

        `asked`: called as a request leaves, which may be later than it was yielded: a line must be quiet first, or a
        unit asked who it is. Called again where the request is made again; not at all where it is not made.
        """

    def longest_s(self, timeout_s: float) -> float:
        """The longest real time from a request with this time-out to its answer, all that belongs to it included."""

    async def close(self) -> None:
        """Let the line go."""


class Disk(Protocol):
    """The spool's file. Work runs in one transaction that is durable when `run` returns."""

    async def run(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        """Result of `work` on the connection. Raises DiskFull (nothing happened) or Fatal (the file cannot be used).

        `grows`: it adds batches, and so may not use what is kept back for deleting them.
        """

    async def close(self) -> None:
        """Finish and let the file go."""


SLOWEST_BYTES_PER_S = 1_000
"""A link slower than this counts as none: a message is given the time that its bytes take at this rate."""


class Heard(NamedTuple):
    """What arrived on a subscribed topic. `retained`: the broker had kept it, and nobody knows since when."""

    topic: str
    payload: bytes
    retained: bool = False


class Session(Protocol):
    """A connected link."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a message to the broker and wait until it has it, which says nothing of storage. Raises NotConnected."""

    def messages(self) -> AsyncIterator[Heard]:
        """What arrives on the subscribed topics; raises NotConnected when the link goes down."""


class Link(Protocol):
    """The way to the broker."""

    @property
    def longest_s(self) -> float:
        """The longest real time that one step takes: to connect, to publish, or to let go.

        To publish takes longer by the time of its bytes at SLOWEST_BYTES_PER_S.
        """

    def connect(self) -> AbstractAsyncContextManager[Session]:
        """A session that has subscribed to the gateway's acks and commands and to `ready`. Raises NotConnected."""


@dataclass(frozen=True, slots=True)
class BoardState:
    """What a board says of itself; None where it has no such sensor, or where that failed."""

    temperature_c: float | None = None
    disk_free_bytes: float | None = None
    """On the file system of the spool, for whoever is not root."""
    memory_available_bytes: float | None = None
    load_1min: float | None = None
    uptime_s: float | None = None
    written_bytes: float | None = None
    """What this process has had written to storage since it began."""


class Board(Protocol):
    """The computer that the agent runs on."""

    def look(self) -> BoardState:
        """How it is now. Never raises, and takes no time worth speaking of."""
