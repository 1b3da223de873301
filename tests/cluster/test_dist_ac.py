"""Who runs a distributed application: start, failover, takeover, and the bad days of OTP, on either carrier."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import TaskGroup

from regrow import ApplicationError, Failover, Node, NormalStart, ProcessExited, Takeover, application, whereis
from tests.harness import row

from .dist_kit import (
    COPIES,
    FAILS_AT,
    LOG,
    SLOW_AT,
    A,
    B,
    C,
    Sharing,
    kill,
    known,
    phase,
    seen,
    start,
    started,
    stop,
    take_over,
)
from .kit import connected, reported, until, warnings


@row("DAP-001", "DAP-016")
async def test_started_everywhere_at_once_it_runs_on_the_first_alone(sharing: Sharing) -> None:
    """Every start returns; the others know who has it; nobody else runs it, not even for a moment."""
    async with sharing.node(C) as c, sharing.node(B) as b, sharing.node(A) as a:
        await started(c, b, a)
        await reported(lambda: [phase(n) for n in (a, b, c)] == ["running", "standby", "standby"])
        assert [seen(n).runs_at for n in (a, b, c)] == [A, A, A]
        assert [("one", A, NormalStart())] == LOG
        with b.current(), pytest.raises(ApplicationError, match="already_started"):
            await application.start("one")


@row("DAP-001")
async def test_a_start_on_a_lesser_node_waits_for_the_better_one(sharing: Sharing) -> None:
    """As in OTP: it blocks until it runs somewhere, and nothing else of the node does."""
    async with sharing.node(A) as a, sharing.node(B) as b, anyio.create_task_group() as group:
        await reported(lambda: known(a, b))
        group.start_soon(start, b)
        await anyio.wait_all_tasks_blocked()
        assert (phase(b), LOG) == ("starting", [])
        await start(a)
        await reported(lambda: phase(b) == "standby")
        assert [("one", A, NormalStart())] == LOG


@row(
    "DAP-003",
    "DAP-004",
    "DAP-009",
    deviation="the failover type is always given: who takes over after a crash has to know",
)
async def test_it_fails_over_to_the_next_and_to_the_one_after(sharing: Sharing) -> None:
    """The next by precedence starts it, told where it ran."""
    async with sharing.node(C) as c:
        async with sharing.node(B) as b:
            async with sharing.node(A) as a:
                await started(a, b, c)
            await reported(lambda: ("one", B, Failover(A)) in LOG)
            await reported(lambda: seen(c).runs_at == B)
        await reported(lambda: phase(c) == "running")
    assert [entry for entry in LOG if entry[0] == "one"] == [
        ("one", A, NormalStart()),
        ("one", B, Failover(A)),
        ("one", C, Failover(B)),
    ]


@row("DAP-011")
async def test_a_child_that_dies_after_a_failover_is_restarted_by_its_supervisor(sharing: Sharing) -> None:
    """That is no new start of the application, and no matter of other nodes."""
    async with sharing.node(B) as b:
        async with sharing.node(A) as a:
            await started(a, b)
        await reported(lambda: phase(b) == "running")
        with b.current():
            before = whereis("one_worker")
            kill(b, "one_worker")
            await reported(lambda: whereis("one_worker") not in (None, before))
        assert [("one", A, NormalStart()), ("one", B, Failover(A))] == LOG


@row("DAP-005", "DAP-006", deviation="a takeover stops first, so that there are never two; overlap is an option")
async def test_the_better_node_takes_it_over_when_it_starts_it(sharing: Sharing) -> None:
    """What the old instance hands over arrives at the new one, which starts when the old one is gone."""
    async with sharing.node(B) as b:
        await start(b)
        async with sharing.node(A) as a:
            await reported(lambda: known(a, b))
            await start(a)
            assert [("one", B, NormalStart()), ("one", A, Takeover(B, f"what {B} knew"))] == LOG
            assert COPIES == [("one", A)]
            await reported(lambda: phase(b) == "standby")


@row("DAP-006", translated="with takeover = overlap the new instance is up before the old one stops")
async def test_with_overlap_the_new_instance_is_up_before_the_old_one_stops(sharing: Sharing) -> None:
    """OTP's order, for who asks for it."""
    async with sharing.node(B, takeover="overlap") as b:
        await start(b)
        async with sharing.node(A, takeover="overlap") as a:
            await reported(lambda: known(a, b))
            await start(a)
            assert LOG[-1] == ("one", A, Takeover(B, None))
            await reported(lambda: phase(b) == "standby")
            assert COPIES == [("one", A)]


