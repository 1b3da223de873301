"""The carrier: how bytes get from one node to another. TCP and Unix sockets here; in memory for tests."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import anyio
from anyio import create_task_group
from anyio.abc import SocketListener, SocketStream, TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from ._backends import Backend, running_backend
from ._pure.config import Address, Listen
from .discovery import Discovery
from .local_nodes import is_own_user
from .runtime_directory import address_of, opened

BACKLOG = 128
ACCEPT_PAUSE_S = 0.1  # when too many files are open, say: one who could not be let in is no reason to stop listening


class ByteStream(Protocol):
    """Bytes both ways, in order. As anyio's streams: `receive` raises `EndOfStream` at the end."""

    async def send(self, item: bytes) -> None: ...
    async def receive(self, max_bytes: int = 65536) -> bytes: ...
    async def send_eof(self) -> None: ...
    async def aclose(self) -> None: ...


@runtime_checkable
class PromptStream(Protocol):
    """A stream that can also send without waiting, and hand over what comes without a turn of the loop in between."""

    def send_now(self, item: bytes) -> bytes:
        """Send what can be sent without waiting. What is left, all of it if others are waiting, is to be sent later."""
        ...

    def hand_to(self, take: Callable[[bytes], bool], backend: Backend, /) -> None:
        """Let `take` have what comes while the task that says so waits in `receive`, and in the name of that task.

        Whom it wakes, by promises of that backend, goes on as soon as can be.

        Where `take` says that it is not done with it, `receive` returns in the next turn, with nothing: `b""`; what
        `take` raises, `receive` raises. What comes before it is called again, it returns.
        """
        ...


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


class UnixListener:
    """A Unix socket for the nodes of this user.

    Not anyio's: a stream of its own for Unix sockets, on asyncio, complains in the log if it is closed while something
    arrives. As any other stream they are sound.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    async def accept(self) -> SocketStream:
        """The next that comes. Raises as anyio's listeners."""
        while self._listener.fileno() >= 0:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                await anyio.wait_readable(self._listener)
                continue
            if is_own_user(connection):
                return await _stream_of(connection)
            connection.close()
        raise anyio.ClosedResourceError

    async def aclose(self) -> None:
        if self._listener.fileno() >= 0:
            anyio.notify_closing(self._listener)
            self._listener.close()


class SocketsListener:
    """Whatever a node listens on: a port of the configured range, a Unix socket, or both."""

    def __init__(self, listeners: Sequence[SocketListener | UnixListener]) -> None:
        self._listeners = listeners

    async def serve(self, accept: Accept) -> None:
        async with create_task_group() as group:
            for listener in self._listeners:
                group.start_soon(_serve, listener, accept, group)

    async def aclose(self) -> None:
        for listener in self._listeners:
            await listener.aclose()


async def _serve(listener: SocketListener | UnixListener, accept: Accept, group: TaskGroup) -> None:
    while True:
        try:
            stream = await listener.accept()
        except anyio.ClosedResourceError:
            return
        except (OSError, anyio.BrokenResourceError):
            await anyio.sleep(ACCEPT_PAUSE_S)
        else:
            group.start_soon(accept, running_backend().byte_stream(stream))


class SocketCarrier:
    """Nodes over TCP and Unix sockets, found through the runtime directory or the configured peers."""

    def __init__(self, listen: Listen, discovery: Discovery) -> None:
        self._listen = listen
        self._discovery = discovery

    async def listen(self, name: str, creation: int) -> Listener:
        await checkpoint_if_cancelled()  # a node that does not start after all has given its name back already
        listeners: list[SocketListener | UnixListener] = []
        try:
            port = None
            if self._listen.unix != "only":
                listener = self._first_free_port()
                port = listener.getsockname()[1]  # where any would do, 0, the system chose one
                listeners.append(await SocketListener.from_socket(listener))
            if self._listen.unix != "off":
                listeners.append(UnixListener(self._discovery.open_socket()))
            self._discovery.publish(creation, port)
        except BaseException:
            await SocketsListener(listeners).aclose()
            raise
        return SocketsListener(listeners)

    def _first_free_port(self) -> socket.socket:
        host, ports = self._listen.host, range(self._listen.port_min, self._listen.port_max + 1)
        for port in ports:
            try:
                taken = _bind(host, port)
            except OSError as error:
                raise OSError(f"cannot listen at {host}:{port}: {error.strerror}") from None
            if taken is not None:
                return taken
        raise OSError(f"no port from {ports.start} to {ports.stop - 1} is free at {host}")

    async def connect(self, name: str) -> ByteStream:
        return running_backend().byte_stream(await self._reach(name))

    async def _reach(self, name: str) -> SocketStream:
        match self._discovery.lookup(name):
            case None:
                raise OSError(f"node {name} is not known here")
            case Address(host, port):
                try:
                    return await anyio.connect_tcp(host, port)
                except OSError as error:
                    raise OSError(f"nobody can be reached at {host}:{port}") from error
            case path:
                try:
                    return await _stream_of(_connected(path))
                except OSError as error:
                    raise OSError(f"nobody can be reached at {path}") from error


def _connected(path: Path) -> socket.socket:
    """A connection to the Unix socket of a node; there is no waiting for one, as long as it keeps up accepting them."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        with opened(path.parent) as folder:
            connection.connect(address_of(path, folder))
        if not is_own_user(connection):
            raise ConnectionRefusedError("its socket belongs to another user")
    except BaseException:
        connection.close()
        raise
    return connection


async def _stream_of(connection: socket.socket) -> SocketStream:
    connection.setblocking(False)
    try:
        return await SocketStream.from_socket(connection)
    except BaseException:
        connection.close()
        raise
