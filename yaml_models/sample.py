"""A model -> a commented YAML file that this model reads: the configuration's documentation cannot drift from it.

Required keys stand there with an example; every other key stands behind a `#` with its default. Deleting that `#`
leaves a file that still reads.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from yaml_models.example import example_of, inline, plain
from yaml_models.kinds import Kind, default_of, keys_of, kind_of_field
from yaml_models.scalars import write_scalar

COLUMNS_MAX = 110
"""Width of a comment line."""


def sample(model: type[BaseModel], given: Mapping[str, Any] | None = None) -> str:
    """A commented sample of `model`. `given` holds values to show in place of examples, nested as in the file."""
    lines = [*_comment(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0]), ""]
    lines += _model(model, dict(given or {}))
    return "\n".join(lines).strip() + "\n"


def _model(model: type[BaseModel], given: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, field in keys_of(model).items():
        kind = kind_of_field(field)
        lines += _comment(_about(field, kind))
        if key in given:
            lines += _entry(key, kind, plain(given[key]))
        elif field.is_required():
            lines += _entry(key, kind, _example(kind, field))
        else:
            lines += [f"#{line}" for line in _entry(key, kind, _default(kind, field))]
    return lines


def _example(kind: Kind, field: FieldInfo) -> Any:
    """As `example_of`, but where entries may be of several kinds, one of each."""
    members = kind.entry().members if kind.is_mapping and not field.examples else ()
    named = {member.model.__name__.lower(): example_of(member) for member in members if member.model is not None}
    return named or example_of(kind, field)


def _default(kind: Kind, field: FieldInfo) -> Any:
    default = default_of(field)
    return example_of(kind, field) if default is None else plain(field.get_default(call_default_factory=True))


def _about(field: FieldInfo, kind: Kind) -> str:
    about = field.description or ""
    if kind.choices:
        about += f" [{' | '.join(str(choice) for choice in kind.choices)}]"
    if field.is_required():
        return f"{about} (required)".strip()
    said = default_of(field) is not None or "default" in about
    return about.strip() if said else f"{about} (no default)".strip()


def _entry(key: str, kind: Kind, value: Any) -> list[str]:
    """`key` and its value, as lines without indentation of their own."""
    name = write_scalar(key)
    member = _member(kind, value)
    if member.model is not None and isinstance(value, dict):
        return [f"{name}:", *_indented(_model(member.model, value) or ["{}"])]
    if isinstance(value, dict) and value and _nests(member):
        return [f"{name}:", *_indented([line for k, v in value.items() for line in _entry(k, member.entry(), v)])]
    if isinstance(value, list) and value and _nests(member):
        return [f"{name}:", *_indented([line for item in value for line in _item(member.entry(), item)])]
    return [f"{name}: {inline(value)}"]


def _item(kind: Kind, value: Any) -> list[str]:
    model = _member(kind, value).model
    if model is None or not isinstance(value, dict):
        return [f"- {inline(value)}"]
    return ["-", *_indented(_model(model, value))]


def _nests(kind: Kind) -> bool:
    if not (kind.is_mapping or kind.is_list):
        return False
    entry = kind.entry()
    return entry.model is not None or any(member.model for member in entry.members) or _nests(entry)


def _member(kind: Kind, value: Any) -> Kind:
    """The alternative of a union that `value` was written for: all of its tags agree."""
    for member in kind.members:
        if member.model is not None and isinstance(value, dict) and _agrees(member.model, value):
            return member
    return kind


def _agrees(model: type[BaseModel], value: Mapping[str, Any]) -> bool:
    keys = keys_of(model)
    tags = {key: choices for key, field in keys.items() if (choices := kind_of_field(field).choices)}
    return set(value) <= set(keys) and all(value[key] in tags[key] for key in tags if key in value)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), COLUMNS_MAX)] if text else []


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
