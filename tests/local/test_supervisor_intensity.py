"""How often is too often: the budget of restarts, tries that fail, and what happens above when it is spent."""

from __future__ import annotations

import pytest

from regrow import (
    Exit,
    Kill,
    Killed,
    Node,
    Normal,
    Pid,
    Shutdown,
    StartFailed,
    Supervisor,
    TypedChild,
    child,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
)
from regrow._pure.child_spec import RestartWord
from regrow.runtime import Runtime
from regrow.testing import ManualClock
from tests.harness import row
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


@row("SUP-049")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("intensity", [0, 1, 3])
async def test_one_restart_too_many_stops_the_rest_in_reverse_order_and_ends_with_shutdown(
    strategy: str, intensity: int
) -> None:
    """A failure that restarting does not cure goes up to the next level; with 0 the first failure is the last."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "abcd"), strategy=strategy, intensity=intensity)
        gone = monitor(sup)
        for _ in range(intensity):
            await end(await pid_of(sup, "b"), Kill())
        await children(sup)
        script.news()
        await end(await pid_of(sup, "b"), Kill())
        assert await ended(gone) == Shutdown()
        assert script.news() == ["-d", "-c", "-a"]
        assert len(node.runtime.reports.restarts) == intensity
        assert len(node.runtime.processes) == 1


@row("SUP-050")
async def test_restarts_older_than_the_period_do_not_count() -> None:
    """As many as are allowed within each period may go on for ever; one more within one is fatal."""
    script, clock = Script(), ManualClock()
    async with Node(clock=clock):
        sup = await start_tree(*workers(script, "a"), intensity=2, period=10.0)
        gone = monitor(sup)
        for _ in range(30):
            await end(await pid_of(sup, "a"), Kill())
            await children(sup)
            clock.advance(5.1)
        clock.advance(5.0)
        for _ in range(2):
            await end(await pid_of(sup, "a"), Kill())
            await children(sup)
        clock.advance(9.9)
        await end(await pid_of(sup, "a"), Kill())
        assert await ended(gone) == Shutdown()


@row("SUP-051", deviation="a true sliding window in fractions of a second: what is written is what counts")
@pytest.mark.parametrize(("apart", "survives"), [(0.95, False), (1.0, False), (1.05, True), (1.3, True)])
async def test_the_window_slides_in_fractions_of_a_second(apart: float, survives: bool) -> None:
    """OTP, in whole seconds, would end this supervisor in all four cases or not, depending on the phase."""
    script, clock = Script(), ManualClock(start=100.5)
    async with Node(clock=clock):
        sup = await start_tree(*workers(script, "a"), intensity=1, period=1.0)
        gone = monitor(sup)
        await end(await pid_of(sup, "a"), Kill())
        await children(sup)
        clock.advance(apart)
        await end(await pid_of(sup, "a"), Kill())
        if survives:
            assert await pid_of(sup, "a")
        else:
            assert await ended(gone) == Shutdown()


@row("SUP-052")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_restart_that_fails_is_tried_again_and_each_try_counts(strategy: str) -> None:
    """Three restarts are three tries; then what runs is stopped and the failure goes up."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"), strategy=strategy, intensity=3)
        gone = monitor(sup)
        script.broken.add("b")
        script.news()
        await end(await pid_of(sup, "b"), Kill())
        assert await ended(gone) == Shutdown()
        tries = {"one_for_all": ["-a", "+a", "!b"] * 3, "one_for_one": ["!b"] * 3, "rest_for_one": ["!b"] * 3}
        assert script.news() == [*tries[strategy], "-a"]
        assert len(node.runtime.reports.restarts) == 3


@row("SUP-052")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_restart_that_succeeds_in_the_end_leaves_all_children_up(strategy: str) -> None:
    """The tries it took are spent, the rest of the budget is not."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "abc"), strategy=strategy, intensity=4)
        script.fail("b", Broken("1"), Broken("2"))
        await end(await pid_of(sup, "b"), Kill())
        await settled()
        assert None not in (await children(sup)).values()
        assert [report.budget_left for report in node.runtime.reports.restarts] == [3, 2, 1]


@row("SUP-053")
async def test_a_supervisor_in_the_middle_of_its_tries_can_be_stopped() -> None:
    """Between two tries it looks at its mailbox: an endless failure does not keep an order from above."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"), intensity=1_000_000)
        gone = monitor(sup)
        script.broken.add("b")
        await end(await pid_of(sup, "b"), Kill())
        await children(sup)
        send_exit(sup, Shutdown())
        assert await ended(gone) == Shutdown()
        assert script.journal[-1] == "-a"


