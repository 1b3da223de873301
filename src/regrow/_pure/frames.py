"""A stream of bytes as frames: a length of four bytes, then the body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .vocabulary import BadFrame

FRAME_BYTES_MAX = 1024 * 1024  # one frame, unless configured otherwise; larger payloads are the application's business
FRAME_BYTES_CAP = 16 * 1024 * 1024  # what may be configured at most: reading it blocks the loop
LENGTH_BYTES = 4

TICK: Final = bytes(LENGTH_BYTES)
"""A frame without a body: nothing but a sign of life."""


def framed(body: bytes) -> bytes:
    """The body with its length in front."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames. An empty body is a tick."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete now. Raises `BadFrame` as soon as a length is too large.

        Never holds more than one incomplete frame, besides the data.
        """
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        try:
            while end - at >= LENGTH_BYTES:
                start = at + LENGTH_BYTES
                length = int.from_bytes(buffer[at:start], "big")
                if length > self._frame_bytes_max:
                    raise BadFrame(f"a frame of {length} bytes, more than {self._frame_bytes_max}")
                if end < start + length:
                    break
                at = start + length
                yield bytes(buffer[start:at])
        finally:
            del buffer[:at]
