"""What the spool costs: readings that an agent seals while it samples, memory and start-up with a full one.

The sealing agent is a whole one, but for meters that answer at once; every seal is a FULL transaction on this disk,
which the bare limit repeats with the same bodies. The full spool holds 512 MB: once in batches of 2.5 kB, which is what
twenty meters of ten fields seal every 10 s, and once in batches of 300 bytes, the worst case for the index.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import plant
from benchmarks.figures import Figure, Goal
from benchmarks.processes import NotMeasured
from benchmarks.spools import copy, fill

GOALS = {
    "spool_seal": Goal.parse(">= 20000 readings/s"),
    "spool_memory": Goal.parse("<= 1.1"),
    "spool_start": Goal.parse("<= 2 s"),
}
SECONDS = float(os.environ.get("LOOPGAUGE_BENCH_S", "30"))
BYTES_MAX = int(float(os.environ.get("LOOPGAUGE_BENCH_SPOOL_MB", "512")) * 1e6)
BODY_BYTES = (2_500, 300)
EVERY_S = 0.02
"""Of each field; a thousand fields in all offer 50 000 readings per s, and what is too much is counted as overrun."""
METERS = 100
SETTLE_S = 15.0
"""An agent is past its start, and past a seal, when its memory is looked at."""
BARE = Path(__file__).parent / "limits" / "bare_inserts.py"


def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """`spool_seal`, `spool_memory`, `spool_start`."""
    say("sealing while sampling")
    figures = [_seal(folder)]
    ratios, starts, notes = [], [], []
    say("an agent with an empty spool")
    empty_mb = _rss_mb(folder / "empty", None)
    for size in BODY_BYTES:
        say(f"filling a spool with batches of {size} bytes")
        path = folder / f"full-{size}.db"
        batches = fill(path, bytes_max=BYTES_MAX, body_bytes=size)
        say(f"starting on {batches} batches")
        starts.append(_start_s(copy(path, folder / f"start-{size}"), batches))
        full_mb = _rss_mb(folder / f"rss-{size}", path)
        ratios.append((full_mb, empty_mb))
        notes.append(f"{batches} batches of {size} bytes: start {starts[-1]:.2f} s, {full_mb:.1f} MB resident")
        path.unlink()
    note = f"{path_mb(BYTES_MAX)}; " + "; ".join(notes)
    worst = max(ratios)
    return [
        *figures,
        Figure("spool_memory", worst[0], "MB", GOALS["spool_memory"], worst[1], note=note),
        Figure("spool_start", max(starts), "s", GOALS["spool_start"], note="checked and loaded, page cache dropped"),
    ]


def path_mb(size: int) -> str:
    """So much, for a reader."""
    return f"spool of {size / 1e6:.0f} MB"


def _site(folder: Path, *, meters: int) -> Path:
    """The site file of a gateway whose uplink leads nowhere."""
    folder.mkdir(exist_ok=True)
    device = {"profile": plant.PROFILE, "bus": "line", "fields": list(plant.FIELDS), "every_s": {"main": EVERY_S}}
    devices = {f"m{n}": {**device, "unit_id": 1 + n, "simulated": True} for n in range(meters)}
    config: dict[str, Any] = {
        "gateway": "bench",
        "board": "bench",
        "spool": {"file": str(folder / "spool.db")},
        "uplink": {"host": "127.0.0.1", "port": 9},
        "clock": {"trust": "always"},
        "buses": {"line": {"type": "modbus_tcp", "host": "127.0.0.1", "port": 9}} if meters else {},
        "devices": devices,
    }
    path = folder / "site.yaml"
    path.write_text(json.dumps(config), "utf-8")
    return path


def _said(*words: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotMeasured(f"{words[1]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _seal(folder: Path) -> Figure:
    site = _site(folder / "seal", meters=METERS)
    ours = _said("-m", "benchmarks.sealing", str(site), str(SECONDS))
    spool = folder / "seal" / "spool.db"
    db = sqlite3.connect(spool)
    batches, body_bytes = db.execute("SELECT count(*), sum(length(body)) FROM batch").fetchone()
    db.close()
    bare = _said(str(BARE), str(spool), str(folder / "bare.db"))
    rate, limit = ours["readings"] / ours["seconds"], ours["readings"] / bare["seconds"]
    busy = ours["cpu_s"] / ours["seconds"]
    note = (
        f"{batches} batches of {body_bytes / batches / 1000:.0f} kB, {busy:.0%} of a processor;"
        f" bare executemany of the same bodies under FULL: {limit:,.0f} readings/s"
    )
    return Figure("spool_seal", rate, "readings/s", GOALS["spool_seal"], note=note)


def _start_s(path: Path, batches: int) -> float:
    """The second of two starts, from the disk: the first one may still have had a journal to play."""
    _said("-m", "benchmarks.opening", str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = _said("-m", "benchmarks.opening", str(path))
    if found["batches"] != batches:
        raise NotMeasured(f"{found['batches']} of {batches} batches were found")
    return found["seconds"]


def _rss_mb(folder: Path, spool: Path | None) -> float:
    """What a running agent with this spool has resident, in 10^6 bytes."""
    site = _site(folder, meters=0)
    if spool is not None:
        os.link(spool, folder / "spool.db")
    with plant.agent("agent", site, folder=folder, env={}) as program:
        time.sleep(SETTLE_S)
        program.check()
        pages = int(Path(f"/proc/{program.pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
