"""What the verbs share: the version, how a complaint looks, and how a program ends on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

    from data_contract.civil import ScaledClock

try:
    VERSION = version("loopgauge")
except PackageNotFoundError:
    VERSION = "0"


def complain(error: object, code: int) -> int:
    """Say what is wrong on one line, and return the exit code."""
    print(f"loopgauge: {' '.join(str(error).split())}", file=sys.stderr)
    return code


class Access(NamedTuple):
    """What opens a store, in the order in which `series_store.open` wants it: its address, the password or token, and
    whose certificates count for TLS."""

    url: str
    secret: str | None
    trust: ssl.SSLContext | None


def add_store_options(parser: ArgumentParser, *, required: bool = True) -> None:
    """The three options by which every verb but `ingest` names its store."""
    parser.add_argument("--store", required=required, metavar="URL", help="the store, as in sqlite:var/store")
    parser.add_argument("--secret-file", metavar="FILE", help="file with the store's password or token")
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authority of the store, PEM (this machine's)")


def store_access(args: Namespace) -> Access:
    """What the options of `add_store_options` say. Raises BadFile; the address is not looked at yet."""
    from pathlib import Path

    from yaml_models.files import read_secret
    from yaml_models.tls import trust

    secret = read_secret(Path(args.secret_file)) if args.secret_file else None
    return Access(args.store, secret, trust(args.ca_file, "--ca-file") if args.ca_file else None)


def now_ms() -> int:
    """Civil time, as LOOPGAUGE_CLOCK describes it. ValueError says what is wrong with that."""
    import time

    return int(_clock().now_ms(time.time() * 1000))


def speed() -> float:
    """How fast civil time runs, as LOOPGAUGE_CLOCK describes it: 1 as a rule."""
    return _clock().speed


def _clock() -> ScaledClock:
    import os

    from data_contract.civil import CLOCK_VARIABLE, ScaledClock

    return ScaledClock.parse(os.environ.get(CLOCK_VARIABLE))


def who() -> str:
    """The person at the terminal, also behind sudo."""
    import getpass
    import os

    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def set_up_logging(verbose: bool) -> None:
    """One line an event on stderr, for journald or a terminal."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("mqtt", "pymodbus", "urllib3", "amqtt", "transitions", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING if verbose else logging.CRITICAL)


async def run_until_signal(program: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a program that ends when its event is set; SIGTERM and SIGINT set it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    await program(stop)


RESTART = 75
"""Exit code of an agent that was told to restart (EX_TEMPFAIL of sysexits.h): whoever supervises it starts it again."""


def run_program(program: Callable[[asyncio.Event], Awaitable[None]], *, expected: tuple[type[Exception], ...]) -> int:
    """Run a program to its end. An error of an `expected` type, alone or in a group, is one line and exit code 1."""
    # What has been loaded stays until the end: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(run_until_signal(program))
    except expected as error:
        return complain(error, 1)
    except ExceptionGroup as group:
        known, others = group.split(expected)
        if known is None or others is not None:
            raise
        return complain(_first(known), 1)
    return 0


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
