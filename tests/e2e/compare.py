"""The store of a line against the record of its meters. Of what agent and ingest wrote, only the store is read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from data_contract.reading import GATEWAY_DEVICE
from data_contract.receipt import read
from data_contract.schedule import Poll
from loopgauge.judge import Verdict, judge
from series_store.open import open_reader
from series_store.port import Reader
from series_store.table import Receipt
from simulators.truth.record import Record
from yaml_models.tls import trust

T = TypeVar("T")

RECEIPTS_MAX = 1_000_000
ALWAYS_MS = 2**42
"""Later than any test."""
TOO_SLOW = {"overrun", "timeout", "asleep"}
"""Why a reading is missing where a busy machine, on which time runs fast as well, was too slow for its slot."""
UNHEARD = {"timeout", "bus_down"}
"""What an agent counts that heard no answer in time, and a device may have noted as served all the same."""


def ask(
    store: str, question: Callable[[Reader], Awaitable[T]], secret: str | None = None, ca_file: Path | None = None
) -> T:
    """What a reader of its own answers."""

    async def asked() -> T:
        reader = open_reader(store, secret, None if ca_file is None else trust(str(ca_file)))
        try:
            return await question(reader)
        finally:
            await reader.close()

    return asyncio.run(asked())


def unheard(causes: Mapping[str, int]) -> int:
    """How many readings of all that are counted by cause a device may have noted as served all the same."""
    return sum(causes.get(cause, 0) for cause in UNHEARD)


def receipts(store: str) -> list[Receipt]:
    """Every receipt in the store, in order of time."""
    return ask(store, lambda reader: reader.receipts(0, RECEIPTS_MAX))


def redelivered(of: Iterable[Receipt]) -> int:
    """How many times a batch was made durable once more: receipts beyond the first of each."""
    times = Counter((receipt.gateway, receipt.run, receipt.seq) for receipt in of)
    return times.total() - len(times)


def readings(store: str, gateway: str) -> int:
    """How many readings of a gateway's meters the store holds."""

    async def count(reader: Reader) -> int:
        keys = [key for key in await reader.series() if key.gateway == gateway and key.device != GATEWAY_DEVICE]
        return await reader.count(keys, 0, ALWAYS_MS)

    return ask(store, count)


def of_meters(receipt: Receipt) -> int:
    """Readings of a batch without what the gateway says of itself."""
    own = read(receipt.counts).devices.get(GATEWAY_DEVICE)
    return receipt.readings - (own.stored if own is not None else 0)


def values(
    store: str, gateway: str, secret: str | None = None, ca_file: Path | None = None
) -> dict[tuple[str, str], list[float]]:
    """(device, field) → every value that the store holds of a gateway, in order of time."""

    async def read(reader: Reader) -> dict[tuple[str, str], list[float]]:
        keys = [key for key in await reader.series() if key.gateway == gateway]
        windows = await reader.window(keys, 0, ALWAYS_MS)
        return {(key.device, key.field): window.value.tolist() for key, window in windows.items() if len(window.t)}

    return ask(store, read, secret, ca_file)


def compare(record: Path, store: str, gateway: str, devices: Iterable[str], *, tolerance_ms: int) -> Verdict:
    """What became of everything that was ever served to the gateway, every row of it listed."""
    polls = [Poll(device=device, kind="any", group="any", every_ms=1, fields=()) for device in devices]
    truth = Record.open_readonly(record)
    try:
        verdict = ask(store, lambda reader: judge(truth, reader, gateway, polls, 0, ALWAYS_MS, tolerance_ms))
    finally:
        truth.close()
    assert (verdict.missing, verdict.foreign) == (len(verdict.missing_rows), len(verdict.foreign_rows))
    return verdict
