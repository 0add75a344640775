"""A stamp is the time of its request: a connection that takes its time must not make it a lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_agent.ports import Answer, Ask, Talk
from edge_agent.read.conversation import answer_each, carry, said
from tests.twins.loop import run_virtual

ASK = Ask(unit=1, table="input", address=0, count=1, timeout_s=1.0)


class Line:
    """A connection that answers after a while, and notes when it was asked; it may go away before a request."""

    def __init__(self, *, good_for: int = 1000) -> None:
        self.good_for = good_for
        self.asked_s: list[float] = []

    async def carry(self, talk: Talk, ask: Ask | None, asked: Callable[[], None]) -> Ask | None:
        while ask is not None and self.good_for:
            self.good_for -= 1
            asked()
            self.asked_s.append(now_s())
            await asyncio.sleep(0.25)
            ask = said(talk, [7])
        return ask


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_a_request_that_waited_for_its_connection_is_told_of_when_it_leaves_and_costs_no_reading() -> None:
    async def main() -> None:
        line, told, answers = Line(), list[float](), list[Answer]()

        def talk() -> Talk:
            for _ in range(3):
                answers.append((yield ASK))

        async def connected() -> Line:
            if not answers:
                await asyncio.sleep(2.5)
            return line

        await carry(talk(), connected, lambda: told.append(now_s()))
        assert answers == [[7]] * 3
        assert told == line.asked_s == [2.5, 2.75, 3.0]

    run_virtual(main())


def test_a_request_that_met_no_connection_is_told_of_when_it_is_made_and_not_before() -> None:
    async def main() -> None:
        lines, told, answers = [Line(good_for=1), Line(good_for=0), Line()], list[float](), list[Answer]()
        rest = iter(lines)

        def talk() -> Talk:
            for _ in range(2):
                answers.append((yield ASK))

        async def connected() -> Line:
            await asyncio.sleep(1.0)
            return next(rest)

        await carry(talk(), connected, lambda: told.append(now_s()))
        assert answers == [[7], [7]]
        assert told == [*lines[0].asked_s, *lines[2].asked_s] == [1.0, 3.25]

    run_virtual(main())


def test_on_a_line_that_takes_each_request_by_itself_each_is_told_of_before_it_is_answered() -> None:
    async def main() -> None:
        told = list[float]()

        async def answer(ask: Ask) -> Answer:
            await asyncio.sleep(0.5)
            return [now_s()]  # type: ignore[list-item]  # when it was answered

        answers = list[Answer]()

        def talk() -> Talk:
            for _ in range(2):
                answers.append((yield ASK))

        await answer_each(talk(), answer, lambda: told.append(now_s()))
        assert (told, answers) == ([0.0, 0.5], [[0.5], [1.0]])

    run_virtual(main())