@row("DAP-007", "DAP-015")
async def test_a_node_of_the_same_group_stands_by(sharing: Sharing) -> None:
    """Inside a group nobody is better: nothing moves."""
    async with sharing.node(C) as c:
        await start(c)
        async with sharing.node(B) as b:
            await reported(lambda: known(b, c))
            await start(b)
            assert (phase(b), seen(b).runs_at) == ("standby", C)
            assert [("one", C, NormalStart())] == LOG


@row("DAP-012")
async def test_a_node_that_is_back_in_time_prevents_the_failover(sharing: Sharing) -> None:
    """It starts it as if for the first time."""
    async with sharing.node(B, wait_s=30.0) as b:
        async with sharing.node(A, wait_s=30.0) as a:
            await started(a, b)
        async with sharing.node(A, wait_s=30.0) as a:
            await start(a)
            await reported(lambda: seen(b).runs_at == A and phase(b) == "standby")
            assert [("one", A, NormalStart()), ("one", A, NormalStart())] == LOG


@row("DAP-013")
async def test_boot_waits_for_the_nodes_it_is_told_to_wait_for(sharing: Sharing) -> None:
    """For all that are listed, and no longer than the time for it; a mandatory one that is missing ends the boot."""
    async with sharing.node(B) as b, sharing.node(A, sync=(B,), sync_s=30.0) as a:
        assert a.net_kernel is not None and a.net_kernel.connected() == [B] and b.name == B
    with pytest.raises(Exception, match=r"mandatory nodes missing after 0\.1 s: b@localhost"):
        async with sharing.node(A, mandatory=(B,), sync_s=0.1):
            pass


@row("DAP-008")
async def test_in_a_group_the_node_that_runs_less_gets_it(sharing: Sharing) -> None:
    """Load first, then the name."""
    async with sharing.node(B, ((B, C),), two=((B,),)) as b, sharing.node(C, ((B, C),), two=((B,),)) as c:
        await reported(lambda: known(b, c))
        await start(b, "two")
        await started(b, c)
        assert LOG[-1] == ("one", C, NormalStart())


@row("DAP-010")
async def test_an_operator_moves_it_by_hand_and_it_stays_there(sharing: Sharing) -> None:
    """Whatever the precedence says; the better node does not take it back by itself."""
    async with sharing.node(A) as a, sharing.node(B) as b:
        await started(a, b)
        with b.current():
            await application.takeover("one")
        assert LOG[-1] == ("one", B, Takeover(A, f"what {A} knew"))
        await reported(lambda: (phase(a), seen(a).runs_at) == ("standby", B))
        with b.current(), pytest.raises(ApplicationError, match="already_running_locally"):
            await application.takeover("one")


@row("DAP-017", "DAP-018", "DAP-019")
async def test_a_permission_moves_it(sharing: Sharing) -> None:
    """Forbidden where it runs, it goes to the next; permitted on a better node again, it comes back."""
    async with sharing.node(A) as a, sharing.node(B) as b:
        await started(a, b)
        with a.current():
            await application.permit("one", False)
        await reported(lambda: phase(b) == "running")
        with b.current():
            await application.permit("one", False)
        await reported(lambda: COPIES == [])
        with a.current():
            await application.permit("one", True)
        await reported(lambda: COPIES == [("one", A)])


