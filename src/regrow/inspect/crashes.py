"""The newest crashes of a node, and what its supervisors did about them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .._pure.ids import Pid
from ..node import Node
from ..reports import CrashReport, RestartReport


@attrs.frozen
class RestartInfo:
    """What a supervisor did about an end."""

    supervisor: str
    child: str
    strategy: str
    restarted_with: tuple[str, ...]
    budget_left: int
    period: float


@attrs.frozen
class CrashInfo:
    """One end that nobody had planned."""

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


def crashes(node: Node) -> list[CrashInfo]:
    """The newest crashes, newest first, and restarts after an end that was no crash, such as a kill."""
    reports = node.runtime.reports
    restarts = {report.pid: report for report in reports.restarts if report.pid is not None}
    crashed = {report.pid for report in reports.crashes}
    found = [_crash(report, restarts.get(report.pid)) for report in reports.crashes]
    found += [_restart_alone(report) for report in reports.restarts if report.pid not in crashed]
    return sorted(found, key=lambda crash: crash.at, reverse=True)


def _crash(report: CrashReport, restart: RestartReport | None) -> CrashInfo:
    return CrashInfo(
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
    )


def _restart_alone(report: RestartReport) -> CrashInfo:
    return CrashInfo(report.at, report.pid, None, None, str(report.reason), "", None, {}, (), _restart(report))


def _restart(report: RestartReport) -> RestartInfo:
    return RestartInfo(
        supervisor=report.supervisor,
        child=report.child,
        strategy=report.strategy,
        restarted_with=report.restarted_with,
        budget_left=report.budget_left,
        period=report.period_s,
    )
