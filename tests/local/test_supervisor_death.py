"""A supervisor that dies out of order leaves no orphans, and its end is news only when its children are gone."""

from __future__ import annotations

import pytest

from regrow import (
    ChildSpec,
    Crash,
    Down,
    Kill,
    Killed,
    Node,
    Pid,
    Reason,
    ServerExited,
    ServerRef,
    Shutdown,
    StartFailed,
    Supervisor,
    call,
    child,
    current_node,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    trap_exit,
)
from regrow.testing import ManualClock
from tests.local.supervisor_kit import (
    Script,
    Tree,
    Worker,
    children,
    end,
    ended,
    pid_of,
    settled,
    start_tree,
    worker,
    workers,
)


def living(*ids: str) -> dict[str, Pid]:
    """The scripted workers that live, by id; their supervisor may be too dead to be asked."""
    processes = current_node().runtime.processes.items()
    found = {getattr(process.server, "id", None): pid for pid, process in processes}
    return {id_: pid for id_, pid in found.items() if isinstance(id_, str) and (not ids or id_ in ids)}


async def test_children_of_a_killed_supervisor_get_its_exit_signal_all_at_once() -> None:
    """They run `terminate` with the reason their parent died of; order is for orderly ends."""
    script = Script()
    holds = [script.hold(id_) for id_ in "abc"]
    async with Node() as node:
        sup = await start_tree(*workers(script, "abc"))
        gone = monitor(sup)
        send_exit(sup, Kill())
        await settled()
        assert script.reasons == dict.fromkeys("abc", Killed())
        for hold in holds:
            hold.set()
        assert await ended(gone) == Killed()
        assert sorted(script.journal[3:]) == ["-a", "-b", "-c"]
        assert not node.runtime.reports.crashes


async def test_the_down_of_a_killed_supervisor_comes_after_those_of_its_children() -> None:
    """Who hears of its end may start another tree of the same names at once."""
    script = Script()
    async with Node():
        tree = [child(Worker, id_, script).named(id_) for id_ in "abc"]
        for _ in range(3):
            sup = await start_tree(*tree)
            refs = [monitor(pid) for pid in living().values()]
            last = monitor(sup)
            send_exit(sup, Kill())
            heard = [(await receive(Down)).ref for _ in range(4)]
            assert heard[-1] == last
            assert set(heard[:-1]) == set(refs)


async def test_each_child_of_a_killed_supervisor_has_its_own_shutdown_time() -> None:
    """First the signal, then the time it was promised, then the cancel."""
    script, clock = Script(), ManualClock()
    for id_ in "abc":
        script.hold(id_)
    async with Node(clock=clock):
        sup = await start_tree(
            worker(script, "a", shutdown=2.0),
            worker(script, "b", shutdown=4.0),
            worker(script, "c", shutdown="brutal_kill"),
        )
        gone = monitor(sup)
        send_exit(sup, Kill())
        for seconds, left in [(0.0, {"a", "b"}), (1.999, {"a", "b"}), (0.001, {"b"}), (1.999, {"b"}), (0.001, set())]:
            clock.advance(seconds)
            await settled()
            assert set(living()) == left
        assert await ended(gone) == Killed()
        assert script.journal == ["+a", "+b", "+c"]


async def test_a_child_of_a_killed_supervisor_that_may_take_for_ever_may_do_so_still() -> None:
    """`infinity` is a promise to the child, whatever becomes of its supervisor."""
    script, clock = Script(), ManualClock()
    hold = script.hold("a")
    async with Node(clock=clock) as node:
        sup = await start_tree(worker(script, "a", shutdown="infinity"))
        gone = monitor(sup)
        send_exit(sup, Kill())
        await settled()
        clock.advance(1_000_000.0)
        await settled()
        assert sup.pid in node.runtime.processes
        send_exit(sup, Kill())  # once more changes nothing
        await settled()
        hold.set()
        assert await ended(gone) == Killed()
        assert script.journal == ["+a", "-a"]


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_below_a_killed_supervisor_whole_trees_stop_in_order(depth: int) -> None:
    """An inner supervisor hears of its parent's end like a server, and stops its own children in reverse order."""
    script = Script()

    def tree(level: int) -> list[ChildSpec]:
        leaves: list[ChildSpec] = [worker(script, f"a{level}"), worker(script, f"b{level}")]
        if level < depth:
            leaves.insert(1, child(Tree, *tree(level + 1)).with_(id=f"tree{level}"))
        return leaves

    async with Node() as node:
        sup = await start_tree(child(Tree, *tree(1)))
        gone = monitor(sup)
        script.news()
        send_exit(sup, Kill())
        assert await ended(gone) == Killed()
        inside_out = [f"-b{level}" for level in range(1, depth + 1)] + [f"-a{level}" for level in range(depth, 0, -1)]
        assert script.news() == inside_out
        assert len(node.runtime.processes) == 1
        assert not node.runtime.reports.crashes


async def test_a_killed_supervisor_is_replaced_only_when_its_old_tree_is_gone() -> None:
    """There are never two trees under one name, so the restart needs no second try."""
    script = Script()
    hold = script.hold("a")
    async with Node() as node:
        inner = child(Tree, child(Worker, "a", script).named("desk")).named("inner")
        sup = await start_tree(inner)
        old = await pid_of(sup, "inner")
        send_exit(old, Kill())
        await settled()
        assert await pid_of(sup, "inner") == old
        hold.set()
        await settled()
        assert await pid_of(sup, "inner") != old
        assert script.journal == ["+a", "-a", "+a"]
        assert [report.child for report in node.runtime.reports.restarts] == ["inner"]


class SlowTrapper(Worker):
    """Traps exits before it is ready: a signal alone does not end its start."""

    async def init(self) -> None:
        trap_exit(True)
        await super().init()


