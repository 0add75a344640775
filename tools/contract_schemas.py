"""Writes docs/contract/*.schema.json: the JSON Schema of everything that gateway and cloud say to each other.

`python tools/contract_schemas.py` writes them; with `--check` it only compares, and names what differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pydantic import BaseModel, ConfigDict, Field  # noqa: E402

from data_contract.batch import Body, Count, Counts, Millis, Span, Start  # noqa: E402
from data_contract.control import Ack, Birth, Command, Ready, Reply  # noqa: E402
from data_contract.schedule import Schedule  # noqa: E402

FOLDER = ROOT / "docs" / "contract"


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class DeviceText(_Model):
    """One device in a batch."""

    counts: dict[str, Count | Counts] = Field(
        default={}, description="readings by poll group: a number where all were sampled, else as in the batch"
    )
    rows: tuple[Count, Millis, Millis] = Field(
        default=(0, 0, 0), description="stored values: how many, first and last stamp, ms UTC"
    )
    bad: Count = Field(default=0, description="values that were refused and lie in the dead letters")


class ReceiptText(_Model):
    """The field `counts` of the measurement `receipt`: what ingest says about one batch beyond its numbers."""

    devices: dict[str, DeviceText] = {}
    prev: Millis | None = Field(default=None, description="end of the run's previous batch, ms UTC")
    rejected: str | None = Field(default=None, description="why the whole batch was refused")
    off_grid: bool = Field(default=False, description="slots of a clock that was not trusted yet")
    unsure: tuple[Millis, Millis] | None = Field(default=None, description="bounds of an estimated base, ms UTC")
    pending: tuple[Span, ...] = Field(default=(), description="(run, first, last) of what was in the spool besides")
    aside: tuple[tuple[str, int, int, str], ...] = Field(
        default=(), description="(run, first, last, reason) of what the gateway no longer offers"
    )
    replaces: tuple[Span, ...] = Field(default=(), description="batches that a digest stands in for")


MODELS: dict[str, type[BaseModel]] = {
    "ack": Ack,
    "batch": Body,
    "birth": Birth,
    "command": Command,
    "ready": Ready,
    "receipt": ReceiptText,
    "reply": Reply,
    "schedule": Schedule,
    "start": Start,
}


def text(name: str) -> str:
    """The schema of one of them, as its file holds it."""
    schema: dict[str, Any] = MODELS[name].model_json_schema(by_alias=True, mode="validation")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def path(name: str) -> Path:
    """Where it lies."""
    return FOLDER / f"{name}.schema.json"


def main(check: bool) -> int:
    """Write or compare all of them; 1 where one differs."""
    differ = [name for name in MODELS if not path(name).exists() or path(name).read_text("utf-8") != text(name)]
    if check:
        for name in differ:
            print(f"{path(name).relative_to(ROOT)} is out of date: run python tools/contract_schemas.py")
        return int(bool(differ))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in differ:
        path(name).write_text(text(name), encoding="utf-8")
        print(path(name).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
