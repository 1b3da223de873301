"""Links between processes of different nodes."""

from __future__ import annotations

import random

import anyio
import anyio.lowlevel
import pytest

from regrow import (
    Crash,
    Custom,
    Down,
    Exit,
    Kill,
    Killed,
    NoConnection,
    Node,
    NoProc,
    Normal,
    Pid,
    ProcessExited,
    Reason,
    RemoteError,
    ServerRef,
    Shutdown,
    Stop,
    connect,
    flush,
    link,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
    unlink,
)
from tests.harness import row

from .kit import (
    ECHO,
    ROUNDS,
    Broken,
    Cluster,
    Echo,
    connected,
    echo_of,
    echo_on,
    halt,
    idle,
    idle_on,
    reported,
    running,
    until,
)

A, B, C = "a@localhost", "b@localhost", "c@localhost"


async def end_as_told() -> None:
    """Ends with the reason that it is sent, or with the exception."""
    reason = await receive()
    if isinstance(reason, Reason):
        raise Stop(reason)
    raise Broken("badly")


def links_of(node: Node, pid: Pid) -> set[Pid]:
    return set(node.runtime.processes[pid].links)


@row("PRC-012")
@pytest.mark.parametrize("reason", [Normal(), Shutdown("why"), Custom({"any": ("value", 1)}), Kill()])
async def test_the_reason_crosses_a_link(cluster: Cluster, reason: Reason) -> None:
    """Unchanged; and after everything that was sent before."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            pid = spawn(end_as_told)
        with a.current():
            trap_exit(True)
            link(pid)
            send(pid, reason)
            assert await receive() == Exit(pid, reason)


async def test_a_crash_crosses_a_link_as_data_and_reads_the_same(cluster: Cluster) -> None:
    """With its type's name, its text and its traceback."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            pid = spawn(end_as_told)
        with a.current():
            trap_exit(True)
            link(pid)
            send(pid, "crash")
            reason = (await receive(Exit)).reason
            assert str(reason) == "Broken: badly"
            assert isinstance(reason, Crash)
            assert isinstance(reason.exception, RemoteError)
            assert 'raise Broken("badly")' in reason.exception.traceback


async def test_a_kill_and_an_exit_signal_cross(cluster: Cluster) -> None:
    """By pid and by name; whoever is linked sees what came of it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await echo_on(b)
        with a.current():
            trap_exit(True)
            pid = idle_on(b)
            link(pid)
            send_exit(pid, Kill())
            assert await receive() == Exit(pid, Killed())
            pid = idle_on(b)
            link(pid)
            send_exit(pid, Normal())
            send_exit(pid, Custom("enough"))
            assert await receive() == Exit(pid, Custom("enough"))
            send_exit(("unheard of", B), Kill())
            send_exit(ECHO.at(B), Kill())
        await until(lambda: not list(b.runtime.registry))


@row("LNK-009")
async def test_who_does_not_trap_dies_of_a_lost_node(cluster: Cluster) -> None:
    """With the reason that its link had."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = idle_on(b)

        async def linked() -> None:
            link(pid)
            await idle()

        with a.current():
            _, ref = spawn_monitor(linked)
            await until(lambda: b.runtime.processes[pid].links)
            halt(b)
            down = await receive(Down)
            assert (down.ref, down.reason) == (ref, NoConnection())


@row("LNK-009")
async def test_the_body_of_a_node_dies_of_a_lost_node_as_any_process(cluster: Cluster) -> None:
    """Whoever entered the node is told why it was left."""
    async with cluster.node(B) as b:
        pid = idle_on(b)

        async def body() -> None:
            async with cluster.node(A):
                link(pid)
                await until(lambda: b.runtime.processes[pid].links)
                halt(b)
                await idle()

        with pytest.raises(ProcessExited, match="noconnection"):
            await body()


async def test_linking_the_dead_and_the_unreachable_is_an_exit_message(cluster: Cluster) -> None:
    """And no error, also for who does not trap: that one gets the signal."""
    async with cluster.node(A) as a:
        trap_exit(True)
        async with cluster.node(B) as b:
            with a.current():
                assert await connect(B)
                pid = idle_on(b)
                send_exit(pid, Kill())
                link(pid)
                assert await receive() in (Exit(pid, NoProc()), Exit(pid, Killed()))
        await reported(lambda: not connected(a))
        link(pid)
        assert await receive() == Exit(pid, NoConnection())


