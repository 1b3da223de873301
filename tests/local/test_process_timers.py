"""Timers that processes set: messages and exits that come later, cancelled, read, and gone with those they are for."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from regrow import (
    Custom,
    Down,
    Exit,
    GenServer,
    Killed,
    Name,
    Node,
    NoProcess,
    Normal,
    NotInNode,
    Pid,
    Reference,
    ServerRef,
    Shutdown,
    TimerFired,
    TimerRef,
    Via,
    call,
    cancel_timer,
    current_node,
    exit_after,
    flush,
    kill_after,
    make_ref,
    monitor,
    read_timer,
    receive,
    register,
    self_pid,
    send,
    send_after,
    send_at,
    send_interval,
    spawn,
    start_link,
    start_timer,
    trap_exit,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Phonebook
from .process_kit import end_of, end_on_message, idle, settled, start_outsider


@asynccontextmanager
async def turned() -> AsyncIterator[ManualClock]:
    """A node and the clock it goes by."""
    clock = ManualClock(1000.0)
    async with Node(clock=clock):
        yield clock


async def later(clock: ManualClock, seconds: float) -> list[object]:
    """What has come to this process once so many seconds have passed."""
    await settled()
    clock.advance(seconds)
    await settled()
    return flush()


def timers() -> int:
    """How many run on this node, whoever set them."""
    return len(current_node().runtime.timers)


# -- once


@row("TMR-001")
async def test_a_message_comes_after_its_time_and_not_before() -> None:
    """Not a moment earlier, and once."""
    async with turned() as clock:
        send_after(2.0, self_pid(), "due")
        assert await later(clock, 1.999) == []
        assert await later(clock, 0.001) == ["due"]
        assert await later(clock, 100.0) == []


@row("TMR-001", translated="as `TimerFired(ref, message)`")
async def test_a_started_timer_says_which_one_it_was() -> None:
    """A server that has set several, or has cancelled one too late, can tell."""
    async with turned() as clock:
        first, second = start_timer(1.0, self_pid(), "a"), start_timer(2.0, self_pid(), "b")
        assert await later(clock, 3.0) == [TimerFired(first, "a"), TimerFired(second, "b")]


async def test_timers_are_in_order_of_their_times() -> None:
    """And those of one time in the order they were set."""
    async with turned() as clock:
        for seconds, name in ((3.0, "d"), (1.0, "a"), (2.0, "b"), (2.0, "c")):
            send_after(seconds, self_pid(), name)
        assert await later(clock, 5.0) == ["a", "b", "c", "d"]


@row("TMR-007", translated="seconds as floats; what is negative or no number is refused, so is a time that is NaN")
async def test_zero_fires_soon_and_a_huge_time_is_taken() -> None:
    """Soon: who sets it goes on first."""
    async with turned() as clock:
        send_after(0, self_pid(), "soon")
        assert flush() == []
        assert await later(clock, 0.0) == ["soon"]
        for milliseconds in (2**31, 2**32, 2**33):
            ref = send_after(milliseconds / 1000, self_pid(), "far")
            assert read_timer(ref) == milliseconds / 1000
        never = send_after(math.inf, self_pid(), "never")
        assert len(await later(clock, 2**33 / 1000)) == 3
        assert cancel_timer(never) == math.inf


@row("TMR-007", translated="seconds as floats; what is negative or no number is refused, so is a time that is NaN")
@pytest.mark.parametrize(
    ("seconds", "error"), [(-0.001, ValueError), (math.nan, ValueError), ("1", TypeError), (None, TypeError)]
)
async def test_what_is_no_time_is_refused(seconds: Any, error: type[Exception]) -> None:
    """By whoever sets the timer, not by the one that all timers share."""
    async with turned():
        for set_timer in (send_after, start_timer, send_interval):
            with pytest.raises(error):
                set_timer(seconds, self_pid(), "x")
        with pytest.raises(error):
            exit_after(seconds, self_pid(), Normal())
        with pytest.raises(error):
            kill_after(seconds, self_pid())
        assert timers() == 0


@row("TMR-008", translated="as `send_at`, on the clock of the node")
async def test_a_message_comes_at_a_time_of_the_clock() -> None:
    """At once if that is past; several that are computed from one time do not drift apart."""
    async with turned() as clock:
        now = current_node().clock.now()
        ref = send_at(now + 2.0, self_pid(), "due")
        send_at(now - 5.0, self_pid(), "past")
        assert read_timer(ref) == 2.0
        assert await later(clock, 1.5) == ["past"]
        assert await later(clock, 0.5) == ["due"]
        with pytest.raises(ValueError, match="no time"):
            send_at(math.nan, self_pid(), "x")


# -- cancelling and reading


@row("TMR-002", translated="`None` in place of false")
async def test_cancelling_tells_what_was_left_and_then_nothing_comes() -> None:
    """Never, however long one waits."""
    async with turned() as clock:
        ref = send_after(2.0, self_pid(), "due")
        assert await later(clock, 0.5) == []
        assert cancel_timer(ref) == 1.5
        assert cancel_timer(ref) is None
        assert await later(clock, 100.0) == []


@row("TMR-002")
async def test_cancelling_too_late_leaves_the_message_where_it_is() -> None:
    """`None` means: look into the mailbox."""
    async with turned() as clock:
        ref = send_after(1.0, self_pid(), "due")
        await settled()
        clock.advance(1.0)
        await settled()
        assert cancel_timer(ref) is None
        assert await receive(timeout=0) == "due"


@row("TMR-003", translated="`None` in place of false")
async def test_reading_tells_what_is_left_and_changes_nothing() -> None:
    """Of one that fired, or was cancelled, nothing is left."""
    async with turned() as clock:
        ref, cancelled = send_after(2.0, self_pid(), "due"), send_after(2.0, self_pid(), "x")
        cancel_timer(cancelled)
        assert await later(clock, 0.5) == []
        assert read_timer(ref) == 1.5
        assert read_timer(cancelled) is None
        assert await later(clock, 1.5) == ["due"]
        assert read_timer(ref) is None


@row("TMR-002", "TMR-003")
async def test_any_process_of_the_node_may_cancel_and_read() -> None:
    """Whoever has the reference."""
    async with turned() as clock:
        ref = send_after(2.0, self_pid(), "due")

        async def other(home: Pid) -> None:
            send(home, (read_timer(ref), cancel_timer(ref)))

        spawn(other, self_pid())
        assert await receive(timeout=1.0) == (2.0, 2.0)
        assert await later(clock, 2.0) == []


@row("TMR-012", translated="nothing has to be asked for asynchronously: `cancel_timer` answers at once, whoever set it")
async def test_what_is_no_timer_of_this_node_cannot_be_cancelled() -> None:
    """A reference of something else was never one; what is none at all is a mistake."""
    async with turned():
        assert cancel_timer(TimerRef(make_ref())) is None
        assert read_timer(TimerRef(monitor(self_pid()))) is None
        assert read_timer(TimerRef(Reference("far@localhost", 1, (1, 2, 3)))) is None
        for verb in (cancel_timer, read_timer):
            with pytest.raises(TypeError, match="no timer"):
                verb("ref")  # type: ignore[arg-type]


# -- for whom


@row("TMR-005")
async def test_a_timer_is_dropped_with_the_process_it_is_for() -> None:
    """It does not lie in the heap until its time has come."""
    async with turned():
        pid = spawn(end_on_message)
        ref, interval = send_after(1000.0, pid, "x"), send_interval(10.0, pid, "y")
        assert timers() == 2
        send(pid, "end")
        await end_of(pid)
        assert (read_timer(ref), read_timer(interval), cancel_timer(ref), timers()) == (None, None, None, 0)


@row("TMR-005")
async def test_a_timer_for_a_dead_process_never_runs() -> None:
    """And harms nobody, as a message to it would not."""
    async with turned() as clock:
        pid = spawn(end_on_message)
        send(pid, "end")
        await end_of(pid)
        for ref in (send_after(1.0, pid, "x"), send_interval(1.0, pid, "x"), exit_after(1.0, pid, Normal())):
            assert cancel_timer(ref) is None
        assert await later(clock, 10.0) == []
        assert timers() == 0


async def test_the_end_of_whoever_set_a_timer_changes_nothing() -> None:
    """What was promised to another comes, as a message sent would have."""
    async with turned() as clock:
        home = self_pid()

        async def sets() -> None:
            send_after(1.0, home, "posthumous")

        await end_of(spawn(sets))
        assert await later(clock, 1.0) == ["posthumous"]


@row("TMR-006")
async def test_a_name_is_looked_up_when_the_time_has_come() -> None:
    """Registered later, it gets the message; passed on to another process, that one gets it."""
    async with turned() as clock:
        send_after(1.0, "later", "a")
        send_after(1.0, Name("later", GenServer), "b")
        send_after(1.0, ("later", current_node().name), "c")
        register("later", self_pid())
        assert await later(clock, 1.0) == ["a", "b", "c"]


@row("TMR-006")
async def test_nothing_happens_if_nobody_has_the_name_then() -> None:
    """`send` raises `NoProcess`; here nobody is left to tell."""
    async with turned() as clock:
        with pytest.raises(NoProcess):
            send("nobody", "x")
        send_after(1.0, "nobody", "x")
        exit_after(1.0, "nobody", Shutdown())
        assert await later(clock, 1.0) == []


async def test_a_name_of_another_registry_is_looked_up_when_the_time_has_come() -> None:
    """Whoever keeps it: a registry of one's own, say."""
    async with turned() as clock:
        book = Phonebook()
        via = Via(book, "desk", GenServer)
        send_after(1.0, via, "nobody yet")
        send_after(2.0, via, "somebody")
        exit_after(2.0, via, Shutdown())
        trap_exit(True)
        assert await later(clock, 1.0) == []
        book.register("desk", self_pid())
        assert await later(clock, 1.0) == ["somebody", Exit(self_pid(), Shutdown())]


