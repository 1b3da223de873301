"""`multi_call` and `abcast` on a node without others; with others, see the tests of clusters."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from regrow import (
    CallTimeout,
    GenServer,
    Kill,
    Name,
    Node,
    NoProcess,
    ServerExited,
    abcast,
    call,
    child,
    current_node,
    flush,
    multi_call,
    send_exit,
    start,
    start_link,
    stop,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Attempt, Counter, Gate, gates, settled

COUNTER = Name("counter", Counter)


@row("GEN-053", "GEN-054")
async def test_by_default_it_goes_to_the_own_node() -> None:
    """Of which there may be no other; in both forms."""
    async with Node():
        here = current_node().name
        ref = await start_link(child(Counter, 5).named("counter"))
        assert await Counter.add.multi_call(None, COUNTER, 1) == ([(here, 6)], {})
        assert await multi_call(None, "counter", "hello") == ([(here, ("hello", 6))], {})
        Counter.reset.abcast(None, COUNTER)
        assert await Counter.add(ref, 0) == 0
        assert abcast([here], "nobody", "hello") is None  # type: ignore[func-returns-value]
        Counter.reset.abcast([here], Name("nobody", Counter))


@row("GEN-053")
@pytest.mark.parametrize("nodes", ["a@localhost", ["a@localhost", "no name"], [1], 1])
async def test_what_are_no_names_of_nodes_is_refused(nodes: Any) -> None:
    """Before anything is sent, to those that are names too."""
    async with Node("a@localhost"):
        ref = await start_link(child(Counter, 5).named("counter"))
        for ask in (Counter.add.multi_call(nodes, COUNTER, 1), multi_call(nodes, "counter", "hello")):
            with pytest.raises((TypeError, ValueError)):
                await ask
        with pytest.raises((TypeError, ValueError)):
            abcast(nodes, "counter", "hello")
        with pytest.raises((TypeError, ValueError)):
            Counter.reset.abcast(nodes, COUNTER)
        assert await Counter.add(ref, 0) == 5


@row("GEN-053")
async def test_a_node_without_the_server_and_one_where_it_ends_are_bad() -> None:
    """Each with what a call would have raised."""
    async with Node(), anyio.create_task_group() as group:
        here = current_node().name
        found = await multi_call(None, "nobody", "hello")
        assert found.replies == []
        assert [(node, type(error)) for node, error in found.bad_nodes.items()] == [(here, NoProcess)]
        gate = await start(child(Gate).named("gate"))
        attempt = Attempt(group, Gate.enter.multi_call(None, Name("gate", Gate)))
        await gates(gate).arrived.wait()
        send_exit(gate, Kill())
        replies, bad_nodes = await attempt.result()
        assert (replies, [type(error) for error in bad_nodes.values()]) == ([], [ServerExited])


@row("GEN-053")
async def test_no_answer_in_time_makes_a_node_bad_and_a_late_one_is_dropped() -> None:
    """As that of any call."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        gate = await start_link(child(Gate).named("gate"))
        attempt = Attempt(group, Gate.enter.with_timeout(2.0).multi_call(None, Name("gate", Gate)))
        await gates(gate).arrived.wait()
        clock.advance(2.0)
        replies, bad_nodes = await attempt.result()
        assert (replies, [type(error) for error in bad_nodes.values()]) == ([], [CallTimeout])
        gates(gate).open.set()
        assert await Gate.count(gate) == 1
        assert flush() == []
        assert not node.runtime.processes[gate.pid].open_requests()
        with pytest.raises(ValueError, match="a timeout is None or seconds"):
            await multi_call(None, "gate", "hello", timeout=-1.0)


async def test_a_multi_call_that_is_cancelled_gives_its_requests_up() -> None:
    """All of them."""
    async with Node() as node:
        gate = await start_link(child(Gate).named("gate"))
        async with anyio.create_task_group() as group:
            Attempt(group, Gate.enter.with_timeout(None).multi_call(None, Name("gate", Gate)))
            await gates(gate).arrived.wait()
            group.cancel_scope.cancel()
        assert not node.runtime.processes[gate.pid].open_requests()
        gates(gate).open.set()


async def test_a_multi_call_within_a_deadline_waits_no_longer() -> None:
    """One for all; none is sent when the time is up."""
    clock = ManualClock()

    class Asking(GenServer):
        def __init__(self) -> None:
            self.go_on = anyio.Event()
            self.found: list[object] = []

        @call
        async def ask(self) -> None:
            await self.go_on.wait()
            try:
                bound = Gate.enter.with_timeout(None).within_deadline()
                self.found += (await bound.multi_call(None, Name("gate", Gate))).bad_nodes.values()
            except CallTimeout as error:
                self.found.append(error)

    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        gate = await start_link(child(Gate).named("gate"))
        for before_s, entered in ((1.0, 1), (3.0, 1)):
            ref = await start_link(Asking)
            server = node.runtime.processes[ref.pid].server
            assert isinstance(server, Asking)
            asking = Attempt(group, Asking.ask.with_timeout(3.0)(ref))
            await settled()
            clock.advance(before_s)
            await settled()
            server.go_on.set()
            await settled()
            clock.advance(3.0 - before_s)
            with pytest.raises(CallTimeout):
                await asking.result()
            await stop(ref)
            assert [type(error) for error in server.found] == [CallTimeout]
            assert gates(gate).entered == entered
        gates(gate).open.set()
