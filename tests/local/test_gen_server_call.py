"""What a call promises: one handling at most, in order, and an answer or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from regrow import (
    CallError,
    CallTimeout,
    Crash,
    Custom,
    GenServer,
    Kill,
    Killed,
    Name,
    NoConnection,
    Node,
    NoProc,
    NoProcess,
    Normal,
    Pid,
    Reason,
    ServerExited,
    ServerRef,
    Shutdown,
    Stop,
    call,
    cast,
    child,
    current_node,
    flush,
    gen_call,
    gen_cast,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    stop,
    whereis,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Attempt, Counter, Gate, Scripted, addresses, gates, raising, settled, styles

CRASH = ValueError("no")

forms = pytest.mark.parametrize("ask", [Scripted.run, gen_call], ids=["typed", "otp_form"])


@row("GEN-013")
@styles
async def test_a_server_is_called_by_every_kind_of_address(style: Any) -> None:
    """A reference, a pid, a name, a typed name, a name with its node."""
    async with Node():
        ref = await start_link(child(style(Counter), 0).named("counter"))
        for expected, address in enumerate(await addresses(ref, "counter"), 1):
            assert await Counter.add(address, 1) == expected
            assert await gen_call(address, "hello") == ("hello", expected)
        for address in await addresses(ref, "counter"):
            await Counter.add(address, 1)
            Counter.reset(address)
            assert await gen_call(ref, "hello") == ("hello", 0)


@row("GEN-013", "GEN-014", "GEN-015")
@pytest.mark.parametrize("form", ["typed", "otp_form"])
async def test_a_call_waits_five_seconds_and_gives_up_only_the_waiting(form: str) -> None:
    """The server handles the request all the same, goes on, and its late reply vanishes."""
    clock = ManualClock()
    async with Node(clock=clock), anyio.create_task_group() as group:
        gate = anyio.Event()

        class Slow(Counter):
            @call
            async def wait(self) -> int:
                await gate.wait()
                return await self.add(1)

            async def handle_call(self, request: object, from_: object) -> object:
                return await self.wait()

        ref = await start_link(Slow)
        attempt = Attempt(group, Slow.wait(ref) if form == "typed" else gen_call(ref, "wait"))
        await settled()
        clock.advance(4.999)
        await settled()
        assert not attempt.over
        clock.advance(0.001)
        with pytest.raises(CallTimeout, match=r"within 5\.0 s") as caught:
            await attempt.result()
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.reason == Custom("timeout")
        gate.set()
        assert await Counter.add(ref, 1) == 2
        assert flush() == []


@row("GEN-013")
@pytest.mark.parametrize("for_ever", ["with_timeout", "class", "otp_form"])
async def test_a_call_may_wait_for_ever(for_ever: str) -> None:
    """`None` is OTP's infinity: no timer is set at all."""
    clock = ManualClock()

    class Patient(Gate):
        @call(timeout=None)
        async def enter_at_leisure(self) -> int:
            return await self.enter()

        async def handle_call(self, request: object, from_: object) -> object:
            return await self.enter()

    async with Node(clock=clock), anyio.create_task_group() as group:
        ref = await start_link(Patient)
        calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "with_timeout": lambda: Gate.enter.with_timeout(None)(ref),
            "class": lambda: Patient.enter_at_leisure(ref),
            "otp_form": lambda: gen_call(ref, "enter", timeout=None),
        }
        attempt = Attempt(group, calls[for_ever]())
        await settled()
        clock.advance(1e9)
        await settled()
        assert not attempt.over
        gates(ref).open.set()
        assert await attempt.result() == 1


async def test_the_time_to_wait_may_be_given_for_a_call_and_for_a_method() -> None:
    """`with_timeout` wins over `@call(timeout=...)`, and leaves the method as it was."""
    clock = ManualClock()

    class Quick(Gate):
        @call(timeout=1.0)
        async def enter_soon(self) -> int:
            return await self.enter()

    async with Node(clock=clock), anyio.create_task_group() as group:
        ref = await start_link(Quick)
        for seconds, ask in [(0.5, Quick.enter_soon.with_timeout(0.5)), (1.0, Quick.enter_soon)]:
            attempt = Attempt(group, ask(ref))
            await settled()
            clock.advance(seconds - 0.01)
            await settled()
            assert not attempt.over
            clock.advance(0.01)
            with pytest.raises(CallTimeout, match=f"within {seconds} s"):
                await attempt.result()
        gates(ref).open.set()


async def test_time_that_has_run_out_already_still_lets_the_call_be_sent() -> None:
    """With 0 seconds the answer is a timeout, and the server handles the request."""
    async with Node():
        ref = await start_link(Gate)
        gates(ref).open.set()
        with pytest.raises(CallTimeout):
            await Gate.enter.with_timeout(0)(ref)
        assert await Gate.count(ref) == 1


@pytest.mark.parametrize("bad", [-1, float("nan"), "5"], ids=["negative", "nan", "text"])
async def test_a_timeout_that_is_none_is_refused_before_anything_is_sent(bad: Any) -> None:
    """The mistake is the caller's, and the server never hears of it."""
    async with Node():
        ref = await start_link(Gate)
        gates(ref).open.set()
        for ask in (Gate.enter.with_timeout(bad)(ref), gen_call(ref, "enter", timeout=bad)):
            with pytest.raises((ValueError, TypeError)):
                await ask
        assert await Gate.count(ref) == 0


