"""Waiting for what many small events bring about together, such as thousands of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOK_S = 0.01


async def until(ready: Callable[[], bool], within_s: float) -> bool:
    """Look again and again until `ready`, for `within_s` at most; whether it was in time."""
    now_s = asyncio.get_running_loop().time
    end_s = now_s() + within_s
    while not (done := ready()) and now_s() < end_s:  # noqa: ASYNC110  # no one of the events knows that it is the last
        await asyncio.sleep(LOOK_S)
    return done
