"""Fetches conversions in a thread of its own, so that no look at a pin, and no clock pulse, lasts as long as the world.

A reader measures its pulses. If a pulse had to wait for another process, each frame on a busy machine would look like
one that a chip must not be believed on.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from simulators.chips.sensed import Pending, Sense, Sensed


class Ahead:
    """What a load cell gives, asked for when a conversion ends and given once it is there."""

    def __init__(self, sense: Sense) -> None:
        self._sense = sense
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="conversion")
        self._asked: tuple[int, Future[Sensed | None]] | None = None

    def sense(self, chosen: int) -> Sensed | Pending | None:
        """The conversion of the input `chosen`, or UNDER_WAY; one that was asked of another input is not given."""
        if self._asked is not None:
            asked, coming = self._asked
            if not coming.done():
                return Pending.UNDER_WAY
            self._asked = None
            if asked == chosen:
                return coming.result()
        self._asked = chosen, self._thread.submit(self._sense, chosen)
        return Pending.UNDER_WAY

    def close(self) -> None:
        """Let the thread go, once it has what it asks for."""
        self._thread.shutdown(wait=False)
