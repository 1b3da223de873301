"""A process that knows nothing of supervisors, in a tree all the same: what OTP has `supervisor_bridge` for."""

from __future__ import annotations

import pytest

from regrow import (
    Crash,
    Custom,
    Exit,
    GenServer,
    Ignore,
    Ignored,
    Node,
    Pid,
    Reason,
    ServerRef,
    Shutdown,
    StartFailed,
    Stop,
    call,
    child,
    monitor,
    send_exit,
    spawn_link,
    start_link,
    trap_exit,
    unlink,
)
from tests.harness import row
from tests.local.process_kit import idle
from tests.local.supervisor_kit import ended, pid_of, start_tree

IN_PYTHON = "as a server that traps exits, starts the foreign process in `init`, and ends when that one does"


class Bridge(GenServer):
    """Stands for a foreign process in a tree: it starts with it, ends with it, and takes it along."""

    def __init__(self, log: list[Reason], problem: Exception | None = None) -> None:
        self.log = log
        self.problem = problem

    async def init(self) -> None:
        if self.problem is not None:
            raise self.problem
        trap_exit(True)
        self.foreign = spawn_link(idle)

    @call
    async def across(self) -> Pid:
        return self.foreign

    async def handle_info(self, message: object) -> None:
        if isinstance(message, Exit) and message.pid == self.foreign:
            raise Stop(message.reason)

    async def terminate(self, reason: Reason) -> None:
        self.log.append(reason)
        unlink(self.foreign)
        send_exit(self.foreign, Shutdown())


@row("SUP-104", translated=IN_PYTHON)
async def test_a_bridge_dies_with_the_foreign_process_and_is_restarted_with_a_new_one() -> None:
    """`terminate` is told the reason the other side ended with."""
    log: list[Reason] = []
    async with Node():
        sup = await start_tree(child(Bridge, log))
        foreign = await Bridge.across(ServerRef(await pid_of(sup, "Bridge"), Bridge))
        await end_foreign(foreign, await pid_of(sup, "Bridge"))
        assert log == [Custom("burnt down")]
        assert await Bridge.across(ServerRef(await pid_of(sup, "Bridge"), Bridge)) != foreign


async def end_foreign(foreign: Pid, bridge: Pid) -> None:
    gone = monitor(bridge)
    send_exit(foreign, Custom("burnt down"))
    assert await ended(gone) == Custom("burnt down")


@row("SUP-104", translated=IN_PYTHON)
async def test_a_bridge_that_is_stopped_takes_the_foreign_process_along() -> None:
    """Its supervisor need not know that there is one."""
    log: list[Reason] = []
    async with Node() as node:
        sup = await start_tree(child(Bridge, log))
        foreign = await Bridge.across(ServerRef(await pid_of(sup, "Bridge"), Bridge))
        gone, all_gone = monitor(foreign), monitor(sup)
        send_exit(sup, Shutdown())
        assert await ended(gone) == Shutdown()
        assert await ended(all_gone) == Shutdown()
        assert log == [Shutdown()]
        assert len(node.runtime.processes) == 1


@row("SUP-104", translated=IN_PYTHON)
async def test_a_bridge_whose_foreign_process_does_not_start_is_not_started() -> None:
    """The reason is its own; and it may ask to be ignored."""
    error = OSError("no such place")
    async with Node() as node:
        with pytest.raises(StartFailed) as caught:
            await start_link(Bridge, [], error)
        assert caught.value.reason == Crash(error)
        with pytest.raises(Ignored):
            await start_link(Bridge, [], Ignore())
        assert len(node.runtime.processes) == 1
