"""`loopgauge audit close`: an operator's word that nothing more will come of a run of a gateway's agent."""

from __future__ import annotations

import argparse
import re
import time
from typing import Any

_DESCRIPTION = """\
Say that nothing more will come of a run of a gateway's agent, because its card was replaced or lost. What was pending
there, and the time from its last batch to the next run, are then `lost` in the audit, with this reason, its time and
your name. Batches that arrive nevertheless count as ever. `--reopen` takes the word back.

Leaves a request in the folder of the worker whose FILE is given, on the worker's machine, and waits until the worker
has written it to the store; where no worker runs, the request waits for one. Run it as the worker's user.
"""
WAIT_S = 20.0
_LOOK_S = 0.2


def add_parser(parent: argparse.ArgumentParser) -> None:
    """Add the sub-verb; the audit itself needs none."""
    verbs = parent.add_subparsers(dest="verb", metavar="close")
    parser = verbs.add_parser(
        "close",
        help="say that nothing more will come of a run: its card was replaced or lost",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", metavar="GATEWAY", help="the gateway")
    parser.add_argument(
        "--run",
        dest="closed_run",
        required=True,
        metavar="RUN",
        help="the run, or its first 8 digits, as the audit prints them",
    )
    parser.add_argument("--reason", metavar="TEXT", help="why, for whoever reads the audit; not with --reopen")
    parser.add_argument("--worker-file", required=True, metavar="FILE", help="the file (YAML) of an ingest worker")
    parser.add_argument("--reopen", action="store_true", help="take the word back")
    parser.add_argument("--by", metavar="NAME", help="who says so (the user at the terminal)")
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="S", help="how long to wait for the worker (%(default)s)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0: it is in the store; 1: no worker has answered yet; 2: bad input."""
    from pathlib import Path

    from ingest.config import IngestConfig
    from ingest.errors import NoRoom
    from ingest.requests_folder import RequestsFolder
    from loopgauge.cli.common import complain, now_ms
    from yaml_models.bad_file import BadFile
    from yaml_models.files import load

    try:
        wish = _wish(args)
        config = load(Path(args.worker_file), IngestConfig)
        requests = RequestsFolder(folder=Path(config.dead_letters))
        request = requests.leave(wish, now_ms)
    except (BadFile, NoRoom, ValueError) as error:
        return complain(error, 2)
    end_s = time.monotonic() + args.wait
    while request.at_ms in requests.waiting():
        if time.monotonic() > end_s:
            print("no answer yet: the request waits until the worker runs and its store takes it")
            return 1
        time.sleep(_LOOK_S)
    print(f"{args.id}: run {args.closed_run} {'open again' if args.reopen else 'closed'}")
    return 0


def _wish(args: argparse.Namespace) -> Any:
    from data_contract.reading import is_id
    from data_contract.verdict import REASON_CHARS_MAX, WHO_CHARS_MAX, Closed
    from ingest.request import Close
    from loopgauge.cli.common import who

    if not is_id(args.id):
        raise ValueError(f"audit close {args.id}: not the name of a gateway")
    if not re.fullmatch("[0-9a-f]{8,32}", args.closed_run):
        raise ValueError(
            f"--run {args.closed_run}: not a run; give at least the 8 digits that `loopgauge audit` prints"
        )
    if bool(args.reason) == args.reopen:
        raise ValueError("audit close: give --reason, for whoever reads the audit, or --reopen")
    if len(args.reason or "") > REASON_CHARS_MAX:
        raise ValueError(f"--reason: longer than {REASON_CHARS_MAX} characters")
    by = (args.by or who())[:WHO_CHARS_MAX]
    return Close(
        gateway=args.id, said=Closed(run=args.closed_run, reason=args.reason or "", by=by, reopened=args.reopen)
    )
