"""Nodes of one interpreter, connected without sockets: the carrier of tests, whose cables can be cut."""

from __future__ import annotations

from collections import deque

import anyio
import anyio.lowlevel

from ..transport import Accept, ByteStream, Listener

WINDOW_BYTES = 256 * 1024  # what may be under way in one direction before who sends has to wait


class MemoryNetwork:
    """A network for `Node(carrier=network)`: nodes find each other by name, and a test may cut and heal it.

    `cut` closes the connections between two nodes and lets none be made; `stall` lets them stand, but nothing
    arrives any more, as when a cable is pulled; `heal` undoes both.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, MemoryListener] = {}
        self._cut: set[frozenset[str]] = set()
        self._stalled: set[frozenset[str]] = set()
        self._streams: list[MemoryStream] = []

    def of(self, name: str) -> MemoryCarrier:
        """The carrier of one node of the network."""
        return MemoryCarrier(self, name)

    def cut(self, one: str, other: str) -> None:
        """Close what connects the two, and let nothing connect them again."""
        self._cut.add(frozenset((one, other)))
        self._stalled.discard(frozenset((one, other)))
        for stream in self._between(one, other):
            stream.break_off()

    def stall(self, one: str, other: str) -> None:
        """Let nothing through between the two, without closing anything."""
        self._stalled.add(frozenset((one, other)))

    def lose(self, one: str, other: str) -> None:
        """Let new connections between the two work again, and leave what was stalled as it is, for good."""
        self._stalled.discard(frozenset((one, other)))
        for stream in self._between(one, other):
            stream.strand()

    def heal(self, one: str, other: str) -> None:
        """Let everything through again; what was sent meanwhile arrives late, as over TCP."""
        pair = frozenset((one, other))
        self._cut.discard(pair)
        self._stalled.discard(pair)
        for stream in self._between(one, other):
            stream.wake()

    def connections(self) -> list[tuple[str, str]]:
        """Who is connected with whom: both ends, until both have closed theirs."""
        return [(stream.here, stream.there) for stream in self._streams]

    # -- for carriers, listeners and streams

    def listen(self, name: str) -> MemoryListener:
        if name in self._listeners:
            raise OSError(f"the name {name} is in use by another node of this network")
        listener = self._listeners[name] = MemoryListener(self, name)
        return listener

    def forget(self, name: str) -> None:
        self._listeners.pop(name, None)

    def connect(self, one: str, other: str) -> ByteStream:
        listener = self._listeners.get(other)
        if listener is None or frozenset((one, other)) in self._cut:
            raise OSError(f"node {other} does not answer")
        near, far = MemoryStream(self, one, other), MemoryStream(self, other, one)
        near.peer, far.peer = far, near
        self._streams += [near, far]
        listener.offer(far)
        return near

    def is_stalled(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._stalled

    def closed(self, stream: MemoryStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)

    def _between(self, one: str, other: str) -> list[MemoryStream]:
        return [stream for stream in self._streams if {stream.here, stream.there} == {one, other}]


class MemoryCarrier:
    """How one node reaches the others of a network."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self._network = network
        self._name = name

    async def listen(self, name: str, creation: int) -> Listener:
        return self._network.listen(name)

    async def connect(self, name: str) -> ByteStream:
        return self._network.connect(self._name, name)


class MemoryListener:
    """Where the other nodes of the network reach one of them."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self._network = network
        self._name = name
        self._offered: deque[MemoryStream] = deque()
        self._news = anyio.Event()
        self._closed = False

    def offer(self, stream: MemoryStream) -> None:
        self._offered.append(stream)
        self._news.set()

    async def serve(self, accept: Accept) -> None:
        async with anyio.create_task_group() as group:
            while not self._closed:
                self._news = anyio.Event()
                while self._offered:
                    group.start_soon(accept, self._offered.popleft())
                await self._news.wait()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._news.set()
        self._network.forget(self._name)
        for stream in self._offered:
            await stream.aclose()


class MemoryStream:
    """One end of a connection."""

    def __init__(self, network: MemoryNetwork, here: str, there: str) -> None:
        self.here, self.there = here, there
        self.peer: MemoryStream | None = None
        self._network = network
        self._arrived: deque[bytes] = deque()
        self._unread_bytes = 0
        self._ended = False
        self._closed = False
        self._broken = False
        self._stranded = False
        self._news = anyio.Event()
        self._room = anyio.Event()

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        assert self.peer is not None, "connected in pairs"
        while self.peer.is_full() and not self._gone():
            self._room = anyio.Event()
            await self._room.wait()
        if self._gone():
            raise anyio.BrokenResourceError
        self.peer.put(item)

    async def send_eof(self) -> None:
        assert self.peer is not None, "connected in pairs"
        self.peer.end()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while self._is_silent() or not self._arrived:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._ended and not self._is_silent():
                raise anyio.EndOfStream
            self._news = anyio.Event()
            await self._news.wait()
        data = self._arrived.popleft()
        if len(data) > max_bytes:
            self._arrived.appendleft(data[max_bytes:])
        self._unread_bytes -= len(data[:max_bytes])
        if self.peer is not None:
            self.peer.make_room()
        return data[:max_bytes]

    async def aclose(self) -> None:
        self._closed = True
        self.wake()
        self.make_room()
        self._network.closed(self)
        if self.peer is not None:
            self.peer.end()
            self.peer.make_room()

    def put(self, item: bytes) -> None:
        """What the other end sent."""
        self._arrived.append(item)
        self._unread_bytes += len(item)
        self.wake()

    def is_full(self) -> bool:
        """Whether so much has not been read yet that the other end has to wait."""
        return self._unread_bytes > WINDOW_BYTES

    def make_room(self) -> None:
        """The other end has read something, or is gone."""
        self._room.set()

    def end(self) -> None:
        """The other end closed; what had arrived can still be read."""
        self._ended = True
        self.wake()

    def strand(self) -> None:
        """Nothing will ever arrive here any more, not even the end."""
        self._stranded = True

    def break_off(self) -> None:
        """The connection is gone, at both ends."""
        self._arrived.clear()
        self._unread_bytes = 0
        self._broken = True
        self.end()
        self.make_room()

    def _is_silent(self) -> bool:
        return self._stranded or self._network.is_stalled(self.here, self.there)

    def _gone(self) -> bool:
        return self._closed or self._broken or self.peer is None or self.peer.is_closed

    @property
    def is_closed(self) -> bool:
        return self._closed

    def wake(self) -> None:
        self._news.set()
