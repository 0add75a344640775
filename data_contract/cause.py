"""The fates in which an expected reading can end. Each has evidence of its own; none is what the others leave over."""

from __future__ import annotations

from enum import StrEnum


class Missing(StrEnum):
    """Why a reading that was called for was not sampled. Counted by the gateway, batch by batch."""

    TIMEOUT = "timeout"
    """The device did not answer in time."""
    EXCEPTION = "exception"
    """The device answered that it cannot."""
    INVALID = "invalid"
    """The device answered with its mark for "no value" (NaN, a sentinel)."""
    BUS_DOWN = "bus_down"
    """The line or connection to the device was not there."""
    ASLEEP = "asleep"
    """Not asked, because the device has been silent and its next probe is not due yet."""
    OVERRUN = "overrun"
    """The bus was still busy when the slot had passed."""
    DISK_FULL = "disk_full"
    """Sampled, but the spool had no room for it."""


class Fate(StrEnum):
    """Where an expected reading is now, as the ledger tells it. The causes of `Missing` stand beside these."""

    STORED = "stored"
    """A receipt covers its batch and the row is in the store."""
    REJECTED = "rejected"
    """Counted in the receipt, and kept as a dead letter."""
    EVICTED = "evicted"
    """A digest stands in for its batch."""
    SET_ASIDE = "set_aside"
    """The gateway stopped offering it, or the cloud parks the gateway's board."""
    PENDING = "pending"
    """Still in the spool when the gateway was last heard."""
    SILENT = "silent"
    """After the last message heard from the gateway."""
    LOST = "lost"
    """The spool was damaged, or an operator closed the run of a card that was replaced."""
    UNSEALED = "unsealed"
    """Sampled after the last seal of a run that did not stop cleanly."""
    DOWN = "down"
    """No agent ran."""
    UNEXPLAINED = "unexplained"
    """No evidence at all. The audit fails."""
