"""Files in a folder of a worker's own that an operator's commands write into as well."""

from __future__ import annotations

import os
from pathlib import Path


def own_as(folder: Path, made: Path | int) -> None:
    """What root makes in a folder, a path or an open file, belongs to the folder's owner."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(made, owner.st_uid, owner.st_gid)


def sync_names(folder: Path) -> None:
    """Make the names of the files in a folder durable, as fsync of a file makes its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
