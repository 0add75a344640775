"""mbpoll, which knows nothing of ours, reads served devices: it must see what the profile and the record say."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device_profiles.library import Library
from device_profiles.profile import DecodeType, Profile, RegisterTable, WordOrder
from simulators.parts.meter import FED_PROFILES
from simulators.truth.record import Record
from tests.e2e.servers import require

PROFILES = sorted(set(Library().ids()) - set(FED_PROFILES))
TYPES = {RegisterTable.INPUT: "3", RegisterTable.HOLDING: "4"}
SECONDS_MAX = 90


def scenario(*, serial: bool) -> dict[str, Any]:
    """One device of each profile of the catalog, all on one line."""
    meters = {f"m-{name}": {"profile": name, "line": "line", "unit_id": n} for n, name in enumerate(PROFILES, start=1)}
    meters["m-tuf-2000m"] |= {
        "fields": {"volume_m3": "train-1.feed.volume_m3", "flow_m3_h": "train-1.feed.flow_m3_h"},
        "start": {"volume_m3": 1_234_567.0},
    }
    meters["m-eastron-sdm630"] |= {"fields": {"power_w": "train-1.energy.power_w"}}
    return {
        "scenario": "polled",
        "trains": {"train-1": {"feed_m3_h": 40}},
        "lines": {"line": {"serial": serial, "baud": 38_400 if serial else 9600}},
        "meters": meters,
    }


class Plant:
    """A simulator in a process of its own, and mbpoll."""

    def __init__(self, mbpoll: str, place: dict[str, Any], record: Path) -> None:
        self._mbpoll = mbpoll
        self._place = place
        self.record = Record.open_readonly(record)

    def poll(self, unit: int, kind: str, address: int, count: int, *more: str) -> list[str]:
        """What mbpoll prints for each value."""
        if "serial" in self._place:
            way = ["-m", "rtu", "-b", str(self._place["baud"]), "-P", "none", self._place["serial"]]
        else:
            way = ["-m", "tcp", "-p", str(self._place["port"]), self._place["host"]]
        asked = ["-0", "-1", "-q", "-o", "10", "-a", str(unit), "-t", kind, "-r", str(address), "-c", str(count), *more]
        done = subprocess.run(
            [self._mbpoll, *asked, *way], capture_output=True, text=True, timeout=SECONDS_MAX, check=True
        )
        return [line.split("\t")[1].strip() for line in done.stdout.splitlines() if line.startswith("[")]

    def last(self, device: str, field: str) -> tuple[str, float | None]:
        """The registers and the value that were noted last."""
        return self.record.words(device, field)[-1][1], self.record.served(device, field, 0, 2**62)[-1][1]


@contextmanager
def plant(folder: Path, *, serial: bool) -> Iterator[Plant]:
    mbpoll = require("mbpoll")
    (folder / "plant.json").write_text(json.dumps(scenario(serial=serial)))
    files = {"--scenario": "plant.json", "--record": "record.db", "--ports": "ports.json"}
    files |= {"--serial": "lines"} if serial else {}
    command = [part for key, name in files.items() for part in (key, str(folder / name))]
    program = "import sys; from loopgauge.cli.main import main; sys.exit(main())"
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "LOOPGAUGE_CLOCK": ""}
    with subprocess.Popen(
        [sys.executable, "-c", program, "simulate", "modbus", *command], env=environment, stderr=subprocess.PIPE
    ) as process:
        try:
            end_s = time.monotonic() + SECONDS_MAX
            while not (folder / "ports.json").exists():
                assert process.poll() is None and time.monotonic() < end_s
                time.sleep(0.05)
            places = json.loads((folder / "ports.json").read_text())
            assert {"serial" in place for place in places.values()} == {serial}
            yield Plant(mbpoll, next(iter(places.values())), folder / "record.db")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS_MAX) == 0


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "rtu"])
def test_mbpoll_sees_the_registers_of_every_profile_of_the_catalog(tmp_path: Path, serial: bool) -> None:
    library = Library()
    with plant(tmp_path, serial=serial) as there:
        for unit, name in enumerate(PROFILES, start=1):
            profile = library.load(name)
            fields = list(profile.fields.items())
            for field, spec in fields[:4] + fields[-2:] if serial else fields:
                kind = f"{TYPES[spec.table]}:hex"
                seen = there.poll(unit, kind, spec.address, spec.type.registers)
                words, _ = there.last(f"m-{name}", field)
                assert " ".join(one.removeprefix("0x").lower() for one in seen) == words, (name, field)


def big_endian(profile: Profile, field: str) -> list[str]:
    """How mbpoll is told of the word order, where it knows it."""
    order = profile.fields[field].word_order or profile.modbus.word_order
    assert order in (WordOrder.ABCD, WordOrder.CDAB)
    return ["-B"] if order is WordOrder.ABCD else []


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "rtu"])
def test_mbpoll_decodes_the_values_that_were_noted(tmp_path: Path, serial: bool) -> None:
    library = Library()
    decoded = 0
    with plant(tmp_path, serial=serial) as there:
        for name, fields in {
            "eastron-sdm630": ("voltage_l1_v", "power_w", "frequency_hz", "power_factor"),
            "tuf-2000m": ("flow_m3_h", "velocity_m_s", "signal_quality"),
        }.items():
            profile = library.load(name)
            unit = PROFILES.index(name) + 1
            for field in fields:
                spec = profile.fields[field]
                kind = TYPES[spec.table] + (":float" if spec.type is DecodeType.F32 else "")
                (text,) = there.poll(unit, kind, spec.address, 1, *big_endian(profile, field))
                _, noted = there.last(f"m-{name}", field)
                seen = float(text) if spec.mask is None else int(text.split()[0]) & spec.mask
                assert noted is not None
                assert seen == pytest.approx(noted, rel=1e-5), (name, field)  # it prints six digits
                decoded += noted != 0
        total = library.load("tuf-2000m").fields["volume_m3"]
        unit = PROFILES.index("tuf-2000m") + 1
        whole, bits = there.poll(unit, f"{TYPES[total.table]}:int", total.address, 2)
        (fraction,) = struct.unpack(">f", int(bits).to_bytes(4, "big", signed=True))
        _, noted = there.last("m-tuf-2000m", "volume_m3")
        assert noted is not None and int(whole) + fraction == pytest.approx(noted, abs=1e-6)
        assert int(whole) >= 1_234_567
    assert decoded == 7


def test_what_the_profile_forbids_mbpoll_is_refused_and_a_line_is_gone_after_the_end(tmp_path: Path) -> None:
    with plant(tmp_path, serial=True) as there:
        unit = PROFILES.index("eastron-sdm630") + 1
        with pytest.raises(subprocess.CalledProcessError) as refused:
            there.poll(unit, "3:hex", 1, 2)
        assert "Illegal data address" in refused.value.stderr + refused.value.stdout
        assert (tmp_path / "lines" / "line").is_symlink()
    assert not (tmp_path / "lines" / "line").is_symlink()
