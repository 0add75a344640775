"""Opens what a person wrote, a YAML file or a secret, by its path."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from yaml_models.bad_file import BadFile
from yaml_models.parse import parse
from yaml_models.tree import FILE_BYTES_MAX

M = TypeVar("M", bound=BaseModel)

SECRET_BYTES_MAX = 4096
"""Longest secret; a longer file is refused, since it is probably the wrong one."""


def load(path: Path, model: type[M]) -> M:
    """Read the file at `path` as `model`. Raises BadFile, also where there is no file to read."""
    return parse(read_text(path), model, file=str(path))


def read_text(path: Path, *, bytes_max: int = FILE_BYTES_MAX) -> str:
    """The text of a regular UTF-8 file of at most `bytes_max` bytes, or BadFile."""
    raw, _ = _read(path, bytes_max)
    return _decoded(raw, path)


def read_secret(path: Path) -> str:
    """A password or token alone in a file, without the newline at its end.

    Its owner may read the file, and so may its group, for a service that must not change it. BadFile says so where
    anybody else could read it, or the group could change it.
    """
    raw, mode = _read(path, SECRET_BYTES_MAX)
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise BadFile(str(path), None, "", "a secret that others may read or change", f"chmod 600 {path}")
    secret = _decoded(raw, path).removesuffix("\n").removesuffix("\r")
    if not secret:
        raise BadFile(str(path), None, "", "empty, where a secret is expected", "write the secret into it, alone")
    return secret


def _read(path: Path, bytes_max: int) -> tuple[bytes, int]:
    """Content and mode of a regular file."""
    try:
        # A pipe or a device would block or never end, so the kind is looked at before the file is opened.
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                raw, mode = file.read(bytes_max + 1), os.fstat(file.fileno()).st_mode
        else:
            raise BadFile(str(path), None, "", "not a regular file", "give the path of a file")
    except FileNotFoundError:
        raise BadFile(str(path), None, "", "no such file", "create it, or give another path") from None
    except PermissionError:
        raise BadFile(str(path), None, "", "not readable for this user", "chmod it, or run as its owner") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadFile(str(path), None, "", f"cannot be read ({reason})", "look at the path and its disk") from None
    if len(raw) > bytes_max:
        raise BadFile(str(path), None, "", f"larger than {bytes_max} bytes", "give the right file, or split it")
    return raw, mode


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadFile(str(path), line, "", f"not UTF-8 (byte 0x{raw[error.start]:02X})", "save it as UTF-8") from None
