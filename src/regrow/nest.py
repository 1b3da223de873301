"""Where the children of a process live: in a home around its own scope, so that they outlive its cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial

from anyio import CancelScope, get_cancelled_exc_class

from ._backends import Backend, Home, insist
from .reasons import Reason

BuryChildren = Callable[[Reason], Awaitable[None]]
"""What sees the children off when their owner has ended with that reason."""


class Nest:
    """That of one process: opened before the scope that ends its own code, and left after the last child."""

    def __init__(self, bury_children: BuryChildren) -> None:
        self.home: Home
        self._bury_children = bury_children
        self._around = AsyncExitStack()

    async def open(self, backend: Backend) -> None:
        """From now on there may be children."""
        self._around.enter_context(CancelScope(shield=True))
        self.home = await self._around.enter_async_context(backend.home())

    async def leave(self, reason: Reason) -> None:
        """The owner has ended with this reason: see the children off, and return when all of them have ended."""
        # A stray cancellation may hit as it waits for the last of them: nothing is owed by then.
        with suppress(get_cancelled_exc_class()):
            async with self._around:
                await insist(partial(self._bury_children, reason))
