"""What the tests of system messages share: every behaviour, and a server that keeps a log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regrow import (
    Behaviour,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    PartitionSupervisor,
    Pid,
    Supervisor,
    TypedChild,
    call,
    cast,
    child,
    trap_exit,
)
from regrow.refs import ServerRef


class Diary(GenServer):
    """Writes down what it is told."""

    def __init__(self, *, trapping: bool = False) -> None:
        self.entries: list[object] = []
        self.trapping = trapping

    async def init(self) -> None:
        trap_exit(self.trapping)

    @call
    async def read(self) -> list[object]:
        return list(self.entries)

    @cast
    async def write(self, entry: object) -> None:
        self.entries.append(entry)

    async def handle_call(self, request: object, from_: object) -> object:
        return "heard", request

    async def handle_info(self, message: object) -> None:
        self.entries.append(message)

    async def terminate(self, reason: object) -> None:
        self.entries.append(("terminate", reason))


class Family(Supervisor):
    """Has one diary."""

    def init(self) -> list[ChildSpec]:
        return [child(Diary).named("only_child")]


BEHAVIOURS: dict[str, Callable[[], TypedChild[Behaviour]]] = {
    "GenServer": lambda: child(Diary),
    "Supervisor": lambda: child(Family),
    "DynamicSupervisor": lambda: child(DynamicSupervisor),
    "PartitionSupervisor": lambda: child(PartitionSupervisor, child(Diary), partitions=2),
}

every_behaviour = pytest.mark.parametrize("spec", [pytest.param(spec(), id=name) for name, spec in BEHAVIOURS.items()])


def diary(pid: Pid) -> ServerRef[Diary]:
    return ServerRef(pid, Diary)
