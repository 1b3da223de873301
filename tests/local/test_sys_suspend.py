"""Holding a process: what it still does while it is suspended, and what comes after."""

from __future__ import annotations

import pytest
from anyio import create_task_group

from regrow import (
    Behaviour,
    CallingSelf,
    CallTimeout,
    Custom,
    Down,
    Exit,
    GenServer,
    Node,
    NoProcess,
    Normal,
    Pid,
    Reason,
    ServerExited,
    ServerRef,
    Shutdown,
    Stop,
    Supervisor,
    Timeout,
    TypedChild,
    call,
    child,
    gen_call,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    stop,
    sys,
    whereis,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Attempt, addresses, settled
from .sys_kit import Diary, Family, every_behaviour


@row("SYS-001", "SYS-002")
async def test_a_suspended_server_lets_messages_queue_and_handles_them_once_resumed() -> None:
    """Casts, messages and calls alike, in the order they came; a call that waited too long is told so."""
    clock = ManualClock()
    async with Node(clock=clock):
        ref = await start(Diary)
        await sys.suspend(ref)
        Diary.write(ref, 1)
        send(ref, 2)
        async with create_task_group() as group:
            early = Attempt(group, Diary.read(ref))
            late = Attempt(group, Diary.read.with_timeout(None)(ref))
            await settled()
            clock.advance(5.0)
            with pytest.raises(CallTimeout):
                await early.result()
            Diary.write(ref, 3)
            await settled()
            assert not late.over
            await sys.resume(ref)
            assert await late.result() == [1, 2]
        assert await Diary.read(ref) == [1, 2, 3]


@row("SYS-001", "SYS-002")
@every_behaviour
async def test_every_behaviour_can_be_suspended_twice_and_resumed_twice(spec: TypedChild[Behaviour]) -> None:
    """The second changes nothing; and one that was never suspended can be resumed."""
    clock = ManualClock()
    async with Node(clock=clock):
        ref = await start(spec)
        await sys.resume(ref)
        for _ in range(2):
            for _ in range(2):
                await sys.suspend(ref)
            async with create_task_group() as group:
                waiting = Attempt(group, gen_call(ref, "anything"))
                await settled()
                clock.advance(5.0)
                with pytest.raises(CallTimeout):
                    await waiting.result()
            for _ in range(2):
                await sys.resume(ref)
        await stop(ref)


@row("SYS-001")
async def test_a_suspended_supervisor_restarts_nobody_until_it_is_resumed() -> None:
    """The end of a child waits in its mailbox like everything else."""
    async with Node():
        ref = await start(Family)
        await sys.suspend(ref)
        only_child = whereis("only_child")
        assert only_child is not None
        ended = monitor(only_child)
        send_exit(only_child, Custom("gone"))
        assert await receive() == Down(ended, only_child, Custom("gone"))
        await settled()
        assert whereis("only_child") is None
        await sys.resume(ref)
        assert (await Supervisor.count_children(ref)).active == 1
        assert whereis("only_child") is not None


@row("SYS-010")
@pytest.mark.parametrize("trapping", [True, False], ids=["trapping", "not_trapping"])
@pytest.mark.parametrize("queued", [0, 3])
async def test_a_suspended_server_obeys_the_end_of_its_parent(trapping: bool, queued: int) -> None:
    """Also with messages before it, which are not handled."""

    async def parent(home: Pid) -> None:
        ref = await start_link(child(Diary, trapping=trapping))
        await sys.suspend(ref)
        for number in range(queued):
            Diary.write(ref, number)
        send(home, ref)
        raise Stop(await receive(Reason))

    async with Node() as node:
        pid = spawn(parent, self_pid())
        ref = await receive()
        assert isinstance(ref, ServerRef)
        server = node.runtime.processes[ref.pid].server
        assert isinstance(server, Diary)
        ended = monitor(ref)
        send(pid, Custom("over"))
        assert await receive() == Down(ended, ref.pid, Custom("over"))
        assert server.entries == ([("terminate", Custom("over"))] if trapping else [])


@row("SYS-010")
@every_behaviour
async def test_a_suspended_child_is_stopped_by_its_supervisor(spec: TypedChild[Behaviour]) -> None:
    """A tree with a suspended process in it stops as any other does."""

    class Top(Supervisor):
        def init(self) -> list[TypedChild[Behaviour]]:
            return [spec.named("suspended")]

    async with Node():
        top = await start(Top)
        await sys.suspend("suspended")
        ended = monitor("suspended")
        await stop(top)
        assert (await receive(Down)).ref == ended


async def test_another_exit_waits_for_the_server_to_be_resumed() -> None:
    """Only the parent's is obeyed; that of anyone else is a message to a process that traps."""
    async with Node():
        ref = await start(child(Diary, trapping=True))
        await sys.suspend(ref)
        send_exit(ref, Custom("a stranger's"))
        await settled()
        await sys.resume(ref)
        assert await Diary.read(ref) == [Exit(self_pid(), Custom("a stranger's"))]


@row("SYS-008")
@pytest.mark.parametrize("suspended", [True, False], ids=["suspended", "running"])
@pytest.mark.parametrize("reason", [Normal(), Shutdown("x"), Custom("x")], ids=str)
async def test_terminate_runs_terminate_and_ends_with_the_reason(reason: Reason, suspended: bool) -> None:
    """As `stop` does, which is the same message; what is queued is not handled."""
    async with Node() as node:
        ref = await start(Diary)
        server = node.runtime.processes[ref.pid].server
        assert isinstance(server, Diary)
        if suspended:
            await sys.suspend(ref)
            Diary.write(ref, "unheard")
        ended = monitor(ref)
        await sys.terminate(ref, reason)
        assert await receive() == Down(ended, ref.pid, reason)
        assert server.entries == [("terminate", reason)]


@row("SYS-008")
@every_behaviour
async def test_every_behaviour_can_be_terminated_while_suspended(spec: TypedChild[Behaviour]) -> None:
    """With its children, if it has any; calls that wait in its mailbox are told."""
    async with Node():
        ref = await start(spec)
        await sys.suspend(ref)
        async with create_task_group() as group:
            waiting = Attempt(group, gen_call(ref, "anything"))
            await settled()
            await sys.terminate(ref, Custom("enough"))
            with pytest.raises(ServerExited) as ended:
                await waiting.result()
            assert ended.value.reason == Custom("enough")
        assert whereis("only_child") is None


async def test_a_system_message_calls_off_no_idle_timeout() -> None:
    """It is no message to the server: the time begins anew once it has been answered, as in OTP."""
    clock = ManualClock()

    class Idler(GenServer):
        def __init__(self) -> None:
            self.seen: list[object] = []

        async def init(self) -> None:
            self.idle_timeout(3.0)

        @call
        async def read(self) -> list[object]:
            return list(self.seen)

        async def handle_info(self, message: object) -> None:
            self.seen.append(message)

    async with Node(clock=clock):
        ref = await start(Idler)
        await settled()
        clock.advance(2.0)
        await sys.suspend(ref)
        clock.advance(4.0)
        await sys.resume(ref)
        await settled()
        clock.advance(2.0)
        await settled()
        clock.advance(1.0)
        await settled()
        assert await Idler.read(ref) == [Timeout()]


@row("SYS-011")
async def test_a_process_that_is_not_there_is_no_process() -> None:
    """Whichever way it is named; and nobody holds themselves."""
    async with Node():
        ref = await start(child(Diary).named("diary"))
        everything = await addresses(ref, "diary")
        await stop(ref)
        for dest in everything:
            for verb in (sys.suspend, sys.resume, sys.terminate):
                with pytest.raises(NoProcess):
                    await verb(dest)
        with pytest.raises(CallingSelf):
            await sys.suspend(self_pid())


async def test_a_process_that_ends_meanwhile_is_a_server_that_exited() -> None:
    """The system message waits behind the one that ends it."""

    class Quitter(GenServer):
        async def handle_info(self, message: object) -> None:
            raise Stop(Custom("gone"))

    async with Node():
        ref = await start(Quitter)
        send(ref, "go")
        with pytest.raises(ServerExited) as ended:
            await sys.suspend(ref)
        assert ended.value.reason == Custom("gone")
