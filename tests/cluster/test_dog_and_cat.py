"""Two nodes that know each other: what one hears, and in which order, when the other is gone."""

from __future__ import annotations

from regrow import (
    Down,
    Exit,
    NoConnection,
    Node,
    NodeDown,
    NodeUp,
    connect,
    disconnect,
    flush,
    link,
    monitor,
    monitor_node,
    monitor_nodes,
    nodes,
    receive,
    register,
    self_pid,
    send,
    spawn,
    trap_exit,
)
from tests.harness import row

from .kit import Cluster, connected, halt, idle, reported, running

DOG, CAT = "dog@localhost", "cat@localhost"


@row("DST-001", "DST-002", "DST-003", "LNK-009", "MON-011")
async def test_a_node_that_is_lost_is_heard_of_in_this_order(cluster: Cluster) -> None:
    """As measured: links, monitors by age, then the node, once for each time it was asked for, then with the reason."""
    async with running(cluster.node(DOG), cluster.node(CAT)) as (dog, cat):
        with cat.current():
            pid = spawn(idle)
            register("cat", pid)
        with dog.current():
            trap_exit(True)
            link(pid)
            by_pid = monitor(pid)
            by_name = monitor(("cat", CAT))
            monitor_node(CAT)
            monitor_node(CAT)
            monitor_nodes()
            halt(cat)
            heard = [await receive() for _ in range(6)]
            assert heard == [
                Exit(pid, NoConnection()),
                Down(by_pid, pid, NoConnection()),
                Down(by_name, ("cat", CAT), NoConnection()),
                NodeDown(CAT),
                NodeDown(CAT),
                NodeDown(CAT, "connection_closed"),
            ]
            assert flush() == []
            assert nodes() == []


@row("DST-003")
async def test_a_node_that_returns_is_news_and_works(cluster: Cluster) -> None:
    """The second connection is as good as the first."""
    async with cluster.node(DOG) as dog:
        monitor_nodes()
        for _ in range(3):
            async with cluster.node(CAT) as cat:
                with dog.current():
                    assert await connect(CAT)
                    assert await receive() == NodeUp(CAT)
                with cat.current():
                    register("cat", self_pid())
                with dog.current():
                    send(("cat", CAT), ("Hello!", "from", self_pid()))
                with cat.current():
                    assert await receive() == ("Hello!", "from", body_of(dog))
            with dog.current():
                assert await receive() == NodeDown(CAT, "connection_closed")
        monitor_nodes(False)
        async with cluster.node(CAT):
            with dog.current():
                assert await connect(CAT)
        await reported(lambda: not connected(dog))
        assert flush() == []


async def test_who_disconnects_is_told_so_and_the_other_sees_a_closed_connection(cluster: Cluster) -> None:
    """Both take each other for down, though both live."""
    async with running(cluster.node(DOG), cluster.node(CAT)) as (dog, cat):
        for node in (dog, cat):
            with node.current():
                monitor_nodes()
        with dog.current():
            assert disconnect(CAT)
            assert nodes() == []
            assert not disconnect(CAT)
            assert await receive() == NodeDown(CAT, "disconnect")
        with cat.current():
            assert await receive() == NodeDown(DOG, "connection_closed")


async def test_what_is_sent_after_a_disconnect_goes_over_a_new_connection(cluster: Cluster) -> None:
    """Though the other side may not have noticed yet that the old one is gone."""
    async with running(cluster.node(DOG), cluster.node(CAT)) as (dog, cat):
        with cat.current():
            register("cat", self_pid())
            monitor_nodes()
        for number in range(10):
            with dog.current():
                disconnect(CAT)
                send(("cat", CAT), number)
            with cat.current():
                assert await receive() == NodeDown(DOG, "connection_closed")
                assert await receive() == NodeUp(DOG)
                assert await receive() == number


def body_of(node: Node) -> object:
    with node.current():
        return self_pid()
