"""Supervisors of other nodes: their children seen, started and stopped from here, as if they were on this node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import pytest

from regrow import (
    AlreadyPresent,
    AlreadyStarted,
    Bounded,
    CallTimeout,
    ChildCounts,
    ChildInfo,
    ChildNotFound,
    ChildRunning,
    ChildSpec,
    Custom,
    DynamicSupervisor,
    GenServer,
    Global,
    Ignore,
    Ignored,
    MaxChildren,
    Name,
    Node,
    NoProcess,
    NotPortable,
    PartitionSupervisor,
    Pid,
    RemoteError,
    ServerRef,
    Shutdown,
    StartFailed,
    StartTimeout,
    Stop,
    Supervisor,
    call,
    check_portable,
    child,
    global_name,
    portable,
    start,
    sys,
    whereis,
)
from regrow._pure.child_spec import ChildType
from regrow.children import FailedToStartChild
from tests.harness import row

from .kit import Cluster, Echo, running

A, B = "a@localhost", "b@localhost"
HERE = [__name__]


@portable
class Shop(GenServer):
    """Both nodes know it."""

    def __init__(self, pieces: int = 0, *, closed: object = None) -> None:
        self.pieces = pieces
        self.closed = closed

    async def init(self) -> None:
        match self.closed:
            case None:
                pass
            case "never opens":
                await anyio.sleep_forever()
            case "ignore":
                raise Ignore
            case "crash":
                raise ValueError("no")
            case "odd":
                raise Stop(Custom(object()))
            case reason:
                raise Stop(Custom(reason))

    @call
    async def count(self) -> int:
        return self.pieces


@portable
class Street(Supervisor):
    """A supervisor that is started from another node, with what it is given."""

    def __init__(self, *specs: ChildSpec) -> None:
        self.specs = specs

    def init(self) -> Iterable[ChildSpec]:
        return self.specs


class Mall(DynamicSupervisor):
    max_children = 2


STREET, MALL, CHAIN = Name("street", Street).at(B), Name("mall", Mall).at(B), Name("chain", PartitionSupervisor).at(B)


async def street_on(node: Node) -> None:
    with node.current():
        await start(child(Street, child(Shop, 1).named("first"), child(Street)).named("street"))


def pid_on(node: Node, name: str) -> Pid:
    with node.current():
        found = whereis(name)
    assert found is not None
    return found


# -- looking


@row("SUP-029", "SUP-030", "SUP-031")
async def test_the_children_of_a_supervisor_of_another_node_are_seen(cluster: Cluster) -> None:
    """By name and by pid, in the order and with all that is said of them at home."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await street_on(b)
        with b.current():
            at_home = await Supervisor.which_children(Name("street", Street))
        with a.current():
            for sup in (STREET, ServerRef(pid_on(b, "street"), Street)):
                assert await Supervisor.which_children(sup) == at_home
                assert await Supervisor.count_children(sup) == ChildCounts(2, 2, 1, 1)
                assert await Supervisor.which_child(sup, "first") == at_home[1]
        assert [info.id for info in at_home] == ["Street", "first"]
        assert at_home[1] == ChildInfo("first", pid_on(b, "first"), ChildType.WORKER, False)


async def test_what_kind_of_supervisor_it_is_makes_no_difference(cluster: Cluster) -> None:
    """Dynamic ones and those with partitions tell of their children as well."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            await start(child(Mall).named("mall"))
            await start(child(PartitionSupervisor, child(Shop), partitions=2).named("chain"))
        with a.current():
            assert await Supervisor.which_children(MALL) == []
            assert [info.id for info in await Supervisor.which_children(CHAIN)] == ["1", "0"]
            await PartitionSupervisor.resize(CHAIN, 3)
            assert await Supervisor.count_children(CHAIN) == ChildCounts(3, 3, 0, 3)


# -- starting and stopping


@row("SUP-020", "SUP-022", "SUP-024", "SUP-025")
async def test_a_child_is_started_stopped_and_forgotten_from_another_node(cluster: Cluster) -> None:
    """Its class is known to both nodes; who is called then is a process over there."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        await street_on(b)
        with a.current():
            ref = await Supervisor.start_child(STREET, child(Shop, 5).named("second"))
            assert ref.pid == pid_on(b, "second")
            assert await Shop.count(ref) == await Shop.count(Name("second", Shop).at(B)) == 5
            await Supervisor.terminate_child(STREET, "second")
            assert await Supervisor.which_child(STREET, "second") == ChildInfo("second", None, ChildType.WORKER, False)
            again = await Supervisor.restart_child(STREET, "second")
            assert again.pid == pid_on(b, "second") != ref.pid
            await Supervisor.terminate_child(STREET, "second")
            await Supervisor.delete_child(STREET, "second")
            with pytest.raises(ChildNotFound, match="there is no child 'second'"):
                await Supervisor.which_child(STREET, "second")


