"""A spool that was damaged while the power was off: it is set aside whole, and the next start record says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def check(path: Path) -> str | None:
    """None if the file is absent or sound; else what is wrong with it, in a few words."""
    if not path.exists():
        return None
    try:
        db = sqlite3.connect(path)
        try:
            said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if said == "ok" else str(said)


def set_aside(path: Path) -> Path:
    """Rename a damaged spool and its journal to the first free `<name>.damaged-N`, and say where it lies now."""
    number = 1
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(target.with_name(target.name + suffix))
    return target
