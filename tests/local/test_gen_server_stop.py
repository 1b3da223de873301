"""How servers end: `stop`, and when `terminate` runs."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from regrow import (
    CallTimeout,
    Crash,
    Custom,
    Down,
    Exit,
    Kill,
    Killed,
    Node,
    NoProcess,
    Normal,
    Pid,
    Reason,
    ServerExited,
    Shutdown,
    Stop,
    child,
    flush,
    link,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    start_monitor,
    stop,
    trap_exit,
    unlink,
    whereis,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import (
    Attempt,
    Counter,
    Gate,
    Scripted,
    addresses,
    gates,
    holder_of,
    names,
    raising,
    settled,
    spec_of,
    starters,
    styles,
)

CRASH = ValueError("no")
BROKEN = RuntimeError("terminate is broken")


@row("GEN-039", "PLB-007")
@names
@styles
@starters
async def test_stop_returns_when_the_server_has_ended(style: Any, name: Any, starter: Any) -> None:
    """`terminate` has run, the pid is dead, the name free."""
    async with Node():
        trap_exit(True)
        log: list[object] = []
        ref = await starter(spec_of(name, style(Scripted), log))
        await stop(name or ref)
        assert log == [("terminate", Normal())]
        assert holder_of(name) is None
        with pytest.raises(NoProcess):
            await Scripted.run(ref, raising(CRASH))


@row("GEN-039")
async def test_stop_takes_every_kind_of_address() -> None:
    """A reference, a pid, a name, a typed name, a name with its node."""
    async with Node():
        ref = await start(child(Counter).named("counter"))
        for kind in range(len(await addresses(ref, "counter"))):
            await stop((await addresses(ref, "counter"))[kind])
            assert whereis("counter") is None
            ref = await start(child(Counter).named("counter"))


@row("GEN-040")
@names
@styles
@pytest.mark.parametrize("reason", [Shutdown(), Shutdown("x"), Custom("x"), Crash(CRASH)], ids=str)
async def test_stop_with_a_reason_ends_the_server_with_it(style: Any, name: Any, reason: Reason) -> None:
    """Whatever the reason: that it stopped is what was asked for."""
    async with Node():
        log: list[object] = []
        ref = await start(spec_of(name, style(Scripted), log))
        ended = monitor(ref)
        await stop(name or ref, reason)
        assert log == [("terminate", reason)]
        assert flush() == [Down(ended, ref.pid, reason)]


@row("PLB-007")
@styles
async def test_stop_raises_if_the_server_ended_with_another_reason(style: Any) -> None:
    """Because `terminate` failed, or something else came first."""
    async with Node():
        ref = await start(style(Scripted), [], None, raising(BROKEN))
        with pytest.raises(ServerExited) as caught:
            await stop(ref)
        assert caught.value.reason == Crash(BROKEN)
        ref = await start(Scripted, [])
        Scripted.do(ref, raising(Stop(Custom("first"))))
        with pytest.raises(ServerExited) as caught:
            await stop(ref)
        assert caught.value.reason == Custom("first")


async def test_stop_of_nobody_says_so() -> None:
    """A dead pid and a free name."""
    async with Node():
        ref = await start(Counter)
        await stop(ref)
        for address in (ref, ref.pid, "counter"):
            with pytest.raises(NoProcess):
                await stop(address)


@row("GEN-042")
@pytest.mark.parametrize("bad", [-1, float("nan"), "5"], ids=["negative", "nan", "text"])
async def test_stop_with_a_timeout_that_is_none_stops_nothing(bad: Any) -> None:
    """The request is refused before it is sent."""
    async with Node():
        ref = await start(Counter)
        with pytest.raises((ValueError, TypeError)):
            await stop(ref, timeout=bad)
        assert await Counter.add(ref, 1) == 1


@row("GEN-043", "PLB-007")
@names
async def test_a_stop_that_timed_out_stands(name: Any) -> None:
    """The server is busy and lives; it stops when it gets to the request."""
    clock = ManualClock()
    async with Node(clock=clock), anyio.create_task_group() as group:
        ref = await start(spec_of(name, Gate))
        ended = monitor(ref)
        gate = gates(ref)
        entering = Attempt(group, Gate.enter.with_timeout(None)(ref))
        await gate.arrived.wait()
        stopping = Attempt(group, stop(name or ref, Custom("enough"), timeout=2.0))
        await settled()
        clock.advance(2.0)
        with pytest.raises(CallTimeout):
            await stopping.result()
        assert flush() == []
        gate.open.set()
        assert await entering.result() == 1
        assert await receive() == Down(ended, ref.pid, Custom("enough"))


async def test_stop_waits_its_turn() -> None:
    """What was sent before is handled before."""
    async with Node():
        log: list[object] = []
        ref = await start(Scripted, log)
        for number in range(3):
            send(ref, number)
        await stop(ref)
        assert log == [0, 1, 2, ("terminate", Normal())]


# -- the table of docs/semantics.md


async def ended_with(ref: Any, ended: Any) -> Reason:
    down = await receive(Down)
    assert (down.ref, down.item) == (ended, ref.pid)
    return down.reason


@row("GEN-018")
@styles
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Custom("x")], ids=str)
async def test_the_reply_of_a_stop_is_out_before_terminate_runs(style: Any, reason: Reason) -> None:
    """Then `terminate`, then the end."""
    async with Node():
        order: list[object] = []
        me = self_pid()
        ref, ended = await start_monitor(style(Scripted), order, None, lambda: send(me, "terminating"))
        assert await Scripted.run(ref, raising(Stop(reason, reply="bye"))) == "bye"
        assert await receive() == "terminating"
        assert await ended_with(ref, ended) == reason
        assert order == [("terminate", reason)]


@row("GEN-048")
@pytest.mark.parametrize("way", ["call", "cast", "info", "continue"])
@styles
async def test_a_crash_in_a_callback_runs_terminate(style: Any, way: str) -> None:
    """With the crash as the reason, which is also the exit reason."""
    async with Node():
        log: list[object] = []
        ref, ended = await start_monitor(style(Scripted), log)
        match way:
            case "call":
                with pytest.raises(ServerExited):
                    await Scripted.run(ref, raising(CRASH))
            case "cast":
                Scripted.do(ref, raising(CRASH))
            case "info":
                send(ref, raising(CRASH))
            case _:
                Scripted.do(ref, lambda server: server.continue_with(raising(CRASH)))
        assert await ended_with(ref, ended) == Crash(CRASH)
        assert log == [("terminate", Crash(CRASH))]


@row("GEN-049")
@styles
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Custom("x"), Crash(CRASH)], ids=str)
async def test_a_failing_terminate_replaces_the_reason(style: Any, reason: Reason) -> None:
    """Also an orderly one; `Stop` in `terminate` names another."""
    async with Node():
        for raised, replaced in ((BROKEN, Crash(BROKEN)), (Stop(Custom("other")), Custom("other"))):
            ref, ended = await start_monitor(style(Scripted), [], None, raising(raised))
            Scripted.do(ref, raising(Stop(reason)))
            assert await ended_with(ref, ended) == replaced


@row("GEN-045")
@styles
async def test_without_trapping_a_signal_ends_the_server_without_terminate(style: Any) -> None:
    """The signal of its parent, of another link, or one sent by hand; `Normal` is ignored."""
    async with Node():
        trap_exit(True)
        log: list[object] = []
        ref = await start_link(style(Scripted), log)
        ended = monitor(ref)
        send_exit(ref, Normal())
        await Scripted.run(ref, lambda _: None)
        send_exit(ref, Shutdown())
        assert await ended_with(ref, ended) == Shutdown()
        ref, ended = await start_monitor(style(Scripted), log)
        other = spawn(receive)
        await Scripted.run(ref, lambda _: link(other))
        send_exit(other, Custom("over"))
        assert await ended_with(ref, ended) == Custom("over")
        assert log == []


@row("GEN-046")
@styles
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Custom("x"), Killed()], ids=str)
async def test_a_server_that_traps_obeys_its_parent(style: Any, reason: Reason) -> None:
    """For any reason, `Normal` too, in its turn, and `handle_info` never sees it."""
    async with Node():
        log: list[object] = []

        async def parent(body: Pid) -> None:
            send(body, await start_link(style(Scripted), log, lambda: trap_exit(True)))
            raise Stop(await receive(Reason))

        pid = spawn(parent, self_pid())
        ref: Any = await receive()
        ended = monitor(ref)
        send(ref, "before")
        send(pid, reason)
        assert await ended_with(ref, ended) == reason
        assert log == ["before", ("terminate", reason)]


@row("GEN-046")
async def test_a_signal_that_the_parent_sends_by_hand_counts_as_well() -> None:
    """As in OTP: it is the sender that matters, not the link."""
    async with Node():
        log: list[object] = []
        ref = await start_link(Scripted, log, lambda: trap_exit(True))
        ended = monitor(ref)
        unlink(ref)
        send_exit(ref, Normal())
        assert await ended_with(ref, ended) == Normal()
        assert log == [("terminate", Normal())]


@row("GEN-047")
@styles
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Custom("x"), Killed()], ids=str)
async def test_a_server_that_traps_hears_of_others_and_lives(style: Any, reason: Reason) -> None:
    """Also of the one that started it without a link: that is no parent."""
    async with Node():
        log: list[object] = []
        ref = await start(style(Scripted), log, lambda: trap_exit(True))
        other = spawn(receive)
        await Scripted.run(ref, lambda _: link(other))
        send_exit(ref, reason)
        send(other, "end")
        await settled()
        await Scripted.run(ref, lambda _: None)
        assert log == [Exit(self_pid(), reason), Exit(other, Normal())]


@pytest.mark.parametrize("trapping", [True, False], ids=["trapping", "not_trapping"])
@styles
async def test_a_kill_runs_no_terminate(style: Any, trapping: bool) -> None:
    """Trapping or not, idle."""
    async with Node():
        log: list[object] = []
        ref, ended = await start_monitor(style(Scripted), log, lambda: trap_exit(trapping))
        send_exit(ref, Kill())
        assert await ended_with(ref, ended) == Killed()
        assert log == []


@pytest.mark.parametrize("raised", [Stop(Custom("late"), reply=1), CRASH], ids=["stop", "crash"])
@styles
async def test_a_server_that_killed_itself_cannot_end_otherwise(style: Any, raised: Exception) -> None:
    """The first reason counts: no `terminate`, and no reply of a `Stop` that comes after it."""
    async with Node() as node:
        log: list[object] = []
        ref, ended = await start_monitor(style(Scripted), log)

        def action(_: object) -> None:
            send_exit(self_pid(), Kill())
            raise raised

        with pytest.raises(ServerExited) as caught:
            await Scripted.run(ref, action)
        assert caught.value.reason == Killed()
        assert await ended_with(ref, ended) == Killed()
        assert log == []
        assert list(node.runtime.reports.crashes) == []