@row("DAP-022")
async def test_a_stop_ends_it_everywhere_and_every_standby_knows(sharing: Sharing) -> None:
    """Also one that is asked for on a standby; afterwards it can be started again."""
    async with sharing.node(A) as a, sharing.node(B) as b:
        await started(a, b)
        with b.current():
            await application.stop("one")
        assert COPIES == []
        await reported(lambda: (phase(a), phase(b)) == ("loaded", "loaded"))
        await started(a, b)
        assert COPIES == [("one", A)]


@row("DAP-022")
@pytest.mark.parametrize("asked", [A, B, C])
async def test_a_stop_in_the_middle_of_a_takeover_ends_it_everywhere(sharing: Sharing, asked: str) -> None:
    """On the node that has given it away as on the one that is starting it, and on a third; nobody has a copy then."""
    SLOW_AT["one", B] = slow = anyio.Event()
    async with sharing.node(A) as a, sharing.node(B) as b, sharing.node(C) as c, anyio.create_task_group() as group:
        await started(a, b, c)
        group.start_soon(_take_over_in_vain, b)
        await until(lambda: COPIES == [] and seen(b).master is not None)
        assert (phase(a), phase(b), phase(c)) == ("starting", "starting", "standby")
        group.start_soon(stop, {A: a, B: b, C: c}[asked])
        await until(lambda: not any(node.distribution.wanted("one") for node in (a, b, c)))  # type: ignore[union-attr]
        slow.set()
        await reported(lambda: [phase(node) for node in (a, b, c)] == ["loaded"] * 3)
        assert COPIES == []


async def _take_over_in_vain(node: Node) -> None:
    with pytest.raises(ApplicationError, match="not_running_distributed"):
        await take_over(node)


@row("DAP-010")
async def test_a_start_on_the_old_node_in_the_middle_of_a_takeover_takes_nothing_back(sharing: Sharing) -> None:
    """It was started there, and only moves: a start is refused as ever, and whoever only wants it started waits."""
    SLOW_AT["one", B] = slow = anyio.Event()
    async with sharing.node(A) as a, sharing.node(B) as b, anyio.create_task_group() as group:
        await started(a, b)
        group.start_soon(take_over, b)
        await until(lambda: COPIES == [] and seen(b).master is not None)
        for node in (a, b):
            with node.current(), pytest.raises(ApplicationError, match="already_started"):
                await application.start("one")
        group.start_soon(_ensure, a)
        await anyio.wait_all_tasks_blocked()
        slow.set()
        await reported(lambda: (phase(a), seen(a).runs_at, phase(b)) == ("standby", B, "running"))
        assert [("one", A, NormalStart()), ("one", B, Takeover(A, f"what {A} knew"))] == LOG


async def _ensure(node: Node) -> None:
    with node.current():
        assert await application.ensure_all_started("one") == []
        assert phase(node) == "standby"


@row("DAP-005")
async def test_a_better_node_that_starts_it_in_the_middle_of_a_takeover_gets_it_afterwards(sharing: Sharing) -> None:
    """It had not been started there: that is a takeover, of the copy that is then up."""
    SLOW_AT["one", C] = slow = anyio.Event()
    async with sharing.node(A) as a, sharing.node(B) as b, sharing.node(C) as c, anyio.create_task_group() as group:
        await reported(lambda: known(a, b, c))
        with a.current():
            await application.permit("one", False)
        await start(b)
        await start(c)
        with a.current():
            await application.permit("one", True)
        group.start_soon(take_over, c)
        await until(lambda: COPIES == [] and seen(c).master is not None)
        group.start_soon(start, a)
        await until(lambda: phase(a) == "starting")
        slow.set()
        await reported(lambda: phase(a) == "running" and (seen(b).runs_at, seen(c).runs_at) == (A, A))
        assert LOG[1:] == [("one", C, Takeover(B, f"what {B} knew")), ("one", A, Takeover(C, f"what {C} knew"))]
        assert COPIES == [("one", A)]


