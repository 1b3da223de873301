"""Fairness, and what is left after many calls: nothing."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    CallTimeout,
    GenServer,
    Kill,
    Name,
    Node,
    Pid,
    ServerRef,
    call,
    child,
    flush,
    gen_cast,
    make_ref,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    start_monitor,
    stop,
)
from regrow.gen_server import DRAIN_MAX
from regrow.messages import Call
from regrow.testing import ManualClock

from .gen_server_kit import Attempt, Counter, Gate, Scripted, gates, settled, styles

CALLS = 10_000
SWEPT_AFTER = 256  # answered calls that may still stand in a line of deadlines


def calls_in_memory() -> int:
    gc.collect()
    return sum(isinstance(thing, Call) for thing in gc.get_objects())


@pytest.mark.parametrize("timeout", [5.0, None], ids=["5s", "for_ever"])
async def test_ten_thousand_calls_leave_no_calls_behind(timeout: float | None) -> None:
    """Neither at the server nor among the deadlines, which are swept in passing."""
    before = calls_in_memory()
    async with Node() as node:
        ref = await start_link(Counter)
        add = Counter.add.with_timeout(timeout)
        for _ in range(CALLS):
            await add(ref, 1)
        assert len(node.runtime.processes[ref.pid].open_requests()) == 0
        assert calls_in_memory() - before <= SWEPT_AFTER + 1


async def test_calls_that_time_out_leave_nothing_at_a_server_that_answers_late() -> None:
    """Its open requests are those that somebody waits for."""
    clock = ManualClock()
    before = calls_in_memory()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        ref = await start_link(Gate)
        attempts = [Attempt(group, Gate.enter(ref)) for _ in range(500)]
        await settled()
        clock.advance(5.0)
        await settled()
        assert all(isinstance(attempt.error, CallTimeout) for attempt in attempts)
        assert len(node.runtime.processes[ref.pid].open_requests()) == 0
        gates(ref).open.set()
        assert await Gate.enter(ref) == 501
        attempts.clear()
        assert calls_in_memory() - before <= SWEPT_AFTER + 1


async def test_a_call_that_waits_for_ever_does_not_keep_those_behind_it() -> None:
    """The oldest deadline of a line may be far away, and the answered ones behind it must still go."""
    before = calls_in_memory()
    async with Node(), anyio.create_task_group() as group:
        gate, ref = await start_link(Gate), await start_link(Counter)
        patient = Attempt(group, Gate.enter.with_timeout(600.0)(gate))
        await settled()
        for _ in range(CALLS):
            await Counter.add.with_timeout(600.0)(ref, 1)
        assert calls_in_memory() - before <= 6 * SWEPT_AFTER
        gates(gate).open.set()
        await patient.result()


@styles
async def test_a_server_with_a_long_queue_lets_others_run(style: Any) -> None:
    """It handles a bounded number of messages in a row, then everybody else gets a turn."""
    async with Node():
        log: list[Any] = []
        ref = await start_link(style(Scripted), log)
        for number in range(10 * DRAIN_MAX):
            send(ref, number)
        handled: list[int] = []
        while len(log) < 10 * DRAIN_MAX:
            await checkpoint()
            handled.append(len(log))
        steps = [after - before for before, after in zip([0, *handled], handled, strict=False)]
        assert max(steps) <= 2 * DRAIN_MAX  # twice, as trio shuffles the order of turns


@pytest.mark.parametrize("how", ["send", "cast", "continue"])
async def test_a_server_that_keeps_itself_busy_can_be_killed(how: str) -> None:
    """A handler without an await that always has another thing to do must not take the loop for itself."""

    class Busy(GenServer):
        def __init__(self) -> None:
            self.go_on()

        def go_on(self) -> None:
            match how:
                case "send":
                    send(self_pid(), "again")
                case "cast":
                    gen_cast(self_pid(), "again")
                case _:
                    self.continue_with("again")

        def handle_info(self, message: object) -> None:  # type: ignore[override]
            self.go_on()

        def handle_cast(self, request: object) -> None:  # type: ignore[override]
            self.go_on()

        def handle_continue(self, token: object) -> None:  # type: ignore[override]
            self.go_on()

    async with Node():
        ref, _ = await start_monitor(Busy)
        send_exit(ref, Kill())
        await receive()


async def test_two_servers_that_keep_each_other_busy_leave_room_for_a_third() -> None:
    """Ping-pong of casts, while somebody else is called."""

    class Player(GenServer):
        async def handle_cast(self, request: Any) -> None:
            gen_cast(request, self_pid())

    async with Node():
        one, other, counter = await start(Player), await start(Player), await start_link(Counter)
        gen_cast(one, other.pid)
        for expected in range(1, 101):
            assert await Counter.add(counter, 1) == expected
        for player in (one, other):
            send_exit(player, Kill())


async def test_many_callers_of_one_server_each_get_their_own_answer() -> None:
    """Twenty processes, fifty calls each."""

    class Echo(GenServer):
        @call
        async def echo(self, value: object) -> object:
            await checkpoint()
            return value

    async def caller(ref: ServerRef[Echo], body: Pid, mine: int) -> None:
        for number in range(50):
            assert await Echo.echo(ref, (mine, number)) == (mine, number)
        send(body, mine)

    async with Node():
        ref = await start_link(Echo)
        for mine in range(20):
            spawn(caller, ref, self_pid(), mine)
        assert sorted([await receive(int) for _ in range(20)]) == list(range(20))
        assert flush() == []


async def test_identities_survive_copying_and_pickling() -> None:
    """A pid, a reference, a name and a server reference mean the same after it; no node is copied with them."""
    async with Node():
        ref = await start_link(child(Counter, 5).named("counter"))
        for thing in (ref.pid, make_ref(), Name("counter", Counter), ref):
            for twin in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
                assert twin == thing
                assert hash(twin) == hash(thing)
        state = copy.deepcopy({"where": [ref, ref.pid]})
        assert await Counter.add(state["where"][0], 1) == 6  # type: ignore[arg-type]
        assert await Counter.add(pickle.loads(pickle.dumps(ref)), 1) == 7
        assert await Counter.add(copy.deepcopy(ref.pid), 1) == 8


async def test_the_same_exception_object_may_be_raised_again_and_again() -> None:
    """By one server after another, and as the failure of many replies."""
    error = ValueError("always the same")
    async with Node() as node:
        for _ in range(3):
            ref, _ = await start_monitor(Scripted, [])

            def fail(_: object) -> None:
                raise error

            Scripted.do(ref, fail)
            assert (await receive()).reason.exception is error  # type: ignore[attr-defined]
        assert [str(report.reason) for report in node.runtime.reports.crashes] == ["ValueError: always the same"] * 3


async def test_a_stopped_node_keeps_no_server() -> None:
    """Objects of servers go with them."""

    class Heavy(Counter):
        pass

    async with Node():
        for _ in range(10):
            await stop(await start(Heavy))
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Heavy]
