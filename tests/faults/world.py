"""A whole line in virtual time: gateways and workers as they are shipped, twins for everything by which chance enters.

One seed decides every delay, fault and kill, so it replays any run. The judge compares what was sealed, what was served
and what is stored; what is not stored must be named by the audit.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections import Counter
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from data_contract.batch import Span
from data_contract.control import Ack, read_ack
from edge_agent.app import Agent, Ports
from edge_agent.config import EdgeConfig
from edge_agent.errors import Fatal
from edge_agent.keep import recovery
from edge_agent.keep.spool import Spool
from edge_agent.send.flight import Flight
from ingest.worker import Worker
from series_store import names
from series_store.table import Outcome, SeriesKey, Table
from tests.faults.gateway import PROFILE, Gateway, body_of, registers, replaced, slow_registers, values_of
from tests.twins.broker import BrokerTwin, ConsumerTwin, LinkTwin
from tests.twins.bus import BusTwin
from tests.twins.clock import ClockTwin, civil_ms
from tests.twins.cloud import DeadLettersTwin, GatewaysTwin
from tests.twins.death import Killed, Life
from tests.twins.disk import DiskTwin
from tests.twins.store import StoreTwin

__all__ = ["PROFILE", "Gateway", "World", "body_of", "values_of"]

SLOW_S = 60
"""Interval of polls and seals where hours are to pass."""
EVICT_S_MAX = 5.0
DIGEST = '"replaces":'
"""What only the text of a digest holds."""


class World:
    """Gateways, broker, workers and store, with the faults that a test or a seed orders."""

    def __init__(
        self, *, seed: int, folder: Path, gateways: int = 1, workers: int = 1, spool_bytes: tuple[int, int] = (0, 0)
    ) -> None:
        """`spool_bytes`: least and most; with it spools are small, and everything is slow enough for hours."""
        self._spool_bytes = spool_bytes
        self.rng = random.Random(seed)
        self.store = StoreTwin(write_latency_s=0.01)
        self.store_away: Outcome | None = None
        """What the store answers to everyone while it is away."""
        self.receipted: set[tuple[str, int]] = set()
        """(run, seq) of every batch whose receipt is in the store."""
        self.early: list[str] = []
        """What was said or done before it was true."""
        self.store.after_write = self._written
        self.broker = BrokerTwin(rng=self.rng)
        self.broker.on_carry = self._carried
        self.dead = DeadLettersTwin()
        self.boards = GatewaysTwin()
        self.gateways = [self._gateway(f"gw-{n}", folder) for n in range(1, gateways + 1)]
        self.worker_count = workers
        self.workers: dict[str, tuple[Worker, Life, asyncio.Task[None], asyncio.Event]] = {}
        self.worker_deaths: Counter[str] = Counter()

    def _gateway(self, name: str, folder: Path) -> Gateway:
        low, high = self._spool_bytes
        pace = {"every_s": {"main": SLOW_S, "slow": SLOW_S}} if high else {}
        config = EdgeConfig.model_validate(
            {
                "gateway": name,
                "board": f"board{name[3:]}",
                "seal_every_s": SLOW_S if high else 10,
                "health_every_s": 600 if high else 60,
                "spool": {"file": str(folder / f"{name}.db")},
                "uplink": {"host": "localhost"},
                "buses": {"line": {"type": "modbus_tcp", "host": "localhost"}},
                "devices": {
                    f"meter-{unit}": {"profile": "test-meter", "bus": "line", "unit_id": unit, **pace}
                    for unit in (1, 2)
                },
            }
        )
        bus = BusTwin(units={unit: (slow_registers if high else registers)(unit) for unit in (1, 2)})
        gateway = Gateway(name, config, bus, ClockTwin(), folder / f"{name}.db", devices=dict(config.devices))
        if high:
            gateway.spool_bytes_max, gateway.evict_s = self.rng.randint(low, high), self.rng.uniform(0, EVICT_S_MAX)
        return gateway

    def start_gateway(self, gateway: Gateway) -> None:
        """Begin a life of the agent."""
        gateway.life = gateway.bus.life = Life()
        recovered = recovery.recover(gateway.path)
        gateway.disk = DiskTwin(path=gateway.path, life=gateway.life, bytes_max=gateway.spool_bytes_max)
        gateway.disk.evict_s = gateway.evict_s
        gateway.disk.sealed = gateway.sealed
        gateway.disk.full = gateway.disk_full
        gateway.disk.on_delete = functools.partial(self._deleted, gateway)
        gateway.stop = asyncio.Event()
        link = LinkTwin(gateway=gateway.name, broker=self.broker, life=gateway.life)
        ports = Ports(
            clock=gateway.clock,
            disk=gateway.disk,
            link=link,
            buses={"line": gateway.bus},
            board=gateway.board,
            rng=self.rng,
        )
        devices = {name: (device, PROFILE) for name, device in gateway.config.devices.items()}
        gateway.agent = Agent(
            config=gateway.config,
            devices=devices,
            ports=ports,
            board=gateway.config.board or "",
            version="test",
            recovered=recovered,
            notifier=gateway.notifier,
        )
        self._watch_confirmations(gateway, gateway.agent.flight)
        self._watch_evictions(gateway.agent.spool, gateway.disk)
        gateway.booted[gateway.agent.run_id] = gateway.clock.booted_ms
        gateway.schedules[gateway.agent.run_id] = gateway.agent.schedule
        gateway.task = asyncio.create_task(self._live(gateway), name=gateway.name)

    async def _live(self, gateway: Gateway) -> None:
        assert gateway.agent is not None
        try:
            await gateway.agent.run(gateway.stop)
        except* Killed:
            gateway.deaths[gateway.life.died_at or "at rest"] += 1
        except* Fatal:
            if not gateway.disk_full:
                raise
            gateway.deaths["no room to begin"] += 1
        finally:
            gateway.life.dead = True
            gateway.redelivered += gateway.agent.sender.redelivered
            if gateway.name in self.broker.sessions and gateway.deaths:
                self.broker.sessions.pop(gateway.name).cut()

    async def kill_gateway(self, gateway: Gateway) -> None:
        """End the agent wherever it is, as SIGKILL does."""
        assert gateway.task is not None
        gateway.life.dead = True
        gateway.task.cancel()
        await self.ended(gateway)

    async def ended(self, gateway: Gateway) -> None:
        """Wait for the end of a life. Raises whatever the agent did not handle."""
        assert gateway.task is not None
        with contextlib.suppress(asyncio.CancelledError):
            await gateway.task

    async def stop_gateway(self, gateway: Gateway) -> None:
        """End the agent as SIGTERM does."""
        assert gateway.task is not None
        gateway.stop.set()
        await gateway.task

    def start_worker(self, name: str) -> None:
        """Begin a life of an ingest worker."""
        life = Life()
        consumer = ConsumerTwin(broker=self.broker, life=life)
        worker = Worker(
            worker=name,
            consumer=consumer,
            writer=_Dying(self, life),
            dead=self.dead,
            gateways=self.boards,
            now_us=lambda: civil_ms() * 1000,
        )
        stop = asyncio.Event()

        async def live() -> None:
            try:
                self.broker.carry("lg/v1/ready", b"{}")
                await worker.run(stop)
            except* Killed:
                self.worker_deaths[life.died_at or "at rest"] += 1
            finally:
                life.dead = True

        self.workers[name] = (worker, life, asyncio.create_task(live(), name=name), stop)

    async def kill_worker(self, name: str) -> None:
        """End a worker wherever it is."""
        _, life, task, _ = self.workers.pop(name)
        life.dead = True
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def start(self) -> None:
        """Everything, for the first time."""
        for number in range(1, self.worker_count + 1):
            self.start_worker(f"w{number}")
        for gateway in self.gateways:
            self.start_gateway(gateway)

    async def settle(self, seconds: float = 1200) -> None:
        """Mend everything, let the spools drain for so long at most, and stop the agents cleanly."""
        self.broker.down, self.broker.loss, self.broker.twice, self.broker.delay_s = False, 0.0, 0.0, 0.02
        self.broker.spread_s = 0.0
        self.broker.cut_off.clear()
        for name, board in list(self.boards.parked):
            self.boards.allow(name, board)
        for life in [*(gateway.life for gateway in self.gateways), *(life for _, life, _, _ in self.workers.values())]:
            life.resume()
        self.dead.full, self.store_away, self.store.write_latency_s = False, None, 0.01
        for name in [f"w{n}" for n in range(1, self.worker_count + 1)]:
            if name not in self.workers or self.workers[name][1].dead:
                self.workers.pop(name, None)
                self.start_worker(name)
        for gateway in self.gateways:
            gateway.bus.down, gateway.bus.answer_s = False, 0.02
            gateway.bus.silent.clear()
            gateway.bus.refuses.clear()
            gateway.clock.trusted = True
            gateway.fill(full=False)
            if gateway.life.dead:
                await self.ended(gateway)
                self.start_gateway(gateway)
        await asyncio.sleep(30)
        for _ in range(int(seconds / 10)):
            if all(map(_quiet, self.gateways)):
                break
            await asyncio.sleep(10)
        for gateway in self.gateways:
            await self.stop_gateway(gateway)
        for _, _, task, stop in self.workers.values():
            stop.set()
            await task

    def _written(self, tables: Sequence[Table]) -> None:
        """A receipt comes after the values that it tells of."""
        for table in tables:
            if table.micros:
                runs, seqs = (table.columns[table.fields.index(name)] for name in (names.RUN, names.SEQ))
                for run, seq in zip(runs, seqs, strict=True):
                    assert isinstance(run, str) and isinstance(seq, float)
                    self.receipted.add((run, int(seq)))
                    self._check_stored(dict(table.tags)[names.GATEWAY], run, int(seq))

    def _check_stored(self, name: str, run: str, seq: int) -> None:
        gateway = next(gateway for gateway in self.gateways if gateway.name == name)
        sealed = gateway.sealed.get((run, seq))
        if sealed is None or sealed.base_ms is None:
            self.early.append(f"{name}: a receipt for {run} {seq}, which was not sealed and dated")
            return
        now_ms = civil_ms()
        body = body_of(sealed.body)
        for device, of, stamp, _ in values_of(body):
            t_ms = sealed.base_ms + stamp
            key = SeriesKey(body.devices[device].kind, name, device, of)
            if not self.store.holds(key, t_ms) and t_ms < now_ms + 86_000_000:
                self.early.append(f"{name}: a receipt for {run} {seq} before its values were stored")
                return

    def _carried(self, name: str, payload: bytes) -> None:
        """An ack comes after the receipt."""
        if name.endswith("/ack"):
            ack = read_ack(payload)
            assert ack is not None
            for first, last in ack.stored:
                for seq in range(first, last + 1):
                    if (ack.run, seq) not in self.receipted:
                        self.early.append(f"{name}: {ack.run} {seq} acknowledged before its receipt")

    def _watch_confirmations(self, gateway: Gateway, flight: Flight) -> None:
        """A gateway takes for confirmed only what has a receipt."""
        shipped = flight.confirmed

        def confirmed(ack: Ack, now_s: float) -> list[Span]:
            released = shipped(ack, now_s)
            for run, first, last in released:
                for seq in range(first, last + 1):
                    if (run, seq) not in self.receipted:
                        self.early.append(f"{gateway.name}: {run} {seq} taken for confirmed before its receipt")
            return released

        flight.confirmed = confirmed  # type: ignore[method-assign]  # it listens, and changes nothing

    def _watch_evictions(self, spool: Spool, disk: DiskTwin) -> None:
        """The disk knows what is done for an eviction."""
        shipped = spool.evict

        async def evict(seq: int, *, before_ms: int, busy: Callable[[], Container[tuple[str, int]]]) -> bool:
            return await disk.evicting(shipped(seq, before_ms=before_ms, busy=busy))

        spool.evict = evict  # type: ignore[method-assign]  # it listens, and changes nothing

    def _deleted(self, gateway: Gateway, keys: set[tuple[str, int]]) -> None:
        """A batch is deleted after its receipt, or while a digest takes its place; then it was not under way."""
        assert gateway.disk is not None and gateway.agent is not None
        texts = [gateway.sealed[key].body for key in gateway.disk.added]
        given_up = keys & {key for text in texts if DIGEST in text for key in replaced(body_of(text))}
        gateway.evicted += len(given_up)
        for run, seq in sorted(keys - self.receipted - given_up):
            self.early.append(f"{gateway.name}: {run} {seq} deleted before its receipt")
        for run, seq in sorted(given_up):
            if gateway.agent.flight.holds(run, seq):
                self.early.append(f"{gateway.name}: {run} {seq} given up for a digest while it was in flight")

    async def stored(self) -> dict[tuple[str, str, str, int], float]:
        """Everything in the store, as (gateway, device, field, t_ms): value."""
        series = await self.store.series()
        windows = await self.store.window(series, 0, 2**50)
        return {
            (key.gateway, key.device, key.field, int(t)): float(value)
            for key, window in windows.items()
            for t, value in zip(window.t, window.value, strict=True)
        }

    def sealed_readings(self, gateway: Gateway) -> dict[tuple[str, str, str, int], float]:
        """Every value that was ever sealed and dated but in digests, under the key that it must have in the store."""
        found: dict[tuple[str, str, str, int], float] = {}
        for key, sealed in gateway.sealed.items():
            if sealed.base_ms is None and key in gateway.lost:
                continue
            assert sealed.base_ms is not None, "a batch was never dated"
            body = body_of(sealed.body)
            if body.replaces:
                continue
            for device, name, stamp, value in values_of(body):
                reading = (gateway.name, device, name, sealed.base_ms + stamp)
                assert reading not in found, f"{reading} was sealed twice"
                found[reading] = value
        return found


def _quiet(gateway: Gateway) -> bool:
    """Whether nothing but the very last batches waits."""
    agent = gateway.agent
    assert agent is not None
    newest = max((seq for run, seq in gateway.sealed if run == agent.run_id), default=0)
    held = agent.spool.held
    return len(held) <= 2 and all(
        run == agent.run_id and seq > newest - 2 and held[run, seq].dated for run, seq in held
    )


class _Dying:
    """The store as one worker sees it: away at times; and the worker may die before a write and after it."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def write(self, tables: Sequence[Table]) -> Outcome:
        kind = "receipt" if tables[0].micros else "data"
        await self._life.going()
        self._life.step(f"{kind}.before")
        if (answer := self._world.store_away) is not None:
            await asyncio.sleep(0.1)
            return answer
        outcome = await self._world.store.write(tables)
        await self._life.going()
        self._life.step(f"{kind}.after")
        return outcome

    async def close(self) -> None:
        return None
