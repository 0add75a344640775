"""The strongest limit for sealing: the bodies of a spool, inserted by executemany under synchronous=FULL.

    python bare_inserts.py FROM TO

Each body is a transaction of its own, as a seal is. Prints bodies and s as JSON.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time


def main(source: str, target: str) -> None:
    """Copy them."""
    there = sqlite3.connect(source)
    bodies = there.execute("SELECT seq, body FROM batch ORDER BY seq").fetchall()
    db = sqlite3.connect(target, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE batch (seq INTEGER PRIMARY KEY, body TEXT)")
    began = time.perf_counter()
    for body in bodies:
        db.execute("BEGIN")
        db.executemany("INSERT INTO batch VALUES (?, ?)", [body])
        db.execute("COMMIT")
    print(json.dumps({"bodies": len(bodies), "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
