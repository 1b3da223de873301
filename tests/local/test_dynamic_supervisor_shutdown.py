"""How dynamic children are stopped: all at once, each with the time it was promised; and what that costs."""

from __future__ import annotations

import logging

import anyio
import pytest

from regrow import (
    Crash,
    DynamicSupervisor,
    Ignore,
    Kill,
    Killed,
    Node,
    Normal,
    Reason,
    ServerExited,
    ServerRef,
    Shutdown,
    StartError,
    child,
    monitor,
    send_exit,
    spawn,
    stop,
)
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.counting import counted_calls
from tests.local.dynamic_kit import ENDLESS, Pool, add, add_all, living, pids, start_pool
from tests.local.supervisor_kit import (
    ENDINGS,
    Broken,
    Script,
    Worker,
    down,
    end,
    ended,
    settled,
    tell,
)


@row("SUP-074", "DYN-010")
async def test_all_children_are_told_at_once() -> None:
    """The whole shutdown takes as long as the slowest, not as long as all together."""
    script = Script()
    holds = {id_: script.hold(id_) for id_ in "abc"}
    async with Node() as node:
        pool = await start_pool()
        await add_all(pool, script, "abc")
        gone = monitor(pool)
        send_exit(pool, Shutdown())
        await settled()
        assert script.reasons == dict.fromkeys("abc", Shutdown())
        for id_ in "bac":
            holds[id_].set()
            await settled()
        assert await ended(gone) == Shutdown()
        assert script.journal[3:] == ["-b", "-a", "-c"]
        assert len(node.runtime.processes) == 1


@row("SUP-074", "DYN-010")
async def test_each_child_is_stopped_by_its_own_rule() -> None:
    """Killed at once, killed when its time is up, waited for: all of it beside each other."""
    script, clock = Script(), ManualClock()
    rules = {"brutal": "brutal_kill", "obedient": 5.0, "two": 2.0, "five": 5.0, "ever": "infinity"}
    for id_ in ("two", "five", "ever"):
        script.hold(id_)
    async with Node(clock=clock) as node:
        pool = await start_pool()
        ends = {id_: monitor(await add(pool, script, id_, shutdown=rule)) for id_, rule in rules.items()}
        gone = monitor(pool)
        send_exit(pool, Shutdown())
        assert await ended(ends["brutal"]) == Killed()
        assert await ended(ends["obedient"]) == Shutdown()
        for seconds, left in ((0.0, {"two", "five", "ever"}), (1.999, {"two", "five", "ever"})):
            clock.advance(seconds)
            await settled()
            assert set(living(node.runtime)) == left
        clock.advance(0.001)
        assert await ended(ends["two"]) == Killed()
        clock.advance(3.0)
        assert await ended(ends["five"]) == Killed()
        clock.advance(1_000_000.0)
        await settled()
        assert set(living(node.runtime)) == {"ever"}
        script.holds["ever"].set()
        assert await ended(ends["ever"]) == Shutdown()
        assert await ended(gone) == Shutdown()
        assert "brutal" not in script.reasons


@row("DYN-010", "SUP-075")
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_children_that_end_by_themselves_during_the_shutdown_confuse_nobody(restart: str) -> None:
    """What each ends with is its own reason; none is restarted."""
    script, crash = Script(), ENDINGS["crash"]

    class Clumsy(Worker):
        async def terminate(self, reason: Reason) -> None:
            assert isinstance(crash, Crash)
            raise crash.exception

    async with Node() as node:
        pool = await start_pool()
        script.hold("a")
        hold = script.hold("b")
        before = await add_all(pool, script, "ab", restart=restart)
        clumsy = child(Clumsy, "c", script).with_(restart=restart)  # type: ignore[arg-type]
        before["c"] = (await DynamicSupervisor.start_child(pool, clumsy)).pid
        ends = {id_: monitor(pid) for id_, pid in before.items()}
        gone = monitor(pool)
        send_exit(pool, Shutdown("enough"))
        assert await ended(ends["c"]) == crash
        send_exit(before["a"], Kill())
        assert await ended(ends["a"]) == Killed()
        hold.set()
        assert await ended(ends["b"]) == Shutdown()
        assert await ended(gone) == Shutdown("enough")
        assert not node.runtime.reports.restarts


