"""The newest crashes of a node, what its supervisors did about them, and who did not stop when told to."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .._pure.ids import Pid
from ..node import Node
from ..reports import CrashReport, GaveUpReport, RestartReport, ShutdownReport
from ..stacks import Place


@attrs.frozen
class RestartInfo:
    """What a supervisor did about an end."""

    supervisor: str
    child: str
    strategy: str
    stopped: tuple[str, ...]
    restarted_with: tuple[str, ...]
    budget_left: int
    period: float


@attrs.frozen
class ShutdownInfo:
    """What a process did not do that had to be killed."""

    stopped_by: str | None
    """Who had told it to stop; `None` if it was ending by itself, and its `terminate` took too long."""
    child: str
    """Its id in its supervisor; else its name or what it runs."""
    timeout: float
    """Seconds that it had."""
    places: tuple[Place, ...]
    """Where it was; if it waited for another to end, where that one was, and so on."""


@attrs.frozen
class CrashInfo:
    """One end that nobody had planned."""

    kind: str
    """`crash`; `restart` after an end that was no crash; `gave_up` of a supervisor; `shutdown` for one that had to be
    killed."""
    at: float
    """Seconds since the epoch."""
    pid: Pid | None
    """`None` where a restart failed and was tried again."""
    name: str | None
    label: str | None
    reason: str
    traceback: str
    last_message: str | None
    """What it was handling."""
    state: Mapping[str, str]
    log: tuple[str, ...]
    """What it did before, if that was kept."""
    restart: RestartInfo | None
    """`None` where nobody restarted it."""
    shutdown: ShutdownInfo | None
    """`None` where there was none, or it was in time."""


def crashes(node: Node) -> list[CrashInfo]:
    """The newest crashes, newest first; restarts after other ends; who gave up, and who did not stop in time."""
    reports = node.runtime.reports
    restarts = {report.pid: report for report in reports.restarts if report.pid is not None}
    crashed = {report.pid for report in reports.crashes}
    found = [_crash(report, restarts.get(report.pid)) for report in reports.crashes]
    found += [_restart_alone(report) for report in reports.restarts if report.pid not in crashed]
    found += map(_gave_up, reports.surrenders)
    found += map(_shutdown, reports.shutdowns)
    return sorted(found, key=lambda crash: crash.at, reverse=True)


def _crash(report: CrashReport, restart: RestartReport | None) -> CrashInfo:
    return CrashInfo(
        kind=report.kind,
        at=report.at,
        pid=report.pid,
        name=report.name,
        label=report.label,
        reason=str(report.reason),
        traceback=report.traceback,
        last_message=report.last_message,
        state=report.state,
        log=report.log,
        restart=None if restart is None else _restart(restart),
        shutdown=None,
    )


def _restart_alone(report: RestartReport) -> CrashInfo:
    reason, restart = str(report.reason), _restart(report)
    return CrashInfo(report.kind, report.at, report.pid, None, None, reason, "", None, {}, (), restart, None)


def _gave_up(report: GaveUpReport) -> CrashInfo:
    name = None if report.supervisor == str(report.pid) else report.supervisor
    return CrashInfo(report.kind, report.at, report.pid, name, None, report.why, "", None, {}, (), None, None)


def _shutdown(report: ShutdownReport) -> CrashInfo:
    late = ShutdownInfo(report.stopped_by, report.child, report.timeout_s, report.places)
    reason, name = str(report.reason), report.child
    return CrashInfo(report.kind, report.at, report.pid, name, None, reason, "", None, {}, (), None, late)


def _restart(report: RestartReport) -> RestartInfo:
    return RestartInfo(
        supervisor=report.supervisor,
        child=report.child,
        strategy=report.strategy,
        stopped=report.stopped,
        restarted_with=report.restarted_with,
        budget_left=report.budget_left,
        period=report.period_s,
    )
