"""Deadlines travel: a server sees that its caller has given up, and what is left of the caller's time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from regrow import (
    NO_REPLY,
    CallTimeout,
    From,
    GenServer,
    Node,
    NoRequest,
    NotAProcess,
    ServerRef,
    call,
    cast,
    gen_call,
    reply,
    self_pid,
    send,
    start_link,
    stop,
    this_request,
    time_left,
)
from regrow.testing import ManualClock

from .gen_server_kit import Attempt, Gate, gates, settled


class Watchful(GenServer):
    """Looks at its caller before and after it waits for the test."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.go_on = anyio.Event()
        self.seen: list[object] = []

    async def look(self, request: From) -> None:
        self.seen += [request.caller, request.expired, time_left()]
        self.arrived.set()
        await self.go_on.wait()
        self.seen += [request.expired, time_left()]

    @call
    async def typed(self) -> None:
        await self.look(this_request())

    async def handle_call(self, request: object, from_: From) -> object:
        await self.look(from_)
        return None


def watchful(node: Node, ref: ServerRef[Watchful]) -> Watchful:
    server = node.runtime.processes[ref.pid].server
    assert isinstance(server, Watchful)
    return server


def typed(ref: ServerRef[Watchful], timeout_s: float | None) -> Any:
    return Watchful.typed.with_timeout(timeout_s)(ref)


def otp_form(ref: ServerRef[Watchful], timeout_s: float | None) -> Any:
    return gen_call(ref, "look", timeout_s)


forms = pytest.mark.parametrize("form", [typed, otp_form])
Form = Callable[[ServerRef[Watchful], float | None], Any]


@forms
async def test_a_server_sees_that_the_time_of_its_caller_is_up(form: Form) -> None:
    """While it handles the request; who it is and how much is left, it knows as well."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        ref = await start_link(Watchful)
        server = watchful(node, ref)
        asking = Attempt(group, form(ref, 3.0))
        await server.arrived.wait()
        clock.advance(3.5)
        with pytest.raises(CallTimeout):
            await asking.result()
        server.go_on.set()
        await stop(ref)
        assert server.seen == [self_pid(), False, 3.0, True, 0.0]


@forms
async def test_a_server_sees_that_its_caller_was_cancelled(form: Form) -> None:
    """The caller need not say so; one that waits for ever has no deadline."""
    async with Node() as node:
        ref = await start_link(Watchful)
        server = watchful(node, ref)
        async with anyio.create_task_group() as group:
            group.start_soon(form, ref, None)
            await server.arrived.wait()
            group.cancel_scope.cancel()
        server.go_on.set()
        await stop(ref)
        assert server.seen == [self_pid(), False, None, True, None]


async def test_a_typed_handler_may_answer_before_it_is_done() -> None:
    """With the request in hand; what it returns afterwards finds nobody."""

    class Eager(GenServer):
        @call
        async def take(self) -> str:
            reply(this_request(), "early")
            assert this_request().expired
            return "late"

    async with Node():
        ref = await start_link(Eager)
        assert await Eager.take(ref) == "early"
        assert await Eager.take(ref) == "early"


async def test_without_a_request_in_hand_there_is_none_to_look_at() -> None:
    """In a cast, for a message, in `init`, in a process that is no server, and outside of all of them."""
    met: list[str] = []

    class Other(GenServer):
        def look(self) -> None:
            assert time_left() is None
            try:
                this_request()
            except NoRequest as error:
                met.append(str(error))

        async def init(self) -> None:
            self.look()

        @cast
        async def put(self) -> None:
            self.look()

        async def handle_info(self, message: object) -> None:
            self.look()

    async with Node():
        ref = await start_link(Other)
        Other.put(ref)
        send(ref, "message")
        await stop(ref)
        assert met == ["no call is being handled here"] * 3
        with pytest.raises(NoRequest):
            this_request()
    assert time_left() is None
    with pytest.raises(NotAProcess):
        this_request()


class Between(GenServer):
    """Passes on what it is asked to a gate."""

    def __init__(self, gate: ServerRef[Gate]) -> None:
        self.gate = gate
        self.errors: list[str] = []
        self.asked = anyio.Event()
        self.ready = anyio.Event()

    @call
    async def enter(self, own_timeout_s: float | None) -> int:
        self.asked.set()
        await self.ready.wait()
        try:
            return await Gate.enter.within_deadline().with_timeout(own_timeout_s)(self.gate)
        except CallTimeout as error:
            self.errors.append(str(error))
            return 0


async def between(node: Node, gate: ServerRef[Gate]) -> tuple[ServerRef[Between], Between]:
    ref = await start_link(Between, gate)
    server = node.runtime.processes[ref.pid].server
    assert isinstance(server, Between)
    return ref, server


@pytest.mark.parametrize(("own_s", "waited_s"), [(None, 2.0), (5.0, 2.0), (2.0, 2.0), (0.5, 0.5)])
async def test_a_nested_call_waits_no_longer_than_its_caller_does(own_s: float | None, waited_s: float) -> None:
    """What is left of the caller's time, or the call's own time if that is less."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        gate = await start_link(Gate)
        ref, server = await between(node, gate)
        asking = Attempt(group, Between.enter.with_timeout(3.0)(ref, own_s))
        await server.asked.wait()
        clock.advance(1.0)
        server.ready.set()
        await gates(gate).arrived.wait()
        clock.advance(waited_s)
        if waited_s < 2.0:
            assert await asking.result() == 0
        else:
            with pytest.raises(CallTimeout):
                await asking.result()
        await stop(ref)
        assert server.errors == [f"no reply from enter() within {waited_s} s"]
        gates(gate).open.set()


