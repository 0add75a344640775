"""What the cloud itself says about a gateway, for the audit: a run was closed by an operator, a board is parked.

These are events beside those that gateways record. Their kinds bear a hyphen, so that no record of a gateway can pass
for one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CLOSED, PARKED = "cloud-closed", "cloud-parked"
"""Kinds of events."""
DROPPED = "dropped"
"""Beginning of the reason for which a gateway offers batches no more: an operator has deleted them there."""
RUN_CHARS = 8
REASON_CHARS_MAX = 200
WHO_CHARS_MAX = 64


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Closed(_Model):
    """An operator's word that nothing more comes of a run: its card was replaced or lost. The newest word holds.

    RUN_CHARS of the run's id are enough; the audit prints so many.
    """

    run: Annotated[str, Field(pattern=r"^[0-9a-f]{8,32}$")]
    reason: Annotated[str, Field(max_length=REASON_CHARS_MAX)] = ""
    by: Annotated[str, Field(max_length=WHO_CHARS_MAX)] = ""
    reopened: bool = False
    """The word is taken back."""


class Parked(_Model):
    """A board under a name that another one bears: nothing of it is acknowledged until a person allows it."""

    board: str
    allowed: bool = False
    by: Annotated[str, Field(max_length=WHO_CHARS_MAX)] = ""
