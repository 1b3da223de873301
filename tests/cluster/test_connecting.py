"""How nodes find each other and come together: one by one, at the same moment, all at once, and not at all."""

from __future__ import annotations

import os

import anyio
import pytest

from regrow import (
    Down,
    NoConnection,
    Node,
    NodeDown,
    NodeUp,
    connect,
    disconnect,
    flush,
    monitor,
    monitor_node,
    monitor_nodes,
    nodes,
    receive,
    register,
    self_pid,
    send,
    spawn,
)
from regrow.local_nodes import NodeNameTaken
from regrow.net_kernel import HALF_OPEN_MAX
from regrow.testing import ManualClock
from tests.harness import row

from .kit import (
    ECHO,
    ROUNDS,
    Cluster,
    Echo,
    MemoryCluster,
    TcpCluster,
    connected,
    echo_on,
    halt,
    idle_on,
    reported,
    running,
    stranger,
    until,
    warnings,
)

A, B, C, NOBODY = "a@localhost", "b@localhost", "c@localhost", "nobody@localhost"


async def test_a_node_is_connected_with_itself_and_not_with_one_that_is_not_there(cluster: Cluster) -> None:
    """Neither is an error, and neither takes time."""
    async with cluster.node(A):
        assert await connect(A)
        assert not await connect(NOBODY)
        assert nodes() == []
        assert not disconnect(A)
        assert not disconnect(NOBODY)


async def test_a_node_without_a_name_is_alone() -> None:
    """It can be asked all the same."""
    async with Node() as node:
        assert nodes() == []
        assert not await connect(A)
        assert await connect(node.name)
        assert not disconnect(A)
        monitor_node(A)
        assert await receive() == NodeDown(A)
        monitor_node(node.name)
        monitor_nodes()
        assert flush() == []


@row("DST-004")
async def test_who_sends_to_a_node_is_connected_with_it(cluster: Cluster) -> None:
    """So is who monitors, or calls."""
    async with cluster.node(A) as a, cluster.node(B) as b, cluster.node(C) as c:
        await echo_on(c)
        with b.current():
            register("b", self_pid())
        with a.current():
            send(("b", B), "hello")
            assert await Echo.say(ECHO.at(C), 1) == 1
        with b.current():
            assert await receive() == "hello"
        await reported(lambda: set(connected(a)) == {B, C})
        with a.current():
            disconnect(B)
            ref = monitor(("unheard_of", B))
            assert (await receive(Down)).ref == ref
            assert B in nodes()


async def test_nodes_that_connect_bring_their_friends(cluster: Cluster) -> None:
    """The connections of a node are those of all: a full mesh."""
    names = [f"n{number}@localhost" for number in range(5)]
    async with running(*(cluster.node(name) for name in names)) as all_of_them:
        for node in all_of_them:
            assert sorted([*connected(node), node.name]) == names


async def test_nodes_that_all_start_at_once_find_each_other(cluster: Cluster) -> None:
    """Whoever comes first: each pair ends up with one connection, and keeps it."""
    names = [A, B, C]
    up, seen = [0], [0]

    async def live(name: str) -> None:
        async with cluster.node(name):
            monitor_nodes()
            up[0] += 1
            await until(lambda: up[0] == len(names))
            async with anyio.create_task_group() as group:
                for other in names:
                    group.start_soon(connect, other)
            await reported(lambda: len(nodes()) == len(names) - 1)
            heard = sorted(map(str, flush()))
            seen[0] += 1
            await until(lambda: seen[0] == len(names))
            assert heard == [str(NodeUp(other)) for other in names if other != name]

    for _ in range(5):
        up[0] = seen[0] = 0
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(live, name)


