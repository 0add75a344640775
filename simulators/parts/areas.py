"""The tree of areas: a city, its districts, their sites, as deep as is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import Field

from simulators.parts.base import Id, PartModel


class Area(PartModel):
    """A place that parts belong to, and the places in it."""

    title: str = Field(default="", description="what people call it")
    areas: dict[Id, Area] = Field(default={}, max_length=1000, description="areas in it")


def walk(areas: Mapping[str, Area], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Area]]:
    """Every area with the names from the root to it, parents before their children."""
    for name, area in areas.items():
        yield (*at, name), area
        yield from walk(area.areas, (*at, name))


def inside(areas: Mapping[str, Area], name: str) -> frozenset[str]:
    """`name` and all areas below it."""
    return frozenset(path[-1] for path, _ in walk(areas) if name in path) | {name}
