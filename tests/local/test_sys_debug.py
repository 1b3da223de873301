"""Watching the messages of a process: a trace, a log, a count, and functions of one's own."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from regrow import (
    CallbackFailed,
    Custom,
    Deferred,
    Down,
    GenServer,
    Node,
    NoProcess,
    Pid,
    Stop,
    Supervisor,
    call,
    cast,
    gen_call,
    inspect,
    monitor,
    receive,
    self_pid,
    send,
    spawn,
    spawn_link,
    start,
    sys,
    trap_exit,
)
from regrow.messages import Continue
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Counter, settled
from .process_kit import Broken
from .sys_kit import Family


class Talker(GenServer):
    """Answers in each of the ways there are."""

    def __init__(self) -> None:
        self.waiting: Deferred[str] = Deferred()

    @call
    async def say(self, what: str) -> str:
        return what

    @call
    async def later(self) -> str | Deferred[str]:
        return self.waiting

    @cast
    async def answer(self) -> None:
        self.waiting.set("late")

    @call
    async def go_on(self) -> None:
        self.continue_with("more")

    @call
    async def leave(self) -> str:
        raise Stop(reply="bye")

    async def handle_continue(self, token: object) -> None:
        """Nothing more to do."""

    async def handle_call(self, request: object, from_: object) -> object:
        return request

    async def handle_info(self, message: object) -> None:
        """Heard."""


def texts(events: list[sys.Event]) -> list[str]:
    return [str(event) for event in events]


# -- log


@row("SYS-005")
async def test_the_log_keeps_what_came_and_what_was_replied_in_order() -> None:
    """Calls of both forms, casts and messages; who called stands with it."""
    async with Node():
        ref = await start(Talker)
        await sys.log(ref)
        assert await Talker.say(ref, "hello") == "hello"
        assert await gen_call(ref, "you") == "you"
        Talker.answer(ref)
        send(ref, "there")
        me = self_pid()
        assert texts(await sys.get_log(ref)) == [
            f"got Call(say('hello'), from {me})",
            f"sent 'hello' to {me}",
            f"got Call(request('you'), from {me})",
            f"sent 'you' to {me}",
            "got Cast(answer())",
            "got 'there'",
        ]


@row("SYS-005")
async def test_a_continuation_and_a_last_reply_are_seen_too() -> None:
    """The first is no message and comes before any; the second is the reply of a handler that ends the server.

    A reply that is given later is not: whoever gives it need not be the server.
    """
    async with Node() as node:
        ref = await start(Talker)
        await sys.log(ref)
        await Talker.go_on(ref)
        Talker.answer(ref)
        assert await Talker.later(ref) == "late"
        events = await sys.get_log(ref)
        assert [type(event) for event in events] == [sys.In, sys.Out, sys.In, sys.In, sys.In]
        assert events[2] == sys.In(Continue("more"))
        debug = node.runtime.processes[ref.pid].debug
        assert debug is not None
        assert await Talker.leave(ref) == "bye"
        await settled()
        assert debug.log[-1] == sys.Out("bye", self_pid())


@row("SYS-005")
async def test_the_log_keeps_the_newest_and_ends_when_it_is_switched_off() -> None:
    """Switched on again it begins anew; what it has is part of the status."""
    async with Node():
        ref = await start(Counter)
        assert await sys.get_log(ref) == []
        await sys.log(ref, 3)
        for number in range(5):
            send(ref, number)
        assert texts(await sys.get_log(ref)) == ["got 2", "got 3", "got 4"]
        await sys.log(ref, 2)
        status = await sys.get_status(ref)
        assert texts(list(status.log)) == ["got 3", "got 4"]
        assert status.debug == ("log",)
        await sys.log(ref, 0)
        assert await sys.get_log(ref) == []
        assert (await sys.get_status(ref)).debug == ()
        send(ref, 5)
        await sys.log(ref)
        assert await sys.get_log(ref) == []


async def test_what_nobody_can_do_is_refused_at_once() -> None:
    """To keep less than nothing, or more than there is room for; to tell what is no function."""
    async with Node():
        ref = await start(Counter)
        for keep in (-1, 2**70):
            with pytest.raises(ValueError, match="keep"):
                await sys.log(ref, keep)
        with pytest.raises(TypeError, match="is no function"):
            await sys.install(ref, 5)  # type: ignore[arg-type]


@row("SYS-005")
async def test_a_supervisor_can_be_watched_too() -> None:
    """Its administration is calls like any other."""
    async with Node():
        ref = await start(Family)
        await sys.log(ref)
        await Supervisor.count_children(ref)
        came, sent = texts(await sys.get_log(ref))
        assert came.startswith("got Call(count_children()")
        assert sent.startswith("sent ChildCounts(specs=1")


async def test_a_crash_report_has_the_log_if_there_is_one() -> None:
    """What led to a crash is what one wants to know of it."""

    class Fragile(Talker):
        async def handle_info(self, message: object) -> None:
            if message == "break":
                raise Broken

    async with Node() as node:
        ref = await start(Fragile)
        await sys.log(ref)
        ended = monitor(ref)
        send(ref, "first")
        send(ref, "break")
        await receive(lambda message: isinstance(message, Down) and message.ref == ended)
        (report,) = node.runtime.reports.crashes
        assert report.log == ("got 'first'", "got 'break'")
        assert inspect.crashes(node)[0].log == report.log


# -- trace


@row("SYS-005", translated="a trace goes to a logger, which writes wherever its handlers do, to a file for example")
async def test_a_trace_goes_to_the_log_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    """With the process it is of; off is off."""
    caplog.set_level(logging.INFO, "regrow.trace")
    async with Node():
        ref = await start(Counter, 1)
        await sys.trace(ref)
        await Counter.add(ref, 1)
        await sys.trace(ref, False)
        await Counter.add(ref, 1)
        me, who = self_pid(), f"Counter {ref.pid}"
        traced = [record for record in caplog.records if record.name == "regrow.trace"]
        assert [record.getMessage() for record in traced] == [
            f"{who} got Call(add(1), from {me})",
            f"{who} sent 2 to {me}",
        ]
        assert vars(traced[0])["pid"] == str(ref.pid)


# -- statistics


@row("SYS-005")
async def test_statistics_count_from_when_they_are_switched_on() -> None:
    """What came, what was replied, and in which time; off they are forgotten."""
    clock = ManualClock()
    async with Node(clock=clock):
        ref = await start(Counter)
        await Counter.add(ref, 1)
        assert await sys.get_statistics(ref) is None
        await sys.statistics(ref)
        await Counter.add(ref, 1)
        Counter.reset(ref)
        clock.advance(3.0)
        await sys.statistics(ref, True)
        counted = await sys.get_statistics(ref)
        assert counted == sys.Statistics(3.0, messages_in=2, messages_out=1)
        status = await sys.get_status(ref)
        assert (status.statistics, status.debug) == (counted, ("statistics",))
        await sys.statistics(ref, False)
        assert await sys.get_statistics(ref) is None


# -- install


def counting(state: int, event: sys.Event, attributes: dict[str, Any]) -> int:
    """Counts events, and notes how many it has seen where the test can see it."""
    attributes["seen"].append((state, str(event).split()[0]))
    return state + 1


class Seen(Talker):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []


@row("SYS-006", translated="the attributes of the object are the process's state; `done` is to raise, or to be removed")
async def test_an_installed_function_gets_its_state_the_event_and_the_attributes() -> None:
    """What it returns is its next state."""
    async with Node():
        ref = await start(Seen)
        await sys.install(ref, counting, state=5)
        assert (await sys.get_status(ref)).debug == ("counting",)
        await Talker.say(ref, "a")
        send(ref, "b")
        assert (await sys.get_state(ref))["seen"] == [(5, "got"), (6, "sent"), (7, "got")]


@row("SYS-006")
async def test_the_same_function_or_id_counts_once_and_different_ids_each() -> None:
    """The first of them stays."""
    async with Node():
        ref = await start(Seen)
        for state in (0, 10):
            await sys.install(ref, counting, state=state)
            await sys.install(ref, counting, "named", state=100 + state)
            await sys.install(ref, counting, id="other", state=1000 + state)
        send(ref, "a")
        assert (await sys.get_state(ref))["seen"] == [(0, "got"), (100, "got"), (1000, "got")]
        assert (await sys.get_status(ref)).debug == ("counting", "named", "other")


@row("SYS-006")
async def test_what_was_installed_is_removed_by_its_id_or_as_itself() -> None:
    """Removing what is not there is no error; `no_debug` removes everything."""
    async with Node() as node:
        ref = await start(Seen)
        await sys.install(ref, counting, state=0)
        await sys.install(ref, counting, "named", state=100)
        await sys.install(ref, counting, "other", state=200)
        await sys.remove(ref, "named")
        await sys.remove(ref, "named")
        send(ref, "a")
        await sys.remove(ref, counting)
        send(ref, "b")
        assert (await sys.get_state(ref))["seen"] == [(0, "got"), (200, "got"), (201, "got")]
        await sys.trace(ref)
        await sys.log(ref)
        await sys.statistics(ref)
        await sys.no_debug(ref)
        send(ref, "c")
        assert len((await sys.get_state(ref))["seen"]) == 3
        status = await sys.get_status(ref)
        assert (status.debug, status.log, status.statistics) == ((), (), None)
        assert node.runtime.processes[ref.pid].debug is None


@row("SYS-006")
async def test_a_function_that_fails_is_removed_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The others go on, and the log says so."""

    def broken(state: object, event: sys.Event, attributes: dict[str, Any]) -> None:
        raise Broken("badly")

    async with Node() as node:
        ref = await start(Seen)
        await sys.install(ref, broken)
        await sys.install(ref, counting, state=0)
        send(ref, "a")
        assert await Talker.say(ref, "still there") == "still there"
        assert (await sys.get_state(ref))["seen"][0] == (0, "got")
        assert len((await sys.get_status(ref)).debug) == 1
        assert "broken failed, and is removed: Broken('badly')" in caplog.text
        assert not node.runtime.reports.crashes