async def test_two_that_connect_to_each_other_at_once_get_one_connection_and_lose_nothing(cluster: Cluster) -> None:
    """What was sent while both attempts were under way arrives, once, in order."""
    async with cluster.node(A) as a, cluster.node(B) as b:
        for node, name in ((a, "a"), (b, "b")):
            with node.current():
                register(name, self_pid())
                monitor_nodes()
        for _ in range(ROUNDS):
            with a.current():
                for number in range(3):
                    send(("b", B), number)
            with b.current():
                for number in range(3):
                    send(("a", A), number)
            for node, other in ((a, B), (b, A)):
                with node.current():
                    assert [await receive() for _ in range(4)] == [NodeUp(other), 0, 1, 2]
            with a.current():
                disconnect(B)
                assert await receive() == NodeDown(B, "disconnect")
            with b.current():
                assert await receive() == NodeDown(A, "connection_closed")
                assert flush() == []


async def test_connects_that_cross_are_all_told_yes(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """However the attempts fall over each other; one of them after a while, too."""
    async with cluster.node(A) as a, cluster.node(B) as b:

        async def connects(node: Node, other: str, steps: int) -> None:
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            with node.current():
                assert await connect(other)

        for steps in range(ROUNDS):
            async with anyio.create_task_group() as group:
                group.start_soon(connects, a, B, steps)
                group.start_soon(connects, b, A, 0)
            async with anyio.create_task_group() as group:
                group.start_soon(connects, a, B, 0)
                group.start_soon(connects, b, A, steps)
            assert connected(a) == [B]
            assert connected(b) == [A]
            with b.current():
                disconnect(A)
            await reported(lambda: not connected(a))
    assert not warnings(caplog, ""), "what is normal is no news"


async def test_a_wrong_cookie_is_refused_with_a_line_on_either_side(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """And harms neither of them."""
    async with running(cluster.node(A), cluster.node(B)) as (a, _b), cluster.node(C, cookie="another") as c:
        with a.current():
            assert not await connect(C)
        with c.current():
            assert not await connect(A)
        assert connected(a) == [B]
        assert connected(c) == []
    refused = warnings(caplog, "a connection was refused")
    assert len(refused) == 2
    assert A in refused[0]
    assert C in refused[1]
    told = warnings(caplog, "no connection to")
    assert [line.split(":")[0] for line in told] == [f"no connection to {C}", f"no connection to {A}"]
    assert all("cookie" in line for line in refused + told)


async def test_what_is_refused_again_and_again_is_told_once(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Nodes that share an application try twice a second; a log that is full of it would hide everything else."""
    async with cluster.node(A) as a, cluster.node(C, cookie="another"):
        with a.current():
            for _ in range(5):
                assert not await connect(C)
    assert [line.split(":")[0] for line in warnings(caplog, "")] == [
        "a connection was refused",
        f"no connection to {C}",
    ]


async def test_why_there_is_no_connection_can_be_told(cluster: Cluster) -> None:
    """Nobody there, or somebody who is not one of us."""
    async with cluster.node(A) as a, cluster.node(C, cookie="another"):
        net = a.net_kernel
        assert net is not None
        assert await net.failure_to_connect(A) is None
        assert "our cookies may differ" in str(await net.failure_to_connect(C))
        assert "b@localhost" in str(await net.failure_to_connect(B))


async def test_a_node_that_stops_lets_nobody_in_any_more(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever sees the connection end may try again at once, and finds nobody; that is no news for a log."""
    async with cluster.node(A) as a:
        net = a.net_kernel
        assert net is not None
        lost = anyio.Event()

        def try_again(node: str, came: bool) -> None:
            if not came:
                net.invite(node)
                lost.set()

        net.watchers.append(try_again)
        async with cluster.node(B):
            with a.current():
                assert await connect(B)
        await lost.wait()
        assert not await net.connect(B)
    assert not warnings(caplog, "")


@row("DST-008")
async def test_a_name_that_is_in_use_is_refused(cluster: Cluster) -> None:
    """On one machine the error says by which OS process; the holder is not harmed."""
    async with running(cluster.node(A), cluster.node(B)) as (a, _b):
        with pytest.raises((NodeNameTaken, OSError)) as refused:
            async with cluster.node(A):
                pass
        if isinstance(cluster, TcpCluster):
            assert str(refused.value) == f"the name {A} is in use by OS process {os.getpid()}"
        assert connected(a) == [B]
    async with cluster.node(A):
        assert nodes() == []


async def test_those_who_knock_and_say_nothing_are_limited(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """One too many is sent away at once; when they are gone, others are let in."""
    async with cluster.node(A) as a, cluster.node(B):
        silent = [await cluster.knock(A) for _ in range(HALF_OPEN_MAX)]
        net = a.net_kernel
        assert net is not None
        await until(lambda: net.half_open == HALF_OPEN_MAX)
        one_too_many = await cluster.knock(A)
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await one_too_many.receive()
        for stream in (one_too_many, *silent):
            await stream.aclose()
        await until(lambda: net.half_open == 0)
        with a.current():
            assert await connect(B)
    assert len(warnings(caplog, "a connection was refused: it hung up")) == 1, "of the same, one line"


async def test_a_node_that_stops_sends_what_is_waiting_to_be_sent(cluster: Cluster) -> None:
    """Also what waits for a connection that is still being made; and though the other side talks as well."""
    async with cluster.node(B) as b:
        register("b", self_pid())
        for connect_first in (True, False):
            async with cluster.node(A) as a:
                with a.current():
                    if connect_first:
                        assert await connect(B)
                        register("a", self_pid())
                        with b.current():
                            for number in range(500):
                                send(("a", A), number)
                    for number in range(500):
                        send(("b", B), ("a line", number, b"x" * 1000))
            with b.current():
                assert [await receive() for _ in range(500)] == [("a line", n, b"x" * 1000) for n in range(500)]


async def test_a_node_stops_though_another_takes_nothing(cluster: Cluster) -> None:
    """It does not wait for it longer than a second."""
    async with cluster.node(A) as a, stranger(cluster, a) as deaf:
        await reported(lambda: connected(a))
        for _ in range(50):
            send(("anybody", deaf.pid.node), b"x" * 500_000)


async def test_a_node_is_left_at_once_if_it_is_cancelled_as_it_starts(cluster: Cluster) -> None:
    """Nothing of it stays, and its name is free."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with cluster.node(A):
            pass
    assert scope.cancelled_caught
    async with cluster.node(A):
        assert nodes() == []


async def test_who_calls_and_connects_from_outside_is_not_left_waiting_when_the_node_stops(
    memory: MemoryCluster,
) -> None:
    """Though what they wait for never comes."""
    outcomes: list[object] = []

    async def call_out(node: Node) -> None:
        with node.current():
            try:
                await Echo.wait(ECHO.at(B))
            except Exception as error:  # noqa: BLE001 - looked at below
                outcomes.append(str(error))

    async def connect_out(node: Node) -> None:
        with node.current():
            outcomes.append(await connect(B))

    async with anyio.create_task_group() as group, memory.node(B):
        memory.network.stall(A, B)
        async with memory.node(A) as a:
            group.start_soon(call_out, a)
            group.start_soon(connect_out, a)
            await anyio.wait_all_tasks_blocked()
        await until(lambda: len(outcomes) == 2)
        memory.network.heal(A, B)
    assert sorted(map(str, outcomes)) == ["False", "the server ended before it replied: noconnection"]


async def test_a_silent_node_is_lost_after_the_tick_time(memory: MemoryCluster) -> None:
    """Not before, and not later than a quarter after it; ticks alone keep a connection up."""
    clock = ManualClock()
    a, b = memory.node(A, clock=clock, net_tick_time=8.0), memory.node(B, clock=clock, net_tick_time=8.0)
    async with running(a, b):
        pid = idle_on(b)
        with a.current():
            monitor_nodes()
            ref = monitor(pid)
            for _ in range(20):
                clock.advance(2.0)
                await anyio.wait_all_tasks_blocked()
            assert flush() == []
            memory.network.stall(A, B)
            for _ in range(3):
                clock.advance(2.0)
                await anyio.wait_all_tasks_blocked()
            assert flush() == []
            for _ in range(2):
                clock.advance(2.0)
                await anyio.wait_all_tasks_blocked()
            assert flush() == [Down(ref, pid, NoConnection()), NodeDown(B, "net_tick_timeout")]
        assert connected(b) == []
        memory.network.heal(A, B)


async def test_a_short_silence_is_no_loss(memory: MemoryCluster) -> None:
    """What was sent meanwhile arrives late; nobody hears of anything."""
    clock = ManualClock()
    async with running(memory.node(A, clock=clock), memory.node(B, clock=clock)) as (a, b):
        with b.current():
            register("b", self_pid())
            monitor_nodes()
        memory.network.stall(A, B)
        with a.current():
            send(("b", B), "late")
        clock.advance(30.0)
        await anyio.wait_all_tasks_blocked()
        memory.network.heal(A, B)
        with b.current():
            assert await receive() == "late"
            assert flush() == []


async def test_a_cut_is_seen_at_once_on_both_sides_and_heals(memory: MemoryCluster) -> None:
    """While it lasts there is no connection to be had; the next one is a new one."""
    async with running(memory.node(A), memory.node(B)) as (a, b):
        pid = idle_on(b)
        for node in (a, b):
            with node.current():
                monitor_nodes()
        memory.network.cut(A, B)
        with b.current():
            assert await receive() == NodeDown(A, "connection_closed")
        with a.current():
            assert await receive() == NodeDown(B, "connection_closed")
            assert not await connect(B)
            ref = monitor(pid)
            assert await receive() == Down(ref, pid, NoConnection())
            memory.network.heal(A, B)
            ref = monitor(pid)
            assert await receive() == NodeUp(B)
            send(pid, "still the same process")
            assert flush() == []


async def test_what_is_not_there_to_be_connected_with_is_tried_again_each_time(cluster: Cluster) -> None:
    """A failed attempt leaves nothing that would be in the way of the next."""
    async with cluster.node(A) as a:
        for _ in range(3):
            send(("b", B), "to nobody")
            assert not await connect(B)
        async with cluster.node(B) as b:
            register("b", self_pid())
            with a.current():
                assert await connect(B)
                send(("b", B), "to somebody")
            with b.current():
                assert await receive() == "to somebody"


async def test_a_node_that_restarts_before_its_loss_was_noticed_is_taken_for_a_new_one(memory: MemoryCluster) -> None:
    """Its end is heard of first."""
    async with memory.node(A) as a:
        register("a", self_pid())
        monitor_nodes()
        async with running(memory.node(B), a2 := memory.node(C)):
            with a2.current():
                assert await connect(A)
            with a.current():
                assert {await receive(), await receive()} == {NodeUp(B), NodeUp(C)}
            memory.network.stall(A, B)
        with a.current():
            assert await receive() == NodeDown(C, "connection_closed")
            assert flush() == []
        async with memory.node(B):
            memory.network.lose(A, B)
            send(("a", A), "of the new one")
            with a.current():
                assert await receive() == NodeDown(B, "node_restarted")
                assert await receive() == NodeUp(B)
                assert await receive() == "of the new one"


async def test_a_halted_node_leaves_the_others_together(cluster: Cluster) -> None:
    """One lost node is one lost node."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as (a, b, c):
        halt(c)
        for node, other in ((a, B), (b, A)):
            await reported(lambda node=node, other=other: connected(node) == [other])


async def test_processes_that_end_leave_no_monitors_of_nodes_behind(cluster: Cluster) -> None:
    """A node that goes down later finds nobody to tell."""

    async def watch_and_end() -> None:
        monitor_node(B)
        monitor_node(B, False)
        monitor_node(B)
        monitor_nodes()

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            ref = monitor(spawn(watch_and_end))
            assert (await receive(Down)).ref == ref
            monitor_nodes()
            halt(b)
            assert await receive() == NodeDown(B, "connection_closed")
