"""The children of a supervisor: what it keeps of each, and what it tells of them."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from ._pure.child_spec import ChildSpec, ChildType, Restart
from ._pure.ids import Pid
from ._pure.restart import Outcome, Status
from .errors import StartError, StartFailed
from .reasons import Crash, Normal, Reason, Shutdown
from .runtime import Process


@attrs.frozen
class ChildInfo:
    """One child of a supervisor: its id, its pid if it runs, and whether it is just being restarted.

    Of a dynamic supervisor several children may have one id: there it only says what they are.
    """

    id: str
    pid: Pid | None
    type: ChildType
    restarting: bool


@attrs.frozen
class ChildCounts:
    """How many children a supervisor has: specified, running, and how many of each type."""

    specs: int
    active: int
    supervisors: int
    workers: int

    @classmethod
    def of(cls, children: Collection[Child]) -> ChildCounts:
        """What there is to count of these."""
        active = sum(child.process is not None for child in children)
        supervisors = sum(child.spec.type is ChildType.SUPERVISOR for child in children)
        return cls(len(children), active, supervisors, len(children) - supervisors)


@attrs.frozen
class FailedToStartChild:
    """The detail of a supervisor's `Shutdown` where one of its children did not start."""

    id: str
    reason: Reason

    def __str__(self) -> str:
        return f"failed to start child {self.id!r}: {self.reason}"


@attrs.frozen(eq=False)
class Retry:
    """To the supervisor itself: try the restart of this child again, if this is still the one it waits for."""

    child: Child
    reason: Reason


@attrs.define(eq=False)
class Child:
    """One child of a running supervisor."""

    spec: ChildSpec
    process: Process | None = None
    """Also while it starts, and until the supervisor has handled its end."""
    pid: Pid | None = None
    """Of the process that was ready last: what others know it by, also between two tries."""
    retry: Retry | None = None
    """The last restart failed, and this message will try it again; none while there is a process."""
    restarts: int = 0

    @property
    def status(self) -> Status:
        if self.process is not None:
            return Status.RUNNING
        return Status.STOPPED if self.retry is None else Status.RESTARTING

    @property
    def info(self) -> ChildInfo:
        pid = None if self.process is None else self.process.pid
        return ChildInfo(self.spec.id, pid, self.spec.type, self.status is Status.RESTARTING)

    def release_arguments(self) -> None:
        """Forget what it was started with if it will never be started again, so that memory can go."""
        spec = self.spec
        if spec.restart is Restart.TEMPORARY and (spec.args or spec.kwargs):
            self.spec = attrs.evolve(spec, args=(), kwargs={})


def outcome_of(reason: Reason) -> Outcome:
    """How an end with this reason counts for restarting."""
    match reason:
        case Normal():
            return Outcome.NORMAL
        case Shutdown():
            return Outcome.CLEAN
        case _:
            return Outcome.ABNORMAL


def reason_of(error: StartError) -> Reason:
    """Why a start failed, as an exit reason."""
    return error.reason if isinstance(error, StartFailed) else Crash(error)
