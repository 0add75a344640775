"""Writes the golden commands and replies of version 1 by hand: nothing of the project's own, so that it cannot agree
with itself.

Run once, `python tests/golden/control/make.py`; a folder that is there already is never touched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

V1 = Path(__file__).parent / "v1"
GATEWAY, RUN = "plant-1", "0123456789abcdef0123456789abcdef"
N = 1_790_000_000_000
ROOT = f"lg/v1/{GATEWAY}"


def command(verb: str, number: int, **more: Any) -> tuple[str, dict[str, Any]]:
    return f"{ROOT}/cmd/{verb}", {"run": RUN, "n": number, **more}


def reply(verb: str, number: int, **more: Any) -> tuple[str, dict[str, Any]]:
    return f"{ROOT}/reply", {"run": RUN, "n": number, "verb": verb, **more}


ANSWERS = [
    {
        "device": "feed-meter",
        "values": {"volume_m3": 1000.25, "flow_m3_h": -1, "temperature_c": None},
        "quality": {"flow_m3_h": 2, "temperature_c": 3},
    },
    {"device": "brine-meter", "missing": {"volume_m3": "timeout"}, "detail": "no answer within 1 s"},
]
REFUSED = {"ok": False, "last_n": N + 4}

MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "command-birth": command("birth", N),
    "command-flush": command("flush", N + 1, by="operator.anna"),
    "command-reread-all": command("reread", N + 2, by="operator.anna"),
    "command-reread-one": command("reread", N + 3, by="operator.anna", device="feed-meter"),
    "command-restart": command("restart", N + 4, by="operator.anna"),
    "command-first-number": command("birth", 1),
    "command-last-number": command("birth", 2**53 - 1),
    "command-of-a-later-version": command(
        "reread", N + 5, by="operator.bert", device="feed-meter", deadline_s=30, why={"ticket": 7, "tags": ["a", None]}
    ),
    "reply-done": reply("flush", N + 1, ok=True, text="all of it is confirmed", last_n=N + 1),
    "reply-of-devices": reply(
        "reread", N + 2, ok=False, text="1 of 2 devices answered", last_n=N + 2, devices=ANSWERS, left_out=3
    ),
    "reply-refused": reply("restart", N + 4, text=f"n is not above {N + 4}", refused="replayed", **REFUSED),
    "reply-to-what-cannot-be-read": reply(
        "birth", 0, text='not like {"run": "…", "n": 1}', refused="unreadable", **REFUSED
    ),
    "reply-of-a-later-version": reply(
        "calibrate",
        N + 6,
        text="nobody may do that on a Sunday",
        refused="closed_today",
        took_ms=12,
        devices=[{"device": "feed-meter", "values": {"volume_m3": 5}, "serial": "A-17", "units": {"volume_m3": "m3"}}],
        **REFUSED,
    ),
}
"""Topic and content by name."""

UNKNOWN = {"deadline_s", "why", "took_ms", "serial", "units"}
"""Keys that version 1 does not know."""


def known(value: Any) -> Any:
    """What version 1 reads of it."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items() if key not in UNKNOWN}
    return [known(item) for item in value] if isinstance(value, list) else value


def main() -> None:
    """Write what is not there."""
    for name, (topic, said) in MESSAGES.items():
        folder = V1 / name
        if folder.exists():
            continue
        folder.mkdir(parents=True)
        text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
        (folder / "payload.json").write_bytes(text.encode())
        expected = {"topic": topic, "says": known(said)}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