async def test_children_that_do_not_run_do_not_hold_up_the_shutdown() -> None:
    """One was ignored, one never started, one is between two tries: none of them has a process to wait for."""
    script = Script()
    async with Node():
        pool = await start_pool(intensity=ENDLESS)
        before = await add_all(pool, script, "ab")
        for fault in (Ignore(), Broken("never")):
            script.fail("c", fault)
            with pytest.raises(StartError):
                await add(pool, script, "c")
        script.broken.add("a")
        await end(before["a"], Kill())
        assert await pids(pool) == {"b": before["b"], "a": None}
        gone = monitor(pool)
        send_exit(pool, Shutdown())
        assert await ended(gone) == Shutdown()
        assert script.journal[-1] == "-b"


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("enough")], ids=str)
async def test_any_exit_signal_of_its_parent_and_stop_end_it_when_all_children_are_gone(reason: Reason) -> None:
    """Whoever waits for it may start another at once."""
    script = Script()
    async with Node() as node:
        for order in (send_exit, stop):
            pool = await start_pool()
            await add_all(pool, script, "ab")
            gone = monitor(pool)
            result = order(pool, reason)
            if result is not None:
                await result
            assert await ended(gone) == reason
            assert len(node.runtime.processes) == 1
        assert not node.runtime.reports.crashes


async def test_an_order_to_stop_waits_for_the_start_that_is_under_way() -> None:
    """One thing after the other, as in OTP: `start_timeout` is what keeps it short."""
    script = Script()
    gate = script.gate("a")
    async with Node():
        pool = await start_pool()
        gone = monitor(pool)
        spawn(add, pool, script, "a")
        await settled()
        send_exit(pool, Shutdown())
        await settled()
        assert script.journal == []
        gate.set()
        assert await ended(gone) == Shutdown()
        assert script.journal == ["+a", "-a"]


# -- out of order


async def test_the_children_of_a_killed_supervisor_get_its_exit_signal_and_their_time() -> None:
    """No orphans: its own end is news only when they are gone, and those that are late are named."""
    script, clock = Script(), ManualClock()
    script.hold("stubborn")
    async with Node(clock=clock) as node:
        pool = await start_pool()
        await add(pool, script, "a")
        await add(pool, script, "stubborn", shutdown=2.0)
        gone = monitor(pool)
        send_exit(pool, Kill())
        await settled()
        assert script.reasons == dict.fromkeys(["a", "stubborn"], Killed())
        assert set(living(node.runtime)) == {"stubborn"}
        clock.advance(2.0)
        assert await ended(gone) == Killed()
        assert living(node.runtime) == {}


async def in_vain(pool: ServerRef[Pool], script: Script) -> None:
    """Start a child under a supervisor that will not live to see it."""
    with pytest.raises(ServerExited):
        await add(pool, script, "b")


@pytest.mark.parametrize("moment", ["starting", "stopping"])
async def test_a_supervisor_that_is_killed_in_the_middle_leaves_no_child_behind(moment: str) -> None:
    """While it starts one, or while it waits for all of them to stop."""
    script, clock = Script(), ManualClock()
    script.hold("a")
    async with Node(clock=clock) as node:
        pool = await start_pool()
        await add(pool, script, "a", shutdown=2.0)
        gone = monitor(pool)
        if moment == "starting":
            script.gate("b")
            spawn(in_vain, pool, script)
        else:
            send_exit(pool, Shutdown())
        await settled()
        send_exit(pool, Kill())
        await settled()
        clock.advance(2.0)
        assert await ended(gone) == Killed()
        assert living(node.runtime) == {}
        await settled()
        assert len(node.runtime.timers) == 0


# -- what it tells


