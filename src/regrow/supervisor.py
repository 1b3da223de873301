"""Supervisor: a process that starts other processes, and starts them again when they fail.

What is to be done is decided in `_pure.restart`; here it is carried out, with what supervisors of every kind have
in common from `owner`. A restart that failed is tried again through the mailbox, so that the supervisor answers and
can be stopped in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, ClassVar, TypeVar, assert_never

import attrs

from ._pure.child_spec import AutoShutdown, ChildSpec, Flags, Strategy, StrategyWord, check_flags
from ._pure.ids import Pid
from ._pure.intensity import RestartIntensity
from ._pure.restart import (
    SIGNIFICANT_LEFT,
    Answer,
    ChildView,
    Fate,
    Request,
    Status,
    admin,
    after_failed_start,
    fate_without_process,
    plan,
    stop_order,
    verdict,
)
from .behaviour import TypedChild
from .children import Child, ChildInfo, FailedToStartChild, outcome_of, reason_of
from .errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    Ignored,
    StartError,
    Stop,
)
from .handlers import call
from .owner import Owner, OwnerRunner, checked_specs, runner_here
from .reasons import Reason, Shutdown
from .refs import Behaviour, ServerRef

S = TypeVar("S", bound=Behaviour)


class Supervisor(Owner):
    """Starts its children in order, restarts those that fail, and stops them in reverse order.

    Subclass it, set the flags, and return the children from `init`. More than `intensity` restarts within
    `period` seconds are too many: it then stops what is left and ends with `Shutdown`, for its own supervisor
    to decide. It traps exits; only its parent, `stop` and a kill end it.
    """

    strategy: ClassVar[Strategy | StrategyWord] = Strategy.ONE_FOR_ONE

    @classmethod
    def runner(cls, spec: ChildSpec) -> SupervisorRunner:
        return SupervisorRunner(spec)

    def init(self) -> Iterable[ChildSpec]:
        """The children, in the order to start them. `raise Ignore()` to start nothing."""
        return ()

    @call(timeout=None)
    async def start_child(self, spec: TypedChild[S]) -> ServerRef[S]:
        """Add a child and start it. Raises `AlreadyStarted`, `AlreadyPresent`, or why it did not start."""
        return await _mine().start_child(spec)

    @call(timeout=None)
    async def which_child(self, child_id: str) -> ChildInfo:
        """The child of this id. Raises `ChildNotFound`."""
        return _mine().which_child(child_id)

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


def _flags_of(supervisor: Supervisor) -> Flags:
    return check_flags(supervisor.strategy, supervisor.intensity, supervisor.period, supervisor.auto_shutdown)


def _mine() -> SupervisorRunner:
    return runner_here(SupervisorRunner)


class SupervisorRunner(OwnerRunner):
    """Runs one supervisor in its process."""

    def __init__(self, spec: ChildSpec) -> None:
        super().__init__(spec)
        self.children: dict[str, Child] = {}  # in start order

    def all_children(self) -> Sequence[Child]:
        return [*self.children.values()]

    # -- life

    async def _set_up(self, supervisor: Supervisor) -> None:
        self.flags = _flags_of(supervisor)
        self.intensity = RestartIntensity(self.flags.intensity, self.flags.period_s)
        for spec in checked_specs(supervisor.init(), self.flags):
            child = self.children[spec.id] = Child(spec)
            try:
                await self._start(child)
            except StartError as error:
                await self._stop_all()
                raise Stop(Shutdown(FailedToStartChild(spec.id, reason_of(error)))) from error

    def change(self, supervisor: Supervisor) -> None:
        """What runs goes on, by its new specification; new children are not started, and missing ones are kept."""
        flags = _flags_of(supervisor)
        specs = checked_specs(supervisor.init(), flags)
        self.flags = flags
        self.intensity = attrs.evolve(self.intensity, intensity=flags.intensity, period_s=flags.period_s)
        named = {spec.id: self.children.get(spec.id, Child(spec)) for spec in specs}
        for spec in specs:
            named[spec.id].spec = spec
        self.children = named | {id_: child for id_, child in self.children.items() if id_ not in named}

    async def _start(self, child: Child) -> ServerRef[Any] | None:
        """Start a child; `None` if it asked to be ignored. Raises `StartError`, the child then stopped."""
        ref = await self._start_process(child)
        if ref is None and fate_without_process(child.spec.restart) is Fate.DROP:
            del self.children[child.spec.id]
        return ref

    async def _stop_all(self) -> None:
        for child_id in stop_order(self.children):
            await self._stop([self.children[child_id]])

    # -- restarting

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

    async def _restart(self, child: Child, pid: Pid | None, reason: Reason) -> None:
        todo = plan(self.flags.strategy, self._views(child), child.spec.id)
        with_it = tuple(child_id for child_id in todo.start if child_id != child.spec.id)
        self._spend(child, pid, reason, tuple(todo.stop), with_it)
        for child_id in todo.stop:
            await self._stop([self.children[child_id]])
        for child_id in todo.drop:
            del self.children[child_id]
        for child_id in todo.start:
            self.children[child_id].retry = None  # whoever was to be tried again is part of this now
        for child_id in todo.start:
            started = self.children[child_id]
            try:
                await self._start(started)
            except StartError as error:
                stalled = after_failed_start(todo, child_id)
                self._try_again(self.children[stalled.restarting], reason_of(error))
                return
            started.restarts += 1

    def _views(self, failed: Child) -> Sequence[ChildView]:
        concerned = self._concerned(failed)
        return [ChildView(c.spec.id, c.spec.restart, c.status is Status.RUNNING) for c in concerned]

    def _concerned(self, failed: Child) -> Iterable[Child]:
        """Whom its restart concerns, in start order; nobody else is looked at, however many there are."""
        match self.flags.strategy:
            case Strategy.ONE_FOR_ONE:
                return [failed]
            case Strategy.ONE_FOR_ALL:
                return self.children.values()
            case Strategy.REST_FOR_ONE:
                newest_first = takewhile(lambda child: child is not failed, reversed(self.children.values()))
                return [failed, *reversed([*newest_first])]
            case _:
                assert_never(self.flags.strategy)

    # -- administration

    async def start_child(self, spec: TypedChild[S]) -> ServerRef[S]:
        checked = self._checked(spec)
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

    def which_child(self, child_id: str) -> ChildInfo:
        child = self._find(child_id)
        if child is None:
            raise ChildNotFound(str(child_id))
        return child.info

    async def terminate_child(self, child_id: str) -> None:
        self._allow(Request.TERMINATE_CHILD, child_id)
        child = self.children[child_id]
        await self._stop([child])
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

    def _find(self, child_id: object) -> Child | None:
        return self.children.get(child_id) if isinstance(child_id, str) else None  # whatever a caller may send

    def _allow(self, request: Request, child_id: object) -> None:
        """Raise what a request about this child is refused with, if it is."""
        child = self._find(child_id)
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