@row("SUP-054", "SUP-056")
async def test_a_failed_rest_for_one_goes_on_from_the_child_that_failed() -> None:
    """Those before it are up and stay up; those after it wait."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abcd"), strategy="rest_for_one", intensity=1_000_000)
        before = await children(sup)
        script.broken.add("c")
        script.news()
        await end(await pid_of(sup, "b"), Kill())
        between = {info.id: info for info in await Supervisor.which_children(sup)}
        assert between["a"].pid == before["a"]
        assert between["b"].pid not in (None, before["b"])
        assert (between["c"].pid, between["c"].restarting) == (None, True)
        assert (between["d"].pid, between["d"].restarting) == (None, False)
        script.broken.clear()
        await settled()
        after = await children(sup)
        assert after["b"] == between["b"].pid
        assert None not in after.values()
        news = script.news()
        assert news[:3] == ["-d", "-c", "+b"] and news[-2:] == ["+c", "+d"]
        assert set(news[3:-2]) == {"!c"}


@pytest.mark.parametrize("first_fault", ["a", "b"])
async def test_a_try_that_was_overtaken_by_the_restart_of_a_sibling_is_void(first_fault: str) -> None:
    """Two loops of tries would spend the budget twice for one failure.

    While b's restart is under way a ends too; b's start fails, so that its next try waits behind the news of a's
    end, which restarts the whole group. That fails again, at a or at b: only the try after that one counts.
    """
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"), strategy="one_for_all", intensity=10)
        gate = script.gate("b")
        await end(await pid_of(sup, "b"), Kill())
        await settled()
        a = _child_pid(node.runtime, "a")
        await end(a, Kill())
        script.fail("b", Broken("in the first restart"))
        script.fail(first_fault, Broken("in the second"))
        script.news()
        gate.set()
        await settled()
        assert None not in (await children(sup)).values()
        second = ["!a"] if first_fault == "a" else ["+a", "!b"]
        stopped = ["-a"] if first_fault == "b" else []
        assert script.news() == ["!b", *second, *stopped, "+a", "+b"]
        assert [report.child for report in node.runtime.reports.restarts] == ["b", "a", first_fault]


async def test_a_try_that_is_void_does_not_come_before_those_who_wait() -> None:
    """Of two tries in the mailbox only the last is one: a request between them is answered before it."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"), strategy="one_for_all", intensity=10)
        script.fail("b", Broken("first"), Broken("second"))
        gate = script.gate("b")
        await end(await pid_of(sup, "b"), Kill())
        await settled()
        await end(_child_pid(node.runtime, "a"), Kill())
        gate.set()
        gate = script.gate("b")
        await settled()  # the first try for b has failed, and a's end restarts the group: b waits again

        async def ask(parent: Pid) -> None:
            send(parent, await children(sup))

        spawn(ask, self_pid())
        await settled()
        gate.set()
        gate = script.gate("b")
        await settled()
        assert set(await receive(dict, timeout=0)) == {"a", "b"}
        gate.set()
        assert None not in (await children(sup)).values()
        assert [report.child for report in node.runtime.reports.restarts] == ["b", "a", "b"]


def _child_pid(runtime: Runtime, id_: str) -> Pid:
    """The pid of a child whose supervisor is too busy to answer."""
    return next(pid for pid, process in runtime.processes.items() if getattr(process.server, "id", None) == id_)


def inner(script: Script, restart: RestartWord, intensity: int = 1) -> TypedChild[Tree]:
    return child(Tree, worker(script, "leaf"), intensity=intensity).with_(id="inner", restart=restart)


