"""The computer that the agent runs on, as Linux tells of it: temperature, room on the card, memory, load."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable
from pathlib import Path

from edge_agent.errors import Fatal
from edge_agent.ports import BoardState

THERMAL_ZONE = "cpu-thermal"
"""Type of the zone of a Raspberry Pi's processor; on other boards the first zone that can be read stands in."""


class SystemBoard:
    """This board. `folder` is that of the spool; under `root` lie the system's /proc and /sys."""

    def __init__(self, *, folder: Path, root: Path = Path("/")) -> None:
        self._folder = folder
        self._proc = root / "proc"
        self._zones = root / "sys/class/thermal"

    def look(self) -> BoardState:
        """See `Board`. What a hardened service may not read is None, like a sensor that is not there."""
        return BoardState(
            temperature_c=_number(self._temperature),
            disk_free_bytes=_number(lambda: shutil.disk_usage(self._folder).free),
            memory_available_bytes=_number(lambda: 1024 * _after(self._proc / "meminfo", "MemAvailable:")),
            load_1min=_number(lambda: float(_text(self._proc / "loadavg").split()[0])),
            uptime_s=_number(lambda: float(_text(self._proc / "uptime").split()[0])),
            written_bytes=_number(lambda: _after(self._proc / "self/io", "write_bytes:")),
        )

    def _temperature(self) -> float:
        """In degrees Celsius; the kernel gives thousandths."""
        zones = sorted(self._zones.glob("thermal_zone*"), key=lambda zone: (_kind(zone) != THERMAL_ZONE, zone.name))
        for zone in zones:
            try:
                return int(_text(zone / "temp")) / 1000
            except (OSError, ValueError):
                continue
        raise ValueError("no sensor")


def _kind(zone: Path) -> str:
    try:
        return _text(zone / "type").strip()
    except OSError:
        return ""


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace")


def _after(path: Path, key: str) -> float:
    """The number behind `key` in a file of lines."""
    return float(next(line.split()[1] for line in _text(path).splitlines() if line.startswith(key)))


def _number(read: Callable[[], float]) -> float | None:
    """What was read, or None where that fails: a sensor is no reason to stop measuring."""
    try:
        value = read()
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return value if math.isfinite(value) else None


def read_board() -> str:
    """The serial number of this board: the Pi's, else the machine id. Raises Fatal."""
    for path in ("/sys/firmware/devicetree/base/serial-number", "/etc/machine-id"):
        with contextlib.suppress(OSError):
            text = Path(path).read_text(encoding="ascii", errors="replace").strip("\0\n ").lower()
            if text.isalnum() and len(text) <= 32:
                return text
    raise Fatal("board: this machine has no serial number and no machine id; give `board` in the site file")
