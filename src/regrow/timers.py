"""The timers of one node: one task sleeps for all of them.

Two shapes, because they are used differently. Ordinary timers are few and lie in a heap. The deadlines of
calls are many and almost always cancelled, by the reply: those of the same length lie in one queue, in
order by themselves, so that adding one costs an append, and nothing has to be taken out at once.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Callable
from itertools import count

import anyio

from .clock import Clock
from .messages import Call

ANSWERED_MAX = 64  # answered calls that may be kept: with more, new ones find no warm memory, and cost twice as much


class Timer:
    """One running timer; `cancel` it, and it will not fire."""

    __slots__ = ("_timers", "callback", "when")

    def __init__(self, timers: Timers, when: float, callback: Callable[[], None]) -> None:
        self._timers = timers
        self.when = when
        self.callback: Callable[[], None] | None = callback

    @property
    def active(self) -> bool:
        return self.callback is not None

    def left(self) -> float | None:
        """The seconds until it fires, or `None` if it has fired or was cancelled."""
        return None if self.callback is None else max(0.0, self.when - self._timers.clock.now())

    def cancel(self) -> float | None:
        """Stop the timer; the seconds that were left, or `None` if it had fired or was cancelled before."""
        left = self.left()
        if self.callback is not None:
            self.callback = None
            self._timers.forget_one()
        return left


class Deadlines:
    """The calls that wait equally long, in the order in which their time is up."""

    __slots__ = ("calls", "calls_max")

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()
        self.calls_max = ANSWERED_MAX  # when there are more, it is time to sweep

    def next(self) -> float:
        return self.calls[0].deadline if self.calls else math.inf

    def sweep(self) -> None:
        """Drop answered calls; one that waits long at the head must not keep all those behind it."""
        calls = self.calls
        while calls and not calls[0].is_open:
            calls.popleft()
        if len(calls) > self.calls_max // 2:
            self.calls = calls = deque(call for call in calls if call.is_open)
        self.calls_max = len(calls) + max(ANSWERED_MAX, len(calls) // 4)


class Timers:
    """All timers of one node, on the clock it was given."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._now = clock.now
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._active = 0
        self._deadlines: defaultdict[float, Deadlines] = defaultdict(Deadlines)
        self._sleeping_until = -math.inf  # never nudged before the ticker runs
        self._sleep: anyio.CancelScope | None = None

    def __len__(self) -> int:
        return self._active

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in `seconds`, not earlier. It runs in the ticker's task and must not fail."""
        return self.at(self.clock.now() + seconds, callback)

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """The same at a time of the clock, at once if that is past."""
        timer = Timer(self, when, callback)
        heapq.heappush(self._heap, (timer.when, next(self._order), timer))
        self._active += 1
        self._wake_for(timer.when)
        return timer

    def expire_after(self, seconds: float, call: Call) -> None:
        """Tell the call when its time is up, unless it was answered by then."""
        when = call.deadline = self._now() + seconds
        deadlines = self._deadlines[seconds]
        deadlines.calls.append(call)
        if len(deadlines.calls) > deadlines.calls_max:
            deadlines.sweep()
        if when < self._sleeping_until:
            self._wake_for(when)

    async def run(self) -> None:
        """The ticker: sleep until the next timer, fire what is due, for ever."""
        while True:
            # While a timer fires, others may be set: they count as earlier than this and are seen below.
            self._sleeping_until = -math.inf
            self._fire()
            self._sleeping_until = self._next()
            with anyio.CancelScope() as self._sleep:
                await self.clock.sleep_until(self._sleeping_until)
            self._sleep = None

    def forget_one(self) -> None:
        """A timer was cancelled. Its place in the heap is given back once the cancelled are the majority."""
        self._active -= 1
        if len(self._heap) > 64 and len(self._heap) > 2 * self._active:
            self._heap = [entry for entry in self._heap if entry[2].active]
            heapq.heapify(self._heap)

    def _wake_for(self, when: float) -> None:
        if when < self._sleeping_until:
            self._sleeping_until = when
            if self._sleep is not None:
                self._sleep.cancel()

    def _fire(self) -> None:
        now = self.clock.now()
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                self._active -= 1
                callback()
        for seconds, deadlines in list(self._deadlines.items()):
            while deadlines.next() <= now:
                deadlines.calls.popleft().expire(seconds)
            if not deadlines.calls:
                del self._deadlines[seconds]
        # Answered calls that are not due may stay: the ticker sleeps until their deadline, and so need not be woken
        # by the next call of the same length, which is due later still.

    def _next(self) -> float:
        while self._heap and not self._heap[0][2].active:
            heapq.heappop(self._heap)
        timer_at = self._heap[0][0] if self._heap else math.inf
        return min([timer_at, *(deadlines.next() for deadlines in self._deadlines.values())])