@row("SUP-027", "SUP-028")
async def test_children_of_a_dynamic_supervisor_come_and_go_from_another_node(cluster: Cluster) -> None:
    """Stopped by reference or by pid; one too many is refused as at home."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        with b.current():
            await start(child(Mall).named("mall"))
        with a.current():
            one = await DynamicSupervisor.start_child(MALL, child(Shop, 1))
            two = await DynamicSupervisor.start_child(MALL, child(Shop, 2))
            assert {info.pid for info in await DynamicSupervisor.which_children(MALL)} == {one.pid, two.pid}
            with pytest.raises(MaxChildren, match="there are 2 children"):
                await DynamicSupervisor.start_child(MALL, child(Shop))
            await DynamicSupervisor.terminate_child(MALL, one)
            await DynamicSupervisor.terminate_child(MALL, two.pid)
            assert await DynamicSupervisor.count_children(MALL) == ChildCounts(0, 0, 0, 0)
            with pytest.raises(ChildNotFound):
                await DynamicSupervisor.terminate_child(MALL, pid_on(b, "mall"))


async def test_a_specification_arrives_with_all_that_it_says(cluster: Cluster) -> None:
    """Also a specification that another one has among its arguments, and what it leaves to the class."""
    mailbox = Bounded(3, on_full="wait", drop="oldest")
    said = child(Shop, 7, closed=None).with_(
        id="stand", restart="transient", shutdown="brutal_kill", start_timeout=9.0, mailbox=mailbox
    )
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        with b.current():
            await start(child(Mall).named("mall"))
        with a.current():
            chain = child(PartitionSupervisor, said, partitions=1).named(Global("chain", PartitionSupervisor))
            ref = await DynamicSupervisor.start_child(MALL, chain)
            assert global_name.whereis("chain") == ref.pid
            state = await sys.get_state(ref)
            assert [info.id for info in await Supervisor.which_children(ref)] == ["0"]
        assert state["_child_spec"] == said
        assert (state["_child_spec"].args, state["_child_spec"].kwargs) == ((7,), {"closed": None})


# -- what is refused

REFUSED: list[tuple[Callable[[], Awaitable[object]], type[Exception], str]] = [
    (lambda: Supervisor.terminate_child(STREET, "nobody"), ChildNotFound, "there is no child 'nobody'"),
    (lambda: Supervisor.restart_child(STREET, "first"), ChildRunning, "child 'first' is running"),
    (lambda: Supervisor.delete_child(STREET, "first"), ChildRunning, "child 'first' is running"),
    (lambda: Supervisor.start_child(STREET, child(Shop).with_(id="down")), AlreadyPresent, "child 'down' is present"),
    (
        lambda: Supervisor.start_child(STREET, child(Shop, closed="ignore").with_(restart="temporary")),
        Ignored,
        "Shop asked to be ignored",
    ),
    (
        lambda: Supervisor.start_child(STREET, child(Shop, closed="never opens").with_(start_timeout=0.01)),
        StartTimeout,
        "Shop was not ready within 0.01 s",
    ),
]


@pytest.mark.parametrize(("ask", "error", "text"), REFUSED, ids=[each[2] for each in REFUSED])
async def test_a_refusal_is_the_error_that_it_is_at_home(
    ask: Callable[[], Awaitable[object]], error: type[Exception], text: str, cluster: Cluster
) -> None:
    """So what is written for one node is right for two."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        await street_on(b)
        with a.current():
            await Supervisor.start_child(STREET, child(Shop).with_(id="down"))
            await Supervisor.terminate_child(STREET, "down")
            with pytest.raises(error, match=text):
                await ask()
            assert await Supervisor.count_children(STREET) == ChildCounts(3, 2, 1, 2)


