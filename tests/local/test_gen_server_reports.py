"""Which ends of servers are reported, how often, and what the report says."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from regrow import (
    Crash,
    Custom,
    Down,
    GenServer,
    Kill,
    Name,
    Node,
    Normal,
    Pid,
    Reason,
    ServerExited,
    Shutdown,
    StartFailed,
    Stop,
    child,
    gen_call,
    gen_cast,
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
)
from regrow.reports import CrashReport
from tests.harness import row

from .gen_server_kit import Counter, Scripted, raising, styles

CRASH = ValueError("no")


class Unspeakable:
    """Has no text."""

    def __repr__(self) -> str:
        raise RuntimeError("not telling")


def reports(node: Node, caplog: pytest.LogCaptureFixture) -> list[CrashReport]:
    """The crash reports of the node; the log has each of them once, and nothing else at that level."""
    kept = list(node.runtime.reports.crashes)
    logged = [record.args[0] for record in caplog.records if record.levelno >= logging.ERROR and record.args]
    assert logged == kept
    return kept


@row("GEN-050")
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("x")], ids=str)
@styles
async def test_quiet_reasons_leave_no_report(style: Any, reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """Raised by a callback, or asked for with `stop`."""
    async with Node() as node:
        ref, _ = await start_monitor(style(Scripted), [])
        Scripted.do(ref, raising(Stop(reason)))
        await receive(Down)
        ref = await start(style(Scripted), [])
        await stop(ref, reason)
        assert reports(node, caplog) == []


@row("GEN-050", "GEN-040")
@pytest.mark.parametrize("reason", [Custom("x"), Crash(CRASH)], ids=str)
@styles
async def test_any_other_reason_leaves_exactly_one(
    style: Any, reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    """However the server came to it."""
    async with Node() as node:
        ways = [raising(Stop(reason))]
        if isinstance(reason, Crash):
            ways.append(raising(reason.exception))
        for way in ways:
            ref, _ = await start_monitor(style(Scripted), [])
            Scripted.do(ref, way)
            await receive(Down)
        await stop(await start(style(Scripted), []), reason)
        assert [str(report.reason) for report in reports(node, caplog)] == [str(reason)] * (len(ways) + 1)


async def test_a_failing_terminate_is_reported_also_after_a_quiet_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The reason it replaces the quiet one with is the one that counts."""
    async with Node() as node:
        ref = await start(Scripted, [], None, raising(CRASH))
        with pytest.raises(ServerExited):
            await stop(ref)
        assert [str(report.reason) for report in reports(node, caplog)] == ["ValueError: no"]


