"""The promises of each loop: one value, one task that waits for it, and a turn for everybody else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar, copy_context

import anyio
import pytest

from regrow import GenServer, Node, Pid, ServerRef, call, receive, self_pid, send, spawn, start
from regrow._backends import Backend, running_backend
from regrow._backends._asyncio_promise import Wakes, promises_of
from regrow.messages import Promise

from .process_kit import Broken, settled

where: ContextVar[str] = ContextVar("where")


class Waiting:
    """Tasks that each wait for a promise of their own, and what they got, in the order in which they went on."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.log: list[tuple[str, object]] = []

    async def wait(self, name: str, promise: Promise) -> None:
        self.log.append((name, await promise))


async def test_a_promise_gives_its_value_to_who_waits_and_to_who_comes_later() -> None:
    """The first value counts."""
    backend = running_backend()
    waiting, promise = Waiting(backend), backend.promise()
    async with anyio.create_task_group() as group:
        group.start_soon(waiting.wait, "first", promise)
        await settled()
        assert not promise.done()
        promise.settle(1)
        promise.settle(2)
        assert promise.done()
        assert waiting.log == [], "whoever settles it goes on first"
    assert waiting.log == [("first", 1)]
    assert await promise == 1


@pytest.mark.parametrize("fails", [False, True])
async def test_whom_a_step_of_the_loop_wakes_goes_on_behind_it(fails: bool) -> None:
    """What comes from another node is such a step; a turn of the loop in between would be a part of each call."""
    backend, over = running_backend(), anyio.Event()
    waiting, promise = Waiting(backend), backend.promise()

    def step() -> None:
        backend.call_from_thread(lambda: waiting.log.append(("turn", None)))
        promise.settle("woken")
        waiting.log.append(("step", None))
        if fails:
            raise Broken

    def carry_out() -> None:
        with suppress(Broken):
            backend.wake_after(step)
        over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(waiting.wait, "task", promise)
        await settled()
        backend.call_from_thread(carry_out)
        await over.wait()
        await settled()
    log = [("step", None), ("task", "woken"), ("turn", None)]
    if backend.name == "asyncio":
        assert waiting.log == log
    assert sorted(waiting.log, key=str) == sorted(log, key=str)


async def test_who_waits_goes_on_in_the_order_in_which_the_promises_were_settled() -> None:
    """Not in the order in which they began to wait."""
    backend = running_backend()
    waiting, promises = Waiting(backend), {name: backend.promise() for name in "abcd"}
    async with anyio.create_task_group() as group:
        for name, promise in promises.items():
            group.start_soon(waiting.wait, name, promise)
        await settled()
        for name in "cadb":
            promises[name].settle(name.upper())
    if backend.name == "asyncio":  # trio goes through those that are due in an order of chance, on purpose
        assert waiting.log == [("c", "C"), ("a", "A"), ("d", "D"), ("b", "B")]
    assert {*waiting.log} == {("c", "C"), ("a", "A"), ("d", "D"), ("b", "B")}


async def test_a_value_that_is_on_its_way_is_not_lost_to_a_cancellation() -> None:
    """What was answered before has been answered: the task has it, and is cancelled where it waits next."""
    promise, got = running_backend().promise(), list[object]()

    async def wait() -> None:
        got.append(await promise)
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await settled()
        promise.settle("here")
        group.cancel_scope.cancel()
    assert got == ["here"]


async def test_a_promise_whose_task_was_cancelled_takes_no_value() -> None:
    """Nobody waits for it any more."""
    promise = running_backend().promise()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await promise
    assert promise.done()
    promise.settle("late")


async def test_who_goes_on_does_so_in_the_context_in_which_it_waited() -> None:
    """Each task has its own, also if one of somebody else's wakes it."""
    backend = running_backend()
    first, second, seen = backend.promise(), backend.promise(), list[str]()

    async def wait(promise: Promise, name: str, then: Promise | None) -> None:
        where.set(name)
        await promise
        seen.append(where.get())
        if then is not None:
            then.settle()

    where.set("outside")
    async with anyio.create_task_group() as group:
        group.start_soon(wait, first, "first", second)
        group.start_soon(wait, second, "second", None)
        await settled()
        first.settle()
    assert seen == ["first", "second"]
    assert where.get() == "outside"


async def test_two_processes_that_wake_each_other_for_ever_let_everybody_else_run() -> None:
    """However long the chain: the loop has sockets and other tasks to look after. And it goes on."""
    throws = 0

    async def play(other: Pid | None) -> None:
        nonlocal throws
        if other is not None:
            send(other, self_pid())
        while True:
            to = await receive(Pid)
            throws += 1
            send(to, self_pid())

    async with Node():
        spawn(play, spawn(play, None))
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert throws > 50


class Counter(GenServer):
    def __init__(self) -> None:
        self.value = 0

    @call
    async def add(self, n: int) -> int:
        self.value += n
        return self.value


async def test_a_call_of_an_idle_server_takes_no_turn_of_the_loop_more_than_it_must() -> None:
    """On asyncio server and caller go on in the same turn. On trio the wake of each is a turn."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async def turns_of_a_call(counter: ServerRef[Counter]) -> int:
        before = turns
        await Counter.add(counter, 1)
        return turns - before

    async with Node() as node, anyio.create_task_group() as group:
        counter = await start(Counter)
        group.start_soon(count)
        await settled_but_for_one()
        taken = {await turns_of_a_call(counter) for _ in range(10)}
        assert taken <= ({0, 1} if node.runtime.backend.name == "asyncio" else {1, 2, 3})
        group.cancel_scope.cancel()


async def settled_but_for_one() -> None:
    """Everything else waits, where one task never does."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


def test_a_task_that_ends_the_loop_keeps_nobody_else_from_going_on() -> None:
    """As Ctrl-C does, on asyncio. The loop may be run again, as it is where `asyncio.run` is left."""

    async def main() -> list[str]:
        wakes, log = Wakes(asyncio.get_running_loop()), list[str]()

        def end_the_loop(_: object) -> None:
            raise Broken

        def go_on(_: object) -> None:
            log.append("went on")

        for wake in (end_the_loop, go_on):
            promise = promises_of(wakes)()
            promise.add_done_callback(wake, context=copy_context())
            promise.settle()
        with pytest.raises(Broken):
            wakes.run()
        while not log:
            await asyncio.sleep(0)
        return log

    assert asyncio.run(main()) == ["went on"]
