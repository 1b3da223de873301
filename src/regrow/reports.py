"""What a node tells its operators, as data: the newest are kept, and all are logged, each field as an `extra`.

Nothing is put into words before somebody wants to read them: a handler of the logger, or who prints the report.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias, cast

import attrs

from ._pure.ids import Pid
from .reasons import Crash, Custom, Reason, RemoteError, as_data
from .stacks import Place
from .status import printed
from .system_words import HIDDEN, Status

LOGGER = logging.getLogger("regrow")
REPORTS_KEPT = 100  # the newest of each kind; older ones are in the log
REPEAT_S = 60.0  # before a complaint is made again
KIND = "report"  # the extra that says which kind of report a record is

Text: TypeAlias = str | Callable[[], str]


class Report:
    """What every report is."""

    __slots__ = ()

    kind: ClassVar[str]
    level: ClassVar[int] = logging.WARNING

    def fields(self) -> dict[str, object]:
        """Its fields in plain terms, under the names by which they are logged."""
        values = {field.name: _plain(getattr(self, field.name)) for field in attrs.fields(cast(Any, type(self)))}
        # A log record has a `name` of its own.
        return {"process_name" if name == "name" else name: value for name, value in values.items()}


def _plain(value: object) -> object:
    match value:
        case Pid() | Reason():
            return str(value)
        case Place():
            return {field: _plain(each) for field, each in attrs.asdict(value, recurse=False).items()}
        case tuple():
            return [_plain(each) for each in cast("tuple[object, ...]", value)]
        case _:
            return value


@attrs.frozen
class CrashReport(Report):
    """One process ended in a way nobody had planned: what it was, why, and what it was doing.

    What it held is there in print, so that nothing of it lives on in here.
    """

    kind = "crash"
    level = logging.ERROR

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
class RestartReport(Report):
    """One restart: which child, why, who was stopped and started with it, and what is left of the budget."""

    kind = "restart"

    node: str
    supervisor: str
    child: str
    pid: Pid | None
    """The process that ended; `None` if this is another try after a failed restart."""
    reason: Reason = attrs.field(converter=as_data)
    strategy: str
    stopped: tuple[str, ...]
    """Who else had to stop, first those that do so first."""
    restarted_with: tuple[str, ...]
    """Who else is started again, in that order."""
    budget_left: int
    period_s: float
    at: float = attrs.field(factory=time.time)

    def __str__(self) -> str:
        others = f" with {', '.join(self.restarted_with)}" if self.restarted_with else ""
        left = f"{self.budget_left} more within {self.period_s:g} s"
        return f"{self.supervisor} restarts {self.child}{others} ({self.strategy}): {self.reason}; budget left: {left}"


@attrs.frozen
class GaveUpReport(Report):
    """A supervisor had to restart a child once more than it may, and ends instead."""

    kind = "gave_up"

    node: str
    supervisor: str
    pid: Pid
    child: str
    reason: Reason = attrs.field(converter=as_data)
    """Why that child ended, or could not be restarted."""
    intensity: int
    period_s: float
    at: float = attrs.field(factory=time.time)

    @property
    def why(self) -> str:
        """In words, why it gives up."""
        too_many = f"more than {self.intensity} restarts within {self.period_s:g} s are too many"
        return f"{self.child} ended ({self.reason}), and {too_many}"

    def __str__(self) -> str:
        return f"{self.supervisor} gives up: {self.why}"


@attrs.frozen
class ShutdownReport(Report):
    """One process did not stop in its time, and had to be killed: who, in how much time, and where it is stuck."""

    kind = "shutdown"

    node: str
    stopped_by: str | None
    """Who had told it to stop; `None` if it was ending by itself, and its `terminate` took too long."""
    child: str
    """Its id in its supervisor; else its name or what it runs."""
    pid: Pid
    reason: Reason = attrs.field(converter=as_data)
    """What it ends with."""
    timeout_s: float
    places: tuple[Place, ...]
    """Where it is; if it waits for another to end, where that one is, and so on."""
    at: float = attrs.field(factory=time.time)

    @property
    def stuck(self) -> Place:
        """The one that the others wait for."""
        return self.places[-1]

    def __str__(self) -> str:
        who, time_s = f"{self.child} {self.pid}", f"{self.timeout_s:g} s"
        if self.stopped_by is None:
            return f"{who} is killed, as its terminate has not ended within {time_s}; {_told(self.places)}"
        return f"{self.stopped_by} kills {who}, which has not stopped within {time_s}; {_told(self.places)}"


@attrs.frozen
class RefusalReport(Report):
    """One process was told to end at once and has not: code that does not await, or shields itself."""

    kind = "refusal"

    node: str
    pid: Pid
    name: str | None
    label: str
    reason: Reason = attrs.field(converter=as_data)
    """What it is to end with."""
    waited_s: float
    stack: str
    at: float = attrs.field(factory=time.time)

    def __str__(self) -> str:
        who = f"{self.name or self.label} {self.pid}"
        told = f"has not ended {self.waited_s:g} s after it was told to ({self.reason})"
        return f"{who} {told}; it is at\n{self.stack}"


@attrs.frozen
class BlockReport(Report):
    """Something keeps the loop of a node from turning, so that nothing else can run: who, and its stack meanwhile."""

    kind = "block"

    node: str
    pid: Pid | None
    """`None` if it is not one of the processes."""
    name: str | None
    label: str
    blocked_s: float
    """So far, or in all if it is over."""
    stack: str
    """Where it was when that was seen."""
    over: bool = False
    at: float = attrs.field(factory=time.time)

    def ended(self, blocked_s: float) -> BlockReport:
        """The report that it is over."""
        return attrs.evolve(self, blocked_s=blocked_s, over=True, at=time.time())

    def __str__(self) -> str:
        who = self.label if self.pid is None else f"{self.name or self.label} {self.pid}"
        if self.over:
            return f"{who} does not block {self.node} any more; it did for {self.blocked_s:.1f} s"
        return f"{who} blocks {self.node}, for {self.blocked_s:.1f} s so far; it is at\n{self.stack}"


@attrs.frozen
class ProgressReport(Report):
    """A supervisor has started a child."""

    kind = "progress"
    level = logging.INFO

    node: str
    supervisor: str
    child: str
    pid: Pid

    def __str__(self) -> str:
        return f"{self.supervisor} started {self.child} as {self.pid}"


@attrs.frozen
class DropReport(Report):
    """A mailbox has begun to drop messages, as it holds all that it may; or that is over."""

    kind = "drop"

    node: str
    pid: Pid
    label: str
    size: int
    """What the mailbox may hold."""
    dropped: int | None = None
    """How many were dropped, once it is over."""

    def __str__(self) -> str:
        who = f"{self.label} {self.pid}"
        if self.dropped is None:
            return f"{who} drops messages: its mailbox holds {self.size}, as many as it may"
        return f"{who} has dropped {self.dropped} messages, and that is over"


def _told(places: tuple[Place, ...]) -> str:
    """In words: it is there, or it waits for another, which is there."""
    others = [f"waits for {place.name} {place.pid}, which " for place in places[1:]]
    return f"it {''.join(others)}is at\n{places[-1].stack}"


class Reports:
    """The newest reports of one node, and the logger they go to."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.crashes: deque[CrashReport] = deque(maxlen=REPORTS_KEPT)
        self.restarts: deque[RestartReport] = deque(maxlen=REPORTS_KEPT)
        self.surrenders: deque[GaveUpReport] = deque(maxlen=REPORTS_KEPT)
        self.shutdowns: deque[ShutdownReport] = deque(maxlen=REPORTS_KEPT)
        self._complaints: dict[str, float] = {}  # and when each was made

    def wants(self, kind: type[Report]) -> bool:
        """Whether anybody will see such a report, so that one need not be made in vain."""
        return LOGGER.isEnabledFor(kind.level)

    def add(self, report: Report, error: BaseException | None = None) -> None:
        """Keep the report, and log it with its fields; a crash with its exception as that of the record."""
        match report:
            case CrashReport():
                self.crashes.append(report)
            case RestartReport():
                self.restarts.append(report)
            case GaveUpReport():
                self.surrenders.append(report)
            case ShutdownReport():
                self.shutdowns.append(report)
            case _:
                pass  # the log is enough
        if self.wants(type(report)):
            extra = {KIND: report.kind, **report.fields()}
            LOGGER.log(report.level, "%s", report, exc_info=error, extra=extra)

    def warning(self, text: Text, *, pid: Pid | None = None) -> None:
        """Log what an operator should know and nobody crashed of. A text that may come often is given as a function."""
        self._say(logging.WARNING, "warning", text, pid)

    def complaint(self, text: str) -> None:
        """Warn of what is tried again and again: of the same once in a minute, of a hundred things at most."""
        now = time.monotonic()
        self._complaints = {said: at for said, at in self._complaints.items() if now - at < REPEAT_S}
        if text not in self._complaints and len(self._complaints) < REPORTS_KEPT:
            self._complaints[text] = now
            self.warning(text)

    def progress(self, text: Text, *, pid: Pid | None = None) -> None:
        """Log that something went as it should."""
        self._say(logging.INFO, "progress", text, pid)

    def _say(self, level: int, kind: str, text: Text, pid: Pid | None) -> None:
        if LOGGER.isEnabledFor(level):
            said = text if isinstance(text, str) else text()
            LOGGER.log(
                level, "%s", said, extra={KIND: kind, "node": self.node, "pid": None if pid is None else str(pid)}
            )
