"""Adding, stopping, restarting and deleting children of a running supervisor."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from regrow import (
    AlreadyStarted,
    ChildCounts,
    ChildInfo,
    Down,
    GenServer,
    Kill,
    Node,
    NoProcess,
    ServerRef,
    Shutdown,
    StartFailed,
    Supervisor,
    child,
    monitor,
    receive,
    self_pid,
    send,
    spawn,
    stop,
)
from regrow.errors import AlreadyPresent, ChildError, ChildNotFound, ChildRestarting, ChildRunning
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.supervisor_kit import (
    STRATEGIES,
    Broken,
    Script,
    Tree,
    Worker,
    children,
    end,
    pid_of,
    settled,
    start_tree,
    tell,
    worker,
    workers,
)

ENDLESS = 1_000_000  # restarts


@row("SUP-020")
async def test_a_child_that_is_added_is_started_and_comes_last() -> None:
    """It is the newest: the last to start in a group, the first to stop."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"))
        ref = await Supervisor.start_child(sup, worker(script, "c"))
        assert await Worker.ping(ref) == "c"
        assert list(await children(sup)) == ["a", "b", "c"]


@row("SUP-020")
async def test_a_child_that_is_there_is_not_added_again() -> None:
    """If it runs, the caller gets its pid; if it does not, there is `restart_child`."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"))
        with pytest.raises(AlreadyStarted) as caught:
            await Supervisor.start_child(sup, worker(script, "a"))
        assert caught.value.pid == await pid_of(sup, "a")
        await Supervisor.terminate_child(sup, "b")
        with pytest.raises(AlreadyPresent):
            await Supervisor.start_child(sup, worker(script, "b"))
        assert script.journal == ["+a", "+b", "-b"]


@row("SUP-021")
async def test_a_child_that_does_not_start_leaves_no_specification() -> None:
    """The caller knows why, and may try the same again."""
    script, error = Script(), Broken("b")
    script.fail("b", error)
    async with Node():
        sup = await start_tree(*workers(script, "a"))
        with pytest.raises(StartFailed) as caught:
            await Supervisor.start_child(sup, worker(script, "b"))
        assert caught.value.__cause__ is error
        assert list(await children(sup)) == ["a"]
        await Supervisor.start_child(sup, worker(script, "b"))
        assert list(await children(sup)) == ["a", "b"]


@row("SUP-022")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_child_that_is_terminated_stays_stopped_and_concerns_nobody_else(strategy: str) -> None:
    """What an operator stops is no failure: no restart, no sibling, whatever the strategy."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "abc"), strategy=strategy)
        before = await children(sup)
        ref = monitor(await pid_of(sup, "b"))
        await Supervisor.terminate_child(sup, "b")
        assert (await receive(Down)).ref == ref
        assert await children(sup) == {**before, "b": None}
        assert script.reasons == {"b": Shutdown()}
        await Supervisor.terminate_child(sup, "b")
        with pytest.raises(ChildNotFound):
            await Supervisor.terminate_child(sup, "z")
        assert not node.runtime.reports.restarts


@row("SUP-023")
async def test_a_temporary_child_that_is_terminated_is_forgotten() -> None:
    """It will never be restarted, so nothing needs to be kept, and its id is free."""
    script = Script()
    async with Node():
        sup = await start_tree(worker(script, "a", restart="temporary"))
        await Supervisor.terminate_child(sup, "a")
        assert await children(sup) == {}
        await Supervisor.start_child(sup, worker(script, "a", restart="temporary"))
        assert script.journal == ["+a", "-a", "+a"]


@row("SUP-024")
async def test_only_a_stopped_child_can_be_restarted() -> None:
    """In its old place, with its old specification."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abc"))
        with pytest.raises(ChildRunning):
            await Supervisor.restart_child(sup, "b")
        with pytest.raises(ChildNotFound):
            await Supervisor.restart_child(sup, "z")
        await Supervisor.terminate_child(sup, "b")
        ref = await Supervisor.restart_child(sup, "b")
        assert await Worker.ping(ref) == "b"
        assert list(await children(sup)) == ["a", "b", "c"]
        assert await pid_of(sup, "b") == ref.pid


@row("SUP-024")
async def test_a_restart_by_hand_that_fails_leaves_the_child_stopped() -> None:
    """The caller is told; nobody tries again, and it costs nothing of the budget."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "a"), intensity=0)
        await Supervisor.terminate_child(sup, "a")
        script.broken.add("a")
        for _ in range(3):
            with pytest.raises(StartFailed):
                await Supervisor.restart_child(sup, "a")
        assert await Supervisor.which_children(sup) == [ChildInfo("a", None, "worker", restarting=False)]
        assert not node.runtime.reports.restarts


@row("SUP-025")
async def test_only_a_stopped_child_can_be_deleted() -> None:
    """Deleting is no way of stopping."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"))
        with pytest.raises(ChildRunning):
            await Supervisor.delete_child(sup, "a")
        with pytest.raises(ChildNotFound):
            await Supervisor.delete_child(sup, "z")
        await Supervisor.terminate_child(sup, "a")
        await Supervisor.delete_child(sup, "a")
        assert list(await children(sup)) == ["b"]


@row("SUP-024", "SUP-025", "SUP-029", "SUP-031", "SUP-053")
async def test_a_child_that_is_being_restarted_is_neither_running_nor_stopped() -> None:
    """It is shown as restarting; what would interfere is refused; stopping it ends the tries."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"), intensity=ENDLESS)
        script.broken.add("a")
        await end(await pid_of(sup, "a"))
        info = (await Supervisor.which_children(sup))[-1]
        assert info == ChildInfo("a", None, "worker", restarting=True)
        assert await Supervisor.count_children(sup) == ChildCounts(specs=2, active=1, supervisors=0, workers=2)
        with pytest.raises(AlreadyPresent):
            await Supervisor.start_child(sup, worker(script, "a"))
        with pytest.raises(ChildRestarting):
            await Supervisor.restart_child(sup, "a")
        with pytest.raises(ChildRestarting):
            await Supervisor.delete_child(sup, "a")
        await Supervisor.terminate_child(sup, "a")
        script.news()
        assert (await Supervisor.which_children(sup))[-1] == ChildInfo("a", None, "worker", restarting=False)
        await settled()
        assert script.news() == []


