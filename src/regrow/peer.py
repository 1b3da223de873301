"""Other nodes, started and stopped from here, each an operating-system process of its own. OTP's `peer`.

Used with its module: `from regrow import peer`. Either `async with peer.start("b@localhost") as b:`, anywhere, or
`await peer.start_link("b@localhost")`, a server that a supervisor can own. Both go on when the node is up.

A peer does not outlive who started it: leaving the block, or the end of the server, stops it in order, and so does the
end of this operating-system process in whatever way, as the peer's standard input ends with it.
"""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib import import_module
from itertools import count
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, TypeVar, TypeVarTuple, Unpack, cast, overload

import anyio
import attrs
from anyio import CancelScope, create_task_group, move_on_after
from anyio.abc import Process as OsProcess
from anyio.abc import TaskGroup

from . import peer_words, rpc_words
from ._pure.codec import BadFrame, Codec, FrameReader, Unreadable
from ._pure.config import UnixWord
from ._pure.ids import Pid
from .behaviour import start_link as _start_link
from .calls import CALL_TIMEOUT_S
from .config_files import ConfigFiles, Setting, files_of
from .cookie import COOKIE_VARIABLE
from .errors import BootFailed, CallTimeout, PeerDown, Stop
from .gen_server import GenServer
from .handlers import call
from .messages import Exit, Failure
from .node import full_name
from .peer_words import Answer, Ask, up_line
from .portable import marked_in
from .process import receive, self_pid, send, spawn_link, trap_exit
from .reasons import Normal, Reason, RemoteError
from .refs import ServerRef
from .rpc import run_of, value_of
from .runtime import current
from .wire import vocabulary

Ts = TypeVarTuple("Ts")
R = TypeVar("R")

BOOT_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
DRAIN_S = 1.0  # what an ended node wrote last is there already; somebody it started may hold the pipe for longer
OUTPUT_BYTES_MAX = 64 * 1024  # of what it writes, the last are kept
CHUNK = 64 * 1024

__all__ = ["Options", "Peer", "PeerServer", "State", "start", "start_link"]


class State(enum.Enum):
    """How far a peer is."""

    BOOTING = "booting"
    """It has been started, and is not up yet."""
    RUNNING = "running"
    """It is up."""
    DOWN = "down"
    """Its operating-system process is gone."""


class Options(TypedDict, total=False):
    """How to start a peer; those that `regrow run` has are the same."""

    config: ConfigFiles
    path: Sequence[str | os.PathLike[str]]
    start: Sequence[str]
    """Applications to start once it is up."""
    type: Literal["permanent", "transient", "temporary"]
    backend: Literal["asyncio", "trio"]
    loop: Literal["asyncio", "uvloop"]
    unix: UnixWord
    log: Literal["debug", "info", "warning", "error"]
    portable: Sequence[str]
    """Modules, which both sides import: their `@portable` functions can be called, their types can cross."""
    cookie: str
    """What it shares with the nodes it may connect with; that of its configuration unless said."""
    environment: Mapping[str, str]
    """Beside the environment of this process."""
    capture: bool
    """Whether what it writes to standard error is kept, as `output`; otherwise it goes where ours goes."""
    boot_timeout: float
    """Seconds it has to come up; 30 unless said."""
    stop_timeout: float
    """Seconds it has to stop in order before it is killed; 10 unless said."""


def start(name: str, *, wait: bool = True, **options: Unpack[Options]) -> Peer:
    """A node in an operating-system process of its own, for the length of an `async with`.

    It is up when the block is entered, unless it is not to be waited for. Entering raises `BootFailed`.
    """
    return Peer(name, wait, options)


async def start_link(name: str, **options: Unpack[Options]) -> ServerRef[PeerServer]:
    """Start a server that holds a peer, linked with this process, and wait until the peer is up.

    Raises `StartFailed`, whose reason is a crash with `BootFailed`. To have a supervisor own it, give it
    `child(PeerServer, name, ...)`.
    """
    return await _start_link(PeerServer, name, **options)


def command_of(name: str, options: Options) -> list[str]:
    """The command line of a peer."""
    words = [sys.executable, "-m", "regrow", "run", "--peer", "--sname", name]
    given = cast("Mapping[str, Any]", options)
    for file in files_of(options.get("config")):
        words.append(f"--set={file.text}" if isinstance(file, Setting) else f"--config={os.fspath(file)}")
    for key in ("type", "backend", "loop", "unix", "log"):
        words += [f"--{key}={given[key]}"] if key in given else []
    for key in ("path", "start", "portable"):
        words += [f"--{key}={each}" for each in given.get(key, ())]
    return words


