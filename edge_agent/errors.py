"""The errors of the agent, each an instruction to its caller. No vendor's exception crosses a port.

AgentError
├── NotConnected   try again later; nothing was lost
├── NotSampled     count these readings under `cause`
├── DiskFull       the spool took nothing; make room or count
└── Fatal          stop, and tell the person who can mend it
    └── Damaged    stop; the next start sets the spool aside and carries over what can be read
"""

from __future__ import annotations

from data_contract.cause import Missing


class AgentError(Exception):
    """Root of the agent's errors."""


class NotConnected(AgentError):
    """The link is down or went down; what was being sent may or may not have arrived."""


class NotSampled(AgentError):
    """A request brought no values."""

    def __init__(self, cause: Missing, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


class DiskFull(AgentError):
    """There is no room: the transaction was rolled back as a whole."""


class Fatal(AgentError):
    """The agent cannot go on; the message is one line that says what to do."""


class Damaged(Fatal):
    """The spool's file is not as it was written."""
