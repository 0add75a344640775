"""Opens a scenario, by its path or by the name of one that is shipped, and the device profiles that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from device_profiles.profile import Profile
from simulators import crosscheck
from simulators.checked_scenario import CheckedScenario
from simulators.scenario import Scenario
from yaml_models.bad_file import BadFile
from yaml_models.explain import suggest
from yaml_models.files import read_text
from yaml_models.parse import Parsed, parse_with_lines
from yaml_models.tree import dotted

SHIPPED = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario that hangs together, with its profiles by their id."""

    scenario: Scenario
    profiles: Mapping[str, Profile]


def shipped_names() -> list[str]:
    """The scenarios that can be asked for by name."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find(name_or_path: str) -> Path:
    """The file of a shipped scenario, or the path itself. BadFile for what can only be a name, and is none."""
    names, path = shipped_names(), Path(name_or_path)
    if name_or_path in names:
        return SHIPPED / f"{name_or_path}.yaml"
    if not path.suffix and path.name == name_or_path and not path.exists():
        meant = suggest(name_or_path, names)
        mend = f"did you mean {meant}?" if meant else f"give a path, or one of {', '.join(names)}"
        raise BadFile(name_or_path, None, "", "no such scenario", mend)
    return path


def load_scenario(path: Path, load_profile: Callable[[str], Profile]) -> Loaded:
    """Read and check the scenario at `path`. BadFile names file, line, key and mend of what is wrong in it."""
    parsed = parse_with_lines(read_text(path), CheckedScenario, file=str(path))
    profiles = _profiles(parsed, load_profile)
    for at, problem, mend in crosscheck.against_profiles(parsed.model, profiles):
        raise parsed.bad(dotted(at), problem, mend)
    return Loaded(parsed.model, profiles)


def with_seed(loaded: Loaded, seed: int) -> Loaded:
    """The same scenario drawn from another seed. ValueError if that is no seed."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed {seed}: must lie between 0 and 2^63 - 1")
    return Loaded(loaded.scenario.model_copy(update={"seed": seed}), loaded.profiles)


def _profiles(parsed: Parsed[CheckedScenario], load_profile: Callable[[str], Profile]) -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for device, meter in parsed.model.meters.items():
        if meter.profile not in found:
            try:
                found[meter.profile] = load_profile(meter.profile)
            except BadFile as error:
                if error.line is not None:
                    raise  # the profile is there, and wrong in itself
                raise parsed.bad(
                    f"meters.{device}.profile", f"{error.problem}: {meter.profile!r}", error.mend
                ) from None
    return found
