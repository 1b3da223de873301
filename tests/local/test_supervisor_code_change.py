"""A supervisor whose flags and specifications are read anew while it runs."""

from __future__ import annotations

from typing import Any

import pytest

from regrow import (
    CallbackFailed,
    ChildCounts,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    Ignore,
    MaxChildren,
    Node,
    Normal,
    ServerRef,
    Shutdown,
    Supervisor,
    monitor,
    start_link,
    sys,
)
from tests.harness import row

from .dynamic_kit import Pool, add, add_all, start_pool
from .supervisor_kit import Script, Tree, children, end, ended, pid_of, settled, start_tree, worker, workers

CRASH = Crash(ValueError("boom"))


async def change(sup: ServerRef[Any], **attributes: Any) -> None:
    """Give the object these attributes, which its flags and `init` are, and have it look at them again."""
    await sys.suspend(sup)
    await sys.replace_state(sup, lambda state: state | attributes)
    try:
        await sys.change_code(sup, "old version")
    finally:
        await sys.resume(sup)


@row("SUP-102")
async def test_new_children_are_added_but_not_started_and_old_ones_are_kept() -> None:
    """Those that are named come in the new order, those that are not behind them; nobody is stopped or restarted."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abc"))
        before = await children(sup)
        await change(sup, specs=workers(script, "dcae"))
        after = await children(sup)
        assert list(after.items()) == [
            ("d", None), ("c", before["c"]), ("a", before["a"]), ("e", None), ("b", before["b"])
        ]  # fmt: skip
        assert script.journal == ["+a", "+b", "+c"]
        await Supervisor.restart_child(sup, "d")
        assert script.journal == ["+a", "+b", "+c", "+d"]


@row("SUP-102")
async def test_a_child_that_is_there_has_its_new_specification() -> None:
    """Its restart type and shutdown time count from now on; it is the same process until it ends."""
    script = Script()
    async with Node():
        sup = await start_tree(worker(script, "a", restart="permanent"))
        await change(sup, specs=[worker(script, "a", restart="temporary")])
        await end(await pid_of(sup, "a"), CRASH)
        assert await children(sup) == {}


@row("SUP-102")
async def test_a_new_strategy_and_a_new_limit_count_from_now_on() -> None:
    """Restarts that were before count against the new limit."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"), intensity=5)
        await end(await pid_of(sup, "a"), CRASH)
        b = await pid_of(sup, "b")
        await change(sup, strategy="one_for_all", intensity=2)
        await end(await pid_of(sup, "a"), CRASH)
        assert await pid_of(sup, "b") != b
        gone = monitor(sup)
        await end(await pid_of(sup, "a"), CRASH)
        assert await ended(gone) == Shutdown()


@row("SUP-102")
@pytest.mark.parametrize(
    "wrong",
    [
        {"specs": ["no specification"]},
        {"specs": None},
        {"strategy": "none_for_all"},
        {"intensity": -1},
        {"period": 0},
    ],
    ids=str,
)
async def test_wrong_flags_or_specifications_are_an_error_and_the_old_ones_stay(wrong: dict[str, Any]) -> None:
    """The tree goes on as it was."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"))
        before = await children(sup)
        with pytest.raises(CallbackFailed):
            await change(sup, **wrong)
        assert await children(sup) == before
        await end(await pid_of(sup, "a"), CRASH)
        assert await pid_of(sup, "b") == before["b"]
        assert await pid_of(sup, "a") != before["a"]


@row("SUP-102")
async def test_ignore_is_fine_and_changes_nothing() -> None:
    """Whoever has no news says so, as in a start."""

    class Unmoved(Tree):
        def init(self) -> Any:
            if self.__dict__.get("again"):
                raise Ignore
            return super().init()

    script = Script()
    async with Node():
        sup = await start_link(Unmoved, *workers(script, "a"))
        before = await children(sup)
        await change(sup, again=True, specs=workers(script, "b"), strategy="one_for_all")
        assert await children(sup) == before


@row("SUP-097")
@pytest.mark.parametrize("mode", ["any_significant", "all_significant"])
async def test_auto_shutdown_that_is_switched_on_counts_for_later_ends(mode: str) -> None:
    """Not for one that was before: the supervisor lives until the next."""
    script = Script()

    def specs(significant: bool) -> list[ChildSpec]:
        return [
            worker(script, "a", restart="transient", significant=significant),
            worker(script, "b", restart="transient", significant=significant),
        ]

    async with Node():
        sup = await start_tree(*specs(False), auto_shutdown="never")
        await end(await pid_of(sup, "a"), Normal())
        await change(sup, specs=specs(True), auto_shutdown=mode)
        await settled()
        assert (await children(sup))["a"] is None
        gone = monitor(sup)
        await end(await pid_of(sup, "b"), Normal())
        assert await ended(gone) == Shutdown()


@row("SUP-097")
@pytest.mark.parametrize("mode", ["any_significant", "all_significant"])
async def test_auto_shutdown_that_is_switched_off_counts_no_more(mode: str) -> None:
    """From then on the end of a child is the end of that child."""
    script = Script()
    async with Node():
        sup = await start_tree(worker(script, "a", restart="transient", significant=True), auto_shutdown=mode)
        await change(sup, specs=workers(script, "a", restart="transient"), auto_shutdown="never")
        await end(await pid_of(sup, "a"), Normal())
        assert await children(sup) == {"a": None}


@row("SUP-097")
async def test_from_any_to_all_the_supervisor_waits_for_the_last() -> None:
    """And the other way the next is enough."""
    script = Script()
    three = [worker(script, id_, restart="transient", significant=True) for id_ in "abc"]
    async with Node():
        sup = await start_tree(*three, auto_shutdown="any_significant")
        await change(sup, auto_shutdown="all_significant")
        await end(await pid_of(sup, "a"), Normal())
        assert (await children(sup))["a"] is None
        await change(sup, auto_shutdown="any_significant")
        gone = monitor(sup)
        await end(await pid_of(sup, "b"), Normal())
        assert await ended(gone) == Shutdown()


# -- a dynamic supervisor


@row("SUP-102", "SUP-097")
async def test_a_dynamic_supervisor_reads_its_flags_anew() -> None:
    """Its children go on, also those that are too many by now; wrong flags are an error and change nothing."""
    script = Script()
    async with Node():
        pool = await start_pool(intensity=1, auto_shutdown="any_significant")
        pids = await add_all(pool, script, "abc", restart="transient", significant=True)
        await change(pool, max_children=2, auto_shutdown="never", intensity=0)
        assert await DynamicSupervisor.count_children(pool) == ChildCounts(3, 3, 0, 3)
        await end(pids["a"], Normal())
        with pytest.raises(MaxChildren):
            await add(pool, script, "d")
        with pytest.raises(CallbackFailed):
            await change(pool, max_children=-1)
        await end(pids["b"], Normal())
        await add(pool, script, "d")
        gone = monitor(pool)
        await end(pids["c"], CRASH)
        assert await ended(gone) == Shutdown()


@row("SUP-102")
async def test_a_dynamic_supervisor_whose_init_ignores_the_change_keeps_its_flags() -> None:
    """As one that has its children beforehand."""

    class Unmoved(Pool):
        def init(self) -> None:
            if self.__dict__.get("again"):
                raise Ignore

    async with Node():
        pool = await start_link(Unmoved)
        await change(pool, again=True, max_children=0)
        await add(pool, Script(), "a")
