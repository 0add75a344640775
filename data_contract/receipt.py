"""What a receipt says about one batch beyond its numbers: ingest writes it, audit and rollups read it.

As JSON text, empty keys left out. Example:
    {"devices": {"m1": {"counts": {"main": 10, "slow": [4, 3, {"timeout": 1}]}, "rows": [13, 1700000012, 1700009012]}}}
A group of which everything was sampled is one number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from data_contract.batch import Body, Counts, Span


@dataclass(frozen=True, slots=True)
class DeviceReceipt:
    """One device in one batch: counts by poll group, and the stored values: how many, first and last stamp (ms UTC)."""

    counts: dict[str, Counts]
    stored: int = 0
    first_ms: int = 0
    last_ms: int = 0
    bad: int = 0
    """Values that were refused and lie in the dead letters."""


@dataclass(frozen=True, slots=True)
class BatchReceipt:
    """All that the receipt of one batch says."""

    devices: dict[str, DeviceReceipt] = field(default_factory=dict)
    prev_ms: int | None = None
    """End of the previous batch of this run, ms UTC on this batch's base; None in the first batch of a run."""
    rejected: str | None = None
    """Why the whole batch was refused; it lies in the dead letters, and nothing else is known of it."""
    off_grid: bool = False
    """Its slots need not be those of the schedule in civil time."""
    unsure: tuple[int, int] | None = None
    pending: tuple[Span, ...] = ()
    aside: tuple[tuple[str, int, int, str], ...] = ()
    replaces: tuple[Span, ...] = ()
    restored: str | None = None
    """Not a batch of its own: what of this batch had been refused, and was stored after all out of the dead letter of
    this id. Several receipts for one id speak of the same values."""


def of_batch(body: Body, base_ms: int, stored: dict[str, tuple[int, int, int]], bad: dict[str, int]) -> BatchReceipt:
    """The receipt of a batch of which `stored` = {device: (values, first ms, last ms)} was stored and `bad` refused."""
    devices = {}
    for name, device in body.devices.items():
        count, first, last = stored.get(name, (0, 0, 0))
        devices[name] = DeviceReceipt(device.counts, count, first, last, bad.get(name, 0))
    return BatchReceipt(
        devices=devices,
        prev_ms=None if body.prev is None else base_ms + body.prev,
        off_grid=body.off_grid,
        unsure=body.unsure,
        pending=tuple(body.pending),
        aside=tuple(body.aside),
        replaces=tuple(body.replaces),
    )


def _write_device(device: DeviceReceipt) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if device.counts:
        said["counts"] = {g: c[0] if c[0] == c[1] else list(c) for g, c in device.counts.items()}
    if device.stored:
        said["rows"] = [device.stored, device.first_ms, device.last_ms]
    if device.bad:
        said["bad"] = device.bad
    return said


def write(receipt: BatchReceipt) -> str:
    """The JSON text of a receipt."""
    said: dict[str, Any] = {
        "devices": {name: _write_device(device) for name, device in receipt.devices.items()},
        "prev": receipt.prev_ms,
        "rejected": receipt.rejected,
        "off_grid": receipt.off_grid or None,
        "unsure": receipt.unsure,
        "pending": receipt.pending,
        "aside": receipt.aside,
        "replaces": receipt.replaces,
        "restored": receipt.restored,
    }
    return json.dumps({k: v for k, v in said.items() if v not in (None, {}, ())}, separators=(",", ":"))


def _read_device(said: dict[str, Any]) -> DeviceReceipt:
    counts: dict[str, Counts] = {}
    for group, count in said.get("counts", {}).items():
        counts[group] = (count, count, {}) if isinstance(count, int) else (count[0], count[1], count[2])
    stored, first, last = said.get("rows", (0, 0, 0))
    return DeviceReceipt(counts, stored, first, last, said.get("bad", 0))


def read(text: str) -> BatchReceipt:
    """What `write` wrote. Raises ValueError for any other text."""
    said = json.loads(text)
    try:
        return BatchReceipt(
            devices={name: _read_device(device) for name, device in said.get("devices", {}).items()},
            prev_ms=said.get("prev"),
            rejected=said.get("rejected"),
            off_grid=said.get("off_grid", False),
            unsure=tuple(said["unsure"]) if "unsure" in said else None,
            pending=tuple((r, a, b) for r, a, b in said.get("pending", ())),
            aside=tuple((r, a, b, why) for r, a, b, why in said.get("aside", ())),
            replaces=tuple((r, a, b) for r, a, b in said.get("replaces", ())),
            restored=said.get("restored"),
        )
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a receipt: {error}") from None
