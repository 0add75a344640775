"""Finds profiles by id: in the site's own folder first, then in the catalog that comes with the package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from device_profiles.lint import lint
from device_profiles.profile import Profile
from yaml_models.bad_file import BadFile
from yaml_models.explain import one_of, suggest
from yaml_models.files import read_text
from yaml_models.parse import parse_with_lines

PROFILE_FILE = "profile.yaml"
RECORDING_FILE = "recording.yaml"
EXPECTED_FILE = "expected.yaml"

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Checked:
    """A profile that could be read, with everything that is wrong with it, each as one line."""

    profile: Profile
    errors: tuple[BadFile, ...]
    warnings: tuple[BadFile, ...]


def check(file: Path) -> Checked:
    """Read a profile and lint it. Raises BadFile only where it cannot be read as a profile at all."""
    parsed = parse_with_lines(read_text(file), Profile, file=str(file))
    profile = parsed.model
    found: dict[str, list[BadFile]] = {"error": [], "warning": []}
    folder = file.absolute().parent.name
    if file.name == PROFILE_FILE and folder != profile.profile:
        mend = f"write {folder}, or rename the folder"
        found["error"].append(parsed.bad("profile", f"{profile.profile!r} lies in the folder {folder!r}", mend))
    for finding in lint(profile):
        found[finding.level].append(parsed.bad(finding.key, finding.problem, finding.mend))
    return Checked(profile, tuple(found["error"]), tuple(found["warning"]))


class Library:
    """Profiles by id. A profile of the site's folder hides one of the catalog that has the same id."""

    def __init__(self, site_folder: Path | None = None) -> None:
        self._folders = [] if site_folder is None else [site_folder]
        self._folders.append(Path(str(files("device_profiles").joinpath("catalog"))))

    def ids(self) -> list[str]:
        """All ids, sorted. BadFile where the site's folder cannot be listed."""
        return sorted({name for folder in self._folders for name in _profiles_in(folder)})

    def folder(self, profile_id: str) -> Path:
        """The folder that holds the profile and its recording. BadFile names near ids where there is none."""
        for folder in self._folders:
            # The pattern keeps an id that came from a site's configuration inside these folders.
            if _ID.fullmatch(profile_id) and (folder / profile_id / PROFILE_FILE).is_file():
                return folder / profile_id
        ids = self.ids()
        meant = suggest(profile_id, ids)
        mend = f"did you mean {meant}?" if meant else f"there are: {one_of(ids)}"
        raise BadFile("device profiles", None, profile_id, "no such profile", mend)

    def check(self, profile_id: str) -> Checked:
        """The profile and its findings."""
        return check(self.folder(profile_id) / PROFILE_FILE)

    def load(self, profile_id: str) -> Profile:
        """The profile, free of errors. BadFile is the first error in its file."""
        checked = self.check(profile_id)
        if checked.errors:
            raise min(checked.errors, key=lambda error: error.line or 0)
        return checked.profile


def _profiles_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if (entry / PROFILE_FILE).is_file()]
    except OSError as error:
        problem = f"cannot be listed ({error.strerror})"
        raise BadFile(str(folder), None, "", problem, "create it, or give another folder for profiles") from None
