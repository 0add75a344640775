"""Writes docs/scenario-keys.md: every key of a scenario with its unit, its default and what it means.

`python -m tools.scenario_keys` writes it; with `--check` it only compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pydantic import BaseModel  # noqa: E402

from simulators.keys import SECTIONS  # noqa: E402
from yaml_models.kinds import default_of, keys_of, kind_of_field  # noqa: E402

FILE = ROOT / "docs" / "scenario-keys.md"

_HEAD = """\
# Keys of a scenario

Generated from the models by `python -m tools.scenario_keys`; `loopgauge simulate keys SECTION` prints a section as a
commented file. A key without default has to be given; — means: none, and what follows then is said beside it. How the
parts play together, with examples: [writing-a-scenario.md](writing-a-scenario.md).
"""

UNITS = {
    "working_days": "",
    "specific_energy_wander": "kWh/m³",
    "_kwh_m3": "kWh/m³",
    "_m3_per_mm": "m³/mm",
    "_m3_h": "m³/h",
    "_kg_m3": "kg/m³",
    "_kg_per_10c": "kg per 10 °C",
    "_percent_per_month": "% in 30 d",
    "_kg_per_month": "kg in 30 d",
    "_percent_per_day": "%/d",
    "percent_per_day": "%/d",
    "percent_per_10c": "% per 10 °C",
    "_counts": "counts",
    "counts_per_kg": "counts/kg",
    "_lmh_bar": "L/(m² h bar)",
    "_lmh": "L/(m² h)",
    "_g_l": "g/L",
    "_per_day": "1/d",
    "_per_year": "1/year",
    "_percent": "%",
    "share": "share",
    "_utc_offset_h": "h",
    "_hour": "local hour",
    "hours": "local hours",
    "_peak_day": "day of the year",
    "peak_day": "day of the year",
    "_every_days": "d",
    "_days": "d",
    "_bytes": "bytes",
    "_mm": "mm",
    "_m2": "m²",
    "_m3": "m³",
    "_kg": "kg",
    "_bar": "bar",
    "_min": "min",
    "_ms": "ms",
    "_m": "m",
    "_c": "°C",
    "_h": "h",
    "_w": "W",
    "_s": "s",
}
"""Ending of a key -> its unit; the first that fits."""


def document() -> str:
    """The whole file."""
    parts = [_HEAD]
    for section, models in SECTIONS.items():
        for name, model in models.items():
            parts.append("\n".join(_table(f"{section}: {name}" if name else section, model)))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def unit_of(key: str) -> str:
    """The unit that a key carries in its name; empty for text, ratios and lists."""
    return next((unit for ending, unit in UNITS.items() if key.endswith(ending)), "")


def _table(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| key | unit | default | what |"
    yield "|---|---|---|---|"
    for key, field in keys_of(model).items():
        kind = kind_of_field(field)
        about = (field.description or "").replace("|", "or")
        if kind.choices and not about.count(":") > 5:
            about += f" ({', '.join(str(each) for each in kind.choices)})"
        yield f"| `{key}` | {unit_of(key)} | {_default(field.is_required(), default_of(field))} | {about} |"


def _default(required: bool, default: Any) -> str:
    if required:
        return ""
    if default is None:
        return "—"
    if isinstance(default, BaseModel):
        return "as below"
    if isinstance(default, tuple | dict):
        return ", ".join(str(each) for each in default) or "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default) or "none"


def main() -> int:
    """Write the file, or with `--check` say whether it is current."""
    if "--check" in sys.argv[1:]:
        return 0 if FILE.read_text("utf-8") == document() else 1
    FILE.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
