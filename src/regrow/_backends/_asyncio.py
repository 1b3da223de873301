"""The backend of asyncio. Its promises are asyncio's own futures, which are C and do exactly this."""

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
from ._asyncio_stream import AsyncioStream

_RUN = asyncio.Handle._run.__code__  # pyright: ignore  # by which the loop runs whatever is to be run


class AsyncioHome:
    """Plain tasks of asyncio's, and a scope of anyio's around whoever waits for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._scope = CancelScope()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._empty: asyncio.Future[None] | None = None  # what is waited for where the home is left
        self._context = copy_context()  # one for all: asyncio would copy one for each

    def start_soon(self, function: Callable[[], Coroutine[Any, Any, None]], /, *, name: str) -> None:
        # Past the loop's own factory of tasks: an eager one would run it before whoever starts it is done.
        task = asyncio.Task(function(), loop=self._loop, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended, context=self._context)

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

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)
            self._scope.cancel()
        if self._empty is not None and not self._tasks and not self._empty.done():
            self._empty.set_result(None)


class AsyncioBackend:
    """The backend of the asyncio loop that runs."""

    name: ClassVar = "asyncio"

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.promise: Callable[[], Promise] = self._loop.create_future
        self.current_task: Callable[[], object] = partial(asyncio.current_task, self._loop)

    def checkpoint(self) -> Awaitable[None]:
        return asyncio.sleep(0)

    def home(self) -> AsyncioHome:
        return AsyncioHome(self._loop)

    def byte_stream(self, stream: SocketStream) -> AsyncioStream:
        return AsyncioStream(stream)

    async def close_scopes(self, outermost: CancelScope, groups_outside: int) -> None:
        me = asyncio.current_task()
        assert me is not None, "in a task"
        states: Any = anyio_asyncio._task_states  # pyright: ignore
        left: Any = outermost
        while left._active:
            scope = states[me].cancel_scope
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
            if frame.f_code is _RUN:
                handle: Any = frame.f_locals["self"]  # none at its very end
                return getattr(handle, "_context", None), frames[i + 1 :]
        return None, frames


def _tasks_in(scope: Any) -> Iterator[asyncio.Task[Any]]:
    """The tasks that a scope holds, itself or through the scopes inside it."""
    yield from scope._tasks
    for inner in scope._child_scopes:
        yield from _tasks_in(inner)
