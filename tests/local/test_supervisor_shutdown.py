"""How children are stopped: one at a time, in reverse order, with the time each was promised."""

from __future__ import annotations

import pytest

from regrow import (
    Crash,
    Custom,
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
    Stop,
    Supervisor,
    call,
    child,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start_link,
    stop,
    trap_exit,
)
from regrow.errors import ServerExited
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.supervisor_kit import (
    ENDINGS,
    STRATEGIES,
    Script,
    Tree,
    Worker,
    children,
    down,
    end,
    ended,
    pid_of,
    settled,
    start_tree,
    worker,
    workers,
)

CRASH = Crash(ValueError("boom"))


@row("SUP-070")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_children_are_stopped_one_at_a_time_in_reverse_order(strategy: str) -> None:
    """A later child may use an earlier one to the very end, so the earlier hears nothing before it is gone."""
    script = Script()
    holds = {id_: script.hold(id_) for id_ in "abc"}
    async with Node() as node:
        sup = await start_tree(*workers(script, "abc"), strategy=strategy)
        gone = monitor(sup)
        send_exit(sup, Shutdown())
        for id_ in "cba":
            await settled()
            assert set(script.reasons) == set("abc"["abc".index(id_) :])
            holds[id_].set()
        assert await ended(gone) == Shutdown()
        assert script.journal == ["+a", "+b", "+c", "-c", "-b", "-a"]
        assert len(node.runtime.processes) == 1


@row("SUP-071")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_child_that_does_not_stop_in_its_time_is_killed(strategy: str) -> None:
    """The obedient one sees `Shutdown` and ends with it; the stubborn one gets its seconds and not more."""
    script, clock = Script(), ManualClock()
    script.hold("stubborn")
    async with Node(clock=clock):
        sup = await start_tree(worker(script, "obedient"), worker(script, "stubborn", shutdown=2.0), strategy=strategy)
        pids = await children(sup)
        gone = {id_: monitor(pid) for id_, pid in pids.items() if pid is not None}
        send_exit(sup, Shutdown())
        await settled()
        clock.advance(1.999)
        await settled()
        assert set(script.reasons) == {"stubborn"}
        clock.advance(0.001)
        assert await ended(gone["stubborn"]) == Killed()
        assert await ended(gone["obedient"]) == Shutdown()
        assert script.reasons == {"stubborn": Shutdown(), "obedient": Shutdown()}
        assert script.journal[2:] == ["-obedient"]


