"""`make bench`: measures what was asked for, prints a table, and writes build/bench.json.

    python -m benchmarks.run [--only name,name]

Exit code 0 where every goal is met, 1 where one is not or something could not be measured, 2 for a name that is none.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import pytest

from benchmarks.figures import Figure, Goal, as_json, table

BENCHES: dict[str, str] = {
    "wire_bytes_live": "bench_wire",
    "wire_bytes": "bench_wire",
    "agent_cpu": "bench_agent",
    "agent_rss": "bench_agent",
    "ingest": "bench_ingest",
    "ingest_cpu": "bench_ingest",
    "sim_fleet": "bench_sim_fleet",
    "sim_fleet_cpu": "bench_sim_fleet",
    "sim_fleet_replay": "bench_sim_fleet",
    "sim_year": "bench_sim_year",
    "spool_seal": "bench_spool",
    "spool_memory": "bench_spool",
    "spool_start": "bench_spool",
    "spool_drain": "bench_drain",
}
"""Name of a figure → the module that measures it, with all others that come from the same run."""

OUTPUT = Path("build/bench.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", metavar="NAME,NAME", help=f"of {', '.join(BENCHES)}")
    wanted = _wanted(parser, parser.parse_args(argv).only)
    signal.signal(signal.SIGTERM, _leave)
    figures: list[Figure] = []
    for module in dict.fromkeys(BENCHES[name] for name in wanted):
        figures += [figure for figure in _measure(module, wanted) if figure.name in wanted]
    figures.sort(key=lambda figure: wanted.index(figure.name))
    print(table(figures))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps([as_json(figure) for figure in figures], indent=1) + "\n", encoding="utf-8")
    return 0 if all(figure.ours is not None and figure.met is not False for figure in figures) else 1


def _wanted(parser: argparse.ArgumentParser, only: str | None) -> list[str]:
    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    for name in names:
        if name not in BENCHES:
            parser.error(f"no bench is called {name!r}; there are {', '.join(BENCHES)}")
    return [name for name in BENCHES if not names or name in names]


def _measure(module: str, wanted: Sequence[str]) -> list[Figure]:
    """The figures of one module; what fails is a figure that says so, and the other benches go on."""
    bench = importlib.import_module(f"benchmarks.{module}")
    measure: Callable[[Path, Callable[[str], None]], list[Figure]] = bench.measure
    with tempfile.TemporaryDirectory(prefix="loopgauge-bench-") as folder:
        try:
            return measure(Path(folder), lambda text: _say(f"{module}: {text}"))
        except (Exception, pytest.skip.Exception) as error:
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            goals: dict[str, Goal] = bench.GOALS
            return [Figure(name, None, "", goals.get(name), note=why) for name in BENCHES if BENCHES[name] == module]
        finally:
            _say("")


def _say(text: str) -> None:
    """Progress on one line of a terminal, nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a bench like Ctrl-C, so that the programs that it started end, too."""
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main())
