"""The end of a dynamic child: whether it is started again, how often, and what it costs the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regrow import (
    ChildCounts,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    Ignore,
    Kill,
    Killed,
    Node,
    Normal,
    Pid,
    Reason,
    ServerRef,
    Shutdown,
    Supervisor,
    child,
    monitor,
    send_exit,
    start_link,
    trap_exit,
)
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.dynamic_kit import ENDLESS, Pool, add, add_all, pids, start_pool
from tests.local.supervisor_kit import (
    ENDINGS,
    Script,
    Worker,
    children,
    end,
    ended,
    settled,
    tell,
)

RESTARTED = (
    {("permanent", ending): True for ending in ENDINGS}
    | {("transient", ending): ending in ("crash", "kill") for ending in ENDINGS}
    | {("temporary", ending): False for ending in ENDINGS}
)


@row("DYN-007")
@pytest.mark.parametrize(("restart", "ending"), RESTARTED)
async def test_a_child_is_restarted_alone_or_forgotten(restart: str, ending: str) -> None:
    """Nobody keeps what is not to run again: there is no id to ask for it."""
    script = Script()
    async with Node() as node:
        pool = await start_pool()
        before = await add_all(pool, script, "abc", restart=restart)
        await end(before["b"], ENDINGS[ending])
        after = await pids(pool)
        again = after.pop("b", None)
        assert after == {"a": before["a"], "c": before["c"]}
        assert (again is not None) is RESTARTED[restart, ending]
        assert again != before["b"]
        assert script.journal.count("+b") == 1 + RESTARTED[restart, ending]
        assert [report.child for report in node.runtime.reports.restarts] == ["b"] * RESTARTED[restart, ending]


async def test_a_restarted_child_gets_the_very_same_arguments_and_is_a_new_object() -> None:
    """As under every supervisor."""

    seen: list[tuple[object, object]] = []

    class Keeper(GenServer):
        def __init__(self, box: list[int]) -> None:
            seen.append((self, box))

    async with Node():
        pool, box = await start_pool(), [1]
        ref = await DynamicSupervisor.start_child(pool, child(Keeper, box))
        await end(ref.pid, Kill())
        await pids(pool)
        (first, given), (second, again) = seen
        assert first is not second
        assert given is again is box


@row("SUP-057", "DYN-007")
@pytest.mark.parametrize("restart", ["permanent", "transient"])
async def test_a_child_that_asks_to_be_ignored_when_it_is_restarted_is_forgotten(restart: str) -> None:
    """It says that there is nothing left for it to do. What it had registered is free, and so is its place."""
    script = Script()
    async with Node() as node:
        pool = await start_pool(max_children=2)
        before = await add_all(pool, script, "ab", restart=restart)
        script.fail("a", Ignore())
        await end(before["a"], Kill())
        assert await pids(pool) == {"b": before["b"]}
        await add(pool, script, "c")
        assert len(node.runtime.reports.restarts) == 1


@row("DYN-007", "SUP-053")
async def test_a_restart_that_fails_is_tried_again_and_the_supervisor_answers_in_between() -> None:
    """The child is shown as restarting until it is up; each try is counted, and the next takes its turn."""
    script = Script()
    async with Node() as node:
        pool = await start_pool(intensity=ENDLESS)
        before = await add_all(pool, script, "ab")
        script.broken.add("a")
        await end(before["a"], Kill())
        assert await pids(pool) == {"b": before["b"], "a": None}
        await add(pool, script, "c")
        assert await DynamicSupervisor.count_children(pool) == ChildCounts(3, 2, 0, 3)
        script.broken.clear()
        await settled()
        after = await pids(pool)
        assert None not in after.values() and len(after) == 3
        tries = script.journal.count("!a")
        assert tries > 1
        assert len(node.runtime.reports.restarts) == tries + 1
        assert [report.pid for report in node.runtime.reports.restarts] == [before["a"], *[None] * tries]


@row("SUP-053")
@pytest.mark.parametrize("form", [lambda pid: pid, lambda pid: ServerRef(pid, Worker)], ids=["pid", "reference"])
async def test_a_child_between_two_tries_is_terminated_by_the_pid_it_had(form: Callable[[Pid], Pid]) -> None:
    """The one that people know; the tries end, and the one that lies in the mailbox is void."""
    script = Script()
    async with Node() as node:
        pool = await start_pool(intensity=ENDLESS)
        pid = (await add(pool, script, "a")).pid
        script.broken.add("a")
        await end(pid, Kill())
        assert await pids(pool) == {"a": None}
        await DynamicSupervisor.terminate_child(pool, form(pid))
        assert await pids(pool) == {}
        script.news()
        spent = len(node.runtime.reports.restarts)
        await settled()
        assert script.news() == []
        assert len(node.runtime.reports.restarts) == spent


@row("DYN-008")
async def test_tries_that_never_succeed_spend_the_budget_and_then_all_stop() -> None:
    """One restart and so many tries; then the supervisor gives up, and its own supervisor decides."""
    script = Script()
    async with Node() as node:
        pool = await start_pool(intensity=3)
        before = await add_all(pool, script, "ab")
        gone = monitor(pool)
        script.broken.add("a")
        await end(before["a"], Kill())
        assert await ended(gone) == Shutdown()
        assert script.journal == ["+a", "+b", "!a", "!a", "!a", "-b"]
        assert script.reasons == {"b": Shutdown()}
        assert [report.budget_left for report in node.runtime.reports.restarts] == [2, 1, 0]


@row("DYN-008")
async def test_the_budget_belongs_to_the_supervisor_and_slides() -> None:
    """Failures of different children add up; one that is older than the period does not count any more."""
    script, clock = Script(), ManualClock()
    async with Node(clock=clock):
        pool = await start_pool(intensity=1, period=5.0)
        before = await add_all(pool, script, "abc")
        await end(before["a"], Kill())
        await pids(pool)
        clock.advance(5.001)
        await end(before["b"], Kill())
        assert None not in (await pids(pool)).values()
        gone = monitor(pool)
        await end(before["c"], Kill())
        assert await ended(gone) == Shutdown()


async def test_with_a_supervisor_for_each_one_bad_child_harms_no_other() -> None:
    """The tree that is recommended: the budget of each is its own, and a temporary one that gave up is gone."""
    script = Script()

    class One(Supervisor):
        def __init__(self, id_: str) -> None:
            self.id = id_

        def init(self) -> list[ChildSpec]:
            return [child(Worker, self.id, script)]

    async with Node():
        trap_exit(True)
        pool = await start_link(Pool)
        one, two = (child(One, id_).with_(restart="temporary") for id_ in ("bad", "good"))
        bad = await DynamicSupervisor.start_child(pool, one)
        good = await DynamicSupervisor.start_child(pool, two)
        gone = monitor(bad)
        for _ in range(2):
            await end((await children(bad))["Worker"])  # type: ignore[arg-type]
        assert await ended(gone) == Shutdown()
        (left,) = await DynamicSupervisor.which_children(pool)
        assert left.pid == good.pid
        assert script.journal == ["+bad", "+good", "-bad", "+bad", "-bad"]


async def test_only_the_real_end_of_a_child_is_one() -> None:
    """An exit signal that a living child, or anybody in its name, sends to its supervisor starts no second copy."""
    script = Script()
    async with Node() as node:
        pool = await start_pool()
        pid = (await add(pool, script, "a")).pid
        node.runtime.exit_signal(pid, pool.pid, Killed())
        assert await pids(pool) == {"a": pid}


async def test_a_child_that_unlinked_itself_is_stopped_but_its_end_is_not_seen() -> None:
    """No signal tells of it, as under every supervisor; it can still be terminated, and holds up no shutdown."""
    script = Script()
    async with Node():
        pool = await start_pool()
        a, b = await add(pool, script, "a"), await add(pool, script, "b")
        for ref in (a, b):
            Worker.leave(ref, pool.pid)
            await Worker.ping(ref)
        await end(a.pid, Kill())
        await DynamicSupervisor.terminate_child(pool, a)
        gone = monitor(pool)
        send_exit(pool, Shutdown())
        assert await ended(gone) == Shutdown()
        assert script.journal == ["+a", "+b", "-b"]


# -- significant children


CLEAN = [(restart, ending) for restart in ("transient", "temporary") for ending in ("normal", "shutdown")]


@row("SUP-095")
@pytest.mark.parametrize(("restart", "ending"), [*CLEAN, ("temporary", "crash"), ("temporary", "kill")])
async def test_with_any_the_end_of_one_significant_child_stops_all(restart: str, ending: str) -> None:
    """For good, that is: without a restart."""
    script = Script()
    async with Node() as node:
        pool = await start_pool(auto_shutdown="any_significant")
        await add(pool, script, "a")
        s = await add(pool, script, "s", restart=restart, significant=True)
        gone = monitor(pool)
        await end(s.pid, ENDINGS[ending])
        assert await ended(gone) == Shutdown()
        assert "-a" in script.journal
        assert not node.runtime.reports.restarts


@row("SUP-095")
async def test_with_all_the_end_of_the_last_significant_child_stops_the_others() -> None:
    """A batch: done when its jobs are, however many there were, and however often one of them was restarted."""
    script = Script()
    async with Node():
        pool = await start_pool(auto_shutdown="all_significant", intensity=ENDLESS)
        await add(pool, script, "a")
        before = await add_all(pool, script, "rst", restart="transient", significant=True)
        gone = monitor(pool)
        await end(before["r"], Kill())
        r = (await pids(pool))["r"]
        assert r is not None
        for pid in (before["s"], before["t"]):
            await end(pid, Normal())
        assert list(await pids(pool)) == ["a", "r"]
        await end(r, Normal())
        assert await ended(gone) == Shutdown()
        assert script.journal[-1] == "-a"


@row("SUP-095")
async def test_a_significant_child_that_was_terminated_or_ignored_is_not_waited_for_and_ends_nothing() -> None:
    """Neither is an end by itself; the last one that does end so still counts."""
    script = Script()
    async with Node():
        pool = await start_pool(auto_shutdown="all_significant")
        before = await add_all(pool, script, "tis", restart="transient", significant=True)
        gone = monitor(pool)
        await DynamicSupervisor.terminate_child(pool, before["t"])
        script.fail("i", Ignore())
        await end(before["i"], Kill())
        assert await pids(pool) == {"s": before["s"]}
        await end(before["s"], Normal())
        assert await ended(gone) == Shutdown()


@row("SUP-095")
async def test_a_significant_child_between_two_tries_is_still_there() -> None:
    """It may come back: the end of the last but one stops nobody."""
    script = Script()
    async with Node():
        pool = await start_pool(auto_shutdown="all_significant", intensity=ENDLESS)
        before = await add_all(pool, script, "rs", restart="transient", significant=True)
        script.broken.add("r")
        await end(before["r"], Kill())
        assert (await pids(pool))["r"] is None
        await end(before["s"], Normal())
        assert list(await pids(pool)) == ["r"]
        script.broken.clear()
        await settled()
        gone = monitor(pool)
        (r,) = (await pids(pool)).values()
        assert r is not None
        await end(r, Normal())
        assert await ended(gone) == Shutdown()


# -- what it tells


async def test_each_restart_leaves_one_report() -> None:
    """Which child, which process, why, and what is left of the budget."""
    script = Script()
    async with Node() as node:
        trap_exit(True)
        pool = await start_link(child(Pool, intensity=2, period=9.0).named("pool"))
        a = await add(pool, script, "a")
        await add(pool, script, "b")
        tell(a.pid, ENDINGS["crash"])
        await settled()
        (report,) = node.runtime.reports.restarts
        assert (report.supervisor, report.child, report.pid, str(report.reason)) == (
            "pool",
            "a",
            a.pid,
            "ValueError: boom",
        )
        assert (report.strategy, report.restarted_with, report.budget_left, report.period_s) == (
            "one_for_one",
            (),
            1,
            9.0,
        )


async def test_a_supervisor_that_gives_up_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the child it was once too often for."""
    script = Script()
    async with Node():
        pool = await start_pool(intensity=0)
        a, gone = await add(pool, script, "a"), monitor(pool)
        await end(a.pid, Kill())
        assert await ended(gone) == Shutdown()
    (text,) = (record.message for record in caplog.records if "gives up" in record.message)
    assert "gives up: a ended (killed)" in text


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Killed()], ids=str)
async def test_exit_signals_of_strangers_are_ignored(reason: Reason) -> None:
    """Only its parent, `stop` and a kill end it."""
    script = Script()
    async with Node() as node:
        pool = await start_pool()
        before = await add_all(pool, script, "ab")
        node.runtime.exit_signal(node.runtime.nobody, pool.pid, reason)
        assert await pids(pool) == before
