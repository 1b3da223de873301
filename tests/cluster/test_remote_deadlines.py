"""Deadlines cross nodes: what is left of a caller's time travels with its request, whatever their clocks show."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from regrow import (
    CallTimeout,
    Deferred,
    From,
    GenServer,
    Name,
    Node,
    call,
    child,
    gen_call,
    start,
    this_request,
    time_left,
)
from regrow.runtime import Process
from regrow.testing import ManualClock

from .kit import Cluster, running, until

A, B = "a@localhost", "b@localhost"


class Watchful(GenServer):
    """Looks at its caller before and after it waits for the test; may ask another one in between."""

    def __init__(self, then: Name[Watchful] | None = None) -> None:
        self.then = then
        self.seen: list[object] = []
        self.go_on = anyio.Event()
        self.over = anyio.Event()

    async def look(self, request: From) -> str:
        self.seen += [request.expired, time_left()]
        await self.go_on.wait()
        if self.then is not None:
            try:
                await Watchful.typed.within_deadline()(self.then)
            except CallTimeout as error:
                self.seen.append(str(error))
        self.seen += [request.expired, time_left()]
        self.over.set()
        return "done"

    @call
    async def typed(self) -> str:
        return await self.look(this_request())

    async def handle_call(self, request: object, from_: From) -> object:
        return await self.look(from_)

    @call
    async def later(self) -> str | Deferred[str]:
        self.seen.append("later")
        return Deferred[str]()


class Frugal(Watchful):
    drop_expired = True


WATCHFUL = Name("watchful", Watchful)


async def watchful_on(
    node: Node, kind: type[Watchful] = Watchful, then: Name[Watchful] | None = None
) -> tuple[Process, Watchful]:
    """One on the node, under its name."""
    with node.current():
        ref = await start(child(kind, then).named("watchful"))
    process = node.runtime.processes[ref.pid]
    assert isinstance(process.server, Watchful)
    return process, process.server


async def note(outcomes: list[str], asking: Coroutine[Any, Any, object]) -> None:
    try:
        outcomes.append(str(await asking))
    except CallTimeout as error:
        outcomes.append(str(error))


def typed() -> Coroutine[Any, Any, object]:
    return Watchful.typed.with_timeout(3.0)(WATCHFUL.at(B))


def otp_form() -> Coroutine[Any, Any, object]:
    return gen_call(WATCHFUL.at(B), "look", 3.0)


@pytest.mark.parametrize("form", [typed, otp_form])
async def test_a_server_sees_that_a_caller_on_another_node_has_given_up(
    cluster: Cluster, form: Callable[[], Coroutine[Any, Any, object]]
) -> None:
    """By its own clock, which may show anything; the caller's time ends by the caller's clock alone."""
    near, far = ManualClock(), ManualClock(1_000_000.0)
    outcomes: list[str] = []
    async with running(cluster.node(A, clock=near), cluster.node(B, clock=far)) as (a, b):
        process, server = await watchful_on(b)
        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(note, outcomes, form())
                await until(lambda: server.seen)
                far.advance(3.0)
                await until(lambda: not process.open_requests())
                server.go_on.set()
                await server.over.wait()
                assert server.seen == [False, 3.0, True, 0.0]
                assert outcomes == []
                near.advance(3.0)
        assert [outcome for outcome in outcomes if "within 3.0 s" in outcome] == outcomes != []


async def test_what_is_left_of_the_time_crosses_as_many_nodes_as_the_call_does(cluster: Cluster) -> None:
    """From each to the next."""
    clocks = [ManualClock(start) for start in (0.0, 100.0, 20_000.0)]
    names = (A, B, "c@localhost")
    outcomes: list[str] = []
    async with running(*(cluster.node(name, clock=clock) for name, clock in zip(names, clocks, strict=True))) as found:
        a, b, c = found
        _, first = await watchful_on(b, then=WATCHFUL.at(c.name))
        _, second = await watchful_on(c)
        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(note, outcomes, Watchful.typed.with_timeout(3.0)(WATCHFUL.at(B)))
                await until(lambda: first.seen)
                clocks[1].advance(1.0)
                first.go_on.set()
                await until(lambda: second.seen)
                clocks[1].advance(2.0)
                await first.over.wait()
                second.go_on.set()
                await second.over.wait()
                clocks[0].advance(3.0)
        assert first.seen == [False, 3.0, "no reply from typed() within 2.0 s", True, 0.0]
        assert second.seen == [False, 2.0, False, 2.0]


@pytest.mark.parametrize(("kind", "looked"), [(Watchful, 2), (Frugal, 1)])
async def test_the_call_of_who_has_gone_may_be_dropped(cluster: Cluster, kind: type[Watchful], looked: int) -> None:
    """As one of the own node."""
    far = ManualClock()
    outcomes: list[str] = []
    async with running(cluster.node(A, clock=ManualClock()), cluster.node(B, clock=far)) as (a, b):
        process, server = await watchful_on(b, kind)
        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(note, outcomes, Watchful.typed.with_timeout(None)(WATCHFUL.at(B)))
                await until(lambda: server.seen)
                group.start_soon(note, outcomes, Watchful.typed.with_timeout(1.0)(WATCHFUL.at(B)))
                await until(lambda: len(process.open_requests()) == 2)
                far.advance(1.0)
                await until(lambda: len(process.open_requests()) == 1)
                server.go_on.set()
                await until(lambda: outcomes)
                server.over = anyio.Event()
                assert await Watchful.typed(WATCHFUL.at(B)) == "done"
                assert len(server.seen) == 4 * (looked + 1)
                group.cancel_scope.cancel()


async def test_a_reply_put_off_is_not_kept_for_who_has_gone(cluster: Cluster) -> None:
    """However many such callers there are, nothing of them is left."""
    far = ManualClock()
    outcomes: list[str] = []
    async with running(cluster.node(A), cluster.node(B, clock=far)) as (a, b):
        process, server = await watchful_on(b)
        with a.current():
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(note, outcomes, Watchful.later.with_timeout(5.0)(WATCHFUL.at(B)))
                await until(lambda: len(server.seen) == 10)
                assert len(process.open_requests()) == 10
                far.advance(5.0)
                await until(lambda: not process.open_requests())
                group.cancel_scope.cancel()
