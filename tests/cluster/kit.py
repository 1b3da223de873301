"""What the tests of nodes share: clusters on either carrier, strangers who knock, and a server to talk to."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Protocol

import anyio
import pytest

from regrow import (
    Deferred,
    GenServer,
    Name,
    Node,
    Pid,
    Reason,
    ServerRef,
    Stop,
    call,
    cast,
    child,
    connect,
    nodes,
    spawn,
    start,
)
from regrow._pure.codec import Codec
from regrow._pure.config import Listen, NodeConfig, RpcWord
from regrow._pure.handshake import CHALLENGE_BYTES, Identity, Verdict
from regrow.clock import Clock
from regrow.greeting import greet
from regrow.local_nodes import live_nodes
from regrow.testing import MemoryNetwork
from regrow.transport import ByteStream

LOGGER = logging.getLogger("regrow")
COOKIE = "the cookie of the tests"
NO_WATCHDOG = float("inf")  # what it says of a busy machine is no news of nodes, and some tests count what is said
ROUNDS = 20  # of what two nodes do at the same moment


class Cluster(Protocol):
    """Where nodes find each other."""

    def node(
        self,
        name: str,
        *,
        cookie: str = COOKIE,
        clock: Clock | None = None,
        net_tick_time: float = 60.0,
        portable: Iterable[str] = (),
        rpc: RpcWord | None = None,
    ) -> Node: ...

    async def knock(self, name: str) -> ByteStream:
        """Connect to a node without saying anything."""
        ...


class MemoryCluster:
    """Nodes of a `MemoryNetwork`."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()

    def node(
        self,
        name: str,
        *,
        cookie: str = COOKIE,
        clock: Clock | None = None,
        net_tick_time: float = 60.0,
        portable: Iterable[str] = (),
        rpc: RpcWord | None = None,
    ) -> Node:
        config = NodeConfig(net_tick_time=net_tick_time, watchdog=NO_WATCHDOG)
        carrier = self.network.of(name)
        return Node(name, cookie=cookie, config=config, portable=portable, clock=clock, carrier=carrier, rpc=rpc)

    async def knock(self, name: str) -> ByteStream:
        return await self.network.of("stranger@localhost").connect(name)


class MachineCluster:
    """Nodes of this machine, found through the runtime directory."""

    listen: Listen

    def node(
        self,
        name: str,
        *,
        cookie: str = COOKIE,
        clock: Clock | None = None,
        net_tick_time: float = 60.0,
        portable: Iterable[str] = (),
        rpc: RpcWord | None = None,
    ) -> Node:
        config = NodeConfig(net_tick_time=net_tick_time, listen=self.listen, watchdog=NO_WATCHDOG)
        return Node(name, cookie=cookie, config=config, portable=portable, clock=clock, rpc=rpc)


class TcpCluster(MachineCluster):
    """Nodes that listen on ports."""

    listen = Listen(port_min=0, port_max=0)  # any that is free

    async def knock(self, name: str) -> ByteStream:
        [port] = [record.port for record in live_nodes() if record.name == name]
        assert port is not None
        return await anyio.connect_tcp("127.0.0.1", port)


class UnixCluster(MachineCluster):
    """Nodes that listen on Unix sockets, and nowhere else."""

    listen = Listen(unix="only")

    async def knock(self, name: str) -> ByteStream:
        [(port, link)] = [(record.port, record.link) for record in live_nodes() if record.name == name]
        assert port is None
        assert link is not None
        return await anyio.connect_unix(link)


class Stranger:
    """Somebody who knows the cookie and the protocol, and may misuse both."""

    def __init__(self, stream: ByteStream, name: str, creation: int, codec: Codec) -> None:
        self.stream = stream
        self.pid = Pid(name, 1, 0, creation)
        self._codec = codec

    async def say(self, term: object) -> None:
        await self.stream.send(self._codec.encode(term))

    async def hung_up_on(self) -> None:
        """Return when the node has closed the connection."""
        try:
            while True:
                await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


@asynccontextmanager
async def stranger(cluster: Cluster, node: Node, name: str = "odd@localhost") -> AsyncGenerator[Stranger]:
    """A stranger who is connected to the node."""
    stream = await cluster.knock(node.name)
    try:
        me = Identity(name, secrets.randbelow(2**32), secrets.token_bytes(CHALLENGE_BYTES))
        _peer, verdict = await greet(stream, COOKIE.encode(), me, node.name)
        assert verdict is Verdict.OK
        yield Stranger(stream, name, me.creation, node.codec)
    finally:
        await stream.aclose()


@asynccontextmanager
async def running(*to_run: Node) -> AsyncGenerator[tuple[Node, ...]]:
    """Nodes, each connected with the first."""
    async with AsyncExitStack() as stack:
        for node in to_run:
            await stack.enter_async_context(node)
        with to_run[0].current():
            for node in to_run:
                assert await connect(node.name)
        for node in to_run:
            await reported(lambda node=node: len(connected(node)) == len(to_run) - 1)
        yield to_run


def halt(node: Node) -> None:
    """The node falls off the network, as if its machine were switched off: its processes say nothing more."""
    net = node.net_kernel
    assert net is not None
    net.abort()


def connected(node: Node) -> list[str]:
    with node.current():
        return nodes()


async def reported(condition: Callable[[], object]) -> None:
    """Return when it holds; it is looked at whenever a node reports something, as all do of what they are doing."""
    reports = Reports()
    with anyio.fail_after(10.0), reports.heard():
        while not condition():
            await reports.next()


class Reports(logging.Handler):
    """What nodes tell their operators, as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._news = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._news.set()

    async def next(self) -> None:
        """Wait for the next report, or for the first since this was last called."""
        await self._news.wait()
        self._news = anyio.Event()

    @contextmanager
    def heard(self) -> Iterator[None]:
        LOGGER.addHandler(self)
        try:
            yield
        finally:
            LOGGER.removeHandler(self)


async def until(condition: Callable[[], object]) -> None:
    """Return when it holds. Only for what nobody reports."""
    with anyio.fail_after(10.0):
        while not condition():
            await anyio.sleep(0.001)


class Broken(Exception):
    """Raised in processes that are to crash."""


class Echo(GenServer):
    """Says what it is told, or does not."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.open: list[Deferred[str]] = []

    @call
    async def say(self, what: object) -> object:
        return what

    @call
    async def everything(self) -> list[object]:
        return self.heard

    @cast
    async def hear(self, what: object) -> None:
        self.heard.append(what)

    @call(timeout=None)
    async def wait(self) -> str | Deferred[str]:
        self.open.append(Deferred[str]())
        return self.open[-1]

    @call
    async def answer_all(self) -> int:
        for deferred in self.open:
            deferred.set("late")
        return len(self.open)

    @call
    async def fail(self, reason: Reason) -> str:
        raise Stop(reason)

    @call
    async def crash(self) -> str:
        raise Broken("badly")

    @call
    async def secret(self) -> object:
        return object()


ECHO = Name("echo", Echo)


async def echo_on(node: Node) -> ServerRef[Echo]:
    """An echo on the node, under its name."""
    with node.current():
        return await start(child(Echo).named("echo"))


async def echo_of(node: Node) -> Pid:
    """An echo on the node without a name; a pid, as others know it."""
    with node.current():
        return (await start(Echo)).pid


async def idle() -> None:
    """Lives until something ends it."""
    await anyio.sleep_forever()


def idle_on(node: Node) -> Pid:
    with node.current():
        return spawn(idle)


def warnings(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    """The lines of the log, from warnings up, that say it."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and part in record.getMessage()
    ]
