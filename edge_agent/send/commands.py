"""Which commands a gateway obeys. Pure: it only admits or refuses, and says so; `edge_agent.obey` carries them out.

Who may command is decided by the broker's access list. Here is decided what of it is fresh, in bounds and known:

    heard ──► of this run, and `n` above all before ──► not too many, known verb and device, room ──► waiting
      │                 │ no                                    │ no
      └── retained ─────┴──────────── refused: counted, logged, answered ◄──────┘

A number is used up by the first command that bears it, whether that was obeyed or not: who was told "refused" must not
see it obeyed later, when somebody sends the recorded command again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass

from data_contract.control import COMMAND_BYTES_MAX, Command, Refusal, Reply, Verb, read_command

BURST_MAX, EVERY_S = 10, 6.0
"""So many commands at once, and one more every so many s. The same bounds hold for what is said of refused ones."""
WAITING_MAX = 4
"""Admitted commands that wait for the one at hand; more are refused as busy."""
VERBS = frozenset(verb.value for verb in Verb)
VERB_SHOWN_MAX = 32
"""Characters of an unknown verb that are worth repeating."""


class Allowance:
    """`burst` things at once, then one every `every_s`."""

    def __init__(self, *, burst: int, every_s: float) -> None:
        self._burst = burst
        self._every_s = every_s
        self._left = float(burst)
        self._since_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed now; it is used up then."""
        if self._since_s is not None:
            self._left = min(self._burst, self._left + (now_s - self._since_s) / self._every_s)
        self._since_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Order:
    """A command that is to be obeyed."""

    verb: Verb
    command: Command


class Commands:
    """What a run of the agent has heard. `devices`: those that may be asked again. Times are s of the event loop."""

    def __init__(self, *, run: str, devices: Collection[str]) -> None:
        self._run = run
        self._devices = devices
        self._last_n = 0
        self._allowed = Allowance(burst=BURST_MAX, every_s=EVERY_S)
        self._worth_saying = Allowance(burst=BURST_MAX, every_s=EVERY_S)
        self._waiting: deque[Order] = deque()
        self.obeyed: Counter[str] = Counter()
        """Verb → commands that were admitted."""
        self.refused: Counter[str] = Counter()
        """Reason → commands that were refused."""

    def hear(self, verb: str, payload: bytes, *, retained: bool, now_s: float) -> Reply | None:
        """Admit a command, which then waits for `next`, or refuse it.

        The reply is what to log and answer; None for an admitted one, and where enough has been said of late.
        """
        if retained:
            return self._refuse(Refusal.RETAINED, verb, None, "the broker had kept it", now_s)
        if len(payload) > COMMAND_BYTES_MAX:
            return self._refuse(Refusal.TOO_LARGE, verb, None, f"more than {COMMAND_BYTES_MAX} bytes", now_s)
        command = read_command(payload)
        if command is None:
            return self._refuse(Refusal.UNREADABLE, verb, None, 'not like {"run": "…", "n": 1}', now_s)
        if command.run != self._run:
            return self._refuse(Refusal.OTHER_RUN, verb, command, f"this is run {self._run}, see the birth", now_s)
        if command.n <= self._last_n:
            return self._refuse(Refusal.REPLAYED, verb, command, f"n is not above {self._last_n}", now_s)
        self._last_n = command.n
        return self._fresh(verb, command, now_s)

    def _fresh(self, verb: str, command: Command, now_s: float) -> Reply | None:
        if not self._allowed.take(now_s):
            text = f"more than {BURST_MAX} at once, or than one every {EVERY_S:g} s"
            return self._refuse(Refusal.TOO_MANY, verb, command, text, now_s)
        if verb not in VERBS:
            return self._refuse(Refusal.UNKNOWN_VERB, verb, command, f"known are {', '.join(sorted(VERBS))}", now_s)
        if verb == Verb.REREAD and command.device is not None and command.device not in self._devices:
            return self._refuse(Refusal.UNKNOWN_DEVICE, verb, command, "see the birth for this gateway's", now_s)
        if len(self._waiting) >= WAITING_MAX:
            return self._refuse(Refusal.BUSY, verb, command, f"{WAITING_MAX} others wait already", now_s)
        self._waiting.append(Order(Verb(verb), command))
        self.obeyed[verb] += 1
        return None

    def next(self) -> Order | None:
        """The command to obey now, in the order of their arrival."""
        return self._waiting.popleft() if self._waiting else None

    def reply(self, order: Order, *, ok: bool, text: str) -> Reply:
        """The answer to a command that was obeyed."""
        return Reply(run=self._run, n=order.command.n, verb=order.verb, ok=ok, text=text, last_n=self._last_n)

    def _refuse(self, why: Refusal, verb: str, command: Command | None, text: str, now_s: float) -> Reply | None:
        self.refused[why.value] += 1
        if not self._worth_saying.take(now_s):
            return None
        return Reply(
            run=self._run,
            n=0 if command is None else command.n,
            verb=verb[:VERB_SHOWN_MAX],
            ok=False,
            text=text,
            refused=why.value,
            last_n=self._last_n,
        )
