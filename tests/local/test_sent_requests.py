"""Requests whose replies are waited for later, with a timeout, or not at all."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from regrow import (
    CallTimeout,
    Custom,
    Deferred,
    Down,
    GenServer,
    Kill,
    Killed,
    Name,
    NoConnection,
    Node,
    NoProc,
    NoProcess,
    Pid,
    RequestCollection,
    SentRequest,
    ServerExited,
    ServerRef,
    Stop,
    UnknownRequest,
    Via,
    call,
    child,
    flush,
    gen_send_request,
    receive,
    self_pid,
    send,
    send_exit,
    spawn_monitor,
    start,
    start_link,
    this_request,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Attempt, Counter, Scripted, raising, settled

NOBODY = Name("nobody", Counter)


class Desk(GenServer):
    """Answers when it is told to, in any order."""

    def __init__(self) -> None:
        self.open: dict[str, Deferred[str]] = {}
        self.requests: dict[str, Any] = {}

    @call
    async def ask(self, what: str) -> str | Deferred[str]:
        self.requests[what] = this_request()
        self.open[what] = Deferred[str]()
        return self.open[what]

    @call
    async def answer(self, what: str, reply: str) -> None:
        self.open[what].set(reply)

    @call
    async def refuse(self, what: str, error: Exception) -> None:
        self.open[what].fail(error)

    @call
    async def given_up(self, what: str) -> bool:
        return bool(self.requests[what].expired)


class Empty:
    """A registry in which nobody is."""

    def register(self, _name: object, _pid: Pid) -> bool:
        return False

    def unregister(self, _name: object) -> None:
        raise LookupError

    def whereis(self, _name: object) -> Pid | None:
        return None

    def send(self, name: object, _message: object) -> None:
        raise NoProcess(name)


@row("GEN-055")
async def test_a_request_is_sent_at_once_and_its_reply_waited_for_later() -> None:
    """Both forms; the reply is kept, and can be had as often as one likes."""
    async with Node():
        ref = await start_link(child(Counter, 5).named("counter"))
        typed = [Counter.add.send_request(dest, 3) for dest in (ref, Name("counter", Counter))]
        plain = gen_send_request("counter", "hello")
        assert not plain.done
        assert await plain.wait() == ("hello", 11)
        assert [request.done for request in (*typed, plain)] == [True] * 3
        assert [await request.wait(0.0) for request in typed] == [8, 11]
        assert [await request.receive() for request in typed] == [8, 11]


@row("GEN-055", translated="a reply never lies in the mailbox: whether it has come, the request itself says")
async def test_replies_stay_out_of_the_mailbox() -> None:
    """What is in there is no reply, whatever it looks like."""
    async with Node():
        ref = await start_link(Counter)
        request = Counter.add.send_request(ref, 1)
        send(self_pid(), "unrelated")
        assert not request.done
        assert await receive() == "unrelated"
        assert not request.done
        assert await request.wait() == 1
        assert flush() == []


@row("GEN-055")
async def test_what_goes_wrong_is_raised_where_the_reply_is_waited_for() -> None:
    """As from a call: nobody there, an end before the reply, a reply that fails, a request that does not fit."""
    async with Node() as node:
        via = Via(Empty(), "nobody", Counter)
        for absent in (*(Counter.add.send_request(dest, 1) for dest in (NOBODY, via)), gen_send_request("nobody", 1)):
            assert absent.done
            for _ in range(2):  # as often as one asks
                with pytest.raises(NoProcess) as nobody:
                    await absent.wait()
                assert nobody.value.reason == NoProc()
        elsewhere = gen_send_request(("counter", "b@localhost"), 1)
        with pytest.raises(ServerExited) as unreachable:
            await elsewhere.wait()
        assert unreachable.value.reason == NoConnection()
        doomed = await start(Scripted, [])
        ended = Scripted.run.send_request(doomed, raising(Stop(Custom("enough"))))
        with pytest.raises(ServerExited) as over:
            await ended.receive()
        assert over.value.reason == Custom("enough")
        desk = await start_link(Desk)
        refused = Desk.ask.send_request(desk, "x")
        await Desk.refuse(desk, "x", ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await refused.wait()
        with pytest.raises(UnknownRequest):
            await Counter.add.send_request(ServerRef(desk.pid, Counter), 1).wait()
        with pytest.raises(ValueError, match="a timeout is None or seconds"):
            await refused.wait(-1.0)
        with pytest.raises(TypeError, match="no process address"):
            gen_send_request(cast(str, 1), "hello")
        assert not node.runtime.processes[self_pid()].sent


@row("GEN-056")
async def test_a_wait_that_runs_out_leaves_the_request_alive() -> None:
    """It may be waited for again, by any task, also by several at once."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        desk = await start_link(Desk)
        request = Desk.ask.send_request(desk, "x")
        waiting = Attempt(group, request.wait(2.0))
        await settled()
        clock.advance(2.0)
        with pytest.raises(CallTimeout, match=r"ask\('x'\) within 2\.0 s"):
            await waiting.result()
        with pytest.raises(CallTimeout):
            await request.wait(0.0)
        assert not await Desk.given_up(desk, "x")
        again = [Attempt(group, request.wait(timeout)) for timeout in (None, 3.0)]
        await settled()
        await Desk.answer(desk, "x", "late, not too late")
        assert [await attempt.result() for attempt in again] == ["late, not too late"] * 2
        assert len(node.runtime.timers) == 0


