"""What is logged: each report as a record with its fields, and nothing in words that nobody reads."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    Crash,
    Custom,
    GenServer,
    Kill,
    Killed,
    Node,
    Pid,
    Shutdown,
    child,
    monitor,
    send,
    send_exit,
    spawn,
    spawn_link,
    start,
)
from regrow.reports import (
    LOGGER,
    CrashReport,
    DropReport,
    GaveUpReport,
    ProgressReport,
    RefusalReport,
    Report,
    Reports,
    RestartReport,
)
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.counting import counted_calls
from tests.local.process_kit import Broken, crash, end_of
from tests.local.supervisor_kit import Script, Tree, end, ended, pid_of, settled, start_tree, workers

CRASH = Crash(Broken("boom"))


def records(caplog: pytest.LogCaptureFixture, kind: str) -> list[dict[str, Any]]:
    """The fields of the records of one kind of report."""
    return [vars(record) for record in caplog.records if vars(record)["report"] == kind]


async def test_a_crash_is_one_record_with_all_there_is_to_know(caplog: pytest.LogCaptureFixture) -> None:
    """Plain values under plain names, for whoever writes JSON; the exception is the record's own."""

    class Box(GenServer):
        def __init__(self) -> None:
            self.value = 1

        async def handle_info(self, message: object) -> None:
            raise Broken(message)

    async with Node("here@localhost") as node:
        ref = await start(child(Box).named("box"))
        send(ref, "text")
        await end_of(ref.pid)
        (fields,) = records(caplog, "crash")
        expected = {
            "levelname": "ERROR",
            "node": "here@localhost",
            "pid": str(ref.pid),
            "process_name": "box",
            "label": "Box",
            "reason": "Broken: text",
            "ancestors": [str(node.runtime.body and node.runtime.body.pid)],
            "last_message": "'text'",
            "state": {"value": "1"},
        }
        assert expected.items() <= fields.items()
        assert isinstance(fields["exc_info"][1], Broken)


@row("SUP-079")
async def test_a_restart_is_one_record_that_says_who_else_was_stopped(caplog: pytest.LogCaptureFixture) -> None:
    """Why, by which strategy, who was stopped and started with it, and what is left of the budget."""
    async with Node() as node:
        specs = workers(Script(), "abcd")
        specs[2] = specs[2].with_(restart="temporary")
        sup = await start_tree(*specs, strategy="rest_for_one", intensity=3)
        b = await pid_of(sup, "b")
        await end(b, CRASH)
        await settled()
        (report,) = node.runtime.reports.restarts
        assert (report.stopped, report.restarted_with) == (("d", "c"), ("d",))
        (fields,) = records(caplog, "restart")
        expected = {
            "levelname": "WARNING",
            "supervisor": str(sup.pid),
            "child": "b",
            "pid": str(b),
            "reason": "Broken: boom",
            "strategy": "rest_for_one",
            "stopped": ["d", "c"],
            "restarted_with": ["d"],
            "budget_left": 2,
            "period_s": 5.0,
        }
        assert expected.items() <= fields.items()


@row("SUP-079")
async def test_giving_up_is_one_record_too(caplog: pytest.LogCaptureFixture) -> None:
    """The last restart is the one that does not happen."""
    async with Node():
        sup = await start_tree(*workers(Script(), "a"), intensity=0)
        gone = monitor(sup)
        await end(await pid_of(sup, "a"), Kill())
        assert await ended(gone) == Shutdown()
        (fields,) = records(caplog, "gave_up")
        assert {"supervisor": str(sup.pid), "child": "a", "reason": "killed", "intensity": 0}.items() <= fields.items()
        assert fields["args"] == (
            GaveUpReport("nonode@nohost", str(sup.pid), sup.pid, "a", Killed(), 0, 5.0, fields["at"]),
        )


@row("SUP-079")
async def test_each_start_of_a_child_is_one_record_for_who_wants_it(caplog: pytest.LogCaptureFixture) -> None:
    """At a level that is off by default."""
    with caplog.at_level(logging.INFO, "regrow"):
        async with Node():
            sup = await start_tree(child(Tree, *workers(Script(), "a")).named("top").with_(id="top"))
            below, top = records(caplog, "progress")
            assert (below["supervisor"], below["child"]) == ("top", "a")
            assert (top["supervisor"], top["child"]) == (str(sup.pid), "top")
            assert {"levelname": "INFO", "pid": str(await pid_of(sup, "top"))}.items() <= top.items()


