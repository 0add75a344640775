"""The worker: file to ports, ports to one TaskGroup. Only the ports differ between a server and a test."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from data_contract import control
from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from data_contract.topics import READY
from ingest import report
from ingest.bounds import Bounds
from ingest.config import IngestConfig, MetricsConfig
from ingest.consumer import MqttConsumer
from ingest.dead_letters import FolderDeadLetters
from ingest.desk import Desk
from ingest.errors import Fatal
from ingest.gateways import GatewaysFile
from ingest.names_folder import NamesFolder
from ingest.requests_folder import RequestsFolder
from ingest.share import SHARE, read_share
from ingest.worker import Worker
from series_store.port import Writer
from service_health import watchdog
from service_health.metric import Metric
from service_health.notify import Notifier
from service_health.promises import Promises
from yaml_models.files import read_secret

STATUS_S = 10.0
"""How often the service manager is told how things are, in real s."""
STOP_S_MAX = 60.0
"""What the end may take: saying goodbye to the broker, and closing the store."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a worker is made of, to look at."""

    version: str
    name: str
    consumer: MqttConsumer
    worker: Worker
    dead: FolderDeadLetters
    gateways: GatewaysFile
    promises: Promises
    now_us: Callable[[], int]

    def state(self) -> report.State:
        """How they are now."""
        queue = self.consumer.queue()
        return report.State(
            version=self.version,
            worker=self.name,
            now_ms=self.now_us() // 1000,
            connected=self.consumer.is_connected,
            connections=self.consumer.connections,
            waiting_messages=queue.messages,
            waiting_bytes=queue.bytes,
            waiting_gateways=queue.lanes,
            dropped=queue.dropped,
            counts=self.worker.counts,
            refused_names=self.worker.refused_names,
            away=self.worker.away,
            tally=self.worker.tally,
            dead_letters=self.dead.kept,
            dead_letter_bytes=self.dead.size_bytes,
            parked=self.gateways.parked,
            overdue=self.promises.broken(),
        )


def civil_us() -> Callable[[], int]:
    """Microseconds UTC of civil time, as LOOPGAUGE_CLOCK describes it. ValueError says what is wrong with it."""
    scaled = ScaledClock.parse(os.environ.get(CLOCK_VARIABLE))
    # The same clock in finer units: two lives of a worker must not meet in the first microsecond of a millisecond.
    fine = ScaledClock(scaled.origin_ms * 1000, scaled.real_origin_ms * 1000, scaled.speed)
    return lambda: fine.now_ms(time.time_ns() / 1000)


async def run(
    config: IngestConfig,
    *,
    writer: Writer,
    stop: asyncio.Event,
    version: str = "0",
    notifier: Notifier | None = None,
) -> None:
    """Take, store and acknowledge until `stop`. Raises Fatal, BadFile, ValueError before anything is connected.

    Ready is who has begun to connect: neither broker nor store need be there, both are tried until they are.
    """
    now_us = civil_us()
    gateways = GatewaysFile(Path(config.gateways_file))
    gateways.open()
    notifier = notifier or Notifier()
    promises = Promises(asyncio.get_running_loop().time)

    def connected() -> None:
        consumer.publish(READY, control.write(control.Ready(worker=config.worker)))

    consumer = MqttConsumer(
        worker=config.worker,
        config=config.broker,
        password=read_secret(Path(config.broker.password_file)) if config.broker.password_file else None,
        connected=connected,
        share=read_share(Path(config.broker.share_file)) if config.broker.share_file else SHARE,
        knows=gateways.knows,
        promise=lambda seconds: promises.within("mqtt", seconds),
    )
    folder = Path(config.dead_letters)
    dead = FolderDeadLetters(folder=folder, bytes_max=config.dead_letters_bytes_max, now_ms=lambda: now_us() // 1000)
    worker = Worker(
        worker=config.worker,
        consumer=consumer,
        writer=writer,
        dead=dead,
        gateways=gateways,
        now_us=now_us,
        promises=promises,
        bounds=_bounds(config, gateways.path),
    )
    desk = Desk(worker=worker, dead=dead, requests=RequestsFolder(folder=folder), promises=promises)
    parts = _Parts(version, config.worker, consumer, worker, dead, gateways, promises, now_us)
    async with _metrics(config.metrics, lambda: report.metrics(parts.state())), asyncio.TaskGroup() as tasks:
        beside = [
            tasks.create_task(watchdog.keep(promises, notifier), name="watchdog"),
            tasks.create_task(_tell(parts, notifier), name="status"),
        ]
        at_desk = tasks.create_task(desk.run(stop), name="desk")
        consumer.start()
        notifier.ready()
        try:
            await worker.run(stop)
            await at_desk
        finally:
            notifier.stopping()
            await _end(consumer, writer, promises)
            for each in beside:
                each.cancel()


def _bounds(config: IngestConfig, gateways_file: Path) -> Bounds:
    most = {
        "devices": config.devices_per_gateway_max,
        "kinds": config.kinds_per_gateway_max,
        "fields": config.fields_per_gateway_max,
    }
    return Bounds(
        **{what: NamesFolder(gateways_file=gateways_file, what=what, per_gateway_max=most[what]) for what in most}
    )


async def _end(consumer: MqttConsumer, writer: Writer, promises: Promises) -> None:
    promises.within("end", STOP_S_MAX)
    await asyncio.to_thread(consumer.stop)
    promises.done("mqtt")
    await writer.close()
    promises.done("end")


async def _tell(parts: _Parts, notifier: Notifier) -> None:
    while True:
        notifier.status(report.status(parts.state()))
        await asyncio.sleep(STATUS_S)


@asynccontextmanager
async def _metrics(config: MetricsConfig | None, read: Callable[[], list[Metric]]) -> AsyncIterator[None]:
    """Serve /metrics meanwhile, where that is wanted."""
    if config is None:
        yield
        return
    # A library that only those load that are asked for metrics.
    from service_health.endpoint import MetricsEndpoint

    endpoint = MetricsEndpoint(host=config.host, port=config.port, read=read)
    try:
        await endpoint.start()
    except OSError as error:
        why = error.strerror or error
        raise Fatal(
            f"metrics: cannot listen on {config.host}:{config.port}: {why}; choose another port, or leave it out"
        ) from None
    try:
        yield
    finally:
        await endpoint.close()
