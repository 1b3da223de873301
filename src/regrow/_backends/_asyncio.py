"""Promises on asyncio: its own futures, which are C and do exactly this."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from ..messages import Promise


class AsyncioBackend:
    """The backend of the asyncio loop that runs."""

    name: ClassVar = "asyncio"

    def __init__(self) -> None:
        self.promise: Callable[[], Promise] = asyncio.get_running_loop().create_future

    def checkpoint(self) -> Awaitable[None]:
        return asyncio.sleep(0)
