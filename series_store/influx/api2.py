"""InfluxDB 2.x through its own client, thin: raw lines to /api/v2/write in its synchronous mode, and buckets.

The client's batching mode is never used: it drops batches after its retries and at exit. Queries go over `http.py`.
"""

from __future__ import annotations

import ssl
from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from series_store.influx.answers import Answer, explain
from series_store.influx.http import CONNECTIONS_MAX, ERROR_BYTES_MAX, TROUBLE, WRITE_S_MAX, say
from series_store.influx.lines import MICROSECONDS, MILLISECONDS
from series_store.port import Unavailable

_PRECISION = {MILLISECONDS: "ms", MICROSECONDS: "us"}


class Api2:
    """The /api/v2 of one bucket; opens no connection before the first request."""

    def __init__(
        self,
        *,
        base: str,
        org: str,
        bucket: str,
        token: str,
        trust: ssl.SSLContext | None = None,
        write_s_max: float = WRITE_S_MAX,
    ) -> None:
        self._base = base
        self._org = org
        self._bucket = bucket
        # Any: most of the library's own functions have no types.
        self._client: Any = InfluxDBClient(
            url=base,
            token=token,
            org=org,
            timeout=int(write_s_max * 1000),
            connection_pool_maxsize=CONNECTIONS_MAX,
            ssl_context=trust,
        )
        self._writes: Any = WriteService(self._client.api_client)  # type: ignore[no-untyped-call]

    def post(self, lines: bytes, precision: str) -> Answer:
        """Write lines; blocking. Never raises: without an answer the status is 0."""
        try:
            _, status, _ = self._writes.post_write_with_http_info(
                self._org,
                self._bucket,
                lines,
                precision=_PRECISION[precision],
                content_type="text/plain; charset=utf-8",
            )
            return Answer(status)
        except ApiException as error:
            return self._answer(error)
        except TROUBLE as error:
            return Answer(0, trouble=f"{self._base}: {say(error)}")
        except ValueError:
            return Answer(0, trouble=f"{self._base}: an answer that is no text; is this InfluxDB?")

    def make_bucket(self) -> None:
        """Create the bucket without retention unless it is there; blocking. Raises Unavailable."""
        try:
            buckets = self._client.buckets_api()
            if buckets.find_bucket_by_name(self._bucket) is None:
                buckets.create_bucket(bucket_name=self._bucket, org=self._org)
        except ApiException as error:
            raise Unavailable(f"{self._base}: {explain(self._answer(error))}") from None
        except (*TROUBLE, ValueError) as error:
            raise Unavailable(f"{self._base}: {say(error)}") from None

    def _answer(self, error: ApiException) -> Answer:
        if not error.status:
            # The library makes this of what TLS complains about, which stands behind it.
            return Answer(0, trouble=f"{self._base}: {say(error.__context__ or error)}")
        body = error.body or b""
        data = body if isinstance(body, bytes) else str(body).encode()
        retry_after = error.headers.get("Retry-After", "") if error.headers else ""
        return Answer(error.status, data[:ERROR_BYTES_MAX], retry_after, str(error.reason or error))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
