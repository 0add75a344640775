"""`loopgauge console`: a page with indicators, devices, and who is silent and why."""

from __future__ import annotations

import argparse
from typing import Any

_DESCRIPTION = """\
Serve the page, in Chinese and English: indicators beside their targets, bins to collect today, a chart per device,
gateways, and who is silent and why. It has no login, so it listens on loopback only, unless told otherwise.

Reads the store and assets.yaml. Writes nothing. LOOPGAUGE_CLOCK sets civil time. The exit code is 0 after SIGTERM,
1 if the address cannot be had, 2 for bad input.
"""

GRACE_S = 30
"""Real seconds that a batch may take to the store before its gateway counts as silent."""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    from loopgauge.cli.common import add_store_options

    parser = subparsers.add_parser(
        "console",
        help="the page",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_store_options(parser)
    parser.add_argument("--assets", required=True, metavar="FILE", help="assets.yaml: areas, sites, meters")
    parser.add_argument("--indicators", metavar="FILE", help="own indicators instead of those that ship")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="(%(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM. 0: stopped, 1: no such address, 2: bad input."""
    import asyncio
    import os
    import time
    from pathlib import Path

    from data_contract.civil import CLOCK_VARIABLE, ScaledClock
    from loopgauge.cli.common import VERSION, complain, run_program, store_access
    from loopgauge.labels import labels_of
    from rollups.library import load_assets, load_catalog
    from series_store.open import open_figures, open_reader
    from service_health.notify import Notifier
    from web_console import app
    from web_console.look import Look
    from yaml_models.bad_file import BadFile

    async def program(stop: asyncio.Event) -> None:
        try:
            await app.run(look=look, listener=listener, stop=stop, hosts=hosts, version=VERSION, notifier=notifier)
        finally:
            await reader.close()
            await figures.close()

    try:
        clock = ScaledClock.parse(os.environ.get(CLOCK_VARIABLE))
        labels = labels_of(load_assets(Path(args.assets)))
        catalog = load_catalog(Path(args.indicators) if args.indicators else None)
        if not 0 <= args.port <= 65535:
            raise ValueError(f"--port {args.port}: must lie between 0 and 65535")
        access = store_access(args)
        reader, figures = open_reader(*access), open_figures(*access, writes=False)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    try:
        listener = app.listen(args.host, args.port)
    except OSError as error:
        return complain(f"--host {args.host} --port {args.port}: {error.strerror or error}; choose another", 1)
    look = Look(
        reader=reader,
        figures=figures,
        catalog=catalog,
        labels=labels,
        now_ms=lambda: clock.now_ms(time.time() * 1000),
        grace_ms=int(GRACE_S * 1000 * max(clock.speed, 1.0)),
    )
    # Whoever opens it to a network names it as he likes; on loopback a foreign name is a page that misuses a browser.
    hosts = app.LOOPBACK if args.host in app.LOOPBACK else ("*",)
    notifier = Notifier.from_environment()
    with listener:
        return run_program(program, expected=(OSError,))
