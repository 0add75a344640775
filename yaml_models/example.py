"""A value that a model would accept, for error lines and samples."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from yaml_models.kinds import Kind, default_of, keys_of, kind_of_field
from yaml_models.scalars import write_scalar


def example_of(kind: Kind, field: FieldInfo | None = None) -> Any:
    """Plain data for `kind`: the field's first example, else its default, else the least that its bounds allow."""
    if field is not None and field.examples:
        return plain(field.examples[0])
    if field is not None:
        default = default_of(field)
        if default is not PydanticUndefined and default is not None:
            return plain(default)
    if kind.choices:
        return kind.choices[0]
    if kind.members:
        return example_of(kind.members[0])
    if kind.model is not None:
        return _example_of_model(kind.model)
    if kind.is_mapping:
        return {"name": example_of(kind.entry())}
    if kind.is_list:
        return [example_of(kind.entry(i)) for i in range(_length(kind))]
    return _example_of_scalar(kind)


def plain(value: Any) -> Any:
    """A default or example as plain data: models, enumerations and tuples opened."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def inline(value: Any) -> str:
    """`value` in one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{write_scalar(key)}: {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    return write_scalar(value)


def _example_of_model(model: type[BaseModel]) -> dict[str, Any]:
    return {
        key: example_of(kind_of_field(field), field) for key, field in keys_of(model).items() if field.is_required()
    }


def _length(kind: Kind) -> int:
    args = getattr(kind.type, "__args__", ())
    fixed = getattr(kind.type, "__origin__", None) is tuple and Ellipsis not in args
    return len(args) if fixed else max(1, kind.bound("min_length") or 0)


def _example_of_scalar(kind: Kind) -> Any:
    if kind.type is bool:
        return True
    if kind.type is int:
        return _within(kind, 1)
    if kind.type is float:
        return float(_within(kind, 1))
    return "x" * max(1, kind.bound("min_length") or 0) if kind.bound("pattern") is None else "example"


def _within(kind: Kind, step: int) -> Any:
    low, high, above, below = (kind.bound(name) for name in ("ge", "le", "gt", "lt"))
    if low is not None:
        return low
    if above is not None:
        middle = (above + high) / 2 if high is not None else above + step
        return middle if kind.type is float else above + step
    if high is not None:
        return min(high, step)
    return min(below - step, step) if below is not None else step
