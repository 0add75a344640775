"""The demo: makes a history, starts every program of the line on loopback, and judges it in the end by the record.

The live period begins on a whole simulated hour, once the first readings are in the store, so that its indicators are
those of whole hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from data_contract.cause import Missing
from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from loopgauge.demo import sites, story, summary
from loopgauge.demo.broker import DemoBroker, free_port, start_broker
from loopgauge.demo.chosen import ORIGIN, Chosen
from loopgauge.demo.judgement import judge_run
from loopgauge.demo.processes import Child, ChildFailed, start_verb
from series_store.open import open_reader, provision
from series_store.port import Unavailable

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
HISTORY_DAYS = 14
"""How much history a demo makes unless it is told otherwise."""
EVERY_S = (60, 120, 240, 300, 600)
"""Sampling and seal intervals, in simulated s: a gateway has the shortest that asks it often enough, not too often."""
ROUNDS_PER_S_MAX = 5.0
BIN_ROUNDS_PER_S_MAX = 8.0
"""Bins are few, and what is put in between the last two looks before an emptying is lost."""
LEAD_S = 8.0
"""Real time that the programs get to start before the first whole hour."""
START_S_MAX = 60.0
SEAL_EVERY_REAL_S = 1.0
TAIL_ROUNDS = 3
"""Sampling intervals beyond the live period, so that readings lie on both sides of its end."""
MAKE_S_MAX = 120.0
"""How long the history of a small city may take to be made."""
DRAIN_S_MAX = 120.0
"""How long the end waits for the rest of it to be stored."""
SMALL_METERS = 20
HISTORY_TOLERANCE_MS = 1000
FOREVER_MS = 2**53
MARKER = ".loopgauge-demo"
NICE = {"rollup": 10, "console": 10}
"""Program -> how far it gives way. Meters and gateways run against the clock, these do not."""


class DemoFailed(Exception):
    """The demo cannot go on; one line says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    chosen: Chosen
    seconds: float | None
    report: Path | None
    port: int
    speed: float
    broker: str
    folder: Path
    every_s: int | None = None
    """How often every device is read, in simulated s; None: as often as a small machine can."""
    history_days: int = HISTORY_DAYS
    profiles: Path | None = None
    """Folder with profiles that the agents go by instead of the catalog's."""


