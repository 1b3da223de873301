"""Significant children: those whose end is the end of what the supervisor is there for."""

from __future__ import annotations

import pytest

from regrow import Kill, Node, Normal, ServerRef, Shutdown, Supervisor, child, monitor
from tests.harness import row
from tests.local.supervisor_kit import (
    ENDINGS,
    Script,
    Tree,
    children,
    end,
    ended,
    pid_of,
    start_tree,
    worker,
)

MODES = ["any_significant", "all_significant"]
CLEAN = ["normal", "shutdown", "shutdown_detail"]


@row("SUP-090")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("restart", "ending"),
    [*(("transient", ending) for ending in CLEAN), *(("temporary", ending) for ending in ENDINGS)],
)
async def test_the_end_of_the_only_significant_child_stops_the_others_and_ends_the_supervisor(
    restart: str, ending: str, mode: str
) -> None:
    """Its work is done: the rest was there for it, and goes in reverse order with `Shutdown`."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(
            worker(script, "a"),
            worker(script, "s", restart=restart, significant=True),
            worker(script, "b"),
            auto_shutdown=mode,
        )
        gone = monitor(sup)
        await end(await pid_of(sup, "s"), ENDINGS[ending])
        assert await ended(gone) == Shutdown()
        assert [entry for entry in script.journal if entry in ("-a", "-b")] == ["-b", "-a"]
        assert not node.runtime.reports.restarts


@row("SUP-090")
async def test_with_any_the_first_of_several_is_enough() -> None:
    """The others are stopped like everybody else."""
    script = Script()
    async with Node():
        sup = await start_tree(
            *(worker(script, id_, restart="transient", significant=True) for id_ in "abc"),
            auto_shutdown="any_significant",
        )
        gone = monitor(sup)
        await end(await pid_of(sup, "b"), Normal())
        assert await ended(gone) == Shutdown()
        assert script.journal[3:] == ["-b", "-c", "-a"]


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_with_all_the_last_of_several_ends_the_supervisor(order: str) -> None:
    """Until then the supervisor goes on with those that are left, significant or not."""
    script = Script()
    async with Node():
        sup = await start_tree(
            worker(script, "a", restart="transient", significant=True),
            worker(script, "b", restart="temporary", significant=True),
            worker(script, "c"),
            auto_shutdown="all_significant",
        )
        gone = monitor(sup)
        first, last = order
        await end(await pid_of(sup, first), Normal())
        assert (await children(sup))["c"] is not None
        await end(await pid_of(sup, last), Normal())
        assert await ended(gone) == Shutdown()


@pytest.mark.parametrize("state", ["stopped by hand", "between two tries"])
async def test_with_all_a_significant_child_counts_until_it_is_stopped(state: str) -> None:
    """One between two tries is still wanted; one that an operator stopped is not waited for."""
    script = Script()
    async with Node():
        sup = await start_tree(
            *(worker(script, id_, restart="transient", significant=True) for id_ in "ab"),
            auto_shutdown="all_significant",
            intensity=1_000_000,
        )
        gone, b = monitor(sup), await pid_of(sup, "b")
        if state == "stopped by hand":
            await Supervisor.terminate_child(sup, "a")
        else:
            script.broken.add("a")
            await end(await pid_of(sup, "a"), Kill())
            await children(sup)
        await end(b, Normal())
        if state == "between two tries":
            assert await children(sup) == {"a": None, "b": None}
            await Supervisor.terminate_child(sup, "a")
            assert await children(sup) == {"a": None, "b": None}
        else:
            assert await ended(gone) == Shutdown()


@row("SUP-091")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ending", ["crash", "kill"])
async def test_the_crash_of_a_transient_significant_child_is_restarted_as_usual(ending: str, mode: str) -> None:
    """It was not done, it failed; that is what restarts are for."""
    script = Script()
    async with Node():
        sup = await start_tree(worker(script, "s", restart="transient", significant=True), auto_shutdown=mode)
        old = await pid_of(sup, "s")
        await end(old, ENDINGS[ending])
        assert await pid_of(sup, "s") != old


@row("SUP-093")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_a_significant_child_that_an_operator_stops_ends_nothing(restart: str, mode: str) -> None:
    """It did not end by itself."""
    script = Script()
    async with Node():
        sup = await start_tree(
            worker(script, "a"), worker(script, "s", restart=restart, significant=True), auto_shutdown=mode
        )
        await Supervisor.terminate_child(sup, "s")
        assert (await children(sup))["a"] is not None


@row("SUP-093")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_a_significant_child_taken_down_with_its_group_ends_nothing(
    restart: str, strategy: str, mode: str
) -> None:
    """Also a temporary one that does not come back: it was a bystander."""
    script = Script()
    async with Node():
        sup = await start_tree(
            worker(script, "a"),
            worker(script, "s", restart=restart, significant=True),
            strategy=strategy,
            auto_shutdown=mode,
        )
        await end(await pid_of(sup, "a"), Kill())
        assert list(await children(sup)) == (["a", "s"] if restart == "transient" else ["a"])
        assert None not in (await children(sup)).values()


@row("SUP-094")
@pytest.mark.parametrize("mode", ["never", *MODES])
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_the_end_of_a_child_that_is_not_significant_ends_nothing(ending: str, restart: str, mode: str) -> None:
    """In no mode, whatever it is and whatever it ended with."""
    script = Script()
    async with Node():
        others = [] if mode == "never" else [worker(script, "s", restart="transient", significant=True)]
        sup = await start_tree(worker(script, "a", restart=restart), *others, auto_shutdown=mode)
        await end(await pid_of(sup, "a"), ENDINGS[ending])
        restarted = restart == "permanent" or (restart == "transient" and ending not in CLEAN)
        assert ((await children(sup)).get("a") is not None) is restarted


@row("SUP-096")
@pytest.mark.parametrize("significant", [True, False])
async def test_a_supervisor_that_shut_itself_down_counts_above_if_it_is_significant_itself(significant: bool) -> None:
    """It ends with `Shutdown`, a clean end of a transient child: done, level after level, or only here."""
    script = Script()
    async with Node():
        below = child(
            Tree, worker(script, "s", restart="transient", significant=True), auto_shutdown="any_significant"
        ).with_(id="below", restart="transient", significant=significant)
        sup = await start_tree(worker(script, "a"), below, auto_shutdown="any_significant")
        gone, inner = monitor(sup), monitor(await pid_of(sup, "below"))
        (leaf,) = (await children(ServerRef(await pid_of(sup, "below"), Tree))).values()
        assert leaf is not None
        await end(leaf, Normal())
        assert await ended(inner) == Shutdown()
        if significant:
            assert await ended(gone) == Shutdown()
            assert script.journal[-1] == "-a"
        else:
            assert (await children(sup))["below"] is None
            assert (await children(sup))["a"] is not None
