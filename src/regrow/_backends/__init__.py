"""What anyio does not have, on each event loop. Nothing else in regrow may import asyncio or trio.

Waiting for a value and waking the waiter: anyio's events cost a checkpoint each, and these few lines are what every
message and every call goes through. Homes for the tasks of processes: a task group of anyio's keeps of each task what a
process has no use for, and each start pays for that. Tidying up behind code that has left scopes open in its task. And
what a thread beside the loop can ask about it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from types import FrameType, TracebackType
from typing import Any, ClassVar, Protocol

from anyio import get_cancelled_exc_class
from anyio.abc import ByteStream, SocketStream
from anyio.lowlevel import current_token

from ..messages import Promise


class Home(Protocol):
    """Where tasks live: whoever has opened it waits for all of them where it is left.

    As in a task group, one that fails cancels whoever is inside, and its error is raised, in a group, where the home is
    left. A cancellation around it cuts nothing short; whether it reaches the tasks depends on the loop, so these shield
    themselves.
    """

    def start_soon(self, function: Callable[[], Coroutine[Any, Any, None]], /, *, name: str) -> object:
        """Have it run as a task, from the next turn of the loop on, in a copy of the context this runs in."""
        ...


class Scope(Protocol):
    """What ends the code in it once it is cancelled: at its next await, and at each after that."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...

    def cancel(self) -> None: ...


class Backend(Protocol):
    """What a node needs of its event loop beyond anyio."""

    name: ClassVar[str]

    def promise(self) -> Promise:
        """A promise of the running loop: set by anyone in the loop's thread, awaited by one task."""
        ...

    def wake_after(self, step: Callable[[], None], /) -> None:
        """Carry out a step that the loop called and that is no task's; whom it wakes goes on as soon as can be."""
        ...

    def checkpoint(self) -> Awaitable[None]:
        """Let the other tasks run once."""
        ...

    def current_task(self) -> object:
        """The task that runs, as one thing: for telling tasks apart."""
        ...

    def home(self) -> AbstractAsyncContextManager[Home]:
        """A home for tasks, to be entered and left in the same task."""
        ...

    def scope(self) -> Scope:
        """A shielded scope for all that a task does, which is in no other scope."""
        ...

    def byte_stream(self, stream: SocketStream) -> ByteStream:
        """The same connection, in the cheapest form there is; `stream` itself is not to be used any more."""
        ...

    async def close_scopes(self, outermost: Scope, groups_outside: int) -> None:
        """Leave `outermost`, which could not be left since user code in it has left scopes of its own open.

        Those are cancelled and left, innermost first, each when the tasks in it have ended. Otherwise the task
        could not end without an error, and that would cancel whoever lives in the same task group. The task
        itself has as many groups open outside of `outermost` as said.
        """
        ...

    # -- for other threads; frames are those of the loop's thread, outermost first

    def call_from_thread(self, callback: Callable[[], None]) -> bool:
        """Have the loop call it soon, waking it if need be. Whether there is still a loop."""
        ...

    def is_asleep(self, frames: Sequence[FrameType]) -> bool:
        """Whether the loop waits for something to happen; false where that cannot be told."""
        ...

    def running(self, frames: Sequence[FrameType]) -> tuple[Context | None, Sequence[FrameType]]:
        """The context of what the loop is running, if that can be told, and those of the frames that belong to it."""
        ...


async def insist(step: Callable[[], Awaitable[None]]) -> None:
    """Carry it out in spite of stray cancellations, which cut it short: then from its beginning again.

    For what nothing in regrow cancels: the end of those who depend on it.
    """
    while True:
        try:
            return await step()
        except get_cancelled_exc_class():
            continue


def running_backend() -> Backend:
    """The backend of the event loop this runs in."""
    loaders: dict[str, Callable[[], Backend]] = {"asyncio": _load_asyncio, "trio": _load_trio}
    return loaders[_loop_name()]()


def _loop_name() -> str:
    """Which loop runs: told by the module of anyio's token for it, so that trio is not imported in vain."""
    native = type(current_token().native_token).__module__
    return "trio" if native.split(".")[0] == "trio" else "asyncio"


def _load_asyncio() -> Backend:
    from ._asyncio import AsyncioBackend

    return AsyncioBackend()


def _load_trio() -> Backend:
    from ._trio import TrioBackend

    return TrioBackend()
