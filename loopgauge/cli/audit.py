"""`loopgauge audit`: for each gateway, device and day, where every expected reading ended."""

from __future__ import annotations

import argparse
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from loopgauge.cli import audit_close

if TYPE_CHECKING:
    from delivery_audit.arrivals import Seen
    from delivery_audit.ledger import Ledger
    from series_store.port import OwnedFigures, OwnedReader

_DESCRIPTION = """\
Say for each gateway, device and day how many readings were expected and where each of them is: stored, rejected,
evicted, set aside, pending, silent, lost, unsealed, down, or not sampled, by cause. Each of these has evidence of its
own; what has none is unexplained. And what is stored that rollups have not worked in yet, and which hours are known by
digests alone.

Reads the store. Writes nothing. The exit code is 0 if everything adds up, 1 if anything is unexplained, has waited for
rollups for more than 15 minutes or was passed over by them, or the store does not answer; 2 for bad input. That rollups
never ran is said, and is no fault. LOOPGAUGE_CLOCK sets civil time.

`loopgauge audit close` says that nothing more will come of a run, since its card was replaced or lost.
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    from loopgauge.cli.common import add_store_options

    parser = subparsers.add_parser(
        "audit",
        help="where every expected reading ended",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_store_options(parser, required=False)
    parser.add_argument("--gateway", metavar="ID", help="this gateway alone (all that have a receipt)")
    parser.add_argument("--from", dest="from_", metavar="ISO", help="begin of the audit (a gateway's first day)")
    parser.add_argument("--to", metavar="ISO", help="end of the audit, not included (now)")
    parser.add_argument("--zone", default="Asia/Shanghai", metavar="NAME", help="time zone of the days (%(default)s)")
    parser.add_argument("--json", action="store_true", help="for scripts: complete, times in ms UTC")
    parser.set_defaults(run=run)
    audit_close.add_parser(parser)


def run(args: argparse.Namespace) -> int:
    """Print the audit. 0: it adds up; 1: it does not, or the store does not answer; 2: bad input."""
    import asyncio
    from dataclasses import replace

    from delivery_audit.days import Days
    from delivery_audit.evidence import audit, strangers
    from loopgauge.cli import common
    from loopgauge.cli.common import complain, store_access
    from series_store.open import open_figures, open_reader
    from series_store.port import Unavailable
    from yaml_models.bad_file import BadFile

    async def audits() -> tuple[list[Ledger], dict[str, int]]:
        try:
            await reader.start()
            chosen = await _chosen(reader, args.gateway)
            told = await _rollups(figures)
            found = [await of(gateway, None if told else figures) for gateway in chosen]
            return [replace(one, seen=told) if told else one for one in found], await strangers(reader)
        finally:
            await reader.close()
            await figures.close()

    async def of(gateway: str, seen_by: OwnedFigures | None) -> Ledger:
        return await audit(
            reader,
            gateway,
            now_ms=now_ms,
            days=Days(zone=zone),
            from_ms=from_ms,
            to_ms=to_ms,
            figures=seen_by,
            wait_ms_max=wait_ms_max,
        )

    try:
        if args.store is None:
            raise ValueError("audit: --store is missing; name the store, as in --store sqlite:var/store")
        zone = _zone(args.zone)
        from_ms, to_ms = _instant("--from", args.from_, zone), _instant("--to", args.to, zone)
        now_ms = common.now_ms()
        wait_ms_max = _wait_ms_max(common.speed())
        if from_ms is not None and from_ms >= (now_ms if to_ms is None else min(to_ms, now_ms)):
            raise ValueError(f"--from {args.from_}: does not lie before --to and before now; give an earlier time")
        access = store_access(args)
        reader, figures = open_reader(*access), open_figures(*access, writes=False)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    try:
        ledgers, unknown = asyncio.run(audits())
    except LookupError as error:
        return complain(error.args[0], 2)
    except Unavailable as error:
        return complain(error, 1)
    if not ledgers:
        return complain(f"store {args.store}: holds no receipt, so there is nothing to audit", 1)
    _print(args, ledgers, unknown, zone)
    return 0 if all(ledger.passes for ledger in ledgers) else 1


def _wait_ms_max(speed: float) -> int:
    """Rollups work in real time, also where civil time runs faster."""
    from delivery_audit.arrivals import WAIT_MS_MAX

    return round(WAIT_MS_MAX * max(speed, 1.0))


def _print(args: argparse.Namespace, ledgers: list[Ledger], unknown: dict[str, int], zone: tzinfo) -> None:
    """`unknown`: gateways without a receipt, and how many fields they have."""
    import json

    from delivery_audit.table import as_json, as_text

    if args.json:
        print(json.dumps(as_json(ledgers, zone) | {"without_receipts": unknown}, indent=2))
        return
    print(as_text(ledgers, zone))
    for gateway, fields in sorted(unknown.items()):
        print(f"{gateway}: readings of {fields} fields in the store, but no receipt at all")


async def _chosen(reader: OwnedReader, gateway: str | None) -> list[str]:
    """The gateways to audit. LookupError where the one that was asked for is unknown."""
    gateways = await reader.gateways()
    if gateway and gateway not in gateways:
        known = ", ".join(gateways) or "none"
        raise LookupError(f"--gateway {gateway}: has no receipt in this store; known: {known}")
    return [gateway] if gateway else gateways


async def _rollups(figures: OwnedFigures) -> Seen | None:
    """Why rollups cannot be asked; None: they can."""
    from delivery_audit.arrivals import Seen
    from series_store.port import NothingYet, Unavailable

    try:
        await figures.start()
    except NothingYet:
        return Seen(ran=False)
    except Unavailable as error:
        return Seen(ran=None, why=str(error))
    return None


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(
            f"--zone {name}: no such time zone here; write it as Asia/Shanghai, or install tzdata"
        ) from None


def _instant(option: str, text: str | None, zone: tzinfo) -> int | None:
    """ms UTC of an ISO date or time; without an offset it is meant in `zone`."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{option} {text}: not an ISO date or time; write 2026-01-31 or 2026-01-31T06:00") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    return max(0, int(instant.timestamp() * 1000))