async def test_a_registry_that_fails_does_not_end_the_timers_of_the_node(caplog: pytest.LogCaptureFixture) -> None:
    """Its code runs where all timers of the node fire."""

    class Burnt(Phonebook):
        def send(self, name: object, message: object) -> None:
            raise RuntimeError("burnt")

    async with turned() as clock:
        send_after(1.0, Via(Burnt(), "desk", GenServer), "x")
        send_after(2.0, self_pid(), "still there")
        assert await later(clock, 2.0) == ["still there"]
    assert "a timer for via desk came to nothing: RuntimeError('burnt')" in caplog.text


@row("TMR-011", translated="as `ValueError`, for names on other nodes too")
async def test_a_timer_for_a_process_on_another_node_is_refused() -> None:
    """Whether that is alive can't be known, so nothing would drop the timer: set it over there."""
    async with turned():
        far = Pid("far@localhost", 1, 0, 1)
        for dest in (
            far,
            ServerRef(far, GenServer),
            ("name", "far@localhost"),
            Name("name", GenServer, "far@localhost"),
        ):
            with pytest.raises(ValueError, match="on another node"):
                send_after(1.0, dest, "x")
            with pytest.raises(ValueError, match="on another node"):
                send_interval(1.0, dest, "x")


# -- again and again