@row("SUP-101")
async def test_a_permanent_supervisor_that_gave_up_is_restarted_and_counts_above() -> None:
    """Its children begin again from a known state, and so does its own budget."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(inner(script, "permanent"), worker(script, "b"), intensity=1)
        first = await pid_of(sup, "inner")
        await _break(node.runtime, first, times=2)
        second = await pid_of(sup, "inner")
        assert second != first
        assert [report.reason for report in node.runtime.reports.restarts] == [Killed(), Shutdown()]
        gone = monitor(sup)
        await _break(node.runtime, second, times=2)
        assert await ended(gone) == Shutdown()


async def _break(runtime: Runtime, pid: Pid, *, times: int) -> None:
    """Kill the leaf of a supervisor as often as it takes to make it give up."""
    gone = monitor(pid)
    for _ in range(times):
        await end(_child_pid(runtime, "leaf"), Kill())
        await settled()
    assert await ended(gone) == Shutdown()


@row("SUP-101")
async def test_a_transient_supervisor_that_gave_up_is_not_restarted() -> None:
    """`Shutdown` is a clean end, also for a supervisor that gave up; a trap that OTP has as well."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(inner(script, "transient"), worker(script, "b"))
        await _break(node.runtime, await pid_of(sup, "inner"), times=2)
        assert (await children(sup))["inner"] is None
        assert (await children(sup))["b"] is not None


@pytest.mark.parametrize(
    ("strategy", "siblings"),
    [("one_for_one", []), ("one_for_all", ["-z", "-a", "+a", "+leaf", "+z"]), ("rest_for_one", ["-z", "+leaf", "+z"])],
)
async def test_a_parent_applies_its_own_strategy_to_a_supervisor_that_gave_up(
    strategy: str, siblings: list[str]
) -> None:
    """The inner one is a child like any other."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(
            worker(script, "a"), inner(script, "permanent", intensity=0), worker(script, "z"), strategy=strategy
        )
        script.news()
        await _break(node.runtime, await pid_of(sup, "inner"), times=1)
        await children(sup)
        assert script.news() == (siblings or ["+leaf"])


async def test_a_child_whose_start_fails_for_good_brings_down_level_after_level() -> None:
    """Each level tries as often as it may; the topmost ends with `Shutdown`, and its parent hears it."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(inner(script, "permanent", intensity=2), intensity=3)
        script.broken.add("leaf")
        script.news()
        await end(_child_pid(node.runtime, "leaf"), Kill())
        assert (await receive(Exit)) == Exit(sup.pid, Shutdown())
        # The inner one tries twice; the outer one then tries three times to start the inner one.
        assert script.news() == ["!leaf"] * 2 + ["!leaf"] * 3
        reports = node.runtime.reports.restarts
        assert [report.child for report in reports] == ["leaf"] * 2 + ["inner"] * 3
        assert str(reports[1].reason) == "Broken: leaf"
        assert str(reports[-1].reason) == "shutdown: failed to start child 'leaf': Broken: leaf"


async def test_a_permanent_child_that_always_ends_normally_spends_the_budget_as_well() -> None:
    """A permanent child that is done again and again is a failure like any other."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "a"), intensity=3)
        gone = monitor(sup)
        for _ in range(4):
            await end(await pid_of(sup, "a"), Normal())
        assert await ended(gone) == Shutdown()


async def test_the_budget_belongs_to_the_supervisor_not_to_a_child() -> None:
    """Three children that fail once each are three failures."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abc"), intensity=2)
        gone = monitor(sup)
        for id_ in "abc":
            await end(await pid_of(sup, id_), Kill())
        assert await ended(gone) == Shutdown()


async def test_a_child_that_comes_up_too_late_counts_as_a_failed_start() -> None:
    """`start_timeout` holds at a restart too, and the half-started process is gone before the next try."""
    script, clock = Script(), ManualClock()
    async with Node(clock=clock) as node:
        sup = await start_tree(worker(script, "a", start_timeout=2.0), intensity=5)
        script.gate("a")
        await end(await pid_of(sup, "a"), Kill())
        await settled()
        clock.advance(2.0)
        await settled()
        assert (await children(sup))["a"] is not None
        assert [str(report.reason) for report in node.runtime.reports.restarts] == [
            "killed",
            "StartTimeout: Worker was not ready within 2.0 s",
        ]


async def test_starting_a_tree_that_cannot_start_spends_no_budget() -> None:
    """There is no second try at the first start: the caller decides."""
    script = Script()
    script.broken.add("leaf")
    async with Node() as node:
        with pytest.raises(StartFailed):
            await start_tree(inner(script, "permanent"), intensity=5)
        assert script.journal == ["!leaf"]
        assert not node.runtime.reports.restarts