@row("GEN-056")
@pytest.mark.parametrize("how", ["time is up", "cancelled", "abandoned"])
async def test_a_request_given_up_has_no_reply(how: str) -> None:
    """By `receive` when its time is up or it is cancelled, and by hand; the server sees it, and its answer vanishes."""
    clock = ManualClock()
    async with Node(clock=clock) as node:
        desk = await start_link(Desk)
        request = Desk.ask.send_request(desk, "x")
        assert not await Desk.given_up(desk, "x")
        if how == "abandoned":
            request.abandon()
        else:
            async with anyio.create_task_group() as group:
                receiving = Attempt(group, request.receive(1.0))
                await settled()
                if how == "cancelled":
                    group.cancel_scope.cancel()
                else:
                    clock.advance(1.0)
                    with pytest.raises(CallTimeout):
                        await receiving.result()
        assert await Desk.given_up(desk, "x")
        await Desk.answer(desk, "x", "for nobody")
        assert not request.done
        assert "given up" in repr(request)
        for wait in (request.wait, request.receive):
            with pytest.raises(RuntimeError, match="its reply never comes"):
                await wait(1.0)
        request.abandon()
        assert flush() == []
        assert not node.runtime.processes[desk.pid].open_requests()


async def test_giving_up_wakes_who_waits() -> None:
    """Another task must not wait for ever for what will not come."""
    async with Node(), anyio.create_task_group() as group:
        desk = await start_link(Desk)
        request = Desk.ask.send_request(desk, "x")
        waiting = Attempt(group, request.wait())
        await settled()
        request.abandon()
        with pytest.raises(RuntimeError):
            await waiting.result()


async def test_giving_up_what_is_done_changes_nothing() -> None:
    """The reply is here, and stays."""
    async with Node():
        request = Counter.add.send_request(await start_link(Counter), 1)
        assert await request.wait() == 1
        request.abandon()
        assert await request.wait() == 1


async def test_the_requests_of_a_process_end_with_it() -> None:
    """The server sees that nobody will read its answer, and nothing is kept."""
    async with Node() as node:
        desk = await start_link(Desk)
        sent: list[SentRequest[str]] = []

        async def ask() -> None:
            sent.append(Desk.ask.send_request(desk, "x"))
            await anyio.sleep_forever()

        asking, ended = spawn_monitor(ask)
        await settled()
        assert not await Desk.given_up(desk, "x")
        send_exit(asking, Kill())
        assert await receive() == Down(ended, asking, Killed())
        assert await Desk.given_up(desk, "x")
        assert not node.runtime.processes[desk.pid].open_requests()
        with pytest.raises(RuntimeError):
            await sent[0].wait()


async def test_many_requests_are_under_way_at_once() -> None:
    """That is what they are for; each of its own process keeps its own reply."""
    async with Node() as node:
        ref = await start_link(Counter)
        requests = [Counter.add.send_request(ref, 1) for _ in range(1000)]
        assert [await request.wait() for request in reversed(requests)] == list(range(1000, 0, -1))
        assert not node.runtime.processes[self_pid()].sent