async def test_one_that_dies_by_itself_moves_to_the_next_and_ends_after_the_last(sharing: Sharing) -> None:
    """B1, B2: one attempt a node; then it is stopped everywhere, and its restart type applies."""
    async with sharing.node(A) as a, sharing.node(B) as b:
        await started(a, b)
        kill(a)
        await reported(lambda: phase(b) == "running")
        assert LOG[-1] == ("one", B, Failover(A))
        await reported(lambda: seen(a).runs_at == B)
        kill(b)
        await reported(lambda: (phase(a), phase(b)) == ("loaded", "loaded"))
        assert str(seen(b).reason) == "killed"
        await start(a)
        assert LOG[-1] == ("one", A, NormalStart())


async def test_a_permanent_one_takes_its_node_down_only_after_the_last_attempt(sharing: Sharing) -> None:
    """B1: no node dies while another can run it."""
    with pytest.raises(ProcessExited, match="application_terminated: one"):  # noqa: PT012 - the body is what ends
        async with sharing.node(B) as b:
            await start(b, restart="permanent")
            async with sharing.node(A) as a:
                await reported(lambda: known(a, b))
                await start(a)
                kill(a)
                await reported(lambda: LOG[-1] == ("one", B, Failover(A)))
            kill(b)
            await anyio.sleep_forever()


async def test_a_node_where_it_does_not_start_is_passed_over(sharing: Sharing) -> None:
    """B5: at the first start, each of the nodes."""
    FAILS_AT.update({("one", A), ("one", B)})
    async with sharing.node(A) as a, sharing.node(B) as b, sharing.node(C) as c:
        await started(a, b, c)
        assert [("one", C, NormalStart())] == LOG
        await reported(lambda: (seen(a).runs_at, seen(b).runs_at) == (C, C))
        assert str(seen(a).reason) == "ValueError: it does not start here"


@pytest.mark.parametrize("restart", [pytest.param("temporary", id="B3"), pytest.param("permanent", id="B4")])
async def test_a_failover_goes_on_to_the_third_node_if_it_does_not_start_on_the_second(
    sharing: Sharing, restart: str
) -> None:
    """B3, B4: one attempt a node, and as long as there is another, not even a permanent one ends its node."""
    FAILS_AT.add(("one", B))
    async with sharing.node(B) as b, sharing.node(C) as c:
        async with sharing.node(A) as a:
            await started(a, b, c, restart=restart)
        await reported(lambda: (phase(b), seen(b).runs_at, phase(c)) == ("standby", C, "running"))
        assert [("one", A, NormalStart()), ("one", C, Failover(A))] == LOG
        assert str(seen(b).reason) == "ValueError: it does not start here"
        FAILS_AT.clear()
        await start(b, restart=restart)
        assert (phase(b), seen(b).runs_at) == ("standby", C)  # it is healthy, and next again


@row("DAP-023", translated="the node is passed over like any other where it can't start, with that reason")
async def test_a_node_where_what_it_needs_has_died_is_passed_over(sharing: Sharing) -> None:
    """It is looked at when the node's turn comes: it ran when the application was started there."""
    sharing.application("base")
    sharing.application("one", "base")
    async with sharing.node(B) as b, sharing.node(C) as c:
        async with sharing.node(A) as a:
            for node in (a, b, c):
                await start(node, "base")
            await started(a, b, c)
            kill(b, "base_sup")
            await reported(lambda: phase(b, "base") == "loaded")
        await reported(lambda: (seen(b).runs_at, seen(c).runs_at) == (C, C))
        assert LOG[-1] == ("one", C, Failover(A))
        assert str(seen(b).reason) == "not_running: base"
        with pytest.raises(ApplicationError, match="not_running: base"):
            await start(b)


