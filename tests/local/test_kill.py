"""What a kill can do in Python, and what it cannot: nobody pretends that code which still runs is gone."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    Crash,
    Custom,
    Down,
    GenServer,
    Kill,
    Killed,
    NameTaken,
    Node,
    ProcessExited,
    Reason,
    Stop,
    Supervisor,
    TypedChild,
    child,
    flush,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_monitor,
    start,
    trap_exit,
    whereis,
)
from regrow.testing import ManualClock

from .process_kit import Broken, end_of, run_in, settled


class Gate:
    """Counts how often it was run against, and lets pass after so many times."""

    def __init__(self, opens_after: int) -> None:
        self.tries = 0
        self.opens_after = opens_after

    async def swallow(self) -> None:
        """Swallow every cancellation until the gate opens."""
        while self.tries < self.opens_after:
            try:
                await anyio.sleep_forever()
            except BaseException:  # noqa: BLE001 - what is tried here
                self.tries += 1


async def clean_up(done: anyio.Event) -> None:
    """Lives until it is told to end, and then takes its time."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await done.wait()


async def test_swallowing_the_cancellation_does_not_help() -> None:
    """Each later await raises as well; `except BaseException` in a loop only costs time."""
    gate = Gate(3)
    went_on: list[str] = []

    async def work() -> None:
        await gate.swallow()
        went_on.append("to the next await")
        await anyio.sleep_forever()
        went_on.append("and beyond")

    async with Node():
        pid, ref = spawn_monitor(work)
        await settled()
        send_exit(pid, Kill())
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        assert gate.tries == 3
        assert went_on == ["to the next await"]


async def test_code_that_was_killed_may_run_to_its_end_without_an_await_and_is_still_killed() -> None:
    """The reason was settled when the signal came, not when the code stopped."""

    async def returns() -> None:
        await Gate(1).swallow()

    async def raises() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise Broken("in finally")

    async with Node() as node:
        for work in (returns, raises):
            pid, ref = spawn_monitor(work)
            await settled()
            send_exit(pid, Kill())
            assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        assert not node.runtime.reports.crashes


async def test_no_message_is_handled_after_the_kill() -> None:
    """Also not by code that swallowed it and asks for one."""
    got: list[object] = []

    async def work() -> None:
        await Gate(1).swallow()
        got.append(await receive())

    async with Node():
        pid, ref = spawn_monitor(work)
        send(pid, "before")
        await settled()
        send_exit(pid, Kill())
        send(pid, "after")
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        assert got == []


async def test_the_news_comes_when_the_task_has_really_ended() -> None:
    """Until then the process exists: it holds its name, and nobody has heard of its end."""
    done = anyio.Event()
    async with Node() as node:
        pid, ref = spawn_monitor(clean_up, done)
        register("slow", pid)
        await settled()
        send_exit(pid, Kill())
        await settled()
        assert flush() == []
        assert pid in node.runtime.processes
        assert whereis("slow") == pid
        with pytest.raises(NameTaken):
            register("slow", self_pid())
        done.set()
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        assert whereis("slow") is None


