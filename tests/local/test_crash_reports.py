"""What a crash leaves, whatever kind of process it was; and the chain of those who started it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from regrow import (
    ChildSpec,
    Crash,
    Custom,
    GenServer,
    Killed,
    Node,
    NotAProcess,
    Pid,
    Shutdown,
    StartFailed,
    Supervisor,
    ancestors,
    child,
    gen_call,
    receive,
    self_pid,
    send,
    spawn,
    spawn_link,
    start,
    start_link,
    trap_exit,
    whereis,
)
from regrow.reasons import Normal, Reason
from tests.harness import row

from .process_kit import Broken, crash, end_of, end_with

# -- reports


@row("PLB-005")
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("moving")], ids=str)
async def test_a_quiet_end_leaves_no_report(reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """Of a plain process, as of a server."""
    async with Node() as node:
        assert await end_of(spawn(end_with, reason)) == reason
        assert not node.runtime.reports.crashes
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@row("PLB-005", translated="the pids of its links; the function or class it ran is its label")
@pytest.mark.parametrize("reason", [Custom("out of paper"), Killed()], ids=str)
async def test_any_other_end_leaves_exactly_one_report(reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """It says who it was, what it ran, who started it, and who hears of it."""

    async def parent(home: Pid) -> None:
        trap_exit(True)
        send(home, spawn_link(end_with, reason))
        await receive()

    async with Node() as node:
        starter = spawn(parent, self_pid())
        pid = await receive(Pid)
        await end_of(starter)
        (report,) = node.runtime.reports.crashes
        assert (report.pid, report.label, report.reason) == (pid, "end_with", reason)
        assert (report.ancestors, report.links) == ((starter, self_pid()), (starter,))
        assert (report.state, report.last_message, report.traceback) == ({}, None, "")
        (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert vars(record)["pid"] == str(pid)
        assert vars(record)["reason"] == str(reason)


@row("PLB-005")
async def test_the_report_of_an_exception_has_its_class_text_and_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the exception itself, for those who collect them."""
    error = Broken("badly")
    async with Node() as node:
        assert await end_of(spawn(crash, error)) == Crash(error)
        (report,) = node.runtime.reports.crashes
        assert str(report.reason) == "Broken: badly"
        assert "in crash" in report.traceback
        (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert record.exc_info is not None
        assert record.exc_info[1] is error


# -- ancestors


class Relative(GenServer):
    """Knows who it descends from."""

    async def handle_call(self, request: object, from_: object) -> object:
        return ancestors()


class Upper(Supervisor):
    def init(self) -> list[ChildSpec]:
        return [child(Lower).named("lower")]


class Lower(Supervisor):
    def init(self) -> list[ChildSpec]:
        return [child(Relative).named("relative")]


@row("PLB-006")
async def test_a_process_knows_who_started_it_and_so_on() -> None:
    """Through supervisors and plain processes alike, linked or not, the nearest first."""

    async def between(home: Pid) -> None:
        send(home, await gen_call(await start(Relative), "who"))
        send(home, ancestors())
        spawn(below, home)

    async def below(home: Pid) -> None:
        send(home, ancestors())

    async with Node():
        upper = await start_link(Upper)
        lower = whereis("lower")
        assert await gen_call("relative", "who") == (lower, upper.pid, self_pid())
        pid = spawn(between, self_pid())
        assert [await receive() for _ in range(3)] == [(pid, self_pid()), (self_pid(),), (pid, self_pid())]
        assert ancestors() == ()


async def test_who_is_no_process_has_no_ancestors() -> None:
    """It was not started by one."""
    node = Node()
    async with node:
        pass
    with pytest.raises(NotAProcess):
        ancestors()


# -- options


@row("PLB-008", translated="there are no spawn options: an argument that nobody knows is refused, by whoever got it")
@pytest.mark.parametrize("starter", [start, start_link])
async def test_an_option_that_is_none_is_refused(starter: Any) -> None:
    """A monitor is asked for with `start_monitor`, not with an option that would be swallowed."""
    async with Node():
        with pytest.raises(TypeError, match="monitor"):
            child(Relative).with_(monitor=True)  # type: ignore[call-arg]
        with pytest.raises(StartFailed, match="TypeError"):
            await starter(Relative, monitor=True)
        reason = await end_of(spawn(end_with, Normal(), monitor=True))  # type: ignore[call-arg]
        assert str(reason).startswith("TypeError")
