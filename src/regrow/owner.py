"""What supervisors of every kind are: a process that owns others.

Here is what they have in common: their life, their loop, how the process of one child is started and stopped, and
what a restart costs. Which children there are, who is restarted with whom and in which order they stop is a matter
of the kind; it is decided in `_pure.restart`. A child is a task in its owner's home.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, TypeVar

from ._pure.child_spec import AutoShutdown, AutoShutdownWord, ChildSpec, ChildType, Flags, check_specs
from ._pure.ids import Pid
from ._pure.intensity import RestartIntensity
from ._pure.restart import stop_deadlines
from .behaviour import class_of, start_process
from .children import Child, ChildCounts, ChildInfo, Retry
from .errors import ChildError, Ignore, Ignored, StartError, StartFailed, Stop, UnknownRequest, exit_reason, short
from .handlers import Handling, call, give_answer, run_call
from .messages import Call, Exit, Failure
from .reasons import Crash, Kill, Killed, Reason, Shutdown, unwrapped
from .refs import ServerRef
from .reports import GaveUpReport, ProgressReport, RestartReport
from .runtime import Process, this_process
from .stopping import kill_late
from .system import obey_parent, serve

REFUSALS = (ChildError, StartError)  # a request that meets one of these is answered with it

R = TypeVar("R", bound="OwnerRunner")


class Owner(Handling):
    """What `Supervisor` and `DynamicSupervisor` share: the limits, and the view of the children."""

    intensity: ClassVar[int] = 1
    period: ClassVar[float] = 5.0
    auto_shutdown: ClassVar[AutoShutdown | AutoShutdownWord] = AutoShutdown.NEVER

    child_type = ChildType.SUPERVISOR

    @call(timeout=None)
    async def which_children(self) -> list[ChildInfo]:
        """All children, newest first."""
        return [child.info for child in reversed(_mine().all_children())]

    @call(timeout=None)
    async def count_children(self) -> ChildCounts:
        """How many children there are."""
        return ChildCounts.of(_mine().all_children())

    async def code_change(self, old_version: object, extra: object) -> None:
        """Read the flags and `init` anew; `raise Ignore()` in there changes nothing. What runs goes on.

        New limits count for later ends. A `Supervisor` adds children that were not there without starting them, and
        keeps those that are not named any more.
        """
        with suppress(Ignore):
            _mine().change(self)


def runner_here(kind: type[R]) -> R:
    """The runner of the supervisor whose call is being handled."""
    runner = this_process("a supervisor's administration").runner
    if not isinstance(runner, kind):
        raise TypeError("call it from outside, as `await Supervisor.which_children(ref)`")
    return runner


def _mine() -> OwnerRunner:
    return runner_here(OwnerRunner)  # type: ignore[type-abstract]  # nothing is made of it


def checked_specs(specs: Iterable[object], flags: Flags) -> tuple[ChildSpec, ...]:
    """These specifications, fit to be started here. Raises `ValueError`, or `TypeError` for a class of no behaviour."""
    checked = check_specs(specs, flags.auto_shutdown)
    for spec in checked:
        class_of(spec.cls)
    return checked


class OwnerRunner(ABC):
    """Runs one supervisor in its process."""

    owns_children = True

    def __init__(self, spec: ChildSpec) -> None:
        self._spec = spec
        self.by_pid: dict[Pid, Child] = {}  # the children with a process, also while it starts
        self._process: Process
        self.flags: Flags
        self.intensity: RestartIntensity

    @property
    def _title(self) -> str:
        """What it is called in reports."""
        return self._process.name or str(self._process.pid)

    # -- what differs

    @abstractmethod
    def all_children(self) -> Sequence[Child]:
        """The children, also those without a process, oldest first."""

    @abstractmethod
    async def _set_up(self, supervisor: Any) -> None:
        """Read the flags and start the children it begins with. Whatever is raised is the failure of its start."""

    @abstractmethod
    def change(self, supervisor: Any) -> None:
        """Take over the flags and children that the object has by now; whatever is raised, nothing is changed."""

    @abstractmethod
    async def _child_ended(self, child: Child, pid: Pid, reason: Reason) -> None:
        """A child ended that nobody had told to stop, and has no process any more."""

    @abstractmethod
    async def _restart(self, child: Child, pid: Pid | None, reason: Reason) -> None:
        """Restart the child with whom the strategy says; `pid` is `None` if this is another try."""

    @abstractmethod
    async def _stop_all(self) -> None:
        """Stop all children, and return when they are gone."""

    # -- life

    async def run(self, process: Process) -> None:
        """The body: start the children, then handle their ends and the administration until told to stop."""
        self._process = process
        process.trap_exit = True
        if not await self._init():
            return
        process.ready()
        try:
            await serve(process, self._handle)
        except Stop as stop:
            await self._stop_all()
            raise Stop(stop.reason) from None

    async def bury_children(self, reason: Reason) -> None:
        """It ended out of order: its children get the exit signal, then their shutdown time, then the kill."""
        # Not through the link: it is gone where the child was being stopped already, or has unlinked itself.
        signal = Killed() if isinstance(reason, Kill) else reason
        left = _with_process(reversed(self.by_pid.values()))
        for _, process in left:
            process.exit_signal(self._process.pid, signal, linked=False)
        await self._see_off(left)

    async def _init(self) -> bool:
        """Make the object and set it up; whether there is something to supervise."""
        process, spec = self._process, self._spec
        del self._spec  # what it was started with lives no longer than its object keeps it
        try:
            process.server = spec.cls(*spec.args, **spec.kwargs)
            await self._set_up(process.server)
        except BaseException as error:  # the border where a failing init becomes a failed start
            if process.exiting is not None:
                raise
            if isinstance(unwrapped(error), Ignore):
                process.start_error = Ignored(process.label)
                return False
            process.start_error = StartFailed(exit_reason(error))
            process.start_error.__cause__ = process.start_error.__cause__ or error.__cause__
            raise
        return process.exiting is None  # it may have ended itself in init

    async def _handle(self, message: object) -> None:
        match message:
            case Exit(pid, reason) if pid == self._process.parent:
                obey_parent(self._process, reason)
            case Exit(pid):
                await self._perhaps_child_ended(pid)
            case Retry(child, reason):
                if child.retry is message:
                    await self._restart(child, None, reason)
            case Call(method=str()):
                server = self._process.server
                assert isinstance(server, Owner), "made by _init"
                await run_call(self._process, server, message, REFUSALS)
            case Call():
                give_answer(self._process, message, Failure(UnknownRequest(self._process.label, message)))
            case _:
                me = self._process
                me.runtime.reports.warning(lambda: f"{me!r} ignores {short(message, 500)}", pid=me.pid)

    async def _perhaps_child_ended(self, pid: Pid) -> None:
        """An exit signal of somebody who is not the parent: of interest if it is a child that has really ended."""
        child = self.by_pid.get(pid)
        if child is not None and child.process is not None and child.process.ended is not None:
            reason = child.process.ended
            self._gone(child)
            await self._child_ended(child, pid, reason)

    # -- the process of a child

    async def _start_process(self, child: Child) -> ServerRef[Any] | None:
        """Start the child's process; `None` if it asked to be ignored. Raises `StartError`, the child then stopped."""
        me = self._process
        try:
            ref = await start_process(
                me.runtime,
                child.spec,
                me,
                link=True,
                home=None if me.nest is None else me.nest.home,
                spawned=lambda process: self._spawned(child, process),
            )
        except Ignored:
            self._gone(child)
            return None
        except StartError:
            self._gone(child)
            raise
        child.pid = ref.pid
        child.release_arguments()
        reports = me.runtime.reports
        if reports.wants(ProgressReport):
            reports.add(ProgressReport(reports.node, self._title, child.spec.id, ref.pid))
        return ref

    def _spawned(self, child: Child, process: Process) -> None:
        child.process = process
        self.by_pid[process.pid] = child

    def _gone(self, child: Child) -> None:
        """The child has no process any more, and is to have none."""
        if child.process is not None:
            del self.by_pid[child.process.pid]
        child.process = child.retry = None

    async def _stop(self, children: Sequence[Child]) -> None:
        """Stop these at the same time, each as its specification says; return when all are gone."""
        me = self._process
        told = _with_process(children)
        for child, process in told:
            me.unlink(process.pid)  # its exit may be in the mailbox already, and is then the exit of a stranger
            brutal = child.spec.shutdown == "brutal_kill"
            process.exit_signal(me.pid, Kill() if brutal else Shutdown(), linked=False)
        await self._see_off(told)
        for child in children:
            self._gone(child)

    async def _see_off(self, told: Sequence[tuple[Child, Process]]) -> None:
        """Return when all of these have ended, who have had their exit signal; the kill is for those who are late."""
        # One timer for all that have the same time: with a hundred thousand children, it is few timers.
        deadlines = stop_deadlines((each, each[0].spec.shutdown) for each in told)
        timers = [
            self._process.runtime.timers.after(seconds, partial(self._kill_late, seconds, group))
            for seconds, group in deadlines.items()
        ]
        try:
            for _, process in told:
                await process.wait_ended()
        finally:
            for timer in timers:
                timer.cancel()

    def _kill_late(self, seconds: float, group: Sequence[tuple[Child, Process]]) -> None:
        """The time is up for those of the group that are still there."""
        late = {process: child for child, process in group if process.ended is None}
        patient = {process: child.spec.id for process, child in late.items() if child.spec.shutdown != "brutal_kill"}
        kill_late(patient, self._title, seconds)
        for process in late:
            process.die(Killed())

    def _checked(self, spec: object) -> ChildSpec:
        """A specification that somebody sent, fit to be started here. Raises `StartFailed`."""
        try:
            (checked,) = checked_specs([spec], self.flags)
        except (TypeError, ValueError) as error:
            raise StartFailed(Crash(error)) from None
        return checked

    # -- what a restart costs

    def _spend(
        self,
        child: Child,
        pid: Pid | None,
        reason: Reason,
        stopped: tuple[str, ...] = (),
        restarted_with: tuple[str, ...] = (),
    ) -> None:
        """Count one more restart, and report it. Raises `Stop` if that was once too often."""
        me, flags, child_id = self._process, self.flags, child.spec.id
        runtime, node, title = me.runtime, me.runtime.node_name, self._title
        now = runtime.clock.now()
        self.intensity = self.intensity.add(now)
        if self.intensity.exceeded:
            runtime.reports.add(GaveUpReport(node, title, me.pid, child_id, reason, flags.intensity, flags.period_s))
            raise Stop(Shutdown())
        runtime.reports.add(
            RestartReport(
                node, title, child_id, pid, reason,
                flags.strategy.value, stopped, restarted_with, self.intensity.left(now), flags.period_s,
            )
        )  # fmt: skip

    def _try_again(self, child: Child, reason: Reason) -> None:
        """A restart of the child failed with this reason; the next try comes through the mailbox."""
        # Not a loop: in the mailbox the retry takes its turn, so that a request to stop gets through.
        child.retry = Retry(child, reason)
        self._process.mailbox.post_system(child.retry)


def _with_process(children: Iterable[Child]) -> list[tuple[Child, Process]]:
    return [(child, child.process) for child in children if child.process is not None]