async def test_who_looks_from_outside_sees_who_watches() -> None:
    """A trace that was forgotten costs; it should be found."""
    async with Node() as node:
        ref = await start(Counter)
        await sys.log(ref)
        await Counter.add(ref, 1)
        seen = inspect.state(node, node.runtime.processes[ref.pid])
        assert (seen.debug, len(seen.log), seen.suspended) == (("log",), 2, False)


# -- a loop of one's own


class Special:
    """The state of a process with a loop of its own."""

    def __init__(self) -> None:
        self.total = 0
        self.secret = "secret"

    def format_status(self, status: sys.Status) -> sys.Status:
        return status.hiding("secret")

    async def code_change(self, old_version: object, extra: int) -> None:
        self.total *= extra


async def special(home: Pid) -> None:
    trap_exit(True)
    state = Special()
    while True:
        match await receive():
            case sys.SystemRequest() as request:
                await sys.handle_system_message(request, state)
            case int(number):
                sys.handle_debug(sys.In(number))
                state.total += number
            case message:
                send(home, message)


@row("SYS-009")
async def test_a_loop_of_ones_own_answers_system_messages_like_a_behaviour() -> None:
    """Its state, its status, being held, being changed, being watched, and its end."""
    async with Node():
        pid = spawn(special, self_pid())
        send(pid, 2)
        assert await sys.get_state(pid) == {"total": 2, "secret": "secret"}
        status = await sys.get_status(pid)
        assert (status.label, status.parent, status.state["secret"]) == ("special", None, "(hidden)")
        await sys.suspend(pid)
        send(pid, 3)
        await sys.change_code(pid, 1, 10)
        assert (await sys.replace_state(pid, lambda state: state | {"total": state["total"] + 1}))["total"] == 21
        with pytest.raises(CallbackFailed):
            await sys.replace_state(pid, lambda state: 5)  # type: ignore[arg-type, return-value]
        await sys.log(pid)
        await sys.resume(pid)
        assert (await sys.get_state(pid))["total"] == 24
        assert await sys.get_log(pid) == [sys.In(3)]
        await sys.terminate(pid, Custom("enough"))
        with pytest.raises(NoProcess):
            await sys.get_state(pid)


@row("SYS-009", "SYS-010")
async def test_a_loop_of_ones_own_obeys_its_parent_while_it_is_suspended() -> None:
    """If it traps; one that does not is ended anyway."""

    async def parent(home: Pid) -> None:
        pid = spawn_link(special, home)
        await sys.suspend(pid)
        send(home, pid)
        raise Stop(Custom(await receive()))

    async with Node():
        parents = spawn(parent, self_pid())
        pid = await receive(Pid)
        ended = monitor(pid)
        send(parents, "over")
        assert await receive() == Down(ended, pid, Custom("over"))
