"""What an indicator is: a ratio of two sums, with its name, formula, source and targets. Data only; figures.py
computes it.

It is a ratio of sums and never an average of ratios: an hour in which hardly anything flowed must not weigh as much
as a full one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Titles(_Model):
    """A name or a sentence in English and in Chinese."""

    en: str
    zh: str


class Term(_Model):
    """What the meters of one role counted: the sum of the differences of a totaliser."""

    role: Id
    delta: Id = Field(description="the totaliser's field; an asset may say that its device calls it otherwise")


class Baseline(_Model):
    """Where an area stood when it promised."""

    value: float
    year: Annotated[int, Field(ge=1990, le=2100)]


class Target(_Model):
    """What an area has promised, or what is usual. A target with a `year` is one for that whole year."""

    area: str | None = Field(default=None, description="area id; left out: for every area without a target of its own")
    value: float
    year: Annotated[int, Field(ge=1990, le=2100)] | None = None
    sense: Literal["at_least", "at_most"]
    nature: Literal["binding", "expected", "unstated", "reference"] = Field(
        default="unstated", description="binding or expected as the plan says it; reference: nobody promised it"
    )
    department: str = Field(default="", description="who answers for it, where the plan names one")
    baseline: Baseline | None = None
    source: str
    note: Titles | None = Field(default=None, description="what a reader must know, as where a plan contradicts itself")


class Indicator(_Model):
    """One indicator. `version` rises with every change that can change a figure."""

    version: Annotated[int, Field(ge=1)]
    title: Titles
    unit: str = Field(description="UCUM code of the value")
    sign: str = Field(description="the unit as people write it")
    decimals: Annotated[int, Field(ge=0, le=9)] = 2
    formula: Titles
    source: str
    note: Titles | None = Field(default=None, description="what a reader must know of all its figures")
    numerator: tuple[Term, ...]
    denominator: tuple[Term, ...]
    amount: tuple[str, str] = Field(description="UCUM codes of the two sums")
    factor: float = 1.0
    targets: tuple[Target, ...] = ()

    def target(self, area: str) -> Target | None:
        """The area's own target, the latest where there are several, else the reference."""
        own = [target for target in self.targets if target.area == area]
        open_to_all = [target for target in self.targets if target.area is None]
        found = own or open_to_all
        return max(found, key=lambda target: target.year or 0) if found else None

    @property
    def terms(self) -> tuple[Term, ...]:
        """All terms of both sums, each once."""
        return tuple(dict.fromkeys(self.numerator + self.denominator))


class Catalog(_Model):
    """indicators.yaml."""

    totals: frozenset[Id] = Field(
        default=frozenset(), description="fields that are totals although no indicator counts them"
    )
    indicators: dict[Id, Indicator]

    def counters(self) -> frozenset[str]:
        """Every field whose differences mean something, by the name that an indicator or `totals` gives it."""
        return self.totals | {term.delta for entry in self.indicators.values() for term in entry.terms}


def met(target: Target, value: float) -> bool:
    """Whether a value reaches the target."""
    return value >= target.value if target.sense == "at_least" else value <= target.value


def rule_of(indicator_id: str, catalog: Mapping[str, Indicator]) -> str:
    """The rule's name with its version, as figures carry it."""
    return f"{indicator_id}@{catalog[indicator_id].version}"
