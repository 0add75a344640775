"""`loopgauge rollup run`: keeps hours, days and indicators in the store up to date."""

from __future__ import annotations

import argparse
from typing import Any

_DESCRIPTION = """\
Follow the receipts of a store, compute the hours and days that new readings touch and the indicators over them, until
stopped. It may be killed at any moment: the next run does again what was not finished, with the same result.

Reads readings, receipts and assets.yaml. Writes the measurements rollup_1h, rollup_1d, indicator and asset, and its
cursors. LOOPGAUGE_CLOCK sets civil time. The exit code is 0 after SIGTERM, 2 for bad input.
"""

REREAD_S = 120
"""Receipts of so many real seconds before the cursor are read again, since one may become visible that late."""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("rollup", help="hours, days and indicators from readings")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="run")
    runner = verbs.add_parser(
        "run",
        help="keep them up to date",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    runner.add_argument("--store", required=True, metavar="URL", help="the store, as in sqlite:var/store")
    runner.add_argument("--secret-file", metavar="FILE", help="file with the store's password or token")
    runner.add_argument("--assets", required=True, metavar="FILE", help="assets.yaml: areas, sites, meters")
    runner.add_argument("--indicators", metavar="FILE", help="own indicators instead of those that ship")
    runner.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM. 0: stopped, 2: bad input."""
    import asyncio
    import os
    import time
    from pathlib import Path

    from data_contract.civil import CLOCK_VARIABLE, ScaledClock
    from loopgauge.cli.common import complain, run_program
    from rollups import app
    from rollups.library import load_assets, load_catalog
    from series_store.open import open_figures, open_reader
    from series_store.port import Unavailable
    from yaml_models.bad_file import BadFile
    from yaml_models.files import read_secret

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
            )
        finally:
            await reader.close()
            await figures.close()

    try:
        clock = ScaledClock.parse(os.environ.get(CLOCK_VARIABLE))
        assets = load_assets(Path(args.assets))
        catalog = load_catalog(Path(args.indicators) if args.indicators else None)
        secret = read_secret(Path(args.secret_file)) if args.secret_file else None
        reader, figures = open_reader(args.store, secret), open_figures(args.store, secret)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    return run_program(program, expected=(Unavailable,))
