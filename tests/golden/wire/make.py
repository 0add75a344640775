"""Writes the golden messages of version 1 by hand: nothing of the project's own, so that it cannot agree with itself.

Run once, `python tests/golden/wire/make.py`; a folder that is there already is never touched.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

V1 = Path(__file__).parent / "v1"
GATEWAY, BOARD = "plant-1", "10000000e4f2a7c1"
RUN, OLD_RUN = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
BASE_MS = 1_790_000_000_000 - 86_400_000
"""The gateway has been up for a day at a full ten seconds of civil time."""
UP_MS = 86_400_000

SCHEDULE = {
    "seal_every_ms": 10_000,
    "polls": [
        {
            "device": "feed-meter",
            "kind": "water_meter",
            "group": "main",
            "every_ms": 5_000,
            "fields": ["volume_m3", "flow_m3_h"],
        }
    ],
}


def feed(number: int, from_: int) -> dict[str, Any]:
    """Ten seconds of a flow meter; every third time it does not answer once, and one flow is out of range."""
    if number % 3 == 2:
        block = {"t": [0], "values": {"volume_m3": [1000.25 + number], "flow_m3_h": [3.5]}}
        counts = [4, 2, {"timeout": 2}]
    else:
        block = {
            "t": [0, 5000],
            "values": {"volume_m3": [1000.25 + number, 1000.75 + number], "flow_m3_h": [3.6, -1]},
            "quality": {"flow_m3_h": [[1, 2]]},
        }
        counts = [4, 4, {}]
    body: dict[str, Any] = {
        "from": from_,
        "to": from_ + 10_000,
        "devices": {"feed-meter": {"kind": "water_meter", "counts": {"main": counts}, "blocks": [block]}},
    }
    return body


def first_of_a_run() -> dict[str, Any]:
    previous = {"run": OLD_RUN, "last": 417, "to_ms": BASE_MS + UP_MS - 60_000, "clean": False}
    start = {"run": RUN, "version": "0.1.0", "boot": "5d1f9f5a-0000-4000-8000-000000000001", "previous": previous}
    body = feed(0, UP_MS)
    body["records"] = [{"kind": "start", "data": start}, {"kind": "schedule", "data": SCHEDULE}]
    body["pending"] = [[OLD_RUN, 410, 417]]
    body["aside"] = [[OLD_RUN, 3, 3, "unanswered"]]
    return body


def next_ones(count: int) -> list[dict[str, Any]]:
    bodies = []
    for number in range(1, count + 1):
        from_ = UP_MS + 10_000 * number
        bodies.append({**feed(number, from_), "prev": from_})
    return bodies


def digest() -> dict[str, Any]:
    from_ = BASE_MS + UP_MS - 7_200_000
    meter = {
        "kind": "water_meter",
        "counts": {"main": [1440, 1436, {"timeout": 4}]},
        "blocks": [{"t": [0, 3_595_000], "values": {"volume_m3": [820, 823.5]}}],
        "summary": {"flow_m3_h": [[from_, from_ + 3_600_000, 718, 0, 4.25, 3.5]]},
    }
    return {
        "from": from_,
        "to": from_ + 3_600_000,
        "prev": from_ + 3_600_000,
        "devices": {"feed-meter": meter},
        "replaces": [[OLD_RUN, 1, 360]],
    }


def digest_of_an_hour() -> dict[str, Any]:
    """With what was read throughout, and a record: an ingest that does not know `witnessed` leaves it out."""
    body = digest()
    from_ = body["from"]
    del body["prev"]
    body["devices"]["feed-meter"]["witnessed"] = {"volume_m3": [[from_, from_ + 3_595_000, 718]]}
    body["records"] = [{"kind": "schedule", "t": 1_800_000, "data": {"seal_every_ms": 10_000, "polls": []}}]
    return body


def message(first: int, lines: list[tuple[int, dict[str, Any]]], *, packed: bool) -> tuple[bytes, dict[str, Any]]:
    """(payload, what it says) of consecutive batches."""
    plain = "".join(
        f"[{first + i},{base},{json.dumps(body, separators=(',', ':'))}]\n" for i, (base, body) in enumerate(lines)
    ).encode("ascii")
    body = zlib.compress(plain, 6) if packed else plain
    packing = "zlib" if packed else "plain"
    last = first + len(lines) - 1
    head = f"lg1 {GATEWAY} {BOARD} {RUN} {first}-{last} {zlib.crc32(body):08x} {packing}\n"
    said = {
        "header": {"gateway": GATEWAY, "board": BOARD, "run": RUN, "first": first, "last": last, "packing": packing},
        "batches": [{"seq": first + i, "base_ms": base, "body": body} for i, (base, body) in enumerate(lines)],
    }
    return head.encode("ascii") + body, said


def unsure() -> dict[str, Any]:
    return {"unsure": [BASE_MS, BASE_MS + 4_000_000], **next_ones(1)[0]}


MESSAGES = {
    "plain": message(2, [(BASE_MS, next_ones(1)[0])], packed=False),
    "merged": message(2, [(BASE_MS, body) for body in next_ones(6)], packed=True),
    "digest": message(8, [(0, digest())], packed=True),
    "digest-of-an-hour": message(9, [(0, digest_of_an_hour())], packed=False),
    "first-of-a-run": message(1, [(BASE_MS, first_of_a_run())], packed=True),
    "unsure-time": message(2, [(BASE_MS, unsure())], packed=False),
}


def main() -> None:
    for name, (payload, said) in MESSAGES.items():
        folder = V1 / name
        if folder.exists():
            print(f"{folder}: left as it is")
            continue
        folder.mkdir(parents=True)
        (folder / "payload.bin").write_bytes(payload)
        (folder / "expected.json").write_text(json.dumps(said, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
