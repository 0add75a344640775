"""`edge calibrate` as a technician calls it: a chip on mock pins, a mass that is put on, an entry to be pasted."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from data_contract.calibration import Calibration
from edge_agent.commission.calibrate import Rest, Scale, at_rest
from loopgauge.cli.main import main
from simulators.chips.hx711 import Hx711Chip, MockBoard
from simulators.chips.sensed import Sensed

ZERO, PER_KG = -31_415, 21_345.0
SITE = """\
gateway: plant-1
spool: {file: spool.db}
uplink: {host: localhost}
clock: {trust: always}
buses:
  scale: {type: hx711, dout_pin: 5, clock_pin: 6, rate_hz: 80}
  other: {type: hx711, dout_pin: 17, clock_pin: 27}
devices:
  bin-2: {profile: avia-hx711, bus: other, fields: [raw_count]}
  bin-1:
    profile: avia-hx711
    bus: scale
    fields: [raw_count]
    bin:
      weight: raw_count
"""


class Platform:
    """A load cell with a little noise; `put_at_s` is when the mass is put on."""

    def __init__(self) -> None:
        self.load_kg = 0.0
        self.later: tuple[float, float] | None = None
        self._n = 0

    def __call__(self, _: int) -> Sensed:
        if self.later is not None and time.monotonic() >= self.later[0]:
            self.load_kg = self.later[1]
        self._n += 1
        return Sensed(round(ZERO + PER_KG * self.load_kg) + self._n % 7)


@pytest.fixture
def platform() -> Iterator[Platform]:
    made, board = Platform(), MockBoard()
    board.connect(Hx711Chip(sense=made, rate_hz=80), dout_pin=5, clock_pin=6)
    yield made
    board.remove()


def site(folder: Path) -> Path:
    path = folder / "site.yaml"
    path.write_text(SITE)
    return path


def entry_of(text: str) -> Calibration:
    _, _, lines = text.partition("calibrations\n")
    [said] = yaml.safe_load(lines)
    return Calibration.model_validate(said)


def test_without_a_question_the_mass_is_waited_for(
    platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site(tmp_path)
    before = path.read_bytes()

    async def then_put_on(scale: Scale, *, away_from: float | None = None) -> Rest:
        """However long the zero has taken, the mass comes after it."""
        if away_from is not None:
            platform.later = time.monotonic() + 1, 12.5
        return await at_rest(scale, away_from=away_from)

    monkeypatch.setattr("loopgauge.cli.edge_calibrate.at_rest", then_put_on)
    code = main(["edge", "calibrate", str(path), "--device", "bin-1", "--zero-now", "--mass", "12.5"])
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    made = entry_of(said.out)
    assert made.kilograms(ZERO + PER_KG * 7) == pytest.approx(7, abs=0.002)
    assert made.mass_kg == 12.5
    assert path.read_bytes() == before, "the site file is the person's"
    pasted = said.out.partition("calibrations\n")[2]
    path.write_text(SITE + "      calibrations:\n" + textwrap.indent(pasted, " " * 8))
    assert main(["edge", "check", str(path)]) == 0


def test_a_person_is_asked_for_what_only_they_can_do(
    platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(question: str) -> str:
        asked.append(question)
        if len(asked) == 2:
            platform.load_kg = 20.0
        return "" if len(asked) == 1 else "20,0"

    monkeypatch.setattr("builtins.input", answer)
    assert main(["edge", "calibrate", str(site(tmp_path)), "--device", "bin-1"]) == 0
    assert "Empty" in asked[0]
    assert "kg" in asked[1]
    assert entry_of(capsys.readouterr().out).counts_per_kg == pytest.approx(PER_KG, abs=1)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--device", "bin-9"], "no such device"),
        (["--device", "bin-2"], "devices.bin-2.bin: missing"),
    ],
)
def test_a_device_that_has_no_bin_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["edge", "calibrate", str(site(tmp_path)), "--zero-now", "--mass", "1", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert says in line


def test_a_chip_that_is_not_there_is_one_line(
    platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.commission.calibrate.FAILURES_MAX", 1)
    path = site(tmp_path)
    path.write_text(SITE.replace("bus: scale", "bus: other"))
    assert main(["edge", "calibrate", str(path), "--device", "bin-1", "--zero-now", "--mass", "1"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "GPIO 17 and 27" in line
