"""Global names on connected nodes: who has one, who knows it when, and what is left of it when its holder goes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from regrow import (
    AlreadyStarted,
    Custom,
    Down,
    Global,
    Kill,
    Killed,
    Node,
    NodeDown,
    NoProcess,
    Pid,
    Reason,
    ServerRef,
    StartTimeout,
    Supervisor,
    child,
    connect,
    gen_cast,
    global_name,
    monitor,
    monitor_nodes,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    stop,
    whereis,
)
from regrow._pure.global_names import Entry, Meet, Put
from regrow.testing import ManualClock
from regrow.wire import Tell
from tests.harness import row
from tests.local.gen_server_kit import Attempt

from .kit import Cluster, Echo, MemoryCluster, connected, halt, idle, idle_on, running, stranger, until, warnings

A, B, C = "a@localhost", "b@localhost", "c@localhost"
ECHO = Global("echo", Echo)


async def register_on(node: Node, name: str, **options: Any) -> Pid:
    """A new process of the node that has the name."""
    with node.current():
        pid = spawn(idle)
        assert await global_name.register(name, pid, **options)
    return pid


def seen_from(*nodes: Node, name: str = "x") -> list[Pid | None]:
    """Who has the name, on each of these nodes."""
    found: list[Pid | None] = []
    for node in nodes:
        with node.current():
            found.append(global_name.whereis(name))
    return found


# -- registering


@row("GLB-005", "REG-011")
async def test_a_registered_name_is_known_everywhere_when_the_registration_returns(cluster: Cluster) -> None:
    """Whoever hears of it may use it at once: from each node by `send`, `whereis` and as an address."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes:
        for number, node in enumerate(nodes):
            name = f"name {number}"
            with node.current():
                ref = await start(Echo)
                assert await global_name.register(name, ref)
            assert seen_from(*nodes, name=name) == [ref.pid] * 3
            for other in nodes:
                with other.current():
                    assert whereis(Global(name, Echo)) == ref.pid
                    assert global_name.send(name, "a message") == ref.pid
                    assert await Echo.say(Global(name, Echo), "hello") == "hello"
        for node in nodes:
            with node.current():
                assert sorted(global_name.registered()) == ["name 0", "name 1", "name 2"]


@row("GLB-005", "GEN-021", "GEN-030")
async def test_a_name_that_nobody_has_is_nobody_on_every_node(cluster: Cluster) -> None:
    """A cast vanishes, a monitor tells it, everything else raises."""
    async with running(cluster.node(A), cluster.node(B)) as (a, _):
        with a.current():
            with pytest.raises(NoProcess):
                global_name.send("echo", "hello")
            with pytest.raises(NoProcess):
                send(ECHO, "hello")
            with pytest.raises(NoProcess):
                await Echo.say(ECHO, "hello")
            with pytest.raises(NoProcess):
                await stop(ECHO)
            Echo.hear(ECHO, "nothing")
            gen_cast(ECHO, "nothing")
            ref = monitor(ECHO)
            down = await receive(Down)
            assert (down.ref, down.item) == (ref, ECHO)


