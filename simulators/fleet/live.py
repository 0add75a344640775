"""The living fleet: seal what is over, make and send what is due, hear what comes back; one loop for all gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from data_contract.control import read_ack
from simulators.fleet.batches import CHUNK_READINGS, BatchMaker, Made, Sealed, message
from simulators.fleet.gateways import Gateways
from simulators.fleet.pace import Outage, Pace
from simulators.fleet.plan import FleetPlan
from simulators.fleet.waiting import until

TICK_S = 0.01
STEP_READINGS = CHUNK_READINGS // 8
"""Made and sent between two looks at what comes in: some 10 ms of work."""
SAY_EVERY_S = 1.0
CONNECT_WAIT_S = 20.0
"""How long a fleet with a wanted rate waits for its connections before it begins."""
STOP_WAIT_S = 5.0
"""How long a fleet that was told to stop waits for its last acks."""
GOODBYE_S = 5.0


class Way(Protocol):
    """The way to the broker; see `publish.Broker`."""

    lost_connections: int

    @property
    def up(self) -> int:
        """Connections over which one may publish."""

    @property
    def connections(self) -> int:
        """All of them."""

    def takes(self, gateway: int) -> bool:
        """Whether a gateway may publish another message now."""

    def publish(self, gateway: int, payload: bytes) -> None:
        """Send a gateway's data."""

    def cut(self, share: float, until_s: float) -> int:
        """Cut connections."""

    async def run(self) -> None:
        """Stay connected."""

    async def goodbye(self, within_s: float) -> None:
        """Disconnect in order."""


class Notes(Protocol):
    """Who notes what leaves, before it does; see `record.FleetRecorder`."""

    def note(self, batches: Sequence[tuple[Sealed, Made]]) -> None:
        """Note batches that are about to leave."""


@dataclass(slots=True)
class Progress:
    """How far a fleet is."""

    seconds: float = 0.0
    """Of load: from the begin to the last seal, or in a replay from the first message to the last ack."""
    messages: int = 0
    batches: int = 0
    readings: int = 0
    """Sent, each batch counted once."""
    readings_at_end: int = 0
    """Of these, until the load was over."""
    confirmed: int = 0
    unconfirmed: int = 0
    redelivered: int = 0
    rejected: int = 0
    foreign_acks: int = 0
    given_up: int = 0
    """Seal intervals for which a spool had no room."""
    connected: int = 0
    connections: int = 0
    lost_connections: int = 0
    behind_s: float = 0.0
    """How far the fleet lags behind the pace that was asked for."""
    payload_bytes: int = 0


