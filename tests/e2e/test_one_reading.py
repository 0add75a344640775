"""One reading goes the whole way: register, spool, broker, store, receipt, ack, and the row is gone."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopgauge.demo.broker import start_broker
from tests.e2e.compare import of_meters, redelivered
from tests.e2e.line import ENERGY_METER, GATEWAY, Line
from tests.e2e.servers import PATIENCE_S, InfluxServer, MosquittoServer

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
        fates = line.account()
        assert fates["stored"] == line.readings() > BATCHES
        receipts, audit = line.receipts(), line.audit()
        times = Counter((receipt.run, receipt.seq) for receipt in receipts)
        assert sorted(times) == [(first[0], seq) for seq in range(1, len(times) + 1)], "a batch is missing"
        # What is confirmed late comes again.
        assert min(times.values()) == 1, "every batch came twice"
        assert audit["redelivered_batches"] == redelivered(receipts)
        once = {(receipt.run, receipt.seq): receipt for receipt in receipts}.values()
        assert sum(map(of_meters, once)) == fates["stored"]
        assert audit["gateway"] == GATEWAY


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
        broker = asyncio.run_coroutine_threadsafe(start_broker("amqtt", folder), loop).result(PATIENCE_S)
        try:
            yield broker.port
        finally:
            asyncio.run_coroutine_threadsafe(broker.stop(), loop).result(PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
