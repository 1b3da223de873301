"""Processes whose mailboxes hold only so much: who is refused, who waits, what is dropped, and what always gets in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from regrow import (
    CallError,
    CallingSelf,
    CallTimeout,
    Custom,
    Down,
    Exit,
    Kill,
    Killed,
    MailboxFull,
    Node,
    NoProcess,
    Normal,
    ServerExited,
    ServerRef,
    gen_call,
    gen_cast,
    gen_send_request,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    send_wait,
    spawn,
    start,
    start_link,
    stop,
    sys,
    whereis,
)
from regrow.testing import ManualClock

from .bounded_kit import (
    Box,
    Fresh,
    FreshAndPatient,
    Narrow,
    Patient,
    box_of,
    dropped_by,
    full,
    goes_on,
    process_of,
    standing_still,
)
from .gen_server_kit import Attempt, settled

# -- what somebody waits for


async def typed(ref: ServerRef[Box]) -> object:
    return await Box.put(ref, "awaited")


async def in_otp_form(ref: ServerRef[Box]) -> object:
    return await gen_call(ref, "awaited")


async def requested(ref: ServerRef[Box]) -> object:
    return await gen_send_request(ref, "awaited").wait()


async def sent(ref: ServerRef[Box]) -> object:
    return await send_wait(ref, "awaited")


Way = Callable[[ServerRef[Box]], Coroutine[Any, Any, object]]
ways = pytest.mark.parametrize("way", [typed, in_otp_form, requested, sent])


@ways
async def test_what_is_awaited_fails_at_once_if_the_mailbox_is_full(way: Way) -> None:
    """The caller hears of the overload while it can still do something else; the server never hears of the call."""
    async with Node():
        ref = await full()
        with pytest.raises(MailboxFull, match="is full") as caught:
            await way(ref)
        assert isinstance(caught.value, CallError)
        assert (caught.value.reason, caught.value.pid) == (Custom("mailbox_full"), ref.pid)
        assert not process_of(ref).open_requests()
        assert await goes_on(ref) == [1, 2]
        await way(ref)
        await settled()
        assert box_of(ref).held == [1, 2, "awaited"]


@ways
async def test_what_is_awaited_waits_for_room_if_the_bound_says_so(way: Way) -> None:
    """Back-pressure: the sender goes on when the receiver has got so far."""
    async with Node():
        ref = await full(Patient)
        async with anyio.create_task_group() as group:
            attempt = Attempt(group, way(ref))
            await settled()
            assert not attempt.over
            assert len(process_of(ref).mailbox.queue) == 2
            assert await goes_on(ref) == [1, 2, "awaited"]
            assert await attempt.result() == (None if way is sent else [1, 2, "awaited"])


async def test_those_who_wait_for_room_get_in_in_the_order_they_came() -> None:
    """Calls and awaited messages stand in one line, and nothing that comes later overtakes them."""
    async with Node():
        ref = await full(FreshAndPatient)
        async with anyio.create_task_group() as group:
            for n in range(3, 9):
                Attempt(group, Box.put(ref, n) if n % 2 else send_wait(ref, n))
                await settled()
            Box.drop_in(ref, "too late")
            assert await goes_on(ref) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert dropped_by(ref) == 1


@ways
async def test_who_waits_for_room_waits_no_longer_than_its_time(way: Way) -> None:
    """The deadline is that of the whole; what gave up is never put in."""
    clock = ManualClock()
    async with Node(clock=clock):
        ref = await full(Patient)
        async with anyio.create_task_group() as group:
            timed: Way = (lambda ref: gen_send_request(ref, "awaited").receive(5.0)) if way is requested else way
            attempt = Attempt(group, timed(ref))
            await settled()
            clock.advance(4.9)
            await settled()
            assert not attempt.over
            clock.advance(0.1)
            with pytest.raises(CallTimeout):
                await attempt.result()
        assert await goes_on(ref) == [1, 2]


async def test_who_is_cancelled_while_waiting_for_room_is_forgotten() -> None:
    """As with any call that nobody waits for any more, except that this one was not even put in."""
    async with Node():
        ref = await full(Patient)
        async with anyio.create_task_group() as group:
            Attempt(group, send_wait(ref, "cancelled", timeout=None))
            Attempt(group, Box.put(ref, "cancelled"))
            await settled()
            group.cancel_scope.cancel()
        assert not process_of(ref).open_requests()
        assert await goes_on(ref) == [1, 2]


@ways
async def test_who_waits_for_room_hears_of_the_end(way: Way) -> None:
    """At once, with its reason, like those whose calls are in the mailbox."""
    async with Node():
        ref = await full(Patient)
        async with anyio.create_task_group() as group:
            attempt = Attempt(group, way(ref))
            await settled()
            send_exit(ref, Kill())
            with pytest.raises(ServerExited) as caught:
                await attempt.result()
            assert caught.value.reason == Killed()


async def test_a_caller_that_tries_again_at_once_does_not_starve_the_server() -> None:
    """A refusal lets others run: the room that the caller wants has to be made by somebody."""
    async with Node():
        ref = await full()
        box_of(ref).gate.set()
        with anyio.fail_after(5.0):
            while True:
                try:
                    assert await Box.put(ref, 3) == [1, 2, 3]
                    break
                except MailboxFull:
                    continue


# -- send_wait elsewhere


async def test_an_awaited_message_to_a_mailbox_without_bound_is_there_at_once() -> None:
    """One verb for all, whatever the receiver is bound to."""
    async with Node():
        pid = spawn(anyio.sleep_forever)
        await send_wait(pid, "message")
        assert list(process_of(pid).mailbox.queue) == ["message"]


async def test_an_awaited_message_to_nobody_is_an_error() -> None:
    """Unlike `send`, it says what became of the message."""
    async with Node():
        ref = await start(Box)
        await stop(ref)
        for nobody in (ref, ref.pid, "nobody"):
            with pytest.raises(NoProcess):
                await send_wait(nobody, "message")
        with pytest.raises(CallingSelf):
            await send_wait(self_pid(), "message")
        with pytest.raises(ValueError, match="timeout"):
            await send_wait(spawn(anyio.sleep_forever), "message", timeout=-1)


# -- what nobody waits for


def by_send(ref: ServerRef[Box], what: object) -> None:
    send(ref, what)


def by_cast(ref: ServerRef[Box], what: object) -> None:
    Box.drop_in(ref, what)


def by_otp_cast(ref: ServerRef[Box], what: object) -> None:
    gen_cast(ref, what)


plainly = pytest.mark.parametrize("post", [by_send, by_cast, by_otp_cast])


@plainly
@pytest.mark.parametrize(("kind", "left"), [(Box, [0, 1]), (Fresh, [3, 4]), (Patient, [0, 1])])
async def test_what_nobody_waits_for_is_dropped_and_counted(
    post: Callable[[ServerRef[Box], object], None], kind: type[Box], left: list[int]
) -> None:
    """The newest or the oldest, as the bound says; the sender neither waits nor is told."""
    async with Node():
        ref = await standing_still(kind)
        for n in range(5):
            post(ref, n)
        assert dropped_by(ref) == 3
        assert await goes_on(ref) == left


async def test_a_call_is_never_dropped_to_make_room() -> None:
    """Its caller would wait for nothing. The same holds for what a sender knows to be there."""
    async with Node():
        ref = await standing_still(Fresh)
        async with anyio.create_task_group() as group:
            attempt = Attempt(group, Box.put(ref, "call"))
            await settled()
            await send_wait(ref, "awaited")
            send(ref, "dropped")
            assert await goes_on(ref) == ["call", "awaited"]
            assert await attempt.result() == ["call"]
        assert dropped_by(ref) == 1


async def test_the_oldest_that_may_be_dropped_makes_room() -> None:
    """Past calls, exits and downs, which stay where they are."""
    async with Node():
        ref = await standing_still(Fresh)
        process_of(ref).trap_exit = True
        send_exit(ref, Normal())
        async with anyio.create_task_group() as group:
            Attempt(group, Box.put(ref, "call"))
            await settled()
            for n in range(3):
                send(ref, n)
            assert await goes_on(ref) == [Exit(self_pid(), Normal()), "call", 2]


# -- what always gets in


async def test_exits_downs_and_system_messages_always_get_in() -> None:
    """However full it is: what keeps a tree together is not the users' to lose. They do not take up room either."""
    async with Node():
        ref = await full()
        process = process_of(ref)
        process.trap_exit = True
        other = spawn(anyio.sleep_forever)
        watch = process.monitor(other)
        process.link(other)
        send_exit(other, Kill())
        down = monitor(other)
        await receive(lambda message: isinstance(message, Down) and message.ref == down)
        async with anyio.create_task_group() as group:
            state = Attempt(group, sys.get_state(ref))
            await settled()
            assert await goes_on(ref) == [1, 2, Exit(other, Killed()), Down(watch, other, Killed())]
            assert (await state.result())["held"] == box_of(ref).held
        assert dropped_by(ref) == 0


async def test_a_process_with_a_full_mailbox_can_be_stopped() -> None:
    """In order, after what it holds."""
    async with Node():
        ref = await full(Patient)
        box = box_of(ref)
        async with anyio.create_task_group() as group:
            stopping = Attempt(group, stop(ref))
            await settled()
            box.gate.set()
            await stopping.result()
        assert box.held == [1, 2]


async def test_a_supervisor_with_a_full_mailbox_hears_of_its_children() -> None:
    """All of them end at once, and each of them is replaced."""
    async with Node():
        sup = await start_link(Narrow)
        old = [whereis(name) for name in "abc"]
        for name in "abc":
            send_exit(name, Kill())
        for n in range(3):
            send(sup, n)
        await settled()
        new = [whereis(name) for name in "abc"]
        assert None not in new
        assert not {*old} & {*new}
        assert dropped_by(sup) == 2
