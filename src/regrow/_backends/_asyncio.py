"""The backend of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from types import FrameType, TracebackType
from typing import Any, ClassVar, Self

from anyio import CancelScope

# There is no public way to a scope that was left open by somebody else.
from anyio._backends import _asyncio as anyio_asyncio
from anyio.abc import SocketStream

from ..messages import Promise
from . import Scope
from ._asyncio_promise import AsyncioPromise, Wakes, promises_of
from ._asyncio_stream import AsyncioStream

# By which the loop runs whatever is to be run, and we the tasks whose promises are settled.
_RUN = asyncio.Handle._run.__code__  # pyright: ignore
_WAKE = Wakes.run.__code__


# What `_put_around` has to know of anyio's scopes. Should they change one day, each process enters one at its start.
SCOPES_ARE_KNOWN = hasattr(anyio_asyncio, "_task_states") and all(
    hasattr(anyio_asyncio.CancelScope(), part)
    for part in ("_host_task", "_active", "_tasks", "_parent_scope", "_child_scopes")
)


class AsyncioHome:
    """Plain tasks of asyncio's, and a scope of anyio's around whoever waits for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._scope = CancelScope()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._empty: asyncio.Future[None] | None = None  # what is waited for where the home is left
        self._context = copy_context()  # one for all: asyncio would copy one for each
        self._has_ended: Callable[[asyncio.Task[None]], None] = self._end  # and so is this

    def start_soon(self, function: Callable[[], Coroutine[Any, Any, None]], /, *, name: str) -> None:
        # Past the loop's own factory of tasks: an eager one would run it before whoever starts it is done.
        task = asyncio.Task(function(), loop=self._loop, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._has_ended, context=self._context)

    async def __aenter__(self) -> Self:
        self._scope.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        left = error
        with CancelScope(shield=True):
            while self._tasks:
                self._empty = self._loop.create_future()
                try:
                    await self._empty
                except asyncio.CancelledError as cancelled:  # of this task itself, and none that lives here
                    left = left or cancelled
        if self._failures:
            own = [] if left is None or isinstance(left, asyncio.CancelledError) else [left]
            left = BaseExceptionGroup("tasks have failed", [*own, *self._failures])
        if self._scope.__exit__(None if left is None else type(left), left, None):
            return True
        if left is not None and left is not error:
            raise left
        return False

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)
            self._scope.cancel()
        if self._empty is not None and not self._tasks and not self._empty.done():
            self._empty.set_result(None)


class AsyncioScope:
    """A shielded scope for all that a task does, one that lives in none; made when it is needed, as few ever are.

    A scope of anyio's is five objects, and so a fifth of an idle server. One that is put around those that the task has
    entered by then does the same.
    """

    __slots__ = ("_made", "_task")

    def __init__(self) -> None:
        self._made: CancelScope | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "in a task"
        self._task = task

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._made is None and _entered(self._task) is None:
            return False
        return self.make().__exit__(kind, error, trace)  # which complains of those that are still entered

    def cancel(self) -> None:
        self.make().cancel()

    def make(self) -> CancelScope:
        """The real one."""
        if self._made is None:
            self._made = CancelScope(shield=True)
            _put_around(self._made, self._task)
        return self._made


def _entered(task: asyncio.Task[Any]) -> Any:
    """The scope that the task has entered last, of those that it has not left."""
    state: Any = anyio_asyncio._task_states.get(task)  # pyright: ignore
    return None if state is None else state.cancel_scope


def _put_around(scope: Any, task: asyncio.Task[Any]) -> None:
    """Make it the outermost one of a task, as if it had been entered first."""
    scope._host_task, scope._active = task, True
    inner = _entered(task)
    if inner is None:
        anyio_asyncio._task_states[task] = anyio_asyncio.TaskState(None, scope)  # pyright: ignore
        scope._tasks.add(task)
        return
    while inner._parent_scope is not None:
        inner = inner._parent_scope
    inner._parent_scope = scope
    scope._child_scopes.add(inner)


class AsyncioBackend:
    """The backend of the asyncio loop that runs."""

    name: ClassVar = "asyncio"

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        wakes = Wakes(self._loop)
        self.promise: Callable[[], Promise] = promises_of(wakes)
        self.wake_after: Callable[[Callable[[], None]], None] = wakes.after
        self.current_task: Callable[[], object] = partial(asyncio.current_task, self._loop)

    def checkpoint(self) -> Awaitable[None]:
        return asyncio.sleep(0)

    def home(self) -> AsyncioHome:
        return AsyncioHome(self._loop)

    def scope(self) -> Scope:
        return AsyncioScope() if SCOPES_ARE_KNOWN else CancelScope(shield=True)

    def byte_stream(self, stream: SocketStream) -> AsyncioStream:
        return AsyncioStream(stream)

    async def close_scopes(self, outermost: Scope, groups_outside: int) -> None:
        me = asyncio.current_task()
        assert me is not None, "in a task"
        left: Any = outermost.make() if isinstance(outermost, AsyncioScope) else outermost
        while left._active:
            scope = _entered(me)
            scope.cancel()
            with CancelScope(shield=True):
                while running := {task for task in _tasks_in(scope) if task is not me and not task.done()}:
                    with suppress(asyncio.CancelledError):  # a stray one: whatever is cancelled here has been left
                        await asyncio.wait(running)
            scope.__exit__(None, None, None)

    def call_from_thread(self, callback: Callable[[], None]) -> bool:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return False
        return True

    def is_asleep(self, frames: Sequence[FrameType]) -> bool:
        return [frame.f_code.co_name for frame in frames[-2:]] == ["_run_once", "select"]

    def running(self, frames: Sequence[FrameType]) -> tuple[Context | None, Sequence[FrameType]]:
        for i, frame in reversed([*enumerate(frames)]):
            if frame.f_code is _WAKE:
                promise: AsyncioPromise | None = frame.f_locals.get("promise")
                return None if promise is None else promise.context, frames[i + 1 :]
            if frame.f_code is _RUN:
                handle: Any = frame.f_locals["self"]  # none at its very end
                return getattr(handle, "_context", None), frames[i + 1 :]
        return None, frames


def _tasks_in(scope: Any) -> Iterator[asyncio.Task[Any]]:
    """The tasks that a scope holds, itself or through the scopes inside it."""
    yield from scope._tasks
    for inner in scope._child_scopes:
        yield from _tasks_in(inner)
