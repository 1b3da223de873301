"""The timers of a node: in order, never early, cancelled for good; and the deadlines of many calls."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from regrow import CallTimeout
from regrow._backends import running_backend
from regrow.clock import MonotonicClock
from regrow.messages import Call, result_of
from regrow.testing import ManualClock
from regrow.timers import ANSWERED_MAX, Timers

from .process_kit import settled


@asynccontextmanager
async def running(clock: ManualClock) -> AsyncIterator[Timers]:
    timers = Timers(clock)
    async with anyio.create_task_group() as group:
        group.start_soon(timers.run)
        yield timers
        group.cancel_scope.cancel()


def a_call() -> Call:
    call = Call(None, running_backend().promise(), "add", (1,), {})

    return call


def deadlines(timers: Timers) -> int:
    return sum(len(each.calls) for each in timers._deadlines.values())


async def test_a_timer_fires_when_its_time_has_come_and_not_before() -> None:
    """Never early, however close."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:
        timers.after(1.0, lambda: fired.append("fired"))
        await settled()
        clock.advance(0.999)
        await settled()
        assert fired == []
        clock.advance(0.001)
        await settled()
        assert fired == ["fired"]
        assert len(timers) == 0


async def test_timers_fire_in_the_order_of_their_times() -> None:
    """Whatever the order they were set in; those of the same time in the order they were set."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:
        for seconds, name in ((3.0, "d"), (1.0, "a"), (2.0, "b"), (2.0, "c")):
            timers.after(seconds, lambda name=name: fired.append(name))  # type: ignore[misc]
        await settled()
        clock.advance(5.0)
        await settled()
        assert fired == ["a", "b", "c", "d"]


async def test_a_timer_set_later_for_earlier_is_not_kept_waiting() -> None:
    """The ticker sleeps until the nearest; a nearer one wakes it."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:
        timers.after(100.0, lambda: fired.append("far"))
        await settled()
        timers.after(1.0, lambda: fired.append("near"))
        await settled()
        clock.advance(1.0)
        await settled()
        assert fired == ["near"]


async def test_a_timer_of_zero_seconds_fires_soon() -> None:
    """Not at once: whoever set it goes on first."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:
        await settled()
        timers.after(0.0, lambda: fired.append("fired"))
        assert fired == []
        await settled()
        assert fired == ["fired"]


async def test_a_timer_may_set_the_next_one() -> None:
    """A timer that is set while others fire is seen too."""
    clock, fired = ManualClock(), list[float]()
    async with running(clock) as timers:

        def again() -> None:
            fired.append(clock.now())
            timers.after(1.0, again)

        timers.after(1.0, again)
        for _ in range(3):
            await settled()
            clock.advance(1.0)
        await settled()
        assert fired == [1.0, 2.0, 3.0]
        assert len(timers) == 1


async def test_cancel_says_what_was_left_and_the_timer_never_fires() -> None:
    """`None` where there was nothing to cancel any more."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:
        timer = timers.after(2.0, lambda: fired.append("fired"))
        await settled()
        clock.advance(0.5)
        assert timer.active
        assert timer.cancel() == 1.5
        assert not timer.active
        assert timer.cancel() is None
        clock.advance(10.0)
        await settled()
        assert fired == []
        done = timers.after(1.0, lambda: None)
        clock.advance(1.0)
        await settled()
        assert not done.active
        assert done.cancel() is None
        assert len(timers) == 0


async def test_a_timer_may_be_cancelled_by_one_that_fires_with_it() -> None:
    """Cancelled is cancelled, also in the step in which it is due."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:

        def cancel() -> None:
            second.cancel()

        timers.after(1.0, cancel)
        second = timers.after(1.0, lambda: fired.append("fired"))
        await settled()
        clock.advance(1.0)
        await settled()
        assert fired == []
        assert len(timers) == 0


async def test_cancelled_timers_give_their_place_back() -> None:
    """Thousands that are set and cancelled, as by each `receive` with a timeout, must not pile up."""
    clock = ManualClock()
    async with running(clock) as timers:
        keep = timers.after(50.0, lambda: None)
        for _ in range(10_000):
            timers.after(100.0, lambda: None).cancel()
        assert len(timers) == 1
        assert len(timers._heap) < 100
        assert keep.active


async def test_a_timer_at_infinity_harms_nobody() -> None:
    """For ever is a time as well."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:
        never = timers.after(math.inf, lambda: fired.append("never"))
        timers.after(1.0, lambda: fired.append("fired"))
        await settled()
        clock.advance(1e9)
        await settled()
        assert fired == ["fired"]
        never.cancel()


# -- deadlines of calls


