"""`python -m tests.chaos.stepped FILE WORDS…`: loopgauge whose civil clock is ahead by as many ms as FILE says, always.

A step of the system's clock would reach every process of the machine; this one reaches a single running one.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path

OFFSET_FILE = "clock-offset-ms"


def write_offset(file: Path, offset_ms: int) -> None:
    """Step the clock of whoever reads `file`; it never sees half a number."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(offset_ms), encoding="ascii")
    os.replace(fresh, file)


def main() -> None:
    """Put the clock ahead, then be the command."""
    file, real = Path(sys.argv[1]), time.time

    def stepped() -> float:
        return real() + int(file.read_text(encoding="ascii")) / 1000

    vars(time)["time"] = stepped
    sys.argv = ["loopgauge", *sys.argv[2:]]
    runpy.run_module("loopgauge.cli.main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
