"""A stream of bytes as frames: a length of four bytes, then the body."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from .vocabulary import BadFrame

FRAME_BYTES_MAX = 1024 * 1024  # one frame, unless configured otherwise; larger payloads are the application's business
FRAME_BYTES_CAP = 16 * 1024 * 1024  # what may be configured at most: reading it blocks the loop
LENGTH_BYTES = 4

TICK: Final = bytes(LENGTH_BYTES)
"""A frame without a body: nothing but a sign of life."""


_LENGTH = struct.Struct(">I")


def framed(body: bytes) -> bytes:
    """The body with its length in front."""
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames. An empty body is a tick."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete now. Raises `BadFrame` as soon as a length is too large.

        Never holds more than one incomplete frame, besides the data.
        """
        buffer, bytes_max = self._buffer, self._frame_bytes_max
        found: bytes | bytearray = data
        if buffer:
            buffer += data
            found = buffer
        at, end = 0, len(found)
        try:
            while (start := at + LENGTH_BYTES) <= end:
                (length,) = _LENGTH.unpack_from(found, at)
                if length > bytes_max:
                    raise BadFrame(f"a frame of {length} bytes, more than {bytes_max}")
                if end < start + length:
                    break
                at = start + length
                yield bytes(found[start:at])
        finally:
            if found is buffer:
                del buffer[:at]
            else:
                buffer += data[at:]  # mostly nothing: then what came was not copied
