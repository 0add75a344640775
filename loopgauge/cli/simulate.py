"""`loopgauge simulate`: simulated devices in a process of their own, which keeps the record of what they answered."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from loopgauge.cli import simulate_fleet, simulate_gateway, simulate_keys, simulate_trace, simulate_world
from loopgauge.cli.spans import span_s

_DESCRIPTION = """\
Serve the meters of a scenario over Modbus TCP and RTU until SIGTERM or SIGINT.

Reads the scenario and the device profiles that it names. Writes RECORD (SQLite: every answer, noted before it leaves;
an existing record of the same scenario is gone on with) and, once all ports listen, PORTS (JSON: host, port and unit id
of each device). Serial lines of the scenario are pseudo-terminals (Modbus RTU) with links of lasting names in DIR.
LOOPGAUGE_CLOCK sets civil time.
"""


def add_parser(subparsers: Any) -> None:
    """Add `simulate` and its kinds to the command's parsers."""
    simulate = subparsers.add_parser(
        "simulate",
        help="simulated worlds and devices, with the record of what was true",
        description=f"Scenarios that ship, and can be named instead of a file: {', '.join(simulate_world.shipped())}.",
    )
    kinds = simulate.add_subparsers(dest="kind", metavar="KIND", required=True)
    parser = kinds.add_parser(
        "modbus",
        help="meters over Modbus TCP or RTU",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scenario", required=True, metavar="FILE|NAME", help="a scenario's file, or a shipped one, such as demo"
    )
    parser.add_argument("--record", required=True, type=Path, metavar="FILE", help="where the record is kept")
    parser.add_argument("--ports", required=True, type=Path, metavar="FILE", help="where the ports are written")
    parser.add_argument(
        "--port-base", type=int, metavar="N", help="number the ports that the scenario leaves open from N"
    )
    parser.add_argument(
        "--serial",
        type=Path,
        metavar="DIR",
        help="where serial lines get their names; if the scenario marks none as serial, all are (serial beside PORTS)",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (%(default)s)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the scenario's")
    parser.add_argument(
        "--history",
        type=span_s,
        default=0.0,
        metavar="TIME",
        help="the world began this long before the clock, such as 14d (0)",
    )
    parser.set_defaults(run=run)
    simulate_gateway.add_kind(kinds)
    simulate_fleet.add_kind(kinds)
    simulate_world.add_kind(kinds)
    simulate_trace.add_kind(kinds)
    simulate_keys.add_kind(kinds)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped. 0 after a clean stop, 2 for bad input, 1 for a failure; errors are one line."""
    import asyncio
    import logging
    import signal
    import sys

    from device_profiles.library import Library
    from simulators.app import serve
    from simulators.clock import CivilClock
    from simulators.devices.modbus import CannotListen
    from simulators.load_scenario import find, load_scenario, with_seed
    from simulators.truth.record import RecordError
    from yaml_models.bad_file import BadFile

    async def until_stopped() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(
            loaded,
            record_path=args.record,
            ports_path=args.ports,
            clock=clock,
            stop=stop,
            host=args.host,
            port_base=args.port_base,
            history_ms=round(args.history * 1000),
            serial_dir=args.serial,
        )

    logging.basicConfig(format="%(message)s")
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # its warnings repeat ours, over several lines
    try:
        clock = CivilClock.from_environment()
        loaded = load_scenario(find(args.scenario), Library().load)
        if args.seed is not None:
            loaded = with_seed(loaded, args.seed)
    except (BadFile, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        asyncio.run(until_stopped())
    except (RecordError, CannotListen, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