@row("LNK-004")
async def test_after_an_unlink_no_exit_comes(cluster: Cluster) -> None:
    """Not even of one that ended while the unlink was under way."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        echo = await echo_of(b)
        with a.current():
            trap_exit(True)
        for _ in range(ROUNDS):
            with b.current():
                pid = spawn(end_as_told)
            with a.current():
                link(pid)
                send(pid, Custom("over"))
                unlink(pid)
                assert await Echo.say(ServerRef(echo, Echo), 1) == 1
                assert flush() == []


@row("LNK-013")
async def test_a_reason_runs_along_a_chain_over_all_nodes(cluster: Cluster) -> None:
    """The last one hears what the first one died of."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as (a, b, c):

        async def linked_to(other: Pid, home: Pid) -> None:
            link(other)
            send(home, "linked")
            await idle()

        with a.current():
            trap_exit(True)
            home = self_pid()
        first = last = idle_on(a)
        for node in (b, c, a, b, c):
            with node.current():
                last = spawn(linked_to, last, home)
            with a.current():
                assert await receive() == "linked"
        await until(lambda: all(len(links_of(a, p)) for p in (first,)))
        with a.current():
            link(last)
            await until(lambda: home in links_of(c, last))
            send_exit(first, Custom("the first one's"))
            assert await receive() == Exit(last, Custom("the first one's"))


@row("LNK-015")
@pytest.mark.parametrize("seed", range(5))
async def test_links_made_and_removed_from_both_sides_agree_in_the_end(cluster: Cluster, seed: int) -> None:
    """Whatever crosses on the way: both have the link, or neither."""
    chance = random.Random(seed)
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        echo_a, echo_b = await echo_of(a), await echo_of(b)
        for _ in range(30):
            ends = [(a, idle_on(a)), (b, idle_on(b))]
            for _ in range(chance.randrange(1, 12)):
                (node, mine), (_, other) = chance.sample(ends, 2)
                process = node.runtime.processes[mine]
                if chance.random() < 0.5:
                    process.link(other)
                else:
                    process.unlink(other)
                if chance.random() < 0.3:
                    await turn(chance)
            # What is under way arrives before an answer; and so does what that causes before another.
            for _ in range(2):
                for node, far in ((a, echo_b), (b, echo_a)):
                    with node.current():
                        assert await Echo.say(ServerRef(far, Echo), 1) == 1
            (_, pid_a), (_, pid_b) = ends
            assert (pid_b in links_of(a, pid_a)) == (pid_a in links_of(b, pid_b))
            assert not a.runtime.processes[pid_a].unlinking
            assert not b.runtime.processes[pid_b].unlinking


async def turn(chance: random.Random) -> None:
    for _ in range(chance.randrange(4)):
        await anyio.lowlevel.checkpoint()


async def test_an_unlink_that_found_no_node_is_not_waited_for(cluster: Cluster) -> None:
    """A later link of the other is not taken for one that crosses it."""
    async with cluster.node(A) as a:
        trap_exit(True)
        async with cluster.node(B) as b:
            pid = idle_on(b)
        with a.current():
            link(pid)
            unlink(pid)
            assert not await connect(B)
            assert flush() == []
            [me] = [process for process in a.runtime.processes.values() if process.pid == self_pid()]
            assert not me.unlinking
            assert not me.links


async def test_spawned_and_linked_processes_do_not_confuse_far_links(cluster: Cluster) -> None:
    """A process with links here and there ends each of them."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            trap_exit(True)

            async def middle(far: Pid) -> None:
                link(far)
                await idle()

            with a.current():
                trap_exit(True)
                far = self_pid()
            pid = spawn_link(middle, far)
            await until(lambda: pid in links_of(a, far))
            send_exit(pid, Custom("both"))
            assert await receive() == Exit(pid, Custom("both"))
        with a.current():
            assert await receive() == Exit(pid, Custom("both"))
