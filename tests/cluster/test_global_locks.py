"""Locks that several nodes share: who has one, and when it is free again."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from regrow import (
    Down,
    Kill,
    Node,
    NodeDown,
    NotAProcess,
    Pid,
    global_lock,
    monitor,
    monitor_nodes,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
)
from regrow._pure.locks import Lock
from regrow.lock_server import Take
from regrow.questions import Ask
from regrow.testing import ManualClock
from regrow.wire import Tell
from tests.harness import row
from tests.local.gen_server_kit import Attempt

from .kit import Broken, Cluster, MemoryCluster, connected, halt, running, stranger, until, warnings

A, B, C = "a@localhost", "b@localhost", "c@localhost"


async def keeper(listener: Pid, resource: str, options: dict[str, Any]) -> None:
    """Takes a lock, says whether it has it, and keeps it until told to free it, or to end."""
    send(listener, await global_lock.set_lock(resource, **options))
    while (told := await receive()) != "end":
        assert told == "free"
        send(listener, ("freed", await global_lock.del_lock(resource, options.get("requester"))))


async def keeper_on(node: Node, resource: str = "printer", **options: Any) -> tuple[Pid, bool]:
    """A process of the node that has tried to take the lock, and whether it has it."""
    me = self_pid()
    with node.current():
        pid = spawn(keeper, me, resource, options)
    return pid, bool(await receive(lambda message: isinstance(message, bool)))


async def free_on(pid: Pid) -> bool:
    send(pid, "free")
    return (await receive(lambda message: isinstance(message, tuple)))[1]  # type: ignore[no-any-return, index]


async def can_lock(node: Node, resource: str = "printer", **options: Any) -> bool:
    """Whether a process of the node gets the lock at the first try; it frees it at once."""
    pid, has = await keeper_on(node, resource, retries=0, **options)
    assert await free_on(pid) is has
    send(pid, "end")
    return has


@row("GLB-012")
async def test_a_lock_keeps_all_others_out_until_it_is_freed(cluster: Cluster) -> None:
    """On every node, and when `del_lock` returns they can have it, on every node again."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes:
        with nodes[0].current():
            for node in nodes:
                pid, has = await keeper_on(node, retries=0)
                assert has
                assert [await can_lock(other) for other in nodes] == [False] * 3
                assert [await can_lock(other, "scanner") for other in nodes] == [True] * 3
                assert await free_on(pid)
                assert [await can_lock(other) for other in nodes] == [True] * 3
                assert not await free_on(pid), "it has it no more"


@row("GLB-012")
async def test_who_names_the_same_requester_shares_the_lock_and_frees_it_as_often(cluster: Cluster) -> None:
    """A process shares with itself; so do two, on different nodes, that name a third."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            assert await global_lock.set_lock("printer")
            assert await global_lock.set_lock("printer")
            assert await can_lock(b, requester=self_pid())
            assert await global_lock.del_lock("printer")
            assert not await can_lock(b)
            assert await global_lock.del_lock("printer")
            assert await can_lock(b)
            first, _ = await keeper_on(a, requester="the office")
            second, has = await keeper_on(b, requester="the office", retries=0)
            assert has
            assert await free_on(first)
            assert not await can_lock(a)
            assert await free_on(second)
            assert await can_lock(a)


@row("GLB-012")
async def test_a_lock_is_free_when_its_holder_has_ended(cluster: Cluster) -> None:
    """On each node, before anybody there hears of the end; also while it was still asking for it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            for _ in range(20):
                pid, has = await keeper_on(b)
                assert has
                ref = monitor(pid)
                send_exit(pid, Kill())
                assert (await receive(Down)).ref == ref
                assert await can_lock(a)
                assert await can_lock(b)


@row("GLB-012")
async def test_a_lock_is_free_when_its_node_is_lost(memory: MemoryCluster) -> None:
    """As soon as that is known."""
    async with running(memory.node(A), memory.node(B), memory.node(C)) as (a, b, c):
        with a.current():
            monitor_nodes()
            _, has = await keeper_on(c)
            assert has
            assert not await can_lock(b)
            halt(c)
            assert (await receive(NodeDown)).node == C
            await until(lambda: C not in connected(b))
            assert await can_lock(a)
            assert await can_lock(b)


