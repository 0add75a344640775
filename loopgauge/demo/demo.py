"""The demo: starts every program of the line on loopback, watches over it, and judges it in the end by the record.

The live period begins on a whole simulated hour, once the first readings are in the store, so that its indicators are
those of whole hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from loopgauge.demo import summary
from loopgauge.demo.broker import DemoBroker, free_port, start_broker
from loopgauge.demo.judgement import judge_run
from loopgauge.demo.processes import Child, ChildFailed, start_verb
from series_store.open import open_reader, provision
from series_store.port import Unavailable

GATEWAY = "binhai-1"
SCENARIO = "demo"
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
EVERY_S = 60
"""Sampling and seal interval of the demo's gateway, in simulated s."""
LEAD_S = 8.0
"""Real time that the programs get to start before the first whole hour."""
START_S_MAX = 60.0
TAIL_MS = 3 * MINUTE_MS
"""Simulated time beyond the live period, so that readings lie on both sides of its end."""
DRAIN_S_MAX = 20.0
FOREVER_MS = 2**53
MARKER = ".loopgauge-demo"


class DemoFailed(Exception):
    """The demo cannot go on; one line says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    seconds: float | None
    report: Path | None
    port: int
    seed: int
    speed: float
    broker: str
    folder: Path


def _prepare(folder: Path) -> None:
    """An empty folder of our own: only one that an earlier demo made is ever emptied."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise DemoFailed(f"--folder {folder}: is not empty and not a demo's; give another one")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()


def _clock(speed: float) -> ScaledClock:
    """A civil time that reaches its next whole hour after the lead."""
    real_ms = int(time.time() * 1000)
    hour_ms = real_ms // HOUR_MS * HOUR_MS
    return ScaledClock(origin_ms=hour_ms - int(LEAD_S * 1000 * speed), real_origin_ms=real_ms, speed=speed)


