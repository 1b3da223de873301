"""A circle of calls is an error that names the processes in it; what only looks like one is left alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from regrow import (
    NO_REPLY,
    CallCycle,
    CallingSelf,
    CallTimeout,
    Crash,
    Custom,
    Deferred,
    From,
    GenServer,
    Node,
    ServerExited,
    ServerRef,
    StartFailed,
    Supervisor,
    call,
    cast,
    child,
    current_node,
    gen_call,
    multi_call,
    receive,
    reply,
    self_pid,
    send,
    spawn,
    start,
    start_link,
    stop,
    this_request,
)
from regrow.runtime import Process
from regrow.testing import ManualClock

from .call_cycles_kit import holds
from .gen_server_kit import Attempt, settled

Action = Callable[["Actor"], Awaitable[Any]]


class Actor(GenServer):
    """Does what it is told, in a call, a cast or for a message, and keeps what came of it."""

    def __init__(self) -> None:
        self.outcomes: list[Any] = []
        self.later: list[Deferred[str]] = []

    @call(timeout=None)
    async def do(self, action: Action) -> Any:
        return await action(self)

    @cast
    async def do_soon(self, action: Action) -> None:
        await self._keep(action)

    async def handle_call(self, request: Any, from_: From) -> object:
        return await request(self)

    async def handle_info(self, message: Any) -> None:
        await self._keep(message)

    @call(timeout=None)
    async def wait(self) -> str | Deferred[str]:
        self.later.append(Deferred[str]())
        return self.later[-1]

    async def _keep(self, action: Action) -> None:
        try:
            self.outcomes.append(await action(self))
        except (CallCycle, CallTimeout, ServerExited) as error:
            self.outcomes.append(error)


def process_of(ref: ServerRef[Actor]) -> Process:
    return current_node().runtime.processes[ref.pid]


def actor(ref: ServerRef[Actor]) -> Actor:
    server = process_of(ref).server
    assert isinstance(server, Actor)
    return server


async def nothing(_: Actor) -> str:
    return "nothing"


def asking(ref: ServerRef[Actor], then: Action = nothing, timeout_s: float | None = None) -> Action:
    """An action: ask another one to do something."""
    return lambda _: Actor.do.with_timeout(timeout_s)(ref, then)


def asking_plainly(ref: ServerRef[Actor], then: Action = nothing, timeout_s: float | None = None) -> Action:
    """The same in the OTP form."""
    return lambda _: gen_call(ref, then, timeout_s)


def refused(action: Action) -> Action:
    """An action that has to meet a circle; gives the error, which harms nobody."""

    async def act(me: Actor) -> CallCycle:
        with pytest.raises(CallCycle) as found:
            await action(me)
        await holds(found.value.processes)
        return found.value

    return act


@pytest.mark.parametrize("ask", [asking, asking_plainly])
async def test_a_server_that_calls_who_calls_it_is_told_so(ask: Callable[..., Action]) -> None:
    """At once, whatever the timeout, with the names of both; it may go on, and the request was never sent."""
    async with Node(clock=ManualClock()):
        a, b = await start_link(child(Actor).named("a")), await start_link(Actor)
        for timeout_s in (5.0, None):
            error = await Actor.do(a, ask(b, refused(ask(a, nothing, timeout_s))))
            assert str(error) == f"a cycle of calls: Actor {b.pid} -> a {a.pid} -> Actor {b.pid}"
            assert error.processes == (b.pid, a.pid)
            assert error.reason == Custom("call_cycle")
        assert not process_of(a).open_requests()
        assert not process_of(b).open_requests()
        assert await Actor.do(a, asking(b)) == "nothing"


async def test_a_circle_that_nobody_catches_crashes_who_closed_it() -> None:
    """As any `CallError`; the others hear of that, and need not wait for a timeout."""
    async with Node(clock=ManualClock()):
        a, b = await start(Actor), await start(Actor)
        with pytest.raises(ServerExited) as first:
            await Actor.do(a, asking(b, asking(a)))
        assert isinstance(first.value.reason, Crash)
        assert isinstance(first.value.reason.exception, ServerExited)
        inner = first.value.reason.exception.reason
        assert isinstance(inner, Crash)
        assert isinstance(inner.exception, CallCycle)


@pytest.mark.parametrize("length", [3, 5, 20])
async def test_a_circle_may_be_long(length: int) -> None:
    """All are named, in the order in which they call each other."""
    async with Node():
        refs = [await start_link(Actor) for _ in range(length)]
        action = refused(asking(refs[0]))
        for ref in reversed(refs[1:]):
            action = asking(ref, action)
        error = await Actor.do(refs[0], action)
        assert error.processes == (refs[-1].pid, *(ref.pid for ref in refs[:-1]))


async def test_a_circle_need_not_have_begun_with_a_call() -> None:
    """Who calls while it handles a message or a cast answers nobody meanwhile either."""
    async with Node():
        a, b = await start_link(Actor), await start_link(Actor)
        Actor.do_soon(a, asking(b, refused(asking(a))))
        send(a, asking(b, refused(asking(a))))
        await Actor.do(a, nothing)
        assert [error.processes for error in actor(a).outcomes] == [(b.pid, a.pid)] * 2


async def test_of_two_that_call_each_other_at_the_same_moment_one_is_told() -> None:
    """And so the other gets its reply."""
    async with Node():
        for _ in range(10):
            a, b = await start_link(Actor), await start_link(Actor)
            Actor.do_soon(a, asking(b))
            Actor.do_soon(b, asking(a))
            await Actor.do(a, nothing)
            await Actor.do(b, nothing)
            found = sorted(type(each).__name__ for each in actor(a).outcomes + actor(b).outcomes)
            assert found == ["CallCycle", "str"]


async def test_who_waits_in_a_queue_waits_too() -> None:
    """A request need not be in hand: its server is held up all the same."""
    async with Node(), anyio.create_task_group() as group:
        a, b, c = [await start_link(Actor) for _ in range(3)]
        gate = anyio.Event()

        async def hold(_: Actor) -> object:
            await gate.wait()
            return await refused(asking(a))(actor(b))

        holding = Attempt(group, Actor.do(b, hold))
        await settled()
        Actor.do_soon(a, asking(c, asking(b)))  # waits in the queue of b
        await settled()
        gate.set()
        assert (await holding.result()).processes == (b.pid, a.pid, c.pid)
        await Actor.do(a, nothing)
        assert actor(a).outcomes == ["nothing"]


# -- what is no circle


async def test_a_reply_put_off_holds_nobody_up() -> None:
    """It may come from anybody, so whoever put it off may call who waits for it."""
    async with Node(), anyio.create_task_group() as group:
        a, b = await start_link(Actor), await start_link(Actor)
        waiting = Attempt(group, Actor.do(a, lambda _: Actor.wait(b)))
        await settled()
        Actor.do_soon(b, asking(a))
        await settled()
        assert not waiting.over
        actor(b).later[0].set("reply")
        assert await waiting.result() == "reply"
        await Actor.do(b, nothing)
        assert actor(b).outcomes == ["nothing"]


async def test_a_reply_put_off_in_the_otp_form_holds_nobody_up() -> None:
    """`NO_REPLY` says that it is to come later."""
    froms: list[From] = []

    class Putting(Actor):
        async def handle_call(self, request: Any, from_: From) -> object:
            froms.append(from_)
            return NO_REPLY

    async with Node(), anyio.create_task_group() as group:
        a, b = await start_link(Actor), await start_link(Putting)
        waiting = Attempt(group, Actor.do(a, lambda _: gen_call(b, "wait", None)))
        await settled()
        Actor.do_soon(b, asking(a))
        await settled()
        reply(froms[0], "reply")
        assert await waiting.result() == "reply"
        await Actor.do(b, nothing)
        assert actor(b).outcomes == ["nothing"]


async def test_a_reply_given_before_the_handler_is_done_holds_nobody_up() -> None:
    """The caller has it, and goes on."""

    async def early(_: Actor) -> str:
        reply(this_request(), "early")
        assert await Actor.do(a, nothing) == "nothing"
        return "late"

    async with Node():
        a, b = await start_link(Actor), await start_link(Actor)
        assert await Actor.do(a, asking(b, early)) == "early"
        assert await Actor.do(b, nothing) == "nothing"


async def test_who_has_given_up_waits_no_more() -> None:
    """Its time was up, or it was cancelled: it can be called again."""
    clock = ManualClock()
    async with Node(clock=clock):
        for how in ("time is up", "cancelled"):
            a, b = await start_link(Actor), await start_link(Actor)
            gate = anyio.Event()

            async def hold(_: Actor, a: ServerRef[Actor] = a, gate: anyio.Event = gate) -> object:
                await gate.wait()
                return await Actor.do(a, nothing)

            scope = anyio.CancelScope()

            async def give_up(
                me: Actor,
                b: ServerRef[Actor] = b,
                hold: Action = hold,
                scope: anyio.CancelScope = scope,
            ) -> object:
                with scope:
                    return await asking(b, hold, 3.0)(me)
                return "cancelled"

            Actor.do_soon(a, give_up)
            await settled()
            if how == "cancelled":
                scope.cancel()
            else:
                clock.advance(3.0)
            await Actor.do(a, nothing)
            gate.set()
            assert await Actor.do(b, nothing) == "nothing"
            assert [type(each) for each in actor(a).outcomes] == [str if how == "cancelled" else CallTimeout]


async def test_another_task_of_a_server_does_not_hold_it_up() -> None:
    """It may wait for as long as it likes: the server handles what comes."""
    async with Node(), anyio.create_task_group() as group:
        a, b = await start_link(Actor), await start_link(Actor)
        replies: list[object] = []

        async def aside() -> None:
            replies.append(await Actor.do(b, asking(a)))

        async def begin(_: Actor) -> None:
            group.start_soon(aside)

        await Actor.do(a, begin)
        await settled()
        assert replies == ["nothing"]


async def test_a_plain_process_may_answer_while_it_calls() -> None:
    """Nothing is known of its loop, if it has any; another task of it may be the one that answers."""
    async with Node():
        b = await start_link(Actor)
        home = self_pid()

        async def both() -> None:
            async def answer() -> None:
                request = await receive(From)
                reply(request, "answered")

            async with anyio.create_task_group() as group:
                group.start_soon(answer)
                send(home, await Actor.do(b, lambda _: gen_call(plain, "hello", None)))

        plain = spawn(both)
        assert await receive() == "answered"


async def test_servers_that_wait_for_each_other_in_turn_form_no_circle() -> None:
    """One call after the other; what is over holds nobody up."""
    async with Node():
        a, b = await start_link(Actor), await start_link(Actor)
        for _ in range(3):
            assert await Actor.do(a, asking(b)) == "nothing"
            assert await Actor.do(b, asking(a)) == "nothing"
        Actor.do_soon(b, asking(a))
        assert await Actor.do(a, nothing) == "nothing"


# -- other ways to wait


async def test_to_stop_a_server_that_waits_for_the_stopper_is_a_circle() -> None:
    """It would stop only after its own call."""
    async with Node(), anyio.create_task_group() as group:
        a, b = await start_link(Actor), await start(Actor)
        gate = anyio.Event()

        async def hold(me: Actor) -> object:
            await gate.wait()
            return await refused(lambda _: stop(b))(me)

        holding = Attempt(group, Actor.do(a, hold))
        waiting = Attempt(group, Actor.do(b, asking(a)))
        await settled()
        gate.set()
        assert (await holding.result()).processes == (a.pid, b.pid)
        assert await waiting.result() == "nothing"
        await stop(b)


async def test_an_init_that_calls_its_starter_fails() -> None:
    """Who starts a process waits until it is ready."""
    calling: list[Any] = []

    class Calling(GenServer):
        def __init__(self, whom: Callable[[], Awaitable[Any]]) -> None:
            self.whom = whom

        async def init(self) -> None:
            calling.append(self_pid())
            await self.whom()

    async with Node(clock=ManualClock()):
        sup = await start_link(Supervisor)
        with pytest.raises(StartFailed) as failed:
            await Supervisor.start_child(sup, child(Calling, lambda: Supervisor.which_children(sup)))
        assert isinstance(failed.value.reason, Crash)
        assert isinstance(failed.value.reason.exception, CallCycle)
        assert failed.value.reason.exception.processes == (calling[0], sup.pid)
        assert await Supervisor.which_children(sup) == []

        a, b = await start_link(Actor), await start_link(Actor)
        kept: list[CallCycle] = []

        async def through_another() -> None:
            kept.append(await Actor.do(b, refused(asking(a))))

        await Actor.do(a, lambda _: start(Calling, through_another))
        assert kept[0].processes == (b.pid, a.pid, calling[1])


async def test_an_init_may_call_who_does_not_wait_for_it() -> None:
    """And once it is ready, its starter too, even if that has not noticed yet."""

    class Ready(GenServer):
        def __init__(self, other: ServerRef[Actor], starter: ServerRef[Actor]) -> None:
            self.other, self.starter = other, starter

        async def init(self) -> None:
            assert await Actor.do(self.other, nothing) == "nothing"
            self.continue_with("ready")

        async def handle_continue(self, token: object) -> None:
            assert await Actor.do(self.starter, nothing) == "nothing"

        @call
        async def ping(self) -> str:
            return "pong"

    async with Node():
        a, b = await start_link(Actor), await start_link(Actor)
        ready = await Actor.do(a, lambda _: start(Ready, b, a))
        assert await Ready.ping(ready) == "pong"


async def test_a_wait_for_a_request_sent_before_closes_a_circle_as_well() -> None:
    """Sending does not; waiting does. The request lives on."""
    async with Node():
        a, b = await start_link(Actor), await start_link(Actor)

        async def act(me: Actor) -> Any:
            request = Actor.do.send_request(a, nothing)
            error = await refused(lambda _: request.wait())(me)
            assert not request.done
            request.abandon()
            return error

        assert (await Actor.do(a, asking(b, act))).processes == (b.pid, a.pid)

        async def later(_: Actor) -> None:
            kept.append(Actor.do.send_request(a, nothing))

        kept: list[Any] = []
        await Actor.do(a, asking(b, later))
        assert await kept[0].wait() == "nothing"


async def test_a_wait_for_a_request_to_oneself_is_refused() -> None:
    """It can be sent, and is handled in its turn; another process may wait for it."""
    async with Node():
        a = await start_link(Actor)
        kept: list[Any] = []

        async def act(_: Actor) -> str:
            kept.append(Actor.do.send_request(a, nothing))
            with pytest.raises(CallingSelf):
                await kept[0].wait()
            return "told"

        assert await Actor.do(a, act) == "told"
        assert await kept[0].wait() == "nothing"


async def test_a_circle_makes_a_node_bad_in_a_multi_call() -> None:
    """So does the caller itself; who asks many learns of each why it did not reply."""
    async with Node():
        a, b = await start_link(child(Actor).named("a")), await start_link(child(Actor).named("b"))
        for name, error in (("a", CallCycle), ("b", CallingSelf)):
            found = await Actor.do(a, asking(b, lambda _, name=name: multi_call(None, name, nothing)))
            assert found.replies == []
            assert [type(each) for each in found.bad_nodes.values()] == [error]
