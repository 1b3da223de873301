"""TCP on this machine with cables that a test can cut, as those of a `MemoryNetwork`."""

from __future__ import annotations

import socket

from anyio.abc import SocketAttribute

from regrow._pure.config import Listen
from regrow.discovery import Discovery
from regrow.local_nodes import Claim, claim
from regrow.transport import Accept, ByteStream, Listener, SocketCarrier


class TcpNetwork:
    """Nodes of this machine, found through the runtime directory."""

    def __init__(self) -> None:
        self._cut: set[frozenset[str]] = set()
        self._sockets: dict[frozenset[str], list[socket.socket]] = {}

    def of(self, name: str) -> CuttableCarrier:
        """The carrier of one node."""
        return CuttableCarrier(self, name)

    def cut(self, one: str, other: str) -> None:
        """Close what connects the two, and let nothing connect them again."""
        pair = frozenset((one, other))
        self._cut.add(pair)
        for connected in self._sockets.pop(pair, ()):
            if connected.fileno() >= 0:
                connected.shutdown(socket.SHUT_RDWR)

    def heal(self, one: str, other: str) -> None:
        """Let them connect again."""
        self._cut.discard(frozenset((one, other)))

    def is_cut(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._cut

    def connected(self, one: str, other: str, by: socket.socket) -> None:
        self._sockets.setdefault(frozenset((one, other)), []).append(by)


class CuttableCarrier:
    """How one node reaches the others: as a node does by itself, as long as nothing is cut."""

    def __init__(self, network: TcpNetwork, name: str) -> None:
        self._network = network
        self._name = name
        self._tcp: SocketCarrier | None = None

    async def listen(self, name: str, creation: int) -> Listener:
        claimed = claim(name)
        self._tcp = SocketCarrier(Listen(port_min=0, port_max=0), Discovery(claimed, {}))
        return ClaimedListener(await self._tcp.listen(name, creation), claimed)

    async def connect(self, name: str) -> ByteStream:
        assert self._tcp is not None, "it listens"
        if self._network.is_cut(self._name, name):
            raise OSError(f"the way to {name} is cut")
        stream = await self._tcp.connect(name)
        self._network.connected(self._name, name, stream.extra(SocketAttribute.raw_socket))  # type: ignore[attr-defined]
        return stream


class ClaimedListener:
    """A listener that gives its node's name back when it is closed."""

    def __init__(self, listener: Listener, claimed: Claim) -> None:
        self._listener = listener
        self._claimed = claimed

    async def serve(self, accept: Accept) -> None:
        await self._listener.serve(accept)

    async def aclose(self) -> None:
        await self._listener.aclose()
        self._claimed.release()
