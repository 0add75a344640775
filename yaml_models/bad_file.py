"""The one error of this package: a file that a person wrote cannot be used, said in one line that also mends it."""

from __future__ import annotations

LINE_CHARS_MAX = 600
"""Longest error line; what is longer loses its middle, so that the mend at the end survives."""

VALUE_CHARS_MAX = 60
"""Longest quotation of a person's own value inside an error line."""


def printable(text: str) -> str:
    """`text` with every character that would break a line or a terminal written as an escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shorten(text: str, chars_max: int) -> str:
    """`text`, or its beginning and end around dots when it is longer than `chars_max`."""
    if len(text) <= chars_max:
        return text
    tail = chars_max // 2
    return f"{text[: chars_max - tail - 3]}...{text[-tail:]}"


class BadFile(Exception):
    """A file cannot be used. `str()` is one line: `FILE:LINE: KEY: problem; mend`.

    `line` counts from 1 and is None where the whole file is meant; `key` is dotted and "" for the whole file.
    """

    def __init__(self, file: str, line: int | None, key: str, problem: str, mend: str) -> None:
        self.file = file
        self.line = line
        self.key = key
        self.problem = problem
        self.mend = mend
        place = f"{file}:{line}" if line is not None else file
        subject = f"{shorten(key, 2 * VALUE_CHARS_MAX)}: " if key else ""
        text = f"{place}: {subject}{problem}" + (f"; {mend}" if mend else "")
        super().__init__(shorten(printable(text), LINE_CHARS_MAX))
