"""Certificates that no role makes: expired, revoked, of another authority. By openssl, as the roles do."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

EXPIRED = ("20200101000000Z", "20210101000000Z")
VALID = ("20200101000000Z", "20990101000000Z")

_REQUEST = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_CONFIG = """
[ca]
default_ca = here
[here]
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
default_md = sha256
default_crl_days = 3650
unique_subject = no
policy = any
[any]
commonName = supplied
"""


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """An authority with a book of its own; with the certificate and key of the fleet's it signs in its name."""

    def __init__(self, folder: Path, *, copy_of: Path | None = None) -> None:
        """`copy_of`: a folder with ca.crt and ca.key; without it the authority is another one."""
        self.folder = folder
        folder.mkdir(parents=True)
        self._config = folder / "ca.cnf"
        self._config.write_text(_CONFIG.format(folder=folder))
        (folder / "index.txt").touch()
        for book in ("serial", "crlnumber"):
            (folder / book).write_text("1000\n")
        if copy_of is None:
            self._make_own()
        else:
            for name in ("ca.crt", "ca.key"):
                (folder / name).write_bytes((copy_of / name).read_bytes())

    def _make_own(self) -> None:
        _openssl(
            *_REQUEST,
            "-x509",
            "-days",
            "30",
            "-subj",
            "/CN=Stranger",
            "-keyout",
            self.folder / "ca.key",
            "-out",
            self.folder / "ca.crt",
        )

    def _sign(self, *words: str | Path) -> None:
        known = ("-config", self._config, "-cert", self.folder / "ca.crt", "-keyfile", self.folder / "ca.key")
        _openssl("ca", "-batch", *known, *words)

    def issue(self, name: str, lifetime: tuple[str, str] = VALID, *, host: str = "") -> tuple[Path, Path]:
        """A certificate for a common name, and its key; with `host` that of a server there."""
        request, key, certificate = (self.folder / f"{name}.{end}" for end in ("csr", "key", "crt"))
        _openssl(*_REQUEST, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName = DNS:{host}\nextendedKeyUsage = serverAuth\n" if host else "")
        dates = ("-startdate", lifetime[0], "-enddate", lifetime[1])
        more = ("-extfile", extensions) if host else ()
        self._sign(*dates, *more, "-in", request, "-out", certificate, "-notext")
        return certificate, key

    def revoke(self, certificate: Path, crl: Path) -> None:
        """Revoke a certificate, and write the list of all that are revoked."""
        self._sign("-revoke", certificate)
        self._sign("-gencrl", "-out", crl)


def with_certificate(context: ssl.SSLContext, certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """The context, showing this certificate."""
    context.load_cert_chain(*certificate)
    return context