@pytest.mark.parametrize("signal", [Kill(), Custom("x"), Shutdown()], ids=str)
async def test_who_is_ended_by_a_signal_leaves_none(signal: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever sent it knows why."""
    async with Node() as node:
        ref, _ = await start_monitor(Scripted, [])
        send_exit(ref, signal)
        await receive(Down)
        assert reports(node, caplog) == []


@pytest.mark.parametrize("trapping", [True, False], ids=["trapping", "not_trapping"])
async def test_who_goes_down_with_its_parent_leaves_none(trapping: bool, caplog: pytest.LogCaptureFixture) -> None:
    """One crash, one report: also where the linked server traps, and ends in order because of it."""

    class Parent(GenServer):
        async def handle_call(self, request: Any, from_: object) -> object:
            return await start_link(Scripted, [], lambda: trap_exit(trapping))

        async def handle_cast(self, request: object) -> None:
            raise CRASH

    async with Node() as node:
        parent = await start(Parent)
        linked = await gen_call(parent, "start")
        ended = monitor(linked)
        gen_cast(parent, "crash")
        assert await receive() == Down(ended, linked.pid, Crash(CRASH))
        assert [report.pid for report in reports(node, caplog)] == [parent.pid]


async def test_an_own_failure_on_the_way_down_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """What was inherited is silent; an error of its own `terminate` is not."""

    async def parent(body: Pid) -> None:
        send(body, await start_link(Scripted, [], lambda: trap_exit(True), raising(CRASH)))
        await receive()

    async with Node() as node:
        pid = spawn(parent, self_pid())
        ref: Any = await receive()
        ended = monitor(ref)
        send_exit(pid, Kill())
        assert await receive() == Down(ended, ref.pid, Crash(CRASH))
        assert [str(report.reason) for report in reports(node, caplog)] == ["ValueError: no"]


async def test_a_failed_start_leaves_none(caplog: pytest.LogCaptureFixture) -> None:
    """Its starter has the exception, and decides."""
    async with Node() as node:
        with pytest.raises(StartFailed):
            await start(Scripted, [], raising(CRASH))
        assert reports(node, caplog) == []


async def test_an_uncaught_call_error_is_reported_beside_the_crash_it_came_from(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two processes crashed, each by its own error; the second names the first as its cause."""
    async with Node() as node:
        ref = await start(Scripted, [])
        pid = spawn(lambda: Scripted.run(ref, raising(CRASH)))
        monitor(pid)
        await receive(Down)
        first, second = reports(node, caplog)
        assert (first.pid, str(first.reason)) == (ref.pid, "ValueError: no")
        assert second.pid == pid
        assert str(second.reason).startswith("ServerExited")
        assert "ValueError: no\n\nThe above exception was the direct cause" in second.traceback


@row("GEN-051")
async def test_a_report_says_who_crashed_of_what_and_what_it_was_doing(caplog: pytest.LogCaptureFixture) -> None:
    """Name, pid, reason with its traceback, ancestors, links, the state, the last message and who sent it."""

    def fail_here(_: object) -> None:
        raise CRASH

    async with Node("here@localhost") as node:
        trap_exit(True)
        ref = await start_link(child(Scripted, [1, 2]).named("scripted"))
        with pytest.raises(ServerExited):
            await Scripted.run(ref, fail_here)
        (report,) = reports(node, caplog)
        assert (report.node, report.pid, report.name, report.label) == (node.name, ref.pid, "scripted", "Scripted")
        assert (report.ancestors, report.links) == ((self_pid(),), (self_pid(),))
        assert report.state == {
            "log": f"[1, 2, ('terminate', {Crash(CRASH)!r})]",
            "on_init": "None",
            "on_terminate": "None",
        }
        assert "in fail_here" in report.traceback
        assert str(report.last_message).startswith("Call(run(<function")
        assert str(report.last_message).endswith(f"from {self_pid()})")
        assert f"scripted (Scripted {ref.pid}) crashed: ValueError: no" in caplog.text
        assert "in fail_here" in caplog.text


@row("GEN-051")
@pytest.mark.parametrize(
    ("way", "handled"),
    [("cast", "Cast(do(<"), ("info", "<function"), ("continue", "Continue(token=<function"), ("otp", "Call(request(<")],
)
async def test_the_last_message_is_the_one_that_was_handled(
    way: str, handled: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also in a continuation, which no message asked for."""
    async with Node() as node:
        ref, _ = await start_monitor(Scripted, [])
        match way:
            case "cast":
                Scripted.do(ref, raising(CRASH))
            case "info":
                send(ref, raising(CRASH))
            case "otp":
                with pytest.raises(ServerExited):
                    await gen_call(ref, raising(CRASH))
            case _:
                await Scripted.run(ref, lambda server: server.continue_with(raising(CRASH)))
        await receive(Down)
        (report,) = reports(node, caplog)
        assert str(report.last_message).startswith(handled)


async def test_what_cannot_be_printed_harms_nobody() -> None:
    """The text of a timeout is made by the node's own timer: an argument's `repr` must not take the node down."""

    class Slow(GenServer):
        async def handle_call(self, request: object, from_: object) -> object:
            return await anyio.sleep_forever()

    async with Node():
        ref = await start(Slow)
        with pytest.raises(TimeoutError, match="Unspeakable whose repr raised RuntimeError"):
            await gen_call(ref, Unspeakable(), timeout=0.001)
        assert await Counter.add(await start_link(child(Counter).named("counter")), 1) == 1
        assert await Counter.add(Name("counter", Counter), 1) == 2
        send_exit(ref, Kill())
