"""How a supervisor starts: in order, all or nothing, and only with what makes sense."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from regrow import (
    AlreadyStarted,
    ChildCounts,
    ChildSpec,
    Crash,
    Custom,
    GenServer,
    Ignore,
    Ignored,
    Node,
    Pid,
    Restart,
    Shutdown,
    StartFailed,
    StartTimeout,
    Stop,
    Strategy,
    Supervisor,
    child,
    flush,
    receive,
    registered,
    self_pid,
    send,
    spawn,
    start,
    start_link,
    trap_exit,
    whereis,
)
from regrow.children import FailedToStartChild
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.supervisor_kit import (
    Broken,
    Script,
    Tree,
    Worker,
    children,
    down,
    settled,
    start_tree,
    worker,
    workers,
)


@row("SUP-001")
async def test_children_start_one_after_the_other_and_start_link_returns_after_the_last() -> None:
    """A later child may rely on an earlier one being ready; the starter on all of them."""
    script = Script()
    gate = script.gate("b")

    async def starter(parent: Pid) -> None:
        await start(Tree, *workers(script, "abc"))
        script.journal.append("started")
        send(parent, "started")

    async with Node():
        spawn(starter, self_pid())
        await settled()
        assert script.news() == ["+a"]
        gate.set()
        assert await receive(str) == "started"
        assert script.news() == ["+b", "+c", "started"]


@row("SUP-002")
async def test_a_supervisor_that_asks_to_be_ignored_starts_nothing_and_leaves_no_message() -> None:
    """`Ignored` is the only news: no exit message of the process that never really was."""

    class Reluctant(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            raise Ignore

    async with Node() as node:
        trap_exit(True)
        with pytest.raises(Ignored):
            await start_link(child(Reluctant).named("reluctant"))
        assert flush() == []
        assert whereis("reluctant") is None
        assert not node.runtime.reports.crashes


@row("SUP-003")
async def test_an_error_in_init_is_the_reason_of_the_failed_start() -> None:
    """The starter sees the very exception, once, and no message beside it."""
    error = ValueError("no configuration")

    class Failing(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            raise error

    async with Node() as node:
        trap_exit(True)
        with pytest.raises(StartFailed) as caught:
            await start_link(Failing)
        assert caught.value.reason == Crash(error)
        assert flush() == []
        assert not node.runtime.reports.crashes


@row("SUP-003", "SUP-011")
@pytest.mark.parametrize("junk", [None, 5, "ab", [1], [Worker]])
async def test_junk_from_init_is_a_failed_start_that_names_it(junk: Any) -> None:
    """What is no list of specifications is refused before anything runs."""

    class Junk(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            return junk

    async with Node() as node:
        with pytest.raises(StartFailed, match=r"not a child specification|not iterable"):
            await start_link(Junk)
        assert len(node.runtime.processes) == 1


@row("SUP-004")
async def test_when_a_child_does_not_start_those_before_it_are_stopped_in_reverse_order() -> None:
    """All or nothing, and the starter learns which child it was and why."""
    script, error = Script(), Broken("c")
    script.fail("c", error)
    async with Node() as node:
        trap_exit(True)
        with pytest.raises(StartFailed) as caught:
            await start_link(Tree, *workers(script, "abcd"))
        assert script.news() == ["+a", "+b", "!c", "-b", "-a"]
        assert script.reasons == {"a": Shutdown(), "b": Shutdown()}
        assert caught.value.reason == Shutdown(FailedToStartChild("c", Crash(error)))
        assert str(caught.value.reason) == "shutdown: failed to start child 'c': Broken: c"
        assert flush() == []
        assert len(node.runtime.processes) == 1


@row("SUP-005", translated="a child can return no junk; the reason it stops with, and a timeout, stand in for it")
async def test_the_reason_of_a_failed_start_is_what_the_child_failed_with() -> None:
    """An exception as a crash, a `Stop` as its own reason, a timeout as the timeout."""

    class Picky(GenServer):
        async def init(self) -> None:
            raise Stop(Custom("out of paper"))

    clock = ManualClock()
    async with Node(clock=clock):
        with pytest.raises(StartFailed) as caught:
            await start(Tree, child(Picky))
        assert caught.value.reason == Shutdown(FailedToStartChild("Picky", Custom("out of paper")))

        script = Script()
        script.gate("a")
        spawn(turn, clock, 1.0)
        with pytest.raises(StartFailed) as caught:
            await start(Tree, worker(script, "a", start_timeout=1.0))
        match caught.value.reason:
            case Shutdown(FailedToStartChild("a", Crash(error))):
                assert isinstance(error, StartTimeout)
            case other:
                pytest.fail(f"another reason: {other}")


async def turn(clock: ManualClock, seconds: float) -> None:
    await settled()
    clock.advance(seconds)


@row("SUP-006")
async def test_a_child_that_asks_to_be_ignored_keeps_its_specification_unless_it_is_temporary() -> None:
    """It can be started later by hand; a temporary one has nothing to come back for."""
    script = Script()
    script.fail("b", Ignore())
    script.fail("c", Ignore())
    async with Node():
        sup = await start_tree(
            worker(script, "a"), worker(script, "b"), worker(script, "c", restart="temporary"), worker(script, "d")
        )
        assert list(await children(sup)) == ["a", "b", "d"]
        assert (await children(sup))["b"] is None
        assert await Supervisor.count_children(sup) == ChildCounts(specs=3, active=2, supervisors=0, workers=3)
        await Supervisor.restart_child(sup, "b")
        assert script.news() == ["+a", "!b", "!c", "+d", "+b"]


@row("SUP-006")
async def test_a_child_added_by_hand_may_ask_to_be_ignored_as_well() -> None:
    """The caller learns it, and what becomes of the specification is the same as at start."""
    script = Script()
    script.fail("a", Ignore())
    script.fail("b", Ignore())
    async with Node():
        sup = await start_tree()
        with pytest.raises(Ignored):
            await Supervisor.start_child(sup, worker(script, "a"))
        with pytest.raises(Ignored):
            await Supervisor.start_child(sup, worker(script, "b", restart="temporary"))
        assert await children(sup) == {"a": None}


@row("SUP-008")
def test_the_defaults_are_otp_s() -> None:
    """Who knows OTP's defaults knows regrow's."""
    spec = child(Worker, "a", Script())
    assert (spec.restart, spec.shutdown, spec.type, spec.significant) == (Restart.PERMANENT, 5.0, "worker", False)
    spec = child(Tree)
    assert (spec.id, spec.shutdown, spec.type) == ("Tree", "infinity", "supervisor")
    assert (Supervisor.strategy, Supervisor.intensity, Supervisor.period) == (Strategy.ONE_FOR_ONE, 1, 5.0)
    assert Supervisor.auto_shutdown == "never"


@row("SUP-009", deviation="one set of defaults, OTP's, for every kind of supervisor; a strategy need not be named")
async def test_a_plain_supervisor_allows_one_restart_in_five_seconds() -> None:
    """Elixir's three would be a second set of defaults to remember."""
    script = Script()
    async with Node() as node:
        sup = await start_tree(*workers(script, "a"))
        runner: Any = node.runtime.processes[sup.pid].runner
        assert (runner.flags.intensity, runner.flags.period_s, runner.flags.strategy) == (1, 5.0, "one_for_one")


