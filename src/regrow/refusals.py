"""Who was told to end at once and has not, although it had the time: each is named once, with its stack."""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import Protocol

from ._backends import Home
from .reasons import Reason
from .reports import RefusalReport, Reports
from .stacks import Located, stacks_of
from .timers import Timer, Timers

REFUSAL_S = 1.0  # a task that has not ended this long after its cancel is named, with its stack


class Told(Located, Protocol):
    """What is asked of a process here."""

    @property
    def exiting(self) -> Reason | None: ...


class Refusals:
    """Those of one node. However many are late at once, they are found in one look at all tasks."""

    def __init__(self, timers: Timers, reports: Reports, home: Home) -> None:
        self._timers = timers
        self._reports = reports
        self._home = home
        self._late_at: dict[Told, float] = {}  # who was told first is late first
        self._timer: Timer | None = None

    def told(self, process: Told) -> None:
        """It was told to end."""
        self._late_at[process] = when = self._timers.clock.now() + REFUSAL_S
        if self._timer is None:
            self._timer = self._timers.at(when, self._look)

    def ended(self, process: Told) -> None:
        """It has, or at least its own code."""
        self._late_at.pop(process, None)
        if self._timer is not None and not self._late_at:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._timers.clock.now()
        late = [*takewhile(lambda process: self._late_at[process] <= now, self._late_at)]
        left = next((when for when in self._late_at.values() if when > now), None)
        self._timer = None if left is None else self._timers.at(left, self._look)
        # Where thousands were told at once, time may be over before the loop has come to the last of them: a new task
        # comes after all these.
        self._home.start_soon(partial(self._name, late), name="who refuses to end")

    async def _name(self, late: list[Told]) -> None:
        refusing = [process for process in late if process in self._late_at]
        for process, stack in stacks_of(refusing).items():
            del self._late_at[process]
            assert process.exiting is not None, "it was told to end"
            node, reason = self._reports.node, process.exiting
            self._reports.add(RefusalReport(node, process.pid, process.name, process.label, reason, REFUSAL_S, stack))
