"""`receive` and `flush`: which message is taken, what stays, and when the waiting is over."""

from __future__ import annotations

import math
from typing import TypeGuard

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import GenServer, Node, Pid, ServerRef, flush, gen_cast, receive, self_pid, send, spawn
from regrow.messages import Cast
from regrow.testing import ManualClock

from .process_kit import settled


def is_even(message: object) -> TypeGuard[int]:
    return isinstance(message, int) and message % 2 == 0


async def test_anything_is_taken_in_the_order_it_came() -> None:
    """Without a wish, the first message is the one."""
    async with Node():
        for message in (1, "two", None):
            send(self_pid(), message)
        assert [await receive() for _ in range(3)] == [1, "two", None]


async def test_a_class_takes_its_first_instance_and_leaves_the_rest_in_order() -> None:
    """Selective receive: what does not fit waits for its own `receive`."""
    async with Node():
        for message in (1, "a", 2, "b", 3):
            send(self_pid(), message)
        assert await receive(str) == "a"
        assert flush() == [1, 2, "b", 3]


async def test_a_predicate_takes_the_first_it_holds_for() -> None:
    """A class is not always enough to say what is meant."""
    async with Node():
        for message in (1, "a", 2, 4, 3):
            send(self_pid(), message)
        assert await receive(is_even) == 2
        assert await receive(lambda message: message == 3) == 3
        assert flush() == [1, "a", 4]


async def test_a_cast_that_no_server_takes_is_received_as_one() -> None:
    """A tuple that somebody sends is that tuple, however much it looks like what casts are made of."""
    async with Node() as node:
        me = node.runtime.processes[self_pid()]
        for each in (1, 2, 3):
            gen_cast(ServerRef(self_pid(), GenServer), each)
        send(self_pid(), (object(), "put", (1,), {}))
        first = await receive(Cast)
        assert (first.method, first.args) == (None, (1,))
        assert (await receive(lambda message: isinstance(message, Cast) and message.args == (2,))) is not None
        assert [type(message) for message in flush()] == [Cast, tuple]
        assert not me.mailbox.queue


async def test_what_does_not_fit_is_left_while_waiting_for_what_does() -> None:
    """The same rule for messages that come later as for those that were there."""

    async def work(home: Pid) -> None:
        for message in ("x", "y", 7, "z"):
            send(home, message)
            await checkpoint()

    async with Node():
        send(self_pid(), "w")
        spawn(work, self_pid())
        assert await receive(int) == 7
        await settled()
        assert flush() == ["w", "x", "y", "z"]


async def test_a_message_that_is_falsy_is_a_message() -> None:
    """`None`, 0 and the empty string are values like others."""
    async with Node():
        for message in (None, 0, ""):
            send(self_pid(), message)
            assert await receive(timeout=0) == message


