"""What Linux tells of the board, from trees of files as a Pi and a virtual machine have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.health import SystemBoard

MEMINFO = "MemTotal:        3884360 kB\nMemFree:          120000 kB\nMemAvailable:    2500000 kB\n"
FILES = {
    "proc/meminfo": MEMINFO,
    "proc/loadavg": "0.52 0.58 0.59 1/389 12345\n",
    "proc/uptime": "86412.37 340000.11\n",
    "proc/self/io": "rchar: 10\nwchar: 20\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n",
    "sys/class/thermal/thermal_zone0/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "51000\n",
    "sys/class/thermal/thermal_zone1/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "48312\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Pi's files."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_pi_tells_its_processors_temperature_its_memory_load_and_card(root: Path) -> None:
    state = SystemBoard(folder=root, root=root).look()
    assert state.temperature_c == 48.312
    assert state.memory_available_bytes == 2_560_000_000
    assert (state.load_1min, state.uptime_s, state.written_bytes) == (0.52, 86412.37, 4096)
    assert state.disk_free_bytes is not None
    assert state.disk_free_bytes > 0


def test_another_board_gives_the_first_zone_that_can_be_read(root: Path) -> None:
    (root / "sys/class/thermal/thermal_zone1/temp").unlink()
    assert SystemBoard(folder=root, root=root).look().temperature_c == 51.0


def test_what_is_missing_hidden_or_broken_is_no_value_and_no_error(root: Path, tmp_path: Path) -> None:
    for name in FILES:
        whole = (root / name).read_text()
        for text in ("", "\n", "x", "nan nan", whole[: len(whole) // 2], "MemAvailable:", "write_bytes: x"):
            (root / name).write_text(text)
            SystemBoard(folder=root, root=root).look()
        (root / name).unlink()
        SystemBoard(folder=root, root=root).look()
    state = SystemBoard(folder=tmp_path / "no such folder", root=tmp_path / "nothing").look()
    assert {getattr(state, name) for name in state.__slots__} == {None}


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    state = SystemBoard(folder=tmp_path).look()
    assert state.uptime_s is not None
    assert state.memory_available_bytes is not None
    assert state.memory_available_bytes > 1e6
