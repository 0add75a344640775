"""A report as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rollups.report import Line


def document(lines: Sequence[Line]) -> str:
    """`{"figures": [...]}`, one object per line with the keys of COLUMNS."""
    return json.dumps({"figures": list(lines)}, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
