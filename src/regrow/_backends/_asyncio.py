"""The backend of asyncio. Its promises are asyncio's own futures, which are C and do exactly this."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from types import FrameType
from typing import Any, ClassVar

from anyio import CancelScope

# There is no public way to a scope that was left open by somebody else.
from anyio._backends import _asyncio as anyio_asyncio
from anyio.abc import SocketStream

from ..messages import Promise
from ._asyncio_stream import AsyncioStream

_RUN = asyncio.Handle._run.__code__  # pyright: ignore  # by which the loop runs whatever is to be run


class AsyncioBackend:
    """The backend of the asyncio loop that runs."""

    name: ClassVar = "asyncio"

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.promise: Callable[[], Promise] = self._loop.create_future
        self.current_task: Callable[[], object] = partial(asyncio.current_task, self._loop)

    def checkpoint(self) -> Awaitable[None]:
        return asyncio.sleep(0)

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
