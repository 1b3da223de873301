"""The promises of asyncio's backend, and how those who wait for them are woken.

A future of asyncio hands a callback to the loop each time that it is set. The loop goes to the selector before it runs
what it was handed, so that a call, which wakes the server and then the caller, pays for two turns of the loop. These
promises wake their tasks themselves, one after the other in the order in which they were set, all in the same turn:
also those that are set meanwhile, as long as there are not too many.

To a task they are futures: it asks of them what it asks of whatever says `_asyncio_future_blocking`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, ClassVar, Final, TypeAlias

WAKES_MAX = 32  # in a row, besides those that were due at the beginning, before the loop gets a turn

Wake: TypeAlias = Callable[["asyncio.Future[None]"], object]
"""Lets a task go on, with what is in a future that is done; which one that is, it does not care."""

_PENDING: Final = object()


class Wakes:
    """The promises that were settled and whose tasks are to go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        self.due: Final[deque[AsyncioPromise]] = deque()
        self.are_due = False  # the loop will run them, or does
        self._context: Final = Context()  # each task runs in its own
        self._woken: Final[asyncio.Future[None]] = loop.create_future()  # what a task is told: it need not look at it
        self._woken.set_result(None)

    def start(self) -> None:
        self.are_due = True
        self.loop.call_soon(self.run, context=self._context)

    def after(self, step: Callable[[], None]) -> None:
        """Carry out a step that is no task's; who is woken by it goes on behind it, without a turn of the loop."""
        if self.are_due:
            step()
            return
        self.are_due = True
        try:
            step()
        finally:
            self.run()

    def run(self) -> None:
        due, woken = self.due, self._woken
        try:
            for _ in range(len(due) + WAKES_MAX):
                if not due:
                    break
                promise = due.popleft()
                wake, promise.wake = promise.wake, None
                if wake is not None:
                    promise.context.run(wake, woken)
        finally:  # also if a task ends the loop, which somebody may start again
            self.are_due = False
            if due:
                self.start()


class AsyncioPromise:
    """One value to come, awaited by one task at most. Each loop has a class of its own, as `promises_of` makes it."""

    __slots__ = ("_asyncio_future_blocking", "_value", "context", "wake")

    _wakes: ClassVar[Wakes]
    _loop: ClassVar[asyncio.AbstractEventLoop]  # for the task that waits

    def __init__(self) -> None:
        self._value: Any = _PENDING
        self._asyncio_future_blocking = False
        self.wake: Wake | None = None
        self.context: Context  # of that task

    def settle(self, value: Any = None, /) -> None:
        if self._value is _PENDING:
            self._value = value
            if self.wake is not None:
                wakes = self._wakes
                wakes.due.append(self)
                if not wakes.are_due:
                    wakes.start()

    def done(self) -> bool:
        return self._value is not _PENDING

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._value is _PENDING:
            self._asyncio_future_blocking = True
            yield self
        return self._value

    # -- for the task that waits

    @property  # type: ignore[misc]
    def __class__(self) -> type[asyncio.Future[Any]]:  # type: ignore[override]
        """What it passes for: anyio does not cancel a task whose future is done, or the value would be lost."""
        return asyncio.Future

    def add_done_callback(self, wake: Wake, *, context: Context) -> None:
        self.wake, self.context = wake, context

    def cancel(self, msg: str | None = None) -> bool:
        if self.done():
            return False
        if (wake := self.wake) is not None:
            cancelled = self._loop.create_future()
            cancelled.cancel(msg)
            self.wake = lambda _woken: wake(cancelled)
        self.settle()
        return True


def promises_of(wakes: Wakes) -> type[AsyncioPromise]:
    """The promises of one loop. What they have in common stands in their class: none has to be given it."""
    return type("PromiseOfLoop", (AsyncioPromise,), {"__slots__": (), "_wakes": wakes, "_loop": wakes.loop})
