"""How a process is stopped in order: it is told to, gets its time, and is killed if that was not enough.

Who had to be killed is reported with the place where it is stuck.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from anyio import CancelScope, current_time, move_on_after

from ._pure.ids import Pid
from .reasons import Killed, Reason, Shutdown
from .reports import ShutdownReport
from .runtime import Process
from .stacks import places_of
from .system_words import SystemRequest, Terminate
from .timers import Timers

KILLED = Killed()


async def stop_in_order(process: Process, parent: Pid | None, stopped_by: str) -> None:
    """Stop a process, as its parent if that is who it was started by; return when it has ended."""
    if process.shutdown == "brutal_kill":
        process.die(KILLED)
    else:
        tell_to_stop(process, parent)
    if not isinstance(process.shutdown, str):
        await _kill_after(process.shutdown, process, stopped_by)
    await process.wait_ended()


async def _kill_after(seconds: float, process: Process, stopped_by: str) -> None:
    """Return when it has ended, or its time was up and it is killed."""

    def kill() -> None:
        kill_late({process: process.name or process.label}, stopped_by, seconds)

    timer = process.runtime.timers.after(seconds, kill)
    try:
        # In real time too: a clock that a test turns, and does not turn any more, must not hold up its end.
        with move_on_after(seconds):
            await process.wait_ended()
    finally:
        fired = timer.cancel() is None
    if not fired and process.ended is None:
        kill()


def tell_to_stop(process: Process, parent: Pid | None) -> None:
    """Order a process to end with `Shutdown`: as its parent, whom it obeys, else by a request."""
    if parent is not None and process.parent == parent:
        process.exit_signal(parent, Shutdown(), linked=False)
    else:
        process.mailbox.post_system(SystemRequest.of(None, process.runtime.backend.promise(), Terminate(Shutdown())))


def kill_late(late: Mapping[Process, str], stopped_by: str | None, seconds: float, reason: Reason = KILLED) -> None:
    """Report that these have not stopped in so many seconds, each under the name given for it, and end them."""
    for process, places in places_of(late).items():
        reports = process.runtime.reports
        reports.add(ShutdownReport(reports.node, stopped_by, late[process], process.pid, reason, seconds, places))
        process.die(reason)


@contextmanager
def time_limit(timers: Timers, seconds: float | None) -> Generator[CancelScope]:
    """Cancel what is inside after so many seconds of the node's clock; `None` for never.

    In real time too: a clock that a test turns, and does not turn any more, must not hold up an end.
    """
    with CancelScope() as scope:
        if seconds is None:
            yield scope
            return
        scope.deadline = current_time() + seconds
        timer = timers.after(seconds, scope.cancel)
        try:
            yield scope
        finally:
            timer.cancel()