async def test_of_several_that_register_at_the_same_time_one_gets_the_name(cluster: Cluster) -> None:
    """The others hear so; all nodes agree; twenty rounds."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes, anyio.create_task_group() as group:
        for number in range(20):
            name, attempts = f"name {number}", list[tuple[Pid, Attempt]]()
            for node in nodes:
                with node.current():
                    pid = spawn(idle)
                    attempts.append((pid, Attempt(group, global_name.register(name, pid))))
            won = [pid for pid, attempt in attempts if await attempt.result()]
            assert len(won) == 1
            assert seen_from(*nodes, name=name) == won * 3


@row("GEN-010")
async def test_a_second_start_anywhere_meets_the_holder(cluster: Cluster) -> None:
    """Whether the name is known when it starts, or the other is starting at the same time."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b), anyio.create_task_group() as group:
        with a.current():
            ref = await start(child(Echo).named(ECHO))
        with b.current():
            with pytest.raises(AlreadyStarted) as caught:
                await start(child(Echo).named(ECHO))
            assert caught.value.pid == ref.pid
            assert await Echo.say(ECHO, "still here") == "still here"
            await stop(ECHO)
        assert seen_from(a, b, name="echo") == [None, None]
        attempts: list[Attempt] = []
        for node in (a, b):
            with node.current():
                attempts.append(Attempt(group, start(child(Echo).named(ECHO))))
        outcomes: list[ServerRef[Echo] | AlreadyStarted] = []
        for attempt in attempts:
            try:
                outcomes.append(await attempt.result())
            except AlreadyStarted as error:
                outcomes.append(error)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyStarted", "ServerRef"]
        assert len({outcome.pid for outcome in outcomes}) == 1


@row("GLB-002")
async def test_a_process_has_one_global_name_unless_it_is_allowed_several(cluster: Cluster) -> None:
    """Also where it is registered from another node."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = await register_on(a, "first")
        for node in (a, b):
            with node.current():
                assert not await global_name.register("second", pid)
                assert not await global_name.register("first", pid), "it has that already"
                assert not await global_name.re_register("second", pid)
                assert await global_name.re_register("first", pid)
        with b.current():
            assert await global_name.register("second", pid, several=True)
            assert sorted(global_name.registered()) == ["first", "second"]
        with a.current():
            ref = monitor(pid)
            send_exit(pid, Kill())
            assert (await receive(Down)).ref == ref
            assert global_name.registered() == []


async def test_a_process_of_another_node_can_be_registered(cluster: Cluster) -> None:
    """Its own node does it; it is known everywhere just the same."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes:
        a, b, c = nodes
        pid = idle_on(b)
        with a.current():
            assert await global_name.register("x", pid)
            assert seen_from(*nodes) == [pid] * 3
            assert not await global_name.register("x", idle_on(c))
        with c.current():
            assert await global_name.unregister("x")
            assert seen_from(*nodes) == [None] * 3
            assert not await global_name.unregister("x")
            send_exit(pid, Kill())
            assert not await global_name.register("x", pid)
        with a.current(), pytest.raises(NoProcess):
            await global_name.register("x", Pid(A, 999, 0, a.runtime.creation))


@row("GLB-004")
async def test_a_name_is_registered_anew_in_place_of_its_holder(cluster: Cluster) -> None:
    """On all nodes; the old holder is not harmed, may end without harm to the name, and may have another."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes:
        a, b, c = nodes
        old, new = await register_on(a, "x"), idle_on(b)
        with c.current():
            assert await global_name.re_register("x", new)
            assert seen_from(*nodes) == [new] * 3
            await until(lambda: a.runtime.processes[old].held == ())
            assert await global_name.register("y", old)
            ref = monitor(old)
            send_exit(old, Kill())
            assert (await receive(Down)).ref == ref
            assert await global_name.re_register("free", idle_on(a))
        assert seen_from(*nodes) == [new] * 3


async def test_of_several_that_register_anew_at_the_same_time_all_do_one_after_the_other(cluster: Cluster) -> None:
    """Each returns when it had the name; the last one keeps it."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes, anyio.create_task_group() as group:
        await register_on(nodes[0], "x")
        for _ in range(10):
            attempts: list[tuple[Pid, Attempt]] = []
            for node in nodes:
                with node.current():
                    pid = spawn(idle)
                    attempts.append((pid, Attempt(group, global_name.re_register("x", pid))))
            assert all([await attempt.result() for _, attempt in attempts])
            await until(lambda: len(set(seen_from(*nodes))) == 1)
            assert set(seen_from(*nodes)) <= {pid for pid, _ in attempts}


# -- the end of a holder


