"""The carrier: how bytes get from one node to another. TCP here; in memory for tests; others to come."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeAlias

import anyio
from anyio import create_task_group
from anyio.abc import SocketListener

from ._pure.config import Listen
from .discovery import Discovery

BACKLOG = 128
ACCEPT_PAUSE_S = 0.1  # when too many files are open, say: one who could not be let in is no reason to stop listening


class ByteStream(Protocol):
    """Bytes both ways, in order. As anyio's streams: `receive` raises `EndOfStream` at the end."""

    async def send(self, item: bytes) -> None: ...
    async def receive(self, max_bytes: int = 65536) -> bytes: ...
    async def send_eof(self) -> None: ...
    async def aclose(self) -> None: ...


Accept: TypeAlias = Callable[[ByteStream], Coroutine[object, object, None]]


class Listener(Protocol):
    """Where other nodes reach this one."""

    async def serve(self, accept: Accept) -> None:
        """Hand each connection that comes to `accept`, in a task of its own, until closed; return when all are over."""
        ...

    async def aclose(self) -> None:
        """Let nobody in any more; a second time does nothing."""
        ...


class Carrier(Protocol):
    """A way between nodes."""

    async def listen(self, name: str, creation: int) -> Listener:
        """Be reachable under the name. Raises `OSError` if that can't be."""
        ...

    async def connect(self, name: str) -> ByteStream:
        """Reach a node. Raises `OSError` if it can't be found or does not answer."""
        ...


def _bind(host: str, port: int) -> socket.socket | None:
    """A socket that listens there; `None` if the port is taken. Raises `OSError` if the address is none of ours."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return listener


class TcpListener:
    """Sockets on the first free port of the configured range, and the record that says which."""

    def __init__(self, listener: SocketListener) -> None:
        self._listener = listener

    async def serve(self, accept: Accept) -> None:
        async with create_task_group() as group:
            while True:
                try:
                    stream = await self._listener.accept()
                except anyio.ClosedResourceError:
                    return
                except (OSError, anyio.BrokenResourceError):
                    await anyio.sleep(ACCEPT_PAUSE_S)
                else:
                    group.start_soon(accept, stream)

    async def aclose(self) -> None:
        await self._listener.aclose()


class TcpCarrier:
    """Nodes over TCP, found through the runtime directory or the configured peers."""

    def __init__(self, listen: Listen, discovery: Discovery) -> None:
        self._listen = listen
        self._discovery = discovery

    async def listen(self, name: str, creation: int) -> Listener:
        for port in range(self._listen.port_min, self._listen.port_max + 1):
            try:
                taken = _bind(self._listen.host, port)
            except OSError as error:
                raise OSError(f"cannot listen at {self._listen.host}:{port}: {error.strerror}") from None
            if taken is not None:
                found = taken.getsockname()[1]  # where any would do, 0, the system chose one
                listener = TcpListener(await SocketListener.from_socket(taken))
                try:
                    self._discovery.publish(creation, found)
                except BaseException:
                    await listener.aclose()
                    raise
                return listener
        ports = f"{self._listen.port_min} to {self._listen.port_max}"
        raise OSError(f"no port from {ports} is free at {self._listen.host}")

    async def connect(self, name: str) -> ByteStream:
        address = self._discovery.lookup(name)
        if address is None:
            raise OSError(f"node {name} is not known here")
        host, port = address
        try:
            return await anyio.connect_tcp(host, port)
        except OSError as error:
            raise OSError(f"nobody can be reached at {host}:{port}") from error
