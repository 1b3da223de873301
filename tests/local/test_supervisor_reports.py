"""What a supervisor tells its operators, what it does with what it does not understand, and what it costs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from regrow import (
    Crash,
    GenServer,
    Kill,
    Killed,
    Node,
    Reason,
    ServerRef,
    Shutdown,
    UnknownRequest,
    call,
    child,
    gen_call,
    gen_cast,
    monitor,
    send,
    send_exit,
    trap_exit,
)
from regrow.calls import BoundCall
from regrow.reports import RestartReport
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.counting import counted_calls
from tests.local.supervisor_kit import (
    STRATEGIES,
    Broken,
    Script,
    Tree,
    children,
    end,
    ended,
    pid_of,
    settled,
    start_tree,
    worker,
    workers,
)

CRASH = Crash(ValueError("boom"))


@row("SUP-079")
async def test_a_restart_report_says_why_with_whom_and_what_is_left() -> None:
    """It is what an operator reads first: no need to put it together from five log lines."""
    script, crash = Script(), Crash(ValueError("boom"))
    async with Node("here@localhost") as node:
        tree = child(Tree, *workers(script, "abc"), strategy="rest_for_one", intensity=3, period=60.0).named("top")
        sup = await start_tree(tree.with_(id="top"))
        top = await pid_of(sup, "top")
        b = node.runtime.processes[top].runner.children["b"].process.pid  # type: ignore[attr-defined]
        await end(b, crash)
        await settled()
        (report,) = node.runtime.reports.restarts
        assert report == RestartReport(
            node="here@localhost",
            supervisor="top",
            child="b",
            pid=b,
            reason=crash,
            strategy="rest_for_one",
            stopped=("c",),
            restarted_with=("c",),
            budget_left=2,
            period_s=60.0,
            at=report.at,
        )
        assert str(report) == (
            "top restarts b with c (rest_for_one): ValueError: boom; budget left: 2 more within 60 s"
        )


@row("SUP-079")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_each_restart_and_each_try_leaves_exactly_one_report(
    strategy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash is one crash report; a failed try is no crash of its own, its reason is in the next restart report."""
    script = Script()
    error = Broken("no")
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"), strategy=strategy, intensity=5)
        script.fail("a", error, error)
        a = await pid_of(sup, "a")
        await end(a, CRASH)
        await settled()
        reports = node.runtime.reports
        assert [(report.pid, str(report.reason), report.budget_left) for report in reports.restarts] == [
            (a, str(CRASH), 4),
            (None, str(Crash(error)), 3),
            (None, str(Crash(error)), 2),
        ]
        assert [report.pid for report in reports.crashes] == [a]
        logged = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [record.levelname for record in logged] == ["ERROR", "WARNING", "WARNING", "WARNING"]


@row("SUP-079")
async def test_a_supervisor_that_gives_up_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the child, its reason and the limit; its own end is quiet."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "a"), intensity=0)
        gone = monitor(sup)
        await end(await pid_of(sup, "a"), Kill())
        assert await ended(gone) == Shutdown()
        (text,) = (record.message for record in caplog.records if record.levelno >= logging.WARNING)
        assert "gives up: a ended (killed), and more than 0 restarts within 5 s are too many" in text
        assert not node.runtime.reports.restarts


@row("SUP-079")
async def test_a_child_that_did_not_stop_in_time_is_named_with_what_it_was_doing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Which service, how long, and where it hangs: the three questions after a slow shutdown."""
    script, clock = Script(), ManualClock()
    script.hold("slow")
    async with Node(clock=clock):
        sup = await start_tree(worker(script, "slow", shutdown=2.0))
        gone, pid = monitor(sup), await pid_of(sup, "slow")
        send_exit(sup, Shutdown())
        await settled()
        clock.advance(2.0)
        assert await ended(gone) == Shutdown()
        (text,) = (record.message for record in caplog.records if record.levelno >= logging.WARNING)
        assert f"kills slow {pid}, which has not stopped within 2 s" in text
        assert "holds[self.id].wait()" in text


async def test_a_child_that_refuses_even_its_kill_is_shown_where_it_is_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not where its supervisor waits for it."""
    done = anyio.Event()

    class Deaf(GenServer):
        async def init(self) -> None:
            trap_exit(True)

        async def terminate(self, reason: Reason) -> None:
            with anyio.CancelScope(shield=True):
                await done.wait()

    clock = ManualClock()
    async with Node(clock=clock):
        sup = await start_tree(child(Deaf).with_(shutdown=2.0))
        send_exit(sup, Shutdown())
        await settled()
        clock.advance(2.0)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()  # not `settled`: asyncio is busy with the cancellation
        clock.advance(1.0)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        done.set()
        (text,) = (record.message for record in caplog.records if "has not ended" in record.message)
        assert "await done.wait()" in text


