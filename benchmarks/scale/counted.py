"""A network in memory that counts what each node says on it, by kind."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from regrow._pure.codec import Codec, FrameReader
from regrow.dist_words import About
from regrow.testing import MemoryNetwork
from regrow.transport import Accept, ByteStream, Carrier, Listener
from regrow.wire import Tell

from .said import Said

GREETING_MESSAGES = 2  # of each side; then frames


class CountedNetwork:
    """A `MemoryNetwork`, and what its nodes have said since that was asked last."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._network = MemoryNetwork()
        self._said: dict[str, Said] = {}

    def of(self, name: str) -> CountedCarrier:
        """The carrier of one node of the network."""
        return CountedCarrier(self, name, self._network.of(name))

    def news(self) -> Mapping[str, Said]:
        """What each node has said; from now on it is counted anew."""
        said, self._said = self._said, {}
        return said

    def counted(self, node: str, kind: str, size_bytes: int) -> None:
        said = self._said.setdefault(node, Said())
        said.kinds[kind] += 1
        said.size_bytes += size_bytes

    def kind_of(self, body: bytes) -> str:
        """What a frame is called in the tables."""
        match self._codec.decode(body) if body else None:
            case None:
                return "tick"
            case Tell(service, About(_, message)) | Tell(service, message):
                return f"{service} {type(message).__name__}"
            case term:
                return type(term).__name__


@attrs.frozen
class CountedCarrier:
    """How one node reaches the others."""

    network: CountedNetwork
    name: str
    carrier: Carrier

    async def listen(self, name: str, creation: int) -> Listener:
        return CountedListener(self, await self.carrier.listen(name, creation))

    async def connect(self, name: str) -> ByteStream:
        return CountedStream(self, await self.carrier.connect(name))


@attrs.frozen
class CountedListener:
    """Where the others reach it."""

    carrier: CountedCarrier
    listener: Listener

    async def serve(self, accept: Accept) -> None:
        await self.listener.serve(lambda stream: accept(CountedStream(self.carrier, stream)))

    async def aclose(self) -> None:
        await self.listener.aclose()


class CountedStream:
    """One end of a connection."""

    def __init__(self, carrier: CountedCarrier, stream: ByteStream) -> None:
        self._network = carrier.network
        self._node = carrier.name
        self._stream = stream
        self._greetings = 0
        self._frames = FrameReader()
        self.receive = stream.receive
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose

    async def send(self, item: bytes) -> None:
        if self._greetings < GREETING_MESSAGES:
            self._greetings += 1
            self._network.counted(self._node, "greeting", len(item))
        else:
            for body in self._frames.feed(item):
                self._network.counted(self._node, self._network.kind_of(body), len(body))
        await self._stream.send(item)
