"""What rollups have seen, as a person and as a script read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from delivery_audit.arrivals import HOUR_MS, DeviceHour, Seen
from delivery_audit.history import utc

MEND = "is `loopgauge rollup run` running, does it reach this store, does it keep up?"
"""What to look at where rollups are behind."""
MEND_HIDDEN = "stop rollups, `loopgauge rollup recompute --since {utc}Z`, start them"
"""How to have an hour computed that was passed over."""

Range = tuple[str, int, int]
"""(device, from, to) in ms UTC, whole hours."""


def ranges(hours: Iterable[DeviceHour]) -> list[Range]:
    """Hours of devices, those that follow each other joined."""
    found: list[Range] = []
    for device, from_ms in sorted(hours):
        if found and found[-1][0] == device and found[-1][2] == from_ms:
            found[-1] = (device, found[-1][1], from_ms + HOUR_MS)
        else:
            found.append((device, from_ms, from_ms + HOUR_MS))
    return found


def headline(seen: Seen, time: Callable[[int], str]) -> str:
    """One sentence: how far rollups are."""
    if seen.ran is None:
        return f"rollups: cannot be asked: {seen.why}"
    if not seen.ran:
        return "rollups never ran here: there are no hours, days or indicators; `loopgauge rollup run` makes them"
    where = f"rollups have worked in what was stored up to {time(seen.to_ms)}" if seen.to_ms else "rollups have begun"
    if seen.at_fault:
        return f"{where}: THEY HAVE NOT SEEN ALL"
    return f"{where}{', the rest is on its way' if seen.waiting else ''}"


def lines(seen: Seen, time: Callable[[int], str]) -> Iterator[str]:
    """What they have not seen, by day."""
    for waiting in seen.waiting:
        late = f"; longer than {seen.wait_ms_max // 60_000} min: {MEND}" if seen.late(waiting) else ""
        amount = f"{waiting.readings} readings in {waiting.batches} batches"
        yield f"{waiting.day}  {amount} stored, not yet seen by rollups, since {time(waiting.since_ms)}{late}"
    for device, from_ms, to_ms in ranges(seen.hidden):
        mend = MEND_HIDDEN.format(utc=utc(from_ms).replace(" ", "T"))
        yield f"{time(from_ms)} to {time(to_ms)}  {device}  stored, passed over by rollups: {mend}"
    if seen.unchecked:
        yield f"{seen.unchecked} more hours of devices have no row, and were not looked at"


def summarised(seen: Seen, time: Callable[[int], str]) -> Iterator[str]:
    """The hours of each device of which digests tell."""
    for device, from_ms, to_ms in ranges(seen.summarised):
        yield f"{time(from_ms)} to {time(to_ms)}  {device}  {(to_ms - from_ms) // HOUR_MS} h"


def as_json(seen: Seen | None) -> dict[str, Any] | None:
    """The same for scripts; None where nobody asked."""
    if seen is None:
        return None
    return {
        "ran": seen.ran,
        "why": seen.why,
        "to_ms": seen.to_ms,
        "wait_ms_max": seen.wait_ms_max,
        "at_fault": seen.at_fault,
        "waiting": [
            {
                "day": waiting.day,
                "batches": waiting.batches,
                "readings": waiting.readings,
                "since_ms": waiting.since_ms,
                "late": seen.late(waiting),
            }
            for waiting in seen.waiting
        ],
        "passed_over": _spans(seen.hidden),
        "unchecked_hours": seen.unchecked,
        "summarised": _spans(seen.summarised),
    }


def _spans(hours: Iterable[DeviceHour]) -> list[dict[str, Any]]:
    return [{"device": device, "from_ms": from_ms, "to_ms": to_ms} for device, from_ms, to_ms in ranges(hours)]
