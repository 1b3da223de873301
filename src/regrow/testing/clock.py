"""A clock that the test turns."""

from __future__ import annotations

import anyio


class ManualClock:
    """A clock for `Node(clock=...)` that stands still until `advance`: no test has to sleep.

    Timers that came due fire soon after `advance` returns, in the node's own task: wait for what they do.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._sleepers: dict[anyio.Event, float] = {}

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, in one step."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        self._now += seconds
        for event, when in list(self._sleepers.items()):
            if when <= self._now:
                event.set()

    async def sleep_until(self, when: float) -> None:
        while self._now < when:
            event = anyio.Event()
            self._sleepers[event] = when
            try:
                await event.wait()
            finally:
                del self._sleepers[event]
