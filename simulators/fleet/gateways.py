"""Thousands of gateways as arrays: what each has sealed, what is unconfirmed, and what it sends next. Pure.

The law is a gateway's, in the few words that a load needs. `cursor` is the seq that a gateway offers next, so

    1 … oldest-1 | oldest … cursor-1 | cursor … next_seq-1
     confirmed   |     in flight     | waiting in the spool

and to send everything again is to put the cursor back to the oldest. That happens on every connect, on `ready` (after
a pause of its own for each gateway), and with the first ack after a silence. In silence only the oldest batch is
repeated, at doubling pauses with full jitter. Times `_s` are of the event loop, `_ms` civil.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_contract.control import Ack
from simulators import chance
from simulators.fleet.batches import Sealed
from simulators.fleet.plan import READING_BYTES, FleetPlan

FLIGHT_BATCHES_MAX = 32
FLIGHT_BYTES_MAX = 262_144
"""Plain JSON, as estimated; one batch may always be in flight."""
SPOOL_BATCHES_MAX = 360
"""Batches of one gateway that wait for confirmation; what comes then is counted as disk_full until there is room."""
REPEAT_MIN_S, REPEAT_MAX_S = 10.0, 300.0
READY_JITTER_S = 10.0
NEVER = float("inf")

Numbers = NDArray[np.int64]


class Gateways:
    """All gateways of a plan. A gateway is meant by its number."""

    def __init__(self, *, plan: FleetPlan, spool_batches_max: int = SPOOL_BATCHES_MAX) -> None:
        many = plan.gateways
        self._plan = plan
        self._spool_batches_max = spool_batches_max
        self._of = chance.key(plan.seed, "fleet")
        self._draws = 0
        flight = FLIGHT_BYTES_MAX // (plan.batch_readings * READING_BYTES)
        self.flight_batches_max = max(1, min(FLIGHT_BATCHES_MAX, flight))
        """Batches in one message and in flight."""
        self._runs = [plan.run(number) for number in range(many)]
        self.sealed_to_ms = np.full(many, plan.begin_ms, dtype=np.int64)
        """End of the newest batch of each."""
        self._lost_from_ms = np.full(many, -1, dtype=np.int64)
        # Each gateway seals a little after the boundary, at an instant of its own: a city does not send in one second.
        self._phase_ms = (chance.units(self._of ^ 1, np.arange(many)) * plan.seal_ms).astype(np.int64)
        self.next_seq = np.ones(many, dtype=np.int64)
        self.cursor = np.ones(many, dtype=np.int64)
        self._sent_max = np.zeros(many, dtype=np.int64)
        self.in_flight = np.zeros(many, dtype=np.int64)
        self.online = np.zeros(many, dtype=np.bool_)
        self._repeat_s = np.full(many, NEVER)
        self._pause_s = np.full(many, REPEAT_MIN_S)
        self._quiet = np.zeros(many, dtype=np.bool_)
        self._heard_s = np.full(many, -NEVER)
        self._again_s = np.full(many, NEVER)
        self._held: list[dict[int, Sealed]] = [{} for _ in range(many)]
        self.foreign_acks = 0
        self.rejected = 0
        self.redelivered = 0
        """Batches that were sent more than once, each time counted."""
        self.given_up = 0
        """Seal intervals of a gateway for which there was no room."""

    def held(self, gateway: int) -> list[int]:
        """The seqs that wait for confirmation, sent or not."""
        return list(self._held[gateway])

    def newest(self, gateway: int) -> Sealed:
        """The batch that was sealed last, and is not confirmed. KeyError where there is none."""
        return self._held[gateway][int(self.next_seq[gateway]) - 1]

    @property
    def unconfirmed(self) -> int:
        """Batches of all gateways that are sealed and not confirmed."""
        return sum(map(len, self._held))

    @property
    def sealed(self) -> int:
        """Batches of all gateways that were ever sealed."""
        return int(self.next_seq.sum()) - len(self.next_seq)

    def due(self, now_ms: int, limit: int) -> list[int]:
        """At most `limit` gateways whose interval is over, those that have waited longest first."""
        over_ms = now_ms - (self._tried_to_ms() + self._plan.seal_ms + self._phase_ms)
        late = np.flatnonzero(over_ms >= 0)
        found: list[int] = late[np.argsort(-over_ms[late], kind="stable")[:limit]].tolist()
        return found

    def _tried_to_ms(self) -> Numbers:
        return np.where(self._lost_from_ms >= 0, self._lost_from_ms, self.sealed_to_ms)

    def seal(self, gateway: int) -> Sealed | None:
        """Seal the interval that is over, or give its readings up where the spool is full."""
        to_ms = int(self._tried_to_ms()[gateway]) + self._plan.seal_ms
        if len(self._held[gateway]) >= self._spool_batches_max:
            self._lost_from_ms[gateway] = to_ms
            self.given_up += 1
            return None
        return self._seal(gateway, to_ms, stop=False)

    def stop(self, gateway: int, now_ms: int) -> None:
        """Seal what is left before `now_ms`, and say that this was all. There is always room for that."""
        if now_ms - int(self._tried_to_ms()[gateway]) >= self._plan.seal_ms:
            self.seal(gateway)
        tried_ms = int(self._tried_to_ms()[gateway])
        self._seal(gateway, max(tried_ms, min(now_ms, tried_ms + self._plan.seal_ms)), stop=True)

    def _seal(self, gateway: int, to_ms: int, *, stop: bool) -> Sealed:
        from_ms, lost_ms = int(self.sealed_to_ms[gateway]), int(self._lost_from_ms[gateway])
        sealed = Sealed(
            seq=int(self.next_seq[gateway]),
            from_ms=from_ms,
            to_ms=to_ms,
            lost_ms=max(0, lost_ms - from_ms) if lost_ms >= 0 else 0,
            pending=_ranges(self._held[gateway]),
            stop=stop,
        )
        self._held[gateway][sealed.seq] = sealed
        self.sealed_to_ms[gateway] = to_ms
        self._lost_from_ms[gateway] = -1
        self.next_seq[gateway] += 1
        return sealed

    def connected(self, gateway: int) -> None:
        """A new session: what was in flight is sent again."""
        self.online[gateway] = True
        self._rewind(gateway)

    def disconnected(self, gateway: int) -> None:
        """Nothing can be sent."""
        self.online[gateway] = False
        self._repeat_s[gateway] = self._again_s[gateway] = NEVER

    def ready(self, now_s: float) -> None:
        """The cloud can store again: every gateway repeats what is in flight, at a moment of its own."""
        self._again_s[self.online] = now_s + READY_JITTER_S * self._chances(len(self.online))[self.online]

    def sendable(self) -> int:
        """Batches that could leave at once: connected, with room in flight."""
        room = np.minimum(self.next_seq - self.cursor, self.flight_batches_max - self.in_flight)
        return int(room[self.online].clip(0).sum())

    def wanting(self, now_s: float) -> list[int]:
        """Gateways that have something to send now, most in arrears first."""
        for gateway in np.flatnonzero(self._again_s <= now_s).tolist():
            self._rewind(gateway)
        waiting = (self.cursor < self.next_seq) & (self.in_flight < self.flight_batches_max)
        found = np.flatnonzero(self.online & (waiting | (self._repeat_s <= now_s)))
        order: list[int] = found[np.argsort(self.sealed_to_ms[found], kind="stable")].tolist()
        return order

    def take(self, gateway: int, now_s: float) -> list[Sealed]:
        """What goes into the next message: consecutive batches, or in silence the oldest again; they count as sent."""
        held = self._held[gateway]
        if self._repeat_s[gateway] <= now_s:
            self._quiet[gateway] = self._heard_s[gateway] < now_s - REPEAT_MIN_S
            self._pause_s[gateway] = min(2 * self._pause_s[gateway], REPEAT_MAX_S)
            self._set_repeat(gateway, now_s)
            chosen = [next(iter(held.values()))]
        else:
            chosen = self._next(gateway)
            if chosen and self._repeat_s[gateway] == NEVER:
                self._set_repeat(gateway, now_s)
        sent_max = int(self._sent_max[gateway])
        self.redelivered += sum(each.seq <= sent_max for each in chosen)
        if chosen:
            self._sent_max[gateway] = max(sent_max, chosen[-1].seq)
        return chosen

    def _next(self, gateway: int) -> list[Sealed]:
        """Consecutive batches from the cursor on, as many as may be in flight."""
        held = self._held[gateway]
        room = self.flight_batches_max - int(self.in_flight[gateway])
        seq, end = int(self.cursor[gateway]), int(self.next_seq[gateway])
        while seq < end and seq not in held:
            seq += 1
        chosen: list[Sealed] = []
        while seq < end and seq in held and len(chosen) < room:
            chosen.append(held[seq])
            seq += 1
        self.cursor[gateway] = seq
        self.in_flight[gateway] += len(chosen)
        return chosen

    def confirmed(self, gateway: int, ack: Ack, now_s: float) -> int:
        """Forget what an ack names, if it was sent; how many batches that were. Any other ack is only counted."""
        held, sent_max = self._held[gateway], int(self._sent_max[gateway])
        if ack.run != self._runs[gateway]:
            self.foreign_acks += 1
            return 0
        oldest = next(iter(held), 0)
        done = 0
        for first, last in (*ack.stored, *((bad.seq, bad.seq) for bad in ack.rejected)):
            for seq in range(max(first, oldest), min(last, sent_max) + 1):
                if held.pop(seq, None) is not None:
                    done += 1
                    self.in_flight[gateway] -= seq < self.cursor[gateway]
        if not done:
            self.foreign_acks += 1
            return 0
        self.rejected += len(ack.rejected)
        self._pause_s[gateway] = REPEAT_MIN_S
        self._heard_s[gateway] = now_s
        if self._quiet[gateway]:
            self._rewind(gateway)
        elif not self.in_flight[gateway]:
            self._repeat_s[gateway] = NEVER
        elif next(iter(held), 0) != oldest:  # only then: others that are confirmed do not excuse the oldest
            self._set_repeat(gateway, now_s)
        return done

    def _rewind(self, gateway: int) -> None:
        self.cursor[gateway] = next(iter(self._held[gateway]), int(self.next_seq[gateway]))
        self.in_flight[gateway] = 0
        self._quiet[gateway] = False
        self._pause_s[gateway] = REPEAT_MIN_S
        self._repeat_s[gateway] = self._again_s[gateway] = NEVER

    def _set_repeat(self, gateway: int, now_s: float) -> None:
        pause_s = self._pause_s[gateway]
        spread_s = pause_s if self._quiet[gateway] else 0.5 * pause_s
        self._repeat_s[gateway] = now_s + pause_s + spread_s * self._chances(1)[0]

    def _chances(self, many: int) -> NDArray[np.float64]:
        self._draws += many
        return chance.units(self._of ^ 2, np.arange(self._draws - many, self._draws))


def _ranges(held: dict[int, Sealed]) -> tuple[tuple[int, int], ...]:
    """The seqs of a spool as ranges."""
    if not held:
        return ()
    first, last = next(iter(held)), next(reversed(held))
    if last - first + 1 == len(held):
        return ((first, last),)
    found: list[tuple[int, int]] = []
    for seq in held:
        if found and found[-1][1] == seq - 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return tuple(found)
