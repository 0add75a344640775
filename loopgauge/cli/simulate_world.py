"""`loopgauge simulate world`: days or years of a scenario, told at once into a folder, and a picture of one of them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loopgauge.cli.spans import span_ms, span_s

if TYPE_CHECKING:
    from simulators.load_scenario import Loaded
    from simulators.story.calendar import Calendar

_DESCRIPTION = """\
Tell the days of a scenario, as fast as the machine can: what every quantity of the world was and what each meter showed
at every step, and what happened (deposits, emptyings, lids, rounds, weighings, rain, overflows, shortages, cleanings,
faults) to the second.

Writes FOLDER/story.db, a whole day at a time; interrupted, it goes on where it was when run again. The same scenario
and seed give the same file, byte for byte, whatever the number of workers. `loopgauge simulate trace FOLDER` reads it.

Shipped scenarios: {shipped}.
A guide to writing one: docs/writing-a-scenario.md; its keys: `loopgauge simulate keys SECTION`.
"""
_DAY_S = 86_400
_DAYS_ALONE_MAX = 4
"""For so few days it does not pay to start processes."""

Found = TypeVar("Found")


def add_kind(kinds: Any) -> None:
    """Add `world` to the kinds of `simulate`."""
    parser = kinds.add_parser(
        "world",
        help="days or years of a scenario, without devices, at any speed",
        description=_DESCRIPTION.format(shipped=", ".join(shipped())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="a scenario's file, or a shipped one")
    parser.add_argument("--from", dest="from_", required=True, metavar="DATE", help="first local day, as 2025-01-01")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--for", dest="for_", type=span_s, metavar="TIME", help="how long, in whole days, such as 365d")
    length.add_argument("--days", type=int, metavar="N", help="or how many days")
    parser.add_argument("--every", type=span_ms, default=60_000, metavar="TIME", help="step of the columns (1m)")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the story is written")
    parser.add_argument("--what", choices=("truth", "meters", "both"), default="both", help="(%(default)s)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the scenario's")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that share the work (one for each core)")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw a day: FILE.svg, or FILE.png where a browser is"
    )
    parser.add_argument("--plot-day", metavar="DATE", help="which day is drawn (the first)")
    parser.set_defaults(run=run)


def shipped() -> list[str]:
    """The names of the scenarios that ship, without loading what a scenario needs."""
    import simulators

    folder = Path(simulators.__file__ or "").parent / "scenarios"
    return sorted(path.stem for path in folder.glob("*.yaml"))


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 for a failure while running, 2 for bad input, 130 after Ctrl-C; errors are one line."""
    from loopgauge.cli.common import complain
    from loopgauge.cli.progress import Progress
    from loopgauge.picture import CannotDraw, check, draw
    from simulators.story.app import write_story
    from simulators.story.book import BookError
    from simulators.story.shares import What
    from simulators.story.workers import WorkerDied
    from yaml_models.bad_file import BadFile

    try:
        loaded, calendar, days = _asked(args)
        day = _plot_day(args, calendar, days)
        if args.plot is not None:
            check(args.plot)
    except (BadFile, ValueError, CannotDraw) as error:
        return complain(error, 2)
    progress = Progress(what="day")
    try:
        with _terminable():
            written = write_story(
                loaded,
                folder=args.out,
                calendar=calendar,
                days=days,
                what=What(args.what),
                workers=args.workers or (_cores() if days > _DAYS_ALONE_MAX else 1),
                progress=progress.show,
            )
            progress.end()
            if args.plot is not None:
                draw(args.out, args.plot, day)
    except (BookError, WorkerDied, CannotDraw, OSError) as error:
        progress.end()
        return complain(error, 1)
    except KeyboardInterrupt:
        progress.end()
        complain(f"stopped after {progress.done} of {days} days; run the same again to go on", 130)
        return 130
    _say(written.days, written.new, written.series, written.bytes, args.out)
    return 0


def _asked(args: argparse.Namespace) -> tuple[Loaded, Calendar, int]:
    """Scenario, calendar and number of days. BadFile, or ValueError with one line."""
    from device_profiles.library import Library
    from simulators.load_scenario import find, load_scenario, with_seed
    from simulators.story.calendar import DAY_MS, DAYS_MAX, Calendar, instant_ms, offset_ms_of

    days = args.days if args.days is not None else round(args.for_ / _DAY_S)
    if args.days is None and args.for_ % _DAY_S:
        raise ValueError("--for: a story is told in whole days; give 1d, 365d or the like")
    if not 1 <= days <= DAYS_MAX:
        raise ValueError(f"{days} days: give 1 to {DAYS_MAX}")
    if args.workers is not None and not 1 <= args.workers <= 64:
        raise ValueError(f"--workers {args.workers}: give 1 to 64")
    loaded = load_scenario(find(args.scenario), Library().load)
    if args.seed is not None:
        loaded = with_seed(loaded, args.seed)
    offset_ms = offset_ms_of(loaded.scenario)
    from_ms = _option("--from", lambda: instant_ms(args.from_, offset_ms))
    if (from_ms + offset_ms) % DAY_MS:
        raise ValueError(f"--from {args.from_}: no local midnight; give a date, such as 2025-07-01")
    return loaded, _option("--every", lambda: Calendar(from_ms, args.every, offset_ms)), days


def _option(option: str, get: Callable[[], Found]) -> Found:
    try:
        return get()
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def _plot_day(args: argparse.Namespace, calendar: Calendar, days: int) -> int:
    from simulators.story.calendar import DAY_MS, instant_ms

    if args.plot_day is None:
        return 0
    at_ms = _option("--plot-day", lambda: instant_ms(args.plot_day, calendar.offset_ms))
    day = (at_ms - calendar.from_ms) // DAY_MS
    if not 0 <= day < days:
        raise ValueError(f"--plot-day {args.plot_day}: not one of the days that are told")
    return int(day)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a story like Ctrl-C: the day that is being written is left out whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(days: int, new: int, series: int, size: int, folder: Path) -> None:
    if sys.stderr.isatty():
        added = f", {new} of them now" if new != days else ""
        print(f"{days} days{added}, {series} series, {size / 1e6:.1f} MB in {folder}", file=sys.stderr)