@row("TMR-009")
async def test_an_interval_repeats_until_it_is_cancelled() -> None:
    """And then never again."""
    async with turned() as clock:
        ref = send_interval(2.0, self_pid(), "tick")
        assert await later(clock, 1.9) == []
        for _ in range(3):
            assert await later(clock, 2.0) == ["tick"]
        assert read_timer(ref) == pytest.approx(0.1)
        assert cancel_timer(ref) == pytest.approx(0.1)
        assert await later(clock, 100.0) == []


async def test_an_interval_that_was_held_up_catches_up() -> None:
    """It does not drift, so that a count of its messages is a measure of time."""
    async with turned() as clock:
        send_interval(1.0, self_pid(), "tick")
        assert await later(clock, 3.5) == ["tick"] * 3
        assert await later(clock, 0.5) == ["tick"]


@row("TMR-009")
@pytest.mark.parametrize("dest", ["target", "pid"])
async def test_an_interval_ends_with_the_process_that_set_it(dest: str) -> None:
    """What is restarted sets it anew: there are never two."""
    async with turned() as clock:
        home = self_pid()
        register("target", home)

        async def sets() -> None:
            send_interval(1.0, home if dest == "pid" else dest, "tick")
            await end_on_message()

        owner = spawn(sets)
        assert await later(clock, 2.0) == ["tick", "tick"]
        send(owner, "end")
        await end_of(owner)
        assert await later(clock, 10.0) == []
        assert timers() == 0


