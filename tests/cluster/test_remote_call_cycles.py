"""Circles of calls across nodes: whoever closes one is told, and nobody is who is in none."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest

from regrow import (
    CallCycle,
    CallTimeout,
    Deferred,
    From,
    GenServer,
    Name,
    Node,
    Pid,
    Reference,
    ServerExited,
    call,
    cast,
    child,
    disconnect,
    gen_call,
    receive,
    self_pid,
    send,
    start,
    stop,
    this_request,
)
from regrow._pure.call_path import Hop
from regrow.messages import Request
from regrow.signals import Probe, Send
from regrow.testing import ManualClock

from .kit import ROUNDS, Cluster, MemoryCluster, Stranger, running, stranger, until

A, B, C = NODES = ("a@localhost", "b@localhost", "c@localhost")
Way = list[tuple[str, str]]  # whom to call next, by name and node, and so on


class Walker(GenServer):
    """Calls the next on the way, and says who was in the circle if that closed one."""

    def __init__(self) -> None:
        self.entered = 0
        self.requests: list[From] = []
        self.go_on = anyio.Event()
        self.go_on.set()
        self.open: list[Deferred[Any]] = []

    @call(timeout=None)
    async def walk(self, way: Way) -> Any:
        self.requests.append(this_request())
        return await self.go(way)

    @cast
    async def walk_soon(self, way: Way, home: Pid) -> None:
        send(home, ("walked", await self.go(way)))

    @call(timeout=None)
    async def later(self) -> Any:
        self.open.append(Deferred[Any]())
        return self.open[-1]

    async def handle_call(self, request: Any, from_: From) -> object:
        return await self.go(request, otp_form=True)

    async def go(self, way: Way, otp_form: bool = False) -> Any:
        self.entered += 1
        await self.go_on.wait()
        if not way:
            return "arrived"
        (name, node), *rest = way
        try:
            if name == "stop":
                await stop((rest[0][0], node))
                return "stopped"
            if name == "later":
                return await Walker.later(Name(rest[0][0], Walker).at(node))
            if name == "send":
                return await Walker.walk.send_request(Name(rest[0][0], Walker).at(node), rest[1:]).wait()
            if otp_form:
                return await gen_call((name, node), rest, None)
            return await Walker.walk(Name(name, Walker).at(node), rest)
        except CallCycle as error:
            return error.processes, str(error)
        except ServerExited:
            return "lost"


async def walker_on(node: Node, name: str) -> tuple[Pid, Walker]:
    with node.current():
        ref = await start(child(Walker).named(name))
    server = node.runtime.processes[ref.pid].server
    assert isinstance(server, Walker)
    return ref.pid, server


def to(name: str) -> Name[Walker]:
    """The walker x is on node x, as is x2."""
    return Name(name, Walker).at(f"{name[0]}@localhost")


def way(*names: str) -> Way:
    return [(name, f"{name[0]}@localhost") for name in names]


def quiet(*nodes: Node) -> bool:
    """Whether nobody waits for anything between the nodes."""
    return not any(node.runtime.aliases or node.runtime.incoming for node in nodes)


@pytest.mark.parametrize("otp_form", [False, True])
async def test_a_circle_over_two_nodes_is_told_to_who_closed_it(cluster: Cluster, otp_form: bool) -> None:
    """With the names of both, in both forms; the others go on."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid_a, _ = await walker_on(a, "a")
        pid_b, _ = await walker_on(b, "b")
        with a.current():
            if otp_form:
                processes, text = await gen_call(("a", A), way("b", "a"), None)
            else:
                processes, text = await Walker.walk(to("a"), way("b", "a"))
            assert processes == (pid_b, pid_a)
            assert text == f"a cycle of calls: b {pid_b} -> a {pid_a} -> b {pid_b}"
            assert await Walker.walk(to("a"), way("b")) == "arrived"
        await until(lambda: quiet(a, b))


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "c"],  # one on each node
        ["a", "a2", "b"],  # two of them on one
        ["a", "b", "a2", "c", "b2"],  # back and forth
        ["a", "b", "b2", "a2", "c", "c2"],
    ],
)
async def test_a_circle_may_go_over_many_nodes_and_stay_on_one_for_a_while(cluster: Cluster, names: list[str]) -> None:
    """All are named, in the order in which they call each other, wherever it began."""
    async with running(*map(cluster.node, NODES)) as nodes:
        by_name = dict(zip(NODES, nodes, strict=True))
        pids = {name: (await walker_on(by_name[f"{name[0]}@localhost"], name))[0] for name in names}
        for turn in range(len(names)):
            ring = [*names[turn:], *names[:turn]]
            with nodes[0].current():
                processes, text = await Walker.walk(to(ring[0]), way(*ring[1:], ring[0]))
            expected = [pids[name] for name in (ring[-1], *ring[:-1])]
            assert list(processes) == expected
            assert all(f"{name} {pids[name]}" in text for name in names)
        await until(lambda: quiet(*nodes))


