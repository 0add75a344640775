"""A text in the languages of the dashboards."""

from __future__ import annotations

from typing import NamedTuple

LANGUAGES = ("en", "zh")


class Words(NamedTuple):
    """What people read, in English and in Chinese."""

    en: str
    zh: str

    def in_(self, language: str) -> str:
        """The text in one of LANGUAGES."""
        return self.zh if language == "zh" else self.en


NONE = Words("", "")


def same(text: str) -> Words:
    """What is written alike in both."""
    return Words(text, text)
