"""A serial port on the event loop: pyserial opens and sets it, bytes are taken from it as they come."""

from __future__ import annotations

import asyncio
import termios

import serial

RECEIVE_BYTES = 1024
"""What is taken from the port at once."""

HELD_BYTES_MAX = 4096
"""What is kept of bytes that nobody reads; older ones are dropped, since only whole, recent frames are of use."""


class LineLost(Exception):
    """The port cannot be opened, or went away while it was open."""


class SerialLine:
    """An open port. Times are those of the event loop, in s."""

    def __init__(self, *, port: str, baud: int, parity: str, stop_bits: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._held = bytearray()
        self._woken: asyncio.Future[None] | None = None
        self._lost = ""
        try:
            self._serial = serial.Serial(
                port=port, baudrate=baud, parity=parity, stopbits=stop_bits, timeout=0, write_timeout=0, exclusive=True
            )
            self._serial.reset_input_buffer()
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise LineLost(f"cannot open {port}: {getattr(error, 'strerror', None) or error}") from error
        self._port = port
        self.heard_s = self._loop.time()
        """When bytes came last; at first, when it was opened."""
        self._loop.add_reader(self._serial.fileno(), self.pump)

    @property
    def up(self) -> bool:
        """Nothing has gone wrong so far."""
        return not self._lost

    def write(self, data: bytes) -> None:
        """Send. A request is shorter than any port's buffer: one not taken at once means that the port is gone."""
        try:
            taken = self._serial.write(data) if self.up else 0
        except OSError:
            taken = 0
        if taken != len(data):
            self._lose("takes no bytes")
            raise LineLost(self._lost)

    async def read(self, until_s: float) -> bytes:
        """What has come, or what comes next; nothing if none comes until `until_s`."""
        if not self._held and self.up:
            self._woken = self._loop.create_future()
            timer = self._loop.call_at(until_s, self._wake)
            try:
                await self._woken
            finally:
                timer.cancel()
                self._woken = None
        if not self._held and not self.up:
            raise LineLost(self._lost)
        data = bytes(self._held)
        self._held.clear()
        return data

    def pump(self) -> None:
        """Take what the port holds now."""
        if not self.up:
            return
        try:
            data = self._serial.read(RECEIVE_BYTES)
        except (OSError, TypeError):  # pyserial trips over a port that vanishes under it
            self._lose("is gone")
            return
        if data:
            self.heard_s = self._loop.time()
            self._held += data
            del self._held[:-HELD_BYTES_MAX]
            self._wake()

    def close(self) -> None:
        """Let the port go."""
        self._lose("is closed")

    def _lose(self, how: str) -> None:
        if self.up:
            self._lost = f"{self._port} {how}"
            self._loop.remove_reader(self._serial.fileno())
            self._serial.close()
            self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