@row("SUP-053")
async def test_a_child_that_was_stopped_and_started_by_hand_is_not_tried_again() -> None:
    """The try that was under way in the mailbox is for a restart that is over."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "a"), intensity=ENDLESS)
        script.broken.add("a")
        await end(await pid_of(sup, "a"))
        await Supervisor.terminate_child(sup, "a")
        script.broken.clear()
        ref = await Supervisor.restart_child(sup, "a")
        spent = len(node.runtime.reports.restarts)
        await settled()
        assert await pid_of(sup, "a") == ref.pid
        assert len(node.runtime.reports.restarts) == spent


@row("SUP-026", translated="by a pid or a reference in place of an id")
@pytest.mark.parametrize("form", [lambda pid: pid, lambda pid: ServerRef(pid, Worker), str, lambda pid: [pid]])
async def test_a_child_is_not_found_by_its_pid(form: Any) -> None:
    """Children have ids; whatever else a caller sends is answered, and harms nobody."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "a"))
        pid = await pid_of(sup, "a")
        for request in (Supervisor.terminate_child, Supervisor.restart_child, Supervisor.delete_child):
            with pytest.raises(ChildNotFound):
                await request(sup, form(pid))
        assert await children(sup) == {"a": pid}


@row("SUP-029")
async def test_which_children_lists_the_newest_first() -> None:
    """With what each is, and its pid if it runs."""
    script = Script()
    async with Node():
        sup = await start_tree(worker(script, "a"), child(Tree), worker(script, "b"))
        await Supervisor.terminate_child(sup, "b")
        pids = await children(sup)
        assert await Supervisor.which_children(sup) == [
            ChildInfo("b", None, "worker", restarting=False),
            ChildInfo("Tree", pids["Tree"], "supervisor", restarting=False),
            ChildInfo("a", pids["a"], "worker", restarting=False),
        ]


@row("SUP-031")
async def test_count_children_counts_by_specification_and_by_type() -> None:
    """Those without a process are specified, but not active."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"), child(Tree))
        await Supervisor.terminate_child(sup, "b")
        assert await Supervisor.count_children(sup) == ChildCounts(specs=3, active=2, supervisors=1, workers=2)


@row("SUP-032")
async def test_an_absent_supervisor_is_seen_at_once_by_every_request() -> None:
    """A dead reference must not hang a caller that waits without a limit."""
    script = Script()
    async with Node():
        sup = await start_tree()
        await stop(sup)
        for request in (
            Supervisor.which_children(sup),
            Supervisor.count_children(sup),
            Supervisor.start_child(sup, worker(script, "a")),
            Supervisor.terminate_child(sup, "a"),
            Supervisor.restart_child(sup, "a"),
            Supervisor.delete_child(sup, "a"),
        ):
            with pytest.raises(NoProcess):
                await request


@row("SUP-032")
async def test_requests_wait_as_long_as_it_takes() -> None:
    """Starting a child may take any time, and giving up would not stop the start."""
    script, clock = Script(), ManualClock()
    gate = script.gate("a")

    async def asker(parent: Any) -> None:
        send(parent, await Supervisor.start_child(sup, worker(script, "a")))

    async with Node(clock=clock):
        sup = await start_tree()
        spawn(asker, self_pid())
        await settled()
        clock.advance(1_000_000.0)
        await settled()
        gate.set()
        assert (await receive(ServerRef)).pid == await pid_of(sup, "a")


@row("SUP-058")
async def test_the_arguments_of_a_temporary_child_are_not_kept() -> None:
    """It is never restarted; a supervisor of a million short jobs must not hold on to what they were given."""

    class Heavy:
        pass

    class Job(GenServer):
        def __init__(self, load: Heavy) -> None:
            self.weighs = load is not None

    async with Node():
        sup = await start_tree(child(Job, Heavy()).with_(id="permanent"))
        load = Heavy()
        alive = weakref.ref(load)
        ref = await Supervisor.start_child(sup, child(Job, load).with_(restart="temporary"))
        del load
        await children(sup)
        gc.collect()
        assert alive() is None
        assert await children(sup) == {"permanent": await pid_of(sup, "permanent"), "Job": ref.pid}
        await end(await pid_of(sup, "permanent"), Kill())
        assert (await children(sup))["permanent"] is not None


async def test_a_refusal_is_an_answer_and_the_supervisor_lives() -> None:
    """All refusals are `ChildError` or `StartError`, so that one clause catches what an operator got wrong."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "a"))
        for request in (Supervisor.restart_child(sup, "a"), Supervisor.delete_child(sup, "b")):
            with pytest.raises(ChildError):
                await request
        tell(await pid_of(sup, "a"), Kill())
        assert list(await children(sup)) == ["a"]
