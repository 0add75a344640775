"""What a reading costs on the wire: all bytes between agent and broker, both ways, per reading that was confirmed.

Counted are the IP packets of the agent's connection: topic, MQTT, TCP/IP, PUBACK, ack and keep-alive. Each field is
read every 10 s and sealed every 10 s. With `send_every_s: 0` that is measured in real time; for `send_every_s: 60`
civil time runs six times as fast, and keep-alive and `send_every_s`, which are real time, are made six times shorter.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import plant
from benchmarks.figures import Figure, Goal
from benchmarks.frames import Frame, Tap, proxy, sniff
from benchmarks.processes import NotMeasured, Program
from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from series_store.table import Receipt
from tests.e2e.servers import MosquittoServer, free_port

GOALS = {"wire_bytes_live": Goal.parse("<= 9 B"), "wire_bytes": Goal.parse("<= 5 B")}

EVERY_S = 10.0
"""Between readings of a field, and between seals, civil s."""
KEEPALIVE_S = 30
"""The agent's default."""
MESSAGES = 30
FIRST = 3
"""Messages that are left out: they carry start and schedule, and follow birth and connect."""
MESSAGE_BYTES_MIN = 400
"""An agent's packet with more payload carries readings; acknowledgements and keep-alive are far smaller."""
PATIENCE = 1.5
"""How much longer than planned it may take."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One gateway under measurement: how often it sends (civil s, 0 for each batch at once), and whether by TLS."""

    name: str
    send_every_s: float
    tls: bool

    @property
    def interval_s(self) -> float:
        """Civil s from one message to the next."""
        return max(self.send_every_s, EVERY_S)


@dataclass(frozen=True, slots=True)
class Watched:
    """A running agent with the tap on its connection."""

    variant: Variant
    program: Program
    tap: Tap
    clock: ScaledClock
    store: str

    def starts(self) -> list[float]:
        """When each message left, Unix time in s."""
        return message_starts(self.tap.frames, self.clock.real_s(self.variant.interval_s * 1000) / 2)


LIVE = [Variant("live", 0, tls=False), Variant("live-tls", 0, tls=True)]
MINUTE = [Variant("minute", 60, tls=False), Variant("minute-tls", 60, tls=True)]
SPEED = 6.0
"""Of civil time for MINUTE. The agent's shortest keep-alive of 5 s is then its default."""


def message_starts(frames: Sequence[Frame], apart_s: float) -> list[float]:
    """Times of the frames with which a message begins: large, upward, and `apart_s` after the last such."""
    starts: list[float] = []
    for frame in frames:
        if frame.up and frame.payload >= MESSAGE_BYTES_MIN and (not starts or frame.at_s - starts[-1] > apart_s):
            starts.append(frame.at_s)
    return starts


def bytes_between(frames: Sequence[Frame], from_s: float, to_s: float) -> int:
    """Bytes on the wire in [from, to), Unix time in s."""
    return sum(frame.wire_bytes for frame in frames if from_s <= frame.at_s < to_s)


def readings_between(receipts: Sequence[Receipt], gateway: str, from_ms: int, to_ms: int) -> int:
    """Readings of a gateway's meters that were confirmed in [from, to), civil ms UTC."""
    return sum(plant.of_meters(r) for r in receipts if r.gateway == gateway and from_ms <= r.at_us / 1000 < to_ms)


def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """`wire_bytes_live` and `wire_bytes`, both with and without TLS beside each other."""
    with ExitStack() as stack:
        watched = stack.enter_context(_running(folder / "live", LIVE, speed=1.0))
        watched += stack.enter_context(_running(folder / "minute", MINUTE, speed=SPEED))
        _wait(watched, say)
        found = {each.variant.name: asyncio.run(_per_reading(each)) for each in watched}
    return [_figure("wire_bytes_live", "live", found), _figure("wire_bytes", "minute", found)]


def _figure(name: str, variant: str, found: Mapping[str, tuple[float, str]]) -> Figure:
    ours, how = found[variant]
    by_tls = f"{found[f'{variant}-tls'][0]:.2f} B with TLS" if f"{variant}-tls" in found else "TLS needs openssl"
    return Figure(name, ours, "B per reading", GOALS[name], note=f"{how}; {by_tls}")


