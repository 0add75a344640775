"""YAML text -> plain data, with the line of every key: the part of YAML that a person can predict, and nothing else.

It reads PyYAML's events one by one, so that a file which nests too deep, names a key twice or multiplies itself through
aliases is refused at that line, before it has been built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events

from yaml_models.bad_file import VALUE_CHARS_MAX, BadFile, shorten
from yaml_models.scalars import Scalar, read_scalar

FILE_BYTES_MAX = 1024 * 1024
"""Largest file; a larger one is refused."""

NESTING_MAX = 32
"""Deepest nesting of mappings and lists; a deeper one is refused."""

Path = tuple[str | int, ...]
"""The way to a value: keys of mappings, indices of lists."""

# What PyYAML itself lets through on input that its authors did not foresee, such as an escape beyond Unicode.
_UNFORESEEN = (ValueError, ArithmeticError, LookupError, AttributeError, AssertionError, RecursionError, TypeError)

# What PyYAML says, what a person understands, how to mend it, and whether the line is where the construct began.
_MENDS = (
    ("'\\t'", "a tab where only spaces may stand", "indent with spaces", False),
    ("mapping values are not allowed", "a second ': ' in one value", "put the value in quotes, or indent it", False),
    ("could not find expected ':'", "a line that is not 'key: value'", "add the colon, or mend the indentation", True),
    ("unexpected end of stream", "a quote that is never closed", "close it", True),
    (
        "special characters are not allowed",
        "a control character",
        "delete it, or write it as an escape in quotes",
        False,
    ),
)
_UNCLOSED = "'<stream end>'"


def dotted(path: Path) -> str:
    """`("frames", 0, "words")` as a person writes it: `frames[0].words`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Tree:
    """What a file says, and in which line each key of it stands (from 1)."""

    data: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest enclosing key that the file has."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_tree(text: str, *, file: str) -> Tree:
    """Read one document. An empty file is an empty mapping. BadFile says what cannot be read, and in which line."""
    if len(text) > FILE_BYTES_MAX:
        raise BadFile(file, None, "", f"larger than {FILE_BYTES_MAX} bytes", "split it")
    builder = _Builder(file)
    line = 1
    try:
        for event in _events(text):
            line = event.start_mark.line + 1 if event.start_mark else line
            builder.take(event, line)
    except BadFile:
        raise
    except yaml.YAMLError as error:
        raise _syntax(error, file, text, builder.opened) from None
    except _UNFORESEEN:
        raise BadFile(file, line, "", "not YAML", "look at the quotes and escapes of this line and the next") from None
    return Tree({} if builder.root is None else builder.root, builder.lines)


def _events(text: str) -> Iterator[events.Event]:
    # The pure Python parser on purpose: its messages are the same on every machine, with or without libyaml.
    yield from yaml.parse(text, Loader=yaml.SafeLoader)


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    into: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    file: str
    root: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _documents: int = 0

    @property
    def opened(self) -> int | None:
        """The line of the innermost mapping or list that has not ended."""
        return self.lines.get(self._open[-1].path) if self._open else None

    def take(self, event: events.Event, line: int) -> None:
        if isinstance(event, events.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._bad(line, "", "a second document begins here", "keep one, and delete '---'")
        elif isinstance(event, (events.MappingEndEvent, events.SequenceEndEvent)):
            self._open.pop()
        elif isinstance(event, events.NodeEvent):
            self._node(event, line)

    def _node(self, event: events.NodeEvent, line: int) -> None:
        if isinstance(event, events.AliasEvent) or event.anchor is not None:
            name = shorten(str(event.anchor), VALUE_CHARS_MAX)
            raise self._bad(
                line, "", f"an anchor or alias ({name}), which is not supported", "write the value out, or quote it"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._bad(
                line, "", f"a tag ({shorten(tag, VALUE_CHARS_MAX)}), which is not supported", "leave it out"
            )
        if isinstance(event, events.ScalarEvent):
            self._scalar(event, line)
        else:
            self._collection({} if isinstance(event, events.MappingStartEvent) else [], line)

    def _scalar(self, event: events.ScalarEvent, line: int) -> None:
        if any("\ud800" <= char <= "\udfff" for char in event.value):
            raise self._bad(
                line, "", "half of a surrogate pair", "write the character itself, or \\U and its eight digits"
            )
        if self._wants_key():
            self._key(event.value, line)
        else:
            self._put(self._value(event, line), line)

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].into, dict) and self._open[-1].key is None

    def _key(self, key: str, line: int) -> None:
        at = self._open[-1]
        path = (*at.path, key)
        if key == "":
            raise self._bad(
                line, dotted(at.path), "a key without a name", "name it, or quote the text that begins with ':'"
            )
        if path in self.lines:
            raise self._bad(line, dotted(path), f"stands here and in line {self.lines[path]}", "keep one of them")
        self.lines[path] = line
        at.key = key

    def _value(self, event: events.ScalarEvent, line: int) -> Scalar:
        if not event.implicit[0]:
            return event.value
        try:
            return read_scalar(event.value)
        except ValueError as error:
            raise self._bad(line, dotted(self._next_path()), str(error), "shorten it, or put it in quotes") from None

    def _collection(self, into: dict[str, Any] | list[Any], line: int) -> None:
        if self._wants_key():
            raise self._bad(
                line, dotted(self._open[-1].path), "a key that is itself a list or a mapping", "use a text as key"
            )
        if len(self._open) >= NESTING_MAX:
            raise self._bad(line, "", f"nested deeper than {NESTING_MAX} levels", "flatten it")
        path = self._next_path()
        self._put(into, line)
        self._open.append(_Open(into, path))

    def _next_path(self) -> Path:
        if not self._open:
            return ()
        at = self._open[-1]
        return (*at.path, len(at.into) if at.key is None else at.key)

    def _put(self, value: Any, line: int) -> None:
        self.lines.setdefault(self._next_path(), line)
        if not self._open:
            self.root = value
            return
        at = self._open[-1]
        if isinstance(at.into, list):
            at.into.append(value)
        elif at.key is not None:
            at.into[at.key] = value
            at.key = None

    def _bad(self, line: int, key: str, problem: str, mend: str) -> BadFile:
        return BadFile(self.file, line, key, problem, mend)


def _syntax(error: yaml.YAMLError, file: str, text: str, opened: int | None) -> BadFile:
    said, line, began = _said(error, text)
    if _UNCLOSED in said:
        return BadFile(file, opened or began, "", "a bracket that is never closed", "close it")
    for sign, problem, mend, at_beginning in _MENDS:
        if sign in said:
            return BadFile(file, began if at_beginning else line, "", problem, mend)
    return BadFile(
        file, line, "", f"not YAML: {shorten(said, 2 * VALUE_CHARS_MAX)}", "mend this line, or the one before it"
    )


def _said(error: yaml.YAMLError, text: str) -> tuple[str, int, int]:
    """PyYAML's own words, the line that they are about, and the line where what it was reading began."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        began = error.context_mark.line + 1 if error.context_mark else line
        return error.problem or error.context or "broken", line, began
    line = text.count("\n", 0, getattr(error, "position", 0)) + 1
    return str(getattr(error, "reason", error)), line, line
