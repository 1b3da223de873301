"""Requests to servers on other nodes, whose replies are waited for later or not at all."""

from __future__ import annotations

import anyio
import pytest

from regrow import (
    CallTimeout,
    Deferred,
    From,
    GenServer,
    Kill,
    Name,
    NoConnection,
    Node,
    NoProcess,
    NotPortable,
    RequestCollection,
    ServerExited,
    call,
    child,
    disconnect,
    gen_send_request,
    send_exit,
    spawn,
    start,
    this_request,
)
from regrow.testing import ManualClock
from tests.harness import row

from .kit import ECHO, Cluster, Echo, echo_on, running, until

A, B, NOBODY = "a@localhost", "b@localhost", "nobody@localhost"


class Desk(GenServer):
    """Answers when the test does."""

    def __init__(self) -> None:
        self.requests: list[From] = []
        self.open: list[Deferred[str]] = []

    @call
    async def ask(self, what: str) -> str | Deferred[str]:
        self.requests.append(this_request())
        self.open.append(Deferred[str]())
        return self.open[-1]


DESK = Name("desk", Desk)


async def desk_on(node: Node) -> Desk:
    with node.current():
        ref = await start(child(Desk).named("desk"))
    server = node.runtime.processes[ref.pid].server
    assert isinstance(server, Desk)
    return server


@row("GEN-055")
async def test_a_request_to_another_node_is_waited_for_later(cluster: Cluster) -> None:
    """Both forms; nothing is left of it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await echo_on(b)
        with a.current():
            requests = [Echo.say.send_request(ECHO.at(B), number) for number in range(10)]
            assert [await request.wait() for request in requests] == list(range(10))
            with pytest.raises(ServerExited):
                await gen_send_request(("echo", B), "hello").receive()
            assert not a.runtime.aliases
            assert not b.runtime.incoming


@row("GEN-055")
async def test_what_goes_wrong_on_the_way_is_raised_where_it_is_waited_for(cluster: Cluster) -> None:
    """Nobody there, no such node, a connection that is lost. Only what cannot travel is refused at once."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        desk = await desk_on(b)
        with a.current():
            with pytest.raises(NoProcess):
                await Echo.say.send_request(ECHO.at(B), 1).wait()
            with pytest.raises(ServerExited) as unreachable:
                await Echo.say.send_request(ECHO.at(NOBODY), 1).wait()
            assert unreachable.value.reason == NoConnection()
            with pytest.raises(NotPortable):
                Echo.say.send_request(ECHO.at(B), object())
            lost = Desk.ask.send_request(DESK.at(B), "x")
            await until(lambda: desk.requests)
            disconnect(B)
            with pytest.raises(ServerExited) as gone:
                await lost.wait()
            assert gone.value.reason == NoConnection()
            assert not a.runtime.aliases
        await until(lambda: desk.requests[0].expired)


@row("GEN-056")
async def test_a_request_whose_wait_ran_out_is_still_answered(cluster: Cluster) -> None:
    """And one that `receive` gave up is not: the server over there sees it, long before any deadline."""
    clock = ManualClock()
    async with running(cluster.node(A, clock=clock), cluster.node(B, clock=ManualClock())) as (a, b):
        desk = await desk_on(b)
        with a.current():
            requests = [Desk.ask.send_request(DESK.at(B), str(number)) for number in range(2)]
            await until(lambda: len(desk.requests) == 2)
            for request in requests:
                with pytest.raises(CallTimeout):
                    await request.wait(0.0)
            with pytest.raises(CallTimeout):
                await requests[0].receive(0.0)
            await until(lambda: desk.requests[0].expired)
            assert not desk.requests[1].expired
            for deferred in desk.open:
                deferred.set("reply")
            assert await requests[1].wait() == "reply"
            with pytest.raises(RuntimeError):
                await requests[0].wait()
            assert not a.runtime.aliases
            assert not b.runtime.incoming


@pytest.mark.parametrize("how", ["cancelled", "killed", "killed with a request under way"])
async def test_a_server_sees_that_its_caller_on_another_node_is_gone(cluster: Cluster, how: str) -> None:
    """Cancelled, or ended: it is told, though the connection stands and no time is up."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        desk = await desk_on(b)

        async def ask() -> None:
            if how == "killed with a request under way":
                Desk.ask.send_request(DESK.at(B), "x")
                await anyio.sleep_forever()
            await Desk.ask.with_timeout(None)(DESK.at(B), "x")

        with a.current():
            if how == "cancelled":
                async with anyio.create_task_group() as group:
                    group.start_soon(ask)
                    await until(lambda: desk.requests)
                    group.cancel_scope.cancel()
            else:
                asking = spawn(ask)
                await until(lambda: desk.requests)
                assert not desk.requests[0].expired
                send_exit(asking, Kill())
            await until(lambda: desk.requests[0].expired)
            assert not a.runtime.aliases
            assert not b.runtime.incoming


@row("GEN-057")
async def test_answers_of_several_nodes_come_in_the_order_of_their_arrival(cluster: Cluster) -> None:
    """Whoever is first."""
    names = [A, B, "c@localhost", "d@localhost"]
    async with running(*map(cluster.node, names)) as (a, *others):
        desks = {node.name: await desk_on(node) for node in others}
        with a.current():
            requests: RequestCollection[str, str] = RequestCollection()
            for name in names[1:]:
                requests.add(Desk.ask.send_request(DESK.at(name), "x"), name)
            await until(lambda: all(desk.requests for desk in desks.values()))
            for name in ("d@localhost", B, "c@localhost"):
                desks[name].open[0].set(f"reply of {name}")
                request, label = await requests.wait()
                assert (label, await request.wait()) == (name, f"reply of {name}")