@pytest.mark.parametrize("first", [[], ["send"]], ids=["calls", "requests"])
async def test_two_that_call_each_other_at_the_same_moment_both_go_on(cluster: Cluster, first: list[str]) -> None:
    """Without a timeout: one of them is told, or both are. Also if the requests are sent first, then waited for."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await walker_on(a, "a")
        await walker_on(b, "b")
        for _ in range(ROUNDS):
            with a.current():
                Walker.walk_soon(to("a"), [*((verb, B) for verb in first), *way("b")], self_pid())
                home = self_pid()
            with b.current():
                Walker.walk_soon(to("b"), [*((verb, A) for verb in first), *way("a")], home)
            with a.current():
                outcomes = [(await receive(tuple, timeout=10.0))[1] for _ in range(2)]
            assert [outcome for outcome in outcomes if outcome != "arrived"]
        await until(lambda: quiet(a, b))


async def test_who_has_given_up_waits_no_more(cluster: Cluster) -> None:
    """Its time was up, though the server over there does not know: it can be called."""
    clock = ManualClock()
    async with running(cluster.node(A, clock=clock), cluster.node(B)) as (a, b):
        await walker_on(a, "a")
        _, server_b = await walker_on(b, "b")
        server_b.go_on = anyio.Event()

        class Impatient(GenServer):
            @cast
            async def ask(self) -> None:
                try:
                    await Walker.walk.with_timeout(3.0)(to("b"), [("impatient", A)])
                except CallTimeout:
                    timed_out.set()

            async def handle_call(self, request: object, from_: From) -> str:
                return "called"

        timed_out = anyio.Event()
        with a.current():
            impatient = await start(child(Impatient).named("impatient"))
            Impatient.ask(impatient)
            await until(lambda: server_b.entered)
            clock.advance(3.0)
            await timed_out.wait()
        with b.current():
            server_b.go_on.set()
            assert await gen_call(("impatient", A), "hello", None) == "called"
        await until(lambda: quiet(a, b))


async def test_a_reply_put_off_holds_nobody_up(cluster: Cluster) -> None:
    """Whoever put it off may call who waits for it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await walker_on(a, "a")
        _, server_b = await walker_on(b, "b")
        with a.current():
            Walker.walk_soon(to("a"), [("later", B), ("b", B)], self_pid())
            home = self_pid()
            await until(lambda: server_b.open)
        with b.current():
            Walker.walk_soon(to("b"), way("a"), home)
        await until(lambda: a.runtime.incoming)
        server_b.open[0].set("reply")
        with a.current():
            assert sorted([(await receive(tuple))[1] for _ in range(2)]) == ["arrived", "reply"]


async def test_to_stop_who_waits_for_the_stopper_is_a_circle(cluster: Cluster) -> None:
    """It would stop only after its own call."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid_a, server_a = await walker_on(a, "a")
        pid_b, _ = await walker_on(b, "b")
        server_a.go_on = anyio.Event()
        with a.current():
            Walker.walk_soon(to("a"), [("stop", B), ("b", B)], self_pid())
            home = self_pid()
            await until(lambda: server_a.entered)
        with b.current():
            Walker.walk_soon(to("b"), way("a"), home)
        await until(lambda: a.runtime.incoming)
        server_a.go_on.set()
        with a.current():
            outcomes = [(await receive(tuple))[1] for _ in range(2)]
            assert "arrived" in outcomes
            assert ((pid_a, pid_b), f"a cycle of calls: a {pid_a} -> b {pid_b} -> a {pid_a}") in outcomes


async def test_the_request_that_closed_a_circle_is_given_up(cluster: Cluster) -> None:
    """Its server sees that nobody waits, when it gets to it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        _, server_a = await walker_on(a, "a")
        await walker_on(b, "b")
        with a.current():
            assert len(await Walker.walk(to("a"), way("b", "a"))) == 2
            assert await Walker.walk(to("a"), []) == "arrived"
        first, closing, _ = server_a.requests
        assert (first.expired, closing.expired) == (True, True)
        assert closing.caller != first.caller


async def test_a_request_sent_before_closes_a_circle_once_it_is_waited_for(cluster: Cluster) -> None:
    """It has long arrived by then."""

    class Sending(GenServer):
        @call(timeout=None)
        async def send_and_wait(self) -> tuple[Pid, ...]:
            request = Walker.walk.send_request(to("a"), [])
            await until(lambda: a.runtime.incoming)
            try:
                await request.wait()
            except CallCycle as error:
                return error.processes
            return ()

    class Asking(GenServer):
        @call(timeout=None)
        async def ask(self) -> tuple[Pid, ...]:
            return await Sending.send_and_wait(Name("sending", Sending).at(B))

        async def handle_call(self, request: object, from_: From) -> str:
            return "handled"

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            sending = await start(child(Sending).named("sending"))
        with a.current():
            asking = await start(child(Asking).named("a"))
            assert await Asking.ask(asking) == (sending.pid, asking.pid)


