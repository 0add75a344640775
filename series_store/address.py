"""The address of a store, taken apart. A password or token never stands in it: it is the separate `secret`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import ssl

INFLUX_PORT = 8086
TLS, PLAIN = "+https", "+plain"
"""Ends of a scheme: over TLS; without it although the server is not on this machine."""


@dataclass(frozen=True, slots=True)
class Address:
    """A folder, or a server with a user (1.x) or organisation (2.x) and a database or bucket."""

    folder: str = ""
    base: str = ""
    user: str = ""
    secret: str | None = None
    name: str = ""
    trust: ssl.SSLContext | None = None
    """Whose certificates count; None without TLS."""


def parse_folder(url: str, secret: str | None) -> Address:
    """`sqlite:FOLDER`. Raises ValueError with what is wrong and its mend."""
    path = url.partition(":")[2]
    if path.startswith("//") and not path.startswith("///"):
        raise ValueError(f"store {shown(url)}: write sqlite:FOLDER without //")
    if not path.strip("/") or "\0" in path:
        raise ValueError(f"store {shown(url)}: no folder named; write sqlite:FOLDER")
    if secret is not None:
        raise ValueError(f"store {shown(url)}: a folder takes no secret; leave it out")
    return Address(folder="/" + path.lstrip("/") if path.startswith("/") else path)


def shown(url: str) -> str:
    """An address as it may stand in a log: without a password that should not have been there."""
    return re.sub(r"//([^/@:]*):[^@]*@", r"//\1:...@", url)


def _parse_server(url: str, secret: str | None) -> Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or INFLUX_PORT
    except ValueError:
        raise ValueError(f"store {shown(url)}: no host or port can be read from it; write HOST:PORT") from None
    if parts.password is not None:
        raise ValueError(f"store {shown(url)}: a password in the address; take it out and give it as the secret")
    name = unquote(parts.path.removeprefix("/"))
    if not host or not name or "/" in name or parts.query or parts.fragment:
        raise ValueError(f"store {shown(url)}: write {parts.scheme}://NAME@HOST:PORT/DATABASE")
    if secret is not None and not (secret and secret.isascii() and secret.isprintable()):
        raise ValueError(f"store {shown(url)}: the secret must be one line of ASCII text")
    tls = "s" if parts.scheme.endswith(TLS) else ""
    if secret is not None and not (tls or parts.scheme.endswith(PLAIN) or _is_here(host)):
        kind = parts.scheme.partition("+")[0]
        raise ValueError(
            f"store {shown(url)}: the secret would cross the network for all to read; write {kind}{TLS}://, "
            f"or {kind}{PLAIN}:// where that network is your own"
        )
    in_url = f"[{host}]" if ":" in host else host
    return Address(base=f"http{tls}://{in_url}:{port}", user=unquote(parts.username or ""), secret=secret, name=name)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_influx1(url: str, secret: str | None) -> Address:
    """`influx1://USER@HOST:PORT/DATABASE`; the user is needed where the server asks for one. Raises ValueError."""
    address = _parse_server(url, secret)
    if address.user and secret is None:
        raise ValueError(f"store {shown(url)}: user {address.user!r} has no password; give it as the secret")
    return address


def parse_influx2(url: str, secret: str | None) -> Address:
    """`influx2://ORG@HOST:PORT/BUCKET` with a token. Raises ValueError."""
    address = _parse_server(url, secret)
    if not address.user or secret is None:
        raise ValueError(f"store {shown(url)}: write influx2://ORG@HOST:PORT/BUCKET, and give the token as the secret")
    return address
