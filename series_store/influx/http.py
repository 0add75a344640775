"""One InfluxDB server over HTTP: lines to /write, InfluxQL to /query, as all versions since 1.6 serve them.

Blocking calls in four threads, each with a finite time-out. No retry happens here, and no library error gets out.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlencode

import urllib3

from series_store.influx.answers import Answer, explain, one_line
from series_store.influx.documents import Piece, documents, pieces
from series_store.influx.lines import PRECISIONS
from series_store.port import Unavailable

CONNECTIONS_MAX = 4
CONNECT_S_MAX = 3.0
WRITE_S_MAX = 20.0
QUERY_S_MAX = 30.0
"""Silence before and between the parts of an answer."""
ERROR_BYTES_MAX = 65_536
CHUNK_ROWS = 10_000
"""Rows that the server sends at once: of a long answer only so many are ever held as text and Python objects."""

TROUBLE = (urllib3.exceptions.HTTPError, OSError)
"""What a request may raise when no answer came."""

T = TypeVar("T")


class Server:
    """The /write and /query of one database; opens no connection before the first request.

    With `token` the secret is sent as `Authorization: Token …`, else as the password of `user` (HTTP Basic).
    """

    def __init__(
        self,
        *,
        base: str,
        database: str,
        user: str = "",
        secret: str | None = None,
        token: bool = False,
        trust: ssl.SSLContext | None = None,
        gzipped: bool = False,
        write_s_max: float = WRITE_S_MAX,
        query_s_max: float = QUERY_S_MAX,
    ) -> None:
        self.base = base
        self.database = database
        self._gzipped = gzipped
        self._write_s_max = write_s_max
        self._query_s_max = query_s_max
        self._headers = _authorization(user, secret, token)
        self._http = urllib3.PoolManager(maxsize=CONNECTIONS_MAX, block=True, retries=False, ssl_context=trust)
        self._threads = ThreadPoolExecutor(CONNECTIONS_MAX, thread_name_prefix="influx")

    async def run(self, work: Callable[[], T]) -> T:
        """What blocking `work` returns, from one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def run_all(self, works: Iterable[Callable[[], T]]) -> list[T]:
        """What each returns, in order; at most `CONNECTIONS_MAX` at a time."""
        return await asyncio.gather(*(self.run(work) for work in works))

    async def close(self) -> None:
        """Close all connections. A request that is under way ends by its time-out."""
        self._threads.shutdown(wait=False)
        self._http.clear()

    def post(self, lines: bytes, precision: str) -> Answer:
        """Write lines; blocking. Never raises: without an answer the status is 0."""
        assert precision in PRECISIONS
        headers = self._headers | {"Content-Type": "text/plain; charset=utf-8"}
        if self._gzipped:
            headers["Content-Encoding"] = "gzip"
            lines = gzip.compress(lines, 1)
        url = f"{self.base}/write?{urlencode({'db': self.database, 'precision': precision})}"
        try:
            with self._answer(url, lines, headers, self._write_s_max) as response:
                return Answer(response.status, _begin(response), response.headers.get("Retry-After", ""))
        except TROUBLE as error:
            return Answer(0, trouble=f"{self.base}: {say(error)}")

    def ask(self, statements: str, epoch: str = "ms") -> Iterator[Piece]:
        """The answer to InfluxQL statements, piece by piece; blocking. Raises Unavailable."""
        assert epoch in PRECISIONS
        asked = {"q": statements, "db": self.database, "epoch": epoch, "chunked": "true", "chunk_size": CHUNK_ROWS}
        headers = self._headers | {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            with self._answer(f"{self.base}/query", urlencode(asked).encode(), headers, self._query_s_max) as response:
                if response.status != 200:
                    raise Unavailable(f"{self.base}: {explain(Answer(response.status, _begin(response)))}")
                yield from pieces(documents(response.stream(1 << 16, decode_content=True)))
        except TROUBLE as error:
            raise Unavailable(f"{self.base}: {say(error)}") from None
        except ValueError as error:
            raise Unavailable(f"{self.base}: {one_line(str(error))}") from None

    @contextmanager
    def _answer(
        self, url: str, body: bytes, headers: dict[str, str], silence_s: float
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        response = self._http.request(
            "POST",
            url,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_S_MAX, read=silence_s),
            pool_timeout=CONNECT_S_MAX,
            preload_content=False,
            redirect=False,
        )
        try:
            yield response
        finally:
            # Read to its end, the connection is back in the pool and stays open. Otherwise it is closed, and still
            # has to be given back: the pool counts it as taken.
            response.close()
            response.release_conn()


def _begin(response: urllib3.BaseHTTPResponse) -> bytes:
    """The begin of an answer's body; a short one is read to its end."""
    body = response.read(ERROR_BYTES_MAX, decode_content=True)
    return body + response.read(1, decode_content=True)


_ISSUER = "its certificate does not come from the CA that is trusted here; look at ca_file"
_WRONG: dict[int, str] = {
    9: "its certificate is not valid yet; look at the clocks of both machines",
    10: "its certificate has expired; renew it there",
    18: _ISSUER,
    19: _ISSUER,
    20: _ISSUER,
    21: _ISSUER,
    62: "its certificate is made out to another name; write a name that stands in it",
    64: "its certificate is made out to another address; write a name that stands in it",
}
"""Results of X509_verify_cert (openssl-verification-options(1), x509_vfy.h of OpenSSL 3) in other words."""
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"})


def say(error: BaseException) -> str:
    """A library's error in a few words on one line."""
    about_tls = _about_tls(error)
    if about_tls:
        return about_tls
    reason = getattr(error, "reason", None)
    text = one_line(str(reason if isinstance(reason, Exception) else error))
    # urllib3 puts its own object in front: "HTTPConnection(host='localhost', port=8086): Failed to ..."
    return re.sub(r"^\w+\(host=.*?\): ", "", text) or type(error).__name__


def _about_tls(error: BaseException) -> str:
    """What TLS found wrong with the server; "" where it was not that."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        inner = next((each for each in seen.args if isinstance(each, BaseException)), None)
        seen = inner or seen.__cause__ or seen.__context__
    if isinstance(seen, ssl.SSLCertVerificationError):
        other = f"its certificate is not trusted ({one_line(seen.verify_message)}); look at ca_file"
        return _WRONG.get(seen.verify_code, other)
    if isinstance(seen, ssl.SSLError):
        if seen.reason in _NO_TLS:
            return "it does not speak TLS; write the address without +https, or switch TLS on there"
        return f"no TLS connection ({one_line(seen.reason or str(seen))})"
    return ""


def _authorization(user: str, secret: str | None, token: bool) -> dict[str, str]:
    if secret is None:
        return {}
    if token:
        return {"Authorization": f"Token {secret}"}
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"}
