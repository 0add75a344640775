"""A scenario whose parts fit together: what is read from a file or made by hand, rather than from a record."""

from __future__ import annotations

from typing import Self

from pydantic import ValidationError, model_validator
from pydantic_core import InitErrorDetails

from simulators import crosscheck
from simulators.scenario import Scenario


class CheckedScenario(Scenario):
    """A scenario without mistakes. Making one raises ValidationError with the place, problem and mend of each."""

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        found = [
            InitErrorDetails(type="value_error", loc=at, input=None, ctx={"error": ValueError(f"{problem}; {mend}")})
            for at, problem, mend in crosscheck.mistakes(self)
        ]
        if found:
            raise ValidationError.from_exception_data("Scenario", found)
        return self
