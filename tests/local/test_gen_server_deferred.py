"""Replies that come later: `Deferred` for typed calls, `NO_REPLY` and `reply` for the OTP form."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from regrow import (
    NO_REPLY,
    CallTimeout,
    Custom,
    Deferred,
    Down,
    From,
    GenServer,
    Kill,
    Killed,
    Node,
    ServerExited,
    Stop,
    call,
    cast,
    flush,
    gen_call,
    receive,
    reply,
    self_pid,
    send_exit,
    spawn,
    spawn_monitor,
    start,
    start_link,
    start_monitor,
    stop,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Attempt, settled, styles


class Shop(GenServer):
    """Takes orders, and serves them when something is there."""

    def __init__(self) -> None:
        self.orders: list[Deferred[str]] = []
        self.open: list[From] = []

    @call
    async def order(self) -> str | Deferred[str]:
        deferred = Deferred[str]()
        self.orders.append(deferred)
        return deferred

    @call
    async def shared(self) -> str | Deferred[str]:
        if not self.orders:
            self.orders.append(Deferred())
        return self.orders[0]

    @call
    async def at_once(self, what: str, fail: bool = False, twice: bool = False) -> str | Deferred[str]:
        deferred = Deferred[str]()
        if fail:
            deferred.fail(LookupError(what))
        else:
            deferred.set(what)
        if twice:
            deferred.set("again")
        return deferred

    @call
    async def pending(self) -> list[Deferred[str]]:
        return self.orders

    @cast
    async def serve(self, what: str) -> None:
        self.orders.pop(0).set(what)

    async def handle_call(self, request: object, from_: From) -> object:
        if request == "froms":
            return self.open
        if request == "deferred":
            return await self.order()
        self.open.append(from_)
        return NO_REPLY


@row("GEN-020")
@styles
async def test_a_deferred_reply_lets_the_server_go_on(style: Any) -> None:
    """The callers wait, each for its own; the server does other things meanwhile."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(style(Shop))
        attempts: list[Attempt] = []
        for _ in range(2):
            attempts.append(Attempt(group, Shop.order(ref)))
            await settled()
        assert len(await Shop.pending(ref)) == 2
        Shop.serve(ref, "tea")
        assert await attempts[0].result() == "tea"
        assert not attempts[1].over
        Shop.serve(ref, "coffee")
        assert await attempts[1].result() == "coffee"


@styles
async def test_a_deferred_may_be_set_before_it_is_returned(style: Any) -> None:
    """Then it is the reply like any other."""
    async with Node():
        ref = await start_link(style(Shop))
        assert await Shop.at_once(ref, "water") == "water"
        with pytest.raises(LookupError, match="water"):
            await Shop.at_once(ref, "water", fail=True)


async def test_any_process_may_set_a_deferred() -> None:
    """The server hands it out; whoever has it can answer."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Shop)
        attempt = Attempt(group, Shop.order(ref))
        await settled()

        async def waiter() -> None:
            (deferred,) = await Shop.pending(ref)
            deferred.set("from the waiter")

        spawn(waiter)
        assert await attempt.result() == "from the waiter"


async def test_the_first_answer_to_a_deferred_counts() -> None:
    """Whatever comes later vanishes, and is no error."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Shop)
        attempt = Attempt(group, Shop.order(ref))
        await settled()
        (deferred,) = await Shop.pending(ref)
        deferred.set("first")
        deferred.set("second")
        deferred.fail(LookupError("third"))
        assert await attempt.result() == "first"
        assert await Shop.at_once(ref, "water", twice=True) == "water"
        await settled()
        assert flush() == []