async def test_who_refuses_to_end_is_one_record_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    """A second after it was told to."""
    clock, done = ManualClock(), anyio.Event()

    class Deaf(GenServer):
        async def handle_info(self, message: object) -> None:
            with anyio.CancelScope(shield=True):
                await done.wait()

    async with Node(clock=clock):
        ref = await start(child(Deaf).named("deaf"))
        send(ref, "wait")
        await settled()
        send_exit(ref, Custom("go"))
        for _ in range(20):
            await checkpoint()
        clock.advance(1.0)
        for _ in range(20):
            await checkpoint()
        (fields,) = records(caplog, "refusal")
        expected = {"pid": str(ref.pid), "process_name": "deaf", "label": "Deaf", "reason": "go", "waited_s": 1.0}
        assert expected.items() <= fields.items()
        assert "await done.wait()" in fields["stack"]
        done.set()


def pid() -> Pid:
    return Pid("here@localhost", 1, 0, 1)


REPORTS: list[Report] = [
    RestartReport("here@localhost", "top", "a", pid(), CRASH, "one_for_one", (), (), 1, 5.0),
    GaveUpReport("here@localhost", "top", pid(), "a", CRASH, 1, 5.0),
    RefusalReport("here@localhost", pid(), None, "Deaf", Killed(), 1.0, "  stack"),
    DropReport("here@localhost", pid(), "Box", 10, 3),
    ProgressReport("here@localhost", "top", "a", pid()),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.kind)
def test_no_field_hides_one_that_every_record_has(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    """`logging` would refuse the record."""
    with caplog.at_level(logging.DEBUG, "regrow"):
        Reports("here@localhost").add(report)
    (record,) = caplog.records
    assert report.fields().items() <= vars(record).items()
    assert record.getMessage() == str(report)


class Unread(Report):
    """Nobody may put it into words."""

    kind = "unread"

    def fields(self) -> dict[str, object]:
        raise AssertionError("nobody asked for the fields")

    def __str__(self) -> str:
        raise AssertionError("nobody asked for the text")


class Unspoken(Unread):
    def fields(self) -> dict[str, object]:
        return {}


def text_that_nobody_wants() -> str:
    raise AssertionError("nobody asked for the text")


def test_what_nobody_logs_is_not_put_into_words() -> None:
    """The reports of a busy node cost no more than their making."""
    reports = Reports("here@localhost")
    level = LOGGER.level
    LOGGER.setLevel(logging.CRITICAL)
    try:
        assert not reports.wants(Unread)
        reports.add(Unread())
        reports.warning(text_that_nobody_wants)
        reports.progress(text_that_nobody_wants)
    finally:
        LOGGER.setLevel(level)
    assert reports.wants(Unread)


def test_a_report_is_put_into_words_by_the_handler_that_writes_it() -> None:
    """A handler for errors alone leaves a warning as it is."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    propagate, LOGGER.propagate = LOGGER.propagate, False
    LOGGER.addHandler(handler)
    try:
        Reports("here@localhost").add(Unspoken())
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.propagate = propagate
    assert LOGGER.propagate


IN_WORDS = (
    "linecache.getline",
    "regrow.reports.CrashReport.__str__",
    "regrow.reports.Report.fields",
    "regrow.reports.RestartReport.__str__",
    "traceback.StackSummary.format",
)
"""What is called to put a crash and a restart into words, and is so once for each exception, report or line."""


async def work_of_a_crash(node: Node) -> tuple[dict[str, int], CrashReport, RestartReport]:
    """What of it was putting into words, and the reports that it left."""
    sup = await start_tree(*workers(Script(), "a"))
    pid = await pid_of(sup, "a")
    with counted_calls() as count:
        await end(pid, Crash(Broken("boom")))
        await settled()
    (crashed,), (restarted,) = node.runtime.reports.crashes, node.runtime.reports.restarts
    return {name: count[name] for name in IN_WORDS if count[name]}, crashed, restarted


async def test_nothing_of_a_crash_is_put_into_words_when_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """The server is there again before anybody has read a line of source; whoever looks makes the words, once."""
    with caplog.at_level(logging.CRITICAL, "regrow"):
        async with Node() as node:
            in_words, crashed, restarted = await work_of_a_crash(node)
    assert in_words == {}
    with counted_calls() as count:
        assert "raise reason.exception" in crashed.traceback
        assert restarted.reason == crashed.reason
    assert count["traceback.StackSummary.format"] == 1


async def test_a_crash_is_put_into_words_when_somebody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """Or else that none are made would say nothing."""
    async with Node() as node:
        in_words, crashed, restarted = await work_of_a_crash(node)
    assert in_words.keys() == set(IN_WORDS)
    assert [record.args for record in caplog.records] == [(crashed,), (restarted,)]


async def test_one_report_for_each_crash_and_none_for_who_goes_down_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """Ten processes linked in a chain, of which the last crashes."""

    async def chain(left: int) -> None:
        if left == 0:
            await crash(Broken("the last"))
        spawn_link(chain, left - 1)
        await anyio.sleep_forever()

    async with Node() as node:
        assert str(await end_of(spawn(chain, 10))) == "Broken: the last"
        assert len(node.runtime.reports.crashes) == len(records(caplog, "crash")) == 1