@row("SUP-010", translated="flags are class attributes: a misspelt one is an attribute that nobody reads")
@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("strategy", "one_for_two"),
        ("intensity", -1),
        ("intensity", 1.5),
        ("intensity", "many"),
        ("period", 0),
        ("period", -1.0),
        ("period", float("inf")),
        ("auto_shutdown", "sometimes"),
    ],
)
async def test_a_flag_that_makes_no_sense_is_a_failed_start_that_names_it(flag: str, value: object) -> None:
    """Nothing is started under rules nobody understands."""
    script = Script()
    async with Node():
        with pytest.raises(StartFailed, match=flag) as caught:
            await start_link(Tree, *workers(script, "a"), **{flag: value})
        assert isinstance(caught.value.__cause__, ValueError)
        assert script.journal == []


@row("SUP-011", translated="a specification checks itself as it is made; there is no check_childspecs")
@pytest.mark.parametrize(
    "changes",
    [
        {"restart": "sometimes"},
        {"shutdown": -1},
        {"shutdown": "soon"},
        {"type": "manager"},
        {"significant": 1},
        {"id": ""},
        {"start_timeout": 0},
    ],
)
def test_a_specification_that_makes_no_sense_cannot_be_made(changes: dict[str, Any]) -> None:
    """The mistake shows where it was made, with the field's name."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        child(Worker, "a", Script()).with_(**changes)


@row("SUP-011")
@pytest.mark.parametrize("junk", [None, "a", Worker, ChildSpec(dict), ChildSpec(len)])
async def test_a_supervisor_refuses_what_cannot_be_a_child_and_lives(junk: Any) -> None:
    """A typing error in one request must not take down a tree, and at start it starts nothing."""
    script = Script()
    async with Node():
        sup = await start_tree(*workers(script, "a"))
        with pytest.raises(StartFailed):
            await Supervisor.start_child(sup, junk)
        assert list(await children(sup)) == ["a"]
        script.news()
        with pytest.raises(StartFailed):
            await start_link(Tree, *workers(script, "b"), junk)
        assert script.news() == []


@row("SUP-011")
async def test_a_permanent_child_cannot_be_significant_nor_any_child_where_nothing_shuts_down() -> None:
    """Its end could never count, so somebody means something else."""
    script = Script()
    async with Node():
        with pytest.raises(StartFailed, match="permanent"):
            await start_link(Tree, worker(script, "a", significant=True), auto_shutdown="any_significant")
        with pytest.raises(StartFailed, match="auto_shutdown is never"):
            await start_link(Tree, worker(script, "a", significant=True, restart="transient"))
        sup = await start_tree()
        with pytest.raises(StartFailed, match="auto_shutdown is never"):
            await Supervisor.start_child(sup, worker(script, "a", significant=True, restart="transient"))
        assert script.journal == []


@row("SUP-013")
async def test_two_children_of_one_id_are_refused_and_nothing_is_started() -> None:
    """An id names one child; the default is the class name, so two unnamed ones of a class collide."""
    script = Script()
    async with Node():
        with pytest.raises(StartFailed, match="duplicate child id 'Worker'"):
            await start_link(Tree, child(Worker, "a", script), child(Worker, "b", script))
        assert script.journal == []


@row("SUP-020")
async def test_two_children_added_under_the_default_id_collide_as_well() -> None:
    """The second is not started beside the first by accident; the caller gets the first one's pid."""
    script = Script()
    async with Node():
        sup = await start_tree()
        first = await Supervisor.start_child(sup, child(Worker, "a", script))
        with pytest.raises(AlreadyStarted) as caught:
            await Supervisor.start_child(sup, child(Worker, "b", script))
        assert caught.value.pid == first.pid
        assert script.journal == ["+a"]