async def test_each_child_that_had_to_be_killed_is_named_with_what_it_was_doing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Which ones, how long they had, and where each hangs. Those that obeyed, and brutal kills, are no news."""
    script, clock = Script(), ManualClock()
    for id_ in ("x", "y"):
        script.hold(id_)
    async with Node(clock=clock):
        pool = await start_pool()
        before = await add_all(pool, script, "xy", shutdown=2.0)
        await add(pool, script, "obedient")
        await add(pool, script, "brutal", shutdown="brutal_kill")
        gone = monitor(pool)
        send_exit(pool, Shutdown())
        await settled()
        clock.advance(2.0)
        assert await ended(gone) == Shutdown()
    texts = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(texts) == 2
    for text, id_ in zip(texts, "yx", strict=True):
        assert f"kills {id_} {before[id_]}, which has not stopped within 2 s" in text
        assert "holds[self.id].wait()" in text


async def test_a_terminated_child_that_had_to_be_killed_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    """The rule is that of the child, whoever orders it to stop."""
    script, clock = Script(), ManualClock()
    script.hold("x")
    async with Node(clock=clock):
        pool = await start_pool()
        x = await add(pool, script, "x", shutdown=2.0)
        gone = monitor(spawn(DynamicSupervisor.terminate_child, pool, x))
        await settled()
        clock.advance(2.0)
        assert await ended(gone) == Normal()
    assert f"kills x {x.pid}" in caplog.text


# -- what it costs


@row("SUP-060", translated="the work, counted in function calls, of one start beside 10 and beside 1000 children")
async def test_starting_or_ending_one_child_costs_the_same_however_many_there_are() -> None:
    """A start, a restart, and a stop by hand."""
    work: dict[int, int] = {}
    for others in (10, 1000):
        script = Script()
        async with Node() as node:
            pool = await start_pool(intensity=ENDLESS, auto_shutdown="all_significant")
            for i in range(others):
                await add(pool, script, str(i), restart="transient", significant=True)
            await settled()
            with counted_calls() as starting:
                x = await add(pool, script, "x", restart="transient", significant=True)
            with counted_calls() as restarting:
                send_exit(x, Kill())
                while script.journal.count("+x") < 2:
                    await node.runtime.backend.checkpoint()
            again = living(node.runtime)["x"]
            with counted_calls() as stopping:
                await DynamicSupervisor.terminate_child(pool, again)
            assert script.journal[-3:] == ["+x", "+x", "-x"]
            work[others] = starting.total() + restarting.total() + stopping.total()
    assert work[1000] <= work[10] * 1.5


@row("SUP-060", translated="the work, counted in function calls, for 200 and 400 children")
@pytest.mark.parametrize("children", ["obedient", "brutal", "stuck", "crashed", "between tries"])
async def test_the_work_of_starting_and_stopping_children_grows_with_their_number(children: str) -> None:
    """Twice as many children are twice the work, not four times: however they behave when they are told to stop."""
    work: dict[int, int] = {}
    for number in (200, 400):
        script, clock = Script(), ManualClock()
        ids = [str(i) for i in range(number)]
        async with Node(clock=clock) as node:
            with counted_calls() as count:
                pool = await start_pool(intensity=ENDLESS)
                shutdown = "brutal_kill" if children == "brutal" else 5.0
                before = await add_all(pool, script, ids, shutdown=shutdown)
                gone = monitor(pool)
                match children:
                    case "stuck":
                        script.holds = dict.fromkeys(ids, anyio.Event())
                    case "crashed" | "between tries":
                        script.broken |= set(ids) if children == "between tries" else set()
                        for pid in before.values():
                            tell(pid, Kill())
                        await down(before[ids[-1]])
                    case _:
                        pass
                send_exit(pool, Shutdown())
                await settled()
                clock.advance(5.0)
                assert await ended(gone) == Shutdown()
            assert len(node.runtime.processes) == 1
            work[number] = count.total()
    assert work[400] <= work[200] * 2.2
