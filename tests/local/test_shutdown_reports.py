"""Who did not stop when told to: what is reported of it, and where it was stuck."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import count

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    ChildSpec,
    Crash,
    Down,
    GenServer,
    Killed,
    Node,
    Normal,
    Reason,
    ServerRef,
    Shutdown,
    Stop,
    Supervisor,
    TypedChild,
    cast,
    child,
    monitor,
    receive,
    send_exit,
    start,
    start_link,
    stop,
    trap_exit,
    whereis,
)
from regrow.reports import ShutdownReport
from regrow.testing import ManualClock
from tests.local.process_kit import Broken
from tests.local.supervisor_kit import Tree, settled, start_tree

Wait = Callable[[], Awaitable[object]]


async def hangs() -> None:
    """Where they are stuck."""
    await anyio.sleep_forever()


def once(wait: Wait, at: int = 1) -> Wait:
    """Waits the first time, or the one that is said, and no more."""
    times = count(1)

    async def perhaps_wait() -> None:
        await (wait() if next(times) == at else checkpoint())

    return perhaps_wait


class Stubborn(GenServer):
    """Waits in `terminate`, and in `init` if it is to."""

    def __init__(self, in_terminate: Wait = hangs, in_init: Wait = checkpoint) -> None:
        self.in_terminate, self.in_init = in_terminate, in_init

    async def init(self) -> None:
        trap_exit(True)
        await self.in_init()

    @cast
    async def end(self, error: Exception) -> None:
        raise error

    async def terminate(self, reason: Reason) -> None:
        await self.in_terminate()


def stubborn(name: str, **changes: object) -> TypedChild[Stubborn]:
    return child(Stubborn).named(name).with_(**changes)  # type: ignore[arg-type]


def reported(node: Node, caplog: pytest.LogCaptureFixture) -> list[ShutdownReport]:
    """The reports of the node; the log has each of them once."""
    kept = list(node.runtime.reports.shutdowns)
    assert [record.args[0] for record in caplog.records if vars(record)["report"] == "shutdown" and record.args] == kept
    return kept


async def pass_time(clock: ManualClock, seconds: float) -> None:
    """Let the time pass, and what comes of it happen."""
    await settled()
    clock.advance(seconds)
    for _ in range(30):
        await checkpoint()  # not `settled`: asyncio is busy with the cancellation


# -- children of supervisors


async def test_a_report_says_who_was_told_by_whom_how_long_ago_and_where_it_is_stuck(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As data, and each field in the log as well."""
    clock = ManualClock()
    async with Node("here@localhost", clock=clock) as node:
        top = await start_tree(child(Tree, stubborn("slow", shutdown=2.0)).named("top").with_(id="top"))
        pid = whereis("slow")
        assert pid is not None
        gone = monitor(pid)
        send_exit(top, Shutdown())
        await pass_time(clock, 2.0)
        (report,) = reported(node, caplog)
        assert report == ShutdownReport("here@localhost", "top", "slow", pid, Killed(), 2.0, report.places, report.at)
        (place,) = report.places
        assert (place, place.pid, place.name) == (report.stuck, pid, "slow")
        assert "in hangs\n    await anyio.sleep_forever()" in place.stack
        assert str(report).startswith(f"top kills slow {pid}, which has not stopped within 2 s; it is at\n  File")
        (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
        expected = {"node": "here@localhost", "stopped_by": "top", "child": "slow", "pid": str(pid), "timeout_s": 2.0}
        assert expected.items() <= vars(record).items()
        assert vars(record)["places"] == [{"pid": str(pid), "name": "slow", "stack": place.stack}]
        assert await receive(Down) == Down(gone, pid, Killed())


async def test_a_supervisor_that_does_not_stop_because_of_its_child_names_the_child(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And that one its own, down to the one that all wait for. What holds up a tree is a leaf."""
    clock = ManualClock()
    async with Node(clock=clock) as node:
        below = child(Tree, stubborn("leaf", shutdown="infinity")).named("below").with_(id="below")
        middle = child(Tree, below).named("middle").with_(id="middle", shutdown=3.0)
        top = await start_tree(middle)
        gone = monitor(top)
        send_exit(top, Shutdown())
        await pass_time(clock, 3.0)
        (report,) = reported(node, caplog)
        leaf = whereis("leaf")
        assert [place.name for place in report.places] == ["middle", "below", "leaf"]
        assert report.child == "middle"
        assert report.stuck.pid == leaf
        assert "in hangs" in report.stuck.stack
        middle_pid, below_pid = whereis("middle"), whereis("below")
        assert f"kills middle {middle_pid}, which has not stopped within 3 s; it waits for below {below_pid}, " in (
            str(report)
        )
        assert f"which waits for leaf {leaf}, which is at\n" in str(report)
        leaf_process = node.runtime.processes[report.stuck.pid]
        leaf_process.die(Killed())
        assert (await receive(Down)).ref == gone


async def test_a_supervisor_that_waits_for_the_start_of_a_child_names_the_child(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It can do nothing else meanwhile, as in OTP."""
    clock, opened = ManualClock(), anyio.Event()
    async with Node(clock=clock) as node:
        slow = child(Stubborn, checkpoint, once(opened.wait, at=2)).named("slow")
        top = await start_tree(child(Tree, slow).named("middle").with_(id="middle", shutdown=1.0))
        pid = whereis("slow")
        assert pid is not None
        node.runtime.processes[pid].die(Killed())
        await settled()
        gone = monitor(top)
        send_exit(top, Shutdown())
        await pass_time(clock, 1.0)
        (report,) = reported(node, caplog)
        assert [place.name for place in report.places] == ["middle", "slow"]
        assert "in perhaps_wait" in report.stuck.stack
        opened.set()
        assert (await receive(Down)).ref == gone


# -- the time of `terminate`


async def test_who_crashes_and_hangs_in_terminate_is_ended_after_its_shutdown_time_and_restarted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without that it would be neither alive nor restarted. It ends with its own reason, and that crash is reported."""
    clock, error = ManualClock(), Broken("by itself")
    async with Node(clock=clock) as node:
        top = await start_tree(child(Stubborn, once(hangs)).named("slow").with_(shutdown=2.0))
        pid = whereis("slow")
        assert pid is not None
        gone = monitor(pid)
        Stubborn.end(ServerRef(pid, Stubborn), error)
        await pass_time(clock, 1.999)
        assert whereis("slow") == pid
        await pass_time(clock, 0.001)
        assert await receive(Down) == Down(gone, pid, Crash(error))
        (report,) = reported(node, caplog)
        assert (report.stopped_by, report.child, str(report.reason)) == (None, "slow", "Broken: by itself")
        assert str(report).startswith(f"slow {pid} is killed, as its terminate has not ended within 2 s; it is at\n")
        assert "in hangs" in report.stuck.stack
        assert [report.pid for report in node.runtime.reports.crashes] == [pid]
        (info,) = await Supervisor.which_children(top)
        assert info.pid not in (pid, None)


async def test_who_was_promised_all_the_time_has_it() -> None:
    """`infinity` is what it says, and so is `brutal_kill`: that is about others who end it, not about itself."""
    clock, done = ManualClock(), anyio.Event()
    async with Node(clock=clock) as node:
        refs = [
            await start(child(Stubborn, done.wait).with_(shutdown="infinity")),
            await start(child(Stubborn, done.wait).with_(shutdown="brutal_kill")),
        ]
        for ref in refs:
            Stubborn.end(ref, Stop())
            monitor(ref)
        await pass_time(clock, 1e9)
        done.set()
        assert [(await receive(Down)).reason for _ in refs] == [Normal(), Normal()]
        assert not node.runtime.reports.shutdowns


async def test_a_crash_is_reported_also_if_its_terminate_is_cut_short_by_a_kill() -> None:
    """Who kills it does not know of the crash: the report is all there is of it."""
    async with Node() as node:
        ref = await start(Stubborn)
        gone = monitor(ref)
        Stubborn.end(ref, Broken("first"))
        await settled()
        node.runtime.processes[ref.pid].die(Killed())
        assert await receive(Down) == Down(gone, ref.pid, Killed())
        assert [str(report.reason) for report in node.runtime.reports.crashes] == ["Broken: first"]


async def test_whoever_waits_for_an_end_may_be_cancelled_without_cutting_terminate_short() -> None:
    """The server goes on cleaning up: nothing but its time and a kill ends that."""
    done, log = anyio.Event(), list[str]()

    async def cleans_up() -> None:
        await done.wait()
        log.append("clean")

    async with Node():
        ref = await start(Stubborn, cleans_up)
        gone = monitor(ref)
        with pytest.raises(TimeoutError), anyio.fail_after(0.001):
            await stop(ref)
        await settled()
        assert log == []
        done.set()
        assert await receive(Down) == Down(gone, ref.pid, Normal())
        assert log == ["clean"]


# -- nodes and applications


async def test_a_node_names_who_holds_up_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """The server, or what the supervisor waits for that it has told to stop."""

    class Top(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            return [stubborn("leaf", shutdown="infinity")]

    async def ends_the_leaf(node: Node) -> None:
        """It has all the time there is: somebody has to."""
        while len(node.runtime.reports.shutdowns) < 2:
            await anyio.sleep(0.001)
        node.runtime.processes[node.runtime.reports.shutdowns[-1].stuck.pid].die(Killed())

    async with anyio.create_task_group() as outside, Node("here@localhost") as node:
        await start_link(child(Top).named("top").with_(shutdown=0.02))
        await start(stubborn("alone", shutdown=0.01))
        outside.start_soon(ends_the_leaf, node)
    first, second = reported(node, caplog)
    assert (first.stopped_by, first.child, first.timeout_s) == ("here@localhost", "alone", 0.01)
    assert (second.stopped_by, second.child, second.timeout_s) == ("here@localhost", "top", 0.02)
    assert [place.name for place in second.places] == ["top", "leaf"]
