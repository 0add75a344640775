"""Certificates for servers on loopback, made by the openssl command: good ones, expired ones, ones for another name."""

from __future__ import annotations

import subprocess
from pathlib import Path

VALID = ("20200101000000Z", "20990101000000Z")
EXPIRED = ("20200101000000Z", "20210101000000Z")
HERE = "DNS:localhost,IP:127.0.0.1"
ELSEWHERE = "DNS:store.example"

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_CONFIG = """
[ca]
default_ca = here
[here]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
"""


class Issuer:
    """A certificate authority in a folder of its own; its certificate is `ca_file`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.ca_file = folder / "ca.crt"
        (folder / "ca.cnf").write_text(_CONFIG.format(folder=folder))
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")
        self._run("req", *_KEY, "-x509", "-days", "30", "-subj", f"/CN={folder.name}", "-keyout", "ca.key")

    def _run(self, *words: str, out: str = "ca.crt") -> None:
        done = subprocess.run(
            ["openssl", *words, "-out", out], cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def issue(self, name: str, *, names: str = HERE, lifetime: tuple[str, str] = VALID) -> tuple[Path, Path]:
        """A server's certificate, and its key."""
        (self._folder / f"{name}.ext").write_text(f"subjectAltName = {names}\nextendedKeyUsage = serverAuth\n")
        self._run("req", "-new", *_KEY, "-subj", f"/CN={name}", "-keyout", f"{name}.key", out=f"{name}.csr")
        signed = ("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key", "-notext")
        dates = ("-startdate", lifetime[0], "-enddate", lifetime[1])
        self._run(*signed, *dates, "-extfile", f"{name}.ext", "-in", f"{name}.csr", out=f"{name}.crt")
        return self._folder / f"{name}.crt", self._folder / f"{name}.key"
