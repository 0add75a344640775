"""A pydantic error -> one line that a person can act on: which key, what is wrong, what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from yaml_models.bad_file import VALUE_CHARS_MAX, BadFile, shorten
from yaml_models.example import example_of, inline
from yaml_models.kinds import Kind, keys_of
from yaml_models.places import Place, locate
from yaml_models.scalars import write_scalar
from yaml_models.tree import Path, Tree, dotted

_NAMES_MAX = 12
_SECRET_NAME = re.compile(r"password|secret|token|passphrase", re.IGNORECASE)
_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false", "True": "true", "False": "false"}


@dataclass(frozen=True, slots=True)
class _Complaint:
    """One error, placed in the file."""

    line: int
    path: Path
    problem: str
    mend: str
    replaces: Path | None = None
    """The missing key that this one was meant to be."""


def explain(error: ValidationError, model: type[BaseModel], tree: Tree, *, file: str) -> BadFile:
    """The first complaint in the order of lines, and how many keys are wrong besides."""
    complaints = [
        _complaint(details, model, tree) for details in error.errors(include_url=False) if not _is_consequence(details)
    ]
    meant = {c.replaces for c in complaints if c.replaces is not None}
    kept = _one_per_key(c for c in complaints if c.path not in meant)
    first, *rest = sorted(kept, key=lambda c: c.line)
    more = f" (and {len(rest)} more)" if rest else ""
    return BadFile(file, first.line, dotted(first.path), first.problem, first.mend + more)


def _is_consequence(details: ErrorDetails) -> bool:
    """A list counts as too short where an entry of it was refused; only that entry is wrong."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def suggest(name: str, allowed: Iterable[str]) -> str | None:
    """The one of `allowed` that was probably meant by `name`."""
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return close[0] if close else None