class Live:
    """All gateways of a plan, at a pace."""

    def __init__(
        self,
        *,
        plan: FleetPlan,
        pace: Pace,
        gateways: Gateways,
        notes: Notes | None,
        outages: Sequence[Outage],
        say: Callable[[Progress], None],
    ) -> None:
        self._plan, self._pace, self._gateways = plan, pace, gateways
        self._maker = BatchMaker(plan=plan)
        self._notes, self._say = notes, say
        self._outages = sorted(outages, key=lambda outage: -outage.start_s)
        self._sent = [0] * plan.gateways
        self.progress = Progress()

    def up(self, gateway: int) -> None:
        """A gateway may publish now."""
        self._gateways.connected(gateway)

    def down(self, gateway: int) -> None:
        """It may no more."""
        self._gateways.disconnected(gateway)

    def acknowledged(self, gateway: int, payload: bytes) -> None:
        """An ack came for it."""
        ack = read_ack(payload)
        if ack is None:
            self._gateways.foreign_acks += 1
        else:
            self.progress.confirmed += self._gateways.confirmed(gateway, ack, _now_s())

    def ready(self) -> None:
        """Ingest can store again."""
        self._gateways.ready(_now_s())

    async def run(
        self, way: Way, stop: asyncio.Event, *, for_s: float | None, drain_s: float, wait_connected: bool
    ) -> Progress:
        """Live for `for_s` real s or until `stop`; then seal the rest, wait for the last acks, and say goodbye."""
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(way.run(), name="connections")
            if wait_connected:
                await until(lambda: stop.is_set() or way.up == way.connections, CONNECT_WAIT_S)
            await self._load(way, stop, for_s)
            await self._drain(way, STOP_WAIT_S if stop.is_set() else drain_s, stop)
            self._tell(way)
            link.cancel()
            await way.goodbye(GOODBYE_S)
        return self.progress

    async def _load(self, way: Way, stop: asyncio.Event, for_s: float | None) -> None:
        begin_s = said_s = _now_s()
        while not stop.is_set():
            now_s = _now_s()
            self.progress.seconds = now_s - begin_s
            if for_s is not None and now_s - begin_s >= for_s:
                break
            while self._outages and self._outages[-1].start_s <= now_s - begin_s:
                outage = self._outages.pop()
                way.cut(outage.share, now_s + outage.duration_s)
            busy = self._seal(self._pace.now_ms(now_s - begin_s))
            busy = self._send(way, now_s) or busy
            if now_s - said_s >= SAY_EVERY_S:
                said_s = now_s
                self._tell(way)
            await asyncio.sleep(0 if busy else TICK_S)
        self.progress.readings_at_end = self.progress.readings
        now_ms = self._pace.now_ms(self.progress.seconds)
        for gateway in range(self._plan.gateways):
            self._gateways.stop(gateway, now_ms)

    def _seal(self, now_ms: int) -> bool:
        """Seal what is over, but not more than can be made: a fleet that cannot keep its pace is late, not full."""
        room = 2 * STEP_READINGS // self._plan.batch_readings + 1 - self._gateways.sendable()
        due = self._gateways.due(now_ms, max(0, room))
        for gateway in due:
            self._gateways.seal(gateway)
        first_ms = int(self._gateways.sealed_to_ms.min()) if self._gateways.online.all() else now_ms
        self.progress.behind_s = max(0.0, (now_ms - first_ms - 2 * self._plan.seal_ms) / 1000 / self._pace.speed)
        return bool(due)

    def _send(self, way: Way, now_s: float) -> bool:
        """Make and send what wants to leave now, up to a chunk."""
        chosen: list[tuple[int, list[Sealed]]] = []
        room = STEP_READINGS
        for gateway in self._gateways.wanting(now_s):
            if way.takes(gateway) and (batches := self._gateways.take(gateway, now_s)):
                chosen.append((gateway, batches))
                room -= len(batches) * self._plan.batch_readings
                if room <= 0:
                    break
        if not chosen:
            return False
        wanted = [(gateway, sealed) for gateway, batches in chosen for sealed in batches]
        made = self._maker.make(wanted)
        if self._notes is not None:
            self._notes.note([(sealed, each) for (_, sealed), each in zip(wanted, made, strict=True)])
        at = 0
        for gateway, batches in chosen:
            payload = message(self._plan, made[at : at + len(batches)])
            way.publish(gateway, payload)
            self._count(gateway, made[at : at + len(batches)], len(payload))
            at += len(batches)
        return True

    def _count(self, gateway: int, made: Sequence[Made], size: int) -> None:
        self.progress.messages += 1
        self.progress.payload_bytes += size
        for each in made:
            if each.seq > self._sent[gateway]:
                self._sent[gateway] = each.seq
                self.progress.batches += 1
                self.progress.readings += each.readings

    async def _drain(self, way: Way, within_s: float, stop: asyncio.Event) -> None:
        """Send what is left, until all of it is confirmed or the time is over."""
        began_s, stopping = _now_s(), stop.is_set()
        said_s = began_s
        while self._gateways.unconfirmed and _now_s() - began_s < within_s:
            if stop.is_set() and not stopping:
                began_s, within_s, stopping = _now_s(), STOP_WAIT_S, True
            busy = self._send(way, _now_s())
            if _now_s() - said_s >= SAY_EVERY_S:
                said_s = _now_s()
                self._tell(way)
            await asyncio.sleep(0 if busy else TICK_S)

    def _tell(self, way: Way) -> None:
        told, gateways = self.progress, self._gateways
        told.unconfirmed, told.redelivered = gateways.unconfirmed, gateways.redelivered
        told.rejected, told.foreign_acks, told.given_up = gateways.rejected, gateways.foreign_acks, gateways.given_up
        told.connected, told.connections, told.lost_connections = way.up, way.connections, way.lost_connections
        self._say(told)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
