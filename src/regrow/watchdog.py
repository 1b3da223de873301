"""A thread that names what blocks the loop of a node, with its stack, while it does.

Nothing is asked of those who handle messages: the thread looks at what the loop's own thread is doing, and asks for
a sign of life only of a loop that is not asleep.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from types import FrameType
from typing import assert_never

import attrs

from ._pure import watch
from .reports import BlockReport
from .runtime import Process, Runtime, current
from .stacks import LIFE, own_frames, printed

FAREWELL_S = 1.0  # what the thread gets to end; only a handler of the log could hold it up
NOBODY = "something outside of the processes"


class Watchdog:
    """Watches the loop that it is made in, from `start` to `stop`."""

    def __init__(self, runtime: Runtime, limit_s: float) -> None:
        self._runtime = runtime
        self._limit_s = limit_s
        self._pace_s = limit_s / watch.LOOKS
        self._loop_thread = threading.get_ident()
        self._cpu_s = _cpu_clock(self._loop_thread)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watchdog of {runtime.node_name}", daemon=True)
        self._sign = _Sign()
        self._last: BlockReport | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end, and wait for it."""
        self._stopped.set()
        self._thread.join(FAREWELL_S)

    def _watch(self) -> None:
        state: watch.State = watch.AtRest()
        last = self._now()
        while not self._stopped.wait(self._pace_s):
            state, last = self._look(state, last)

    def _now(self) -> _Moment:
        return _Moment(time.monotonic(), self._cpu_s())

    # A function of its own, so that the frames, and all that is in them, are let go before the next wait.
    def _look(self, state: watch.State, last: _Moment) -> tuple[watch.State, _Moment]:
        frames = _frames_of(self._loop_thread)
        if not frames:
            self._stopped.set()  # the thread has ended, and never left its node
            return state, last
        now, came_s = self._now(), self._sign.came_s
        passed_s = watch.counted(now.time_s - last.time_s, now.cpu_s - last.cpu_s, self._pace_s)
        sign_s = None if came_s is None else min(max(0.0, came_s - last.time_s), passed_s)
        seen = watch.Look(passed_s, sign_s, self._runtime.backend.is_asleep(frames))
        state, actions = watch.look(state, seen, self._limit_s)
        for action in actions:
            self._perform(action, frames)
        return state, now

    def _perform(self, action: watch.Action, frames: list[FrameType]) -> None:
        match action:
            case watch.Ask():
                self._sign = _Sign()
                if not self._runtime.backend.call_from_thread(self._sign.come):
                    self._stopped.set()  # the loop is no more
            case watch.Report(blocked_s):
                self._last = self._report(frames, blocked_s)
                self._runtime.reports.add(self._last)
            case watch.ReportEnd(blocked_s):
                assert self._last is not None, "its beginning was reported"
                self._runtime.reports.add(self._last.ended(blocked_s))
            case _:
                assert_never(action)

    def _report(self, frames: list[FrameType], blocked_s: float) -> BlockReport:
        context, task_frames = self._runtime.backend.running(frames)
        process = self._runtime.in_place or _process_of(context, frames)
        node, stack = self._runtime.node_name, printed(own_frames(process, task_frames))
        if process is None:
            return BlockReport(node, None, None, NOBODY, blocked_s, stack)
        return BlockReport(node, process.pid, process.name, process.label, blocked_s, stack)


def _process_of(context: Context | None, frames: list[FrameType]) -> Process | None:
    """The process whose code the loop runs: told by the context of the task, else by the stack."""
    if context is not None:
        here = context.get(current)
        return here if isinstance(here, Process) else None
    lives = (frame.f_locals.get("self") for frame in frames if frame.f_code.co_name == LIFE)
    return next((each for each in lives if isinstance(each, Process)), None)


@attrs.frozen
class _Moment:
    time_s: float
    cpu_s: float
    """What the loop's thread has computed by then."""


class _Sign:
    """A sign of life: when it came."""

    def __init__(self) -> None:
        self.came_s: float | None = None

    def come(self) -> None:
        self.came_s = time.monotonic()


def _cpu_clock(thread: int) -> Callable[[], float]:
    """What that thread has computed; what all have together, where the system does not tell them apart."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time
    clock = time.pthread_getcpuclockid(thread)
    return lambda: time.clock_gettime(clock)


def _frames_of(thread: int) -> list[FrameType]:
    """What the thread is doing, outermost first."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]  # in public use for long
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]
