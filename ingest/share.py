"""The name under which equal workers share the messages: a secret where gateways are not to be trusted.

A broker deals messages out to all who subscribe under one name. Mosquitto's access list is asked only when a message is
handed on, not when somebody subscribes: to a gateway that joined, its share would be dealt, refused, and be gone. It
would not be lost, since its sender repeats what nobody acknowledges, but with a few such gateways little would arrive.
"""

from __future__ import annotations

from pathlib import Path

from yaml_models.bad_file import BadFile
from yaml_models.files import read_secret

SHARE = "ingest"


def read_share(path: Path) -> str:
    """The name alone in a file (MQTT 5.0, section 4.8.2, says what it may hold). BadFile says why it is none."""
    name = read_secret(path)
    if not name.isalnum():
        raise BadFile(str(path), None, "", "a name of letters and digits is expected", "write such a one into it")
    return name
