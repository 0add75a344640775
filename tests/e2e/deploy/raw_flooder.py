"""Sends prepared packets again and again, as fast as a connection takes them, and reads whatever is answered.

`python -m tests.e2e.deploy.raw_flooder PORT AUTHORITY CERTIFICATE KEY FILE SECONDS`: how often the file went out.
"""

from __future__ import annotations

import contextlib
import select
import ssl
import sys
import time
from pathlib import Path

from tests.e2e.deploy.packets import bare, connect

READ_BYTES = 1 << 20


def flood(port: int, context: ssl.SSLContext, data: bytes, seconds: float) -> float:
    """How many times all of it was sent."""
    end_s, sent = time.monotonic() + seconds, 0
    view = memoryview(data)
    with bare(port, context) as connection:
        connection.sendall(connect())
        connection.setblocking(False)
        while time.monotonic() < end_s:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                sent += connection.send(view[sent % len(data) :][:READ_BYTES])
            with contextlib.suppress(ssl.SSLWantReadError):
                if not connection.recv(READ_BYTES):
                    break
            select.select([connection], [connection], [], 0.1)
    return sent / len(data)


def main(port: str, authority: str, certificate: str, key: str, file: str, seconds: str) -> float:
    """As the command says."""
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    return flood(int(port), context, Path(file).read_bytes(), float(seconds))


if __name__ == "__main__":
    print(main(*sys.argv[1:]), flush=True)
