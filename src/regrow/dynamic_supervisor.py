"""DynamicSupervisor: children that come and go while it runs, as many as there is work for.

They have no order, no ids and nothing to do with each other: each is known by its pid, started on request,
restarted alone, and all are stopped at the same time. What one start, end or restart costs does not depend on how
many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import attrs

from ._pure.child_spec import ChildLimit, ChildSpec, DynamicFlags, Strategy, check_dynamic_flags
from ._pure.ids import Pid
from ._pure.intensity import RestartIntensity
from ._pure.restart import Fate, verdict
from .behaviour import TypedChild
from .children import Child, ChildInfo, outcome_of, reason_of
from .errors import ChildNotFound, Ignored, MaxChildren, StartError, Stop
from .handlers import call
from .owner import Owner, OwnerRunner, runner_here
from .reasons import Reason, Shutdown
from .refs import Behaviour, ServerRef

S = TypeVar("S", bound=Behaviour)


class DynamicSupervisor(Owner):
    """Starts children on request, restarts each that fails by itself, and stops all of them at the same time.

    Begins without children; `start_child` adds one. More than `intensity` restarts within `period` seconds are too
    many, whichever children they were of: it then stops all and ends with `Shutdown`. A child that is not started
    again is forgotten. It traps exits; only its parent, `stop` and a kill end it.
    """

    strategy: ClassVar[Literal[Strategy.ONE_FOR_ONE, "one_for_one"]] = Strategy.ONE_FOR_ONE
    max_children: ChildLimit = "infinity"
    extra_arguments: Sequence[object] = ()
    """Put before the arguments of every child."""

    @classmethod
    def runner(cls, spec: ChildSpec) -> DynamicSupervisorRunner:
        return DynamicSupervisorRunner(spec)

    def init(self) -> None:
        """Get ready, before a child can be asked for. `raise Ignore()` to start nothing."""

    @call(timeout=None)
    async def start_child(self, spec: TypedChild[S]) -> ServerRef[S]:
        """Start one more child. Raises `MaxChildren`, or why it did not start; it is not kept then."""
        return await _mine().start_child(spec)

    @call(timeout=None)
    async def terminate_child(self, child: Pid | ServerRef[Any]) -> None:
        """Stop a child and forget it; it may have ended already. Raises `ChildNotFound` for any other process."""
        await _mine().terminate_child(child)

    @call(timeout=None)
    async def which_child(self, child: Pid | ServerRef[Any]) -> ChildInfo:
        """The child that runs as this process, or did until its restart began. Raises `ChildNotFound`."""
        return _mine().which_child(child)


def _limits_of(supervisor: DynamicSupervisor) -> DynamicFlags:
    """Its flags, once it is ready."""
    flags = check_dynamic_flags(
        supervisor.strategy,
        supervisor.intensity,
        supervisor.period,
        supervisor.auto_shutdown,
        supervisor.max_children,
        supervisor.extra_arguments,
    )
    init: Callable[[], object] = supervisor.init
    if init() is not None:
        raise TypeError("init of a dynamic supervisor returns nothing: children are started with start_child")
    return flags


def _mine() -> DynamicSupervisorRunner:
    return runner_here(DynamicSupervisorRunner)


class DynamicSupervisorRunner(OwnerRunner):
    """Runs one dynamic supervisor in its process."""

    def __init__(self, spec: ChildSpec) -> None:
        super().__init__(spec)
        self._restarting: dict[Pid, Child] = {}  # those between two tries, by the pid they were known by
        self._significant = 0  # how many children there are whose end counts
        self._limits: DynamicFlags

    def all_children(self) -> Sequence[Child]:
        return [*self.by_pid.values(), *self._restarting.values()]

    async def _set_up(self, supervisor: DynamicSupervisor) -> None:
        self.flags = self._limits = _limits_of(supervisor)
        self.intensity = RestartIntensity(self.flags.intensity, self.flags.period_s)

    def change(self, supervisor: DynamicSupervisor) -> None:
        """Children there are too many of by the new limits stay."""
        self.flags = self._limits = flags = _limits_of(supervisor)
        self.intensity = attrs.evolve(self.intensity, intensity=flags.intensity, period_s=flags.period_s)

    async def _stop_all(self) -> None:
        await self._stop(self.all_children()[::-1])

    # -- the end of a child

    async def _child_ended(self, child: Child, pid: Pid, reason: Reason) -> None:
        decision = verdict(
            child.spec.restart,
            outcome_of(reason),
            significant=child.spec.significant,
            auto_shutdown=self.flags.auto_shutdown,
            other_significant_left=self._significant > child.spec.significant,
        )
        if decision.fate is Fate.RESTART:
            await self._restart(child, pid, reason)
        else:
            self._forget(child)  # whatever its restart type: without an id nobody could ask for it again
        if decision.shut_down:
            raise Stop(Shutdown())

    async def _restart(self, child: Child, pid: Pid | None, reason: Reason) -> None:
        assert child.pid is not None, "it has run"
        self._restarting.pop(child.pid, None)
        self._spend(child, pid, reason)
        try:
            ref = await self._start_process(child)
        except StartError as error:
            self._restarting[child.pid] = child
            self._try_again(child, reason_of(error))
            return
        if ref is None:
            self._forget(child)
        else:
            child.restarts += 1

    def _forget(self, child: Child) -> None:
        """The child has no process, and will not have one again."""
        self._significant -= child.spec.significant

    # -- administration

    async def start_child(self, spec: TypedChild[S]) -> ServerRef[S]:
        checked = self._checked(spec)
        if not self._limits.has_room(len(self.by_pid) + len(self._restarting)):
            raise MaxChildren(self._limits.max_children)
        child = Child(attrs.evolve(checked, args=(*self._limits.extra_arguments, *checked.args)))
        ref = await self._start_process(child)
        if ref is None:
            raise Ignored(checked.id)
        self._significant += checked.significant
        return ref

    async def terminate_child(self, wanted: Pid | ServerRef[Any]) -> None:
        runtime, pid = self._process.runtime, _pid_of(wanted)
        child = self._known(pid)
        if child is not None:
            await self._stop([child])
            self._restarting.pop(pid, None)
            self._forget(child)
        elif not runtime.is_local(pid) or runtime.lookup(pid) is not None:
            raise ChildNotFound(str(pid))

    def which_child(self, wanted: Pid | ServerRef[Any]) -> ChildInfo:
        pid = _pid_of(wanted)
        child = self._known(pid)
        if child is None:
            raise ChildNotFound(str(pid))
        return child.info

    def _known(self, pid: Pid) -> Child | None:
        return self.by_pid.get(pid) or self._restarting.get(pid)


def _pid_of(wanted: Pid | ServerRef[Any]) -> Pid:
    match wanted:
        case ServerRef():
            return wanted.pid
        case Pid():
            return wanted
        case _:  # whatever a caller may send
            raise ChildNotFound(str(wanted))