@contextmanager
def _running(folder: Path, variants: Sequence[Variant], *, speed: float) -> Iterator[list[Watched]]:
    """One plant whose civil time runs at `speed`, and an agent for each variant, each on a port of its own."""
    folder.mkdir()
    now_ms = int(time.time() * 1000)
    clock = ScaledClock(now_ms, now_ms, speed)
    env = {CLOCK_VARIABLE: clock.text()} if speed != 1.0 else {}
    store = f"sqlite:{folder / 'store'}"
    certificate = _certificate(folder)
    variants = [variant for variant in variants if certificate or not variant.tls]
    ports = {variant.name: free_port() for variant in variants}
    with ExitStack() as stack:
        of = stack.enter_context(plant.meters(folder, env))
        config = _broker_config(variants, ports, certificate)
        broker = stack.enter_context(MosquittoServer(folder=folder / "mosquitto", config=config))
        stack.enter_context(plant.ingest(folder, port=broker.port, store=store, env=env))
        watched = []
        for variant in variants:
            tap, port = stack.enter_context(_tapped(ports[variant.name]))
            uplink: dict[str, Any] = {
                "port": port,
                "send_every_s": variant.send_every_s / speed,
                "keepalive_s": int(KEEPALIVE_S / speed),
            }
            if variant.tls:
                uplink["tls"] = {"ca_file": str(certificate)}
            path = plant.site(variant.name, of, every_s=EVERY_S, folder=folder, uplink=uplink)
            program = stack.enter_context(plant.agent(f"agent-{variant.name}", path, folder=folder, env=env))
            watched.append(Watched(variant, program, tap, clock, store))
        yield watched


def _broker_config(variants: Sequence[Variant], ports: Mapping[str, int], certificate: Path | None) -> str:
    """One listener for ingest, and one for each agent, so that a port tells whose packets they are."""
    lines = []
    for variant in variants:
        lines.append(f"listener {ports[variant.name]} 127.0.0.1")
        if variant.tls and certificate is not None:
            lines += [f"certfile {certificate}", f"keyfile {certificate.with_suffix('.key')}"]
    return plant.broker_config(*lines)


def _certificate(folder: Path) -> Path | None:
    """A self-signed certificate for 127.0.0.1, its key beside it; None where there is no openssl."""
    program = shutil.which("openssl")
    if program is None:
        return None
    path = folder / "broker.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=broker"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(path), "-keyout", str(path.with_suffix(".key"))]
    subprocess.run([program, *words.split(), *files], check=True, capture_output=True)
    return path


@contextmanager
def _tapped(port: int) -> Iterator[tuple[Tap, int]]:
    """The best tap that we are allowed, and the port to which an agent is to connect."""
    with ExitStack() as stack:
        try:
            tap, to = stack.enter_context(sniff(port)), port
        except PermissionError:
            tap, to = stack.enter_context(proxy(port))
        yield tap, to


def _wait(watched: Sequence[Watched], say: Callable[[str], None]) -> None:
    """Until each agent has sent what is left out, what is counted, and the message that ends the count."""
    needed = FIRST + MESSAGES + 1
    longest_s = max(each.clock.real_s(each.variant.interval_s * 1000) for each in watched) * (needed + 1)
    deadline = time.monotonic() + longest_s * PATIENCE
    while (have := min(len(each.starts()) for each in watched)) < needed:
        say(f"{have} of {needed} messages; it takes {longest_s / 60:.0f} minutes")
        for each in watched:
            each.program.check()
        if time.monotonic() > deadline:
            raise NotMeasured(f"only {have} of {needed} messages were sent within {longest_s * PATIENCE:.0f} s")
        time.sleep(1)


async def _per_reading(each: Watched) -> tuple[float, str]:
    """Bytes per reading, and how they were counted."""
    starts = each.starts()
    from_s, to_s = starts[FIRST], starts[FIRST + MESSAGES]
    from_ms, to_ms = each.clock.now_ms(from_s * 1000), each.clock.now_ms(to_s * 1000)
    readings = readings_between(await plant.receipts(each.store), each.variant.name, from_ms, to_ms)
    due = (to_ms - from_ms) / 1000 / EVERY_S * plant.READINGS
    if abs(readings - due) > 0.02 * due:
        raise NotMeasured(f"{each.variant.name}: {readings} readings were confirmed, {due:.0f} were due")
    total = bytes_between(each.tap.frames, from_s, to_s)
    return total / readings, f"{total} B for {readings} readings in {MESSAGES} messages; {each.tap.how}"
