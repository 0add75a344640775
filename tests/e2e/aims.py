"""A running line with an eye on every step: taps before broker and database, watches on files of spool and store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from data_contract.topics import Channel, gateway_of
from tests.e2e.kills import ACK, PUBLISH, SPOOL, STORE
from tests.e2e.line import Line
from tests.e2e.servers import InfluxServer, MosquittoServer
from tests.e2e.sightings import Sightings
from tests.e2e.taps import Feed, MqttReader, Tap, WriteReader
from tests.e2e.watch import FolderWatch

SPEED = 4.0
SEAL_EVERY_S = 2.0


@contextlib.contextmanager
def aimed_line(
    folder: Path, broker: MosquittoServer, influx: InfluxServer | None = None, *, workers: int = 1
) -> Iterator[tuple[Line, Sightings]]:
    """A line that stores into `influx`, else into SQLite, after its first ack; and what is seen of it."""
    sightings = Sightings()
    names = [f"w{number}" for number in range(1, workers + 1)]
    with contextlib.ExitStack() as stack:
        agent_tap = stack.enter_context(_agent_tap(sightings, broker))
        worker_taps = [stack.enter_context(_worker_tap(sightings, broker, name)) for name in names]
        store, stores = f"sqlite:{folder / 'store'}", []
        if influx is None:
            stack.enter_context(_file_watch(sightings, folder / "store", "readings.db", STORE))
        else:
            store = f"influx1://127.0.0.1:{influx.port}/loopgauge"
            store_taps = [stack.enter_context(_store_tap(sightings, influx, name)) for name in names]
            stores = [f"influx1://127.0.0.1:{tap.port}/loopgauge" for tap in store_taps]
        stack.enter_context(_file_watch(sightings, folder / "spool", "spool.db", SPOOL))
        line = stack.enter_context(
            Line(
                folder=folder,
                store=store,
                stores=stores,
                uplink={"port": agent_tap.port},
                broker=[{"port": tap.port} for tap in worker_taps],
                workers=workers,
                speed=SPEED,
                seal_every_s=SEAL_EVERY_S,
            )
        )
        line.start()
        sightings.next(ACK, by="agent")
        yield line, sightings


def _published(sightings: Sightings, channel: Channel, step: str, by: str) -> Callable[[], Feed]:
    def said(topic: str) -> None:
        if gateway_of(topic, channel) is not None:
            sightings.note(step, by)

    return lambda: MqttReader(said).feed


def _agent_tap(sightings: Sightings, broker: MosquittoServer) -> Tap:
    """Between agent and broker: sees the publish going up and the ack coming down."""
    return Tap(
        target=broker.port,
        upward=_published(sightings, Channel.DATA, PUBLISH, "agent"),
        downward=_published(sightings, Channel.ACK, ACK, "agent"),
    )


def _worker_tap(sightings: Sightings, broker: MosquittoServer, worker: str) -> Tap:
    """Between a worker and the broker: sees the ack when it leaves."""
    return Tap(target=broker.port, upward=_published(sightings, Channel.ACK, ACK, worker))


def _store_tap(sightings: Sightings, influx: InfluxServer, worker: str) -> Tap:
    """Between a worker and InfluxDB: sees each write request."""
    return Tap(target=influx.port, upward=lambda: WriteReader(lambda _receipts: sightings.note(STORE, worker)).feed)


def _file_watch(sightings: Sightings, folder: Path, file: str, step: str) -> FolderWatch:
    """Sees each write to a database's write-ahead log."""
    folder.mkdir(parents=True, exist_ok=True)
    return FolderWatch(folder=folder, written=lambda name: sightings.note(step) if name == f"{file}-wal" else None)
