"""`loopgauge ingest`: the cloud's worker, and which boards may speak for which gateway."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from loopgauge.cli import ingest_dead

if TYPE_CHECKING:
    from ingest.config import IngestConfig
    from series_store.port import OwnedWriter

_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def add_parser(subparsers: Any) -> None:
    """Add the verb and its sub-verbs."""
    parser = subparsers.add_parser("ingest", help="the worker that stores what gateways send")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="run|check|gateway|dead|sample")
    run_parser = verbs.add_parser(
        "run",
        help="take from the broker, store, acknowledge",
        description="Reads FILE; subscribes to its broker; writes its store, dead letters and gateways file.",
    )
    run_parser.add_argument("file", metavar="FILE", help="the worker's file (YAML)")
    check_parser = verbs.add_parser(
        "check",
        help="validate a worker's file",
        description="Reads FILE and the files that it names; writes and connects to nothing. Exit code 2: a mistake.",
    )
    check_parser.add_argument("file", metavar="FILE", help="the worker's file (YAML)")
    gateway = verbs.add_parser(
        "gateway",
        help="list gateways, or allow a board",
        description="Reads and, with `allow`, changes the gateways file that FILE names.",
    )
    gateway.add_argument("action", choices=["list", "allow"])
    gateway.add_argument("file", metavar="FILE", help="the worker's file (YAML)")
    gateway.add_argument("gateway", nargs="?", help="with allow: the gateway")
    gateway.add_argument("board", nargs="?", help="with allow: the board that may speak for it from now on")
    sample_parser = verbs.add_parser(
        "sample", help="print a commented file", description="Writes to the terminal only."
    )
    ingest_dead.add_parser(verbs)
    for each in (run_parser, check_parser, gateway, sample_parser):
        each.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 for a failure while running, 2 for bad input."""
    from pathlib import Path

    from ingest import app
    from ingest.config import SAMPLE, IngestConfig
    from ingest.errors import Fatal, NoRoom
    from loopgauge.cli.common import VERSION, complain, run_program
    from service_health.notify import Notifier
    from yaml_models.bad_file import BadFile
    from yaml_models.files import load
    from yaml_models.sample import sample

    if args.verb == "sample":
        print(sample(IngestConfig, SAMPLE), end="")
        return 0
    if args.verb == "check":
        return _check(args.file)
    try:
        config = load(Path(args.file), IngestConfig)
        if args.verb == "gateway":
            return _gateway(args, Path(config.gateways_file), Path(config.dead_letters))
        writer = _open_writer(config)
        _calm_collector()
        _take_short_turns()
    except (BadFile, Fatal, NoRoom, ValueError) as error:
        return complain(error, 2)
    notifier = Notifier.from_environment()
    return run_program(
        lambda stop: app.run(config, writer=writer, stop=stop, version=VERSION, notifier=notifier),
        expected=(BadFile, Fatal, ValueError),
    )


def _open_writer(config: IngestConfig) -> OwnedWriter:
    """The store that a file names; opens nothing yet. Raises BadFile, ValueError."""
    from pathlib import Path

    from series_store.open import open_writer
    from yaml_models.files import read_secret
    from yaml_models.tls import trust

    store = config.store
    secret = read_secret(Path(store.secret_file)) if store.secret_file else None
    return open_writer(store.url, secret, trust(store.ca_file, "store.ca_file") if store.ca_file else None)


def _check(file: str) -> int:
    from pathlib import Path

    from ingest.check import check
    from ingest.config import IngestConfig
    from loopgauge.cli.common import complain
    from yaml_models.bad_file import BadFile
    from yaml_models.files import read_text
    from yaml_models.parse import parse_with_lines

    try:
        found = check(parse_with_lines(read_text(Path(file)), IngestConfig, file=file), _open_writer)
    except BadFile as error:
        found = [error]
    for bad in found:
        complain(bad, 2)
    if found:
        return 2
    print(f"{file}: good")
    return 0


def _take_short_turns() -> None:
    """Let the thread that reads from the broker interrupt the decoding sooner.

    It gives the interpreter away with every read, and TLS hands over one message at a time: at Python's 5 ms for each a
    flood is read so slowly that it piles up in the broker, where it stands before everybody's messages.
    """
    import sys

    sys.setswitchinterval(0.0005)


def _calm_collector() -> None:
    """Let Python look for cycles more rarely.

    A group of messages is half a million objects, none of them in a cycle, and looking through them again and again
    took a fifth of the worker's time.
    """
    import gc

    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 20)


def _gateway(args: argparse.Namespace, path: Any, dead_letters: Any) -> int:
    from data_contract.reading import is_id
    from ingest.gateways import GatewaysFile, allow
    from ingest.request import Allow
    from ingest.requests_folder import RequestsFolder
    from loopgauge.cli.common import complain, now_ms, who

    file = GatewaysFile(path)
    if args.action == "allow":
        if not args.gateway or not args.board or not is_id(args.gateway):
            return complain("ingest gateway allow: give FILE, GATEWAY and BOARD", 2)
        file.changed(allow(args.gateway, args.board))
        print(f"{args.gateway}: board {args.board} may speak")
        # Nothing in the delivery hangs on it; the audit stops calling the board parked.
        RequestsFolder(folder=dead_letters).leave(Allow(gateway=args.gateway, board=args.board, by=who()), now_ms)
        return 0
    allowed, parked = file.read()
    for gateway in sorted(allowed.keys() | parked.keys()):
        waiting = f"; parked: {', '.join(sorted(parked[gateway]))}" if parked.get(gateway) else ""
        print(f"{gateway}: {', '.join(sorted(allowed.get(gateway, ())))}{waiting}")
    return 0
