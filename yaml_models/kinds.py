"""What a pydantic model says about its own keys: read once here for error lines, samples and the search for a place."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_MAPPINGS: tuple[Any, ...] = (dict, Mapping)
_LISTS: tuple[Any, ...] = (list, tuple, set, frozenset, Sequence)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type as it stands in an annotation, without `| None`, with the constraints that were attached to it."""

    type: Any
    metadata: tuple[Any, ...] = ()
    optional: bool = False

    @property
    def model(self) -> type[BaseModel] | None:
        """The model, where the value is one."""
        return self.type if isinstance(self.type, type) and issubclass(self.type, BaseModel) else None

    @property
    def members(self) -> tuple[Kind, ...]:
        """The alternatives of a union of two or more; empty for everything else."""
        return tuple(kind_of(arg) for arg in get_args(self.type)) if _is_union(self.type) else ()

    @property
    def is_mapping(self) -> bool:
        """Whether the person chooses the keys."""
        return (get_origin(self.type) or self.type) in _MAPPINGS

    @property
    def is_list(self) -> bool:
        """Whether it is written as a list."""
        return (get_origin(self.type) or self.type) in _LISTS

    @property
    def choices(self) -> tuple[Any, ...]:
        """The allowed values of an enumeration or a Literal, in their order; empty for everything else."""
        if isinstance(self.type, type) and issubclass(self.type, Enum):
            return tuple(member.value for member in self.type)
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    def entry(self, index: int = 0) -> Kind:
        """The kind of a value inside a mapping or list; `index` matters for a tuple of fixed length only."""
        args = get_args(self.type)
        if not args:
            return Kind(Any)
        if self.is_mapping:
            return kind_of(args[-1])
        fixed = get_origin(self.type) is tuple and Ellipsis not in args
        return kind_of(args[min(index, len(args) - 1)] if fixed else args[0])

    def bound(self, name: str) -> Any:
        """The constraint `name` (ge, gt, le, lt, pattern, min_length, ...), or None."""
        for item in self.metadata:
            value = getattr(item, name, None)
            if value is not None:
                return value
        return None

    @property
    def secret(self) -> bool:
        """Whether the value must never be shown."""
        return self.type is SecretStr


def kind_of(annotation: Any, metadata: Sequence[Any] = ()) -> Kind:
    """Read an annotation: aliases and Annotated are opened, `| None` becomes `optional`, a RootModel its root."""
    found = tuple(metadata)
    optional = False
    while True:
        if hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        elif get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            found += tuple(_constraints(more))
        elif _is_union(annotation) and type(None) in get_args(annotation):
            optional = True
            annotation = Union[tuple(arg for arg in get_args(annotation) if arg is not type(None))]  # noqa: UP007
        elif isinstance(annotation, type) and issubclass(annotation, RootModel):
            root = annotation.model_fields["root"]
            annotation, found = root.annotation, (*found, *root.metadata)
        else:
            return Kind(annotation, found, optional)


def kind_of_field(field: FieldInfo) -> Kind:
    """The kind of a model's field."""
    return kind_of(field.annotation, field.metadata)


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of `model` as they are written in a file, in the model's order."""
    return {_written(name, field): field for name, field in model.model_fields.items()}


def default_of(field: FieldInfo) -> Any:
    """The default of a key, or PydanticUndefined where there is none that can be shown."""
    if field.is_required() or field.default_factory is not None:
        return PydanticUndefined
    return field.default


def _written(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias or field.alias
    return alias if isinstance(alias, str) else name


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _constraints(metadata: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in metadata:
        flat.extend(item.metadata if isinstance(item, FieldInfo) else [item])
    return flat
