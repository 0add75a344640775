"""Makes the demo's history, and watches it go through the line into the store.

A program per gateway, as the agents of three gateways share nothing but the world that they measure.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopgauge.demo.processes import Child, start_child
from series_store.open import open_reader
from series_store.port import Unavailable

LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Past:
    """Which history: of the world `scenario` and `seed`, from its begin until its end, ms UTC."""

    scenario: Path
    seed: int
    record: Path
    begin_ms: int
    end_ms: int
    profiles: Path | None = None


def show(text: str) -> None:
    """Progress in one line, where a person looks on."""
    if sys.stderr.isatty():
        print("\r" + text.ljust(78)[:78] + "\r", end="", file=sys.stderr, flush=True)


async def make(past: Past, sites: Mapping[str, Path], folder: Path, *, within_s: float) -> None:
    """Fill the spool of each gateway. Raises ChildFailed with the last words of one that cannot."""
    children: list[Child] = []
    try:
        for gateway, site in sites.items():
            children.append(await start_child(f"past-{gateway}", _command(past, site), folder=folder, env=os.environ))
        async with asyncio.timeout(within_s):
            while sum(child.done() for child in children) < len(children):
                show(f"making the history: {_least(children):4.0%}")
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise OSError(f"the history takes longer than {within_s:g} s; see the logs in {folder}") from None
    finally:
        show("")
        for child in children:
            await child.stop()


def _command(past: Past, site: Path) -> list[str]:
    words = [sys.executable, "-m", "loopgauge.demo.past", "--site", str(site), "--record", str(past.record)]
    words += ["--scenario", str(past.scenario), "--seed", str(past.seed)]
    words += ["--begin-ms", str(past.begin_ms), "--end-ms", str(past.end_ms)]
    return words + (["--profiles", str(past.profiles)] if past.profiles else [])


def _least(children: Sequence[Child]) -> float:
    shares = []
    for child in children:
        shares.append(0.0)
        with contextlib.suppress(ValueError):
            shares[-1] = float(child.last_words())
    return min(shares, default=0.0)


async def stored(store: str, gateways: Sequence[str], past: Past) -> float:
    """The share of the history that is in the store, by time: that of the gateway which is farthest behind."""
    reader = open_reader(store)
    shares = []
    try:
        for gateway in gateways:
            found = await reader.receipts_between(gateway, past.begin_ms, past.end_ms)
            batches = {(r.run, r.seq): r.to_ms - r.from_ms for r in found if past.begin_ms <= r.from_ms < past.end_ms}
            shares.append(sum(batches.values()) / (past.end_ms - 1 - past.begin_ms))
    except Unavailable:
        return 0.0
    finally:
        await reader.close()
    return min(shares, default=1.0)
