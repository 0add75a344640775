"""What a unit makes of a request: function and data of its answer, what it shows in it, and what happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulators import chance
from simulators.devices.unit import ILLEGAL_VALUE, Unit
from simulators.parts.fault import Fault
from simulators.truth.rows import Shown

READ_PDU_BYTES = 5
_READS = (3, 4)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is to leave (nothing, if `frame` is empty), and what the record is told.

    With a `reason` no value reaches anybody, and what was `asked` is noted with it; else the `fields` are.
    """

    frame: bytes
    fields: tuple[Shown, ...] = ()
    asked: str = ""
    reason: str | None = None


def reply(unit: Unit, pdu: bytes, t_ms: int, *, framed: Callable[[int, bytes], bytes]) -> Reply:
    """The answer of `unit` at `t_ms` to the function and data `pdu`; `framed` puts a unit id and a frame around one."""
    function, whole = pdu[0], len(pdu) == READ_PDU_BYTES
    address = int.from_bytes(pdu[1:3], "big") if whole else 0
    count = int.from_bytes(pdu[3:5], "big") if whole else 1
    asked = f"function {function} address {address} count {count}"
    declined = unit.decline(function, address, count, t_ms)
    code, reason, fields = None, None, list[Shown]()
    if declined is not None:
        code, reason = declined.code, declined.reason
        if code is None:
            return Reply(b"", asked=asked, reason=reason)
    elif not whole and function in _READS:
        code, reason = ILLEGAL_VALUE, "a request that is too short or too long"
    if code is not None:
        answer = bytes((function | 0x80, code))
    else:
        words, fields = unit.answer(function, address, count, t_ms)
        answer = bytes((function, 2 * count)) + b"".join(word.to_bytes(2, "big") for word in words)
    sound = framed(unit.unit_id, answer)
    fault = unit.spoiling(t_ms)
    if fault is not None:
        frame, how = _spoilt(unit, fault, sound, answer, t_ms, framed)
        if frame != sound:
            return Reply(frame, asked=asked, reason=how)
    return Reply(sound, tuple(fields), asked, reason)


def _spoilt(
    unit: Unit, fault: Fault, sound: bytes, answer: bytes, t_ms: int, framed: Callable[[int, bytes], bytes]
) -> tuple[bytes, str]:
    if fault.what == "torn":
        return sound[: fault.after_bytes], f"torn after {fault.after_bytes} bytes"
    if fault.what == "wrong_unit":
        stands = unit.unit_id if fault.answers_as is None else fault.answers_as
        return framed(stands, answer), f"answered as unit {stands}"
    of = chance.key(t_ms, unit.device, "garbage")
    return bytes(int(256 * chance.unit(of, n)) for n in range(fault.garbage_bytes)), "garbage"
