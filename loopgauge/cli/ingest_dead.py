"""`loopgauge ingest dead`: what could not be stored, to list, look at, hand to the worker once more, or drop."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.config import IngestConfig
    from ingest.letters import Choice
    from ingest.letters_folder import LettersFolder
    from ingest.ports import Kept

_ABOUT = """\
FILE is the worker's file; its dead letters lie in the folder that it names, on the worker's machine. All of this may be
done while the worker runs. Run it as the worker's user.
"""
_CHOICE = """\
Give the ids of letters (their beginning is enough), or any of --gateway, --run, --reason and --before, which must all
fit, or --all.
"""
WAIT_S = 20.0
"""How long `replay` looks whether the worker has carried it out."""
_LOOK_S = 0.2
_SHOWN_CHARS = 400


def add_parser(verbs: Any) -> None:
    """Add the verb and its sub-verbs."""
    parser = verbs.add_parser("dead", help="dead letters: list, show, replay or drop them", description=_ABOUT)
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|replay|drop")
    helps = {
        "list": ("how many there are, by gateway, run and reason", "Reads the folder; writes nothing."),
        "show": ("print letters", "Reads the folder; writes nothing. " + _CHOICE),
        "replay": (
            "let the running worker store them now",
            "Leaves a request in the folder. The worker validates and stores the letters and writes a new receipt, then"
            " removes them; what is refused again stays, with its new reason. Where no worker runs, the request waits"
            " for one. Exit code 1: something was refused again, or no worker has answered yet. " + _CHOICE,
        ),
        "drop": (
            "delete letters for good",
            "Deletes letters, which loses what they hold: the audit goes on calling it rejected. Says how many."
            + f" {_CHOICE}",
        ),
    }
    for name, (summary, text) in helps.items():
        action = actions.add_parser(name, help=summary, description=f"{_ABOUT}\n{text}")
        action.add_argument("file", metavar="FILE", help="the worker's file (YAML)")
        if name != "list":
            action.add_argument("ids", metavar="ID", nargs="*", help="id of a letter, as `show` prints it")
        action.add_argument("--gateway", metavar="ID", help="letters of this gateway")
        action.add_argument(
            "--run", dest="of_run", metavar="RUN", help="letters of this run of its agent (the beginning is enough)"
        )
        action.add_argument("--reason", metavar="TEXT", help="letters whose reason contains this")
        action.add_argument("--before", metavar="ISO", help="letters that came before this time (UTC if not said)")
        if name != "list":
            action.add_argument("--all", action="store_true", help="every letter")
        if name in ("list", "show"):
            action.add_argument("--json", action="store_true", help="for scripts")
        if name == "replay":
            action.add_argument(
                "--wait", type=float, default=WAIT_S, metavar="S", help="how long to wait for the worker (%(default)s)"
            )
        action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 where something was refused again or has not been answered, 2 for bad input."""
    from pathlib import Path

    from ingest.config import IngestConfig
    from ingest.errors import NoRoom
    from ingest.letters_folder import LettersFolder
    from loopgauge.cli.common import complain
    from yaml_models.bad_file import BadFile
    from yaml_models.files import load

    try:
        config = load(Path(args.file), IngestConfig)
        choice = _choice(args)
        folder = LettersFolder(folder=Path(config.dead_letters), bytes_max=config.dead_letters_bytes_max)
        if args.action == "list":
            return _list(args, config, folder, choice)
        if not choice.chooses:
            raise ValueError(f"ingest dead {args.action}: say which letters: ids, --gateway, --run, --reason or --all")
        if args.action == "show":
            return _show(args, [kept for kept in folder.letters() if choice.takes(kept)])
        if args.action == "drop":
            return _drop(folder, choice)
        return _replay(args, config, folder, choice)
    except (BadFile, NoRoom, ValueError) as error:
        return complain(error, 2)


def _choice(args: argparse.Namespace) -> Choice:
    from ingest.letters import Choice

    before_ms = None
    if args.before is not None:
        try:
            instant = datetime.fromisoformat(args.before)
        except ValueError:
            raise ValueError(f"--before {args.before}: not an ISO date or time; write 2026-01-31") from None
        before_ms = int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)
    ids = tuple(getattr(args, "ids", ()))
    return Choice(ids, args.gateway, args.of_run, args.reason, before_ms, getattr(args, "all", False))


