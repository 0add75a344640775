"""Each rule as a function from one module to the lines that break it, each with its mend."""

from __future__ import annotations

import sys

from tests.rules.tables import (
    BANNED_CALLS,
    BANNED_EVERYWHERE,
    BANNED_IMPORTS,
    BANNED_OUTSIDE,
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    LIBRARIES,
    MARKS,
    MAY_SEE,
    MUST_NOT_SEE,
    PACKAGES,
    PART_OF,
    PURE_LIBRARIES,
    SEEDED_ONLY,
    VENDORS_MAX,
    Mark,
)
from tests.rules.tree import Import, Module, is_within


def mark_of(path: str) -> Mark:
    """The mark of a file: that of the longest path in the table that covers it, else core."""
    covering = [entry for entry in MARKS if is_within(path, entry, "/")]
    if path.endswith("/__init__.py"):
        return Mark.CORE
    return MARKS[max(covering, key=len)] if covering else Mark.CORE


def wrong_directions(module: Module) -> list[str]:
    """Imports of our own packages against the floor plan."""
    found = []
    for imported in module.imports():
        owner = imported.name.split(".")[0]
        if owner == "tests" or owner == "benchmarks":
            found.append(_at(module, imported, "is not shipped"))
        if owner not in PACKAGES:
            continue
        allowed = (module.package, *MAY_SEE[module.package])
        if not any(is_within(imported.name, entry) for entry in allowed):
            found.append(_at(module, imported, f"{module.package} may see only {', '.join(allowed[1:]) or 'itself'}"))
        if module.package != "loopgauge" and imported.name.endswith(".app"):
            found.append(_at(module, imported, "only loopgauge and tests import an app"))
        found += [
            _at(module, imported, reason)
            for path, bans in MUST_NOT_SEE.items()
            if is_within(module.path.removesuffix(".py"), path.removesuffix(".py"), "/")
            for banned, reason in bans
            if is_within(imported.name, banned)
        ]
    if module.path.endswith("/__init__.py"):
        own = [imported for imported in module.imports() if imported.name.split(".")[0] in PACKAGES]
        found += [_at(module, imported, "importing one module would load its neighbours") for imported in own]
    return found


def foreign_libraries(module: Module) -> list[str]:
    """Imports of libraries that the package's extra does not install."""
    allowed = LIBRARIES[module.package]
    return [
        _at(module, imported, f"{module.package} uses only {', '.join(allowed)}")
        for imported in module.imports()
        if (library := _library(imported)) and library not in allowed
    ]


def touched_world(module: Module) -> list[str]:
    """What a file imports or opens although its mark forbids it."""
    mark = mark_of(module.path)
    real = [imported for imported in module.imports() if not imported.typing_only]
    found = [
        _at(module, imported, f"marked {mark}: belongs into a shell behind a port")
        for imported in real
        if any(is_within(imported.name, banned) for banned in BANNED_IMPORTS[mark])
    ]
    vendors = sorted(
        {library for imported in real if (library := _library(imported)) and library not in PURE_LIBRARIES}
    )
    # aiomqtt is a layer over paho and raises its errors: together they are one vendor.
    if len(set(vendors) - ({"paho"} if "aiomqtt" in vendors else set())) > VENDORS_MAX[mark]:
        found.append(f"{module.path}: marked {mark}, at most {VENDORS_MAX[mark]} vendor library: {', '.join(vendors)}")
    if mark in (Mark.CORE, Mark.FLOW):
        found += [
            f"{module.path}:{call.line}: open(), marked {mark}: take the text or bytes as an argument"
            for call in module.calls()
            if call.name in ("open", "io.open")
        ]
    return found


def banned_calls(module: Module) -> list[str]:
    """Calls that have a better place, each with it."""
    banned = dict(BANNED_EVERYWHERE)
    if mark_of(module.path) in (Mark.CORE, Mark.FLOW):
        banned |= BANNED_CALLS
    banned |= {
        call: mend
        for call, (places, mend) in BANNED_OUTSIDE.items()
        if not any(is_within(module.path, place, "/") for place in places)
    }
    found = [
        f"{module.path}:{call.line}: {call.name}(): {banned[call.name]}"
        for call in module.calls()
        if call.name in banned
    ]
    found += [
        f"{module.path}:{call.line}: {call.name}(): take a generator as an argument, so that a seed replays"
        for call in module.calls()
        if (chance := call.name.rpartition("."))[0] in SEEDED_ONLY and chance[2] not in SEEDED_ONLY[chance[0]]
    ]
    found += [
        f"{module.path}:{call.line}: {call.name}(): name the task, name=…"
        for call in module.calls()
        if call.name.endswith("create_task") and "name" not in call.keywords
    ]
    return found


def raised_in_star(module: Module) -> list[str]:
    """An error raised within `except*`: Python 3.11 up to 3.11.3, as Debian 12 has it, makes a group of it."""
    return [
        f"{module.path}:{line}: raise within except*: note the error there, and raise it behind the statement"
        for line in module.raises_in_star()
    ]


def oversize(module: Module) -> list[str]:
    """A file or function that holds more than one idea can need."""
    found = []
    lines = module.text.count("\n")
    if lines > FILE_LINES_MAX:
        found.append(f"{module.path}: {lines} lines, at most {FILE_LINES_MAX}")
    found += [
        f"{module.path}:{line}: {name} has {length} lines, at most {FUNCTION_LINES_MAX}"
        for name, line, length in module.functions()
        if length > FUNCTION_LINES_MAX
    ]
    return found


def _library(imported: Import) -> str | None:
    """The library from outside that an import names, or None."""
    owner = imported.name.split(".")[0]
    own = owner in PACKAGES or owner in ("tests", "benchmarks")
    return None if own or owner in sys.stdlib_module_names else PART_OF.get(owner, owner)


def _at(module: Module, imported: Import, why: str) -> str:
    return f"{module.path}:{imported.line}: imports {imported.name}: {why}"
