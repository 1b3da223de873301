"""Partition supervisors: one child several times over, and a key that says which of them is meant."""

from __future__ import annotations

import os
from typing import Any

import pytest

from regrow import (
    ChildCounts,
    DynamicSupervisor,
    GenServer,
    Ignore,
    Ignored,
    Kill,
    Name,
    Node,
    NoProcess,
    Normal,
    PartitionSupervisor,
    ServerRef,
    StartFailed,
    Supervisor,
    call,
    child,
    inspect,
    spawn,
    start_link,
    stop,
    trap_exit,
)
from tests.harness import row
from tests.local.dynamic_kit import add
from tests.local.supervisor_kit import Broken, Script, Worker, end, settled, start_tree

Sup = ServerRef[PartitionSupervisor[Any]]


class Shelf(GenServer):
    """Keeps what it is given, and tells what it was started with."""

    def __init__(self, *given: object) -> None:
        self.given = given
        self.kept: list[object] = []

    @call
    async def keep(self, thing: object) -> int:
        self.kept.append(thing)
        return len(self.kept)

    @call
    async def look(self) -> tuple[object, ...]:
        return self.given


async def start_workers(script: Script, number: int, **changes: object) -> Sup:
    """Scripted workers "0", "1" and so on, and a parent that survives them."""
    trap_exit(True)
    spec = child(Worker, "", script).with_(**changes)  # type: ignore[arg-type]
    return await start_link(PartitionSupervisor, spec, partitions=number, with_arguments=numbered)


def numbered(args: tuple[object, ...], number: int) -> tuple[object, ...]:
    """The arguments of a worker whose id is its number."""
    return str(number), *args[1:]


async def pids(sup: Sup) -> dict[str, object]:
    return {info.id: info.pid for info in reversed(await Supervisor.which_children(sup))}


# -- starting


@row("PAR-001")
async def test_without_a_number_there_are_as_many_partitions_as_cores() -> None:
    """Numbered from 0 up, each of them started from the one specification."""
    async with Node():
        shelves = await start_link(PartitionSupervisor, child(Shelf, "oak"))
        cores = len(os.sched_getaffinity(0))
        assert PartitionSupervisor.partitions(shelves) == cores
        assert list(await pids(shelves)) == [str(number) for number in range(cores)]
        for number in range(cores):
            assert await Shelf.look(PartitionSupervisor.partition(shelves, number)) == ("oak",)
        assert await Supervisor.count_children(shelves) == ChildCounts(cores, cores, 0, cores)


@row("PAR-003")
async def test_each_partition_may_get_arguments_of_its_own() -> None:
    """Made from those of the specification and its number; and again when it is restarted, or comes by a resize."""
    async with Node():
        shelves = await start_link(
            PartitionSupervisor, child(Shelf, "oak"), partitions=2, with_arguments=lambda args, number: (number, *args)
        )
        await end(PartitionSupervisor.partition(shelves, 1).pid, Kill())
        await pids(shelves)
        await PartitionSupervisor.resize(shelves, 3)
        for number in range(3):
            assert await Shelf.look(PartitionSupervisor.partition(shelves, number)) == (number, "oak")


@row("PAR-004", translated="as StartFailed that names all mistakes; it needs no name, its partitions must have none")
async def test_what_makes_no_sense_is_a_failed_start_that_names_it_all() -> None:
    """Nothing is started then."""

    class Ending(PartitionSupervisor[Shelf]):
        auto_shutdown = "any_significant"

    wrong: Any = Ending
    async with Node() as node:
        with pytest.raises(StartFailed) as caught:
            await start_link(wrong, child(Shelf).named("shelf"), partitions=0, with_arguments=7)
        for part in ("its name must be None", "partitions must be", "with_arguments must be", "auto_shutdown must be"):
            assert part in str(caught.value)
        with pytest.raises(StartFailed, match="child_spec must be a child specification"):
            await start_link(wrong, Shelf)
        with pytest.raises(StartFailed, match="child_spec"):
            await start_link(wrong)
        assert len(node.runtime.processes) == 1


@pytest.mark.parametrize("partitions", [-1, 1.0, True, "2"])
async def test_a_number_of_partitions_is_a_whole_one_of_at_least_1(partitions: Any) -> None:
    """It may become 0 later on, but who starts a supervisor wants something of it."""
    async with Node():
        with pytest.raises(StartFailed, match="partitions must be a whole number of at least 1"):
            await start_link(PartitionSupervisor, child(Shelf), partitions=partitions)


# -- the way to a partition