async def test_a_nested_call_for_a_caller_whose_time_is_up_is_not_even_sent() -> None:
    """Nobody would hear of what comes of it."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        gate = await start_link(Gate)
        ref, server = await between(node, gate)
        asking = Attempt(group, Between.enter.with_timeout(3.0)(ref, None))
        await server.asked.wait()
        clock.advance(4.0)
        with pytest.raises(CallTimeout):
            await asking.result()
        server.ready.set()
        await stop(ref)
        assert server.errors == ["no reply from enter within 0.0 s"]
        assert await Gate.count(gate) == 0


async def test_a_call_within_the_deadline_of_nobody_is_the_call_as_it_was() -> None:
    """Of a caller that waits for ever, or outside of a request: its own time counts, and no other."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        gate = await start_link(Gate)
        ref, server = await between(node, gate)
        server.ready.set()
        asking = Attempt(group, Between.enter.with_timeout(None)(ref, 2.0))
        mine = Attempt(group, Gate.enter.with_timeout(3.0).within_deadline()(gate))
        await settled()
        clock.advance(2.0)
        assert await asking.result() == 0
        clock.advance(1.0)
        with pytest.raises(CallTimeout, match=r"within 3\.0 s"):
            await mine.result()
        gates(gate).open.set()


class Queue(GenServer):
    """Works when it is let, and knows for what."""

    def __init__(self) -> None:
        self.go_on = anyio.Event()
        self.done: list[object] = []

    @call
    async def work(self, what: str) -> str:
        await self.go_on.wait()
        self.done.append(what)
        return what

    async def handle_call(self, request: object, from_: From) -> object:
        self.done.append(request)
        reply(from_, request)
        return NO_REPLY


class Frugal(Queue):
    drop_expired = True


@pytest.mark.parametrize(
    ("kind", "done"), [(Queue, ["first", "gone", "gone too", "last"]), (Frugal, ["first", "last"])]
)
async def test_a_server_may_drop_the_calls_of_those_who_have_gone(kind: type[Queue], done: list[str]) -> None:
    """Before they are handled, in either form, if its class says so; else they are handled, as in OTP."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        ref = await start_link(kind)
        server = node.runtime.processes[ref.pid].server
        assert isinstance(server, Queue)
        first = Attempt(group, Queue.work.with_timeout(2.0)(ref, "first"))
        await settled()
        gone = Attempt(group, Queue.work.with_timeout(1.0)(ref, "gone"))
        await settled()
        gone_too = Attempt(group, gen_call(ref, "gone too", 1.0))
        await settled()
        last = Attempt(group, Queue.work(ref, "last"))
        await settled()
        clock.advance(1.0)
        for attempt in (gone, gone_too):
            with pytest.raises(CallTimeout):
                await attempt.result()
        server.go_on.set()
        assert (await first.result(), await last.result()) == ("first", "last")
        assert server.done == done


async def test_who_gave_up_while_its_call_was_handled_is_not_dropped_in_the_middle() -> None:
    """`drop_expired` decides when the turn of the call comes, and never again; a request to stop is never dropped."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        ref = await start_link(Frugal)
        server = node.runtime.processes[ref.pid].server
        assert isinstance(server, Frugal)
        working = Attempt(group, Queue.work.with_timeout(1.0)(ref, "work"))
        await settled()
        stopping = Attempt(group, stop(ref, timeout=1.0))
        await settled()
        clock.advance(1.0)
        for attempt in (working, stopping):
            with pytest.raises(CallTimeout):
                await attempt.result()
        process = node.runtime.processes[ref.pid]
        server.go_on.set()
        await process.wait_ended()
        assert server.done == ["work"]