async def test_an_error_in_the_predicate_is_the_callers_and_loses_no_message() -> None:
    """The mailbox stays as it was, and no timer is left either."""
    async with Node() as node:
        send(self_pid(), "a")
        with pytest.raises(ZeroDivisionError):
            await receive(lambda _message: 1 // 0 == 1, timeout=5.0)
        assert flush() == ["a"]
        assert len(node.runtime.timers) == 0


async def test_flush_takes_everything_at_once() -> None:
    """In order; and of an empty mailbox it is the empty list."""
    async with Node():
        assert flush() == []
        send(self_pid(), 1)
        send(self_pid(), 2)
        assert flush() == [1, 2]
        assert flush() == []


# -- timeouts


async def test_a_timeout_of_zero_looks_only_at_what_is_there() -> None:
    """OTP's `after 0`: a look into the mailbox."""
    async with Node():
        with pytest.raises(TimeoutError):
            await receive(timeout=0)
        send(self_pid(), "a")
        with pytest.raises(TimeoutError):
            await receive(int, timeout=0)
        assert await receive(str, timeout=0) == "a"


async def test_a_negative_timeout_is_a_time_that_is_up() -> None:
    """What is left until a deadline may be less than nothing."""
    async with Node() as node:
        with pytest.raises(TimeoutError):
            await receive(timeout=-0.5)
        assert len(node.runtime.timers) == 0


async def test_receive_times_out_when_its_time_is_up_and_not_before() -> None:
    """On the node's clock, so that a test turns it instead of waiting."""
    clock = ManualClock()
    outcomes: list[str] = []

    async def work() -> None:
        try:
            await receive(timeout=2.0)
        except TimeoutError as error:
            outcomes.append(str(error))

    async with Node(clock=clock):
        spawn(work)
        await settled()
        clock.advance(1.999)
        await settled()
        assert outcomes == []
        clock.advance(0.001)
        await settled()
        assert outcomes == ["no such message came within 2.0 s"]


async def test_messages_that_do_not_fit_do_not_prolong_the_time() -> None:
    """The timeout is for the whole `receive`, however often it has to look."""
    clock = ManualClock()
    outcomes: list[object] = []

    async def work() -> None:
        with pytest.raises(TimeoutError):
            await receive(int, timeout=2.0)
        outcomes.extend(flush())

    async with Node(clock=clock):
        pid = spawn(work)
        for step in "abcd":
            await settled()
            clock.advance(0.5)
            send(pid, step)
        await settled()
        assert outcomes == ["a", "b", "c", "d"]


async def test_a_message_that_comes_with_the_end_of_the_time_is_taken() -> None:
    """Who has the message has no reason to complain about the time."""
    clock = ManualClock()
    got: list[object] = []

    async def work() -> None:
        got.append(await receive(timeout=1.0))

    async with Node(clock=clock):
        pid = spawn(work)
        await settled()
        clock.advance(1.0)
        send(pid, "just in time")
        await settled()
        assert got == ["just in time"]


async def test_a_receive_that_got_its_message_leaves_no_timer() -> None:
    """Else a busy process would drag a heap of timers behind it."""
    clock = ManualClock()

    async def work() -> None:
        await receive(timeout=3600.0)
        await receive("never".__eq__)

    async with Node(clock=clock) as node:
        pid = spawn(work)
        await settled()
        assert len(node.runtime.timers) == 1
        send(pid, 1)
        await settled()
        assert len(node.runtime.timers) == 0


async def test_a_huge_timeout_is_accepted() -> None:
    """A century is a way to say for ever, and so is infinity."""
    got: list[object] = []

    async def work(timeout: float) -> None:
        got.append(await receive(timeout=timeout))

    async with Node():
        for timeout in (2.0**33, math.inf):
            pid = spawn(work, timeout)
            await settled()
            send(pid, timeout)
        await settled()
        assert got == [2.0**33, math.inf]


async def test_a_real_timeout_is_never_early() -> None:
    """On the real clock too: a fifth of a hundredth of a second is not less than that."""
    async with Node() as node:
        before = node.clock.now()
        with pytest.raises(TimeoutError):
            await receive(timeout=0.002)
        assert node.clock.now() - before >= 0.002


# -- cancellation, and more than one task in a process


async def test_a_cancelled_receive_loses_no_message_and_leaves_no_timer() -> None:
    """A scope of the user's own around `receive` may end it at any moment."""
    got: list[object] = []

    async def wait() -> None:
        got.append(await receive(timeout=5.0))

    async with Node() as node:
        for send_first in (True, False):
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await settled()
                if send_first:
                    send(self_pid(), "a")
                group.cancel_scope.cancel()
                if not send_first:
                    send(self_pid(), "a")
            assert got + flush() == ["a"]
            assert len(node.runtime.timers) == 0
            got.clear()


async def test_no_message_is_lost_when_the_turn_of_the_others_is_cancelled() -> None:
    """After many messages in a row `receive` lets others run; cancelled there, it has not taken its message yet."""
    async with Node():
        for number in range(1000):
            send(self_pid(), number)
        got: list[object] = []
        with anyio.CancelScope() as scope:
            scope.cancel()
            while True:
                got.append(await receive())
        assert got + flush() == list(range(1000))
        assert len(got) < 1000


async def test_a_task_that_waits_sees_what_came_while_another_took_from_the_mailbox() -> None:
    """A process may have several tasks; one that takes messages must not make another overlook new ones."""
    async with Node():
        got: list[object] = []

        async def wait() -> None:
            got.append(await receive("d".__eq__))

        for message in "abc":
            send(self_pid(), message)
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settled()
            assert await receive() == "a"
            send(self_pid(), "d")
            send(self_pid(), "e")
        assert got == ["d"]
        assert flush() == ["b", "c", "e"]


async def test_two_tasks_cannot_wait_for_one_mailbox_at_once() -> None:
    """Who of them should be woken? The second is told, rather than forgotten."""
    async with Node(), anyio.create_task_group() as group:
        group.start_soon(receive)
        await settled()
        with pytest.raises(RuntimeError, match="already waiting"):
            await receive()
        send(self_pid(), "for the first")


# -- fairness


async def test_a_loop_over_a_full_mailbox_lets_others_run() -> None:
    """Messages that are there cost no wait; without a turn for the others one busy process would stop all."""
    turns: list[int] = []

    async def work(left: list[int]) -> None:
        while True:
            await receive()
            left[0] -= 1

    async def other(left: list[int]) -> None:
        while left[0]:
            turns.append(left[0])
            await checkpoint()

    async with Node():
        left = [10_000]
        pid = spawn(work, left)
        for number in range(left[0]):
            send(pid, number)
        spawn(other, left)
        await settled()
        assert left == [0]
        assert len(turns) >= 20


async def test_a_loop_that_keeps_itself_busy_lets_others_run() -> None:
    """A process that sends to itself always has a message; the others must have their turn all the same."""
    stop = False

    async def work() -> None:
        while not stop:
            send(self_pid(), "again")
            await receive()

    async with Node():
        spawn(work)
        for _ in range(5):
            await checkpoint()
        stop = True


async def test_a_loop_that_only_looks_lets_others_run() -> None:
    """Polling with a timeout of zero never waits for anything; it must not hold the loop either."""
    looks = 0

    async def work() -> None:
        nonlocal looks
        while True:
            try:
                await receive(timeout=0)
            except TimeoutError:
                looks += 1

    async with Node():
        spawn(work)
        while looks < 5:
            await checkpoint()