@row("GLB-003", "PRC-015")
async def test_a_name_goes_with_its_holder_before_anybody_hears_of_that(cluster: Cluster) -> None:
    """On each node: whoever gets the `Down` may register the name again."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as nodes:
        a, b, c = nodes
        for _ in range(20):
            pid = await register_on(a, "x")
            with b.current():
                ref = monitor(Global("x", Echo))
                send_exit(Global("x", Echo), Kill())
                assert await receive() == Down(ref, pid, Killed())
                assert seen_from(a, b) == [None, None]
            again = await register_on(b, "x")
            assert seen_from(*nodes) == [again] * 3
            with c.current():
                assert await global_name.unregister("x")


@row("GLB-003", "GLB-011")
async def test_the_names_of_a_lost_node_go_with_it(memory: MemoryCluster) -> None:
    """Those of others stay; the name is free when `NodeDown` arrives."""
    async with running(memory.node(A), memory.node(B), memory.node(C)) as nodes:
        a, b, c = nodes
        await register_on(a, "x")
        other = await register_on(b, "y")
        with c.current():
            monitor_nodes()
            halt(a)
            assert (await receive(NodeDown)).node == A
            assert seen_from(c) == [None]
            assert seen_from(c, name="y") == [other]
            again = spawn(idle)
            assert await global_name.register("x", again)
        assert seen_from(b, c) == [again] * 2


@row("SUP-059")
@pytest.mark.parametrize("reason", [Kill(), Custom("told to")], ids=str)
async def test_a_supervised_holder_comes_back_under_its_name_at_once(cluster: Cluster, reason: Reason) -> None:
    """Though other nodes have to hear of each step; seen from one of them."""

    class Keeper(Supervisor):
        intensity = 100

        def init(self) -> Any:
            return [child(Echo).named(ECHO)]

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            keeper = await start(child(Keeper).named(Global("keeper", Keeper)))
        with b.current():
            for _ in range(20):
                old = whereis(ECHO)
                ref = monitor(ECHO)
                send_exit(ECHO, reason)
                assert (await receive(Down)).ref == ref
                await until(lambda old=old: seen_from(b, name="echo") not in ([old], [None]))
                assert await Echo.say(ECHO, "back") == "back"
        assert list(a.runtime.reports.crashes) == []
        assert keeper.pid == seen_from(b, name="keeper")[0]


# -- silent and dead nodes


async def test_a_silent_node_holds_up_a_registration_only_while_it_is_connected(memory: MemoryCluster) -> None:
    """No longer than its connection lives; those who do not silence hear of it all the while."""
    clock = ManualClock()
    nodes = [memory.node(name, clock=clock, net_tick_time=8.0) for name in (A, B, C)]
    async with running(*nodes) as (a, _, c), anyio.create_task_group() as group:
        memory.network.stall(A, B)
        memory.network.stall(C, B)
        with a.current():
            pid = spawn(idle)
            attempt = Attempt(group, global_name.register("x", pid))
        await anyio.wait_all_tasks_blocked()
        assert not attempt.over
        with c.current():
            assert not await global_name.register("x", spawn(idle)), "it is claimed already"
        while connected(a) != [C]:
            clock.advance(2.0)
            await anyio.wait_all_tasks_blocked()
        assert await attempt.result()
        await until(lambda: seen_from(a, c) == [pid, pid])
        memory.network.heal(A, B)
        memory.network.heal(C, B)


async def test_a_start_that_is_given_up_while_it_claims_its_name_leaves_nothing(memory: MemoryCluster) -> None:
    """Neither the name nor the claim; and the start of another goes through."""
    clock = ManualClock()
    async with running(memory.node(A, clock=clock), memory.node(B)) as (a, b), anyio.create_task_group() as group:
        memory.network.stall(A, B)
        with a.current():
            attempt = Attempt(group, start(child(Echo).named(ECHO).with_(start_timeout=2.0)))
            await anyio.wait_all_tasks_blocked()
            clock.advance(2.0)
            with pytest.raises(StartTimeout):
                await attempt.result()
            assert await scoped_out("given up")
        memory.network.heal(A, B)
        with b.current():
            await global_name.sync()  # what was said before the silence ended has arrived by then
            await start(child(Echo).named(ECHO))
            assert await global_name.register("given up", self_pid())


async def scoped_out(name: str) -> bool:
    """A registration that its caller does not wait for."""
    with anyio.move_on_after(0.01) as scope:
        await global_name.register(name, spawn(idle))
    return scope.cancelled_caught


# -- joining


@row("GLB-006")
async def test_a_node_that_joins_learns_all_names(cluster: Cluster) -> None:
    """Those of each node, from that node; `sync` returns when that is so."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        x, y = await register_on(a, "x"), await register_on(b, "y")
        async with cluster.node(C) as c:
            z = await register_on(c, "z")
            with c.current():
                assert await connect(A)
                await global_name.sync()
                assert sorted(connected(c)) == [A, B]
            assert seen_from(a, b, c) == [x] * 3
            assert seen_from(a, b, c, name="y") == [y] * 3
            assert seen_from(a, b, c, name="z") == [z] * 3


