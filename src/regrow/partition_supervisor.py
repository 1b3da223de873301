"""PartitionSupervisor: one child several times over, and a key that says which of them is meant.

It is a supervisor whose children differ in their number only. Where a key leads is decided in `_pure.partitions`; who
asks looks into the supervisor's object instead of calling it, so the way to a partition costs no message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import attrs

from ._pure.child_spec import ChildSpec, check_partitions, is_count
from ._pure.partitions import partition_of
from .behaviour import TypedChild, class_of
from .errors import NoProcess, StartError, StartFailed
from .gen import request
from .handlers import call
from .messages import NO_KWARGS
from .owner import runner_here
from .reasons import Crash
from .refs import Behaviour, Server, ServerRef, item_of, runtime_for
from .runtime import Process
from .supervisor import Supervisor, SupervisorRunner

S = TypeVar("S", bound=Behaviour)
B = TypeVar("B", bound=Behaviour)


class PartitionSupervisor(Supervisor, Generic[S]):
    """Starts a child several times, as its partitions; each key belongs to one of them.

    There are `partitions` of them, as many as cores by default; their ids are "0", "1" and so on. All are started
    with the arguments of the specification, or with what `with_arguments(args, number)` makes of them. A subclass
    may set the flags of a supervisor, but not `auto_shutdown`.
    """

    def __init__(
        self,
        child_spec: TypedChild[S],
        *,
        partitions: int | None = None,
        with_arguments: Callable[[tuple[Any, ...], int], Iterable[object]] | None = None,
    ) -> None:
        self._child_spec = child_spec
        self._size = _cores() if partitions is None else partitions
        self._with_arguments = with_arguments
        check_partitions(child_spec, self._size, with_arguments, self.auto_shutdown)

    def init(self) -> Iterable[ChildSpec]:
        return [self._partition(number) for number in range(self._size)]

    @staticmethod
    def partition(sup: Server[PartitionSupervisor[B]], key: object) -> ServerRef[B]:
        """The partition that the key belongs to, as it runs now. Only for a supervisor on this node.

        A whole number belongs to its absolute value modulo the number of partitions, any other key goes by a hash of
        its value that is the same in every run; equal keys belong together. Raises `NoProcess` if there is no such
        supervisor, or its partition does not run, and `TypeError` for a key that has no such hash.
        """
        process, supervisor = _found(sup)
        if supervisor._size == 0:
            raise NoProcess.saying(f"{process!r} has no partitions")
        number = partition_of(key, supervisor._size)
        assert isinstance(process.runner, SupervisorRunner), "what runs a supervisor"
        child = process.runner.children.get(str(number))
        if child is None or child.process is None:
            raise NoProcess.saying(f"partition {number} of {process!r} does not run")
        found: ServerRef[Any] = ServerRef(child.process.pid, class_of(child.spec.cls), _runtime=process.runtime)
        return found

    @staticmethod
    def partitions(sup: Server[PartitionSupervisor[Any]]) -> int:
        """How many partitions there are. Only for a supervisor on this node; raises `NoProcess` if there is none."""
        return _found(sup)[1]._size

    @staticmethod
    async def resize(sup: Server[PartitionSupervisor[Any]], partitions: int) -> None:
        """Have so many partitions, from 0 up: stop those with the highest numbers, or start more.

        A key may belong to another partition then. Raises why a partition did not start; all is as before then.
        """
        if not is_count(partitions):
            raise ValueError(f"partitions must be a whole number of at least 0, not {partitions!r}")
        await request(sup, "_resize", (partitions,), NO_KWARGS, None)

    @call(timeout=None)
    async def _resize(self, partitions: int) -> None:
        runner, before = runner_here(SupervisorRunner), self._size
        try:
            new = [self._partition(number) for number in range(before, partitions)]
        except Exception as error:  # noqa: BLE001 - a function of the user's: its failure is no reason for the tree to end
            raise StartFailed(Crash(error)) from None
        self._size = min(before, partitions)  # no key leads to those that are stopped next
        await self._remove(runner, range(partitions, before))
        try:
            for spec in new:
                await runner.start_child(spec)
        except StartError:
            await self._remove(runner, range(before, partitions))
            raise
        self._size = partitions

    async def _remove(self, runner: SupervisorRunner, numbers: range) -> None:
        for id_ in map(str, reversed(numbers)):
            if id_ in runner.children:
                await runner.terminate_child(id_)
            if id_ in runner.children:  # a temporary one is gone already
                runner.delete_child(id_)

    def _partition(self, number: int) -> TypedChild[S]:
        """The specification of one partition."""
        spec = self._child_spec.with_(id=str(number))
        if self._with_arguments is None:
            return spec
        return attrs.evolve(spec, args=self._with_arguments(spec.args, number))


def _found(sup: Server[PartitionSupervisor[Any]]) -> tuple[Process, PartitionSupervisor[Any]]:
    runtime = runtime_for(sup)
    process = runtime.lookup(item_of(sup, runtime))
    if process is None:
        raise NoProcess.saying(f"there is no partition supervisor {sup} on this node")
    supervisor: Any = process.server
    if not isinstance(supervisor, PartitionSupervisor):
        raise TypeError(f"{process!r} is no partition supervisor")
    return process, supervisor  # pyright: ignore[reportUnknownVariableType]


def _cores() -> int:
    """How many cores this OS process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