class Demo:
    """One run: its folder, its clock, its programs."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = options.folder
        self.clock = _clock(options.speed)
        self.store = f"sqlite:{self.folder / 'store'}"
        self.record = self.folder / "record.db"
        self.assets = self.folder / "assets.yaml"
        self._env = {**os.environ, CLOCK_VARIABLE: self.clock.text(), "PYTHONUNBUFFERED": "1"}
        self._children: list[Child] = []
        self._broker: DemoBroker | None = None
        self.port = 0

    def now_ms(self) -> int:
        """Simulated time, ms UTC."""
        return self.clock.now_ms(time.time() * 1000)

    async def _verb(self, name: str, *words: str) -> Child:
        child = await start_verb(name, words, folder=self.folder, env=self._env)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raise ChildFailed if a program has ended by itself."""
        for child in self._children:
            child.check()

    async def start(self) -> None:
        """Everything but the agent, until it listens; then the agent."""
        begin = datetime.fromtimestamp(self.clock.origin_ms / 1000, UTC).isoformat(timespec="seconds")
        assets = resources.files("loopgauge.demo").joinpath("assets.yaml").read_text("utf-8")
        self.assets.write_text(assets.replace("{origin}", begin), "utf-8")
        await provision(self.store)
        ports = self.folder / "ports.json"
        seed = ("--seed", str(self.options.seed))
        await self._verb(
            "world",
            "simulate",
            "modbus",
            "--scenario",
            SCENARIO,
            "--record",
            str(self.record),
            "--ports",
            str(ports),
            *seed,
        )
        self._broker = await start_broker(self.options.broker, self.folder)
        await self._verb("ingest", "ingest", "run", str(self._ingest_file(self._broker)))
        common = ("--store", self.store, "--assets", str(self.assets))
        await self._verb("rollup", "rollup", "run", *common)
        self.port = free_port(self.options.port)
        await self._verb("console", "console", *common, "--port", str(self.port))
        await self._until(ports.exists, "the simulated meters do not listen")
        await self._until(self._page_answers, "the page does not answer")
        await self._verb(
            "agent", "edge", "run", str(self._site_file(json.loads(ports.read_text("utf-8")), self._broker))
        )

    def _ingest_file(self, broker: DemoBroker) -> Path:
        file = self.folder / "ingest.yaml"
        said = {
            "worker": "demo",
            "broker": {"host": "127.0.0.1", "port": broker.port, "shared": broker.shares},
            "store": {"url": self.store},
            "gateways_file": str(self.folder / "gateways.json"),
            "dead_letters": str(self.folder / "dead"),
        }
        file.write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
        return file

    def _site_file(self, ports: dict[str, Any], broker: DemoBroker) -> Path:
        file = self.folder / "site.yaml"
        profiles = {"energy-meter": "eastron-sdm630"}
        every = {"tuf-2000m": {"main": EVERY_S, "diagnosis": EVERY_S}, "eastron-sdm630": {"main": EVERY_S}}
        devices = {}
        for name, at in ports.items():
            profile = profiles.get(name, "tuf-2000m")
            devices[name] = {
                "profile": profile,
                "bus": name,
                "unit_id": at["unit_id"],
                "every_s": dict(every[profile]),
                "simulated": True,
            }
        said = {
            "gateway": GATEWAY,
            "board": "demo",
            "seal_every_s": EVERY_S,
            "spool": {"file": str(self.folder / "spool.db")},
            "uplink": {"host": "127.0.0.1", "port": broker.port},
            "clock": {"trust": "always"},
            "buses": {
                name: {"type": "modbus_tcp", "host": at["host"], "port": at["port"]} for name, at in ports.items()
            },
            "devices": devices,
        }
        file.write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
        return file

    async def _until(self, ready: Any, problem: str, within_s: float = START_S_MAX) -> None:
        deadline = time.monotonic() + within_s
        while True:
            self.check()
            answer = ready()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            if time.monotonic() > deadline:
                raise DemoFailed(f"{problem} within {within_s:g} s; see the logs in {self.folder}")
            await asyncio.sleep(0.05)

    async def _page_answers(self) -> bool:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            line = await reader.readline()
            writer.close()
            return b" 200 " in line
        return False

    async def _first_reading(self) -> bool:
        reader = open_reader(self.store)
        try:
            return any(receipt.readings for receipt in await reader.last_receipts())
        except Unavailable:
            return False
        finally:
            await reader.close()

    async def live_from(self) -> int:
        """The whole hour at which the live period begins, after the first readings are in the store."""
        await self._until(self._first_reading, "no reading reaches the store")
        return -(-self.now_ms() // HOUR_MS) * HOUR_MS

    async def wait_until(self, t_ms: int, stop: asyncio.Event, *, say: str) -> None:
        """Wait for a simulated instant, with progress on a terminal, or until stopped."""
        while not stop.is_set() and (left_ms := t_ms - self.now_ms()) > 0:
            self.check()
            if sys.stderr.isatty() and t_ms < FOREVER_MS:
                print(f"\r{say}: {self.clock.real_s(left_ms):4.0f} s left ", end="", file=sys.stderr, flush=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, self.clock.real_s(left_ms))):
                    await stop.wait()
        if sys.stderr.isatty():
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)

    async def stop_agent(self) -> None:
        """Let the agent seal and drain what it has, within a bound."""
        agent = self._children.pop()
        assert agent.name == "agent"
        code = await agent.stop()
        if code != 0:
            raise DemoFailed(f"the agent ended with {code}: {agent.last_words()}")

    async def stop(self) -> None:
        """End every program, the readers first."""
        while self._children:
            await self._children.pop().stop()
        if self._broker is not None:
            await self._broker.stop()
            self._broker = None


async def demo(options: Options) -> int:
    """Run until the time is over or a signal comes; judge; the exit code. Raises DemoFailed, OSError."""
    _prepare(options.folder)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    run = Demo(options)
    began_s = time.monotonic()
    try:
        await run.start()
        print(
            f"page: http://127.0.0.1:{run.port}   (simulated, {options.speed:g} times as fast, {options.broker})",
            flush=True,
        )
        from_ms = await run.live_from()
        to_ms = await _live(run, from_ms, stop)
        await run.stop_agent()
    except ChildFailed as error:
        raise DemoFailed(str(error)) from None
    finally:
        await run.stop()
    report = await judge_run(
        store=run.store,
        record=run.record,
        assets=run.assets,
        gateway=GATEWAY,
        now_ms=run.now_ms(),
        live=(from_ms, to_ms),
        tolerance_ms=int(2000 * options.speed),
    )
    report |= {
        "store": "sqlite",
        "broker": options.broker,
        "seed": options.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }
    if options.report is not None:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    for line in summary.lines(report):
        print(line)
    wrong = summary.faults(report)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


async def _live(run: Demo, from_ms: int, stop: asyncio.Event) -> int:
    """Wait for the end of the live period; the end of the period to judge (ms UTC)."""
    await run.wait_until(from_ms, stop, say="the live period begins on the hour")
    if run.options.seconds is None:
        await run.wait_until(FOREVER_MS, stop, say="live; Ctrl-C ends it")
        return max(from_ms + MINUTE_MS, run.now_ms() - TAIL_MS)
    to_ms = from_ms + int(run.options.seconds * 1000 * run.options.speed)
    await run.wait_until(to_ms + TAIL_MS, stop, say="live")
    return min(to_ms, max(from_ms + MINUTE_MS, run.now_ms() - TAIL_MS))