@row("PAR-002")
async def test_a_key_always_leads_to_the_same_partition() -> None:
    """Whole numbers by their absolute value, others by a lasting hash; so what belongs together meets."""
    async with Node():
        trap_exit(True)
        shelves = await start_link(PartitionSupervisor, child(Shelf), partitions=3)
        by_number = list((await pids(shelves)).values())
        for key, number in ((0, 0), (3, 0), (-1, 1), (5, 2)):
            assert PartitionSupervisor.partition(shelves, key).pid == by_number[number]
        for key in ("ada", b"ada", ("ada", 1), None, shelves.pid):
            first, again = (PartitionSupervisor.partition(shelves, key) for _ in range(2))
            assert first.pid in by_number
            assert await Shelf.keep(again, key) == await Shelf.keep(first, key) - 1


async def test_a_partition_is_reached_by_the_name_of_its_supervisor() -> None:
    """What one writes down in a module: the name stays when the processes change."""
    shelves = Name("shelves", PartitionSupervisor[Shelf])
    async with Node():
        sup = await start_tree(child(PartitionSupervisor, child(Shelf), partitions=2).named("shelves"))
        before = PartitionSupervisor.partition(shelves, "ada")
        await end(before.pid, Kill())
        assert (await Supervisor.count_children(shelves)).active == 2
        after = PartitionSupervisor.partition(shelves, "ada")
        assert after != before
        assert await Shelf.keep(after, "x") == 1
        assert [info.id for info in await Supervisor.which_children(sup)] == ["shelves"]


async def test_an_outsider_finds_partitions_through_a_reference() -> None:
    """A web handler is no process; the reference knows its node."""
    async with Node() as node:
        shelves = await start_link(PartitionSupervisor, child(Shelf), partitions=2)
        with node.current():
            assert await Shelf.keep(PartitionSupervisor.partition(shelves, 1), "x") == 1


@row("PAR-006")
async def test_an_absent_supervisor_has_no_partitions_and_is_seen_at_once() -> None:
    """Ended, or never there. Stopping it returns when all of it is gone."""
    async with Node() as node:
        shelves = await start_link(PartitionSupervisor, child(Shelf), partitions=2)
        await stop(shelves)
        assert len(node.runtime.processes) == 1
        nobody = Name("nobody", PartitionSupervisor[Shelf])
        for sup in (shelves, nobody, nobody.at("b@h")):
            with pytest.raises(NoProcess):
                PartitionSupervisor.partitions(sup)
            with pytest.raises(NoProcess):
                PartitionSupervisor.partition(sup, 1)
        for absent in (shelves, nobody):
            with pytest.raises(NoProcess):
                await Supervisor.count_children(absent)
            with pytest.raises(NoProcess):
                await PartitionSupervisor.resize(absent, 1)


async def test_what_is_no_partition_supervisor_is_refused() -> None:
    """A name that was given to something else in the meantime."""
    async with Node():
        sup: Any = await start_tree()
        with pytest.raises(TypeError, match="no partition supervisor"):
            PartitionSupervisor.partition(sup, 1)


async def test_a_key_that_leads_nowhere_for_sure_is_refused() -> None:
    """In the caller: the supervisor never hears of it."""
    async with Node():
        shelves = await start_link(PartitionSupervisor, child(Shelf), partitions=2)
        with pytest.raises(TypeError):
            PartitionSupervisor.partition(shelves, ["a"])


async def test_a_partition_that_does_not_run_is_no_process() -> None:
    """Between two tries, or ended for good; the others are not concerned."""
    script = Script()
    async with Node():
        sup = await start_workers(script, 2, restart="transient")
        await end(PartitionSupervisor.partition(sup, 0).pid, Normal())
        await pids(sup)
        with pytest.raises(NoProcess, match=r"partition 0 of .* does not run"):
            PartitionSupervisor.partition(sup, 0)
        assert await Worker.ping(PartitionSupervisor.partition(sup, 1)) == "1"


async def test_an_ignored_partition_is_no_process() -> None:
    """As any child of a supervisor it keeps its place."""
    script = Script()
    script.fail("0", Ignore())
    async with Node():
        sup = await start_workers(script, 2)
        with pytest.raises(NoProcess):
            PartitionSupervisor.partition(sup, 0)
        await Supervisor.restart_child(sup, "0")
        assert await Worker.ping(PartitionSupervisor.partition(sup, 0)) == "0"


# -- more or fewer


