"""Who is restarted after which end, with whom, in which order, and who is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from regrow import (
    Crash,
    Custom,
    Exit,
    Ignore,
    Kill,
    Killed,
    Name,
    Node,
    Normal,
    Pid,
    Reason,
    ServerRef,
    Shutdown,
    Supervisor,
    call,
    child,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    whereis,
)
from regrow.reasons import NoConnection
from tests.harness import row
from tests.local.gen_server_kit import given_names
from tests.local.supervisor_kit import (
    ENDINGS,
    STRATEGIES,
    Script,
    Tree,
    Worker,
    children,
    end,
    ended,
    pid_of,
    settled,
    start_tree,
    tell,
    worker,
    workers,
)

CLEAN = {"normal", "shutdown", "shutdown_detail"}
CRASH = Crash(ValueError("boom"))


@row("SUP-040")
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_permanent_child_is_restarted_after_any_end(ending: str) -> None:
    """A permanent service has no good reason to be absent."""
    script = Script()
    async with Node():
        sup = await start_tree(worker(script, "a", restart="permanent"))
        old = await pid_of(sup, "a")
        await end(old, ENDINGS[ending])
        new = await pid_of(sup, "a")
        assert new != old
        assert await Worker.ping(ServerRef(new, Worker)) == "a"


@row("SUP-041")
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_transient_child_is_restarted_only_after_an_abnormal_end(ending: str) -> None:
    """A clean end means that it was done; its specification stays, so that it can be started again."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(worker(script, "a", restart="transient"))
        old = await pid_of(sup, "a")
        await end(old, ENDINGS[ending])
        pids = await children(sup)
        if ending in CLEAN:
            assert pids == {"a": None}
            assert not node.runtime.reports.restarts
            assert (await Supervisor.restart_child(sup, "a")).pid != old
        else:
            assert pids["a"] not in (None, old)


@row("SUP-042")
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_temporary_child_is_never_restarted_and_forgotten_at_once(ending: str) -> None:
    """Its id is free again, and its end costs nothing."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(worker(script, "a", restart="temporary"), intensity=0)
        await end(await pid_of(sup, "a"), ENDINGS[ending])
        assert await children(sup) == {}
        assert not node.runtime.reports.restarts
        await Supervisor.start_child(sup, worker(script, "a", restart="temporary"))
        assert list(await children(sup)) == ["a"]


@row("SUP-043")
@pytest.mark.parametrize("failed", "abc")
async def test_one_for_one_replaces_the_child_that_ended_and_nobody_else(failed: str) -> None:
    """The others keep their processes and hear nothing."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abc"), strategy="one_for_one")
        before = await children(sup)
        script.news()
        await end(await pid_of(sup, failed), Kill())
        after = await children(sup)
        assert {id_ for id_ in before if before[id_] != after[id_]} == {failed}
        assert list(after) == ["a", "b", "c"]
        assert script.news() == [f"+{failed}"]


@pytest.mark.parametrize("failed", "abcd")
async def test_one_for_all_stops_all_in_reverse_order_and_starts_all_in_order(failed: str) -> None:
    """Siblings that rely on each other begin again together."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abcd"), strategy="one_for_all")
        before = await children(sup)
        script.news()
        await end(await pid_of(sup, failed), Kill())
        after = await children(sup)
        assert script.news() == [*(f"-{id_}" for id_ in "dcba" if id_ != failed), "+a", "+b", "+c", "+d"]
        assert set(before.values()).isdisjoint(after.values())
        assert set(script.reasons.values()) == {Shutdown()}


@row("SUP-045")
@pytest.mark.parametrize(
    ("failed", "done"),
    [
        ("a", ["-d", "-c", "-b", "+a", "+b", "+c", "+d"]),
        ("b", ["-d", "-c", "+b", "+c", "+d"]),
        ("d", ["+d"]),
    ],
)
async def test_rest_for_one_restarts_the_child_and_those_started_after_it(failed: str, done: list[str]) -> None:
    """Later ones may rely on it; earlier ones do not, and are not touched."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "abcd"), strategy="rest_for_one")
        before = await children(sup)
        script.news()
        await end(await pid_of(sup, failed), Kill())
        after = await children(sup)
        assert script.news() == done
        assert [id_ for id_ in before if before[id_] == after[id_]] == [id_ for id_ in "abcd" if id_ < failed]