@row("GLB-015")
async def test_thirty_nodes_that_start_together_know_all_names_when_sync_returns(memory: MemoryCluster) -> None:
    """Each registers a name and connects with one other; the rest they find out."""
    names = [f"n{number}@localhost" for number in range(30)]

    async def come(node: Node, other: str) -> None:
        with node.current():
            assert await global_name.register(node.name, spawn(idle))
            assert await connect(other)
            await global_name.sync()

    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(memory.node(name)) for name in names]
        async with anyio.create_task_group() as group:
            for node, other in zip(nodes, [names[-1], *names], strict=False):
                group.start_soon(come, node, other)
        for node in nodes:
            with node.current():
                await global_name.sync()
                assert sorted(global_name.registered()) == sorted(names)


# -- nonsense


@row("GLB-013")
async def test_nonsense_is_refused_and_harms_nothing(cluster: Cluster) -> None:
    """By the verb that was given it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            for name in ("", 5, None, ("x",)):
                for verb in (global_name.register, global_name.re_register):
                    with pytest.raises(ValueError, match="non-empty string"):
                        await verb(name, self_pid())  # type: ignore[arg-type]
                with pytest.raises(ValueError, match="non-empty string"):
                    await global_name.unregister(name)  # type: ignore[arg-type]
                for sync_verb in (global_name.whereis, lambda name: global_name.send(name, "hello")):
                    with pytest.raises(ValueError, match="non-empty string"):
                        sync_verb(name)  # type: ignore[no-untyped-call, arg-type]
                with pytest.raises(ValueError, match="non-empty string"):
                    Global(name, Echo)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="'me'"):
                await global_name.register("x", "me")  # type: ignore[arg-type]
            assert await global_name.register("x", self_pid())
        assert seen_from(a, b) == [a.runtime.body.pid] * 2  # type: ignore[union-attr]


@pytest.mark.parametrize("speaks_for", ["another node", "a node by its stamp", "nobody"])
async def test_a_peer_that_speaks_for_others_is_hung_up_on(
    cluster: Cluster, speaks_for: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The owner alone says what it has; nobody's name is harmed."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = await register_on(b, "x")
        async with stranger(cluster, a) as odd:
            entries = {
                "another node": Put(Entry("x", pid, (1, B), settled=True)),
                "a node by its stamp": Meet((Entry("x", odd.pid, (1, B), settled=True),)),
                "nobody": "hello",
            }
            await odd.say(Tell("global_name", entries[speaks_for]))
            await odd.hung_up_on()
        await until(lambda: connected(a) == [B])
        assert seen_from(a, b) == [pid, pid]
        assert len(warnings(caplog, "closed: it sent a bad frame")) == 1
