"""`loopgauge simulate trace`: what a simulated run truly was, what its meters showed and what happened in it."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopgauge.cli.spans import span_ms

if TYPE_CHECKING:
    from simulators.story.book import Book
    from simulators.truth.record import Record
    from simulators.truth.rows import Traced
    from simulators.truth.trace import Asked

_DESCRIPTION = """\
Ask a story (the folder that `loopgauge simulate world` writes) or a record (the file of `simulate modbus`).

Without a pattern it says what there is. --quantity gives what truly was; --device and --field what meters showed, with
what was true beside it, and their faults or refusals; --events what happened. Patterns know * ? [...]; quote them.
Prints CSV, or with --json one object a line. A time without an offset is meant in the zone of the scenario.
"""
HEAD = ("time", "what", "device", "name", "value", "true", "text")
_FOREVER_MS = 10**15


def add_kind(kinds: Any) -> None:
    """Add `trace` to the kinds of `simulate`."""
    parser = kinds.add_parser(
        "trace",
        help="what a run truly was, and what its meters showed",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="FOLDER|RECORD", type=Path, help="a story's folder, or a record's file")
    parser.add_argument("--quantity", metavar="GLOB", help="quantities of the world, such as 'train-1.*.flow_m3_h'")
    parser.add_argument("--device", metavar="GLOB", help="devices, such as '*-meter'")
    parser.add_argument("--field", metavar="GLOB", help="fields of their profiles, such as 'volume_m3'")
    parser.add_argument("--events", metavar="GLOB", help="kinds of events, such as deposit, emptying, 'fault_*'")
    parser.add_argument("--from", dest="from_", metavar="ISO", help="begin, as 2025-01-31 or with a time")
    parser.add_argument("--to", metavar="ISO", help="end, not included")
    parser.add_argument("--every", type=span_ms, metavar="TIME", help="at most one row of each series in such a time")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="a table (this is the default)")
    form.add_argument("--json", action="store_true", help="one object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 where nothing matches, 2 for bad input; errors are one line."""
    from loopgauge.cli.common import complain
    from simulators.story.book import NAME, Book, BookError
    from simulators.truth.record import Record, RecordError
    from simulators.truth.trace import of_book, of_record

    source: Book | Record
    try:
        is_story = args.source.is_dir() or args.source.name == NAME
        source = Book.open_readonly(args.source) if is_story else Record.open_readonly(args.source)
    except (BookError, RecordError) as error:
        return complain(error, 2)
    try:
        offset_ms = _offset_ms(source.meta())
        asked = _asked(args, offset_ms)
        if asked is None:
            lines = _overview(source, offset_ms)
            print("\n".join(lines))
            return 0
        rows = of_book(source, asked) if isinstance(source, Book) else of_record(source, asked)
        number = _print(rows, offset_ms, as_json=args.json)
    except ValueError as error:
        return complain(error, 2)
    finally:
        source.close()
    return 0 if number else complain(f"{args.source}: nothing matches; without a pattern it says what there is", 1)


def _offset_ms(meta: dict[str, str]) -> int:
    from simulators.scenario import Scenario
    from simulators.story.calendar import offset_ms_of

    return (
        int(meta["offset_ms"]) if "offset_ms" in meta else offset_ms_of(Scenario.model_validate_json(meta["scenario"]))
    )


def _asked(args: argparse.Namespace, offset_ms: int) -> Asked | None:
    """The question, or None if nothing is asked for. ValueError for what is no time."""
    from simulators.story.calendar import instant_ms
    from simulators.truth.trace import Asked

    ends: list[int] = []
    for option, given, default in (("--from", args.from_, 0), ("--to", args.to, _FOREVER_MS)):
        try:
            ends.append(default if given is None else instant_ms(given, offset_ms))
        except ValueError as error:
            raise ValueError(f"{option}: {error}") from None
    if ends[0] >= ends[1]:
        raise ValueError(f"--from {args.from_}: does not lie before --to {args.to}; give an earlier time")
    if all(each is None for each in (args.quantity, args.device, args.field, args.events)):
        return None
    return Asked(
        from_ms=ends[0],
        to_ms=ends[1],
        quantity=args.quantity,
        device=args.device,
        field=args.field,
        event=args.events,
        every_ms=args.every,
    )


def _print(rows: Iterable[Traced], offset_ms: int, *, as_json: bool) -> int:
    """Print rows as they come, and say how many."""
    number = 0
    table = csv.writer(sys.stdout, lineterminator="\n")
    for number, row in enumerate(rows, 1):
        time = _time(row.t_ms, offset_ms)
        if as_json:
            print(json.dumps({"time": time, **row._asdict()}, ensure_ascii=False))
            continue
        if number == 1:
            table.writerow(HEAD)
        numbers = ("" if each is None else repr(each) for each in (row.value, row.true))
        table.writerow((time, row.what, row.device, row.name, *numbers, row.text))
    return number


def _time(t_ms: int, offset_ms: int) -> str:
    """ISO, to the second where it is a whole one."""
    from simulators.story.calendar import iso

    text = iso(t_ms, offset_ms)
    return f"{text[:19]}.{t_ms % 1000:03d}{text[19:]}" if t_ms % 1000 else text


def _overview(source: Book | Record, offset_ms: int) -> Iterator[str]:
    """What there is to ask for."""
    from simulators.scenario import Scenario
    from simulators.story.book import Book
    from simulators.story.calendar import DAY_MS

    meta = source.meta()
    scenario = Scenario.model_validate_json(meta["scenario"])
    yield f"{scenario.scenario}, seed {scenario.seed}"
    if isinstance(source, Book):
        from_ms, days = int(meta["from_ms"]), source.days()
        every_s = int(meta["every_ms"]) / 1000
        yield f"{days} days from {_time(from_ms, offset_ms)} on, every {every_s:g} s"
        kinds: dict[str, int] = {}
        for each in source.happenings(0, from_ms + days * DAY_MS):
            kinds[each.kind] = kinds.get(each.kind, 0) + 1
        yield "events: " + (", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())) or "none")
        quantities = [each.name for each in source.series(device="")]
        fields: dict[str, list[str]] = {}
        for series in source.series():
            if series.device:
                fields.setdefault(series.device, []).append(series.name)
    else:
        span = source.span()
        yield "empty" if span is None else f"from {_time(span[0], offset_ms)} to {_time(span[1], offset_ms)}"
        quantities = source.quantity_names()
        fields = {device: source.fields(device) for device in source.devices()}
    yield f"{len(quantities)} quantities of the world:"
    yield from (f"  {name}" for name in quantities)
    yield f"{len(fields)} devices:"
    yield from (f"  {device}: {', '.join(names)}" for device, names in fields.items())