async def test_an_interval_for_a_name_outlives_those_who_have_the_name() -> None:
    """The next one that has it gets what comes next."""
    async with turned() as clock:
        pid = spawn(end_on_message)
        register("target", pid)
        send_interval(1.0, "target", Normal())
        await later(clock, 1.0)
        assert await later(clock, 1.0) == []  # it has ended, and nobody has the name
        register("target", self_pid())
        assert await later(clock, 1.0) == [Normal()]


async def test_an_interval_is_at_least_a_millisecond() -> None:
    """A node that does nothing else would be of no use."""
    async with turned():
        for seconds in (0, 0.0009, -1.0):
            with pytest.raises(ValueError, match=r"at least 0.001 s"):
                send_interval(seconds, self_pid(), "tick")


# -- exits


@row("TMR-010")
async def test_an_exit_comes_later() -> None:
    """As `send_exit` would send it then: who traps exits gets it as a message."""
    async with turned() as clock:
        pid = spawn(idle)
        ref = monitor(pid)
        trap_exit(True)
        exit_after(1.0, pid, Custom("enough"))
        exit_after(1.0, self_pid(), Shutdown())
        down, exited = await later(clock, 1.0), Exit(self_pid(), Shutdown())
        assert sorted(down, key=repr) == [Down(ref, pid, Custom("enough")), exited]


@row("TMR-010")
async def test_a_kill_comes_later_and_is_seen_as_killed() -> None:
    """Whether or not exits are trapped; a cancelled one does not come."""
    async with turned() as clock:

        async def traps() -> None:
            trap_exit(True)
            await idle()

        killed, spared = spawn(traps), spawn(idle)
        ref, _ = monitor(killed), monitor(spared)
        kill_after(1.0, killed)
        cancel_timer(kill_after(1.0, spared))
        assert await later(clock, 1.0) == [Down(ref, killed, Killed())]
        assert await later(clock, 10.0) == []


# -- servers, outsiders, the end of the node


class Ticker(GenServer):
    """Counts down, one message a second, each set when the one before has come."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def init(self) -> None:
        self.timer = start_timer(1.0, self_pid(), "tick")

    @call
    async def left(self) -> int:
        return self.count

    async def handle_info(self, message: object) -> None:
        match message:
            case TimerFired(ref, "tick") if ref == self.timer:
                self.count -= 1
                self.timer = start_timer(1.0, self_pid(), "tick")
            case _:
                raise AssertionError(message)


async def test_a_server_gets_its_timers_in_handle_info() -> None:
    """Set in `init` already."""
    async with turned() as clock:
        ticker = await start_link(Ticker, 10)
        for _ in range(3):
            await later(clock, 1.0)
        assert await Ticker.left(ticker) == 7
        assert timers() == 1


async def test_code_that_is_no_process_sets_timers_too() -> None:
    """A web handler, say: through a reference, or with the node lent to it."""
    async with turned() as clock, anyio.create_task_group() as group:
        ticker, node, home = await start_link(Ticker, 10), current_node(), self_pid()

        async def outside() -> None:
            ref = exit_after(5.0, ticker, Normal())
            with pytest.raises(NotInNode):
                cancel_timer(ref)
            with node.current():
                assert cancel_timer(ref) == 5.0
                send_interval(1.0, home, "from nobody")

        start_outsider(group, outside)
        assert await later(clock, 0.0) == []
        assert await later(clock, 2.0) == ["from nobody"] * 2


async def test_the_timers_of_a_node_end_with_it() -> None:
    """Also those for names, and those of nobody; after that none can be set, and that is silent, as `send` is."""
    node = Node(clock=ManualClock())
    async with node:
        ticker = await start_link(Ticker, 10)
        refs = [send_after(1.0, "name", "x"), send_interval(1.0, "name", "x"), send_after(1.0, self_pid(), "x")]
        assert all(read_timer(ref) for ref in refs)
    assert node.runtime.leftovers() == ()
    with node.current():
        assert cancel_timer(send_after(1.0, "name", "x")) is None
        assert cancel_timer(send_interval(1.0, ticker, "x")) is None


async def test_timers_that_are_set_and_cancelled_leave_nothing() -> None:
    """A server that sets one for each request must not grow."""
    async with turned():
        runtime = current_node().runtime
        for _ in range(1000):
            cancel_timer(send_after(60.0, self_pid(), "late"))
            cancel_timer(send_interval(60.0, "name", "late"))
        assert (timers(), len(runtime.process_timers._running), len(runtime.process_timers._of)) == (0, 0, 0)
