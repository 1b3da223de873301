"""The one seam that exists for speed: waiting for a value and waking the waiter, on each event loop.

anyio has no promise, and its events cost a checkpoint each; these few lines are what every message and
every call goes through. Nothing else in regrow may import asyncio or trio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol

from anyio.lowlevel import current_token

from ..messages import Promise


class Backend(Protocol):
    """What a node needs of its event loop beyond anyio."""

    name: ClassVar[str]

    def promise(self) -> Promise:
        """A promise of the running loop: set by anyone in the loop's thread, awaited by one task."""
        ...

    def checkpoint(self) -> Awaitable[None]:
        """Let the other tasks run once."""
        ...


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
