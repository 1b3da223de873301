"""The caller's side: what it may be, what reaches it besides the answer, and what is left of it when it goes."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from regrow import (
    CallingSelf,
    CallTimeout,
    Crash,
    Down,
    Exit,
    GenServer,
    Kill,
    Killed,
    Name,
    Node,
    NoProcess,
    Normal,
    NotInNode,
    ServerExited,
    ServerRef,
    Shutdown,
    Stop,
    call,
    child,
    flush,
    gen_call,
    gen_cast,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn_monitor,
    start,
    start_link,
    stop,
    trap_exit,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Attempt, Counter, Gate, Scripted, addresses, gates, raising, settled, styles


@row("GEN-024", "GEN-044")
@styles
async def test_a_process_that_calls_or_stops_itself_is_told_so(style: Any) -> None:
    """By every kind of address; it would wait for itself for ever."""

    class Selfish(GenServer):
        @call
        async def try_all(self) -> list[str]:
            ref = ServerRef(self_pid(), Selfish)
            found: list[str] = []
            for address in await addresses(ref, "selfish"):
                for ask in (Selfish.try_all(address), gen_call(address, "hello"), stop(address)):
                    with pytest.raises(CallingSelf) as caught:
                        await ask
                    found.append(str(caught.value.reason))
            return found

    async with Node(clock=ManualClock()):
        ref = await start_link(child(style(Selfish)).named("selfish"))
        assert await Selfish.try_all(ref) == ["calling_self"] * 3 * len(await addresses(ref, "selfish"))
        with pytest.raises(CallingSelf):
            await gen_call(self_pid(), "hello")


async def test_inside_the_server_a_handler_is_a_plain_method() -> None:
    """`self.add(1)` is a local call, not a request."""

    class Twice(Counter):
        @call
        async def add_twice(self, n: int) -> int:
            await self.add(n)
            return await self.add(n)

    async with Node():
        ref = await start_link(Twice)
        assert await Twice.add_twice(ref, 2) == 4


@row("GEN-029")
async def test_a_full_mailbox_of_the_caller_does_not_slow_its_calls() -> None:
    """A reply goes straight to the call that waits, past half a million messages, which stay as they were."""
    async with Node() as node:
        ref = await start_link(Counter)
        me = self_pid()
        for number in range(500_000):
            send(me, number)
        mailbox = node.runtime.processes[me].mailbox
        looked_at = len(mailbox.queue)
        for _ in range(100):
            await Counter.add(ref, 1)
        assert looked_at == len(mailbox.queue) == 500_000
        assert (mailbox.queue[0], mailbox.queue[-1]) == (0, 499_999)
        assert await Counter.add(ref, 1) == 101


@row("GEN-031")
@styles
async def test_a_call_is_handled_after_the_casts_and_messages_sent_before_it(style: Any) -> None:
    """One queue for everything, in order of arrival."""
    async with Node():
        log: list[object] = []
        ref = await start_link(style(Scripted), log)
        Scripted.do(ref, lambda server: server.log.append("cast"))
        gen_cast(ref, lambda server: server.log.append("gen_cast"))
        send(ref, "message")
        assert list(await Scripted.run(ref, lambda server: [*server.log, "call"])) == [
            "cast",
            "gen_cast",
            "message",
            "call",
        ]


async def test_mail_that_arrives_during_a_call_is_kept_in_order() -> None:
    """The caller's own mailbox is not touched by its waiting."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Gate)
        send(self_pid(), 1)
        attempt = Attempt(group, Gate.enter(ref))
        await settled()
        send(self_pid(), 2)
        gates(ref).open.set()
        await attempt.result()
        send(self_pid(), 3)
        assert flush() == [1, 2, 3]


async def test_a_reference_keeps_its_node_so_outsiders_can_call() -> None:
    """From a task that knows no node: by reference; names need a node to be lent."""
    async with anyio.create_task_group() as group:
        started = anyio.Event()
        held: list[Any] = []

        async def inside() -> None:
            async with Node() as node:
                held.extend([node, await start_link(child(Counter, 5).named("counter"))])
                started.set()
                await anyio.sleep_forever()

        group.start_soon(inside)
        await started.wait()
        node, ref = held
        assert await Counter.add(ref, 1) == 6
        Counter.reset(ref)
        assert await gen_call(ref, "hello") == ("hello", 0)
        with pytest.raises(NotInNode):
            await Counter.add(Name("counter", Counter), 1)
        with node.current():
            assert await Counter.add(Name("counter", Counter), 1) == 1
        group.cancel_scope.cancel()
    with pytest.raises(NoProcess):
        await Counter.add(ref, 1)


async def test_a_caller_killed_in_the_middle_of_a_call_leaves_nothing() -> None:
    """The server drops its request and handles what comes next; the answer goes nowhere."""
    async with Node(clock=ManualClock()) as node:
        ref = await start_link(Gate)
        caller, ended = spawn_monitor(lambda: Gate.enter(ref))
        await gates(ref).arrived.wait()
        assert len(node.runtime.processes[ref.pid].open_requests()) == 1
        send_exit(caller, Kill())
        assert await receive() == Down(ended, caller, Killed())
        assert len(node.runtime.processes[ref.pid].open_requests()) == 0
        gates(ref).open.set()
        assert await Gate.count(ref) == 1


async def test_a_caller_that_gives_up_by_its_own_cancel_leaves_nothing() -> None:
    """`move_on_after` around a call is as good as its timeout."""
    async with Node() as node:
        ref = await start_link(Gate)
        with anyio.move_on_after(0.01) as scope:
            await Gate.enter(ref)
        assert scope.cancelled_caught
        assert len(node.runtime.processes[ref.pid].open_requests()) == 0
        gates(ref).open.set()
        assert await Gate.count(ref) == 1
        assert flush() == []


async def test_a_call_timeout_that_nobody_catches_is_a_crash_of_the_caller() -> None:
    """Likewise any other `CallError`, also where the server ended in order."""
    clock = ManualClock()
    async with Node(clock=clock):
        gate, plain = await start_link(Gate), await start(Scripted, [])
        _, slow = spawn_monitor(lambda: Gate.enter(gate))
        await settled()
        clock.advance(5.0)
        down = await receive(Down)
        assert down.ref == slow
        assert isinstance(down.reason, Crash)
        assert isinstance(down.reason.exception, CallTimeout)
        spawn_monitor(lambda: Scripted.run(plain, raising(Stop(Shutdown()))))
        down = await receive(Down)
        assert isinstance(down.reason, Crash)
        assert isinstance(down.reason.exception, ServerExited)
        gates(gate).open.set()


async def test_exits_and_downs_wait_their_turn_behind_messages() -> None:
    """The last message of a process comes before the news of its death."""
    async with Node():
        trap_exit(True)
        me = self_pid()
        ref = await start_link(Scripted, [])
        ended = monitor(ref)
        Scripted.do(ref, lambda _: send(me, "last words"))
        await stop(ref)
        assert flush() == ["last words", Exit(ref.pid, Normal()), Down(ended, ref.pid, Normal())]