def _prepare(folder: Path) -> None:
    """An empty folder of our own: only one that an earlier demo made is ever emptied."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise DemoFailed(f"--folder {folder}: is not empty and not a demo's; give another one")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()


def _origin_ms(speed: float) -> int:
    """Where civil time begins, so that it reaches its next whole hour after the lead."""
    hour_ms = int(time.time() * 1000) // HOUR_MS * HOUR_MS
    return hour_ms - int(LEAD_S * 1000 * speed)


class Demo:
    """One run: its folder, its clock, its programs."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = options.folder
        self.origin_ms = _origin_ms(options.speed)
        self.begin_ms = self.origin_ms - options.history_days * 24 * HOUR_MS
        self.clock = ScaledClock(origin_ms=self.origin_ms, real_origin_ms=0, speed=options.speed)
        self.store = f"sqlite:{self.folder / 'store'}"
        self.record = self.folder / "record.db"
        self.assets = self.folder / "assets.yaml"
        self.loaded = options.chosen.loaded
        self.gateways = sites.gateways(self.loaded.scenario)
        self._children: list[Child] = []
        self._broker: DemoBroker | None = None
        self.port = 0

    def now_ms(self) -> int:
        """Simulated time, ms UTC."""
        return self.clock.now_ms(time.time() * 1000)

    @property
    def past(self) -> story.Past:
        """The history before the demo's clock begins."""
        path, seed = self.options.chosen.path, self.loaded.scenario.seed
        return story.Past(path, seed, self.record, self.begin_ms, self.origin_ms, self.options.profiles)

    @property
    def size(self) -> float:
        """How much history there is to make, as a multiple of what a small city with two weeks has; at least 1."""
        return max(1.0, len(self.loaded.scenario.meters) / SMALL_METERS * self.options.history_days / HISTORY_DAYS)

    def every_s(self, gateway: str) -> int:
        """How often a gateway reads its devices, in simulated s."""
        if self.options.every_s is not None:
            return self.options.every_s
        weighs = any(name in self.loaded.scenario.bins for name in sites.devices_of(self.loaded.scenario, gateway))
        rounds_max = BIN_ROUNDS_PER_S_MAX if weighs else ROUNDS_PER_S_MAX
        return next((every for every in EVERY_S if self.options.speed / every <= rounds_max), EVERY_S[-1])

    def seal_every_s(self, gateway: str) -> int:
        """How often it seals, in simulated s: whole slots, and a real second, so that a slow answer is waited for."""
        every_s = self.every_s(gateway)
        return every_s * max(1, math.ceil(SEAL_EVERY_REAL_S * self.options.speed / every_s))

    async def _verb(self, name: str, *words: str) -> Child:
        env = {**os.environ, CLOCK_VARIABLE: self.clock.text(), "PYTHONUNBUFFERED": "1"}
        child = await start_verb(name, words, folder=self.folder, env=env, nice=NICE.get(name, 0))
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raise ChildFailed if a program has ended by itself."""
        for child in self._children:
            child.check()

    async def start(self) -> None:
        """The history; then the clock, and everything but the agents, until it listens; then the agents."""
        self.assets.write_text(self.options.chosen.assets.replace(ORIGIN, _iso(self.begin_ms)), "utf-8")
        await provision(self.store)
        past_sites = {name: self._site_file(name, {}, 1883, "past-") for name in self.gateways}
        await story.make(self.past, past_sites, self.folder, within_s=MAKE_S_MAX * self.size)
        self.clock = ScaledClock(self.origin_ms, int(time.time() * 1000), self.options.speed)
        ports = self.folder / "ports.json"
        await self._verb("world", *self._world_words(ports))
        self._broker = await start_broker(self.options.broker, self.folder)
        await self._verb("ingest", "ingest", "run", str(self._ingest_file(self._broker)))
        common = ("--store", self.store, "--assets", str(self.assets))
        await self._verb("rollup", "rollup", "run", *common)
        self.port = free_port(self.options.port)
        await self._verb("console", "console", *common, "--port", str(self.port))
        await self._until(ports.exists, "the simulated meters do not listen")
        await self._until(self._page_answers, "the page does not answer")
        places = json.loads(ports.read_text("utf-8"))
        for name in self.gateways:
            await self._agent(name, self._site_file(name, places, self._broker.port), ports)

    def _world_words(self, ports: Path) -> list[str]:
        words = ["simulate", "modbus", "--scenario", str(self.past.scenario), "--seed", str(self.past.seed)]
        words += ["--record", str(self.record), "--ports", str(ports), "--history", f"{self.options.history_days}d"]
        return words

    async def _agent(self, gateway: str, site: Path, ports: Path) -> None:
        """An agent as on any gateway, but for one with a chip on its pins: those are simulated in its process."""
        words = ["edge", "run", str(site)]
        if sites.on_pins(self.loaded.scenario, gateway):
            words = ["simulate", "gateway", str(site), "--feed", str(ports)]
        if self.options.profiles:
            words += ["--profiles", str(self.options.profiles)]
        await self._verb(f"agent-{gateway}", *words)

    def _ingest_file(self, broker: DemoBroker) -> Path:
        said = sites.ingest(broker_port=broker.port, shared=broker.shares, store=self.store, folder=str(self.folder))
        return self._written("ingest.yaml", said)

    def _site_file(self, gateway: str, places: sites.Places, broker_port: int, prefix: str = "") -> Path:
        said = sites.site(
            gateway,
            scenario=self.loaded.scenario,
            profiles=self.loaded.profiles,
            places=places,
            every_s=self.every_s(gateway),
            seal_every_s=self.seal_every_s(gateway),
            since=_iso(self.begin_ms),
            spool=str(self.folder / f"{gateway}.spool.db"),
            broker_port=broker_port,
        )
        return self._written(f"{prefix}{gateway}.yaml", said)

    def _written(self, name: str, said: dict[str, Any]) -> Path:
        file = self.folder / name
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

    async def _first_readings(self) -> bool:
        reader = open_reader(self.store)
        try:
            newest = await reader.last_receipts()
        except Unavailable:
            return False
        finally:
            await reader.close()
        return {r.gateway for r in newest if r.readings and r.from_ms >= self.origin_ms} >= set(self.gateways)

    async def live_from(self) -> int:
        """The whole hour at which the live period begins, after the first readings of all are in the store."""
        await self._until(self._first_readings, "not every gateway's readings reach the store")
        return -(-self.now_ms() // HOUR_MS) * HOUR_MS

    async def wait_until(self, t_ms: int, stop: asyncio.Event, *, say: str) -> None:
        """Wait for a simulated instant, with progress on a terminal, or until stopped."""
        loaded = 0.0
        while not stop.is_set() and (left_ms := t_ms - self.now_ms()) > 0:
            self.check()
            loaded = loaded if loaded >= 1 else await story.stored(self.store, self.gateways, self.past)
            history = f"; history loaded: {loaded:4.0%}" if loaded < 1 else ""
            left = f": {self.clock.real_s(left_ms):4.0f} s left" if t_ms < FOREVER_MS else ""
            story.show(f"{say}{left}{history}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, self.clock.real_s(left_ms))):
                    await stop.wait()
        story.show("")

    async def history_stored(self) -> None:
        """Wait until the whole history is in the store. Raises DemoFailed."""

        async def done() -> bool:
            share = await story.stored(self.store, self.gateways, self.past)
            story.show(f"the rest of the history goes into the store: {share:4.0%}")
            return share >= 1

        await self._until(done, "the history does not get into the store", DRAIN_S_MAX * self.size)
        story.show("")

    async def stop_agents(self) -> None:
        """Let the agents seal and drain what they have, within a bound."""
        agents = [child for child in self._children if child.name.startswith("agent-")]
        self._children = [child for child in self._children if child not in agents]
        for agent, code in zip(agents, await asyncio.gather(*[agent.stop() for agent in agents]), strict=True):
            if code != 0:
                raise DemoFailed(f"{agent.name} ended with {code}: {agent.last_words()}")

    def may_miss(self) -> list[str]:
        """Causes of missing readings that are no fault of the line: a person asked for them."""
        of_faults = self.options.chosen.causes_of_faults(origin_ms=self.begin_ms, to_ms=self.now_ms())
        return [*of_faults, *([Missing.OVERRUN.value] if self.options.every_s is not None else [])]

    async def stop(self) -> None:
        """End every program, the readers first."""
        while self._children:
            await self._children.pop().stop()
        if self._broker is not None:
            await self._broker.stop()
            self._broker = None


def _iso(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="seconds")


async def demo(options: Options) -> int:
    """Run until the time is over or a signal comes; judge; the exit code. Raises DemoFailed, OSError."""
    _prepare(options.folder)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    run = Demo(options)
    began_s = time.monotonic()
    try:
        live = await _lived(run, stop)
        if live is None:
            print("stopped before there was anything to judge")
            return 0
        await run.history_stored()
        await run.stop_agents()
    except ChildFailed as error:
        raise DemoFailed(str(error)) from None
    finally:
        await run.stop()
    from_ms, to_ms = live
    report = await judge_run(
        store=run.store,
        record=run.record,
        assets=run.assets,
        gateways=run.gateways,
        origin_ms=run.origin_ms,
        now_ms=run.now_ms(),
        live=live,
        tolerance_ms=(HISTORY_TOLERANCE_MS, int(2000 * options.speed)),
    )
    report |= {
        "store": "sqlite",
        "broker": options.broker,
        "scenario": run.loaded.scenario.scenario,
        "seed": run.loaded.scenario.seed,
        "speed": options.speed,
        "every_s": {gateway: run.every_s(gateway) for gateway in run.gateways},
        "clock": run.clock.text(),
        "may_miss": run.may_miss(),
        "live_seconds": round(run.clock.real_s(to_ms - from_ms), 1),
        "seconds": round(time.monotonic() - began_s, 1),
    }
    return _said(report, options.report)


def _said(report: dict[str, Any], file: Path | None) -> int:
    """Write and print the report; the exit code."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    for line in summary.lines(report):
        print(line)
    wrong = summary.faults(report)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


