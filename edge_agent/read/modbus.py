"""Modbus TCP through pymodbus: one request, one answer, one finite time-out; retries are ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from data_contract.cause import Missing
from edge_agent.errors import NotSampled

CONNECT_TIMEOUT_S = 3.0
RECONNECT_MIN_S, RECONNECT_MAX_S = 1.0, 30.0
"""First and longest pause between attempts to connect; requests in between fail at once."""

TIMEOUTS_MAX = 10
"""Requests in a row without an answer from any unit after which the connection itself is suspected and made anew."""

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


class ModbusTcpBus:
    """One TCP connection, kept open. Transaction ids keep a late answer from being taken for another's."""

    def __init__(self, *, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._client: AsyncModbusTcpClient | None = None
        self._retry_at_s = 0.0
        self._pause_s = RECONNECT_MIN_S

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        await self.close()
        now_s = asyncio.get_running_loop().time()
        if now_s < self._retry_at_s:
            raise NotSampled(Missing.BUS_DOWN, f"no connection to {self._host}:{self._port}")
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=CONNECT_TIMEOUT_S, retries=0, reconnect_delay=0
        )
        try:
            connected = await client.connect()
        except (OSError, ModbusException):
            connected = False
        if not connected:
            client.close()
            self._retry_at_s = asyncio.get_running_loop().time() + self._pause_s
            self._pause_s = min(self._pause_s * 2, RECONNECT_MAX_S)
            raise NotSampled(Missing.BUS_DOWN, f"cannot connect to {self._host}:{self._port}")
        client.ctx.max_until_disconnect = client.ctx.count_until_disconnect = TIMEOUTS_MAX
        self._client, self._pause_s = client, RECONNECT_MIN_S
        return client

    async def read(self, unit: int, table: str, address: int, count: int, timeout_s: float) -> Sequence[int]:
        client = await self._connected()
        client.ctx.comm_params.timeout_connect = timeout_s
        ask = client.read_input_registers if table == "input" else client.read_holding_registers
        try:
            async with asyncio.timeout(timeout_s * 2 + 1):
                answer = await ask(address, count=count, device_id=unit)
        except (ModbusException, TimeoutError) as error:
            if not client.connected:
                raise NotSampled(Missing.BUS_DOWN, f"connection to {self._host}:{self._port} was lost") from error
            raise NotSampled(Missing.TIMEOUT, f"no answer within {timeout_s:g} s") from error
        except OSError as error:
            await self.close()
            raise NotSampled(Missing.BUS_DOWN, f"{self._host}:{self._port}: {error.strerror}") from error
        if answer.isError():
            raise NotSampled(
                Missing.EXCEPTION, f"exception {getattr(answer, 'exception_code', '?')} at {table} {address}"
            )
        if len(answer.registers) != count:
            raise NotSampled(
                Missing.EXCEPTION, f"{len(answer.registers)} registers instead of {count} at {table} {address}"
            )
        return list(answer.registers)

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
