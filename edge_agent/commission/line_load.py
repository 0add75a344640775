"""How long a serial line is busy with what is asked on it. Pure.

A character is a start bit, eight data bits, parity and stop bits; each frame is followed by silence of 3.5 characters,
at least 1.75 ms beyond 19200 baud (Modbus over Serial Line V1.02, 2.5.1.1).
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.config import ModbusRtuConfig
from edge_agent.read.planner import Request
from edge_agent.read.poller import PollPlan

REQUEST_BYTES = 8
ANSWER_BYTES = 5
"""Of an answer, beside its registers: unit, function, count, and two of checksum."""
SILENCE_CHARACTERS = 3.5
SILENCE_MIN_S = 0.00175
SILENCE_MIN_BEYOND_BAUD = 19_200
TURNAROUND_S = 0.02
"""What a device commonly takes to think before it answers; the manuals of slow ones say up to 0.1 s."""


def character_s(line: ModbusRtuConfig) -> float:
    """How long one character takes."""
    return (1 + 8 + (line.parity != "N") + line.stop_bits) / line.baud


def request_s(request: Request, line: ModbusRtuConfig) -> float:
    """How long the line is taken by a request and its answer, from a device that answers at once."""
    one_s = character_s(line)
    silence_s = SILENCE_CHARACTERS * one_s
    if line.baud > SILENCE_MIN_BEYOND_BAUD:
        silence_s = max(SILENCE_MIN_S, silence_s)
    return (REQUEST_BYTES + ANSWER_BYTES + 2 * request.count) * one_s + 2 * silence_s


def share(plans: Iterable[PollPlan], line: ModbusRtuConfig, *, turnaround_s: float) -> float:
    """The part of all time that the line is busy; more than 1 cannot be."""
    return sum(
        (request_s(request, line) + turnaround_s) * 1000 / plan.poll.every_ms
        for plan in plans
        for request in plan.requests
    )


def round_s(plans: Iterable[PollPlan], line: ModbusRtuConfig, *, turnaround_s: float) -> float:
    """How long it takes to ask for everything once, as when all groups fall due together."""
    return sum(request_s(request, line) + turnaround_s for plan in plans for request in plan.requests)
