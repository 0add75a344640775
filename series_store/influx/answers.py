"""What to do about an answer to a write: one place for the habits of InfluxDB 1.6, 1.8, 2.x and 3 Core.

A row is refused only when the server speaks about lines; everything else that is not 204 may pass, so it is retried
with a reason in which a person finds the mend. `partial write` may mean "all but one line stored" (1.x, and 422 in
2.x) or "nothing stored" (3 Core), and so may a line that cannot be parsed: in each case the rows are sent again in
parts, until the ones are found that the server will never take.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

REASON_CHARS_MAX = 300
RETRY_AFTER_S_MAX = 300.0
_SOON_S, _LATER_S, _PERSON_S = 1.0, 5.0, 10.0
"""Nobody listens · the server is overloaded or failing · somebody has to do something."""

_ABOUT_LINES = re.compile(r"partial write|unable to parse|field type conflict|points beyond retention|line protocol")
_DROPPED = re.compile(r"dropped=(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request: a status and the begin of the body, or, with status 0, why nothing came."""

    status: int
    body: bytes = b""
    retry_after: str = ""
    trouble: str = ""


class Kind(Enum):
    """What an answer to a write asks for."""

    STORED = "stored"
    RETRY = "retry"
    SPLIT = "split"
    """Some rows of the request can never be stored; find out which."""
    HALVE = "halve"
    """The request is too large."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and the reason on one line; `dropped` is the server's own count of refused lines, if it gave one."""

    kind: Kind
    reason: str = ""
    after_s: float = 0.0
    dropped: int | None = None


def judge(answer: Answer) -> Verdict:
    """What a writer has to do about an answer."""
    said = message(answer)
    match answer.status:
        case 204:
            return Verdict(Kind.STORED)
        case 0:
            return Verdict(Kind.RETRY, said, _SOON_S)
        case 400 | 422 if _ABOUT_LINES.search(_text(answer)):
            dropped = _DROPPED.search(_text(answer).rstrip())
            return Verdict(Kind.SPLIT, said, dropped=int(dropped[1]) if dropped else None)
        case 413:
            return Verdict(Kind.HALVE, f"413, the request is too large: {said}")
        case 429 | 500 | 502 | 503 | 504:
            return Verdict(Kind.RETRY, explain(answer), _asked_pause(answer.retry_after))
    return Verdict(Kind.RETRY, explain(answer), _PERSON_S)


def explain(answer: Answer) -> str:
    """Why an answer is no success, on one line, with the mend where there is one."""
    said = message(answer)
    match answer.status:
        case 0:
            return said
        case 400 if "HTTPS server" in said:
            return f"400, it wants TLS: {said}; write the address with +https"
        case 401 | 403:
            return f"{answer.status}, the credentials were refused: {said}; look at user and secret"
        case 404:
            return f"404, no such database or bucket: {said}; `loopgauge store init` creates it"
        case status if status < 400:
            return f"unexpected answer {status}: {said}; is this InfluxDB?"
    return f"{answer.status}: {said}"


def message(answer: Answer) -> str:
    """What the server says, on one line."""
    return one_line(_text(answer)) or "no text"


def _text(answer: Answer) -> str:
    """The text of the server's JSON (`error` in 1.x and 3, `message` in 2.x), or else its bytes."""
    if answer.status == 0:
        return answer.trouble
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if isinstance(said, dict):
        text = said.get("error") or said.get("message")
        if isinstance(text, str):
            return text
    return answer.body.decode("utf-8", "replace")


def one_line(text: str) -> str:
    """The text without line breaks and control characters, cut to `REASON_CHARS_MAX`."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    # The end of InfluxDB's messages matters, too: it counts the lines there.
    half = (REASON_CHARS_MAX - 5) // 2
    return line if len(line) <= REASON_CHARS_MAX else f"{line[:half]} ... {line[-half:]}"


def _asked_pause(retry_after: str) -> float:
    """Seconds of a Retry-After header within bounds; the header's other form, a date, is not needed by InfluxDB."""
    return min(max(float(retry_after), _SOON_S), RETRY_AFTER_S_MAX) if retry_after.strip().isdecimal() else _LATER_S
