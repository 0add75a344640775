"""One reading goes the whole way: register, spool, broker, store, receipt, ack, and the row is gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopgauge.demo.broker import start_broker
from tests.e2e.compare import of_meters
from tests.e2e.line import ENERGY_METER, GATEWAY, Line
from tests.e2e.servers import InfluxServer, MosquittoServer

BATCHES = 6


def _judge(line: Line) -> None:
    """Run for some batches, stop cleanly, and hold the store against the record."""
    with line:
        line.start()
        line.wait(lambda: len(line.held()) > 0, what="nothing was sealed")
        first = line.held()[0]
        line.wait(lambda: len(line.receipts()) >= BATCHES, what=f"fewer than {BATCHES} receipts")
        line.wait(lambda: first not in line.held(), what="the first batch was not deleted after its ack")
        line.stop()
        found = line.verdict()
        assert found.foreign_rows == ()
        assert found.missing_rows == ()
        assert found.delivered == line.readings() > BATCHES
        seqs = [(receipt.run, receipt.seq) for receipt in line.receipts()]
        assert seqs == [(first[0], seq) for seq in range(1, len(seqs) + 1)], "a batch is missing or came twice"
        assert sum(map(of_meters, line.receipts())) == found.delivered
        assert line.fates()["stored"] == found.delivered
        assert line.audit()["gateway"] == GATEWAY


def test_every_reading_of_an_energy_meter_reaches_sqlite_as_served(tmp_path: Path, mosquitto: MosquittoServer) -> None:
    port = {"port": mosquitto.port}
    _judge(Line(folder=tmp_path, store=f"sqlite:{tmp_path / 'store'}", uplink=port, broker=port, meters=ENERGY_METER))


def test_every_reading_of_a_desalination_train_reaches_influxdb_as_served(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer
) -> None:
    port = {"port": mosquitto.port}
    store = f"influx1://127.0.0.1:{influx.port}/loopgauge"
    _judge(Line(folder=tmp_path, store=store, uplink=port, broker=port))


def test_every_reading_reaches_the_store_through_a_broker_without_shared_subscriptions(tmp_path: Path) -> None:
    with _amqtt(tmp_path) as port:
        _judge(
            Line(
                folder=tmp_path,
                store=f"sqlite:{tmp_path / 'store'}",
                uplink={"port": port},
                broker={"port": port, "shared": False},
            )
        )


@contextmanager
def _amqtt(folder: Path) -> Iterator[int]:
    """The demo's in-process broker, in an event loop of its own; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="amqtt")
    thread.start()
    try:
        broker = asyncio.run_coroutine_threadsafe(start_broker("amqtt", folder), loop).result(10)
        try:
            yield broker.port
        finally:
            asyncio.run_coroutine_threadsafe(broker.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
