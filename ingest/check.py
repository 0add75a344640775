"""Everything about a worker's file that can be found wrong without connecting, each mistake with line, key and mend."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ingest.config import IngestConfig
from ingest.errors import Fatal
from ingest.gateways import GatewaysFile
from ingest.share import read_share
from yaml_models.bad_file import BadFile
from yaml_models.files import read_secret
from yaml_models.parse import Parsed
from yaml_models.tls import tls_context, trust


def check(parsed: Parsed[IngestConfig], opens: Callable[[IngestConfig], object]) -> list[BadFile]:
    """What is wrong, in the order of the file. `opens` makes the store of a file, or says by ValueError why not."""
    config = parsed.model
    found = [*_broker(parsed), *_secrets(parsed)]
    if not any(bad.key.startswith("store.") for bad in found):
        try:
            opens(config)
        except ValueError as error:
            problem, _, mend = str(error).partition("; ")
            found.append(parsed.bad("store.url", problem, mend))
    try:
        GatewaysFile(Path(config.gateways_file)).read()
    except Fatal as error:
        problem, _, mend = str(error).removeprefix("gateways_file: ").partition("; ")
        found.append(parsed.bad("gateways_file", problem, mend))
    found += _folder(parsed, "gateways_file", Path(config.gateways_file).parent)
    found += _folder(parsed, "dead_letters", Path(config.dead_letters))
    return found


def _broker(parsed: Parsed[IngestConfig]) -> Iterator[BadFile]:
    tls = parsed.model.broker.tls
    if tls is None:
        return
    try:
        tls_context(tls)
    except BadFile as error:
        yield _at(parsed, f"broker.tls.{error.key}", error)
        return
    if tls.key_file is not None:
        try:
            read_secret(Path(tls.key_file))
        except BadFile as error:
            yield _at(parsed, "broker.tls.key_file", error)


def _secrets(parsed: Parsed[IngestConfig]) -> Iterator[BadFile]:
    config = parsed.model
    for key, file, reads in (
        ("broker.password_file", config.broker.password_file, lambda file: read_secret(Path(file))),
        ("broker.share_file", config.broker.share_file, lambda file: read_share(Path(file))),
        ("store.secret_file", config.store.secret_file, lambda file: read_secret(Path(file))),
        ("store.ca_file", config.store.ca_file, trust),
    ):
        if file is None:
            continue
        try:
            reads(file)
        except BadFile as error:
            yield _at(parsed, key, error)


def _at(parsed: Parsed[IngestConfig], key: str, error: BadFile) -> BadFile:
    """The complaint about another file, at the line that names it."""
    return parsed.bad(key, f"{error.file}: {error.problem}", error.mend)


def _folder(parsed: Parsed[IngestConfig], key: str, folder: Path) -> Iterator[BadFile]:
    """Whether a folder is there, or can be made, and may be written by whoever checks."""
    there = folder
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        usable, writable = there.is_dir(), os.access(there, os.W_OK | os.X_OK)
    except OSError as error:
        yield parsed.bad(key, f"{there}: {error.strerror}", "give another path")
        return
    if not usable:
        yield parsed.bad(key, f"{there} is no folder", "give another path")
    elif not writable:
        yield parsed.bad(key, f"{there} may not be written by this user", "chown it, or run as its owner")
