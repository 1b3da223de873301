"""A connection on trio: what arrives is read when it is there, and what is sent leaves at once if it can.

anyio's own stream looks for what is there before it waits, in vain mostly, and sends only from a task.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import trio
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from . import Backend


class TrioStream(ByteStream):
    """Bytes both ways, for one who reads and one who writes; it takes the place of a stream of anyio's."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._socket: socket.socket = stream.extra(SocketAttribute.raw_socket)
        self._is_sending = False
        self._take: Callable[[bytes], bool] | None = None

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while True:
            data = await self._next(max_bytes)
            if self._take is None:
                return data
            if not self._take(data):
                await trio.lowlevel.checkpoint()
                return b""

    async def _next(self, max_bytes: int) -> bytes:
        with _anyio_errors():
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                try:
                    data = self._socket.recv(max_bytes)
                except BlockingIOError:
                    continue
                if not data:
                    raise anyio.EndOfStream
                return data

    def hand_to(self, take: Callable[[bytes], bool], _backend: Backend, /) -> None:
        self._take = take

    def send_now(self, item: bytes) -> bytes:
        if self._is_sending:
            return item
        try:
            return item[self._socket.send(item) :]
        except OSError:  # also if it would block; who waits to send hears of the others
            return item

    async def send(self, item: bytes) -> None:
        rest = memoryview(item)
        self._is_sending = True
        try:
            with _anyio_errors():
                while rest:
                    try:
                        rest = rest[self._socket.send(rest) :]
                    except BlockingIOError:
                        await trio.lowlevel.wait_writable(self._socket)
        finally:
            self._is_sending = False

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _anyio_errors() -> Generator[None]:
    """Errors of sockets as anyio's streams raise them."""
    try:
        yield
    except trio.ClosedResourceError as error:
        raise anyio.ClosedResourceError from error
    except OSError as error:
        raise anyio.BrokenResourceError from error