@row("SUP-046")
@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_temporary_bystander_goes_down_with_the_group_and_does_not_come_back(strategy: str) -> None:
    """Temporary means never restarted, also when it was not its own fault."""
    script = Script()
    async with Node():
        sup = await start_tree(
            worker(script, "a"), worker(script, "t", restart="temporary"), worker(script, "b"), strategy=strategy
        )
        script.news()
        await end(await pid_of(sup, "a"), Kill())
        assert list(await children(sup)) == ["a", "b"]
        assert script.news() == ["-b", "-t", "+a", "+b"]
        assert script.reasons["t"] == Shutdown()


@row("SUP-048")
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_the_restart_of_a_whole_group_counts_once(strategy: str) -> None:
    """The budget counts failures, not processes: two of four children may fail, the third failure is fatal."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "abcd"), strategy=strategy, intensity=2)
        gone = monitor(sup)
        for failed in "ac":
            await end(await pid_of(sup, failed), Kill())
            assert None not in (await children(sup)).values()
        assert [report.budget_left for report in node.runtime.reports.restarts] == [1, 0]
        await end(await pid_of(sup, "b"), Kill())
        assert await ended(gone) == Shutdown()


@pytest.mark.parametrize(
    ("strategy", "first", "second", "spent"),
    [
        ("one_for_one", "a", "b", 2),
        ("one_for_all", "a", "b", 1),
        ("one_for_all", "b", "a", 1),
        ("rest_for_one", "a", "b", 1),
        ("rest_for_one", "b", "a", 2),
    ],
)
async def test_of_two_crashes_at_once_the_second_counts_only_if_the_first_did_not_cover_it(
    strategy: str, first: str, second: str, spent: int
) -> None:
    """A child that is restarted with its group has been dealt with, whatever it ended with itself."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "abc"), strategy=strategy, intensity=5)
        before = {id_: await pid_of(sup, id_) for id_ in "abc"}
        gate = script.gate("z")
        spawn(Supervisor.start_child, sup, worker(script, "z"))
        await settled()  # the supervisor is busy with z, and hears of both afterwards
        for failed in (first, second):
            await end(before[failed], Kill())
        gate.set()
        after = await children(sup)
        await settled()
        assert len(node.runtime.reports.restarts) == spent
        assert after == await children(sup)
        assert all(after[id_] not in (None, before[id_]) for id_ in (first, second))


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_sibling_that_ends_while_another_is_restarted_is_dealt_with_afterwards(strategy: str) -> None:
    """Nothing that happens during a restart is lost, and nothing is done twice at once."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"), strategy=strategy, intensity=5)
        a = await pid_of(sup, "a")
        gate = script.gate("b")
        await end(await pid_of(sup, "b"), Kill())
        await settled()  # a runs, the same or a new one; b waits at its gate
        a = node.runtime.processes[sup.pid].runner.children["a"].process.pid  # type: ignore[attr-defined]
        await end(a, Kill())
        gate.set()
        pids = await children(sup)
        await settled()
        assert pids == await children(sup)
        assert None not in pids.values() and pids["a"] != a
        assert len(node.runtime.reports.restarts) == 2


@row("SUP-059")
@pytest.mark.parametrize("reason", [Kill(), Custom("ended")], ids=str)
@given_names
async def test_a_restarted_child_has_its_name_again_before_the_supervisor_does_anything_else(
    name: Any, reason: Reason
) -> None:
    """Who heard of the end and then asked the supervisor may call by name without a race."""
    script = Script()
    async with Node():
        sup = await start_tree(child(Worker, "a", script).named(name), intensity=20)
        for _ in range(20):
            old = whereis(name)
            assert old is not None
            await end(old, reason)
            assert whereis(name) != old
            await children(sup)
            assert await Worker.ping(Name(name, Worker) if isinstance(name, str) else name) == "a"


@row("SUP-059")
@given_names
async def test_a_restarted_supervisor_has_its_name_again(name: Any) -> None:
    """So has a supervisor that was killed, and its children with it."""
    script = Script()
    async with Node():
        inner = child(Tree, child(Worker, "a", script), intensity=5)
        sup = await start_tree(inner.named(name), intensity=20)
        for _ in range(10):
            old = whereis(name)
            assert old is not None
            await end(old, Kill())
            assert whereis(name) != old
            await children(sup)
            assert [info.id for info in await Supervisor.which_children(name)] == ["Worker"]


async def test_no_sibling_answers_between_the_crash_and_the_end_of_the_group_restart() -> None:
    """With one_for_all nobody works on with a part of the group that is gone."""
    script = Script()
    async with Node():
        sup = await start_tree(
            worker(script, "a"), child(Worker, "b", script).named("b").with_(id="b"), strategy="one_for_all"
        )
        old = whereis("b")
        gate = script.gate("a")
        await end(await pid_of(sup, "a"))
        await settled()
        assert whereis("b") is None
        gate.set()
        assert (await children(sup))["b"] == whereis("b") != old


async def test_a_child_that_ignores_its_restart_stays_stopped_with_its_specification() -> None:
    """Asking to be ignored is no failure: it is not tried again."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "ab"))
        script.fail("a", Ignore())
        await end(await pid_of(sup, "a"))
        assert (await children(sup))["a"] is None
        assert len(node.runtime.reports.restarts) == 1
        await Supervisor.restart_child(sup, "a")


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), CRASH, Killed(), Custom("x"), NoConnection()])
async def test_what_a_living_child_is_said_to_have_ended_with_ends_nothing(reason: Reason) -> None:
    """A child may send its supervisor any signal, and anybody a message that looks like one: it still runs.

    Taking it for dead would start a second copy beside it.
    """
    script = Script()

    async def liar(sup: ServerRef[Supervisor], pid: Pid, parent: Pid) -> None:
        send(sup, Exit(pid, reason))
        send(parent, "done")

    class Mutinous(Worker):
        @call
        async def mutiny(self, sup: ServerRef[Supervisor]) -> None:
            send_exit(sup, reason)

    async with Node():
        sup = await start_tree(child(Mutinous, "a", script))
        pid = await pid_of(sup, "Mutinous")
        await Mutinous.mutiny(ServerRef(pid, Mutinous), sup)
        spawn(liar, sup, pid, self_pid())
        assert await receive(str) == "done"
        assert await pid_of(sup, "Mutinous") == pid
        assert script.journal == ["+a"]


