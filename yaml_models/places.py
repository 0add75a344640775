"""Where in the file a pydantic error is: its location names union members too, which nobody wrote."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from yaml_models.kinds import Kind, keys_of, kind_of, kind_of_field
from yaml_models.tree import Path

KEY_LABEL = "[key]"
"""pydantic's mark for: the key itself is wrong, not its value."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value of the file (or a key that is missing or unknown there) and what the model knows of it."""

    path: Path
    kind: Kind
    owner: type[BaseModel] | None = None
    """The model whose key it is, also for a key that this model does not have."""
    field: FieldInfo | None = None
    is_key: bool = False
    """Whether the key itself is meant."""


def locate(model: type[BaseModel], loc: Path) -> Place:
    """Follow `loc` of an error of `model` through the types."""
    place = Place((), kind_of(model))
    for part in loc:
        place = _step(place, part)
    return place


def _step(at: Place, part: str | int) -> Place:
    if part == KEY_LABEL:
        return Place(at.path, at.kind, at.owner, at.field, is_key=True)
    if at.kind.members:
        return Place(at.path, _member(at.kind, str(part)), at.owner, at.field)
    path = (*at.path, part)
    model = at.kind.model
    if model is not None:
        field = keys_of(model).get(str(part)) or model.model_fields.get(str(part))
        return Place(path, kind_of_field(field) if field else Kind(object), model, field)
    if at.kind.is_mapping or at.kind.is_list:
        return Place(path, at.kind.entry(part if isinstance(part, int) else 0), None, at.field)
    return Place(path, Kind(object), None, at.field)


def _member(union: Kind, label: str) -> Kind:
    """The alternative that pydantic calls `label`: a discriminator's value, or the name of a type."""
    for member in union.members:
        if member.model is not None and (member.model.__name__ == label or label in _tags(member.model)):
            return member
    named = [member for member in union.members if getattr(member.type, "__name__", None) == label]
    return named[0] if named else Kind(object)


def _tags(model: type[BaseModel]) -> set[str]:
    return {str(choice) for field in model.model_fields.values() for choice in kind_of_field(field).choices}
