"""Runs of seeds: one, many at once, or without end: `python -m tests.faults.run FIRST [COUNT]`, 0 for no end."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.faults.judge import judge, ledgers
from tests.faults.storm import Storm, Table
from tests.faults.ways import FAULTS
from tests.twins.loop import run_virtual

PROCESSES = 2
WRONG_MAX = 10
SUMS = (
    *("sealed", "stored", "refused", "evicted", "aside", "lost", "served", "unsealed", "unsure", "redelivered"),
    *("digests", "merged", "both"),
)
LEFT = Path("build/faults/failed")
"""Seeds that failed, one a line."""


@dataclass(slots=True)
class Ran:
    """What a seed came to. `wrong` is empty where everything held."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    table: Table = field(default_factory=Counter)
    hours: int = 0
    full: bool = False
    """Its gateways had small spools."""
    sums: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def run(seed: int) -> Ran:
    """One seed, from the storm to the verdict. Never raises: what is raised is what is wrong."""
    ran, began_s = Ran(seed), time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            _live(ran, Path(folder))
    except Exception as error:
        ran.wrong.insert(0, f"{type(leaf := _leaf(error)).__name__}: {leaf}"[:500])
    ran.seconds = time.monotonic() - began_s
    return ran


def _leaf(error: BaseException) -> BaseException:
    """The first error of a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _live(ran: Ran, folder: Path) -> None:
    async def main() -> None:
        storm = Storm(seed=ran.seed, folder=folder, faults=FAULTS)
        await storm.run()
        ran.hours, ran.full, ran.table = storm.hours, storm.full, storm.table
        verdict = await judge(storm.world, no_room=storm.no_room)
        ran.wrong = [*verdict.wrong, *await ledgers(storm.world)][:WRONG_MAX]
        for name in SUMS:
            ran.sums[name] = getattr(verdict, name)
        ran.sums["faults"], ran.sums["hours"] = storm.table.total(), storm.hours

    run_virtual(main())


def quiet() -> None:
    """In a process of its own: what the programs log while everything fails is of no use."""
    logging.disable(logging.CRITICAL)


def run_all(seeds: Iterable[int], *, seconds_max: float = float("inf"), least: int = 0) -> Iterator[Ran]:
    """Seeds in several processes, in order, until there are no more, or the time is over and so many have run."""
    began_s, waiting = time.monotonic(), iter(seeds)
    with ProcessPoolExecutor(PROCESSES, initializer=quiet) as pool:
        under_way: list[Future[Ran]] = []
        for number, seed in enumerate(waiting, 1):
            under_way.append(pool.submit(run, seed))
            if len(under_way) > PROCESSES:
                yield under_way.pop(0).result()
            if number >= least and time.monotonic() - began_s > seconds_max:
                break
        for each in under_way:
            yield each.result()


def table_of(table: Table, notes: Iterable[str] = ()) -> Iterator[str]:
    """The printed table fault x step, line by line."""
    steps = sorted({step for _, step in table})
    for number, step in enumerate(steps):
        yield f"{chr(ord('a') + number)} = {step}"
    yield " " * 28 + "".join(f"{chr(ord('a') + n):>5}" for n in range(len(steps)))
    for fault in sorted({fault for fault, _ in table}):
        cells = "".join(f"{table[fault, step] or '':>5}" for step in steps)
        yield f"{fault:<28}{cells}"
    yield from notes


def main(first: int, number: int) -> int:
    """Print each seed as it ends, and at the end the table. The exit code is 1 where one failed."""
    table: Table = Counter()
    failed = 0
    try:
        for ran in run_all(range(first, first + number) if number else count(first)):
            table.update(ran.table)
            about = ", ".join(f"{value} {name}" for name, value in ran.sums.items())
            print(f"seed {ran.seed}: {'FAILED' if ran.wrong else 'ok'} in {ran.seconds:.1f} s: {about}", flush=True)
            if ran.wrong:
                failed += 1
                LEFT.parent.mkdir(parents=True, exist_ok=True)
                with LEFT.open("a") as file:
                    file.write(f"{ran.seed}\n")
                print("\n".join([*ran.wrong, f"replay with: make faults SEED={ran.seed}"]), flush=True)
    except KeyboardInterrupt:
        print("stopped")
    print("\n".join(table_of(table)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
