"""Killing a process, and seeing what its supervisor does about it."""

from __future__ import annotations

import time
from typing import Literal

import anyio
import attrs

from .._pure.ids import Pid
from .._pure.restart import Status
from ..application_master import MasterRunner
from ..children import Child
from ..errors import CallError
from ..inspect import supervisor_of
from ..node import Node
from ..owner import Owner, OwnerRunner
from ..reasons import Kill
from ..refs import ServerRef
from ..reports import RestartReport
from ..runtime import Process

FOLLOW_S = 1.0  # what the process gets to end, and its supervisor to do something about it


@attrs.frozen
class Killing:
    """What came of a kill."""

    killed: Pid
    name: str | None
    outcome: Literal["restarted", "restarting", "not restarted", "gave up", "application ended", "ended", "ending"]
    supervisor: str | None = None
    restarted_as: Pid | None = None
    after_ms: float | None = None
    """From the kill until the new process was ready."""
    budget_left: int | None = None
    intensity: int | None = None
    period: float | None = None


async def kill(node: Node, process: Process) -> Killing:
    """Kill a process, and tell what has happened when its supervisor has dealt with it, or after a second."""
    runtime = node.runtime
    found = supervisor_of(node, process)
    killing = Killing(process.pid, process.name, "ending")
    killed_at = time.perf_counter()
    runtime.exit_signal(runtime.nobody, process.pid, Kill())
    with anyio.move_on_after(FOLLOW_S):
        await process.wait_ended()
        killing = attrs.evolve(killing, outcome="application ended" if _is_top(node, process) else "ended")
        if found is not None:
            supervisor, child = found
            name = supervisor.name or str(supervisor.pid)
            killing = attrs.evolve(killing, outcome="restarting", supervisor=name)
            killing = await _follow(node, killing, supervisor, child, killed_at)
    return killing


def _is_top(node: Node, process: Process) -> bool:
    """Whether it is the top of an application, which ends with it."""
    masters = [application.master for application in node.applications.loaded.values()]
    runners = [master.runner for master in masters if master is not None]
    return any(runner.root is process for runner in runners if isinstance(runner, MasterRunner))


async def _follow(node: Node, killing: Killing, supervisor: Process, child: Child, killed_at: float) -> Killing:
    """Wait until the supervisor has dealt with the end of its child."""
    ref = ServerRef(supervisor.pid, Owner, _runtime=node.runtime)
    try:
        # It deals with the end before it answers this, which it got later; a restart that failed is tried again
        # before the next one.
        while True:
            await Owner.count_children(ref)
            if child.status is not Status.RESTARTING:
                break
    except CallError:
        return attrs.evolve(killing, outcome="gave up", budget_left=0)
    if child.process is None:
        return attrs.evolve(killing, outcome="not restarted")
    after_ms = round((time.perf_counter() - killed_at) * 1000, 1)
    killing = attrs.evolve(killing, outcome="restarted", restarted_as=child.process.pid, after_ms=after_ms)
    return _with_budget(killing, supervisor, _report(node, killing.killed))


def _report(node: Node, pid: Pid) -> RestartReport | None:
    return next((report for report in reversed(node.runtime.reports.restarts) if report.pid == pid), None)


def _with_budget(killing: Killing, supervisor: Process, report: RestartReport | None) -> Killing:
    runner = supervisor.runner
    if report is None or not isinstance(runner, OwnerRunner):
        return killing
    intensity = runner.flags.intensity
    return attrs.evolve(killing, budget_left=report.budget_left, intensity=intensity, period=report.period_s)
