"""`loopgauge demo`: the whole line on this machine, from simulated meters to a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from loopgauge.cli.spans import span_s

SPEED_MAX = 3000
"""A simulated second is then a third of a real millisecond; what waits for hardware cannot keep up beyond."""


HISTORY_DAYS_MAX = 60
EVERY_S_MIN, EVERY_S_MAX = 1, 600


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
        help="a simulated city, ours or yours, on a live page, all on this machine",
        description="Makes two weeks of history, then starts meters, an agent for each gateway, broker, ingest, rollups"
        " and page on loopback. Writes into its folder only. In the end it holds what is stored against what the meters"
        " showed: the exit code is 0 if all is right, 1 if something is missing or wrong, 2 for bad input.",
    )
    parser.add_argument(
        "--scenario", default="demo", metavar="NAME|FILE", help="a scenario that ships, or your own (default demo)"
    )
    parser.add_argument(
        "--assets",
        type=Path,
        metavar="FILE",
        help="register of assets of your own, in which {origin} stands for the begin of the history"
        " (default: made from the scenario, as assets.yaml in the folder)",
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
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the simulated city (default: the scenario's)")
    parser.add_argument(
        "--speed", type=float, default=60.0, metavar="N", help="simulated seconds per second (default 60)"
    )
    parser.add_argument(
        "--every",
        type=span_s,
        metavar="TIME",
        help="simulated time between two readings of a device, such as 60s (default: what a small machine can do; with"
        " it, slots that this machine is too slow for are counted as overrun, and are no failure)",
    )
    parser.add_argument("--history", type=int, default=14, metavar="DAYS", help="days of history, 1 to 60 (default 14)")
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


def _check(args: argparse.Namespace) -> None:
    """Raise ValueError for numbers that a demo cannot go by."""
    if not 1 <= args.speed <= SPEED_MAX:
        raise ValueError(f"--speed must lie between 1 and {SPEED_MAX}")
    if not 1 <= args.history <= HISTORY_DAYS_MAX:
        raise ValueError(f"--history must lie between 1 and {HISTORY_DAYS_MAX} days")
    if args.every is not None and not EVERY_S_MIN <= args.every <= EVERY_S_MAX:
        raise ValueError(f"--every must lie between {EVERY_S_MIN}s and {EVERY_S_MAX}s")


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 if something failed, is missing or is wrong; 2 for bad input."""
    import asyncio

    from loopgauge.cli.common import complain
    from loopgauge.demo.broker import find_mosquitto
    from loopgauge.demo.chosen import NotForADemo, choose
    from loopgauge.demo.demo import DemoFailed, Options, demo
    from yaml_models.bad_file import BadFile

    try:
        _check(args)
        chosen = choose(args.scenario, seed=args.seed, assets=args.assets)
    except (BadFile, NotForADemo, ValueError) as error:
        return complain(f"demo: {error}", 2)
    options = Options(
        chosen=chosen,
        seconds=args.seconds,
        report=args.report,
        port=args.port,
        speed=args.speed,
        broker=args.broker or ("mosquitto" if find_mosquitto() else "amqtt"),
        folder=args.folder.resolve(),
        every_s=None if args.every is None else round(args.every),
        history_days=args.history,
    )
    try:
        return asyncio.run(demo(options))
    except (DemoFailed, LookupError, OSError) as error:
        return complain(f"demo: {error}", 1)
