"""A connection on asyncio: what arrives is taken from the loop's transport as it comes.

anyio's own stream goes to the selector twice for each chunk that comes, and lets the other tasks run after each that it
has sent. And asyncio, unless it is given a place for what it reads, makes one of 256 KB each time, for which the system
has to find memory: that alone takes as long as all the rest of what a loop does for a small message.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketStream

from . import Backend

READ_BYTES = 32 * 1024  # at once
READ_AHEAD_BYTES = 256 * 1024  # what may lie here unread before the other side has to wait


class Taker:
    """What takes the data that comes, in the loop's own step, as if the task that made this had been woken for it."""

    def __init__(self, take: Callable[[bytes], bool], backend: Backend) -> None:
        self.wake_after = backend.wake_after
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._context: Context = copy_context()

    def take(self, data: bytes) -> bool:
        tasks: Any = asyncio.tasks
        tasks._enter_task(self._loop, self._task)  # what it calls may have to know in which task it runs
        try:
            return self._context.run(self._take, data)
        finally:
            tasks._leave_task(self._loop, self._task)


class AsyncioStream(asyncio.BufferedProtocol, ByteStream):
    """Bytes both ways, for one who reads and one who writes; it takes the place of a stream of anyio's."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        theirs: Any = stream  # there is no public way to take over what it stands on
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = theirs._transport
        self._descriptor: int = self._transport.get_extra_info("socket").fileno()
        self._unread: deque[bytes] = deque(theirs._protocol.read_queue)
        self._unread_bytes = sum(map(len, self._unread))
        self._at_end: bool = theirs._protocol.is_at_eof
        self._lost_by: Exception | None = theirs._protocol.exception
        self._is_paused = False
        self._place = memoryview(bytearray(READ_BYTES))
        self._reader: asyncio.Future[None] | None = None
        self._taker: Taker | None = None
        self._writer: asyncio.Future[None] | None = None  # while what was written has yet to leave
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes

    # -- for who uses it

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._unread:
            if self._lost_by is not None:
                raise anyio.BrokenResourceError from self._lost_by
            if self._at_end or self._transport.is_closing():
                raise anyio.EndOfStream
            self._reader = self._loop.create_future()
            await self._reader
        data = self._unread.popleft()
        if len(data) > max_bytes:
            self._unread.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        self._unread_bytes -= len(data)
        if self._is_paused and not self._unread:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def send_now(self, item: bytes) -> bytes:
        if self._transport.is_closing() or self._transport.get_write_buffer_size():
            return item
        try:  # not by way of the transport: that of uvloop would write it in the next turn
            return item[os.write(self._descriptor, item) :]
        except OSError:  # also if it would block; who waits to send hears of the others
            return item

    def hand_to(self, take: Callable[[bytes], bool], backend: Backend, /) -> None:
        self._taker = Taker(take, backend)

    async def send(self, item: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(item)
        while self._writer is not None:
            await self._writer
        if self._transport.is_closing():
            raise anyio.BrokenResourceError from self._lost_by

    async def send_eof(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()

    async def aclose(self) -> None:
        self._transport.abort()
        await asyncio.sleep(0)  # in which the loop closes it

    # -- for the transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._place

    def buffer_updated(self, nbytes: int) -> None:
        data, reader = bytes(self._place[:nbytes]), self._reader
        if self._taker is not None and reader is not None and not reader.done():
            self._taker.wake_after(partial(self._hand_over, self._taker, reader, data))
        else:
            self._keep(data)

    def _hand_over(self, taker: Taker, reader: asyncio.Future[None], data: bytes) -> None:
        try:
            if not taker.take(data):
                self._keep(b"")
        except BaseException as error:  # noqa: BLE001 - it is raised where it would have been, in who reads
            self._reader = None
            reader.set_exception(error)

    def _keep(self, data: bytes) -> None:
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes > READ_AHEAD_BYTES:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        self._at_end = True
        self._wake_reader()
        return True  # there may be something to be sent yet

    def connection_lost(self, exc: Exception | None) -> None:
        self._at_end = True
        self._lost_by = exc
        self._wake_reader()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writer = self._loop.create_future()

    def resume_writing(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and not writer.done():
            writer.set_result(None)

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
