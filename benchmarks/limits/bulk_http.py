"""The fastest way into InfluxDB that there is from here: bytes made beforehand, posted raw over a few connections.

    python bulk_http.py PORT DATABASE INDEX.json PIECES CONNECTIONS SECONDS

INDEX holds `[[path, [size of a piece, …]], …]`: files of line protocol in ms, and the pieces into which they may be
cut. Each request takes PIECES pieces of one file, the files in turn, until SECONDS have passed or nothing is left. It
prints `{"pieces": written, "seconds": from the first request to the last answer}`. Anything but 204 ends it.
"""

from __future__ import annotations

import http.client
import json
import mmap
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

Request = tuple[memoryview, int]
"""Body, and how many pieces it holds."""


def requests_of(path: str, sizes: Sequence[int], pieces: int) -> Iterator[Request]:
    """One file as requests of `pieces` pieces, the last of which may hold fewer."""
    with open(path, "rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    at = 0
    for first in range(0, len(sizes), pieces):
        some = sizes[first : first + pieces]
        yield view[at : at + sum(some)], len(some)
        at += sum(some)


class Load:
    """Requests that several threads take from, one after the other."""

    def __init__(self, requests: Sequence[Request], seconds: float) -> None:
        self._requests = iter(requests)
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._seconds = seconds
        self.pieces = 0
        self.trouble = ""

    def take(self) -> Request | None:
        """The next request, or None where the time is over or nothing is left."""
        with self._lock:
            over = self.trouble or time.monotonic() - self._began_s >= self._seconds
            return None if over else next(self._requests, None)

    def written(self, pieces: int) -> None:
        """So many pieces have been answered with 204."""
        with self._lock:
            self.pieces += pieces


def post(load: Load, port: int, url: str) -> None:
    """Post over one connection until there is nothing to take."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while (request := load.take()) is not None:
        body, pieces = request
        connection.request("POST", url, body=body)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.client.NO_CONTENT:
            load.trouble = f"{answer.status}: {text[:200]!r}"
            return
        load.written(pieces)


def main(port: int, database: str, index: str, pieces: int, connections: int, seconds: float) -> None:
    """Post everything, and say how long it took."""
    files = [requests_of(path, sizes, pieces) for path, sizes in json.loads(Path(index).read_text())]
    in_turn = [request for request in chain.from_iterable(zip_longest(*files)) if request is not None]
    load = Load(in_turn, seconds)
    url = f"/write?db={database}&precision=ms"
    began_s = time.monotonic()
    threads = [threading.Thread(target=post, args=(load, port, url)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if load.trouble:
        sys.exit(load.trouble)
    print(json.dumps({"pieces": load.pieces, "seconds": time.monotonic() - began_s}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
