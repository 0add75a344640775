"""Shares of a story told by processes of their own. A pipe holds back whoever is ahead, so memory stays bounded."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

from simulators.load_scenario import Loaded
from simulators.story.calendar import Calendar
from simulators.story.shares import DayTold, Share, Teller, What


class WorkerDied(Exception):
    """A process that told a share is gone."""


@contextmanager
def tellers(
    loaded: Loaded, found: Sequence[Share], calendar: Calendar, what: What, numbers: range
) -> Iterator[list[Iterator[DayTold]]]:
    """For each share what it tells, day by day. One share is told here; several each in a process of its own."""
    if len(found) == 1:
        yield [Teller(loaded=loaded, share=found[0], calendar=calendar, what=what).days(numbers)]
        return
    context = multiprocessing.get_context("spawn")
    processes, ends = [], []
    with _deaf():
        for n, share in enumerate(found):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (theirs, loaded, share, calendar, what, numbers)
            process = context.Process(target=_tell, args=arguments, name=f"share {n}", daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            ends.append(ours)
    try:
        yield [_heard(end, len(numbers)) for end in ends]
    finally:
        for end in ends:
            end.close()
        for process in processes:
            process.terminate()
            process.join()


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes started here do not hear Ctrl-C: it is meant for the one that writes, which then ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _heard(end: Connection, number: int) -> Iterator[DayTold]:
    for _ in range(number):
        try:
            told = end.recv()
        except EOFError:
            raise WorkerDied(
                "a process that tells a share of the story has died; run again, with --workers 1"
            ) from None
        if isinstance(told, str):
            raise WorkerDied(told)
        yield told


def _tell(end: Connection, loaded: Loaded, share: Share, calendar: Calendar, what: What, numbers: range) -> None:
    """What a process does: a day after the other, until nobody listens."""
    try:
        for told in Teller(loaded=loaded, share=share, calendar=calendar, what=what).days(numbers):
            end.send(told)
    except BrokenPipeError:
        return
    except Exception as error:
        end.send(f"{type(error).__name__}: {' '.join(str(error).split())}")
