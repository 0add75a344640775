"""Why nothing is confirmed, as far as a gateway can tell from its own end. Pure.

MQTT 3.1.1 answers a refused publish with success and grants a subscription that stays silent, so a gateway cannot see
the cause. It can see what else it hears, and whether it was ever confirmed:

    what is heard while messages wait unconfirmed          suspected
    ─────────────────────────────────────────────────────  ───────────────────────────────────────────────────────────
    no session                                             broker
    acks of batches that another run sent under our name   a second gateway: this board is parked, or a copied card
    a worker's `ready`, and still no ack                   a worker hears others, but not us: rights, or a parked board
    nothing; but this run has been confirmed before        ingest or its store is away: everything worked till then
    nothing, ever                                          no worker runs, or the broker's rights refuse us
"""

from __future__ import annotations

from enum import IntEnum

UNCONFIRMED_S = 300.0
"""Connected, published, and nothing confirmed for this long is worth a warning."""
LATE_S = 60.0
"""What is heard so long after a message was published does not answer anything that was on its way before."""
FOREIGN_MIN = 3
"""Late acks of another run before a second gateway is suspected."""
RENEW_S = 3600.0
"""A session in which nothing is confirmed for so long is given up for a new one, which looks the broker up again and
subscribes again. It bounds everything that may have gone deaf on the way, our own receiving half included."""


class Cause(IntEnum):
    """What is suspected. The number is stored as a reading, so it stays as it is."""

    NONE = 0
    BROKER = 1
    CLOUD_AWAY = 2
    NEVER_HEARD = 3
    REFUSED = 4
    SECOND_GATEWAY = 5

    @property
    def title(self) -> str:
        """It in words."""
        return self.name.lower().replace("_", " ")

    @property
    def advice(self) -> str:
        """What to check."""
        return _ADVICE[self]


_ADVICE = {
    Cause.NONE: "all is well",
    Cause.BROKER: "there is no connection to the broker",
    Cause.CLOUD_AWAY: "it worked before: check that ingest runs and reaches its store",
    Cause.NEVER_HEARD: "nothing was ever heard: check that ingest runs, and that the broker's ACL admits us",
    Cause.REFUSED: "a worker is ready and does not answer us: check the broker's ACL, and whether this board is parked"
    " (`loopgauge ingest gateway list`)",
    Cause.SECOND_GATEWAY: "another gateway is confirmed under our name: see `loopgauge ingest gateway list`, and"
    " whether a card was copied",
}


class Suspicion:
    """Told what happens on the uplink. Times are s of a clock that never steps."""

    def __init__(self) -> None:
        self._connected = False
        self._published_s: float | None = None
        """When the first message was published that no ack has followed in this session."""
        self._ever = False
        self._foreign = 0
        self._ready_s: float | None = None
        self.waiting = False
        """Something was published that no ack has followed, in this session or in those before it."""

    def connected(self) -> None:
        """A session has begun."""
        self._connected, self._published_s, self._ready_s, self._foreign = True, None, None, 0

    def lost(self) -> None:
        """It is over."""
        self._connected, self._published_s = False, None

    def published(self, now_s: float) -> None:
        """A message has been handed to the broker."""
        self.waiting = True
        if self._published_s is None:
            self._published_s = now_s

    def confirmed(self) -> None:
        """An ack released something of ours."""
        self._published_s, self._ready_s, self._ever, self._foreign = None, None, True, 0
        self.waiting = False

    def foreign(self, now_s: float) -> None:
        """An ack of a run of which nothing was ever sent from here."""
        self._foreign += self.unconfirmed_s(now_s) >= LATE_S

    def ready(self, now_s: float) -> None:
        """A worker says that it can store."""
        if self._ready_s is None:
            self._ready_s = now_s

    def unconfirmed_s(self, now_s: float) -> float:
        """For how long messages have been published in this session without any ack."""
        return 0.0 if self._published_s is None else now_s - self._published_s

    def cause(self, now_s: float) -> Cause:
        """What is suspected now. Only a missing session is named at once."""
        if not self._connected:
            return Cause.BROKER
        if self.unconfirmed_s(now_s) <= UNCONFIRMED_S:
            return Cause.NONE
        if self._foreign >= FOREIGN_MIN:
            return Cause.SECOND_GATEWAY
        if self._ready_s is not None and now_s - self._ready_s >= LATE_S:
            return Cause.REFUSED
        return Cause.CLOUD_AWAY if self._ever else Cause.NEVER_HEARD
