"""Dead letters to parts that go through the worker's steps once more, and what is left of each letter then. Pure."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from data_contract.batch import Batch
from data_contract.message import Header, Undecodable, unpack
from data_contract.reading import QUALITY_PREFIX, is_field, is_id
from ingest.letters import WHOLE, why_not
from ingest.named import NOTHING, Named, Over, RowKind, named_in
from ingest.part import Part
from ingest.ports import DeadLetter, Kept
from ingest.tables import Tables, refusal, tables_of
from series_store.names import DEVICE, EVENT, GATEWAY, KIND, RESERVED, SUMMARY, SUMMARY_TO
from series_store.table import Cell, Table

Bounded = Mapping[str, Over]
"""Gateway → what it names beyond its bounds."""


class Again(NamedTuple):
    """A letter with the parts made of it; no parts where nothing can be made of it."""

    kept: Kept
    parts: list[Part]

    def left(self) -> list[DeadLetter]:
        """What stays a dead letter when its parts have been through."""
        return [letter for part in self.parts for letter in part.letters] if self.parts else [self.kept.letter]


def again(letters: Sequence[Kept], now_ms: int, over: Bounded) -> list[Again]:
    """Each letter once, with its parts; a message that lies in several letters is made with the one that holds it."""
    found: list[Again] = []
    for kept in {kept.id: kept for kept in letters}.values():
        letter = kept.letter
        if why_not(letter) is not None:
            found.append(Again(kept, []))
        elif letter.values:
            found.append(Again(kept, [_part_of_values(kept, now_ms, over)]))
        elif letter.line and not letter.message and not letter.line.startswith(WHOLE):
            found.append(Again(kept, _parts(letter, _header(letter), letter.line.encode() + b"\n", now_ms, over)))
    return found + _messages(letters, now_ms, over)


def _messages(letters: Sequence[Kept], now_ms: int, over: Bounded) -> list[Again]:
    """Letters of whole messages: the copy lies with the first batch, and each batch has a letter."""
    whole: dict[tuple[str, str, int, int], dict[int, Kept]] = {}
    for kept in letters:
        letter = kept.letter
        if letter.values or why_not(letter) is not None:
            continue
        if letter.message:
            key = (letter.gateway, letter.run, *letter.message[:2])
            whole.setdefault(key, {})[letter.seq] = kept
        elif letter.line.startswith(WHOLE):
            whole.setdefault((letter.gateway, letter.run, letter.seq, letter.seq), {})[letter.seq] = kept
    found: list[Again] = []
    for (_, _, first, _), by_seq in whole.items():
        parts: list[Part] = []
        if first in by_seq:
            letter = by_seq[first].letter
            body = _decoded(letter.line)
            parts = _parts(letter, _header(letter, body), body, now_ms, over)
        for seq, kept in by_seq.items():
            own = [part for part in parts if part.seq == seq or (seq == first and part.seq not in by_seq)]
            found.append(Again(kept, own))
    return found


def _decoded(line: str) -> bytes:
    try:
        return base64.b64decode(line.removeprefix(WHOLE), validate=True)
    except ValueError:
        return b""


def _header(letter: DeadLetter, body: bytes = b"") -> Header:
    """The header under which it came. What is no line of its own and bears no packing came from an earlier version."""
    first, last, packing = letter.message or (letter.seq, letter.seq, "plain" if body[:1] in (b"", b"[") else "zlib")
    return Header(letter.gateway, "", letter.run, first, last, 0, packing)


def _parts(letter: DeadLetter, header: Header, body: bytes, now_ms: int, over: Bounded) -> list[Part]:
    beyond = over.get(letter.gateway, NOTHING)
    return [part_of(header, one, now_ms, beyond) for one in unpack(header, body)]


def part_of(header: Header, one: Batch | Undecodable, now_ms: int, over: Over) -> Part:
    """A batch that has been unpacked, as the worker takes it through its steps."""
    if isinstance(one, Undecodable):
        part = Part(header, one.seq, None, one.reason, one.copy)
    else:
        tables = tables_of(header.gateway, one, now_ms, over)
        kinds = {name: device.kind for name, device in one.body.devices.items()}
        part = Part(header, one.seq, one, "", tables=tables, kinds=kinds, span=(one.from_ms, one.to_ms))
    part.count_refused()
    return part


def _part_of_values(kept: Kept, now_ms: int, over: Bounded) -> Part:
    letter = kept.letter
    part = Part(_header(letter), letter.seq, None, "", kinds=dict(letter.kinds), span=letter.span, restores=kept.id)
    _fill(part.tables, letter, now_ms, over.get(letter.gateway, NOTHING))
    part.count_refused()
    return part


_RowKey = tuple[str, str, str, int]
"""Measurement, device, kind of an event, time."""


def _fill(out: Tables, letter: DeadLetter, now_ms: int, over: Over) -> None:
    """The values of a letter as rows, judged as those of a batch are."""
    kinds = dict(letter.kinds)
    rows: dict[_RowKey, dict[str, Cell]] = {}
    for device, name, t_ms, text in letter.values:
        try:
            measurement, kind, cells = _cells(name, text, kinds.get(device, ""))
            reason = over.why(device, measurement, kind, _names(measurement, cells)) or refusal(t_ms, now_ms)
        except (ValueError, KeyError, TypeError, AttributeError):
            measurement, kind, cells = "", "", {}
            reason = over.why(device, "") or refusal(t_ms, now_ms) or "cannot be read"
        if name and not reason:
            reason = _why_no_reading(device, name, measurement, cells)
        if reason:
            out.bad.append((device, name, t_ms, text, reason))
            continue
        rows.setdefault((measurement, device, kind, t_ms), {}).update(cells)
    for (measurement, device, kind, t_ms), cells in rows.items():
        tags = [(GATEWAY, letter.gateway), (DEVICE, device), *([(KIND, kind)] if measurement == EVENT else [])]
        out.tables.append(Table(measurement, tuple(tags), tuple(cells), [t_ms], [[cell] for cell in cells.values()]))
        if measurement not in RESERVED:
            out.count(device, sum(not field.startswith(QUALITY_PREFIX) for field in cells), t_ms, t_ms)


def _cells(name: str, text: str, measurement: str) -> tuple[str, str, dict[str, Cell]]:
    """Measurement, kind of event and fields. Raises what a text that is none of these makes Python raise."""
    if name:
        return measurement, "", {name: float(text)}
    said: dict[str, Any] = json.loads(text)
    measurement, kind = str(said["measurement"]), str(said.get("kind", ""))
    if measurement not in (EVENT, SUMMARY):
        raise ValueError(measurement)
    fields: dict[str, Cell] = {}
    for field, cell in said["fields"].items():
        if not isinstance(cell, str) and not isfinite(cell):
            raise ValueError("not finite")
        fields[str(field)] = cell if isinstance(cell, str) else float(cell)
    return measurement, kind, fields


def _why_no_reading(device: str, name: str, measurement: str, cells: Mapping[str, Cell]) -> str | None:
    if measurement in RESERVED or not measurement:
        return f"kind {measurement!r} is reserved"
    if not is_id(device) or not is_field(name.removeprefix(QUALITY_PREFIX)):
        return "no name of a device and a field"
    return None if all(isinstance(cell, float) and isfinite(cell) for cell in cells.values()) else "not a finite number"


def outcome(done: Iterable[Again]) -> dict[str, list[DeadLetter]]:
    """Id → what is left of the letter."""
    return {each.kept.id: each.left() for each in done}


def _names(measurement: str, cells: Iterable[str]) -> set[str]:
    """What the cells of a row count as among the fields of its series."""
    if measurement == SUMMARY:
        end = f"_{SUMMARY_TO}"
        return {cell.removesuffix(end) for cell in cells if cell.endswith(end)}
    return {cell.removeprefix(QUALITY_PREFIX) for cell in cells} if measurement != EVENT else set(cells)


def named_by(letters: Sequence[Kept]) -> dict[str, Named]:
    """Gateway → everything that its letters name."""
    found: dict[str, Named] = {}
    for each in again(letters, 0, {}):
        letter = each.kept.letter
        named = found.setdefault(letter.gateway, {})
        more = named_in(part.batch for part in each.parts if part.batch is not None)
        for of, names in (*more.items(), *_rows_of(letter)):
            named.setdefault(of, set()).update(names)
    return found


def _rows_of(letter: DeadLetter) -> Iterator[tuple[RowKind, set[str]]]:
    """Series and fields of a letter of values, as far as it can be read."""
    kinds = dict(letter.kinds)
    for device, name, _, text in letter.values:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            measurement, kind, cells = _cells(name, text, kinds.get(device, ""))
            if measurement and measurement not in RESERVED - {EVENT, SUMMARY}:
                yield (device, measurement, kind), _names(measurement, cells)
