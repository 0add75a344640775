"""Sends what was prepared: each gateway its next message when the one before has been confirmed, as an agent does whose
flight is full."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from data_contract.control import read_ack
from simulators.fleet.live import CONNECT_WAIT_S, GOODBYE_S, SAY_EVERY_S, STOP_WAIT_S, TICK_S, Progress, Way
from simulators.fleet.prepare import Entry, PreparedFile
from simulators.fleet.waiting import until

REPEAT_S = 10.0
"""A message that is not confirmed is sent again after this long, and on `ready`."""
STEP_MESSAGES = 256
"""Messages that are sent between two looks at what comes back."""


class Replay:
    """The messages of a prepared file on their way."""

    def __init__(self, *, file: PreparedFile, rate: float | None, say: Callable[[Progress], None]) -> None:
        self._file, self._rate, self._say = file, rate, say
        self._waiting: list[deque[Entry]] = [deque() for _ in range(file.plan.gateways)]
        for entry in file.entries():
            self._waiting[entry.gateway].append(entry)
        self._left = sum(map(len, self._waiting))
        """Messages that have not been sent."""
        self._runs = [file.plan.run(number) for number in range(file.plan.gateways)]
        self._online: set[int] = set()
        self._free: deque[int] = deque(range(file.plan.gateways))
        """Gateways that may send their next message."""
        self._open: dict[int, tuple[Entry, set[int]]] = {}
        """What is unconfirmed of the message that a gateway has sent."""
        self._due: deque[tuple[float, int, Entry]] = deque()
        """When a message that was sent is looked at again."""
        self._again: deque[int] = deque()
        self._began_s: float | None = None
        self._over = False
        self.progress = Progress()

    def up(self, gateway: int) -> None:
        """A gateway may publish; what it has sent before goes again."""
        self._online.add(gateway)
        if gateway in self._open:
            self._again.append(gateway)

    def down(self, gateway: int) -> None:
        """It may no more."""
        self._online.discard(gateway)

    def ready(self) -> None:
        """All that is unconfirmed goes again."""
        self._again.extend(self._open)

    def acknowledged(self, gateway: int, payload: bytes) -> None:
        """Count what an ack confirms; after the last batch of a message comes the next message."""
        ack = read_ack(payload)
        if ack is None or ack.run != self._runs[gateway] or gateway not in self._open:
            self.progress.foreign_acks += 1
            return
        entry, left = self._open[gateway]
        before = len(left)
        for first, last in (*ack.stored, *((bad.seq, bad.seq) for bad in ack.rejected)):
            left.difference_update(range(max(first, entry.first), min(last, entry.last) + 1))
        self.progress.rejected += len(ack.rejected)
        self.progress.confirmed += before - len(left)
        if not left:
            del self._open[gateway]
            self._free.append(gateway)
            self.progress.seconds = _now_s() - (self._began_s or 0.0)

    async def run(self, way: Way, stop: asyncio.Event, *, for_s: float | None, drain_s: float) -> Progress:
        """Send everything, or what can be sent in `for_s`, and wait at most `drain_s` for what is then unconfirmed."""
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(way.run(), name="connections")
            await until(lambda: stop.is_set() or way.up == way.connections, CONNECT_WAIT_S)
            await self._load(way, stop, for_s, drain_s)
            self._tell(way)
            link.cancel()
            await way.goodbye(GOODBYE_S)
        return self.progress

    async def _load(self, way: Way, stop: asyncio.Event, for_s: float | None, drain_s: float) -> None:
        self._began_s = said_s = _now_s()
        over_s = None
        while over_s is None or (self._open and _now_s() - over_s < drain_s):
            now_s = _now_s()
            late = for_s is not None and now_s - self._began_s >= for_s
            if over_s is None and (not self._left or late or stop.is_set()):
                self._over, over_s = True, now_s
                drain_s = min(drain_s, STOP_WAIT_S) if stop.is_set() else drain_s
                self.progress.readings_at_end = self.progress.readings
            busy = self._step(way, now_s)
            if now_s - said_s >= SAY_EVERY_S:
                said_s = now_s
                self._tell(way)
            await asyncio.sleep(0 if busy else TICK_S / 4)

    def _step(self, way: Way, now_s: float) -> bool:
        """A few messages; whether there were any."""
        sent = 0
        while self._due and self._due[0][0] <= now_s:
            _, gateway, entry = self._due.popleft()
            if gateway in self._open and self._open[gateway][0] is entry:
                self._again.append(gateway)
        for _ in range(min(STEP_MESSAGES, len(self._again))):
            gateway = self._again.popleft()
            if gateway in self._open and gateway in self._online:
                entry, _ = self._open[gateway]
                self._publish(way, entry, now_s)
                self.progress.redelivered += entry.last - entry.first + 1
                sent += 1
        for _ in range(min(STEP_MESSAGES, len(self._free))):
            if self._over or not self._may_send(now_s):
                break
            gateway = self._free.popleft()
            if not self._waiting[gateway]:
                continue
            if gateway not in self._online or not way.takes(gateway):
                self._free.append(gateway)
                continue
            entry = self._waiting[gateway].popleft()
            self._left -= 1
            self._open[gateway] = entry, set(range(entry.first, entry.last + 1))
            self._publish(way, entry, now_s)
            self.progress.batches += entry.last - entry.first + 1
            self.progress.readings += entry.readings
            sent += 1
        return sent > 0

    def _may_send(self, now_s: float) -> bool:
        return self._rate is None or self.progress.readings < self._rate * (now_s - (self._began_s or now_s))

    def _publish(self, way: Way, entry: Entry, now_s: float) -> None:
        payload = self._file.payload(entry)
        way.publish(entry.gateway, payload)
        self.progress.messages += 1
        self.progress.payload_bytes += len(payload)
        self._due.append((now_s + REPEAT_S, entry.gateway, entry))

    def _tell(self, way: Way) -> None:
        told = self.progress
        told.unconfirmed = sum(len(left) for _, left in self._open.values())
        told.connected, told.connections, told.lost_connections = way.up, way.connections, way.lost_connections
        self._say(told)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
