"""Text that a person wrote -> a model, or one line that says which key is wrong and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from yaml_models.bad_file import BadFile
from yaml_models.explain import explain
from yaml_models.places import locate
from yaml_models.tree import NESTING_MAX, Path, Tree, dotted, read_tree

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[M]):
    """A model and the lines that its keys came from, for checks that a schema cannot make."""

    model: M
    file: str
    lines: Mapping[str, int]
    """Dotted key -> line."""

    def bad(self, key: str, problem: str, mend: str) -> BadFile:
        """A complaint about `key`, at its line or at that of the nearest key around it."""
        at = key
        while at and at not in self.lines:
            at = at[: max(at.rfind("."), at.rfind("["), 0)]
        return BadFile(self.file, self.lines.get(at, 1), key, problem, mend)


def parse(text: str, model: type[M], *, file: str) -> M:
    """Read `text` as `model`. `file` is only a name for the message. Raises BadFile, and nothing else."""
    return parse_with_lines(text, model, file=file).model


def parse_with_lines(text: str, model: type[M], *, file: str) -> Parsed[M]:
    """As `parse`, keeping the line of each key."""
    tree = read_tree(text, file=file)
    return Parsed(_validate(tree, model, file), file, _by_dotted_key(tree.lines))


def _validate(tree: Tree, model: type[M], file: str) -> M:
    for _ in range(NESTING_MAX):
        try:
            # By way of JSON: pydantic's strict JSON mode takes a list for a tuple and a word for an enumeration, as a
            # file must, but never "yes" for true or "5" for 5, as its lax mode would.
            return model.model_validate_json(json.dumps(tree.data), strict=True)
        except ValidationError as error:
            if not _fill_empty_sections(error, model, tree):
                raise explain(error, model, tree, file=file) from None
    raise AssertionError("every round fills sections one level deeper, and the levels are bounded")


def _fill_empty_sections(error: ValidationError, model: type[BaseModel], tree: Tree) -> bool:
    """A section whose every line is commented out reads as null, but means: all defaults."""
    filled = False
    for details in error.errors(include_url=False):
        empty = _EMPTY.get(details["type"])
        path = locate(model, details["loc"]).path
        if empty is not None and details["input"] is None and path:
            _at(tree.data, path[:-1])[path[-1]] = empty()
            filled = True
    return filled


_EMPTY: dict[str, type[dict[str, Any]] | type[list[Any]]] = {
    "model_type": dict,
    "model_attributes_type": dict,
    "dict_type": dict,
    "list_type": list,
    "tuple_type": list,
}


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _by_dotted_key(lines: Mapping[Path, int]) -> dict[str, int]:
    return {dotted(path): line for path, line in lines.items()}
