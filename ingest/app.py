"""The worker: file to ports, ports to one TaskGroup. Only the ports differ between a server and a test."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from data_contract import control
from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from data_contract.topics import READY
from ingest.config import IngestConfig
from ingest.consumer import MqttConsumer
from ingest.dead_letters import FolderDeadLetters
from ingest.gateways import GatewaysFile
from ingest.worker import Worker
from series_store.port import Writer
from yaml_models.files import read_secret


def civil_us() -> Callable[[], int]:
    """Microseconds UTC of civil time, as LOOPGAUGE_CLOCK describes it. ValueError says what is wrong with it."""
    scaled = ScaledClock.parse(os.environ.get(CLOCK_VARIABLE))
    return lambda: int(scaled.now_ms(time.time_ns() / 1_000_000) * 1000)


async def run(config: IngestConfig, *, writer: Writer, stop: asyncio.Event) -> None:
    """Take, store and acknowledge until `stop`. Raises Fatal, BadFile, ValueError before anything is connected."""
    now_us = civil_us()
    password = read_secret(Path(config.broker.password_file)) if config.broker.password_file else None
    gateways = GatewaysFile(Path(config.gateways_file))
    gateways.read()

    def connected() -> None:
        consumer.publish(READY, control.write(control.Ready(worker=config.worker)))

    consumer = MqttConsumer(worker=config.worker, config=config.broker, password=password, connected=connected)
    dead = FolderDeadLetters(
        folder=Path(config.dead_letters), bytes_max=config.dead_letters_bytes_max, now_ms=lambda: now_us() // 1000
    )
    worker = Worker(worker=config.worker, consumer=consumer, writer=writer, dead=dead, gateways=gateways, now_us=now_us)
    consumer.start()
    try:
        await worker.run(stop)
    finally:
        await asyncio.to_thread(consumer.stop)
        await writer.close()
