"""Who watches the messages of one process: a trace, a log, a count, and functions that were installed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

import attrs

from ._pure.ids import Pid
from .errors import short
from .system_words import Count, Debugging, Event, In, Install, Log, Remove, Statistics, Status, Trace

LOGGER = logging.getLogger("regrow.trace")

State: TypeAlias = Callable[[], dict[str, Any]]


@attrs.define
class Counts:
    """What was counted since when."""

    since: float
    messages_in: int = 0
    messages_out: int = 0


@attrs.define
class Installed:
    """A function that is told, and what it returned last."""

    function: Callable[[Any, Event, dict[str, Any]], object]
    state: object


class Debug:
    """All who watch one process. A process that nobody watches has none of these."""

    def __init__(self, label: str, pid: Pid) -> None:
        self.log: deque[Event] = deque(maxlen=0)
        self._label = label
        self._pid = pid
        self._tracing = False
        self._counts: Counts | None = None
        self._installed: dict[object, Installed] = {}  # by id, or by itself if it was given none

    @property
    def watchers(self) -> tuple[str, ...]:
        """Who watches, in words."""
        own = {"trace": self._tracing, "log": bool(self.log.maxlen), "statistics": self._counts is not None}
        return (*(name for name, on in own.items() if on), *map(_name, self._installed))

    def added_to(self, status: Status, now: float) -> Status:
        """The status of the process, with what was kept and counted, and who watches."""
        counts = self._counts
        counted = None if counts is None else Statistics(now - counts.since, counts.messages_in, counts.messages_out)
        return attrs.evolve(status, log=tuple(self.log), statistics=counted, debug=self.watchers)

    def change(self, operation: Debugging, now: float) -> None:
        """Let somebody watch, or watch no more. What is on already stays as it is."""
        match operation:
            case Trace(on):
                self._tracing = on
            case Log(keep):
                self.log = deque(self.log, maxlen=keep)
            case Count(on):
                self._counts = (self._counts or Counts(now)) if on else None
            case Install(function, id_, state):
                self._installed.setdefault(function if id_ is None else id_, Installed(function, state))
            case Remove(function_or_id):
                self._installed.pop(function_or_id, None)
            case _:
                assert_never(operation)

    def note(self, event: Event, state: State) -> None:
        """Tell all who watch; one who fails is told no more."""
        if self._tracing:
            LOGGER.info("%s %s %s", self._label, self._pid, event, extra={"pid": str(self._pid)})
        self.log.append(event)
        if self._counts is not None and isinstance(event, In):
            self._counts.messages_in += 1
        elif self._counts is not None:
            self._counts.messages_out += 1
        for key, installed in list(self._installed.items()):
            try:
                installed.state = installed.function(installed.state, event, state())
            except Exception as error:  # noqa: BLE001 - whoever watches must not harm what they watch
                del self._installed[key]
                LOGGER.warning("%s %s: %s failed, and is removed: %r", self._label, self._pid, _name(key), error)


def _name(key: object) -> str:
    return key if isinstance(key, str) else getattr(key, "__qualname__", None) or short(key)