@row("GEN-016", "GEN-017")
@forms
@styles
@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        pytest.param(CRASH, Crash(CRASH), id="crash"),
        pytest.param(Stop(Shutdown()), Shutdown(), id="shutdown"),
        pytest.param(Stop(Shutdown("x")), Shutdown("x"), id="shutdown_x"),
        pytest.param(Stop(Custom("x")), Custom("x"), id="custom"),
        pytest.param(Stop(), Normal(), id="normal"),
    ],
)
async def test_a_server_that_ends_in_a_call_is_seen_at_once_with_its_reason(
    style: Any, ask: Any, raised: Exception, reason: Reason
) -> None:
    """Also in order: a call without a reply is an error whatever the reason. The clock stands still here."""
    async with Node(clock=ManualClock()):
        ref = await start(style(Scripted), [])
        with pytest.raises(ServerExited) as caught:
            await ask(ref, raising(raised))
        assert isinstance(caught.value, CallError)
        assert caught.value.reason == reason
        assert caught.value.__cause__ is (raised if raised is CRASH else None)
        assert flush() == []


@row("GEN-016")
async def test_all_who_wait_for_a_server_that_is_killed_hear_of_it() -> None:
    """The call in hand and those behind it in the queue."""
    async with Node(clock=ManualClock()), anyio.create_task_group() as group:
        ref = await start(Gate)
        attempts = [Attempt(group, Gate.enter.with_timeout(None)(ref)) for _ in range(3)]
        await settled()
        send_exit(ref, Kill())
        for attempt in attempts:
            with pytest.raises(ServerExited) as caught:
                await attempt.result()
            assert caught.value.reason == Killed()


async def test_a_call_to_a_server_on_its_way_out_gets_its_reason() -> None:
    """It was alive, so it is no `NoProcess`; and it takes no request any more."""
    async with Node(clock=ManualClock()), anyio.create_task_group() as group:
        leave = anyio.Event()

        class Leaving(Counter):
            async def terminate(self, reason: Reason) -> None:
                await leave.wait()

        ref = await start(Leaving)
        stopping = Attempt(group, stop(ref, Custom("closed")))
        await settled()
        attempt = Attempt(group, Counter.add(ref, 1))
        await settled()
        leave.set()
        with pytest.raises(ServerExited) as caught:
            await attempt.result()
        assert caught.value.reason == Custom("closed")
        await stopping.result()


@row("GEN-021")
@pytest.mark.parametrize("timeout", [5.0, None], ids=["5s", "for_ever"])
async def test_a_call_to_nobody_fails_at_once(timeout: float | None) -> None:
    """A dead pid and a free name, also with all the time in the world."""
    async with Node(clock=ManualClock()) as node:
        ref = await start(child(Counter).named("counter"))
        everything = await addresses(ref, "counter")
        await stop(ref)
        for address in everything:
            for ask in (Counter.add.with_timeout(timeout)(address, 1), gen_call(address, "hello", timeout)):
                with pytest.raises(NoProcess) as caught:
                    await ask
                assert isinstance(caught.value, CallError)
                assert isinstance(caught.value, LookupError)
                assert caught.value.reason == NoProc()
        with pytest.raises(NoProcess):
            ServerRef(whereis("counter"), Counter)
        assert len(node.runtime.timers) == 0


@row("GEN-022")
async def test_a_call_to_a_node_that_cannot_be_reached_fails_at_once() -> None:
    """By name and by pid; OTP's `{nodedown, Node}`."""
    async with Node("here@localhost", clock=ManualClock()) as node:
        far = Pid("there@localhost", 1, 0, 1)
        for address in (("counter", "there@localhost"), Name("counter", Counter).at("there@localhost"), far):
            for ask in (Counter.add(address, 1), gen_call(address, "hello", None), stop(address)):  # type: ignore[arg-type]
                with pytest.raises(ServerExited) as caught:
                    await ask
                assert caught.value.reason == NoConnection()
        assert len(node.runtime.timers) == 0


@row("GEN-030")
@styles
async def test_a_cast_neither_waits_nor_fails(style: Any) -> None:
    """To a dead pid, a free name, an unreachable node, a busy server, and to the sender itself."""
    async with Node("here@localhost"):
        ref = await start(child(style(Counter)).named("counter"))
        everything = await addresses(ref, "counter")
        await stop(ref)
        far = Pid("there@localhost", 1, 0, 1)
        for address in [*everything, ("x", "there@localhost"), Name("x", Counter).at("there@localhost"), far]:
            gen_cast(address, "hello")
            Counter.reset(address)
        busy = await start_link(Gate)
        spawn(lambda: Gate.enter(busy))
        await gates(busy).arrived.wait()
        gen_cast(busy.pid, "queued")
        assert len(current_node().runtime.processes[busy.pid].mailbox.queue) == 1


async def test_a_cast_to_oneself_is_handled_in_its_turn() -> None:
    """A server may put work off by casting to itself; what came before is not overtaken."""
    log: list[object] = []

    class Chatty(GenServer):
        @cast
        async def first(self) -> None:
            Chatty.second(ServerRef(self_pid(), Chatty))
            log.append("first")

        @cast
        async def second(self) -> None:
            log.append("second")
            send(body, "done")

        async def handle_info(self, message: object) -> None:
            log.append(message)

    async with Node():
        body = self_pid()
        ref = await start_link(Chatty)
        Chatty.first(ref)
        send(ref, "sent meanwhile")
        assert await receive() == "done"
    assert log == ["first", "sent meanwhile", "second"]