async def test_the_reason_that_counts_is_the_one_the_child_really_ended_with() -> None:
    """A transient child that crashed is restarted even if it had announced a normal end."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(worker(script, "a", restart="transient"))
        pid = await pid_of(sup, "a")
        send(sup, Exit(pid, Normal()))
        await end(pid, CRASH)
        assert await pid_of(sup, "a") != pid
        assert [str(report.reason) for report in node.runtime.reports.restarts] == [str(CRASH)]


async def test_a_restart_builds_a_new_object_from_the_same_arguments() -> None:
    """The state is gone, what it was started with is not."""

    class Counter(Worker):
        def __init__(self, script: Script) -> None:
            super().__init__("counter", script)
            self.count = 0

        @call
        async def add(self) -> int:
            self.count += 1
            return self.count

        @call
        async def script_is(self, script: Script) -> bool:
            return self.script is script

    script = Script()
    counter = Name("counter", Counter)
    async with Node():
        sup = await start_tree(child(Counter, script).named("counter"))
        assert [await Counter.add(counter), await Counter.add(counter)] == [1, 2]
        await end(await pid_of(sup, "counter"))
        await children(sup)
        assert await Counter.add(counter) == 1
        assert await Counter.script_is(counter, script)


async def test_a_stop_in_a_callback_counts_like_any_end() -> None:
    """`Stop(Custom(...))` is abnormal; the child's `terminate` ran before its replacement started."""
    script = Script()
    async with Node():
        sup = await start_tree(worker(script, "a", restart="transient"))
        tell(await pid_of(sup, "a"), Custom("tired"))
        await settled()
        assert script.journal == ["+a", "-a", "+a"]
        assert script.reasons["a"] == Custom("tired")


async def test_siblings_without_a_process_come_up_with_the_group() -> None:
    """A group restart starts every specification of it, also what had been stopped by hand or ended normally."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "ab"), worker(script, "c", restart="transient"), strategy="one_for_all")
        await Supervisor.terminate_child(sup, "b")
        await end(await pid_of(sup, "c"), Normal())
        assert list((await children(sup)).values())[1:] == [None, None]
        await end(await pid_of(sup, "a"), Kill())
        assert None not in (await children(sup)).values()
