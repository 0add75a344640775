"""`loopgauge demo`: the whole line on this machine, from simulated meters to a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

SPEED_MAX = 3000
"""A simulated second is then a third of a real millisecond; what waits for hardware cannot keep up beyond."""


def _seconds(text: str) -> float:
    """`60s`, `2m`, `1h` or a number of seconds."""
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        seconds = float(text[:-1]) * factor if factor else float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 604_800:
        raise argparse.ArgumentTypeError(f"expected a time such as 60s, 5m or 1h, got {text!r}")
    return seconds


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "demo",
        help="a small simulated city on a live page, all on this machine",
        description="Makes two weeks of history, then starts meters, three agents, broker, ingest, rollups and page on"
        " loopback. Writes into its folder only. In the end it holds what is stored against what the meters showed.",
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_seconds,
        metavar="TIME",
        help="stop after this time of the live period, such as 60s",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write what was expected, delivered and true as JSON"
    )
    parser.add_argument(
        "--port", type=int, default=8484, metavar="N", help="port of the page (default 8484, or a free one)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the simulated plant")
    parser.add_argument(
        "--speed", type=float, default=60.0, metavar="N", help="simulated seconds per second (default 60)"
    )
    parser.add_argument(
        "--broker", choices=["amqtt", "mosquitto"], help="default: mosquitto where it is installed, else amqtt"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("build/demo"),
        metavar="DIR",
        help="where the demo keeps its files (default build/demo)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 if something failed, is missing or is wrong; 2 for bad input."""
    import asyncio

    from loopgauge.cli.common import complain
    from loopgauge.demo.broker import find_mosquitto
    from loopgauge.demo.demo import DemoFailed, Options, demo

    if not 1 <= args.speed <= SPEED_MAX:
        return complain(f"demo: --speed must lie between 1 and {SPEED_MAX}", 2)
    options = Options(
        seconds=args.seconds,
        report=args.report,
        port=args.port,
        seed=args.seed,
        speed=args.speed,
        broker=args.broker or ("mosquitto" if find_mosquitto() else "amqtt"),
        folder=args.folder.resolve(),
    )
    try:
        return asyncio.run(demo(options))
    except (DemoFailed, LookupError, OSError) as error:
        return complain(f"demo: {error}", 1)