def one_of(names: Iterable[Any]) -> str:
    """`a, b, c`, bounded."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:_NAMES_MAX]) + (", ..." if len(texts) > _NAMES_MAX else "")


def _one_per_key(complaints: Iterable[_Complaint]) -> list[_Complaint]:
    by_path: dict[Path, _Complaint] = {}
    for complaint in complaints:
        by_path.setdefault(complaint.path, complaint)
    return list(by_path.values())


def _complaint(details: ErrorDetails, model: type[BaseModel], tree: Tree) -> _Complaint:
    place = locate(model, details["loc"])
    context = details.get("ctx", {})
    line = tree.line(place.path)
    match details["type"]:
        case "missing" if place.path and isinstance(place.path[-1], int):
            length = place.path[-1]
            return _Complaint(line, place.path[:-1], f"only {length} in the list", "add what is missing")
        case "missing":
            return _Complaint(line, place.path, "missing", _add(place))
        case "extra_forbidden":
            return _unknown_key(place, line)
        case "union_tag_not_found":
            return _tag(place, tree, context, None)
        case "union_tag_invalid":
            return _tag(place, tree, context, str(context.get("tag", "")))
        case "value_error" | "assertion_error":
            said = str(context.get("error", details["msg"]))
            problem, _, mend = said.partition("; ")
            return _Complaint(line, place.path, problem, mend or _described(place))
        case code:
            said = details["msg"][:1].lower() + details["msg"][1:]
            problem, mend = _wrong_value(code, place, details["input"], said, context)
            return _Complaint(line, place.path, problem, mend)


def _add(place: Place) -> str:
    key = str(place.path[-1])
    text = f"add '{key}: {_example(place)}'"
    about = _described(place)
    return f"{text} ({about})" if about else text


def _example(place: Place) -> str:
    # A default of the list or mapping around it would be no example for one of its entries.
    return inline(example_of(place.kind, place.field if place.owner is not None else None))


def _unknown_key(place: Place, line: int) -> _Complaint:
    key = str(place.path[-1])
    allowed = list(keys_of(place.owner)) if place.owner is not None else []
    meant = suggest(key, allowed)
    if meant is not None:
        return _Complaint(line, place.path, "unknown key", f"did you mean {meant}?", (*place.path[:-1], meant))
    return _Complaint(line, place.path, "unknown key", f"allowed here: {one_of(allowed)}" if allowed else "delete it")


def _tag(place: Place, tree: Tree, context: dict[str, Any], given: str | None) -> _Complaint:
    key = str(context.get("discriminator", "type")).strip("'")
    tags = [tag for member in place.kind.members if member.model for tag in _choices_of(member, key)]
    path = (*place.path, key)
    if given is None:
        return _Complaint(
            tree.line(path), path, "missing", f"add '{key}: {tags[0] if tags else '...'}'; one of: {one_of(tags)}"
        )
    meant = suggest(given, tags)
    mend = f"did you mean {meant}?" if meant else f"use one of: {one_of(tags)}"
    return _Complaint(tree.line(path), path, f"{_show(given)} is not allowed", mend)


def _choices_of(member: Kind, key: str) -> list[str]:
    assert member.model is not None
    field = keys_of(member.model).get(key)
    return [] if field is None else [str(choice) for choice in Kind(field.annotation).choices]


def _wrong_value(code: str, place: Place, given: Any, said: str, context: dict[str, Any]) -> tuple[str, str]:
    """Problem and mend for a key that is known and present."""
    kind = place.kind
    shown = _hidden(place, given)
    if place.is_key:
        return f"not a usable key ({said})", "rename it"
    if kind.choices:
        meant = suggest(str(given), [str(choice) for choice in kind.choices])
        return f"{shown} is not allowed", f"did you mean {meant}?" if meant else f"use one of: {one_of(kind.choices)}"
    if code.startswith(("greater_than", "less_than")):
        return f"{shown} is out of bounds", f"write {_between(context, kind)}"
    if code == "string_pattern_mismatch":
        return f"{shown} does not fit", f"write text of the form {context['pattern']}"
    if code in ("too_long", "too_short"):
        bound = f"at most {context['max_length']}" if code == "too_long" else f"at least {context['min_length']}"
        return f"{context['actual_length']} entries", f"write {bound}"
    for prefix, expected in _EXPECTED:
        if code.startswith(prefix):
            return f"expected {expected}, got {shown}", _instead(prefix, place, given)
    return f"{shown}: {said}", _described(place)


_EXPECTED = (
    ("int", "a whole number"),
    ("float", "a number"),
    ("finite_number", "a number"),
    ("string_type", "text"),
    ("bool", "true or false"),
    ("list", "a list"),
    ("tuple", "a list"),
    ("set", "a list"),
    ("dict", "keys with values"),
    ("model", "keys with values"),
    ("mapping", "keys with values"),
)


def _instead(prefix: str, place: Place, given: Any) -> str:
    """What to write where a value has the wrong type."""
    if prefix == "string_type" and isinstance(given, (int, float)):
        return "put it in quotes"
    if prefix == "bool" and isinstance(given, str) and given in _WORDS:
        return f"write {_WORDS[given]}"
    if prefix == "int" and isinstance(given, str) and re.fullmatch(r"0[0-9]+", given):
        return f"write {given.lstrip('0') or '0'}, without the leading zero"
    if prefix in ("dict", "model", "mapping"):
        return "write 'KEY: VALUE' lines below it, indented"
    if prefix in ("list", "tuple", "set"):
        return "write [A, B], or lines that begin with '- '"
    return f"write for example {_example(place)}"


def _between(context: dict[str, Any], kind: Kind) -> str:
    """Both bounds of a number, though the error names only the one that was crossed."""
    low, high, above, below = (context.get(name, kind.bound(name)) for name in ("ge", "le", "gt", "lt"))
    parts = [
        f"at least {low:.12g}" if low is not None else f"more than {above:.12g}" if above is not None else "",
        f"at most {high:.12g}" if high is not None else f"less than {below:.12g}" if below is not None else "",
    ]
    return "a number of " + " and ".join(part for part in parts if part)


def _hidden(place: Place, given: Any) -> str:
    return "a value that is not shown here" if _is_secret(place) else _show(given)


def _is_secret(place: Place) -> bool:
    return place.kind.secret or any(_SECRET_NAME.search(str(part)) for part in place.path[-1:])


def _show(given: Any) -> str:
    match given:
        case None:
            return "nothing"
        case bool() | int() | float():
            return write_scalar(given)
        case str():
            return shorten(repr(given), VALUE_CHARS_MAX)
        case list():
            return "a list"
        case _:
            return "a mapping"


def _described(place: Place) -> str:
    return (place.field.description or "") if place.field is not None else ""