async def test_who_has_not_ended_after_a_second_is_reported_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the place in which it hangs; before that, and of those that end in time, there is nothing to say."""
    clock = ManualClock()
    done = anyio.Event()
    async with Node(clock=clock) as node:
        pid, ref = spawn_monitor(clean_up, done)
        await settled()
        send_exit(pid, Kill())
        await settled()
        clock.advance(0.999)
        await settled()
        assert not caplog.records
        clock.advance(0.001)
        await settled()
        (record,) = caplog.records
        assert str(pid) in record.getMessage()
        assert "killed" in record.getMessage()
        assert "in clean_up" in record.getMessage()
        assert "await done.wait()" in record.getMessage()
        clock.advance(60.0)
        await settled()
        assert len(caplog.records) == 1
        assert pid in node.runtime.processes
        done.set()
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())


async def test_one_that_swallows_cancellations_is_reported_too(caplog: pytest.LogCaptureFixture) -> None:
    """It keeps the loop busy, so it has to be found while it runs."""
    clock = ManualClock()
    stop = False

    async def swallow() -> None:
        while not stop:
            try:
                await anyio.sleep(0.001)
            except BaseException:  # noqa: BLE001 - what is tried here
                continue

    async with Node(clock=clock):
        pid, ref = spawn_monitor(swallow)
        for _ in range(5):
            await checkpoint()
        send_exit(pid, Custom("go"))
        clock.advance(1.0)
        while not caplog.records:
            await checkpoint()
        assert "in swallow" in caplog.text
        stop = True
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Custom("go"))


async def test_who_has_had_no_turn_since_the_kill_is_not_refusing(caplog: pytest.LogCaptureFixture) -> None:
    """It may take the loop more than a second to come to the last of a great many."""
    clock = ManualClock()
    async with Node(clock=clock):
        killed = [spawn_monitor(anyio.sleep_forever) for _ in range(100)]
        await settled()
        for pid, _ref in killed:
            send_exit(pid, Kill())
        clock.advance(1.0)
        downs = {await receive(Down, timeout=5.0) for _ in killed}
        assert downs == {Down(ref, pid, Killed()) for pid, ref in killed}
        await settled()
        assert not caplog.records


async def test_each_of_several_is_late_at_its_own_time(caplog: pytest.LogCaptureFixture) -> None:
    """One watch is kept for all; who ends meanwhile is not named, and who is told later is named later."""
    clock, done = ManualClock(), anyio.Event()
    async with Node(clock=clock) as node:
        first, second = spawn(clean_up, done), spawn(clean_up, done)
        prompt = spawn(anyio.sleep_forever)
        await settled()
        named: list[list[bool]] = []
        for told in ([first, prompt], [second], [], []):
            for pid in told:
                send_exit(pid, Kill())
            clock.advance(0.5)
            await settled()
            named.append([str(pid) in caplog.text for pid in (first, second, prompt)])
        assert named == [[False] * 3, [True, False, False], [True, True, False], [True, True, False]]
        assert len(caplog.records) == 2
        assert len(node.runtime.timers) == 0
        done.set()


async def test_who_ends_in_time_leaves_no_timer() -> None:
    """The watch over a kill ends with the killed."""
    clock = ManualClock()
    async with Node(clock=clock) as node:
        for _ in range(3):
            pid, _ref = spawn_monitor(anyio.sleep_forever)
            await settled()
            send_exit(pid, Kill())
            assert len(node.runtime.timers) == 1
            await receive(Down, timeout=5.0)
            assert len(node.runtime.timers) == 0


async def test_a_body_that_refuses_to_end_is_reported_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    """It has no task of its own, and is found in the one that entered the node."""
    clock = ManualClock()

    async def refuse() -> None:
        send_exit(self_pid(), Custom("go"))
        with anyio.CancelScope(shield=True):
            clock.advance(1.0)
            await settled()
        assert "in refuse" in caplog.text
        await anyio.sleep_forever()

    with pytest.raises(ProcessExited):
        await run_in(Node(clock=clock), refuse)


async def test_a_supervisor_that_waits_for_its_children_is_not_refusing(caplog: pytest.LogCaptureFixture) -> None:
    """Its own code has ended; that its children get their time is not to be reported."""
    clock = ManualClock()
    done = anyio.Event()

    class Careful(GenServer):
        async def init(self) -> None:
            trap_exit(True)

        async def terminate(self, reason: Reason) -> None:
            await done.wait()

    class Top(Supervisor):
        def init(self) -> list[TypedChild[Careful]]:
            return [child(Careful)]

    async with Node(clock=clock):
        top = await start(Top)
        ref = monitor(top.pid)
        send_exit(top.pid, Kill())
        await settled()
        clock.advance(2.0)
        await settled()
        assert not caplog.records
        done.set()
        assert await receive(Down, timeout=5.0) == Down(ref, top.pid, Killed())


# -- only regrow's own cancellation means "stop"


async def test_a_cancellation_that_leaked_is_a_crash() -> None:
    """A cancellation from elsewhere says nothing about this process."""
    leaked: list[BaseException] = []

    async def leak() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                leaked.append(error)
                raise
        raise leaked[0]

    async with Node() as node:
        reason = await end_of(spawn(leak))
        assert reason == Crash(leaked[0])
        assert isinstance(leaked[0], anyio.get_cancelled_exc_class())
        assert len(node.runtime.reports.crashes) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancelled_by_asyncios_own_means_has_crashed() -> None:
    """`task.cancel()` is not how a process is ended; who does it finds a crash in the log."""
    import asyncio

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None, "in a task"
        task.cancel()
        await anyio.sleep_forever()

    async with Node() as node:
        pid = spawn(work)
        reason = await end_of(pid)
        assert isinstance(reason, Crash)
        assert isinstance(reason.exception, asyncio.CancelledError)
        assert [report.pid for report in node.runtime.reports.crashes] == [pid]


async def test_a_timeout_that_leaked_is_a_crash() -> None:
    """Running out of time is a failure like any other."""

    async def work() -> None:
        with anyio.fail_after(0):
            await anyio.sleep_forever()

    async with Node():
        reason = await end_of(spawn(work))
        assert isinstance(reason, Crash)
        assert isinstance(reason.exception, TimeoutError)


async def test_a_scope_of_the_process_own_ends_nothing_but_itself() -> None:
    """Scopes and task groups inside a process are its own business."""

    async def work() -> None:
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.cancel_scope.cancel()
        raise Stop(Custom("still here"))

    async with Node():
        assert await end_of(spawn(work)) == Custom("still here")


async def test_a_kill_ends_the_tasks_that_a_process_has_started() -> None:
    """They live inside it; none is left when its end is news."""
    ended: list[str] = []

    async def part(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(name)

    async def work() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(part, "a")
            group.start_soon(part, "b")

    async with Node():
        pid, ref = spawn_monitor(work)
        await settled()
        send_exit(pid, Kill())
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        assert sorted(ended) == ["a", "b"]