async def test_two_applications_started_crosswise_both_start(sharing: Sharing) -> None:
    """B6: opposite precedence, opposite order; all four starts return."""
    async with (
        sharing.node(A, ((A,), (B,)), two=((B,), (A,))) as a,
        sharing.node(B, ((A,), (B,)), two=((B,), (A,))) as b,
        anyio.create_task_group() as group,
    ):
        await reported(lambda: known(a, b))
        _start_both(group, b, "one", "two")
        _start_both(group, a, "two", "one")
        await reported(lambda: sorted(COPIES) == [("one", A), ("two", B)])


def _start_both(group: TaskGroup, node: Node, *names: str) -> None:
    for name in names:
        group.start_soon(start, node, name)


async def test_two_applications_of_the_same_nodes_started_in_opposite_order_both_start(sharing: Sharing) -> None:
    """B7: each node has the other one's first as its second; all four starts return."""
    same = ((A, B),)
    async with sharing.node(A, same, two=same) as a, sharing.node(B, same, two=same) as b:
        await reported(lambda: known(a, b))
        async with anyio.create_task_group() as group:
            group.start_soon(_start_in_order, a, "one", "two")
            group.start_soon(_start_in_order, b, "two", "one")
        await reported(lambda: sorted(name for name, _ in COPIES) == ["one", "two"])
        for name in ("one", "two"):
            await reported(lambda name=name: sorted((phase(a, name), phase(b, name))) == ["running", "standby"])  # type: ignore[misc]


async def _start_in_order(node: Node, *names: str) -> None:
    for name in names:
        await start(node, name)


async def test_a_failed_takeover_leaves_a_healthy_copy(sharing: Sharing) -> None:
    """B9: the old node runs it again, with what it had handed over."""
    FAILS_AT.add(("one", A))
    async with sharing.node(B) as b, sharing.node(A) as a:
        await reported(lambda: known(a, b))
        with a.current():
            await application.permit("one", False)
        await start(b)
        with a.current():
            await application.permit("one", True)
        await start(a)
        await reported(lambda: COPIES == [("one", B)])
        assert LOG[-1] == ("one", B, Takeover(A, f"what {B} knew"))
        await reported(lambda: seen(a).runs_at == B)


async def test_a_takeover_by_hand_that_fails_leaves_its_node_standing_by(sharing: Sharing) -> None:
    """B9: whoever asked hears why, and the node knows where it runs, as before."""
    FAILS_AT.add(("one", B))
    async with sharing.node(A) as a, sharing.node(B) as b:
        await started(a, b)
        with pytest.raises(ApplicationError, match="it does not start here"):
            await take_over(b)
        await reported(lambda: (phase(a), phase(b), seen(b).runs_at) == ("running", "standby", A))
        assert COPIES == [("one", A)]


async def test_nothing_is_said_against_a_node_that_leaves_in_order(
    sharing: Sharing, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that share applications with it try at once to reach it again, and find nobody: that is no trouble."""
    async with sharing.node(A) as a:
        async with sharing.node(B) as b, sharing.node(C) as c:
            await started(a, b, c)
        await reported(lambda: phase(a) == "running" and not connected(a))
        await until(lambda: a.net_kernel is not None and not a.net_kernel.connecting())
    assert warnings(caplog, "connection") == []


@row("DAP-021")
async def test_different_lists_are_an_error_with_both_in_it(sharing: Sharing, caplog: pytest.LogCaptureFixture) -> None:
    """And no node dies of it."""
    async with sharing.node(A) as a, sharing.node(B, ((B,), (A,))) as b:
        await reported(lambda: "configured differently" in caplog.text)
        for node in (a, b):
            await reported(lambda node=node: bool(node.distribution.shared["one"].mismatches))  # type: ignore[union-attr,misc]
            with pytest.raises(ApplicationError, match="distribution_mismatch") as refused:
                await start(node, restart="permanent")
            assert f"'{A}'" in str(refused.value) and f"'{B}'" in str(refused.value)
