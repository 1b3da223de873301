"""What a node tells its operators: one structured report for each crash, kept for a while and logged."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping

import attrs

from ._pure.ids import Pid
from .reasons import Crash, Custom, Reason, RemoteError, as_data
from .status import printed
from .system_words import HIDDEN, Status

LOGGER = logging.getLogger("regrow")
REPORTS_KEPT = 100  # the newest; older ones are in the log


@attrs.frozen
class CrashReport:
    """One process ended in a way nobody had planned: what it was, why, and what it was doing.

    What it held is there in print, so that nothing of it lives on in here.
    """

    node: str
    pid: Pid
    name: str | None
    label: str
    """Its class, or the function it ran."""
    reason: Reason = attrs.field(converter=as_data)
    ancestors: tuple[Pid, ...] = ()
    """Who started it, who started that one, and so on."""
    links: tuple[Pid, ...] = ()
    """Who hears of it by their links."""
    last_message: str | None = None
    state: Mapping[str, str] = attrs.field(factory=dict[str, str])
    log: tuple[str, ...] = ()
    """The last messages before, if they were kept."""
    at: float = attrs.field(factory=time.time)

    @classmethod
    def of(cls, node: str, seen: Status, ancestors: tuple[Pid, ...], links: tuple[Pid, ...]) -> CrashReport:
        """The report of a crash, from what is to be seen of the process."""
        message = None if seen.message is None else printed(seen.message)
        state = {name: printed(value) for name, value in seen.state.items()}
        reason = Custom(HIDDEN) if seen.reason is None else seen.reason
        log = tuple(map(str, seen.log))
        return cls(node, seen.pid, seen.name, seen.label, reason, ancestors, links, message, state, log)

    @property
    def traceback(self) -> str:
        """The printed traceback of the crash, empty where there was no exception."""
        error = self.reason.exception if isinstance(self.reason, Crash) else None
        return error.traceback if isinstance(error, RemoteError) else ""

    def __str__(self) -> str:
        who = f"{self.label} {self.pid}" if self.name is None else f"{self.name} ({self.label} {self.pid})"
        doing = "" if self.last_message is None else f"\n  handling {self.last_message:.500}"
        return f"{who} crashed: {self.reason}{doing}"


@attrs.frozen
class RestartReport:
    """One restart: which child, why, what was restarted with it, and what is left of the budget."""

    node: str
    supervisor: str
    child: str
    pid: Pid | None
    """The process that ended; `None` if this is another try after a failed restart."""
    reason: Reason = attrs.field(converter=as_data)
    strategy: str
    restarted_with: tuple[str, ...]
    budget_left: int
    period_s: float
    at: float = attrs.field(factory=time.time)

    def __str__(self) -> str:
        others = f" with {', '.join(self.restarted_with)}" if self.restarted_with else ""
        left = f"{self.budget_left} more within {self.period_s:g} s"
        return f"{self.supervisor} restarts {self.child}{others} ({self.strategy}): {self.reason}; budget left: {left}"


class Reports:
    """The newest reports of one node, and the logger they go to."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.crashes: deque[CrashReport] = deque(maxlen=REPORTS_KEPT)
        self.restarts: deque[RestartReport] = deque(maxlen=REPORTS_KEPT)

    def crash(self, report: CrashReport, error: BaseException | None = None) -> None:
        """Keep the report and log it, with its fields as `extra` and the exception as the record's own."""
        self.crashes.append(report)
        fields = {"node": report.node, "pid": str(report.pid), "process_name": report.name}
        LOGGER.error("%s", report, exc_info=error, extra={**fields, "reason": str(report.reason)})

    def restart(self, report: RestartReport) -> None:
        """Keep the report and log it, with its fields as `extra`."""
        self.restarts.append(report)
        fields = {"node": report.node, "supervisor": report.supervisor, "child": report.child}
        LOGGER.warning("%s", report, extra={**fields, "reason": str(report.reason), "budget_left": report.budget_left})

    def warning(self, text: str, *, pid: Pid | None = None) -> None:
        """Log what an operator should know and nobody crashed of."""
        LOGGER.warning("%s", text, extra={"node": self._node, "pid": str(pid)})

    def progress(self, text: str, *, pid: Pid | None = None) -> None:
        """Log that something went as it should."""
        LOGGER.info("%s", text, extra={"node": self._node, "pid": str(pid)})
