"""Carries out what an operator commands, one after the other; each ends in finite time, and is answered."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping

from data_contract.control import REPLY_BYTES_MAX, Reply, Verb, write
from data_contract.topics import Channel
from edge_agent.keep.sealer import Sealer
from edge_agent.read.again import Again
from edge_agent.read.poller import Poller
from edge_agent.send.commands import Commands, Order
from edge_agent.send.sender import Sender

log = logging.getLogger("loopgauge.edge.obey")

FLUSH_S_MAX = 20.0
"""How long a flush waits for the cloud to confirm, in real s; what is left then goes on its way all the same."""
OBEY_S_MAX = 60.0
"""Longest time for a seal or for the devices, in real s; what has been heard by then is the answer."""
GOODBYE_S_MAX, GOODBYE_LOOK_S = 5.0, 0.05
"""How long a restart waits until its answer is at the broker, in real s."""
HEAD_BYTES_MAX = 1024
"""What an answer takes beside the devices: at most 600 bytes, see `Reply`."""


class Obeyer:
    """`stop`: set by a restart; `promise`: told before each wait how long it may take at most, in real s. All else
    belongs to the running agent.
    """

    def __init__(
        self,
        *,
        commands: Commands,
        sender: Sender,
        sealer: Sealer,
        pollers: Mapping[str, Poller],
        stop: asyncio.Event,
        promise: Callable[[float], None],
    ) -> None:
        self._promise = promise
        self._commands = commands
        self._sender = sender
        self._sealer = sealer
        self._pollers = pollers
        self._stop = stop
        self.restarting = False
        """The agent stops in order to be started again."""

    async def run(self) -> None:
        """Obey until cancelled."""
        while True:
            self._promise(math.inf)
            await self._sender.commanded.wait()
            self._sender.commanded.clear()
            while (order := self._commands.next()) is not None:
                log.info("command %s, by %s", order.verb, order.command.by or "nobody named")
                self._promise(OBEY_S_MAX + FLUSH_S_MAX + GOODBYE_S_MAX)
                reply = await self._obey(order)
                log.info("command %s: %s", order.verb, reply.text)
                self._sender.say(Channel.REPLY, write(reply))
                if order.verb is Verb.RESTART:
                    await self._restart()

    async def _obey(self, order: Order) -> Reply:
        match order.verb:
            case Verb.BIRTH:
                self._sender.say_birth()
                return self._commands.reply(order, ok=True, text="published again")
            case Verb.FLUSH:
                return await self._flush(order)
            case Verb.REREAD:
                return await self._reread(order)
            case Verb.RESTART:
                return self._commands.reply(order, ok=True, text="stopping; a new run follows")

    async def _flush(self, order: Order) -> Reply:
        try:
            async with asyncio.timeout(OBEY_S_MAX):
                sealed = await self._sealer.now()
        except TimeoutError:
            text = f"not sealed within {OBEY_S_MAX:g} s: a bus or the card holds it up"
            return self._commands.reply(order, ok=False, text=text)
        if not sealed:
            return self._commands.reply(order, ok=False, text="not sealed: the spool is full")
        left = await self._sender.hurry(FLUSH_S_MAX)
        said = f"{left} still to be confirmed after {FLUSH_S_MAX:g} s" if left else "all that was sealed is confirmed"
        return self._commands.reply(order, ok=not left, text=f"sealed; {said}")

    async def _reread(self, order: Order) -> Reply:
        """Ask the devices on all buses at once; those of one bus one after the other."""
        again = Again(order.command.device)
        asked = [poller.again(again) for poller in self._pollers.values() if poller.serves(again)]
        _, late = await asyncio.wait(asked, timeout=OBEY_S_MAX) if asked else ((), ())
        for each in late:
            each.cancel()
        read, missed = again.counts
        text = f"{read} of {read + missed} fields read" + (f"; not all answers within {OBEY_S_MAX:g} s" if late else "")
        answers, left_out = again.answers(bytes_max=REPLY_BYTES_MAX - HEAD_BYTES_MAX)
        reply = self._commands.reply(order, ok=not missed and not late, text=text)
        return reply.model_copy(update={"devices": answers, "left_out": left_out})

    async def _restart(self) -> None:
        """Once the answer is on its way: the stop would not wait for it."""
        for _ in range(round(GOODBYE_S_MAX / GOODBYE_LOOK_S)):
            if self._sender.has_said:
                break
            await asyncio.sleep(GOODBYE_LOOK_S)
        self.restarting = True
        self._stop.set()
