"""A gateway's spool as a program of schema 2 would have left it: the golden file of that version with other rows."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.lab.host import Host
from tests.lab.place import LAB, ROOT

GOLDEN = ROOT / "tests" / "golden" / "spool" / "v2" / "spool.db"
SPOOL = "var/lib/loopgauge/edge/spool.db"


def age(host: Host) -> dict[str, list[int]]:
    """Put what a stopped agent keeps into a file of schema 2, in the same place; run → numbers of its batches."""
    live, old = host.root / SPOOL, LAB / "spool-v2.db"
    shutil.copy(GOLDEN, old)
    with closing(sqlite3.connect(old)) as db:
        db.execute("ATTACH ? AS live", (str(live),))
        for table in ("batch", "run", "memory"):
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(f"DELETE FROM main.{table}")  # noqa: S608  # names of our own
            db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM live.{table}")  # noqa: S608
        db.commit()
    owner = live.stat()
    for each in (live, *_beside(live)):
        each.unlink(missing_ok=True)
    shutil.copy(old, live)
    os.chown(live, owner.st_uid, owner.st_gid)
    live.chmod(owner.st_mode & 0o777)
    return kept(host)


def kept(host: Host) -> dict[str, list[int]]:
    """Run → numbers of the batches that a gateway keeps."""
    found: dict[str, list[int]] = {}
    with closing(_read(host)) as db:
        for run, seq in db.execute("SELECT run, seq FROM batch JOIN run ON id = run_id ORDER BY run_id, seq"):
            found.setdefault(run, []).append(seq)
    return found


def version(host: Host) -> int:
    """The schema of a gateway's spool."""
    with closing(_read(host)) as db:
        (found,) = db.execute("PRAGMA user_version").fetchone()
    return int(found)


def _read(host: Host) -> sqlite3.Connection:
    return sqlite3.connect(f"{(host.root / SPOOL).as_uri()}?mode=ro", uri=True)


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]
