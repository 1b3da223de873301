"""Supervisor: a process that starts other processes, and starts them again when they fail.

What is to be done is decided in `_pure.restart`; here it is carried out. A child is a task in its supervisor's
task group. A restart that failed is tried again through the mailbox, so that the supervisor answers and can be
stopped in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar, assert_never

from ._pure.child_spec import (
    AutoShutdown,
    AutoShutdownWord,
    ChildSpec,
    ChildType,
    Flags,
    Strategy,
    StrategyWord,
    check_flags,
    check_specs,
)
from ._pure.ids import Pid
from ._pure.intensity import RestartIntensity
from ._pure.restart import (
    SIGNIFICANT_LEFT,
    Answer,
    ChildView,
    Fate,
    Plan,
    Request,
    Status,
    admin,
    after_failed_start,
    fate_without_process,
    plan,
    stop_order,
    verdict,
)
from .behaviour import TypedChild, class_of, start_process
from .children import Child, ChildCounts, ChildInfo, FailedToStartChild, Retry, outcome_of, reason_of
from .errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildError,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    Ignore,
    Ignored,
    StartError,
    StartFailed,
    Stop,
    UnknownRequest,
    exit_reason,
)
from .handlers import Handling, call, run_call
from .messages import Call, Exit, Failure, StopRequest
from .reasons import Crash, Kill, Killed, Reason, Shutdown, unwrapped
from .refs import Behaviour, ServerRef
from .reports import RestartReport
from .runtime import Process, this_process
from .stacks import stack_of
from .timers import Timer

S = TypeVar("S", bound=Behaviour)


class Supervisor(Handling):
    """Starts its children in order, restarts those that fail, and stops them in reverse order.

    Subclass it, set the flags, and return the children from `init`. More than `intensity` restarts within
    `period` seconds are too many: it then stops what is left and ends with `Shutdown`, for its own supervisor
    to decide. It traps exits; only its parent, `stop` and a kill end it.
    """

    strategy: ClassVar[Strategy | StrategyWord] = Strategy.ONE_FOR_ONE
    intensity: ClassVar[int] = 1
    period: ClassVar[float] = 5.0
    auto_shutdown: ClassVar[AutoShutdown | AutoShutdownWord] = AutoShutdown.NEVER

    child_type = ChildType.SUPERVISOR

    @classmethod
    def runner(cls, spec: ChildSpec) -> SupervisorRunner:
        return SupervisorRunner(spec)

    def init(self) -> Iterable[ChildSpec]:
        """The children, in the order to start them. `raise Ignore()` to start nothing."""
        return ()

    @call(timeout=None)
    async def which_children(self) -> list[ChildInfo]:
        """All children, newest first."""
        return _mine().which_children()

    @call(timeout=None)
    async def count_children(self) -> ChildCounts:
        """How many children there are."""
        return _mine().count_children()

    @call(timeout=None)
    async def start_child(self, spec: TypedChild[S]) -> ServerRef[S]:
        """Add a child and start it. Raises `AlreadyStarted`, `AlreadyPresent`, or why it did not start."""
        return await _mine().start_child(spec)

    @call(timeout=None)
    async def terminate_child(self, child_id: str) -> None:
        """Stop a child and keep its specification, unless it is temporary. Raises `ChildNotFound`."""
        await _mine().terminate_child(child_id)

    @call(timeout=None)
    async def restart_child(self, child_id: str) -> ServerRef[Any]:
        """Start a stopped child again. Raises `ChildRunning`, `ChildRestarting`, `ChildNotFound`, `StartError`."""
        return await _mine().restart_child(child_id)

    @call(timeout=None)
    async def delete_child(self, child_id: str) -> None:
        """Forget a stopped child. Raises `ChildRunning`, `ChildRestarting`, `ChildNotFound`."""
        _mine().delete_child(child_id)


def _mine() -> SupervisorRunner:
    runner = this_process("a supervisor's administration").runner
    if not isinstance(runner, SupervisorRunner):
        raise TypeError("call it from outside, as `await Supervisor.which_children(ref)`")
    return runner


REFUSALS = (ChildError, StartError)  # a request that meets one of these is answered with it


def _checked(specs: Iterable[object], flags: Flags) -> tuple[ChildSpec, ...]:
    """These specifications, fit to be started here. Raises `ValueError`, or `TypeError` for a class of no behaviour."""
    checked = check_specs(specs, flags.auto_shutdown)
    for spec in checked:
        class_of(spec.cls)
    return checked


class SupervisorRunner:
    """Runs one supervisor in its process."""

    owns_children = True

    def __init__(self, spec: ChildSpec) -> None:
        self._spec = spec
        self.children: dict[str, Child] = {}  # in start order
        self._by_pid: dict[Pid, Child] = {}  # those with a process, also while it starts
        self._process: Process
        self.flags: Flags
        self.intensity: RestartIntensity

    # -- life

    async def run(self, process: Process) -> None:
        """The body: start the children, then handle their ends and the administration until told to stop."""
        self._process = process
        process.trap_exit = True
        if not await self._init():
            return
        process.ready()
        try:
            await self._serve()
        except Stop as stop:
            await self._stop_all()
            raise Stop(stop.reason) from None

    async def bury_children(self, reason: Reason) -> None:
        """It ended out of order: its children get the exit signal, then their shutdown time, then the kill."""
        # Not through the link: it is gone where the child was being stopped already, or has unlinked itself.
        signal = Killed() if isinstance(reason, Kill) else reason
        timers: list[Timer] = []
        left: list[Process] = []
        for pid, child in reversed(self._by_pid.items()):
            process = child.process
            assert process is not None and process.pid == pid, "kept together"
            left.append(process)
            process.exit_signal(self._process.pid, signal, linked=False)
            seconds = 0.0 if child.spec.shutdown == "brutal_kill" else child.spec.shutdown
            if seconds != "infinity":
                timers.append(self._process.runtime.timers.after(seconds, _killer(process)))
        for process in left:
            await process.wait_ended()
        for timer in timers:
            timer.cancel()

    async def _init(self) -> bool:
        """Make the object, read its flags and children, start them; whether there is something to supervise."""
        process, spec = self._process, self._spec
        del self._spec  # what it was started with lives no longer than its object keeps it
        try:
            supervisor: Supervisor = spec.cls(*spec.args, **spec.kwargs)  # type: ignore[assignment]
            process.server = supervisor
            self.flags = check_flags(
                supervisor.strategy, supervisor.intensity, supervisor.period, supervisor.auto_shutdown
            )
            self.intensity = RestartIntensity(self.flags.intensity, self.flags.period_s)
            specs = _checked(supervisor.init(), self.flags)
        except BaseException as error:  # the border where a failing init becomes a failed start
            if process.exiting is not None:
                raise
            if isinstance(unwrapped(error), Ignore):
                process.start_error = Ignored(process.label)
                return False
            process.start_error = StartFailed(exit_reason(error))
            raise
        await self._start_all(specs)
        return process.exiting is None  # it may have ended itself in init

    async def _start_all(self, specs: Iterable[ChildSpec]) -> None:
        for spec in specs:
            child = self.children[spec.id] = Child(spec)
            try:
                await self._start(child)
            except StartError as error:
                reason = Shutdown(FailedToStartChild(spec.id, reason_of(error)))
                await self._stop_all()
                self._process.start_error = StartFailed(reason)
                self._process.start_error.__cause__ = error
                raise Stop(reason) from None

    async def _serve(self) -> None:
        """Handle messages until something is raised."""
        mailbox = self._process.mailbox
        while True:
            while not mailbox.queue:
                await mailbox.wait()
            await self._handle(mailbox.queue.popleft())

    async def _handle(self, message: object) -> None:
        match message:
            case StopRequest(args=(reason,)):
                raise Stop(reason)
            case Exit(pid, reason) if pid == self._process.parent:
                self._process.inherited = reason
                raise Stop(reason)
            case Exit(pid):
                await self._perhaps_child_ended(pid)
            case Retry(child_id, reason):
                child = self.children.get(child_id)
                if child is not None and child.retry is message:
                    await self._restart(child, None, reason)
            case Call(method=str(method)):
                server = self._process.server
                assert isinstance(server, Supervisor), "made by _init"
                await run_call(server, message, method, REFUSALS)
            case Call():
                message.answer(Failure(UnknownRequest(self._process.label, message)))
            case _:
                self._process.runtime.reports.warning(
                    f"{self._process!r} ignores {message!r:.500}", pid=self._process.pid
                )

    # -- one child

    async def _start(self, child: Child) -> ServerRef[Any] | None:
        """Start the child's process; `None` if it asked to be ignored. Raises `StartError`, the child then stopped."""
        me = self._process
        try:
            ref = await start_process(
                me.runtime,
                child.spec,
                me,
                link=True,
                group=me.group,
                spawned=lambda process: self._spawned(child, process),
            )
        except Ignored:
            self._gone(child)
            if fate_without_process(child.spec.restart) is Fate.DROP:
                del self.children[child.spec.id]
            return None
        except StartError:
            self._gone(child)
            raise
        child.release_arguments()
        me.runtime.reports.progress(f"{me!r} started {child.spec.id} as {ref.pid}", pid=ref.pid)
        return ref

    def _spawned(self, child: Child, process: Process) -> None:
        child.process = process
        self._by_pid[process.pid] = child

    def _gone(self, child: Child) -> None:
        """The child has no process any more, and is to have none."""
        if child.process is not None:
            del self._by_pid[child.process.pid]
        child.process = child.retry = None

    async def _stop(self, child: Child) -> None:
        """Stop the child's process as its specification says, and return when it is gone."""
        process = child.process
        if process is None:
            child.retry = None
            return
        me = self._process
        me.unlink(process.pid)  # its exit may be in the mailbox already, and is then the exit of a stranger
        if child.spec.shutdown == "brutal_kill":
            process.exit_signal(me.pid, Kill(), linked=False)
        else:
            process.exit_signal(me.pid, Shutdown(), linked=False)
            seconds = None if child.spec.shutdown == "infinity" else child.spec.shutdown
            if not await process.wait_ended(seconds):
                me.runtime.reports.warning(
                    f"{me!r} kills {child.spec.id}, which has not stopped within {seconds} s; it is at\n"
                    f"{stack_of(process)}",
                    pid=process.pid,
                )
                process.exit_signal(me.pid, Kill(), linked=False)
        await process.wait_ended()
        self._gone(child)

    async def _stop_all(self) -> None:
        for child_id in stop_order(self.children):
            await self._stop(self.children[child_id])

    # -- restarting

    async def _perhaps_child_ended(self, pid: Pid) -> None:
        """An exit signal of somebody who is not the parent: of interest if it is a child that has really ended."""
        child = self._by_pid.get(pid)
        if child is not None and child.process is not None and child.process.ended is not None:
            reason = child.process.ended
            self._gone(child)
            await self._child_ended(child, pid, reason)

    async def _child_ended(self, child: Child, pid: Pid, reason: Reason) -> None:
        """A child ended that nobody had told to stop."""
        decision = verdict(
            child.spec.restart,
            outcome_of(reason),
            significant=child.spec.significant,
            auto_shutdown=self.flags.auto_shutdown,
            other_significant_left=self._significant_left(child),
        )
        match decision.fate:
            case Fate.RESTART:
                await self._restart(child, pid, reason)
            case Fate.DROP:
                del self.children[child.spec.id]
            case Fate.KEEP:
                pass
            case _:
                assert_never(decision.fate)
        if decision.shut_down:
            raise Stop(Shutdown())

    def _significant_left(self, child: Child) -> bool:
        if self.flags.auto_shutdown is not AutoShutdown.ALL_SIGNIFICANT:
            return False
        others = (other for other in self.children.values() if other is not child)
        return any(other.spec.significant and other.status in SIGNIFICANT_LEFT for other in others)

    async def _restart(self, failed: Child, pid: Pid | None, reason: Reason) -> None:
        """Restart the child with whom the strategy says, or give up if that was once too often."""
        now = self._process.runtime.clock.now()
        self.intensity = self.intensity.add(now)
        todo = plan(self.flags.strategy, self._views(failed), failed.spec.id)
        self._report(failed, pid, reason, todo, now)
        if self.intensity.exceeded:
            raise Stop(Shutdown())
        for child_id in todo.stop:
            await self._stop(self.children[child_id])
        for child_id in todo.drop:
            del self.children[child_id]
        for child_id in todo.start:
            self.children[child_id].retry = None  # whoever was to be tried again is part of this now
        for child_id in todo.start:
            child = self.children[child_id]
            try:
                await self._start(child)
            except StartError as error:
                self._stall(todo, child_id, reason_of(error))
                return
            child.restarts += 1

    def _views(self, failed: Child) -> Sequence[ChildView]:
        # For one_for_one the failed child alone: its restart must not cost more the more siblings it has.
        concerned = [failed] if self.flags.strategy is Strategy.ONE_FOR_ONE else self.children.values()
        return [ChildView(c.spec.id, c.spec.restart, c.status is Status.RUNNING) for c in concerned]

    def _stall(self, todo: Plan, failing: str, reason: Reason) -> None:
        """A start failed on the way: note who waits, and come back through the mailbox."""
        stalled = after_failed_start(todo, failing)
        # Not a loop: in the mailbox the retry takes its turn, so that a request to stop gets through.
        retry = self.children[stalled.restarting].retry = Retry(stalled.restarting, reason)
        self._process.mailbox.post_system(retry)

    def _report(self, failed: Child, pid: Pid | None, reason: Reason, todo: Plan, now: float) -> None:
        runtime = self._process.runtime
        if self.intensity.exceeded:
            runtime.reports.warning(
                f"{self._process!r} gives up: {failed.spec.id} ended ({reason}), and more than "
                f"{self.flags.intensity} restarts within {self.flags.period_s:g} s are too many",
                pid=self._process.pid,
            )
            return
        with_it = tuple(child_id for child_id in todo.start if child_id != failed.spec.id)
        name = runtime.registry.name_of(self._process.pid) or str(self._process.pid)
        runtime.reports.restart(
            RestartReport(
                runtime.node_name, name, failed.spec.id, pid, reason,
                self.flags.strategy.value, with_it, self.intensity.left(now), self.flags.period_s,
            )
        )  # fmt: skip

    # -- administration

    def which_children(self) -> list[ChildInfo]:
        return [child.info for child in reversed(list(self.children.values()))]

    def count_children(self) -> ChildCounts:
        children = self.children.values()
        supervisors = sum(child.spec.type is ChildType.SUPERVISOR for child in children)
        active = sum(child.process is not None for child in children)
        return ChildCounts(len(children), active, supervisors, len(children) - supervisors)

    async def start_child(self, spec: TypedChild[S]) -> ServerRef[S]:
        try:
            (checked,) = _checked([spec], self.flags)
        except (TypeError, ValueError) as error:
            raise StartFailed(Crash(error)) from None
        self._allow(Request.START_CHILD, checked.id)
        child = self.children[checked.id] = Child(checked)
        try:
            ref = await self._start(child)
        except StartError:
            del self.children[checked.id]
            raise
        if ref is None:
            raise Ignored(checked.id)
        return ref

    async def terminate_child(self, child_id: str) -> None:
        self._allow(Request.TERMINATE_CHILD, child_id)
        child = self.children[child_id]
        await self._stop(child)
        if fate_without_process(child.spec.restart) is Fate.DROP:
            del self.children[child_id]

    async def restart_child(self, child_id: str) -> ServerRef[Any]:
        self._allow(Request.RESTART_CHILD, child_id)
        ref = await self._start(self.children[child_id])
        if ref is None:
            raise Ignored(child_id)
        return ref

    def delete_child(self, child_id: str) -> None:
        self._allow(Request.DELETE_CHILD, child_id)
        del self.children[child_id]

    def _allow(self, request: Request, child_id: object) -> None:
        """Raise what a request about this child is refused with, if it is."""
        child = self.children.get(child_id) if isinstance(child_id, str) else None  # whatever a caller may send
        match admin(request, None if child is None else child.status):
            case Answer.OK:
                return
            case Answer.NOT_FOUND:
                raise ChildNotFound(str(child_id))
            case Answer.RUNNING:
                raise ChildRunning(str(child_id))
            case Answer.RESTARTING:
                raise ChildRestarting(str(child_id))
            case Answer.ALREADY_PRESENT:
                raise AlreadyPresent(str(child_id))
            case Answer.ALREADY_STARTED:
                assert child is not None and child.process is not None, "a running child has a process"
                raise AlreadyStarted(child.process.pid)


def _killer(process: Process) -> Callable[[], None]:
    return lambda: process.die(Killed())