async def test_outsiders_send_requests_too() -> None:
    """Through a reference, which knows its node."""
    async with anyio.create_task_group() as group:
        replies: list[int] = []

        async def outside(ref: ServerRef[Counter], over: anyio.Event) -> None:
            request = Counter.add.send_request(ref, 2)
            replies.append(await request.wait(1.0))
            over.set()

        over, ready = anyio.Event(), anyio.Event()
        held: list[ServerRef[Counter]] = []

        async def inside() -> None:
            async with Node():
                held.append(await start_link(Counter))
                ready.set()
                await over.wait()

        group.start_soon(inside)
        await ready.wait()
        await outside(held[0], over)
    assert replies == [2]


# -- collections


@row("GEN-057")
async def test_answers_come_out_of_a_collection_in_the_order_they_came_in() -> None:
    """With the label they were added with."""
    async with Node():
        desk = await start_link(Desk)
        requests: RequestCollection[str, int] = RequestCollection()
        sent = {label: Desk.ask.send_request(desk, str(label)) for label in range(4)}
        for label, request in sent.items():
            requests.add(request, label)
        assert len(requests) == 4
        assert list(requests) == [(request, label) for label, request in sent.items()]
        for label in (2, 0, 3):
            await Desk.answer(desk, str(label), f"reply {label}")
        for left, label in ((3, 2), (2, 0), (1, 3)):
            request, found = await requests.wait()
            assert (found, await request.wait(0.0), len(requests)) == (label, f"reply {label}", left)


@row("GEN-057", translated="an answered request leaves the collection: who wants it to stay keeps it elsewhere")
async def test_an_empty_collection_has_nothing_to_wait_for() -> None:
    """It says so at once, whatever the timeout; and nothing can be in it twice."""
    async with Node():
        ref = await start_link(Counter)
        requests: RequestCollection[int, str] = RequestCollection()
        for wait in (requests.wait, requests.receive):
            with pytest.raises(LookupError):
                await wait(None)
        request = Counter.add.send_request(ref, 1)
        requests.add(request, "once")
        with pytest.raises(ValueError, match="already"):
            requests.add(request, "twice")
        assert await requests.wait() == (request, "once")
        requests.add(request, "again")
        assert await requests.receive(0.0) == (request, "again")
        with pytest.raises(LookupError):
            await requests.wait()


@row("GEN-057")
async def test_a_collection_whose_time_is_up_lives_on_or_is_given_up() -> None:
    """As a single request: `wait` keeps them, `receive` gives all of them up."""
    clock = ManualClock()
    async with Node(clock=clock), anyio.create_task_group() as group:
        desk = await start_link(Desk)
        requests: RequestCollection[str, str] = RequestCollection()
        for what in ("x", "y"):
            requests.add(Desk.ask.send_request(desk, what), what)
        for wait, given_up in ((requests.wait, False), (requests.receive, True)):
            waiting = Attempt(group, wait(2.0))
            await settled()
            clock.advance(2.0)
            with pytest.raises(CallTimeout, match=r"any of 2 requests within 2\.0 s"):
                await waiting.result()
            assert [await Desk.given_up(desk, what) for what in "xy"] == [given_up] * 2
        for what in "xy":
            request, label = await requests.wait()
            assert (request.done, label) == (False, what)


@row("GEN-057", translated="one deadline for several waits is a cancel scope around them")
async def test_failures_come_out_like_replies() -> None:
    """The request that failed raises when it is asked."""
    async with Node():
        desk = await start(Desk)
        requests: RequestCollection[object, str] = RequestCollection()
        requests.add(Counter.add.send_request(NOBODY, 1), "nobody")
        requests.add(Desk.ask.send_request(desk, "x"), "killed")
        send_exit(desk, Kill())
        found: list[tuple[str, str]] = []
        with anyio.fail_after(10.0):
            while requests:
                request, label = await requests.wait()
                with pytest.raises((NoProcess, ServerExited)) as failed:
                    await request.wait()
                found.append((label, str(failed.value.reason)))
        assert found == [("nobody", "noproc"), ("killed", "killed")]
