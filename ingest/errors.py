"""The errors of ingest, each an instruction to its caller.

IngestError
├── NoRoom   dead letters are full or cannot be written: do not acknowledge, try again later
└── Fatal    stop, and tell the person who can mend it
"""

from __future__ import annotations


class IngestError(Exception):
    """Root of the errors of ingest."""


class NoRoom(IngestError):
    """What must be kept cannot be kept now."""


class Fatal(IngestError):
    """The worker cannot go on; the message is one line that says what to do."""
