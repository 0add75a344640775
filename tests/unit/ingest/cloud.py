"""One ingest worker between twins: hand it payloads, and look at what it stored, kept, said and acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from typing import Any

from data_contract import receipt
from data_contract.control import Ack, read_ack
from data_contract.receipt import BatchReceipt
from data_contract.topics import READY
from ingest.ports import Delivery
from ingest.worker import Worker
from series_store.table import SeriesKey
from tests.twins.broker import BrokerTwin, ConsumerTwin
from tests.twins.clock import ORIGIN_MS, civil_ms
from tests.twins.cloud import DeadLettersTwin, GatewaysTwin
from tests.twins.death import Life
from tests.twins.store import StoreTwin

RUN = "0123456789abcdef" * 2
BASE_MS = ORIGIN_MS
TOPIC = "lg/v1/gw-1/data"


def framed(
    body: bytes, *, first: int = 1, last: int = 1, gateway: str = "gw-1", board: str = "b1", packing: str = "plain"
) -> bytes:
    """Any body under a header that fits it."""
    return f"lg1 {gateway} {board} {RUN} {first}-{last} {zlib.crc32(body):08x} {packing}\n".encode() + body


def batch(
    values: str = '"power_w":[1.5]',
    *,
    t: str = "[0]",
    kind: str = "energy_meter",
    seq: int = 1,
    counts: str = "",
    more: str = "",
) -> bytes:
    """A message of one batch of one device."""
    counts = f'"counts":{counts},' if counts else ""
    device = f'{{"kind":"{kind}",{counts}"blocks":[{{"t":{t},"values":{{{values}}}}}]}}'
    body = f'[{seq},{BASE_MS},{{"from":0,"to":10000,"devices":{{"m1":{device}}}{more}}}]\n'
    return framed(body.encode(), first=seq, last=seq)


class Cloud:
    """A worker and all that it touches."""

    def __init__(self) -> None:
        self.broker = BrokerTwin(rng=random.Random(1))
        self.said: list[tuple[str, bytes]] = []
        self.broker.on_carry = lambda name, payload: self.said.append((name, payload))
        self.store = StoreTwin()
        self.dead = DeadLettersTwin()
        self.boards = GatewaysTwin()
        self.consumer = ConsumerTwin(broker=self.broker, life=Life())
        self.worker = Worker(
            worker="w1",
            consumer=self.consumer,
            writer=self.store,
            dead=self.dead,
            gateways=self.boards,
            now_us=lambda: civil_ms() * 1000,
        )
        self.stop = asyncio.Event()

    async def confirm(self, *payloads: bytes, topic: str = TOPIC) -> bool:
        """Take payloads through all steps as one group."""
        return await self.worker.confirm([Delivery(topic, payload, None) for payload in payloads], self.stop)

    @property
    def acks(self) -> list[Ack]:
        found = [read_ack(payload) for name, payload in self.said if name.endswith("/ack")]
        return [ack for ack in found if ack is not None]

    @property
    def readies(self) -> int:
        return sum(name == READY for name, _ in self.said)

    async def stored(self) -> dict[tuple[str, str, str, int], float]:
        windows = await self.store.window(await self.store.series(), 0, 2**50)
        return {
            (key.gateway, key.device, key.field, int(t) - BASE_MS): float(value)
            for key, window in windows.items()
            for t, value in zip(window.t, window.value, strict=True)
        }

    async def receipts(self) -> list[tuple[int, int, int, BatchReceipt]]:
        """(seq, readings, bad, what it says) of every receipt."""
        return [(r.seq, r.readings, r.bad, receipt.read(r.counts)) for r in await self.store.receipts(0, 10**6)]


def key(field: str, t: int = 0, device: str = "m1") -> tuple[str, str, str, int]:
    return ("gw-1", device, field, t)


def series(field: str) -> SeriesKey:
    return SeriesKey("energy_meter", "gw-1", "m1", field)


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
