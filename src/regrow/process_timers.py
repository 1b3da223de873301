"""The timers that processes set: known by their references, and dropped with the processes they belong to."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ._pure.ids import Pid, TimerRef
from .timers import Timer, Timers


@attrs.define
class _Running:
    """A timer that was set, the next one of an interval, and the processes it does not outlive."""

    timer: Timer
    belongs_to: tuple[Pid, ...]


class ProcessTimers:
    """Those of one node."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._running: dict[TimerRef, _Running] = {}
        self._of: dict[Pid, dict[TimerRef, None]] = {}

    def set(
        self,
        ref: TimerRef,
        when: float,
        fire: Callable[[], None],
        belongs_to: tuple[Pid, ...],
        interval_s: float | None = None,
    ) -> None:
        """Call `fire` at a time of the clock, and then in intervals if there are to be any; it must not fail."""

        def due() -> None:
            if interval_s is None:
                self._forget(ref)
            else:  # counted from when it was due, so that the intervals do not drift: what is late catches up
                running.timer = self._timers.at(running.timer.when + interval_s, due)
            fire()

        running = self._running[ref] = _Running(self._timers.at(when, due), belongs_to)
        for pid in belongs_to:
            self._of.setdefault(pid, {})[ref] = None

    def left(self, ref: TimerRef) -> float | None:
        """The seconds until it fires; `None` if it does not run."""
        running = self._running.get(ref)
        return None if running is None else running.timer.left()

    def cancel(self, ref: TimerRef) -> float | None:
        """Have it fire no more; the seconds that were left."""
        return None if ref not in self._running else self._forget(ref).timer.cancel()

    def process_ended(self, pid: Pid) -> None:
        """What belongs to the process is dropped."""
        for ref in self._of.pop(pid, ()):
            self.cancel(ref)

    def cancel_all(self) -> None:
        """The node stops."""
        for ref in list(self._running):
            self.cancel(ref)

    def _forget(self, ref: TimerRef) -> _Running:
        running = self._running.pop(ref)
        for pid in running.belongs_to:
            mine = self._of.get(pid, {})
            mine.pop(ref, None)
            if not mine:
                self._of.pop(pid, None)
        return running
