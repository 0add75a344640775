"""`loopgauge edge aside`: batches that the cloud never answered, to list, look at, offer again, or give up."""

from __future__ import annotations

import argparse
import json
import re
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_agent.keep.aside import Aside, Choice

_ABOUT = """\
Batches that the cloud never answered are set aside: they stay in the spool of the site FILE, the next batches tell of
them, and the agent tries them again by itself once a day.
"""
_CHOICE = "Give --run, --batches or --reason, which must all fit, or --all."


def add_parser(verbs: Any) -> None:
    """Add the verb and its sub-verbs."""
    parser = verbs.add_parser("aside", help="batches that the cloud never answered", description=_ABOUT)
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|offer|drop")
    helps = {
        "list": ("how many there are, by run and reason", "Reads the spool, also while the agent runs."),
        "show": ("print batches as they were sealed", f"Reads the spool, also while the agent runs. {_CHOICE}"),
        "offer": (
            "offer batches again from the next start on",
            f"Changes the spool, so no agent may run meanwhile: stop it, and start it again. {_CHOICE}",
        ),
        "drop": (
            "give batches up for good",
            "Deletes the readings of batches; their places stay, with your name and the reason, and the audit calls"
            f" them lost. Changes the spool, so no agent may run meanwhile. Says how many. {_CHOICE}",
        ),
    }
    for name, (summary, text) in helps.items():
        action = actions.add_parser(name, help=summary, description=f"{_ABOUT}\n{text}")
        action.add_argument("file", metavar="FILE", help="the gateway's site file (YAML)")
        action.add_argument("--run", dest="of_run", metavar="RUN", help="batches of this run (the beginning is enough)")
        action.add_argument("--batches", metavar="N-M", help="batches with these numbers")
        action.add_argument("--reason", metavar="TEXT", help="batches whose reason contains this")
        if name != "list":
            action.add_argument("--all", action="store_true", help="every batch that is set aside")
        if name in ("list", "show"):
            action.add_argument("--json", action="store_true", help="for scripts")
        if name == "drop":
            action.add_argument("--why", required=True, metavar="TEXT", help="for whoever reads the audit")
        action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 2 for bad input or where an agent runs."""
    from pathlib import Path

    from edge_agent.commission.site_check import read_site
    from edge_agent.errors import Fatal
    from edge_agent.keep import at_rest
    from edge_agent.keep.aside import aside, drop, offer
    from loopgauge.cli.common import complain, who
    from yaml_models.bad_file import BadFile
    from yaml_models.files import read_text

    try:
        config = read_site(read_text(Path(args.file)), file=args.file).model
        choice, path = _choice(args), Path(config.spool.file)
        if args.action in ("list", "show"):
            found = at_rest.look(path, lambda db: aside(db, choice))
            return _list(args, found) if args.action == "list" else _show(args, found)
        if args.action == "offer":
            offered = at_rest.change(path, lambda db: offer(db, aside(db, choice)))
            print(f"{offered} batches offered from the next start of the agent on")
            return 0
        why = _why(args.why, who())
        print(f"{at_rest.change(path, lambda db: drop(db, aside(db, choice), why))} batches dropped")
        return 0
    except (BadFile, Fatal, ValueError) as error:
        return complain(error, 2)


def _choice(args: argparse.Namespace) -> Choice:
    from edge_agent.keep.aside import Choice

    first, last = 1, 2**62
    if args.batches is not None:
        match = re.fullmatch(r"([1-9][0-9]{0,15})(?:-([1-9][0-9]{0,15}))?", args.batches)
        if match is None:
            raise ValueError(f"--batches {args.batches}: not numbers; write 17 or 17-20")
        first, last = int(match[1]), int(match[2] or match[1])
    given = args.of_run or args.batches or args.reason or getattr(args, "all", True)
    if not given:
        raise ValueError(f"edge aside {args.action}: say which batches: --run, --batches, --reason or --all")
    return Choice(args.of_run, first, last, args.reason)


def _why(text: str, by: str) -> str:
    from data_contract.verdict import REASON_CHARS_MAX, WHO_CHARS_MAX

    if not 0 < len(text) <= REASON_CHARS_MAX:
        raise ValueError(f"--why: give 1 to {REASON_CHARS_MAX} characters")
    return f"by {by[:WHO_CHARS_MAX]}: {text}"


def _list(args: argparse.Namespace, found: list[Aside]) -> int:
    rows = []
    for (run_, reason), part in groupby(found, key=lambda each: (each.run, each.reason)):
        batches = list(part)
        times = [t for each in batches for t in (each.from_ms, each.to_ms) if t is not None]
        rows.append(
            {
                "run": run_,
                "reason": reason,
                "batches": len(batches),
                "first": batches[0].seq,
                "last": batches[-1].seq,
                "bytes": sum(each.size for each in batches),
                "from_ms": min(times, default=None),
                "to_ms": max(times, default=None),
            }
        )
    if args.json:
        print(json.dumps({"groups": rows}, indent=2))
        return 0
    for row in rows:
        when = f"{_time(row['from_ms'])} to {_time(row['to_ms'])}"
        numbers = f"{row['first']}-{row['last']}"
        print(f"run {str(row['run'])[:8]}  {row['batches']} batches ({numbers})  {when}  {row['reason']}")
    print(f"{len(found)} batches, {sum(each.size for each in found)} bytes")
    return 0


def _show(args: argparse.Namespace, found: list[Aside]) -> int:
    for each in found:
        if args.json:
            times = {"from_ms": each.from_ms, "to_ms": each.to_ms}
            print(json.dumps({"run": each.run, "seq": each.seq, "reason": each.reason, **times, "body": each.body}))
            continue
        print(f"run {each.run}  batch {each.seq}  {_time(each.from_ms)} to {_time(each.to_ms)}  {each.reason}")
        print(f"  {each.body}")
    if not args.json:
        print(f"{len(found)} batches")
    return 0


def _time(t_ms: Any) -> str:
    return "?" if t_ms is None else datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
