"""The certificate files that a person names become what programs connect with: to the broker, and to the store."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from yaml_models.bad_file import BadFile
from yaml_models.files import read_text


class TlsFiles(Protocol):
    """Paths of PEM files: who vouches for the other side and, where it asks for that, who this side is."""

    @property
    def ca_file(self) -> str:
        """Certificate authority of the other side."""

    @property
    def cert_file(self) -> str | None:
        """This side's certificate."""

    @property
    def key_file(self) -> str | None:
        """Its private key; None where it stands in `cert_file`."""


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """For a client: TLS 1.2 or later, the server's certificate and name checked. BadFile names a file and its key."""
    for key, file in (("ca_file", files.ca_file), ("cert_file", files.cert_file), ("key_file", files.key_file)):
        if file is not None:
            _look(key, file)
    context = trust(files.ca_file)
    if files.cert_file is not None:
        try:
            # An empty password, lest OpenSSL ask for one at the terminal of a machine that nobody looks at.
            context.load_cert_chain(files.cert_file, files.key_file, password="")
        except (OSError, ssl.SSLError):
            problem = "no certificate with its private key, unencrypted"
            raise BadFile(files.cert_file, None, "cert_file", problem, "look at cert_file and key_file") from None
    return context


def trust(ca_file: str, key: str = "ca_file") -> ssl.SSLContext:
    """For a client without a certificate of its own: TLS 1.2 or later, only certificates of this authority count.

    BadFile names the file, and `key` as where it was named.
    """
    _look(key, ca_file)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise BadFile(ca_file, None, key, "holds no certificate", "give the CA's as PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _look(key: str, file: str) -> None:
    """Whether the file is there and may be read: OpenSSL says neither which one it missed nor why."""
    try:
        read_text(Path(file))
    except BadFile as error:
        raise BadFile(file, None, key, error.problem, error.mend) from None