async def test_a_call_expires_at_its_deadline() -> None:
    """Not before; and what the caller gets says which call it was and how long it waited."""
    clock = ManualClock()
    async with running(clock) as timers:
        call = a_call()
        timers.expire_after(5.0, call)
        await settled()
        clock.advance(4.999)
        await settled()
        assert call.is_open
        clock.advance(0.001)
        await settled()
        assert not call.is_open
        with pytest.raises(CallTimeout, match=r"add\(1\) within 5.0 s"):
            result_of(await call.promise)
        assert deadlines(timers) == 0


async def test_an_answered_call_does_not_expire() -> None:
    """Its entry is dropped in passing."""
    clock = ManualClock()
    async with running(clock) as timers:
        call = a_call()
        timers.expire_after(5.0, call)
        call.answer("reply")
        await settled()
        clock.advance(10.0)
        await settled()
        assert await call.promise == "reply"
        assert deadlines(timers) == 0


async def test_calls_of_different_lengths_expire_each_in_its_time() -> None:
    """A short one is not kept waiting behind a long one that was made before."""
    clock = ManualClock()
    async with running(clock) as timers:
        calls = {seconds: a_call() for seconds in (5.0, 0.5, 2.0)}
        for seconds, call in calls.items():
            timers.expire_after(seconds, call)
            await settled()
        for seconds in (0.5, 2.0, 5.0):
            clock.advance(seconds - clock.now())
            await settled()
            assert {other for other, call in calls.items() if not call.is_open} == {s for s in calls if s <= seconds}


async def test_many_calls_expire_together() -> None:
    """One wake of the ticker for all that are due."""
    clock = ManualClock()
    async with running(clock) as timers:
        calls = [a_call() for _ in range(5_000)]
        for call in calls:
            timers.expire_after(5.0, call)
        for call in calls[::2]:
            call.answer(None)
        await settled()
        clock.advance(5.0)
        await settled()
        assert not any(call.is_open for call in calls)
        assert deadlines(timers) == 0


async def test_answered_calls_are_swept_behind_one_that_waits_long() -> None:
    """One open call at the head must not keep all the answered ones after it in memory."""
    clock = ManualClock()
    async with running(clock) as timers:
        waiting = a_call()
        timers.expire_after(5.0, waiting)
        for _ in range(20 * ANSWERED_MAX):
            call = a_call()
            timers.expire_after(5.0, call)
            call.answer(None)
        assert deadlines(timers) <= 5 * ANSWERED_MAX
        await settled()
        clock.advance(5.0)
        await settled()
        assert not waiting.is_open


async def test_timers_and_deadlines_share_one_ticker() -> None:
    """The nearer of the two kinds wakes it."""
    clock, fired = ManualClock(), list[str]()
    async with running(clock) as timers:
        timers.after(2.0, lambda: fired.append("timer"))
        call = a_call()
        timers.expire_after(1.0, call)
        await settled()
        clock.advance(1.0)
        await settled()
        assert (call.is_open, fired) == (False, [])
        clock.advance(1.0)
        await settled()
        assert fired == ["timer"]


# -- clocks


async def test_the_manual_clock_stands_still_until_it_is_turned() -> None:
    """And wakes only those whose time has come."""
    clock, woken = ManualClock(10.0), list[float]()

    async def sleep(until: float) -> None:
        await clock.sleep_until(until)
        woken.append(until)

    assert clock.now() == 10.0
    async with anyio.create_task_group() as group:
        for until in (10.0, 11.0, 12.0):
            group.start_soon(sleep, until)
        await settled()
        assert woken == [10.0]
        clock.advance(1.0)
        await settled()
        assert woken == [10.0, 11.0]
        clock.advance(100.0)
    assert woken == [10.0, 11.0, 12.0]
    assert clock.now() == 111.0


async def test_the_manual_clock_does_not_go_back() -> None:
    """A monotonic clock is what it stands in for."""
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(-1.0)


async def test_a_cancelled_sleeper_of_the_manual_clock_is_forgotten() -> None:
    """The ticker sleeps and is woken all the time; its former sleeps must not pile up."""
    clock = ManualClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep_until, 5.0)
        await settled()
        assert len(clock._sleepers) == 1
        group.cancel_scope.cancel()
    assert not clock._sleepers


async def test_the_real_clock_never_returns_early() -> None:
    """A loop's own timer may, by its resolution."""
    clock = MonotonicClock()
    for _ in range(5):
        until = clock.now() + 0.001
        await clock.sleep_until(until)
        assert clock.now() >= until


async def test_the_real_clock_sleeps_for_ever_until_cancelled() -> None:
    """A ticker without timers waits at infinity."""
    async with anyio.create_task_group() as group:
        group.start_soon(MonotonicClock().sleep_until, math.inf)
        await settled()
        group.cancel_scope.cancel()
