"""A stamp is the time of its request: a connection that takes its time must not make it a lie."""

from __future__ import annotations

import asyncio

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk
from edge_agent.read.conversation import STAMP_AGE_MAX_S, carry, said
from tests.twins.loop import run_virtual

ASK = Ask(unit=1, table="input", address=0, count=1, timeout_s=1.0)


class Line:
    """A connection that answers at once, and notes when it was asked."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    async def carry(self, talk: Talk, ask: Ask | None) -> Ask | None:
        while ask is not None:
            self.asked_s.append(asyncio.get_running_loop().time())
            ask = said(talk, [7])
        return None


def test_a_request_that_waited_for_its_connection_is_missed_and_the_next_one_is_made() -> None:
    async def main() -> None:
        line, stamps, answers = Line(), list[float](), list[Answer]()

        def talk() -> Talk:
            for _ in range(3):
                stamps.append(asyncio.get_running_loop().time())
                answers.append((yield ASK))

        async def connected() -> Line:
            if not stamps[1:]:
                await asyncio.sleep(STAMP_AGE_MAX_S + 0.5)
            return line

        await carry(talk(), connected)
        assert isinstance(answers[0], NotSampled)
        assert answers[0].cause is Missing.BUS_DOWN
        assert answers[1:] == [[7], [7]]
        assert line.asked_s == stamps[1:]

    run_virtual(main())


def test_a_connection_that_is_made_at_once_costs_no_reading() -> None:
    async def main() -> None:
        answers = list[Answer]()

        def talk() -> Talk:
            answers.append((yield ASK))

        async def connected() -> Line:
            await asyncio.sleep(STAMP_AGE_MAX_S - 0.1)
            return Line()

        await carry(talk(), connected)
        assert answers == [[7]]

    run_virtual(main())