async def test_a_lost_connection_ends_the_waits_over_it(cluster: Cluster) -> None:
    """Who waited can be called by the one that it had called, and that still works for it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await walker_on(a, "a")
        _, server_b = await walker_on(b, "b")
        server_b.go_on = anyio.Event()
        with a.current():
            Walker.walk_soon(to("a"), way("b", "a"), self_pid())
            await until(lambda: server_b.requests)
            disconnect(B)
            assert await receive(tuple) == ("walked", "lost")
        await until(lambda: server_b.requests[0].expired)
        server_b.go_on.set()
        with b.current():
            assert await Walker.walk(to("b"), way("a")) == "arrived"


# -- what peers may say


async def test_a_look_that_comes_too_late_finds_nothing(memory: MemoryCluster) -> None:
    """The wait that it would go on with is over, is another, or its request is none of this process."""
    async with running(memory.node(A), memory.node(B)) as (a, b), stranger(memory, a) as odd:
        pid, server = await walker_on(a, "a")
        _, server_b = await walker_on(b, "b")
        server_b.go_on = anyio.Event()
        with a.current():
            Walker.walk_soon(to("a"), way("b"), self_pid())
        await until(lambda: server_b.entered)
        process = a.runtime.processes[pid]
        assert process.waits_for is not None
        assert process.waits_for.reference is not None
        stale = Hop(odd.pid, ref_of(odd, 1), "odd")
        for path in ((stale,), (Hop(pid, process.waits_for.reference, "a"), stale), (stale,) * 5):
            for target in (pid, "a", "nobody"):
                await odd.say(Probe(target, path))
        await odd.say(Send(odd.pid, "a", Request(ref_of(odd, 2), "walk", ([],), {}, None, True)))
        await until(lambda: a.runtime.incoming)
        await odd.say(Probe("a", (Hop(pid, process.waits_for.reference, "a"), Hop(odd.pid, ref_of(odd, 2), "odd"))))
        await odd.say(Send(odd.pid, pid, "the last"))
        await until(lambda: len(process.mailbox.queue) == 2)
        assert process.waits_for.is_open
        server_b.go_on.set()
        with a.current():
            assert (await receive(tuple))[1] == "arrived"
            assert await Walker.walk(to("a"), []) == "arrived"
        assert server.entered == 3


def ref_of(odd: Stranger, number: int) -> Reference:
    return Reference(odd.pid.node, odd.pid.creation, (number, 0, 0))


# -- at random


@pytest.mark.parametrize("seed", range(3))
async def test_random_walks_over_three_nodes_all_end(cluster: Cluster, seed: int) -> None:
    """Dozens at once, without a timeout, and in circles of every make."""
    chance = random.Random(seed)
    names = [f"{node}{number}" for node in "abc" for number in range(2)]
    async with running(*map(cluster.node, NODES)) as nodes:
        by_name = dict(zip(NODES, nodes, strict=True))
        for name in names:
            await walker_on(by_name[f"{name[0]}@localhost"], name)
        with nodes[0].current():
            for _ in range(100):
                walk = [chance.choice(names)]
                while len(walk) < chance.randint(2, 5):
                    walk.append(chance.choice([name for name in names if name != walk[-1]]))
                Walker.walk_soon(to(walk[0]), way(*walk[1:]), self_pid())
            with anyio.fail_after(30.0):
                outcomes = [(await receive(tuple))[1] for _ in range(100)]
            assert [outcome for outcome in outcomes if outcome != "arrived"], "there were circles to find"
        await until(lambda: quiet(*nodes))


@pytest.mark.parametrize("seed", range(3))
async def test_walks_that_all_go_one_way_never_meet_a_circle(cluster: Cluster, seed: int) -> None:
    """However many there are, back and forth between the nodes."""
    chance = random.Random(seed)
    names = [f"{node}{number}" for number in range(2) for node in "abc"]
    async with running(*map(cluster.node, NODES)) as nodes:
        by_name = dict(zip(NODES, nodes, strict=True))
        for name in names:
            await walker_on(by_name[f"{name[0]}@localhost"], name)
        with nodes[0].current():
            for _ in range(100):
                first, *rest = sorted(chance.sample(names, chance.randint(2, 5)), key=names.index)
                Walker.walk_soon(to(first), way(*rest), self_pid())
            assert [(await receive(tuple))[1] for _ in range(100)] == ["arrived"] * 100