@row("GLB-012")
async def test_a_lock_may_be_of_some_nodes_only(cluster: Cluster) -> None:
    """It keeps out those who ask one of these; a node that cannot be reached does not count."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as (a, b, c):
        with a.current():
            pid, has = await keeper_on(a, nodes=[B, A])
            assert has
            assert not await can_lock(c, nodes=[C, B])
            assert not await can_lock(b)
            assert await can_lock(b, nodes=[C])
            assert await can_lock(c, nodes=[C, "nobody@localhost"])
            assert await free_on(pid)
            assert await can_lock(c, nodes=[C, B])


@row("GLB-012")
async def test_a_lock_is_tried_again_so_often(cluster: Cluster) -> None:
    """After pauses, by the clock of the node: 0 times is once; for ever is until it is free."""
    clock = ManualClock()
    nodes = cluster.node(A, clock=clock, net_tick_time=1e6), cluster.node(B)
    async with running(*nodes) as (a, b), anyio.create_task_group() as group:
        with a.current():
            pid, _ = await keeper_on(b)
            assert not await global_lock.set_lock("printer", retries=0)
            before = clock.now()
            twice = Attempt(group, global_lock.set_lock("printer", retries=2))
            while not twice.over:
                clock.advance(0.001)
                await anyio.lowlevel.checkpoint()
            assert not await twice.result()
            assert clock.now() - before >= 0.015, "after a hundredth of a second or half of it, and after two"
            for_ever = Attempt(group, global_lock.set_lock("printer"))
            for _ in range(200):
                clock.advance(1.0)
                await anyio.lowlevel.checkpoint()
            assert not for_ever.over
            assert await free_on(pid)
            while not for_ever.over:
                clock.advance(1.0)
                await anyio.lowlevel.checkpoint()
            assert await for_ever.result()


async def test_of_many_that_want_the_same_each_has_it_once_and_none_with_another(cluster: Cluster) -> None:
    """Two hands on each of three nodes count to ten under one lock; nobody is kept out for ever."""
    counted: list[int] = []

    async def count_up() -> None:
        before = len(counted)
        await anyio.lowlevel.checkpoint()
        counted.append(before)

    async def hand() -> None:
        for _ in range(10):
            await global_lock.trans("counter", count_up)

    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes:
        hands: list[Pid] = []
        for node in nodes * 2:
            with node.current():
                hands.append(spawn(hand))
        await until(lambda: not any(pid in node.runtime.processes for node in nodes for pid in hands))
        assert counted == list(range(60))


@row("GLB-012")
async def test_a_transaction_runs_under_its_lock_and_frees_it_whatever_comes_of_it(cluster: Cluster) -> None:
    """Its result is the result, its exception goes on; if there is no lock it does not run."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):

        async def act() -> str:
            assert not await can_lock(b)
            return "done"

        async def fail() -> None:
            raise Broken("badly")

        with a.current():
            assert await global_lock.trans("printer", act) == "done"
            await until_free(b)
            with pytest.raises(Broken):
                await global_lock.trans("printer", fail)
            await until_free(b)
            pid, _ = await keeper_on(b)
            with pytest.raises(global_lock.Aborted, match="'printer'"):
                await global_lock.trans("printer", act, retries=0)
            assert await free_on(pid)


async def until_free(node: Node) -> None:
    """What was freed without waiting for the nodes to know, they know soon."""
    while not await can_lock(node):
        await anyio.lowlevel.checkpoint()


async def test_a_lock_that_is_given_up_while_it_is_asked_for_is_free(memory: MemoryCluster) -> None:
    """On the nodes that had given it already, and on the one that has yet to answer."""
    async with running(memory.node(A), memory.node(B), memory.node(C)) as (a, b, c):
        memory.network.stall(A, B)
        with a.current():
            with anyio.move_on_after(0.01) as scope:
                await global_lock.set_lock("printer")
            assert scope.cancelled_caught
            assert await can_lock(c, nodes=[A, C])
            memory.network.heal(A, B)
            await until_free(b)


async def test_a_lock_that_is_freed_by_who_does_not_wait_for_the_nodes_to_know_is_free(memory: MemoryCluster) -> None:
    """Only the waiting is given up."""
    async with running(memory.node(A), memory.node(B), memory.node(C)) as (a, b, c):
        with a.current():
            assert await global_lock.set_lock("printer")
            memory.network.stall(A, B)
            with anyio.move_on_after(0.01) as scope:
                await global_lock.del_lock("printer")
            assert scope.cancelled_caught
            assert not await global_lock.del_lock("printer")
            memory.network.heal(A, B)
            await until_free(b)
            await until_free(c)


async def test_a_node_that_was_away_is_not_told_to_free_what_it_has_forgotten(memory: MemoryCluster) -> None:
    """It has given the lock anew since, to the same process."""
    async with running(memory.node(A), memory.node(B)) as (a, b):
        with a.current():
            assert await global_lock.set_lock("printer", "me")
            memory.network.cut(A, B)
            await until(lambda: not connected(a) and not connected(b))
            memory.network.heal(A, B)
            assert await global_lock.set_lock("printer", "me", nodes=[A, B])
            assert await global_lock.del_lock("printer", "me"), "the first, which B has forgotten"
            assert not await can_lock(b, nodes=[B])
            assert await global_lock.del_lock("printer", "me")
            assert await can_lock(b)


@row("GLB-012", "GLB-013")
async def test_a_nonsensical_lock_is_refused(cluster: Cluster) -> None:
    """By name; and outsiders have no end with which a lock could go."""
    async with running(cluster.node(A), cluster.node(B)) as (a, _):
        with a.current():
            for wrong in ("", None, 5):
                with pytest.raises(ValueError, match="non-empty string"):
                    await global_lock.set_lock(wrong)  # type: ignore[arg-type]
            for retries in (-1, 0.5, True):
                with pytest.raises(ValueError, match="retries"):
                    await global_lock.set_lock("printer", retries=retries)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="requester"):
                await global_lock.set_lock("printer", ["me"])  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="'no node'"):
                await global_lock.set_lock("printer", nodes=["no node"])
            assert await can_lock(a)
        refused: list[bool] = []

        async def outside() -> None:
            with a.current(), pytest.raises(NotAProcess):
                await global_lock.set_lock("printer")
            refused.append(True)

        async with anyio.create_task_group() as group:
            group.start_soon(outside)
        assert refused == [True]


async def test_a_peer_that_locks_for_others_is_hung_up_on(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """A node asks only for its own processes."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            async with stranger(cluster, a) as odd:
                await odd.say(Tell("global_lock", Ask(1, Take(Lock("printer", "odd"), Pid(B, 1, 0, 1)))))
                await odd.hung_up_on()
            await until(lambda: connected(a) == [B])
            assert await can_lock(b)
            assert len(warnings(caplog, "closed: it sent a bad frame")) == 1
