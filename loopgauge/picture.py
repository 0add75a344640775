"""Draws a day of a story: SVG by our own hand, PNG by a browser or a converter of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from simulators.scenario import Scenario
from simulators.story.book import Book
from simulators.story.calendar import DAY_MS, Calendar
from simulators.story.picture import Day, faults_of, picture
from simulators.world.world import World

CONVERTERS = ("rsvg-convert", "chromium", "chromium-browser", "google-chrome")
CONVERTER_S_MAX = 60


class CannotDraw(Exception):
    """There is no way to draw into such a file; one line says why and what to do."""


def check(path: Path) -> None:
    """CannotDraw unless `path` can be drawn on this machine, as far as its name tells."""
    if path.suffix not in (".svg", ".png"):
        raise CannotDraw(f"{path}: a picture is .svg or .png; give one of these endings")
    if path.suffix == ".png" and _converter() is None:
        raise CannotDraw(f"{path}: PNG needs one of {', '.join(CONVERTERS)} on this machine; install one, or give .svg")


def draw(folder: Path, path: Path, day: int) -> None:
    """Draw the day with this number of the story in `folder` into `path`. CannotDraw, BookError."""
    book = Book.open_readonly(folder)
    try:
        text = picture(day_of(book, day))
    finally:
        book.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".svg":
        path.write_text(text, encoding="utf-8")
    else:
        _convert(text, path)


def day_of(book: Book, number: int) -> Day:
    """A day of a story. What a story of meters alone does not hold is asked of its world."""
    meta = book.meta()
    scenario = Scenario.model_validate_json(meta["scenario"])
    calendar = Calendar(int(meta["from_ms"]), int(meta["every_ms"]), int(meta["offset_ms"]))
    begin_ms, t_ms = calendar.begin_ms(number), calendar.times(number)
    series = book.series(device="")
    if series:
        columns = {each.name: book.column(each.id, number) for each in series}
    else:
        world = World(scenario=scenario, origin_ms=calendar.from_ms)
        columns = {name: world.column(name, t_ms) for name in world.names}
    return Day(
        scenario=scenario,
        date=calendar.date(number),
        begin_ms=begin_ms,
        t_ms=t_ms,
        columns=columns,
        happenings=list(book.happenings(begin_ms, begin_ms + DAY_MS)),
        faults=faults_of(scenario, calendar.from_ms, begin_ms),
    )


def _converter() -> str | None:
    return next((found for name in CONVERTERS if (found := shutil.which(name)) is not None), None)


def _convert(text: str, path: Path) -> None:
    converter = _converter()
    assert converter is not None, "checked before anything was told"
    with tempfile.TemporaryDirectory(prefix="loopgauge-picture-") as folder:
        source = Path(folder) / "day.svg"
        source.write_text(text, encoding="utf-8")
        if Path(converter).name == "rsvg-convert":
            command = [converter, "--zoom", "1.5", "--output", str(path), str(source)]
        else:
            width, height = (text.split(f'{side}="')[1].split('"')[0] for side in (" width", " height"))
            command = [converter, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += ["--force-device-scale-factor=1.5", f"--user-data-dir={folder}/browser"]
            command += [f"--window-size={float(width):.0f},{float(height) + 1:.0f}"]
            command += [f"--screenshot={path.absolute()}", source.as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=CONVERTER_S_MAX)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotDraw(f"{path}: {converter} could not draw it ({type(error).__name__}); give .svg") from None
    if not path.exists():
        raise CannotDraw(f"{path}: {converter} drew nothing; give .svg")