async def test_failing_a_deferred_raises_in_the_caller_and_harms_nobody_else() -> None:
    """The way to refuse something with an exception: the server lives."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Shop)
        attempt = Attempt(group, Shop.order(ref))
        await settled()
        (deferred,) = await Shop.pending(ref)
        with pytest.raises(TypeError, match="fails with an exception"):
            deferred.fail("sold out")  # type: ignore[arg-type]
        error = LookupError("sold out")
        deferred.fail(error)
        with pytest.raises(LookupError) as caught:
            await attempt.result()
        assert caught.value is error
        assert await Shop.at_once(ref, "water") == "water"


async def test_a_deferred_returned_to_several_callers_answers_them_all() -> None:
    """So a server can let all wait for one event; who gave up meanwhile is not kept."""
    clock = ManualClock()
    async with Node(clock=clock), anyio.create_task_group() as group:
        ref = await start_link(Shop)
        gone = [Attempt(group, Shop.shared.with_timeout(1.0)(ref)) for _ in range(100)]
        await settled()
        clock.advance(1.0)
        await settled()
        assert all(isinstance(attempt.error, CallTimeout) for attempt in gone)
        attempts = [Attempt(group, Shop.shared(ref)) for _ in range(100)]
        await settled()
        (deferred,) = await Shop.pending(ref)
        assert len(deferred._requests) < 200
        deferred.set("closing time")
        assert {await attempt.result() for attempt in attempts} == {"closing time"}


async def test_a_subclass_of_deferred_is_one() -> None:
    """For users who want to know more of their replies."""

    class Noted(Deferred[str]):
        note = "noted"

    class Noting(GenServer):
        @call
        async def ask(self) -> str | Deferred[str]:
            noted = Noted()
            noted.set(noted.note)
            return noted

    async with Node():
        assert await Noting.ask(await start_link(Noting)) == "noted"


@styles
async def test_a_deferred_fails_with_the_server(style: Any) -> None:
    """Killed, crashed or stopped in order: who waits hears of it at once. Set afterwards, it does nothing."""
    async with Node(clock=ManualClock()), anyio.create_task_group() as group:
        for end, reason in ((Kill(), Killed()), (Custom("x"), Custom("x"))):
            ref = await start(style(Shop))
            attempts = [Attempt(group, Shop.order(ref)), Attempt(group, gen_call(ref, "keep", None))]
            await settled()
            (deferred,), (from_,) = await Shop.pending(ref), await gen_call(ref, "froms")
            if isinstance(end, Kill):
                send_exit(ref, end)
            else:
                await stop(ref, end)
            for attempt in attempts:
                with pytest.raises(ServerExited) as caught:
                    await attempt.result()
                assert caught.value.reason == reason
            deferred.set("too late")
            reply(from_, "too late")


@row("GEN-020")
async def test_a_deferred_reply_to_who_has_gone_is_dropped() -> None:
    """The caller timed out, or died; its mailbox and the server know nothing of it."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        ref = await start_link(Shop)
        timed_out = Attempt(group, Shop.order(ref))
        dead, ended = spawn_monitor(lambda: Shop.order.with_timeout(None)(ref))
        await settled()
        clock.advance(5.0)
        with pytest.raises(CallTimeout):
            await timed_out.result()
        send_exit(dead, Kill())
        assert await receive() == Down(ended, dead, Killed())
        assert len(node.runtime.processes[ref.pid].open_requests()) == 0
        Shop.serve(ref, "late")
        Shop.serve(ref, "late")
        assert await Shop.at_once(ref, "water") == "water"
        assert flush() == []


@row("GEN-020")
@styles
async def test_the_otp_form_replies_later_with_reply(style: Any) -> None:
    """From the server or any process; once: a second reply to the same request is dropped, unlike OTP's."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(style(Shop))
        attempts: list[Attempt] = []
        for _ in range(2):
            attempts.append(Attempt(group, gen_call(ref, "keep")))
            await settled()
        first, second = await gen_call(ref, "froms")

        async def other() -> None:
            reply(second, "by another")

        spawn(other)
        reply(first, "by the body")
        reply(first, "again")
        assert [await attempt.result() for attempt in attempts] == ["by the body", "by another"]
        await settled()
        assert flush() == []


async def test_the_otp_form_may_return_a_deferred() -> None:
    """Both ways are one."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Shop)
        attempt = Attempt(group, gen_call(ref, "deferred"))
        await settled()
        Shop.serve(ref, "tea")
        assert await attempt.result() == "tea"


async def test_from_names_the_caller() -> None:
    """As OTP's `From` does."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Shop)
        pid, _ = spawn_monitor(lambda: gen_call(ref, "keep"))
        await settled()
        body = Attempt(group, gen_call(ref, "keep"))
        await settled()
        first, second = await gen_call(ref, "froms")
        assert (first.caller, second.caller) == (pid, self_pid())
        for from_ in (first, second):
            reply(from_, "done")
        await body.result()


async def test_a_deferred_in_the_reply_of_a_stop_counts_if_it_is_set() -> None:
    """One that is not set has nobody left to set it for: its caller hears that the server ended."""
    answered, open_ = Deferred[int](), Deferred[int]()
    answered.set(42)

    class Stopping(GenServer):
        @call
        async def end(self, deferred: Deferred[int]) -> int:
            raise Stop(reply=deferred)

    async with Node():
        ref, _ = await start_monitor(Stopping)
        assert await Stopping.end(ref, answered) == 42
        ref, _ = await start_monitor(Stopping)
        with pytest.raises(ServerExited):
            await Stopping.end(ref, open_)