@row("SUP-072")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_brutal_kill_kills_at_once_and_terminate_does_not_run(strategy: str) -> None:
    """For children that have nothing to clean up, or cannot be trusted to do it."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab", shutdown="brutal_kill"), strategy=strategy)
        gone = monitor(await pid_of(sup, "b"))
        await Supervisor.terminate_child(sup, "b")
        assert await ended(gone) == Killed()
        gone = monitor(await pid_of(sup, "a"))
        send_exit(sup, Shutdown())
        assert await ended(gone) == Killed()
        assert script.reasons == {}


@row("SUP-073")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_infinity_waits_as_long_as_it_takes(strategy: str) -> None:
    """For workers as well as for supervisors, whose own children take the time they take."""
    script, clock = Script(), ManualClock()
    hold = script.hold("a")
    async with Node(clock=clock):
        below = child(Tree, worker(script, "a", shutdown="infinity")).with_(id="below")
        sup = await start_tree(below, strategy=strategy)
        gone = monitor(sup)
        send_exit(sup, Shutdown())
        for _ in range(3):
            await settled()
            clock.advance(1_000_000.0)
        await settled()
        assert script.journal == ["+a"]
        hold.set()
        assert await ended(gone) == Shutdown()
        assert script.journal == ["+a", "-a"]


@row("SUP-075")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_children_that_end_by_themselves_during_the_shutdown_confuse_nobody(
    ending: str, restart: str, strategy: str
) -> None:
    """They are not restarted, whatever they ended with, before their turn (a, b) or in it (c)."""
    script = Script()
    hold = script.hold("c")
    async with Node() as node:
        sup = await start_tree(*workers(script, "abc", restart=restart), strategy=strategy)
        gone, pids = monitor(sup), {id_: await pid_of(sup, id_) for id_ in "abc"}
        send_exit(sup, Shutdown())
        await settled()
        for id_ in "ab":
            await end(pids[id_], ENDINGS[ending])
        if ending == "kill":
            send_exit(pids["c"], Kill())
        hold.set()
        assert await ended(gone) == Shutdown()
        assert [entry for entry in script.journal if entry[0] == "+"] == ["+a", "+b", "+c"]
        assert not node.runtime.reports.restarts


@row("SUP-075")
async def test_a_child_that_crashes_in_its_own_shutdown_does_not_stop_the_shutdown() -> None:
    """Its crash is reported as any other; the rest is stopped as planned."""

    class Clumsy(Worker):
        async def terminate(self, reason: Reason) -> None:
            raise ValueError("dropped it")

    script = Script()
    async with Node() as node:
        sup = await start_tree(worker(script, "a"), child(Clumsy, "b", script))
        gone = monitor(sup)
        send_exit(sup, Shutdown())
        assert await ended(gone) == Shutdown()
        assert script.journal == ["+a", "+b", "-a"]
        assert [str(report.reason) for report in node.runtime.reports.crashes] == ["ValueError: dropped it"]


@row("SUP-076")
@pytest.mark.parametrize("shutdown", [1.0, "infinity", "brutal_kill"])
async def test_a_child_that_has_unlinked_itself_can_be_terminated(shutdown: object) -> None:
    """The supervisor waits for the process, not for the exit signal of a link that may be gone."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab", shutdown=shutdown))
        for id_ in "ab":
            ref = ServerRef(await pid_of(sup, id_), Worker)
            Worker.leave(ref, sup.pid)
            await Worker.ping(ref)
        await Supervisor.terminate_child(sup, "a")
        await end(await pid_of(sup, "b"), Kill())  # no signal tells of this end
        await Supervisor.terminate_child(sup, "b")
        assert await children(sup) == {"a": None, "b": None}


PARENTS_REASONS = [Normal(), Shutdown(), Shutdown("update"), CRASH, Killed(), Custom("whatever")]


@row("SUP-077")
@pytest.mark.parametrize("reason", PARENTS_REASONS, ids=str)
async def test_any_exit_signal_of_the_parent_stops_it_in_order_with_that_reason(reason: Reason) -> None:
    """Even `Normal`: without its parent a supervisor has no place in a tree. It is no crash of its own."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"))
        gone = monitor(sup)
        send_exit(sup, reason)
        assert await ended(gone) == reason
        assert script.journal == ["+a", "+b", "-b", "-a"]
        assert not node.runtime.reports.crashes


@row("SUP-077")
@pytest.mark.parametrize("reason", PARENTS_REASONS, ids=str)
async def test_exit_signals_of_anybody_else_are_ignored(reason: Reason) -> None:
    """A stranger must not be able to stop a tree by accident. `Kill` is the exception, as always."""
    script = Script()

    async def stranger(sup: ServerRef[Tree], parent: Pid) -> None:
        send_exit(sup, reason)
        send(parent, "done")

    async with Node():
        sup = await start_tree(*workers(script, "ab"))
        before = await children(sup)
        spawn(stranger, sup, self_pid())
        await receive(str)
        assert await children(sup) == before


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Custom("enough")], ids=str)
async def test_stop_stops_the_children_first_and_returns_when_all_are_gone(reason: Reason) -> None:
    """`stop` is an order like the parent's, from anybody who holds a reference."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"))
        await stop(sup, reason)
        assert script.journal == ["+a", "+b", "-b", "-a"]
        assert len(node.runtime.processes) == 1