@pytest.mark.parametrize("trapping", [False, True])
async def test_a_supervisor_killed_in_the_middle_of_its_start_takes_the_half_started_child_with_it(
    trapping: bool,
) -> None:
    """The starter learns it when all are gone: the slow child at once, or after its shutdown time if it traps."""
    script, clock = Script(), ManualClock()
    script.gate("b")
    cls = SlowTrapper if trapping else Worker

    async def starter(parent: Pid) -> None:
        with pytest.raises(StartFailed) as caught:
            await start(Tree, worker(script, "a"), child(cls, "b", script).with_(shutdown=2.0), worker(script, "c"))
        send(parent, (caught.value.reason, set(living())))

    async with Node(clock=clock) as node:
        spawn(starter, self_pid())
        await settled()
        (sup,) = (pid for pid, process in node.runtime.processes.items() if isinstance(process.server, Tree))
        gone = monitor(sup)
        send_exit(sup, Kill())
        await settled()
        assert set(living()) == ({"b"} if trapping else set())
        clock.advance(2.0)
        assert await ended(gone) == Killed()
        assert await receive(tuple) == (Killed(), set())
        assert script.journal == ["+a", "-a"]


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
async def test_a_supervisor_killed_in_the_middle_of_a_restart_leaves_nothing_either(strategy: str) -> None:
    """Whether a child has started, is starting or has not: none is left."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "abc"), strategy=strategy)
        script.gate("b")
        await end(await pid_of(sup, "b"), Kill())
        await settled()
        gone = monitor(sup)
        send_exit(sup, Kill())
        assert await ended(gone) == Killed()
        assert len(node.runtime.processes) == 1
        assert {"-a", "-c"} <= set(script.journal)


async def test_who_asked_a_killed_supervisor_for_a_child_is_told_when_the_child_is_gone() -> None:
    """The request fails with the supervisor's reason; a child that nobody owns is not left behind."""
    script = Script()
    script.gate("z")

    async def asker(sup: ServerRef[Tree], parent: Pid) -> None:
        with pytest.raises(ServerExited) as caught:
            await Supervisor.start_child(sup, worker(script, "z"))
        send(parent, (caught.value.reason, set(living())))

    async with Node():
        sup = await start_tree(*workers(script, "a"))
        spawn(asker, sup, self_pid())
        await settled()
        assert set(living()) == {"a", "z"}
        send_exit(sup, Kill())
        assert await receive(tuple) == (Killed(), set())


@pytest.mark.parametrize("shutdown", [2.0, "infinity"])
async def test_a_supervisor_killed_while_it_stops_a_child_leaves_it_its_time(shutdown: float | str) -> None:
    """The child was told already, and has lost its link: it must be neither forgotten nor told to stop in vain."""
    script, clock = Script(), ManualClock()
    hold = script.hold("b")
    async with Node(clock=clock):
        sup = await start_tree(worker(script, "a"), worker(script, "b", shutdown=shutdown))
        gone = monitor(sup)
        spawn(ask_in_vain, sup, "b")
        await settled()
        send_exit(sup, Kill())
        await settled()
        assert set(living()) == {"b"}
        assert script.reasons["b"] == Shutdown()
        if shutdown == "infinity":
            hold.set()
        else:
            clock.advance(2.0)
        assert await ended(gone) == Killed()
        assert ("-b" in script.journal) == (shutdown == "infinity")


async def ask_in_vain(sup: ServerRef[Tree], id_: str) -> None:
    with pytest.raises(ServerExited):
        await Supervisor.terminate_child(sup, id_)


@pytest.mark.parametrize("shutdown", [2.0, "infinity", "brutal_kill"])
async def test_a_child_that_unlinked_itself_is_taken_down_all_the_same(shutdown: object) -> None:
    """It belongs to its supervisor because it was started there, not because of a link."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "a", shutdown=shutdown))
        ref = ServerRef(await pid_of(sup, "a"), Worker)
        Worker.leave(ref, sup.pid)
        await Worker.ping(ref)
        gone = monitor(sup)
        send_exit(sup, Kill())
        assert await ended(gone) == Killed()
        assert living() == {}


async def test_a_supervisor_that_crashes_is_one_report_and_leaves_no_orphans() -> None:
    """A bug in a call of its own is a crash like any server's; what goes down with it is not reported again."""

    class Buggy(Tree):
        @call
        async def oops(self) -> None:
            raise ZeroDivisionError("oops")

    script = Script()
    async with Node() as node:
        trap_exit(True)
        sup = await start_link(Buggy, *workers(script, "ab"), child(Tree, worker(script, "c")))
        gone = monitor(sup)
        with pytest.raises(ServerExited) as caught:
            await Buggy.oops(sup)
        reason: Reason = caught.value.reason
        assert isinstance(reason, Crash)
        assert await ended(gone) == reason
        assert script.reasons == {"a": reason, "b": reason, "c": Shutdown()}
        assert [report.pid for report in node.runtime.reports.crashes] == [sup.pid]
        assert len(node.runtime.processes) == 1


async def test_a_killed_child_supervisor_spends_one_restart_and_its_siblings_go_by_the_strategy() -> None:
    """For its own supervisor a supervisor is a child like any other."""
    script = Script()
    async with Node() as node:
        inner = child(Tree, worker(script, "leaf")).with_(id="inner")
        sup = await start_tree(worker(script, "a"), inner, worker(script, "z"), strategy="rest_for_one")
        script.news()
        await end(await pid_of(sup, "inner"), Kill())
        await children(sup)
        assert script.news() == ["-leaf", "-z", "+leaf", "+z"]
        assert len(node.runtime.reports.restarts) == 1
