"""A node: the runtime of some processes, entered with `async with`."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import Token
from os import PathLike
from types import TracebackType
from typing import Self

import anyio
from anyio import CancelScope, create_task_group, move_on_after
from anyio.abc import TaskGroup

from ._backends import running_backend
from ._pure.config import NodeConfig
from ._pure.ids import UNNAMED_NODE
from .application_controller import ApplicationController
from .clock import Clock, MonotonicClock
from .errors import ProcessExited, exit_reason
from .manifests import Manifests, read_config
from .messages import StopRequest
from .reasons import Killed, Normal, Reason, Shutdown
from .runtime import WORD, Here, Outsider, Process, Runtime, current, here
from .stacks import stack_of


class Node:
    """A node of its own in this interpreter. The body of `async with Node()` is a process of it.

    Leaving the body stops everything in order, the newest first: applications; then other supervisors and
    servers, which are told `Shutdown` and get their shutdown time one after the other; then other processes
    are killed. Several nodes may live side by side.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        config: str | PathLike[str] | NodeConfig | None = None,
        path: Iterable[str | PathLike[str]] = (),
        clock: Clock | None = None,
    ) -> None:
        """A node with its configuration, a file or read already, and the directories to find applications in.

        Raises `ConfigError` that lists all mistakes of the configuration.
        """
        self.name = UNNAMED_NODE if name is None else name
        self.clock = MonotonicClock() if clock is None else clock
        self.manifests = Manifests(path)
        self.config = _config(config, self.manifests)
        self._running: _Running | None = None

    @property
    def runtime(self) -> Runtime:
        """The node's table of processes. Raises `RuntimeError` before the node was entered."""
        return self._entered().runtime

    @property
    def applications(self) -> ApplicationController:
        """The node's application controller. Raises `RuntimeError` before the node was entered."""
        return self._entered().applications

    def _entered(self) -> _Running:
        if self._running is None:
            raise RuntimeError(f"node {self.name} is not running: enter it with `async with`")
        return self._running

    async def __aenter__(self) -> Self:
        if self._running is not None and not self._running.stopped:
            raise RuntimeError(f"node {self.name} is running already")
        self._running = await _Running.start(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._running is not None, "entered before it is left"
        return await self._running.leave(kind, error, trace)

    @contextmanager
    def current(self) -> Generator[None]:
        """Lend the node to code that is no process of it: names mean this node's, `spawn` and `start` start here.

        In the task that entered the node it is the body's process that is lent; a process of the node stays one.
        Raises `RuntimeError` before the node was entered.
        """
        token = current.set(self._entered().lend())
        try:
            yield
        finally:
            current.reset(token)


def _config(config: str | PathLike[str] | NodeConfig | None, manifests: Manifests) -> NodeConfig:
    if config is None:
        return NodeConfig()
    return config if isinstance(config, NodeConfig) else read_config(config, manifests)


def current_node() -> Node:
    """The node this runs on. Raises `NotInNode` outside of any."""
    node = here().runtime.node
    assert isinstance(node, Node)
    return node


class _Running:
    """What exists from entering a node to leaving it."""

    def __init__(self, node: Node, group: TaskGroup) -> None:
        self.runtime = Runtime(node.name, secrets.randbelow(WORD - 1) + 1, running_backend(), node.clock, group)
        self.runtime.node = node
        self.body = self.runtime.body = self.runtime.adopt(_body_has_no_task, "node body", None, None)
        self.applications = ApplicationController(self.runtime, node.manifests, node.config.env)
        self.stopped = False
        self._shutdown_timeout_s = node.config.shutdown_timeout
        self._group = group
        self._task_id = anyio.get_current_task().id
        self._ticker = CancelScope(shield=True)
        self._scope = CancelScope()  # not shielded: the body belongs to the code around it as well
        self._token: Token[Here] | None = None

    @classmethod
    async def start(cls, node: Node) -> _Running:
        group = create_task_group()
        await group.__aenter__()
        self = cls(node, group)
        group.start_soon(self._tick, name=f"timers of {node.name}")
        self.body.attach(self._scope.__enter__(), self._task_id)
        self._token = current.set(self.body)
        return self

    def lend(self) -> Here:
        mine = current.get(None)
        if isinstance(mine, Process) and mine.runtime is self.runtime and mine is not self.body:
            return mine
        return self.body if anyio.get_current_task().id == self._task_id else Outsider(self.runtime)

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Stop everything, then end the body's process; what ended the body goes on, or is raised here."""
        swallowed = False
        remaining: BaseException | None = None
        try:
            swallowed = bool(self._scope.__exit__(kind, error, trace))
        except BaseException as left:  # noqa: BLE001 - of a group, without the cancellations that were ours
            remaining = error = left
        killed_by = self.body.exiting
        reason = self.body.settle(Normal() if error is None else exit_reason(error))
        # In a task of its own: a second cancellation of this one, as by Ctrl-C, must not cut the stop short.
        self._group.start_soon(self._stop, reason, name=f"stop of {self.runtime.node_name}")
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            assert self._token is not None, "entered before it is left"
            current.reset(self._token)
            self.stopped = True
        if self.runtime.interrupt is not None:
            raise self.runtime.interrupt
        if remaining is not None:
            raise remaining
        if killed_by is not None and not isinstance(killed_by, Normal) and (swallowed or error is None):
            raise ProcessExited(killed_by)
        return swallowed

    async def _tick(self) -> None:
        with self._ticker:
            await self.runtime.timers.run()

    async def _stop(self, reason: Reason) -> None:
        """Stop those that have an orderly end, kill what is left until nobody is, then end the body's process."""
        with CancelScope(shield=True):
            await self.applications.stop_all(self._shutdown_timeout_s)
            for process in reversed(self._others()):
                if process.runner is not None and process.at_home:
                    await self._stop_in_order(process)
            while others := self._others():
                for process in others:
                    process.die(Killed())
                for process in others:
                    await process.wait_ended()
        self.runtime.closed = True
        self.body.end(reason)
        self._ticker.cancel()

    async def _stop_in_order(self, process: Process) -> None:
        """Tell it to stop, and kill it if it has not within its shutdown time."""
        if process.shutdown == "brutal_kill":
            process.die(Killed())
        elif process.parent is not None:
            process.exit_signal(process.parent, Shutdown(), linked=False)
        else:
            process.mailbox.post_system(StopRequest(None, self.runtime.backend.promise(), Shutdown()))
        seconds = None if isinstance(process.shutdown, str) else process.shutdown
        # In real time too: a clock that a test turns, and does not turn any more, must not hold up its end.
        with move_on_after(seconds):
            await process.wait_ended(seconds)
        if process.ended is None:
            self.runtime.reports.warning(
                f"{process!r} is killed: it has not stopped within {seconds} s; it is at\n{stack_of(process)}",
                pid=process.pid,
            )
            process.die(Killed())
            await process.wait_ended()

    def _others(self) -> list[Process]:
        return [process for process in self.runtime.processes.values() if process is not self.body]


async def _body_has_no_task(_process: Process) -> None:
    """The node's body runs in the task that entered the node, not in one of its own."""
