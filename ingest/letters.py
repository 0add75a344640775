"""A dead letter as a line of text, its id, and which letters an operator means. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ingest.ports import DeadLetter, Kept

ID_CHARS = 16
CUT_SHORT = "cut short"
"""The reason of a line that no letter can be read from: a power cut within it. It was never acknowledged."""
WHOLE = "base64:"
"""How the copy of a message begins that could not even be split into batches."""


def id_of(letter: DeadLetter) -> str:
    """The same for the same content: a batch that came twice leaves letters that count as one."""
    what = [letter.gateway, letter.run, letter.seq, letter.line, letter.message, sorted(letter.values)]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:ID_CHARS]


def write(letter: DeadLetter, at_ms: int) -> bytes:
    """A letter as a line."""
    said = {"at_ms": at_ms, **asdict(letter)}
    for name in ("kinds", "span", "message"):
        if said[name] == getattr(_PLAIN, name):
            del said[name]
    return (json.dumps(said, ensure_ascii=False) + "\n").encode("utf-8", errors="backslashreplace")


_PLAIN = DeadLetter("", "", 0, "")


def read(line: bytes) -> Kept:
    """The letter in a line; one that cannot be read is a letter, too, and says so."""
    text = line.decode("utf-8", errors="backslashreplace").rstrip("\n")
    try:
        said = json.loads(text)
        letter = _letter(said)
        return Kept(id_of(letter), int(said.get("at_ms", 0)), letter)
    except (ValueError, KeyError, TypeError, AttributeError):
        letter = DeadLetter("?", "", 0, CUT_SHORT, text)
        return Kept(id_of(letter), 0, letter)


def _letter(said: dict[str, Any]) -> DeadLetter:
    message = said.get("message")
    low, high = said.get("span", (0, 0))
    return DeadLetter(
        gateway=str(said["gateway"]),
        run=str(said["run"]),
        seq=int(said["seq"]),
        reason=str(said["reason"]),
        line=str(said.get("line", "")),
        values=tuple((str(d), str(f), int(t), str(v)) for d, f, t, v in said.get("values", ())),
        kinds=tuple((str(device), str(kind)) for device, kind in said.get("kinds", ())),
        span=(int(low), int(high)),
        message=None if message is None else (int(message[0]), int(message[1]), str(message[2])),
    )


def why_not(letter: DeadLetter) -> str | None:
    """Why a letter cannot be replayed whatever the version, or None."""
    if letter.reason == CUT_SHORT and not letter.run:
        return "it was cut short; the batch was never acknowledged, and came again"
    # Records and summaries say themselves where they belong.
    if letter.values and not (letter.span[0] and (letter.kinds or not any(name for _, name, *_ in letter.values))):
        return "an earlier version kept it without the kind of its devices"
    if not letter.values and not letter.line and not letter.message:
        return "an earlier version kept its message with another letter"
    return None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant: all that fit everything that is given."""

    ids: tuple[str, ...] = ()
    """Ids, or the beginnings of ids."""
    gateway: str | None = None
    run: str | None = None
    """A run, or the beginning of one."""
    reason: str | None = None
    """A part of the reason."""
    before_ms: int | None = None
    everything: bool = False

    @property
    def chooses(self) -> bool:
        """Whether anything at all was given."""
        given = (self.gateway, self.run, self.reason, self.before_ms)
        return bool(self.ids) or self.everything or any(each is not None for each in given)

    def takes(self, kept: Kept) -> bool:
        """Whether a letter is meant."""
        letter = kept.letter
        return (
            (not self.ids or any(kept.id.startswith(id_) for id_ in self.ids))
            and (self.gateway is None or letter.gateway == self.gateway)
            and (self.run is None or letter.run.startswith(self.run))
            and (self.reason is None or self.reason in letter.reason)
            and (self.before_ms is None or kept.at_ms < self.before_ms)
        )


def with_messages(chosen: Sequence[Kept], all_: Iterable[Kept]) -> Iterator[Kept]:
    """The chosen letters and those of the same messages: a message is replayed or dropped whole, or not at all."""
    whole = {_message(kept.letter) for kept in chosen if kept.letter.message}
    ids = {kept.id for kept in chosen}
    for kept in all_:
        if kept.id in ids or (kept.letter.message and _message(kept.letter) in whole):
            yield kept


def _message(letter: DeadLetter) -> tuple[str, str, tuple[int, int, str] | None]:
    return letter.gateway, letter.run, letter.message


@dataclass(slots=True)
class Group:
    """Letters of one gateway, run and reason."""

    letters: int = 0
    values: int = 0
    batches: set[int] = field(default_factory=set)
    first_ms: int = 2**63
    last_ms: int = 0

    def add(self, kept: Kept) -> None:
        """One more."""
        self.letters += 1
        self.values += sum(bool(value[1]) for value in kept.letter.values)
        self.batches.add(kept.letter.seq)
        self.first_ms, self.last_ms = min(self.first_ms, kept.at_ms), max(self.last_ms, kept.at_ms)


def grouped(all_: Iterable[Kept]) -> dict[tuple[str, str, str], Group]:
    """(gateway, run, reason) → what lies there, sorted."""
    found: dict[tuple[str, str, str], Group] = {}
    for kept in all_:
        letter = kept.letter
        found.setdefault((letter.gateway, letter.run, letter.reason), Group()).add(kept)
    return dict(sorted(found.items()))


def tally_of(all_: Iterable[Kept]) -> Counter[str]:
    """Id → how many letters bear it."""
    return Counter(kept.id for kept in all_)
