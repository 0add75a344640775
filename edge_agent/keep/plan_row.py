"""How the fields of a run were to be read, as a row of the table `plan` says it, with a checksum over all of it. Pure.

What a damaged file says of it decides which readings may be given up, so it counts only if it is as it was written.
"""

from __future__ import annotations

import json
import zlib

from data_contract.reading import FieldKind
from edge_agent.keep.evict import FieldPlan, Fields

PLAN_VERSION = 2
BARE_VERSION = 1
"""Its rows bear no checksum: they are believed in a sound file, and not in a damaged one."""
_CRC_CHARS = 8


def write(run: str, fields: Fields) -> str:
    """The text of a row of PLAN_VERSION."""
    text = json.dumps(fields, separators=(",", ":"))
    return f"{_crc(run, text)} {text}"


def read(run: str, version: int, text: str) -> Fields:
    """What a row says; nothing where it is of a version of another day, or not as it was written."""
    if is_sound(run, version, text):
        text = text[_CRC_CHARS + 1 :]
    elif version != BARE_VERSION:
        return {}
    try:
        return {
            device: {name: FieldPlan(FieldKind(kind), int(every_ms)) for name, (kind, every_ms) in fields.items()}
            for device, fields in json.loads(text).items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def is_sound(run: str, version: int, text: str) -> bool:
    """Whether a row bears the checksum of what it says."""
    return version == PLAN_VERSION and text[: _CRC_CHARS + 1] == f"{_crc(run, text[_CRC_CHARS + 1 :])} "


def _crc(run: str, text: str) -> str:
    return f"{zlib.crc32(f'{PLAN_VERSION} {run} {text}'.encode()):08x}"