def _list(args: argparse.Namespace, config: IngestConfig, folder: LettersFolder, choice: Choice) -> int:
    from pathlib import Path

    from ingest.letters import grouped
    from ingest.requests_folder import RequestsFolder

    groups = grouped(kept for kept in folder.letters() if choice.takes(kept))
    size, most = folder.size_bytes, config.dead_letters_bytes_max
    waiting = len(RequestsFolder(folder=Path(config.dead_letters)).waiting())
    rows = [
        {
            "gateway": gateway,
            "run": run_,
            "reason": reason,
            "letters": group.letters,
            "batches": len(group.batches),
            "values": group.values,
            "first_ms": group.first_ms,
            "last_ms": group.last_ms,
        }
        for (gateway, run_, reason), group in groups.items()
    ]
    if args.json:
        print(json.dumps({"groups": rows, "bytes": size, "bytes_max": most, "requests_waiting": waiting}, indent=2))
        return 0
    for row in rows:
        when = f"{_time(row['first_ms'])} to {_time(row['last_ms'])}"
        what = f"{row['letters']} letters, {row['batches']} batches, {row['values']} values"
        print(f"{row['gateway']}  run {str(row['run'])[:8]}  {what}  {when}  {row['reason']}")
    print(f"{sum(group.letters for group in groups.values())} letters; {size} of {most} bytes ({100 * size // most} %)")
    if waiting:
        print(f"{waiting} requests wait for the worker")
    return 0


def _show(args: argparse.Namespace, chosen: list[Kept]) -> int:
    from dataclasses import asdict

    from ingest.letters import why_not

    for kept in chosen:
        if args.json:
            print(json.dumps({"id": kept.id, "at_ms": kept.at_ms, **asdict(kept.letter)}, ensure_ascii=False))
            continue
        letter = kept.letter
        print(f"{kept.id}  {_time(kept.at_ms)}  {letter.gateway}  run {letter.run[:8]}  batch {letter.seq}")
        print(f"  {letter.reason}")
        for line in _content(letter.line, letter.values):
            print(f"  {line}")
        if why := why_not(letter):
            print(f"  cannot be replayed: {why}")
    if not args.json:
        print(f"{len(chosen)} letters")
    return 0


def _content(line: str, values: Iterable[tuple[str, str, int, str]]) -> Iterator[str]:
    if line:
        yield line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}… ({len(line)} characters; --json has all)"
    for device, field, t_ms, text in values:
        yield f"{_time(t_ms)}  {device} {field or 'record'} = {text}"


def _drop(folder: LettersFolder, choice: Choice) -> int:
    ids = _chosen(folder, choice)
    gone = 0
    for segment in folder.closed() if ids else ():
        gone += folder.settle(segment, dict.fromkeys(ids, ()), 0)
    print(f"{gone} letters dropped")
    return 0


def _chosen(folder: LettersFolder, choice: Choice) -> dict[str, tuple[str, int]]:
    """Id → (run, seq) of the chosen letters and of those of the same messages."""
    from ingest.letters import with_messages

    chosen = [kept for kept in folder.letters() if choice.takes(kept)]
    if any(kept.letter.message for kept in chosen):
        chosen = list(with_messages(chosen, folder.letters()))
    return {kept.id: (kept.letter.run, kept.letter.seq) for kept in chosen}


def _replay(args: argparse.Namespace, config: IngestConfig, folder: LettersFolder, choice: Choice) -> int:
    from pathlib import Path

    from ingest.request import IDS_MAX, Replay
    from ingest.requests_folder import RequestsFolder
    from loopgauge.cli.common import now_ms

    chosen = _chosen(folder, choice)
    ids = sorted(chosen)
    if not ids:
        print("0 letters: nothing to replay")
        return 0
    requests = RequestsFolder(folder=Path(config.dead_letters))
    left = [requests.leave(Replay(ids=ids[at : at + IDS_MAX]), now_ms) for at in range(0, len(ids), IDS_MAX)]
    print(f"{len(ids)} letters handed to the worker", flush=True)
    end_s = time.monotonic() + args.wait
    while {request.at_ms for request in left} & set(requests.waiting()):
        if time.monotonic() > end_s:
            print("no answer yet: the request waits until the worker runs and its store takes it")
            return 1
        time.sleep(_LOOK_S)
    still = [kept for kept in folder.letters() if kept.id in chosen or _is_rest(kept, chosen, left[0].at_ms)]
    print(f"{len(ids) - len(still)} letters stored, {len(still)} refused again")
    for reason in sorted({kept.letter.reason for kept in still}):
        print(f"  {reason}")
    return 1 if still else 0


def _is_rest(kept: Kept, chosen: dict[str, tuple[str, int]], since_ms: int) -> bool:
    """Whether a letter was written by this replay, for a part of one that was chosen."""
    return kept.at_ms >= since_ms and (kept.letter.run, kept.letter.seq) in chosen.values()


def _time(t_ms: Any) -> str:
    try:
        return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{t_ms} ms"