def environment_of(options: Options) -> dict[str, str]:
    """The environment of a peer. A cookie is told in it: others can read command lines."""
    told = {COOKIE_VARIABLE: options["cookie"]} if "cookie" in options else {}
    return {**os.environ, **options.get("environment", {}), **told}


class Peer:
    """A node in an operating-system process of its own, for the length of an `async with`. Made by `start`."""

    def __init__(self, name: str, wait: bool, options: Options) -> None:
        self.name = full_name(name)
        self.state = State.BOOTING
        self.exit_code: int | None = None
        """Once it is down; a negative one is the signal that killed it."""
        self._wait = wait
        self._options = options
        self._codec = _codec(options.get("portable", ()))
        self._process: OsProcess
        self._group: TaskGroup
        self._output = b""
        self._was_up = False
        self._booted = anyio.Event()  # up, or down before it was
        self._down = anyio.Event()
        self._numbers = count(1)
        self._asked: dict[int, _Question] = {}
        self._to_send: deque[bytes] = deque()
        self._more = anyio.Event()

    async def __aenter__(self) -> Self:
        self._process = await anyio.open_process(
            command_of(self.name, self._options),
            stderr=subprocess.PIPE if self._options.get("capture", True) else None,
            env=environment_of(self._options),
            start_new_session=True,  # Ctrl-C is for us: it stops with us
        )
        self._group = create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._live)
        try:
            if self._wait:
                await self.up()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        with CancelScope(shield=True):
            await self.stop()
        await self._group.__aexit__(None, None, None)

    # -- its life

    @property
    def os_pid(self) -> int:
        """Of its operating-system process."""
        return self._process.pid

    @property
    def output(self) -> str:
        """The last that it wrote to standard error."""
        return self._output.decode(errors="replace")

    async def up(self) -> None:
        """Wait until it is up. Raises `BootFailed`, and `PeerDown` if it has been up and is not any more."""
        with move_on_after(self._options.get("boot_timeout", BOOT_TIMEOUT_S)):
            await self._booted.wait()
        if self.state is State.RUNNING:
            return
        self.kill()
        exit_code = await self.down()
        raise PeerDown(self.name, exit_code) if self._was_up else BootFailed(self.name, exit_code, self.output)

    async def down(self) -> int:
        """Wait until it is down; its exit code."""
        await self._down.wait()
        assert self.exit_code is not None, "it is down"
        return self.exit_code

    async def stop(self) -> int:
        """Stop it in order, and wait until it is gone; its exit code. After `stop_timeout` seconds it is killed."""
        assert self._process.stdin is not None, "a pipe"
        await self._process.stdin.aclose()
        with move_on_after(self._options.get("stop_timeout", STOP_TIMEOUT_S)):
            await self._down.wait()
        self.kill()
        return await self.down()

    def kill(self) -> None:
        """End it at once, with the signal that nothing survives. `down` waits for the end."""
        if self.state is not State.DOWN:
            self._process.kill()

    async def _live(self) -> None:
        with CancelScope(shield=True):  # it ends when its OS process has
            async with create_task_group() as group:
                group.start_soon(self._read_answers)
                group.start_soon(self._write_questions)
                drained = anyio.Event()
                group.start_soon(self._read_output, drained)
                await self._process.wait()
                with move_on_after(DRAIN_S):
                    await drained.wait()
                group.cancel_scope.cancel()
            await self._process.aclose()
            self._is_down(self._process.returncode or 0)

    def _is_down(self, exit_code: int) -> None:
        self.state, self.exit_code = State.DOWN, exit_code
        self._booted.set()
        self._down.set()
        for question in self._asked.values():
            question.answer(Failure(PeerDown(self.name, exit_code)))

    # -- asking it

    @overload
    async def call(
        self, fn: Callable[[*Ts], Coroutine[Any, Any, R]], /, *args: *Ts, timeout: float | None = ...
    ) -> R: ...
    @overload
    async def call(self, fn: Callable[[*Ts], R], /, *args: *Ts, timeout: float | None = ...) -> R: ...
    async def call(self, fn: Callable[[*Ts], Any], /, *args: *Ts, timeout: float | None = CALL_TIMEOUT_S) -> Any:
        """Run a function there, in a process of its own, whether or not the nodes are connected. As `rpc.call`.

        What is asked goes through the peer's standard input and output. Raises as `rpc.call` does, and `PeerDown`.
        """
        run = run_of(fn, args)
        if self.state is State.BOOTING:
            await self.up()
        if self.state is State.DOWN:
            raise PeerDown(self.name, await self.down())
        question = self._asked[number := next(self._numbers)] = _Question()
        try:
            self._to_send.append(self._codec.encode(Ask(number, run)))
            self._more.set()
            with move_on_after(timeout):
                await question.answered.wait()
            if not question.answered.is_set():
                raise CallTimeout(f"{run!r} on {self.name}", timeout)
            return value_of(self.name, run.function, question.outcome)
        finally:
            del self._asked[number]

    async def _write_questions(self) -> None:
        assert self._process.stdin is not None, "a pipe"
        while True:
            while self._to_send:
                try:
                    await self._process.stdin.send(self._to_send.popleft())
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return  # it stops, or has ended, which says so by itself
            self._more = anyio.Event()
            await self._more.wait()

    async def _read_answers(self) -> None:
        assert self._process.stdout is not None, "a pipe"
        frames = FrameReader()
        try:
            data = await self._read_up_line()
            while True:
                for body in frames.feed(data):
                    self._take(self._codec.decode(body))
                data = await self._process.stdout.receive(CHUNK)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass  # it has ended
        except BadFrame:
            self.kill()  # a node has written them, or it is none

    async def _read_up_line(self) -> bytes:
        """Wait for the first line; what came after it."""
        assert self._process.stdout is not None, "a pipe"
        data = b""
        while b"\n" not in data:
            data += await self._process.stdout.receive(CHUNK)
        line, _, rest = data.partition(b"\n")
        if line.decode(errors="replace") != up_line(self.name):
            raise BadFrame(f"{line!r:.100} is not what a node says when it is up")
        self.state, self._was_up = State.RUNNING, True
        self._booted.set()
        return rest

    def _take(self, term: object) -> None:
        match term:
            case Answer(number, Unreadable(why)):
                outcome: object = Failure(RemoteError("NotPortable", f"the answer of {self.name} is unreadable: {why}"))
            case Answer(number, outcome):
                pass
            case _:
                raise BadFrame(f"{type(term).__name__} is no answer")
        if number in self._asked:
            self._asked[number].answer(outcome)

    async def _read_output(self, drained: anyio.Event) -> None:
        if self._process.stderr is not None:
            async for data in self._process.stderr:
                self._output = (self._output + data)[-OUTPUT_BYTES_MAX:]
        drained.set()