@row("SUP-033")
async def test_a_child_whose_name_is_taken_elsewhere_is_not_adopted() -> None:
    """The holder goes on as it was: not a child, not linked, untouched when the supervisor stops."""
    script = Script()
    async with Node() as node:
        outside = await start(child(Worker, "outside", script).named("desk"))
        sup = await start_tree(*workers(script, "a"))
        with pytest.raises(AlreadyStarted) as caught:
            await Supervisor.start_child(sup, child(Worker, "inside", script).named("desk"))
        assert caught.value.pid == outside.pid
        assert list(await children(sup)) == ["a"]
        node.runtime.exit_signal(self_pid(), sup.pid, Shutdown())
        assert await down(sup.pid) == Shutdown()
        assert await Worker.ping(outside) == "outside"
        assert registered() == ["desk"]


async def test_a_child_may_end_at_the_moment_it_is_ready() -> None:
    """Its start succeeded; its end is news like any other, and is restarted like any other."""

    class Mayfly(GenServer):
        lives = 0

        async def init(self) -> None:
            Mayfly.lives += 1
            if Mayfly.lives <= 3:
                self.continue_with("the end")

        async def handle_continue(self, token: object) -> None:
            raise Stop(Custom(token))

    async with Node() as node:
        sup = await start_tree(child(Mayfly), intensity=3)
        while Mayfly.lives < 4:
            await children(sup)
        assert [report.reason for report in node.runtime.reports.restarts] == [Custom("the end")] * 3
        assert (await children(sup))["Mayfly"] in node.runtime.processes