async def test_a_caller_of_a_supervisor_that_stops_is_told_so() -> None:
    """A request that came too late is not left waiting."""
    script = Script()
    hold = script.hold("a")
    async with Node():
        sup = await start_tree(*workers(script, "a"))

        async def late(parent: Pid) -> None:
            with pytest.raises(ServerExited) as caught:
                await Supervisor.which_children(sup)
            send(parent, caught.value.reason)

        send_exit(sup, Shutdown())
        await settled()
        spawn(late, self_pid())
        await settled()
        hold.set()
        assert await receive(Shutdown) == Shutdown()


async def test_children_that_do_not_run_do_not_hold_up_the_shutdown() -> None:
    """One was ignored, one stopped by hand, one ended for good, one is between two tries."""
    script = Script()
    script.fail("b", Ignore())
    async with Node():
        sup = await start_tree(
            *workers(script, "abc"), worker(script, "d", restart="transient"), worker(script, "e"), intensity=1_000_000
        )
        await Supervisor.terminate_child(sup, "c")
        await end(await pid_of(sup, "d"), Normal())
        script.broken.add("e")
        await end(await pid_of(sup, "e"), Kill())
        assert [pid is not None for pid in (await children(sup)).values()] == [True, False, False, False, False]
        gone = monitor(sup)
        send_exit(sup, Shutdown())
        assert await ended(gone) == Shutdown()


async def test_a_supervisor_told_to_stop_while_it_restarts_a_slow_child_finishes_that_first() -> None:
    """One thing after the other, as in OTP: `start_timeout` is what keeps it short."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abc"), strategy="one_for_all")
        gate = script.gate("b")
        await end(await pid_of(sup, "b"), Kill())
        await settled()
        script.news()
        gone = monitor(sup)
        send_exit(sup, Shutdown())
        await settled()
        assert script.news() == []
        gate.set()
        assert await ended(gone) == Shutdown()
        assert script.news() == ["+b", "+c", "-c", "-b", "-a"]


async def test_the_parent_s_exit_while_a_child_is_being_stopped_waits_for_that() -> None:
    """The order to stop the rest comes when the supervisor gets to it; nothing is stopped twice."""
    script = Script()
    hold = script.hold("b")
    async with Node():
        sup = await start_tree(worker(script, "a"), worker(script, "b", shutdown="infinity"))
        gone = monitor(sup)
        spawn(Supervisor.terminate_child, sup, "b")
        await settled()
        send_exit(sup, Shutdown("enough"))
        await settled()
        assert script.reasons == {"b": Shutdown()}
        hold.set()
        assert await ended(gone) == Shutdown("enough")
        assert script.journal[2:] == ["-b", "-a"]


async def test_the_end_of_the_parent_is_the_end_of_the_supervisor() -> None:
    """Also a normal one: what a process has started does not outlive it."""
    script = Script()

    async def parent(boss: Pid) -> None:
        send(boss, await start_tree(*workers(script, "ab")))

    async with Node():
        spawn(parent, self_pid())
        await down(await receive(ServerRef))
        assert script.journal == ["+a", "+b", "-b", "-a"]


async def test_a_supervisor_that_stops_itself_in_one_of_its_own_calls_stops_in_order() -> None:
    """A supervisor may have calls of its own, and `Stop` means there what it means everywhere."""
    script = Script()

    class SelfMade(Tree):
        @call
        async def enough(self) -> None:
            raise Stop(Shutdown("enough"))

    async with Node():
        trap_exit(True)
        sup = await start_link(SelfMade, *workers(script, "ab"))
        with pytest.raises(ServerExited) as caught:
            await SelfMade.enough(sup)
        assert caught.value.reason == Shutdown("enough")
        assert script.journal == ["+a", "+b", "-b", "-a"]


async def test_a_child_that_never_asked_to_trap_ends_at_once_without_terminate() -> None:
    """The signal alone ends it: only who has something to clean up needs to trap."""

    class Simple(GenServer):
        terminated = False

        async def terminate(self, reason: Reason) -> None:
            Simple.terminated = True

    async with Node():
        sup = await start_tree(child(Simple))
        gone = monitor(await pid_of(sup, "Simple"))
        await Supervisor.terminate_child(sup, "Simple")
        assert await ended(gone) == Shutdown()
        assert not Simple.terminated
