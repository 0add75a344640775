"""InfluxDB that speaks TLS alone and asks for a password, as it does where it is deployed."""

from __future__ import annotations

from pathlib import Path

from series_store.influx.http import Server
from tests.e2e.servers import InfluxServer, accepts
from yaml_models.tls import trust

ADMIN, PASSWORD = "ingest", "sea-salt"
DATABASE = "loopgauge"


class TlsInflux(InfluxServer):
    """`present` chooses the certificate that it shows from the next start on."""

    def __init__(self, *, folder: Path, certificate: tuple[Path, Path]) -> None:
        super().__init__(folder=folder)
        self.present(certificate)

    def present(self, certificate: tuple[Path, Path]) -> None:
        """Show this one, from the next start on."""
        file, key = certificate
        self._http_options = "\n".join(
            [
                "auth-enabled = true",
                "https-enabled = true",
                f'https-certificate = "{file}"',
                f'https-private-key = "{key}"',
            ]
        )

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def address(self) -> str:
        """For our programs."""
        return f"influx1+https://{ADMIN}@localhost:{self.port}/{DATABASE}"

    def _is_ready(self) -> bool:
        return accepts(self.port)

    def make_user(self, ca_file: Path) -> None:
        """The first user, who may do everything."""
        server = Server(base=self.url, database=DATABASE, trust=trust(str(ca_file)))
        list(server.ask(f"CREATE USER {ADMIN} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES"))
