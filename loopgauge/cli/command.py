"""`loopgauge command`: tell a gateway to do something, and hear what became of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_contract.control import Reply

_DESCRIPTION = """\
Tells a running gateway to do something, over the broker, and waits for its answer.

  birth      publish its birth message again
  flush      seal now what has been read, and send all that is sealed
  reread     ask the devices now, out of schedule; shows what they say, and stores none of it
  restart    stop in order; the supervisor starts the agent again

Reads FILE; reads the gateway's birth at the broker that it names, and publishes there. Exit code 0: done, 1: refused,
no answer, or not all of it worked, 2: bad input.
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "command",
        help="tell a gateway: birth, flush, reread or restart",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("gateway", metavar="GATEWAY", nargs="?", help="the gateway's id")
    parser.add_argument("verb", metavar="VERB", nargs="?", help="birth, flush, reread or restart")
    parser.add_argument("--config", metavar="FILE", help="who you are, and where the broker is (YAML)")
    parser.add_argument("--device", metavar="D", help="with reread: only this device")
    parser.add_argument("--timeout", metavar="S", type=float, default=90.0, help="longest wait, in s (90)")
    parser.add_argument("--json", action="store_true", help="the answer as one line of JSON")
    parser.add_argument("--sample", action="store_true", help="print a commented FILE, and do nothing else")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 for a failure, 2 for bad input."""
    from pathlib import Path

    from loopgauge.cli.common import complain
    from loopgauge.operator import SAMPLE, NoAnswer, OperatorConfig, connect
    from yaml_models.bad_file import BadFile
    from yaml_models.files import load
    from yaml_models.sample import sample

    if args.sample:
        print(sample(OperatorConfig, SAMPLE), end="")
        return 0
    if (mistake := _mistake(args)) is not None:
        return complain(f"command: {mistake}", 2)
    try:
        with connect(load(Path(args.config), OperatorConfig), args.gateway) as operator:
            reply = operator.command(args.verb, run=operator.present_run(), device=args.device, timeout_s=args.timeout)
    except BadFile as error:
        return complain(error, 2)
    except NoAnswer as error:
        return complain(error, 1)
    if args.json:
        print(reply.model_dump_json(exclude_defaults=True))
    elif reply.refused is not None:
        complain(_plain(f"{args.gateway} refused to {args.verb} ({reply.refused}): {reply.text}"), 1)
    else:
        print(_as_text(args.gateway, reply))
    return 0 if reply.ok else 1


def _mistake(args: argparse.Namespace) -> str | None:
    from data_contract.control import Verb
    from data_contract.reading import is_id
    from yaml_models.explain import one_of, suggest

    verbs = [verb.value for verb in Verb]
    if args.gateway is None or args.verb is None or args.config is None:
        return "give GATEWAY, VERB and --config FILE (see --sample)"
    if not is_id(args.gateway):
        return f"{args.gateway}: no id of a gateway: a-z, 0-9, _ and -"
    if args.verb not in verbs:
        meant = suggest(args.verb, verbs)
        return f"{args.verb}: no such command; " + (f"did you mean {meant}?" if meant else one_of(verbs))
    if args.device is not None and (args.verb != Verb.REREAD or not is_id(args.device)):
        return f"--device {args.device}: the id of a device, and only with reread"
    if not 0 < args.timeout <= 3600:
        return f"--timeout {args.timeout:g}: give more than 0 and at most 3600 s"
    return None


def _as_text(gateway: str, reply: Reply) -> str:
    from data_contract.reading import Quality

    lines = []
    for each in reply.devices:
        lines.append(f"{each.device}:")
        width = max(len(name) for name in (*each.values, *each.missing))
        for name, value in each.values.items():
            quality = each.quality.get(name, 0)
            mark = "" if not quality else f"  {_quality(quality, Quality)}"
            lines.append(f"  {name:{width}}  {'-' if value is None else f'{value:.12g}'}{mark}")
        for name, cause in each.missing.items():
            lines.append(f"  {name:{width}}  -  {cause}")
        if each.detail:
            lines.append(f"  {each.detail}")
    if reply.left_out:
        lines.append(f"{reply.left_out} fields had no room in the answer: ask for one --device")
    lines.append(f"{gateway}: {reply.verb}: {reply.text}")
    return "\n".join(map(_plain, lines))


def _plain(line: str) -> str:
    """Without what a terminal would obey: a gateway may be anybody's by now."""
    return "".join(char if char.isprintable() else "?" for char in line)


def _quality(code: int, known: Any) -> str:
    """Its name; a gateway that is newer than this program may have others."""
    return str(known(code).name.lower()) if code in set(known) else f"quality {code}"
