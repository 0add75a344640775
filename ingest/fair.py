"""Messages that wait for a worker, in a lane for each gateway: whoever sends too many crowds out nobody but himself.

Lanes are served in turn by bytes, as deficit round robin does (M. Shreedhar, G. Varghese: Efficient Fair Queuing Using
Deficit Round Robin, SIGCOMM 1995): each turn brings a lane a quantum of credit, a message costs its size, and what is
left of the credit stays with the lane while it has anything waiting. A message waits for one turn of the others at
most, however much any of them has sent.

What a lane cannot hold is dropped, as is the newest of the longest lane when all together pass their bound. That loses
nothing: a gateway repeats whatever is not acknowledged, and nothing has been acknowledged here.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

FLOOD = "flood"
"""The lane of its gateway was full."""
CROWDED = "crowded"
"""All lanes together were full, and this lane was the longest."""


@dataclass(slots=True)
class _Lane(Generic[T]):
    credit: int
    bytes: int = 0
    waiting: deque[tuple[int, T]] = field(default_factory=deque)


class Lanes(Generic[T]):
    """Items by lane, each with a size in bytes. `quantum_bytes` is what a lane may give in one turn."""

    def __init__(self, *, lane_bytes_max: int, bytes_max: int, quantum_bytes: int) -> None:
        self._lane_bytes_max = lane_bytes_max
        self._bytes_max = bytes_max
        self._quantum_bytes = quantum_bytes
        self._lanes: dict[str, _Lane[T]] = {}
        self._turns: deque[str] = deque()
        self._count = 0
        self.bytes = 0
        """Of everything that waits."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        """(FLOOD or CROWDED, lane) → items, since the start."""

    def __len__(self) -> int:
        return self._count

    @property
    def lanes(self) -> int:
        """Lanes in which something waits."""
        return len(self._lanes)

    def put(self, name: str, size: int, item: T) -> T | None:
        """Add an item to a lane; the one that is dropped for it, which may be itself."""
        lane = self._lanes.get(name)
        if (lane.bytes if lane else 0) + size > self._lane_bytes_max:
            self.dropped[FLOOD, name] += 1
            return item
        if lane is None:
            lane = self._lanes[name] = _Lane(self._quantum_bytes)
            self._turns.append(name)
        lane.waiting.append((size, item))
        self._grow(lane, size, 1)
        return self._shed() if self.bytes > self._bytes_max else None

    def take(self, count_max: int, bytes_max: int) -> list[T]:
        """The next items, one turn of each lane: at most `count_max`, and none more once they hold `bytes_max`.

        What is taken goes on together, so a lane may not fill it up even where no other waits: the next to come would
        wait for all of it. Only large items make it several turns, until there is one.
        """
        taken: list[T] = []
        size_taken, turns = 0, len(self._turns)
        while self._turns and len(taken) < count_max and size_taken < bytes_max:
            if not turns:
                if taken:
                    break
                turns = len(self._turns)
            name = self._turns[0]
            lane = self._lanes[name]
            size, item = lane.waiting[0]
            if size > lane.credit:
                lane.credit += self._quantum_bytes
                self._turns.rotate(-1)
                turns -= 1
                continue
            lane.waiting.popleft()
            lane.credit -= size
            self._grow(lane, -size, -1)
            taken.append(item)
            size_taken += size
            if not lane.waiting:
                del self._lanes[name]
                self._turns.popleft()
                turns -= 1
        return taken

    def _grow(self, lane: _Lane[T], size: int, count: int) -> None:
        lane.bytes += size
        self.bytes += size
        self._count += count

    def _shed(self) -> T:
        """Take the newest item out of the longest lane."""
        name = max(self._lanes, key=lambda each: self._lanes[each].bytes)
        lane = self._lanes[name]
        size, item = lane.waiting.pop()
        self._grow(lane, -size, -1)
        self.dropped[CROWDED, name] += 1
        if not lane.waiting:
            del self._lanes[name]
            self._turns.remove(name)
        return item
