"""`loopgauge report`: every indicator over an interval, with all that is needed to check it."""

from __future__ import annotations

import argparse
from typing import Any

_DESCRIPTION = """\
Compute the indicators of assets.yaml over exactly [--from, --to) and print them with numerator, denominator,
completeness, interval, target and the version of the rule. Beside the target of a year, `against` says what part of
which year the figure is. A time without an offset is meant in the zone of assets.yaml.

Reads the store (readings up to 40 days, hourly rollups beyond) and assets.yaml. Writes nothing but the report.
The exit code is 0, 1 if the store does not answer, 2 for bad input.
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    from loopgauge.cli.common import add_store_options

    parser = subparsers.add_parser(
        "report",
        help="indicators over an interval, as CSV or JSON",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_store_options(parser)
    parser.add_argument("--assets", required=True, metavar="FILE", help="assets.yaml: areas, sites, meters")
    parser.add_argument("--indicators", metavar="FILE", help="own indicators instead of those that ship")
    parser.add_argument(
        "--from", dest="from_", required=True, metavar="ISO", help="begin, as 2026-01-31 or with a time"
    )
    parser.add_argument("--to", required=True, metavar="ISO", help="end, not included")
    parser.add_argument("--area", metavar="ID", help="this area, site or group alone (all)")
    parser.add_argument("--format", choices=("csv", "json"), default="csv", help="(%(default)s)")
    parser.add_argument("--out", metavar="FILE", help="write there instead of to standard output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print or write the report. 0, 1: the store does not answer or the file cannot be written, 2: bad input."""
    import asyncio
    from pathlib import Path

    from loopgauge.cli.common import complain, store_access
    from rollups.ask import ask
    from rollups.figures import Figure
    from rollups.library import load_assets, load_catalog
    from rollups.render import as_csv, as_json
    from rollups.report import lines
    from series_store.open import open_figures, open_reader
    from series_store.port import Unavailable
    from yaml_models.bad_file import BadFile

    async def figures() -> list[Figure]:
        try:
            return await ask(
                reader=reader,
                figures=store,
                assets=assets,
                catalog=catalog,
                from_ms=from_ms,
                to_ms=to_ms,
                area=args.area,
            )
        finally:
            await reader.close()
            await store.close()

    try:
        assets = load_assets(Path(args.assets))
        catalog = load_catalog(Path(args.indicators) if args.indicators else None)
        from_ms, to_ms = _instant("--from", args.from_, assets.zone), _instant("--to", args.to, assets.zone)
        if from_ms >= to_ms:
            raise ValueError(f"--from {args.from_}: does not lie before --to {args.to}; give an earlier time")
        if args.area is not None and args.area not in assets.areas:
            raise ValueError(f"--area {args.area}: not in {args.assets}; one of: {', '.join(assets.areas)}")
        access = store_access(args)
        reader, store = open_reader(*access), open_figures(*access, writes=False)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    try:
        found = asyncio.run(figures())
    except Unavailable as error:
        return complain(error, 1)
    text = (as_json if args.format == "json" else as_csv).document(lines(found, catalog, assets))
    try:
        _write(text, args.out)
    except BrokenPipeError:
        raise
    except OSError as error:
        return complain(f"--out {args.out}: cannot be written ({error.strerror}); give another path", 1)
    return 0


def _instant(option: str, text: str, zone: str) -> int:
    """ms UTC of an ISO date or time; without an offset it is meant in `zone`."""
    from zoneinfo import ZoneInfo

    from rollups.assets_file import instant_ms

    try:
        return max(0, instant_ms(text, ZoneInfo(zone)))
    except ValueError:
        raise ValueError(f"{option} {text}: no ISO date or time; write 2026-01-31 or 2026-01-31T06:00") from None


def _write(text: str, out: str | None) -> None:
    """To a file, or to standard output."""
    import sys
    from pathlib import Path

    if out is None:
        sys.stdout.write(text)
    else:
        Path(out).write_text(text, "utf-8", newline="")
