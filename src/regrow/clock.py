"""Time as an argument: the monotonic clock of a node, and what may stand in for it."""

from __future__ import annotations

import math
import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Where a node takes its time from. Seconds as floats, monotonic, from any origin."""

    def now(self) -> float:
        """The time now."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return at `when`, never before; `when` may be infinity."""
        ...


class MonotonicClock:
    """The real one."""

    now = staticmethod(time.monotonic)  # itself: each call asks for the time

    async def sleep_until(self, when: float) -> None:
        if math.isinf(when):
            await anyio.sleep_forever()
        while (left := when - self.now()) > 0:
            await anyio.sleep(left)
