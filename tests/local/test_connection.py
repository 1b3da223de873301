"""A connection between nodes, over a real socket: what goes at once, what goes together, what comes in one piece."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint

from regrow import Node
from regrow._backends import running_backend
from regrow._pure.codec import Codec, Vocabulary
from regrow._pure.handshake import Identity
from regrow.connection import ALONE_S, BAD_FRAME, CLOSED_BY_PEER, DISCONNECTED, DRAIN_MAX, ENOUGH_BYTES, Connection
from regrow.testing import ManualClock

CODEC = Codec(Vocabulary())
PEER = Identity("peer@localhost", 1, bytes(32))
TICK_TIME_S = 1e6


class Line:
    """A connection, the socket at its other end, and what has come of it."""

    def __init__(self, connection: Connection, peer: socket.socket, clock: ManualClock) -> None:
        self.connection = connection
        self.peer = peer
        self.received = list[object]()
        self.on_receive: Callable[[object], None] = self.received.append
        self.ended_because: str | None = None
        self._clock = clock
        self._over = anyio.Event()

    async def run(self) -> None:
        self.ended_because = await self.connection.run(lambda term: self.on_receive(term))
        self._over.set()

    async def connection_over(self) -> None:
        await self._over.wait()

    def pause(self) -> None:
        """Enough time passes for the next frame to be alone."""
        self._clock.advance(2 * ALONE_S)

    def came(self) -> bytes:
        """What has come at the other end."""
        try:
            return self.peer.recv(1_000_000)
        except BlockingIOError:
            return b""

    async def all_of(self, count: int) -> bytes:
        """So many bytes at the other end, once they have come."""
        data = b""
        while len(data) < count:
            await anyio.wait_readable(self.peer)
            data += self.peer.recv(count - len(data))
        return data

    def say(self, terms: list[object]) -> int:
        """Have the other end send them, in one piece."""
        return self.peer.send(b"".join(map(CODEC.encode, terms)))


@asynccontextmanager
async def line() -> AsyncGenerator[Line]:
    clock = ManualClock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    near.setblocking(False)
    peer.setblocking(False)
    with peer:
        async with Node(clock=clock) as node, anyio.create_task_group() as group:
            stream = running_backend().byte_stream(await SocketStream.from_socket(near))
            found = Line(Connection(node.runtime, PEER, stream, CODEC, TICK_TIME_S), peer, clock)
            group.start_soon(found.run)
            await anyio.wait_all_tasks_blocked()
            yield found
            peer.close()


async def test_a_frame_that_is_alone_is_sent_at_once() -> None:
    """It does not wait for a turn of the loop: that would be a good part of what a call to another node takes."""
    async with line() as near:
        for frame in (b"first", b"second"):
            near.pause()
            near.connection.send(frame)
            assert near.came() == frame


async def test_what_was_read_is_not_heard_when_the_connection_has_ended_meanwhile() -> None:
    """This node has said by then that the other one is down: its processes are tied to nobody any more."""
    async with line() as near:
        near.connection.close(DISCONNECTED)
        near.connection._take(CODEC.encode("too late"))  # as who reads does that was on its way
        await near.connection_over()
        assert near.received == []


async def test_frames_that_come_close_behind_each_other_go_together() -> None:
    """A write for each would cost more than all the rest of it."""
    async with line() as near:
        near.pause()
        for frame in (b"first", b"second", b"third"):
            near.connection.send(frame)
        assert near.came() == b"first"
        await anyio.wait_all_tasks_blocked()
        assert near.came() == b"secondthird"


async def test_much_goes_before_all_of_it_is_made() -> None:
    """So both nodes work at the same time: a caster is not held up by anything, and may go on for long."""
    frame = bytes(ENOUGH_BYTES // 4)
    async with line() as near:
        for _ in range(3):
            near.connection.send(frame)
        assert near.came() == b""
        near.connection.send(frame)
        assert near.came() == frame * 4


async def test_what_the_peer_has_no_room_for_follows_in_order() -> None:
    """Whether it was sent at once, waited, or was cut in two."""
    frames = [number.to_bytes(4, "big") * 5000 for number in range(1000)]
    async with line() as near:
        for frame in frames:
            near.pause()
            near.connection.send(frame)
        near.connection.send(b"last")
        assert await near.all_of(20_000_000 + 4) == b"".join(frames) + b"last"
        near.pause()
        near.connection.send(b"alone again")
        assert near.came() == b"alone again"


async def test_others_get_a_turn_between_many_frames_that_came_in_one_piece() -> None:
    """A peer that says much does not keep this node from everything else."""
    turns = list[int]()

    async def others(near: Line) -> None:
        while len(near.received) < 2000:
            turns.append(len(near.received))
            await checkpoint()

    async with line() as near, anyio.create_task_group() as group:
        near.say([*range(2000)])
        group.start_soon(others, near)
    assert near.received == [*range(2000)]
    steps = [after - before for before, after in pairwise(turns)]
    assert max(steps) <= 2 * DRAIN_MAX  # the first of one turn of trio may be the last of the next


async def test_frames_before_a_bad_one_count_and_those_behind_it_do_not() -> None:
    """Wherever they are handled, the connection ends for the same reason."""
    async with line() as near:
        near.peer.send(CODEC.encode("good") + b"\0\0\0\1\xc1" + CODEC.encode("late"))
        await near.connection_over()
    assert near.received == ["good"]
    assert near.ended_because == BAD_FRAME


async def test_an_error_of_who_receives_is_raised_where_the_connection_lives() -> None:
    """It is no error of the peer, and somebody has to hear of it."""

    def fail(term: object) -> None:
        raise ZeroDivisionError(term)

    async def live() -> None:
        async with line() as near:
            near.on_receive = fail
            near.say(["x"])
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await live()
    assert raised.group_contains(ZeroDivisionError)


async def test_a_connection_that_is_closed_while_something_comes_takes_no_more() -> None:
    """What follows in the same piece is not heard."""
    async with line() as near:

        def close(term: object) -> None:
            near.received.append(term)
            near.connection.close("enough")

        near.on_receive = close
        near.say(["one", "two"])
        await near.connection_over()
    assert near.received == ["one"]
    assert near.ended_because == "enough"


async def test_the_end_of_the_peer_is_the_end_of_the_connection() -> None:
    """Behind all that it said."""
    async with line() as near:
        near.say(["bye"])
        near.peer.shutdown(socket.SHUT_WR)
        await near.connection_over()
    assert (near.received, near.ended_because) == (["bye"], CLOSED_BY_PEER)