async def _lived(run: Demo, stop: asyncio.Event) -> tuple[int, int] | None:
    """Start everything and wait for the end of the live period: that which is to be judged (ms UTC).

    None if `stop` came before the live period had begun.
    """
    begun = asyncio.create_task(_begun(run), name="start")
    stopped = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({begun, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            return None
        from_ms = begun.result()
    finally:
        for task in (begun, stopped):
            task.cancel()
        await asyncio.gather(begun, stopped, return_exceptions=True)
    await run.wait_until(from_ms, stop, say="the live period begins on the hour")
    tail_ms = TAIL_ROUNDS * max(map(run.every_s, run.gateways)) * 1000
    if run.options.seconds is None:
        await run.wait_until(FOREVER_MS, stop, say="live; Ctrl-C ends it")
        to_ms = FOREVER_MS
    else:
        to_ms = from_ms + int(run.options.seconds * 1000 * run.options.speed)
        await run.wait_until(to_ms + tail_ms, stop, say="live")
    to_ms = min(to_ms, run.now_ms() - tail_ms)
    return None if to_ms < from_ms + MINUTE_MS else (from_ms, to_ms)


async def _begun(run: Demo) -> int:
    """The whole hour at which the live period begins, once everything runs."""
    await run.start()
    print(
        f"page: http://127.0.0.1:{run.port}   (simulated, {run.options.speed:g} times as fast, {run.options.broker})",
        flush=True,
    )
    return await run.live_from()
