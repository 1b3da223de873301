"""This node among others: who is connected, how signals get to them, and who wants to know of comings and goings.

A signal for a node that is not connected starts a connection and waits for it in order; if none can be made, it
is handed back as undelivered. Nodes that connect tell each other whom else they know, and so become a full mesh.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial

import anyio
import attrs
from anyio import CancelScope, create_task_group
from anyio.abc import TaskGroup

from ._pure.codec import BadFrame, Codec
from ._pure.handshake import CHALLENGE_BYTES, HANDSHAKE_S, HandshakeError, Identity, Verdict
from ._pure.ids import Pid
from .connection import BACKLOG_BYTES_MAX, CLOSED_BY_PEER, DISCONNECTED, RESTARTED, Connection
from .greeting import greet, receive_greeting
from .messages import Promise
from .remote import node_down, node_up, receive_message, receive_signal, tell_node_monitor
from .runtime import Process, Runtime
from .signals import Send, SendExit, Signal, UnlinkAck
from .timers import Timer
from .transport import ByteStream, Carrier, Listener
from .wire import Mesh, Tell, encode_signal, origin_of

REDIAL_S = 0.2  # between two attempts to reach a node that is waited for
HALF_OPEN_MAX = 64  # connections that have not proved yet who they are
FINISH_S = 1.0  # what is queued gets this long to leave when the node stops
PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # before a node that had a reason not to welcome us is tried again
LOST = (OSError, HandshakeError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


@attrs.define(eq=False)
class Connecting:
    """A node we are about to be connected with, what waits to be sent to it, and who waits for it."""

    frames: list[tuple[bytes, Signal]] = attrs.field(factory=list[tuple[bytes, Signal]])
    frames_bytes: int = 0
    waiters: list[Promise] = attrs.field(factory=list[Promise])
    dialling: bool = False  # if not, it is the node that connects to us
    scope: CancelScope = attrs.field(factory=CancelScope)
    over: anyio.Event = attrs.field(factory=anyio.Event)  # set when it is one way or the other
    failure: str = "the connection did not last"  # why there is none, if there is none


class NetKernel:
    """The route of a node that has a name."""

    def __init__(self, runtime: Runtime, carrier: Carrier, codec: Codec, cookie: bytes, tick_time_s: float) -> None:
        self._runtime = runtime
        self._carrier = carrier
        self._codec = codec
        self._cookie = cookie
        self._tick_time_s = tick_time_s
        self._peers: dict[str, Connecting | Connection] = {}
        self.half_open = 0
        """How many have connected and not proved yet who they are."""
        self._accepting: dict[ByteStream, str] = {}  # those who were told that they are welcome, and are not up yet
        self._monitored: set[str] = set()  # nodes whose end somebody asked to hear of
        self._stopping = False
        self._scope = CancelScope(shield=True)
        self._group: TaskGroup
        self._listener: Listener
        self._context = copy_context()  # a connection must not keep alive the process that happened to need it first
        self.services: dict[str, Callable[[str, object], None]] = {}
        """Who takes what the service of that name on another node tells it."""
        self.watchers: list[Callable[[str, bool], None]] = []
        """Parts of this node that are told of each node that comes (True) or goes."""

    # -- the route

    def dispatch(self, node: str, signal: Signal) -> None:
        """Bring the signal to the node, connecting first if need be. Never waits. Raises `NotPortable`."""
        frame = encode_signal(self._codec, signal)
        match self._peers.get(node) or self._attempt(node):
            case Connection() as peer:
                peer.send(frame)
            case Connecting() as peer:
                peer.frames.append((frame, signal))
                peer.frames_bytes += len(frame)
                if peer.frames_bytes > BACKLOG_BYTES_MAX:
                    peer.scope.cancel()
                    self._failed(node, peer)
            case None:
                self._runtime.undelivered(node, signal)

    def tell(self, node: str, service: str, message: object) -> None:
        """Tell a service of a connected node something; nothing happens if it is not connected."""
        peer = self._peers.get(node)
        if isinstance(peer, Connection):
            peer.send(self._codec.encode(Tell(service, message)))

    def connected(self) -> list[str]:
        """The nodes that are connected, in the order they came."""
        return [name for name, peer in self._peers.items() if isinstance(peer, Connection)]

    def connecting(self) -> list[str]:
        """The nodes that may be connected soon: it is under way."""
        return [name for name, peer in self._peers.items() if isinstance(peer, Connecting)]

    async def connect(self, node: str) -> bool:
        """Connect to a node; whether it is connected then. One's own node always is."""
        return await self.failure_to_connect(node) is None

    async def failure_to_connect(self, node: str) -> str | None:
        """Connect to a node; why there is no connection, `None` if there is."""
        peer = self._peers.get(node) or self._attempt(node)
        failure = "this node is stopping"
        if isinstance(peer, Connecting):
            promise = self._runtime.backend.promise()
            peer.waiters.append(promise)
            await promise
            failure = peer.failure
        connected = node == self._runtime.node_name or isinstance(self._peers.get(node), Connection)
        return None if connected else failure

    def invite(self, node: str) -> None:
        """Begin to connect to a node, if that is not so or under way already; whatever comes of it."""
        if node not in self._peers and node != self._runtime.node_name and not self._stopping:
            self._attempt(node)

    async def wait_for(self, nodes: Sequence[str], timeout_s: float) -> None:
        """Keep trying to reach these nodes until all are connected, or the time is up."""
        timers, done = self._runtime.timers, self._runtime.backend.promise()
        running: list[Timer] = []

        def dial() -> None:
            for node in nodes:
                self.invite(node)
            running[:] = [timer for timer in running if timer.active]
            running.append(timers.after(REDIAL_S, dial))

        def look(_node: str = "", _came: bool = True) -> None:
            if set(nodes) <= set(self.connected()):
                done.settle()

        dial()
        if not math.isinf(timeout_s):
            running.append(timers.after(timeout_s, done.settle))
        self.watchers.append(look)
        look()
        try:
            await done
        finally:
            self.watchers.remove(look)
            for timer in running:
                timer.cancel()

    def disconnect(self, node: str) -> bool:
        """Close the connection to a node; whether there was one."""
        peer = self._peers.get(node)
        if isinstance(peer, Connection):
            self._lose(peer, DISCONNECTED)
        return isinstance(peer, Connection)

    # -- life

    async def run(self, ready: Callable[[BaseException | None], None]) -> None:
        """Listen, serve those who come, hold the connections; until stopped. `ready` hears how listening went."""
        with self._scope:
            try:
                listener = await self._carrier.listen(self._runtime.node_name, self._runtime.creation)
            except OSError as error:
                ready(error)
                return
            self._listener = listener
            try:
                async with create_task_group() as self._group:
                    ready(None)
                    await listener.serve(self._accept)
            finally:
                with CancelScope(shield=True):
                    await listener.aclose()

    async def stop(self) -> None:
        """Send what is still queued, stop listening, and close every connection."""
        with anyio.move_on_after(FINISH_S):
            await self._finish()
        self.abort()

    def abort(self) -> None:
        """Stop at once."""
        self._stopping = True
        self._scope.cancel()

    async def _finish(self) -> None:
        for attempt in [peer for peer in self._peers.values() if isinstance(peer, Connecting) and peer.frames]:
            promise = self._runtime.backend.promise()
            attempt.waiters.append(promise)
            await promise
        self._stopping = True
        # First: those who see their connections end may try again at once, and are not to be let in and sent away.
        await self._listener.aclose()
        connections = [peer for peer in self._peers.values() if isinstance(peer, Connection)]
        for connection in connections:
            connection.finish()
        for connection in connections:
            await connection.ended.wait()

    # -- connecting

    def _attempt(self, node: str) -> Connecting | None:
        """Begin to connect. `None` where that can't be: to this node itself, and when it stops."""
        if self._stopping or node == self._runtime.node_name:
            return None
        attempt = self._peers[node] = Connecting()
        if node not in self._accepting.values():
            self._start_dialling(node, attempt)
        return attempt

    def _start_dialling(self, node: str, attempt: Connecting) -> None:
        def start() -> None:
            self._group.start_soon(self._dial, node, attempt, name=f"connection to {node}")

        attempt.dialling = True
        attempt.scope = CancelScope()
        self._context.copy().run(start)

    async def _dial(self, node: str, attempt: Connecting) -> None:
        """Try to connect; the connection then lives in this task."""
        welcomed: tuple[Identity, ByteStream] | None = None
        try:
            with attempt.scope, anyio.fail_after(HANDSHAKE_S):
                welcomed = await self._introduce(node, attempt)
        except (*LOST, TimeoutError) as error:
            attempt.failure = _why(error)
            if not isinstance(error, OSError) or isinstance(error, TimeoutError):
                self._runtime.reports.complaint(f"no connection to {node}: {attempt.failure}")
        finally:
            if welcomed is None and self._peers.get(node) is attempt:
                self._not_up(node, attempt)
        if welcomed is not None:
            await self._live(*welcomed)

    async def _introduce(self, node: str, attempt: Connecting) -> tuple[Identity, ByteStream] | None:
        # Not cut short when the other's attempt is up first: it would take a greeting that breaks off for an attack.
        for pause_s in PAUSES_S:
            stream = await self._carrier.connect(node)
            try:
                peer, verdict = await greet(stream, self._cookie, self._identity(), node)
            except BaseException:
                await _close(stream)
                raise
            if verdict is Verdict.OK:
                return peer, stream
            await _close(stream)
            # Either it is about to connect to us, and takes over this attempt when it has; or it has yet to see that
            # our last connection is gone. Both pass.
            with anyio.move_on_after(pause_s):
                await attempt.over.wait()
            if attempt.over.is_set():
                return None
        raise HandshakeError("it believes that it is connected to us already")

    def _not_up(self, node: str, attempt: Connecting) -> None:
        """It came to nothing; if the node is connecting to us at the same time, that may still be something."""
        attempt.dialling = False
        if node not in self._accepting.values():
            self._failed(node, attempt)

    def _failed(self, node: str, attempt: Connecting) -> None:
        """No connection could be made: give back what waited for it."""
        del self._peers[node]
        attempt.over.set()
        for _frame, signal in attempt.frames:
            self._runtime.undelivered(node, signal)
        self._tell_node_monitors(node)
        for waiter in attempt.waiters:
            waiter.settle()

    async def _accept(self, stream: ByteStream) -> None:
        """Somebody connected; if they prove to be a node of ours, the connection lives in this task."""
        peer: Identity | None = None
        try:
            peer = await self._welcome(stream)
        finally:
            name = self._accepting.pop(stream, None)
            if peer is None:
                self._not_accepted(name)
                await _close(stream)
        if peer is not None:
            await self._live(peer, stream)

    async def _welcome(self, stream: ByteStream) -> Identity | None:
        """Who it is that connected, if they are one of us and welcome now."""
        if self.half_open >= HALF_OPEN_MAX or self._stopping:
            return None
        self.half_open += 1
        try:
            with anyio.fail_after(HANDSHAKE_S):
                peer, verdict = await receive_greeting(
                    stream, self._cookie, self._identity(), lambda peer: self._verdict(peer, stream)
                )
        except (*LOST, TimeoutError) as error:
            self._runtime.reports.complaint(f"a connection was refused: {_why(error)}")
            return None
        finally:
            self.half_open -= 1
        return peer if verdict is Verdict.OK else None

    def _verdict(self, peer: Identity, stream: ByteStream) -> Verdict:
        """Whether somebody who knows the cookie is welcome now."""
        if self._stopping or peer.name in self._accepting.values():
            return Verdict.ALIVE
        match self._peers.get(peer.name):
            case Connection(creation=creation, closed_because=None) if creation == peer.creation:
                return Verdict.ALIVE
            case Connection() as earlier:
                self._lose(earlier, RESTARTED)
            case Connecting(dialling=True) if self._runtime.node_name < peer.name:
                return Verdict.SIMULTANEOUS  # of two attempts that cross, the one of the smaller name counts
            case _:
                pass
        self._accepting[stream] = peer.name
        return Verdict.OK

    def _not_accepted(self, name: str | None) -> None:
        """A node that was welcome did not come after all; who has waited for it meanwhile connects to it."""
        attempt = None if name is None else self._peers.get(name)
        if name is not None and isinstance(attempt, Connecting) and not attempt.dialling:
            if self._stopping:
                self._failed(name, attempt)
            else:
                self._start_dialling(name, attempt)

    def _identity(self) -> Identity:
        return Identity(self._runtime.node_name, self._runtime.creation, secrets.token_bytes(CHALLENGE_BYTES))

    # -- connected

    async def _live(self, peer: Identity, stream: ByteStream) -> None:
        """The life of one connection."""
        if self._stopping or isinstance(self._peers.get(peer.name), Connection):
            await _close(stream)
            return
        connection = Connection(self._runtime, peer, stream, self._codec, self._tick_time_s)
        self._up(connection)
        try:
            await connection.run(partial(self._received, connection))
        finally:
            self._down(connection)
            connection.ended.set()

    def _up(self, connection: Connection) -> None:
        node = connection.node
        attempt = self._peers.get(node)
        others = self.connected()
        self._peers[node] = connection
        if isinstance(attempt, Connecting):
            attempt.over.set()
            for frame, _signal in attempt.frames:
                connection.send(frame)
            for waiter in attempt.waiters:
                waiter.settle()
        connection.send(self._codec.encode(Mesh(tuple(others))))
        self._runtime.reports.progress(f"{node} connected")
        node_up(self._runtime, node)
        for watcher in self.watchers:
            watcher(node, True)

    def _lose(self, connection: Connection, reason: str) -> None:
        """Close a connection; this node takes the other for down at once."""
        connection.close(reason)
        self._down(connection)

    def _down(self, connection: Connection) -> None:
        node, reason = connection.node, connection.closed_because or CLOSED_BY_PEER
        if self._peers.get(node) is not connection:
            return  # that is known already
        del self._peers[node]
        self._runtime.reports.progress(f"{node} down ({reason})")
        node_down(self._runtime, node, reason)
        for watcher in self.watchers:
            watcher(node, False)

    def _received(self, connection: Connection, term: object) -> None:
        if type(term) is Send:  # most are, and they need no more than this
            _check_sender(connection, term.sender)
            receive_message(self._runtime, connection.node, term)
            return
        match term:
            case Mesh(nodes):
                for node in nodes:
                    if node not in self._peers:
                        self._attempt(node)
            case Tell(service, message):
                take = self.services.get(service)
                if take is not None:
                    take(connection.node, message)
            case _:
                self._signal(connection, term)

    def _signal(self, connection: Connection, term: object) -> None:
        if not isinstance(term, Signal):
            raise BadFrame(f"{type(term).__name__} is no signal")
        sender = origin_of(term)
        if sender is not None:
            # Some may be the answer to what was meant for an earlier incarnation.
            may_be_earlier = isinstance(term, UnlinkAck) or (isinstance(term, SendExit) and term.linked)
            _check_sender(connection, sender, may_be_earlier)
        receive_signal(self._runtime, connection.node, term)

    # -- who wants to know

    def monitor_node(self, process: Process, node: str, on: bool) -> None:
        """One `NodeDown` when the node is lost, for each time it was asked for; at once if it can't be reached."""
        wanted = process.node_monitors
        if on:
            wanted[node] = wanted.get(node, 0) + 1
            self._monitored.add(node)
            if node not in self._peers:
                self._attempt(node)
        elif node in wanted:
            wanted[node] -= 1
            if not wanted[node]:
                del wanted[node]

    def monitor_nodes(self, process: Process, on: bool) -> None:
        """`NodeUp` and `NodeDown` for every node, as many times as it was asked for, until asked to stop."""
        process.monitors_nodes = max(0, process.monitors_nodes + (1 if on else -1))

    def _tell_node_monitors(self, node: str) -> None:
        # Some nodes are tried twice a second for as long as they are absent: nobody is looked for who never asked.
        if node in self._monitored:
            self._monitored.discard(node)
            for process in list(self._runtime.processes.values()):
                tell_node_monitor(process, node)


def _check_sender(connection: Connection, sender: Pid, may_be_earlier: bool = False) -> None:
    """A node speaks for its own processes, in its own life. Raises `BadFrame`."""
    if sender.node != connection.node:
        raise BadFrame(f"it speaks for {sender}")
    if sender.creation != connection.creation and not may_be_earlier:
        raise BadFrame(f"it speaks for {sender} of another incarnation")


def _why(error: BaseException) -> str:
    return "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__


async def _close(stream: ByteStream) -> None:
    with CancelScope(shield=True):
        await stream.aclose()
