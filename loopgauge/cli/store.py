"""`loopgauge store`: make a store ready, and say what is in it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from series_store.port import Reader
    from series_store.table import Receipt

_DESCRIPTION = """\
Make a store ready, or say what is in it. A store is one of

  sqlite:FOLDER                      two files in a folder of this machine
  influx1://USER@HOST:PORT/DATABASE  InfluxDB 1.x
  influx2://ORG@HOST:PORT/BUCKET     InfluxDB 2.x

and influx1+https, influx2+https for TLS, with the authority of --ca-file or this machine's. A password or token is read
from --secret-file; it goes without TLS to this machine only, or with influx1+plain, influx2+plain.
"""
_INIT = """\
Create the files, the database or the bucket; what exists already stays as it is.

Writes the store. The exit code is 0, 1 where the store does not answer or refuses, 2 for bad input.
"""
_INFO = """\
Every measurement with its devices, their fields and the times of their first and last reading; every gateway with the
receipt that reaches furthest.

Reads the store, writes nothing. The exit code is 0, 1 where the store does not answer, 2 for bad input.
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    from loopgauge.cli.common import add_store_options

    raw = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "store", help="make a store ready, say what is in it", description=_DESCRIPTION, formatter_class=raw
    )
    where = argparse.ArgumentParser(add_help=False)
    add_store_options(where)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="init|info")
    init = verbs.add_parser("init", parents=[where], help="create it", description=_INIT, formatter_class=raw)
    init.set_defaults(run=run)
    info = verbs.add_parser("info", parents=[where], help="what is in it", description=_INFO, formatter_class=raw)
    info.add_argument("--json", action="store_true", help="for scripts: times in ms UTC")
    info.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what `args` asks. 0: done; 1: the store does not answer, or refuses; 2: bad input."""
    import asyncio
    import json

    from loopgauge.cli.common import complain, store_access
    from series_store.open import open_reader, provision
    from series_store.port import Unavailable
    from yaml_models.bad_file import BadFile

    async def info() -> dict[str, Any]:
        try:
            return await survey(reader)
        finally:
            await reader.close()

    try:
        access = store_access(args)
        reader = open_reader(*access)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    try:
        if args.verb == "init":
            asyncio.run(provision(*access))
            print(f"{args.store} is ready.")
        else:
            found = asyncio.run(info())
            print(json.dumps(found, ensure_ascii=False) if args.json else as_text(found))
    except Unavailable as reason:
        return complain(reason, 1)
    return 0


async def survey(reader: Reader) -> dict[str, Any]:
    """What a store holds: devices with their measurement, fields, first and last reading; gateways with a receipt."""
    keys = await reader.series()
    last = await reader.latest(keys)
    devices: dict[tuple[str, str, str], dict[str, Any]] = {}
    for key in keys:
        _, first_ms = await reader.neighbours(key, 0, 0)
        if first_ms is None or key not in last:
            continue
        device = devices.setdefault(
            key[:3],
            {"measurement": key.measurement, "gateway": key.gateway, "device": key.device, "fields": []}
            | {"first_ms": first_ms, "last_ms": last[key][0]},
        )
        device["fields"].append(key.field)
        device["first_ms"] = min(device["first_ms"], first_ms)
        device["last_ms"] = max(device["last_ms"], last[key][0])
    return {"devices": list(devices.values()), "gateways": [_gateway(each) for each in await reader.last_receipts()]}


def as_text(found: dict[str, Any]) -> str:
    """What `survey` found, for people."""
    lines = []
    for device in found["devices"]:
        lines.append(f"{device['measurement']}  {device['gateway']}/{device['device']}")
        lines.append(f"    {_iso(device['first_ms'])} to {_iso(device['last_ms'])}: {', '.join(device['fields'])}")
    for gateway in found["gateways"]:
        lines.append(f"gateway {gateway['gateway']}: accounted for up to {_iso(gateway['to_ms'])}")
        lines.append(f"    batch {gateway['seq']} of run {gateway['run']}, received {_iso(gateway['at_ms'])}")
    return "\n".join(lines) or "Nothing has been stored yet."


def _gateway(receipt: Receipt) -> dict[str, Any]:
    return {
        "gateway": receipt.gateway,
        "run": receipt.run,
        "seq": receipt.seq,
        "to_ms": receipt.to_ms,
        "at_ms": receipt.at_us // 1000,
    }


def _iso(t_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
