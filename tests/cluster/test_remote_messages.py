"""Messages between nodes: to whom, in which order, and what becomes of those for the dead."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import anyio
import pytest

from regrow import (
    Custom,
    Down,
    Exit,
    GenServer,
    Kill,
    Name,
    Node,
    NoProc,
    NoProcess,
    NotPortable,
    Pid,
    ServerRef,
    connect,
    flush,
    link,
    make_ref,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
    trap_exit,
    unlink,
)
from tests.harness import row

from .kit import Cluster, Echo, connected, echo_of, idle, idle_on, reported, running, until

A, B, NOBODY = "a@localhost", "b@localhost", "nobody@localhost"


async def send_back() -> None:
    """Sends each message back to who is named in it."""
    while True:
        message = await receive()
        assert isinstance(message, tuple)
        send(message[0], message[1])


@row("DST-005")
async def test_terms_come_back_as_they_went(cluster: Cluster) -> None:
    """Equal, and of the same types; a pid still addresses its process, a name its server."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            mirror = spawn(send_back)
        with a.current():
            terms: list[object] = [
                *(None, True, 0, -1, 2**70, -(2**200), 1.5, "", "žluť \U0001f408", b"\x00\xff", [], (), {}, set()),
                ([1, (2, [3])], {"a": {1, 2}, (1, 2): frozenset({"x"})}),
                datetime(2024, 2, 29, 12, tzinfo=UTC),
                (self_pid(), mirror, make_ref()),
                Name("n", GenServer).at(B),
                ServerRef(mirror, GenServer),
                Down(make_ref(), ("n", A), Custom("r")),
            ]
            for term in terms:
                send(mirror, (self_pid(), term))
                back = await receive()
                assert type(back) is type(term)
                if isinstance(term, Name):
                    assert isinstance(back, Name)
                    assert (back.name, back.node) == (term.name, term.node)
                else:
                    assert back == term
            register("n", self_pid())
            send(mirror, (("n", A), "by name"))
            assert await receive() == "by name"


@row("PRC-014")
async def test_sending_to_the_dead_the_absent_and_the_unreachable_is_silent(cluster: Cluster) -> None:
    """Only a local name must be there."""
    async with cluster.node(A) as a:
        async with cluster.node(B) as b:
            pid = idle_on(b)
            with a.current():
                assert await connect(B)
                for dest in (pid, ("nobody", B), ("x", NOBODY), Name("nobody", Echo).at(B)):
                    send(dest, "hello")
                    send_exit(dest, Custom("over"))
                await until(lambda: pid not in b.runtime.processes)
                send(pid, "hello")
                send_exit(pid, Kill())
                with pytest.raises(NoProcess):
                    send("nobody", "hello")
        await reported(lambda: not connected(a))
        send(pid, "hello")
        send_exit(pid, Kill())
        assert flush() == []