@row("SUP-021")
async def test_a_start_that_fails_brings_its_reason_home(cluster: Cluster) -> None:
    """What it ended with, or who has the name; and nothing of it is left."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        await street_on(b)
        with a.current():
            with pytest.raises(AlreadyStarted) as taken:
                await Supervisor.start_child(STREET, child(Shop).named("first").with_(id="other"))
            assert taken.value.pid == pid_on(b, "first")
            for closed, reason in (("for", "good"), "('for', 'good')"), ("crash", "ValueError: no"), ("odd", "<object"):
                with pytest.raises(StartFailed) as failed:
                    await Supervisor.start_child(STREET, child(Shop, closed=closed))
                assert str(failed.value.reason).startswith(reason)
            with pytest.raises(StartFailed) as failed:
                await Supervisor.start_child(STREET, child(Street, child(Shop, closed="rain")).with_(id="side"))
            assert failed.value.reason == Shutdown(FailedToStartChild("Shop", Custom("rain")))
            assert await Supervisor.count_children(STREET) == ChildCounts(2, 2, 1, 1)


async def test_a_class_that_may_not_cross_is_refused_before_anything_is_sent(cluster: Cluster) -> None:
    """One that is not marked, or whose module this node does not name."""
    async with running(cluster.node(A), cluster.node(B, portable=HERE)) as (a, b):
        await street_on(b)
        with a.current():
            for spec in (child(Shop), child(Echo)):
                with pytest.raises(NotPortable, match=rf"{spec.id} can't leave this node"):
                    await Supervisor.start_child(STREET, spec)
            with pytest.raises(NotPortable):
                check_portable(Shop())
            assert await Supervisor.count_children(STREET) == ChildCounts(2, 2, 1, 1)


async def test_a_class_that_the_other_node_does_not_know_is_told_to_who_asked(cluster: Cluster) -> None:
    """The supervisor over there hears nothing of it, and nobody waits for ever."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B)) as (a, b):
        await street_on(b)
        with a.current():
            with pytest.raises(RemoteError, match=r"b@localhost cannot read the arguments: .*Shop"):
                await Supervisor.start_child(STREET, child(Shop))
            assert await Supervisor.count_children(STREET) == ChildCounts(2, 2, 1, 1)


async def test_only_the_class_of_a_behaviour_crosses(cluster: Cluster) -> None:
    """Its objects live in their processes."""
    async with cluster.node(A, portable=HERE) as node:
        with node.current():
            check_portable(child(Shop))
            check_portable(Shop)
            with pytest.raises(NotPortable, match=r"an object of .*Shop can't leave this node"):
                check_portable(Shop())


# -- system messages


@row("SYS-001", "SYS-003", "SYS-006", "SYS-011")
async def test_supervisors_of_another_node_answer_system_messages(cluster: Cluster) -> None:
    """Of each kind: seen, counted, held up and ended from here."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        await street_on(b)
        with b.current():
            await start(child(Mall).named("mall"))
            await start(child(PartitionSupervisor, child(Shop), partitions=1).named("chain"))
        with a.current():
            for sup in (STREET, MALL, CHAIN):
                await _examine(sup, pid_on(b, sup.name))


async def _examine(sup: Name[Any], pid: Pid) -> None:
    await sys.statistics(sup)
    await sys.log(sup, 3)
    children = await Supervisor.count_children(sup)
    counted = await sys.get_statistics(sup)
    assert counted is not None
    assert (counted.messages_in, counted.messages_out) == (1, 1)
    asked, answered = await sys.get_log(sup)
    assert isinstance(asked, sys.In)
    assert isinstance(answered, sys.Out)
    assert answered.reply == children
    status = await sys.get_status(sup)
    assert (status.pid, status.name, status.suspended) == (pid, sup.name, False)
    assert status.state == await sys.get_state(sup)
    await sys.suspend(sup)
    with pytest.raises(CallTimeout):
        await Supervisor.count_children.with_timeout(0)(sup)
    assert (await sys.get_status(sup)).suspended
    await sys.resume(sup)
    assert await Supervisor.count_children(sup) == children
    await sys.terminate(sup, Shutdown())
    with pytest.raises(NoProcess):
        await Supervisor.count_children(sup)