def _codec(portable: Sequence[str]) -> Codec:
    """What a peer and we understand."""
    here = current.get(None)
    marked = marked_in(map(import_module, portable))
    kinds = (*rpc_words.KINDS, *peer_words.KINDS, *marked.kinds)
    return Codec(vocabulary(None if here is None else here.runtime, attrs.evolve(marked, kinds=kinds)))


class _Question:
    """What the peer was asked, until it has answered."""

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.outcome: object = None

    def answer(self, outcome: object) -> None:
        self.outcome = outcome
        self.answered.set()


# -- a server that holds one


class PeerServer(GenServer):
    """Holds a peer: it is up when the server has started, and has stopped when the server ends.

    If the peer goes down by itself, the server crashes with `PeerDown`, so that its supervisor starts both again. That
    has to give it more time to stop than the peer may take: `child(PeerServer, name).with_(shutdown=15.0)`. A kill
    of the server kills the peer.

    With `wait=False` the server has started at once, and crashes with `BootFailed` if the peer does not come up.
    """

    def __init__(self, name: str, *, wait: bool = True, **options: Unpack[Options]) -> None:
        self._peer = start(name, wait=False, **options)
        self._wait = wait

    @call
    def peer(self) -> Peer:
        """The peer, to be called or waited for. To other nodes it can't be told."""
        return self._peer

    async def init(self) -> None:
        trap_exit(True)
        self._holder = spawn_link(peer_process, self_pid(), self._peer)
        if not self._wait:
            return
        news = await receive(lambda message: message is self._peer or isinstance(message, Exit))
        if isinstance(news, Exit):
            if news.pid != self._holder:
                await self.terminate(news.reason)
            raise Stop(news.reason)

    async def handle_info(self, message: object) -> None:
        match message:
            case Peer() if message is self._peer:
                pass  # it is up
            case Exit(pid, Normal()) if pid == self._holder:
                raise PeerDown(self._peer.name, await self._peer.down())
            case Exit(pid, reason) if pid == self._holder:
                raise Stop(reason)  # it has not come up
            case _:
                await super().handle_info(message)

    async def terminate(self, reason: Reason) -> None:
        await self._peer.stop()


async def peer_process(server: Pid, held: Peer) -> None:
    """The process that waits for a peer while its server answers."""
    async with held:
        try:
            await held.up()
            send(server, held)
            await held.down()
        finally:
            held.kill()  # of one that is not down yet, the server was killed: the next one needs its name at once