async def test_what_is_not_portable_is_refused_at_the_sender(cluster: Cluster) -> None:
    """And nothing is sent."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            register("b", self_pid())
        with a.current():
            with pytest.raises(NotPortable):
                send(("b", B), [1, object()])
            send(("b", B), "portable")
        with b.current():
            assert await receive() == "portable"


@row("PRC-012")
@pytest.mark.parametrize("seed", range(3))
async def test_everything_one_process_does_to_another_arrives_in_order(cluster: Cluster, seed: int) -> None:
    """Messages, exit signals, and the news of the end, which comes last."""
    chance = random.Random(seed)
    steps = [chance.random() < 0.6 for _ in range(200)]

    async def act(home: Pid) -> None:
        await receive()
        for number, is_message in enumerate(steps):
            if is_message:
                send(home, number)
            else:
                send_exit(home, Custom(number))
            if number % 7 == 0:
                await anyio.lowlevel.checkpoint()

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            trap_exit(True)
            home = self_pid()
        with b.current():
            actor = spawn(act, home)
        with a.current():
            ref = monitor(actor)
            send(actor, "begin")
            heard = [await receive() for _ in range(len(steps) + 1)]
            told = [n if is_message else Exit(actor, Custom(n)) for n, is_message in enumerate(steps)]
            assert heard[:-1] == told
            assert isinstance(heard[-1], Down)
            assert heard[-1].ref == ref


@row("DST-009")
async def test_many_senders_at_once_are_all_heard_each_in_order(cluster: Cluster) -> None:
    """On one connection, in both directions at once."""
    senders, messages = 40, 50

    async def talk(to: Pid, number: int) -> None:
        for count in range(messages):
            send(to, (number, count))
            if count % 5 == number % 5:
                await anyio.lowlevel.checkpoint()

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        homes = {}
        for node in (a, b):
            with node.current():
                homes[node] = self_pid()
        for node, other in ((a, b), (b, a)):
            with node.current():
                for number in range(senders):
                    spawn(talk, homes[other], number)
        for node in (a, b):
            with node.current():
                heard = [await receive(tuple) for _ in range(senders * messages)]
            for number in range(senders):
                assert [count for who, count in heard if who == number] == list(range(messages))


@row("DST-006", translated="documented: a connection is one stream, what is small waits for what is large before it")
async def test_a_large_message_arrives_whole_and_those_behind_it_after_it(cluster: Cluster) -> None:
    """One frame each; there are no fragments."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            home = self_pid()
        with a.current():
            large = b"x" * 1_000_000
            for number in range(5):
                send(home, large)
                send(home, number)
        with b.current():
            for number in range(5):
                assert await receive() == large
                assert await receive() == number


@row("PRC-020", "DST-010")
async def test_pids_of_an_earlier_incarnation_reach_nobody(cluster: Cluster) -> None:
    """Though the new node has processes with the same numbers; and the connection is none the worse for it."""
    async with cluster.node(A) as a:
        trap_exit(True)
        async with cluster.node(B) as b:
            with a.current():
                assert await connect(B)
            earlier = [idle_on(b) for _ in range(5)]
        async with cluster.node(B) as b:
            with a.current():
                assert await connect(B)
            later = [idle_on(b) for _ in range(5)]
            assert [(pid.id, pid.serial) for pid in later] == [(pid.id, pid.serial) for pid in earlier]
            echo = await echo_of(b)
            with a.current():
                for pid in earlier:
                    send(pid, "hello")
                    send_exit(pid, Kill())
                    ref = monitor(pid)
                    assert await receive() == Down(ref, pid, NoProc())
                    link(pid)
                    assert await receive() == Exit(pid, NoProc())
                    link(pid)
                    unlink(pid)
                    with pytest.raises(NoProcess):
                        await Echo.say(ServerRef(pid, Echo), 1)
                assert await Echo.say(ServerRef(echo, Echo), 1) == 1
                assert flush() == []
            assert set(later) <= set(b.runtime.processes)
            assert connected(a) == [B]
            # Of one's own node, too.
            with b.current():
                for pid in earlier:
                    send(pid, "hello")
                    ref = monitor(pid)
                    assert await receive() == Down(ref, pid, NoProc())


async def test_outsiders_send_to_other_nodes_too(cluster: Cluster) -> None:
    """Code beside the processes, with a node lent to it."""

    async def outside(node: Node, to: Pid, then: Callable[[], None]) -> None:
        with node.current():
            send(to, "from outside")
            then()

    async with running(cluster.node(A), cluster.node(B)) as (a, b), anyio.create_task_group() as group:
        with b.current():
            home = self_pid()
        done = anyio.Event()
        group.start_soon(outside, a, home, done.set)
        await done.wait()
        with b.current():
            assert await receive() == "from outside"


async def test_a_process_can_be_addressed_from_a_third_node(cluster: Cluster) -> None:
    """A pid is worth the same wherever it was told."""
    async with running(cluster.node(A), cluster.node(B), cluster.node("c@localhost")) as (a, b, c):
        with c.current():
            home = self_pid()
        with b.current():
            mirror = spawn(send_back)
        with a.current():
            send(mirror, (home, "hello from afar"))
        with c.current():
            assert await receive() == "hello from afar"
            spawn(idle)