@row("SUP-079")
async def test_each_start_of_a_child_is_logged_as_progress(caplog: pytest.LogCaptureFixture) -> None:
    """At a level that is off by default, for who wants to watch a tree come up."""
    script = Script()
    with caplog.at_level(logging.INFO, "regrow"):
        async with Node():
            sup = await start_tree(*workers(script, "ab"))
            await end(await pid_of(sup, "a"), Kill())
            await children(sup)
            progress = [record.message.split(" started ")[1] for record in caplog.records if record.levelname == "INFO"]
    assert [text.split()[0] for text in progress] == ["a", "b", "a"]


@row("SUP-080", deviation="OTP's supervisor crashes on a request it does not know; a typing error must not stop a tree")
async def test_what_a_supervisor_does_not_understand_does_not_harm_it(caplog: pytest.LogCaptureFixture) -> None:
    """Calls are answered with an error, everything else is logged and dropped."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "a"))
        before = await children(sup)
        send(sup, "hello")
        gen_cast(sup, "hello")
        with pytest.raises(UnknownRequest):
            await gen_call(sup, "hello")
        with pytest.raises(UnknownRequest):
            await BoundCall[Any, Any, Any]("make_coffee", None, None)(sup)
        with pytest.raises(TypeError):
            await BoundCall[Any, Any, Any]("terminate_child", None, None)(sup, "a", "b")
        assert await children(sup) == before
        assert sum("ignores" in record.message for record in caplog.records) == 2


async def test_the_administration_is_for_those_outside(caplog: pytest.LogCaptureFixture) -> None:
    """Called as a method, it would act on whatever process it happens to run in."""

    class Confused(GenServer):
        @call
        async def look(self) -> str:
            with pytest.raises(TypeError, match="call it from outside"):
                await Tree().which_children()
            return "refused"

    async with Node():
        sup = await start_tree(child(Confused))
        assert await Confused.look(ServerRef(await pid_of(sup, "Confused"), Confused)) == "refused"


class Untouched(dict[str, Any]):
    """The children of a supervisor, counting how often somebody goes through all of them."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        self.walks += 1
        return super().__iter__()

    def values(self) -> Any:
        self.walks += 1
        return super().values()

    def items(self) -> Any:
        self.walks += 1
        return super().items()


async def test_a_restart_among_a_thousand_siblings_touches_only_the_one() -> None:
    """one_for_one: no sibling is stopped, started or even looked at, and the work is that of a restart among two."""
    work: dict[int, int] = {}
    for siblings in (2, 1000):
        script = Script()
        async with Node() as node:
            sup = await start_tree(*(worker(script, str(i)) for i in range(siblings)))
            before = await children(sup)
            runner: Any = node.runtime.processes[sup.pid].runner
            runner.children = kept = Untouched(runner.children)
            await settled()
            script.news()
            send_exit(before["1"], Kill())  # type: ignore[arg-type]
            with counted_calls() as count:
                while not script.journal:
                    await node.runtime.backend.checkpoint()
            work[siblings] = count.total()
            await settled()
            assert (script.news(), kept.walks) == (["+1"], 0)
            after = await children(sup)
            assert {id_ for id_ in before if before[id_] != after[id_]} == {"1"}
    assert work[1000] <= work[2] * 1.5


@row("SUP-060", translated="the work, counted in function calls, for 200 and 400 children")
@pytest.mark.parametrize("crashed", [False, True])
async def test_the_work_of_starting_and_stopping_children_grows_with_their_number(crashed: bool) -> None:
    """Twice as many children are twice the work, not four times: also if all of them have just died."""
    work: dict[int, int] = {}
    for number in (200, 400):
        script = Script()
        async with Node(clock=ManualClock()) as node:  # on a busy machine nobody is to be found slow, and reported
            with counted_calls() as count:
                sup = await start_tree(
                    *(worker(script, str(i), restart="temporary") for i in range(number)), strategy="one_for_all"
                )
                gone = monitor(sup)
                if crashed:
                    for pid in list(node.runtime.processes)[2:]:
                        send_exit(pid, Kill())
                send_exit(sup, Shutdown())
                assert await ended(gone) == Shutdown()
            work[number] = count.total()
    assert work[400] <= work[200] * 2.2


async def test_a_kill_is_a_reason_like_any_other_in_a_report() -> None:
    """There is no crash report of it, nobody crashed; the restart report is the one that tells."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "a"))
        await end(await pid_of(sup, "a"), Kill())
        await children(sup)
        assert [report.reason for report in node.runtime.reports.restarts] == [Killed()]
        assert not node.runtime.reports.crashes
