"""A store as Grafana finds it: the made-up city of the rollup tests in a real InfluxDB, with what its gateways say of
themselves, a meter that was reset, bins that are weighed, marks of quality, and a field that stands for persons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from rollups.assets_file import parse_assets
from rollups.catalog import Catalog
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from series_store.open import open_figures, open_reader, open_writer, provision
from series_store.port import OwnedFigures, OwnedReader, Writer
from series_store.table import Table
from tests.unit.rollups.city import END, assets_yaml, at_ms, batches, readings
from tests.unit.rollups.plant import HOUR_MS, Batch, deliver

MINUTE_MS = 60_000
NOW = END + 5 * MINUTE_MS
RESET = "f1"
"""A feed meter of the salt yard, whose total began again at 0 a day before the end."""
BIN = ("south", "tin")
DEAD, DEAD_SINCE = "farm", at_ms("2026-03-09T00:00")
"""The only meter of the hill's reclaimed water, which gives no reading since then."""
LOSSY = "fountain"
"""Of its readings of the last six hours every third is missing."""
SILENT_SINCE = END - 30 * MINUTE_MS
"""North's last batch; south goes on."""
TARGET = {"area": "lumen", "value": 12.5, "year": 2027, "sense": "at_least", "source": "a charter"}


def catalog() -> Catalog:
    """The shipped catalog with one target, which is this city's."""
    shipped = load_catalog().model_dump()
    for indicator in shipped["indicators"].values():
        indicator["targets"] = []
    shipped["indicators"]["reclaimed_water_utilisation"]["targets"] = [TARGET]
    return Catalog.model_validate(shipped)


def register() -> str:
    """assets.yaml; one bin has moved away."""
    found: dict[str, Any] = yaml.safe_load(assets_yaml())
    gone = {"gateway": "south", "device": "old-bin", "from": "2026-01-01", "to": "2026-02-01"}
    found["assets"]["the-old-bin"] = {
        "title": {"en": "Old bin"},
        "site": "market",
        "role": "recycling_bin",
        "capacity_kg": 10,
        "places": [gone],
    }
    return yaml.safe_dump(found, allow_unicode=True)


def told() -> dict[str, list[tuple[int, float]]]:
    """What the meters showed, with the reset, and without what the dead and the lossy one did not say."""
    found = readings()
    at = END - 24 * HOUR_MS
    before = next(value for t, value in reversed(found[RESET]) if t < at)
    found[RESET] = [(t, value if t < at else round(value - before, 4)) for t, value in found[RESET]]
    found[DEAD] = [(t, value) for t, value in found[DEAD] if t < DEAD_SINCE]
    late = [entry for entry in found[LOSSY] if entry[0] >= END - 6 * HOUR_MS]
    found[LOSSY] = [entry for entry in found[LOSSY] if entry not in late[::3]]
    return found


async def fill(url: str) -> tuple[OwnedReader, OwnedFigures]:
    """Write everything, let rollups run until they are done, and hand out the store to look into."""
    await provision(url)
    writer = open_writer(url)
    sealed = list(batches(told()))
    for batch in sealed:
        await deliver(writer, batch, batch.to_ms * 1000 + (0 if batch.gateway == "north" else 1))
    await _last_minutes(writer)
    assert (await writer.write([*_health(), _bin()])).stored
    await writer.close()
    reader, figures = open_reader(url), open_figures(url)
    worker = Worker(
        reader=reader,
        figures=figures,
        assets=parse_assets(register(), file="assets.yaml"),
        catalog=catalog(),
        now_ms=lambda: NOW,
    )
    while await worker.cycle():
        pass
    return reader, figures


async def _last_minutes(writer: Writer) -> None:
    """A batch each minute in the last two hours, nothing new in them."""
    for seq, at in enumerate(range(END - 2 * HOUR_MS, END, MINUTE_MS), 1000):
        for gateway in ("north", "south"):
            if gateway == "south" or at < SILENT_SINCE:
                empty = Batch(seq, at, at + MINUTE_MS, {}, gateway=gateway, run=gateway)
                await deliver(writer, replace(empty), (at + MINUTE_MS) * 1000 + 7)


def _health() -> list[Table]:
    """North's backlog grows, since its acks do not reach it; south has one that is as old, and drains."""
    found = []
    for gateway, first, each in (("north", 100.0, 1.0), ("south", 2000.0, -3.0)):
        times = range(END - 6 * HOUR_MS, END, MINUTE_MS)
        steps = range(len(times))
        columns = {
            "spool_batches": [first + each * step for step in steps],
            "spool_oldest_s": [1000.0 + step for step in steps],
            "spool_bytes": [3000.0 * (first + each * step) for step in steps],
            "spool_full_s": [50_000.0 if gateway == "north" else 5e6 for _ in steps],
            "drain_s": [31_536_000.0 if gateway == "north" else 900.0 for _ in steps],
            "unconfirmed_s": [60.0 * step if gateway == "north" else 0.0 for step in steps],
            "unconfirmed_cause": [4.0 if gateway == "north" and step > 9 else 0.0 for step in steps],
            "clock_waiting": [float(step <= 5) for step in steps],
            "clock_backsteps": [float(step > 5) for step in steps],
            "written_bytes_day": [3.5e8 for _ in steps],
            "memory_available_bytes": [3e8 for _ in steps],
            "load_1min": [0.2 for _ in steps],
            "disk_free_bytes": [8e9 - 1e5 * step for step in steps],
            "connected": [1.0 for _ in steps],
            "clock_trusted": [float(step > 5) for step in steps],
            "temperature_c": [50.0 + step % 7 for step in steps],
            "uptime_s": [60.0 * step for step in steps],
        }
        tags = ((names.GATEWAY, gateway), (names.DEVICE, "gateway"))
        found.append(Table("gateway", tags, tuple(columns), list(times), list(columns.values())))
    return found


def _bin() -> Table:
    """Weights of one bin over the last day, some of them doubtful, and who opened it."""
    times = list(range(END - 24 * HOUR_MS, END, 10 * MINUTE_MS))
    columns: dict[str, list[float | None]] = {
        "weight_kg": [5.0 + 0.25 * step for step in range(len(times))],
        "q_weight_kg": [1.0 if step % 9 == 0 else None for step in range(len(times))],
        "emptyings": [float(step // 50) for step in range(len(times))],
        "user_pseudonym": [float(1000 + step % 3) for step in range(len(times))],
    }
    tags = ((names.GATEWAY, BIN[0]), (names.DEVICE, BIN[1]))
    return Table("bin", tags, tuple(columns), times, list(columns.values()))
