"""`loopgauge profile`: which devices are known, what their registers mean, and whether a profile is sound."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loopgauge.cli.common import complain

if TYPE_CHECKING:
    from device_profiles.library import Checked, Library
    from device_profiles.profile import Profile, ProfileField
    from device_profiles.registers import Value

BAD_INPUT = 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `profile` and its verbs to the command."""
    parser = subparsers.add_parser("profile", help="device profiles: list, show, lint, decode", description=__doc__)
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    site = argparse.ArgumentParser(add_help=False)
    site.add_argument("--site", type=Path, metavar="FOLDER", help="look for profiles in this folder first")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")

    verbs.add_parser("list", parents=[site, as_json], help="all profiles, of the site and of the catalog")
    show = verbs.add_parser("show", parents=[site], help="the fields of a profile")
    show.add_argument("id", metavar="ID", help="such as eastron-sdm630")
    lint = verbs.add_parser("lint", parents=[site], help="everything that is wrong with a profile, one line each")
    lint.add_argument("what", metavar="PATH-or-ID", help="a profile.yaml, its folder, or the id of a profile")
    decode = verbs.add_parser("decode", parents=[site, as_json], help="what the registers of a recording mean")
    decode.add_argument("id", metavar="ID", help="such as eastron-sdm630")
    decode.add_argument("recording", type=Path, metavar="RECORDING.yaml", help="registers to decode")


def run(args: argparse.Namespace) -> int:
    """Do what `args` asks. 0 is good; 2 is bad input, said in one line each."""
    from device_profiles.library import Library
    from yaml_models.bad_file import BadFile

    library = Library(args.site)
    try:
        match args.verb:
            case "list":
                return _list(library, args.json)
            case "show":
                return _show(library.load(args.id))
            case "lint":
                return _lint(_checked(library, args.what))
            case _:
                return _decode(library.load(args.id), args.recording, args.json)
    except BadFile as error:
        return complain(error, BAD_INPUT)


def _list(library: Library, as_json: bool) -> int:
    profiles, code = _readable(library)
    if as_json:
        _print_json(
            [
                {"id": p.profile, "version": p.version, "title": p.title, "maker": p.maker, "model": p.model}
                | {"kind": p.kind, "confidence": p.verified.confidence, "fields": list(p.fields)}
                for p in profiles
            ]
        )
    else:
        rows = [(p.profile, p.title, p.kind, p.verified.confidence) for p in profiles]
        _print_table(("ID", "TITLE", "KIND", "CONFIDENCE"), rows)
    return code


def _readable(library: Library) -> tuple[list[Profile], int]:
    """All sound profiles. A broken one is said on stderr and hides none of its neighbours."""
    from yaml_models.bad_file import BadFile

    profiles, code = [], 0
    for profile_id in library.ids():
        try:
            profiles.append(library.load(profile_id))
        except BadFile as error:
            code = complain(error, BAD_INPUT)
    return profiles, code


def _show(profile: Profile) -> int:
    bus = profile.modbus
    print(
        f"{profile.profile} v{profile.version}: {profile.title} ({profile.maker} {profile.model}), kind {profile.kind}"
    )
    print(
        f"modbus: unit {bus.unit_id}, {bus.serial.baud} {bus.serial.parity}{bus.serial.stop_bits}, "
        f"word order {bus.word_order}, at most {bus.registers_max} registers{', even only' if bus.even_only else ''}"
    )
    print("groups: " + ", ".join(f"{name} every {group.every_s:g} s" for name, group in profile.groups.items()))
    print(f"verified: {profile.verified.confidence}, {profile.verified.document}")
    if profile.verified.note:
        print(f"note: {profile.verified.note}")
    print()
    rows = [
        (name, f.unit, f.kind, f.group, f.table, str(f.address), f.type, _order(profile, f), f"{f.scale:g}")
        for name, f in profile.fields.items()
    ]
    _print_table(("FIELD", "UNIT", "KIND", "GROUP", "TABLE", "PDU", "TYPE", "ORDER", "SCALE"), rows)
    return 0


def _order(profile: Profile, field: ProfileField) -> str:
    """The word order that holds for a field; a single register has none of its own accord."""
    return field.word_order or (profile.modbus.word_order if field.type.registers > 1 else "-")


def _lint(checked: Checked) -> int:
    for error in checked.errors:
        print(error)
    for warning in checked.warnings:
        print(f"{warning} (warning)")
    if not checked.errors:
        print(f"{checked.profile.profile}: {len(checked.profile.fields)} fields, {len(checked.warnings)} warnings")
    return BAD_INPUT if checked.errors else 0


def _checked(library: Library, what: str) -> Checked:
    from device_profiles.library import PROFILE_FILE, check

    path = Path(what)
    if path.is_dir():
        return check(path / PROFILE_FILE)
    is_path = "/" in what or path.suffix in (".yaml", ".yml") or path.exists()
    return check(path) if is_path else library.check(what)


def _decode(profile: Profile, file: Path, as_json: bool) -> int:
    from device_profiles.recording import Recording, replay
    from yaml_models.files import load

    values = replay(profile, load(file, Recording).registers())
    missing = [name for name in profile.fields if name not in values]
    if as_json:
        _print_json({"profile": profile.profile, "values": _as_data(profile, values), "not_recorded": missing})
        return 0
    rows = [(name, _number(v.value), profile.fields[name].unit, v.quality.name.lower()) for name, v in values.items()]
    _print_table(("FIELD", "VALUE", "UNIT", "QUALITY"), rows)
    if missing:
        print("not recorded: " + ", ".join(missing))
    return 0


def _as_data(profile: Profile, values: dict[str, Value]) -> dict[str, object]:
    return {
        name: {"value": v.value, "unit": profile.fields[name].unit, "quality": v.quality.name.lower()}
        for name, v in values.items()
    }


def _number(value: float | None) -> str:
    return "-" if value is None else repr(value)


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))


def _print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
