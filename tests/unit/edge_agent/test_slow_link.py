"""Two days of backlog behind a slow link or a small budget: live data stays fresh, and the promised time is kept."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from data_contract.control import Ack, write
from data_contract.message import read_header
from data_contract.topics import Channel, gateway_of, topic
from edge_agent.keep.disk import configure, transact
from edge_agent.keep.spool import Sealed, Spool
from edge_agent.send.budget import BURST_S, Budget, wire_bytes
from edge_agent.send.commands import Commands
from edge_agent.send.flight import Flight
from edge_agent.send.lanes import BACKLOG_ONE_IN, Lanes
from edge_agent.send.sender import Sender
from tests.twins.broker import BrokerTwin, LinkTwin
from tests.twins.clock import ORIGIN_MS
from tests.twins.death import Life
from tests.twins.loop import run_virtual

T = TypeVar("T")

SEAL_S = 10
DAY_BATCHES = 86_400 // SEAL_S
OLD, NOW = "a" * 32, "b" * 32
METERS, FIELDS = 5, 8


def bodies(rng: random.Random) -> Iterator[str]:
    """Batches of five meters of eight fields, each field once in an interval: 1.3 kB of numbers that all differ."""
    values = [[rng.uniform(0, 1e4) for _ in range(FIELDS)] for _ in range(METERS)]
    at = 0
    while True:
        devices = []
        for meter, row in enumerate(values):
            row[:] = [value + rng.uniform(0, 5) for value in row]
            columns = ",".join(f'"field_{n}":[{value:.3f}]' for n, value in enumerate(row))
            block = f'{{"t":[{rng.randint(0, 9999)}],"values":{{{columns}}}}}'
            counts = f'{{"main":[{FIELDS},{FIELDS},{{}}]}}'
            devices.append(f'"meter-{meter}":{{"kind":"energy_meter","counts":{counts},"blocks":[{block}]}}')
        yield f'{{"from":{at},"to":{at + SEAL_S * 1000},"prev":{at},"devices":{{{",".join(devices)}}}}}'
        at += SEAL_S * 1000


class Inline:
    """A disk that keeps no books, as two days would be long ones."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        configure(self._db, 2**30)
        self._db.execute("PRAGMA synchronous=OFF")

    async def run(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        return transact(self._db, work)

    async def close(self) -> None:
        self._db.close()


class Gateway:
    """The shipped sender and spool, sealing made-up batches; a cloud that acknowledges after a tenth of a second."""

    def __init__(self, folder: Path, *, link: float, budget: float | None = None, live_size: int = 1) -> None:
        """`link`: bytes per s. `live_size`: so many times as large is what is sealed in the present run."""
        self.rng = random.Random(1)
        self.bodies = bodies(self.rng)
        self.live_size = live_size
        self.silent = False
        """The cloud does not answer."""
        self.path = folder / "spool.db"
        self.broker = BrokerTwin(rng=self.rng, delay_s=0.05)
        self.broker.bytes_per_s = link
        self.broker.on_carry = self._carried
        self.spool = Spool(disk=Inline(self.path), run=NOW, boot="boot-2")
        self.sender = Sender(
            gateway="gw-1",
            board="board1",
            link=LinkTwin(gateway="gw-1", broker=self.broker, life=Life()),
            spool=self.spool,
            flight=Flight(rng=self.rng),
            lanes=Lanes(run=NOW),
            budget=Budget(bytes_per_s=budget),
            birth=lambda: b"{}",
            commands=Commands(run=NOW, devices=()),
            send_every_s=0,
            rng=self.rng,
            promise=lambda seconds: None,
        )
        self.sealed_s: dict[int, float] = {}
        self.stored_s: dict[int, float] = {}
        """By seq of the present run."""
        self.drained_s: float | None = None
        self.sent: list[tuple[float, str, int]] = []
        """When, of which run, and bytes with all that goes with them."""
        self._tasks: set[asyncio.Task[None]] = set()

    def _carried(self, name: str, payload: bytes) -> None:
        if gateway_of(name, Channel.DATA) is not None:
            header, _ = read_header(payload)
            now_s = asyncio.get_running_loop().time()
            self.sent.append((now_s, header.run, wire_bytes(name, payload)))
            self._tasks.add(asyncio.create_task(self._store(header.run, header.first, header.last)))

    async def _store(self, run: str, first: int, last: int) -> None:
        await asyncio.sleep(0.1)
        if self.silent:
            return
        now_s = asyncio.get_running_loop().time()
        if run == NOW:
            for seq in range(first, last + 1):
                self.stored_s.setdefault(seq, now_s)
        ack = write(Ack(run=run, stored=((first, last),)))
        self.broker.sessions["gw-1"].arrive(topic("gw-1", Channel.ACK), ack)

    async def fill(self, batches: int) -> None:
        """What an earlier run has left behind."""
        old = Spool(disk=Inline(self.path), run=OLD, boot="boot-1")
        await old.open()
        for seq in range(1, batches + 1):
            await old.seal(Sealed(seq, ORIGIN_MS, ORIGIN_MS, 0, next(self.bodies)), [])
        await old.close()

    async def run(self, seconds: float) -> None:
        """Seal and send for so long."""
        await self.spool.open()
        sending = asyncio.create_task(self.sender.run())
        loop = asyncio.get_running_loop()
        for seq in range(1, int(seconds // SEAL_S) + 1):
            await asyncio.sleep(SEAL_S)
            self.sealed_s[seq] = loop.time()
            body = next(self.bodies)
            if self.live_size > 1:
                body = body[:-1] + ',"more":"' + self.rng.randbytes(500 * self.live_size).hex() + '"}'
            await self.spool.seal(Sealed(seq, ORIGIN_MS, ORIGIN_MS, 0, body), self.sender.confirmed())
            self.sender.look()
            if self.drained_s is None and len(self.spool.held) <= 2:
                self.drained_s = loop.time()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        await self.spool.close()

    def lateness_s(self) -> list[float]:
        """From each seal but the last to the store; what is not there in the end is later than anything."""
        return sorted(self.stored_s.get(seq, 1e9) - at for seq, at in self.sealed_s.items() if seq < max(self.sealed_s))

    def promised_s(self, now_s: float) -> float:
        """What the gateway says of its backlog now."""
        return self.sender.drain_s(self.sender.waiting()[1], now_s)


def p95(values: list[float]) -> float:
    return values[int(0.95 * (len(values) - 1))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "link, budget", [(8_000, None), (1e6, 2_000.0)], ids=["64 kbit/s", "a budget of 2 kB/s on a fast link"]
)
def test_two_days_of_backlog_drain_in_the_promised_time_and_live_data_stays_fresh(
    link: float, budget: float | None, tmp_path: Path
) -> None:
    async def main() -> None:
        gateway = Gateway(tmp_path, link=link, budget=budget)
        await gateway.fill(2 * DAY_BATCHES)
        began_s = asyncio.get_running_loop().time()
        running = asyncio.create_task(gateway.run(3600 if budget is None else 7200))
        await asyncio.sleep(120)
        promised_s = gateway.promised_s(began_s + 120)
        await running
        assert gateway.drained_s is not None, "not drained"
        took_s = gateway.drained_s - began_s - 120
        assert promised_s == pytest.approx(took_s, rel=0.25)
        assert p95(gateway.lateness_s()) < 10
        assert gateway.lateness_s()[-1] < 20
        if budget is not None:
            spent = sum(size for at_s, _, size in gateway.sent if at_s <= gateway.drained_s)
            assert spent <= budget * (gateway.drained_s - began_s + BURST_S) + 10_000
            assert spent >= 0.9 * budget * (gateway.drained_s - began_s)

    run_virtual(main())


def test_live_data_that_takes_all_of_the_budget_leaves_the_backlog_its_share_and_stays_fresh(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = Gateway(tmp_path, link=1e6, budget=1_000.0, live_size=20)
        await gateway.fill(5000)
        await gateway.run(7200)
        spent = {run: sum(size for _, of, size in gateway.sent if of == run) for run in (OLD, NOW)}
        assert sum(spent.values()) <= 1_000.0 * (7200 + BURST_S) + 20_000
        assert spent[OLD] / sum(spent.values()) == pytest.approx(1 / BACKLOG_ONE_IN, abs=0.05)
        fresh = [at for seq, at in gateway.stored_s.items() if at - gateway.sealed_s[seq] < 2 * SEAL_S]
        assert len(fresh) > 0.3 * len(gateway.sealed_s), "the newest no longer goes first"
        assert max(b - a for a, b in itertools.pairwise(sorted(fresh))) < 6 * SEAL_S

    run_virtual(main())


def test_a_link_that_everyone_would_call_dead_still_brings_out_what_is_sealed(tmp_path: Path) -> None:
    """Half a kilobyte per second."""

    async def main() -> None:
        gateway = Gateway(tmp_path, link=500)
        await gateway.fill(500)
        await gateway.run(3600)
        assert gateway.sender.connects == 1
        assert p95(gateway.lateness_s()) < 20
        assert gateway.drained_s is not None

    run_virtual(main())


def test_live_data_goes_before_what_is_sent_again_after_a_reconnect_to_a_slower_link(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = Gateway(tmp_path, link=1e6)
        await gateway.fill(8000)
        running = asyncio.create_task(gateway.run(120))
        await asyncio.sleep(1)
        gateway.silent = True
        await asyncio.sleep(28)
        under_way = gateway.sender._flight.bytes
        assert under_way > 100_000, "there is too little to wait for"
        gateway.silent, gateway.broker.bytes_per_s = False, 8_000
        gateway.broker.drop()
        await running
        late = {seq: gateway.stored_s[seq] - at for seq, at in gateway.sealed_s.items() if 4 <= seq <= 10}
        assert max(late.values()) < under_way / 8_000 / 2

    run_virtual(main())
