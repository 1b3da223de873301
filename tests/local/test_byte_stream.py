"""The streams between nodes as each loop has them: every byte once, in order, and no more at a time than is read."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream

from regrow._backends import running_backend
from regrow._pure.config import Listen
from regrow.discovery import Discovery
from regrow.local_nodes import claim
from regrow.transport import PromptStream, SocketCarrier

LARGE = bytes(range(256)) * 40_000  # more than two sockets and a stream hold
RESET = struct.pack("ii", 1, 0)  # to linger, for no time


@asynccontextmanager
async def pair(sent_before: bytes = b"") -> AsyncGenerator[tuple[ByteStream, ByteStream, socket.socket]]:
    """Two streams with a connection between them, and the socket of the second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    far.sendall(sent_before)
    for each in (near, far):
        each.setblocking(False)
    streams = [await SocketStream.from_socket(each) for each in (near, far)]
    await anyio.wait_all_tasks_blocked()
    first, second = map(running_backend().byte_stream, streams)
    try:
        yield first, second, far
    finally:
        await first.aclose()
        await second.aclose()


async def read(stream: ByteStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive()
    return data


async def test_what_was_there_before_is_read_first() -> None:
    """A node that connects speaks at once, and may have spoken before the other has the stream in its hands."""
    async with pair(b"first, ") as (near, far, _):
        await far.send(b"second")
        assert await read(near, 13) == b"first, second"


async def test_no_more_is_received_than_was_asked_for() -> None:
    """The rest comes next; a greeting is read to its last byte and not beyond."""
    async with pair() as (near, far, _):
        await far.send(b"abcdef")
        assert await near.receive(2) == b"ab"
        assert await read(near, 4) == b"cdef"


async def test_who_sends_waits_for_who_reads() -> None:
    """What has yet to leave is bounded: a node gives up a peer that takes nothing by what waits on its own side."""
    async with pair() as (near, far, _), anyio.create_task_group() as group:
        sent = anyio.Event()

        async def send() -> None:
            await far.send(LARGE)
            sent.set()

        group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert not sent.is_set()
        assert await read(near, len(LARGE)) == LARGE
        await sent.wait()


async def test_the_end_is_heard_behind_all_that_was_said_and_does_not_silence_the_other() -> None:
    """A node that stops sends what is queued, says that this was all, and waits to hear the same."""
    async with pair() as (near, far, _):
        await far.send(b"bye")
        await far.send_eof()
        assert await read(near, 3) == b"bye"
        with pytest.raises(anyio.EndOfStream):
            await near.receive()
        await near.send(b"bye bye")
        assert await read(far, 7) == b"bye bye"


async def test_a_connection_that_is_lost_is_so_for_reader_and_writer() -> None:
    """Whatever they wait for."""
    async with pair() as (near, far, far_socket), anyio.create_task_group() as group:

        async def fails_to_send() -> None:
            with pytest.raises((anyio.BrokenResourceError, anyio.ClosedResourceError)):
                await near.send(LARGE)

        group.start_soon(fails_to_send)
        await anyio.wait_all_tasks_blocked()
        far_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await far.aclose()
        with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
            await near.receive()


async def test_who_was_cancelled_while_reading_has_taken_nothing() -> None:
    """What comes then is for who reads next."""
    async with pair() as (near, far, _):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(near.receive)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        await far.send(b"x")
        assert await near.receive() == b"x"


async def test_what_is_sent_at_once_is_sent_before_anything_else_happens_and_only_if_there_is_room() -> None:
    """A message that is alone need not wait for the turn of who writes."""
    async with pair() as (near, far, far_socket):
        assert isinstance(far, PromptStream)
        assert isinstance(near, PromptStream)
        assert near.send_now(b"now, ") == b""
        assert far_socket.recv(5) == b"now, "
        assert far.send_now(b"now, ") == b""
        await far.send(b"then")
        assert await read(near, 9) == b"now, then"
        rest = far.send_now(LARGE)  # what the socket has no room for, the stream keeps or gives back
        assert far.send_now(b"no room") == b"no room"
        async with anyio.create_task_group() as group:
            group.start_soon(far.send, rest)
            assert await read(near, len(LARGE)) == LARGE
        await far.send(b"again")
        assert await read(near, 5) == b"again"
        await far.aclose()
        assert far.send_now(b"lost") == b"lost"


async def test_what_is_sent_at_once_does_not_overtake_what_is_being_sent() -> None:
    """Bytes have an order."""
    async with pair() as (near, far, _), anyio.create_task_group() as group:
        assert isinstance(far, PromptStream)
        group.start_soon(far.send, LARGE)
        await anyio.wait_all_tasks_blocked()
        assert far.send_now(b"too early") == b"too early"
        assert await read(near, len(LARGE)) == LARGE


HOLDER: ContextVar[str] = ContextVar("holder")


class Taken:
    """What was handed over; it takes what it is told to take at all."""

    def __init__(self) -> None:
        self.data = b""
        self.seen: list[tuple[object, str]] = []
        self.answer: bool | Exception = True
        self._news = anyio.Event()

    async def next(self) -> bytes:
        """All that has been handed over, when there is more of it than before."""
        await self._news.wait()
        self._news = anyio.Event()
        return self.data

    def take(self, data: bytes) -> bool:
        self.data += data
        self._news.set()
        self.seen.append((anyio.get_current_task().id, HOLDER.get()))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@asynccontextmanager
async def taking() -> AsyncGenerator[tuple[Taken, ByteStream, list[bytes | Exception]]]:
    """What comes at one end of a connection is handed over; the other end, and what reached who waits for it."""
    taken, reached = Taken(), list[bytes | Exception]()
    async with pair() as (near, far, _), anyio.create_task_group() as group:
        assert isinstance(near, PromptStream)

        async def wait() -> None:
            HOLDER.set("who waits")
            reader = anyio.get_current_task().id
            near.hand_to(taken.take, running_backend())
            try:
                reached.append(await near.receive())
            except Exception as error:  # noqa: BLE001 - whatever it is
                reached.append(error)
            assert taken.seen == [(reader, "who waits")] * len(taken.seen)

        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        yield taken, far, reached
        await far.send_eof()


async def test_what_comes_is_handed_over_in_the_name_of_who_waits_and_does_not_wake_it() -> None:
    """Who it is that handles it is to be seen in the task and the context."""
    async with taking() as (taken, far, reached):
        await far.send(b"one, ")
        assert await taken.next() == b"one, "
        await far.send(b"two")
        assert await taken.next() == b"one, two"
        assert not reached
    assert [type(each) for each in reached] == [anyio.EndOfStream]


async def test_what_cannot_be_handled_at_once_wakes_who_waits() -> None:
    """It goes on with that itself."""
    async with taking() as (taken, far, reached):
        taken.answer = False
        await far.send(b"much")
        assert await taken.next() == b"much"
        await anyio.wait_all_tasks_blocked()
        assert reached == [b""]


async def test_an_error_in_what_takes_it_is_raised_where_it_is_waited_for() -> None:
    """There somebody handles it."""
    async with taking() as (taken, far, reached):
        taken.answer = OSError("of its own")
        await far.send(b"bad")
        await taken.next()
        await anyio.wait_all_tasks_blocked()
        assert reached == [taken.answer]


async def test_both_ends_of_a_connection_are_read_in_the_cheapest_way() -> None:
    """Whoever called is no reason for a call to cost more."""
    accepted, came = list[ByteStream](), anyio.Event()
    with claim("ann@localhost") as claimed:
        carrier = SocketCarrier(Listen(port_min=0, port_max=0), Discovery(claimed, {}))
        listener = await carrier.listen("ann@localhost", 1)

        async def accept(stream: ByteStream) -> None:
            accepted.append(stream)
            came.set()

        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, accept)
            connected = await carrier.connect("ann@localhost")
            await came.wait()
            await anyio.wait_all_tasks_blocked()
            await listener.aclose()
        for stream in (connected, *accepted):
            assert isinstance(stream, PromptStream)
            await stream.aclose()
        assert len(accepted) == 1
