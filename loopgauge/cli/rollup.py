"""`loopgauge rollup`: keeps hours, days and indicators in the store up to date; or checks its files."""

from __future__ import annotations

import argparse
from typing import Any

_DESCRIPTION = """\
Follow the receipts of a store, compute the hours and days that new readings touch and the indicators over them, until
stopped. It may be killed at any moment: the next run does again what was not finished, with the same result.

Reads readings, receipts and assets.yaml. Writes the measurements rollup_1h, rollup_1d, indicator and asset, and its
cursors. LOOPGAUGE_CLOCK sets civil time. The exit code is 0 after SIGTERM, 2 for bad input.
"""

_RECOMPUTE = """\
Put back how far `rollup run` has got: its next start works in once more what was stored since that time, and writes
what it wrote before, or what it ought to have written. Stop it first; an SQLite store enforces that.

Writes a cursor. The exit code is 0, 1 if the store does not answer, 2 for bad input.
"""

REREAD_S = 120
"""Receipts of so many real seconds before the cursor are read again, since one may become visible that late."""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    from loopgauge.cli.common import add_store_options

    parser = subparsers.add_parser("rollup", help="hours, days and indicators from readings")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="run|check|recompute")
    runner = verbs.add_parser(
        "run",
        help="keep them up to date",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_store_options(runner)
    runner.add_argument(
        "--metrics",
        "--metrics-port",
        metavar="[HOST:]PORT",
        help="answer GET /metrics there, for Prometheus; without HOST on 127.0.0.1",
    )
    checker = verbs.add_parser(
        "check",
        help="validate assets.yaml and indicators",
        description="Reads both files; writes and connects to nothing. The exit code is 0, or 2 for a mistake.",
    )
    for each in (runner, checker):
        each.add_argument("--assets", required=True, metavar="FILE", help="assets.yaml: areas, sites, meters")
        each.add_argument("--indicators", metavar="FILE", help="own indicators instead of those that ship")
    again = verbs.add_parser(
        "recompute",
        help="have what was stored since a time worked in once more",
        description=_RECOMPUTE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_store_options(again)
    again.add_argument("--since", required=True, metavar="ISO", help="stored since then, as 2026-01-31T06:00Z")
    again.set_defaults(run=recompute)
    runner.set_defaults(run=run)
    checker.set_defaults(run=check)


def check(args: argparse.Namespace) -> int:
    """0: both files are good, 2: one is not."""
    from pathlib import Path

    from loopgauge.cli.common import complain
    from rollups.library import load_assets, load_catalog
    from yaml_models.bad_file import BadFile

    try:
        load_assets(Path(args.assets))
        load_catalog(Path(args.indicators) if args.indicators else None)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    print(f"{' and '.join(filter(None, (args.assets, args.indicators)))}: good")
    return 0


def recompute(args: argparse.Namespace) -> int:
    """0: the cursor stands at that time or before; 1: the store does not answer; 2: bad input."""
    import asyncio
    from datetime import UTC, datetime

    from loopgauge.cli.common import complain, store_access
    from series_store import names
    from series_store.open import open_figures
    from series_store.port import Unavailable
    from yaml_models.bad_file import BadFile

    async def put_back(since_us: int) -> int:
        try:
            before_us = await figures.cursor(names.CURSOR_RECEIPTS)
            if since_us < before_us:
                await figures.set_cursor(names.CURSOR_RECEIPTS, since_us)
            return min(since_us, before_us)
        finally:
            await figures.close()

    try:
        since = datetime.fromisoformat(args.since)
        if since.tzinfo is None:
            raise ValueError
    except ValueError:
        return complain(f"--since {args.since}: not a time with its offset; write 2026-01-31T06:00Z", 2)
    try:
        figures = open_figures(*store_access(args))
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    try:
        stands_us = asyncio.run(put_back(max(1, int(since.timestamp() * 1e6))))
    except Unavailable as error:
        return complain(error, 1)
    print(f"rollups go on from receipts of {datetime.fromtimestamp(stands_us / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC")
    return 0


def _listen_on(text: str | None) -> tuple[str, int] | None:
    """(host, port) of `[HOST:]PORT`. Raises ValueError."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"--metrics {text}: no port; write 9466 or HOST:9466")
    return host.strip("[]") or "127.0.0.1", int(port)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM. 0: stopped, 2: bad input."""
    import asyncio
    import os
    import time
    from pathlib import Path

    from data_contract.civil import CLOCK_VARIABLE, ScaledClock
    from loopgauge.cli.common import VERSION, complain, run_program, store_access
    from rollups import app
    from rollups.library import load_assets, load_catalog
    from series_store.open import open_figures, open_reader
    from series_store.port import Unavailable
    from service_health.notify import Notifier
    from yaml_models.bad_file import BadFile

    async def program(stop: asyncio.Event) -> None:
        try:
            await app.run(
                reader=reader,
                figures=figures,
                assets=assets,
                catalog=catalog,
                now_ms=lambda: clock.now_ms(time.time() * 1000),
                stop=stop,
                # Civil time may run faster than the writers whose delays are meant here.
                reread_ms=int(REREAD_S * 1000 * max(clock.speed, 1.0)),
                version=VERSION,
                notifier=notifier,
                listen=listen,
            )
        finally:
            await reader.close()
            await figures.close()

    try:
        clock = ScaledClock.parse(os.environ.get(CLOCK_VARIABLE))
        listen = _listen_on(args.metrics)
        assets = load_assets(Path(args.assets))
        catalog = load_catalog(Path(args.indicators) if args.indicators else None)
        access = store_access(args)
        reader, figures = open_reader(*access), open_figures(*access)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    notifier = Notifier.from_environment()
    return run_program(program, expected=(Unavailable, OSError))