@row("PAR-005")
async def test_the_number_of_partitions_can_be_changed_down_to_none_and_up_again() -> None:
    """The highest numbers go first, one at a time; those that come begin anew."""
    script = Script()
    async with Node():
        sup = await start_workers(script, 3)
        before = await pids(sup)
        await PartitionSupervisor.resize(sup, 1)
        assert await pids(sup) == {"0": before["0"]}
        assert script.journal == ["+0", "+1", "+2", "-2", "-1"]
        assert PartitionSupervisor.partition(sup, 2).pid == before["0"]
        await PartitionSupervisor.resize(sup, 0)
        assert PartitionSupervisor.partitions(sup) == 0
        with pytest.raises(NoProcess, match="no partitions"):
            PartitionSupervisor.partition(sup, 2)
        await PartitionSupervisor.resize(sup, 3)
        after = await pids(sup)
        assert list(after) == ["0", "1", "2"]
        assert not set(after.values()) & set(before.values())
        await PartitionSupervisor.resize(sup, 3)
        assert await pids(sup) == after
        await PartitionSupervisor.resize(sup, 4)
        assert PartitionSupervisor.partitions(sup) == 4


@row("PAR-005")
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_partitions_that_do_not_run_can_be_resized_away(restart: str) -> None:
    """Ended, stopped by hand or deleted: their numbers are free again."""
    script = Script()
    async with Node():
        sup = await start_workers(script, 4, restart=restart)
        await Supervisor.terminate_child(sup, "3")
        if restart == "transient":
            await end(PartitionSupervisor.partition(sup, 2).pid, Normal())
        if restart == "permanent":
            await Supervisor.delete_child(sup, "3")
        await PartitionSupervisor.resize(sup, 1)
        await PartitionSupervisor.resize(sup, 4)
        assert None not in (await pids(sup)).values()


@pytest.mark.parametrize("fault", [Broken("third"), Ignore()])
async def test_a_resize_that_fails_changes_nothing(fault: Exception) -> None:
    """No key may lead to a partition that is not there: the caller learns why, and those that had come go again."""
    script = Script()
    async with Node():
        sup = await start_workers(script, 1)
        before = await pids(sup)
        script.fail("2", fault)
        with pytest.raises((StartFailed, Ignored)):
            await PartitionSupervisor.resize(sup, 4)
        assert await pids(sup) == before
        assert PartitionSupervisor.partitions(sup) == 1
        assert script.journal == ["+0", "+1", "!2", "-1"]


async def test_arguments_that_cannot_be_made_fail_the_resize_and_harm_nobody() -> None:
    """The function is the user's; the partitions that run have nothing to do with its mistake."""

    def few(args: tuple[object, ...], number: int) -> tuple[object, ...]:
        return (["oak", "elm"][number],)

    async with Node():
        shelves = await start_link(PartitionSupervisor, child(Shelf), partitions=2, with_arguments=few)
        before = await pids(shelves)
        with pytest.raises(StartFailed, match="IndexError"):
            await PartitionSupervisor.resize(shelves, 3)
        assert await pids(shelves) == before
        assert await Shelf.look(PartitionSupervisor.partition(shelves, 1)) == ("elm",)


@pytest.mark.parametrize("partitions", [-1, 1.5, True, "2", None])
async def test_a_senseless_resize_is_refused_in_the_caller(partitions: Any) -> None:
    """Also where nobody is there to be asked."""
    with pytest.raises(ValueError, match="partitions must be a whole number"):
        await PartitionSupervisor.resize(Name("nobody", PartitionSupervisor[Shelf]), partitions)


async def test_a_partition_that_was_resized_away_does_not_come_back_with_the_others() -> None:
    """With one_for_all a group is started again as it is now, not as it once was."""

    class Together(PartitionSupervisor[Worker]):
        strategy = "one_for_all"
        intensity = 3

    script = Script()
    async with Node():
        sup = await start_link(Together, child(Worker, "w", script), partitions=3)
        await PartitionSupervisor.resize(sup, 2)
        before = await pids(sup)
        await end(PartitionSupervisor.partition(sup, 0).pid, Kill())
        after = await pids(sup)
        assert list(after) == ["0", "1"]
        assert not set(after.values()) & set(before.values())


# -- beside others


async def test_dynamic_supervisors_can_be_partitioned() -> None:
    """The usual reason to have partitions: starts of many children do not wait for each other."""
    script = Script()
    gate = script.gate("slow")
    async with Node():
        pools = await start_link(PartitionSupervisor, child(DynamicSupervisor), partitions=2)
        spawn(add, PartitionSupervisor.partition(pools, 0), script, "slow")
        await settled()
        ref = await add(PartitionSupervisor.partition(pools, 1), script, "a")
        assert await Worker.ping(ref) == "a"
        gate.set()


async def test_the_tree_shows_partitions_as_children() -> None:
    """By their numbers."""
    async with Node("a@h") as node:
        await start_link(child(PartitionSupervisor, child(Shelf), partitions=2).named("shelves"))
        (tree,) = inspect.tree(node)
        assert (tree.name, tree.label, tree.type) == ("shelves", "PartitionSupervisor", "supervisor")
        assert [(each.name, each.label) for each in tree.children] == [("0", "Shelf"), ("1", "Shelf")]
