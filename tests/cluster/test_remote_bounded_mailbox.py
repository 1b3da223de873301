"""Full mailboxes of processes on other nodes: the sender is answered, or waits, as if they were on its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from regrow import (
    Bounded,
    CallTimeout,
    Custom,
    Deferred,
    GenServer,
    MailboxFull,
    Name,
    NoConnection,
    Node,
    NoProcess,
    NotPortable,
    RemoteError,
    ServerExited,
    call,
    cast,
    child,
    disconnect,
    gen_call,
    gen_send_request,
    send,
    send_wait,
    spawn,
    start,
)
from regrow._pure.bounds import OnFullWord
from regrow.runtime import Process
from regrow.testing import ManualClock
from tests.local.portable_kit import Coin

from .kit import Cluster, running, until

A, B = "a@localhost", "b@localhost"


class Box(GenServer):
    """Keeps what it is given, and stands still while its gate is closed."""

    def __init__(self) -> None:
        self.held: list[object] = []
        self.gate = anyio.Event()

    @cast
    async def stand_still(self) -> None:
        await self.gate.wait()

    @call
    async def put(self, what: object) -> str | Deferred[str]:
        self.held.append(what)
        return "kept"

    async def handle_call(self, request: object, from_: object) -> object:
        self.held.append(request)
        return "kept"

    async def handle_info(self, message: object) -> None:
        self.held.append(message)


BOX = Name("box", Box).at(B)


async def full_on(node: Node, on_full: OnFullWord = "fail") -> tuple[Process, Box]:
    """One that handles nothing until its gate opens, with a full mailbox."""
    with node.current():
        ref = await start(child(Box).named("box").with_(mailbox=Bounded(1, on_full=on_full)))
        Box.stand_still(ref)
        process = node.runtime.processes[ref.pid]
        await until(lambda: not process.mailbox.queue)
        send(ref, "first")
    assert isinstance(process.server, Box)
    return process, process.server


async def typed() -> object:
    return await Box.put(BOX, "awaited")


async def in_otp_form() -> object:
    return await gen_call(BOX, "awaited")


async def requested() -> object:
    return await gen_send_request(BOX, "awaited").receive(5.0)


async def sent() -> object:
    return await send_wait(BOX, "awaited")


Way = Callable[[], Coroutine[Any, Any, object]]
ways = pytest.mark.parametrize("way", [typed, in_otp_form, requested, sent])


@ways
async def test_what_is_awaited_from_another_node_fails_at_once(cluster: Cluster, way: Way) -> None:
    """Answered by the node of the full mailbox, with the process it belongs to."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        process, box = await full_on(b)
        with a.current():
            with pytest.raises(MailboxFull, match="is full") as caught:
                await way()
            assert (caught.value.reason, caught.value.pid) == (Custom("mailbox_full"), process.pid)
            assert not process.open_requests()
            box.gate.set()
            await until(lambda: box.held)
            await way()
            await until(lambda: len(box.held) == 2)
        assert box.held == ["first", "awaited"]


@ways
async def test_what_is_awaited_from_another_node_waits_for_room_over_there(cluster: Cluster, way: Way) -> None:
    """It stands in the line of that mailbox."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        process, box = await full_on(b, "wait")
        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(way)
                await until(lambda: process.open_requests())
                assert list(process.mailbox.queue) == ["first"]
                box.gate.set()
        await until(lambda: len(box.held) == 2)
        assert box.held == ["first", "awaited"]


@pytest.mark.parametrize("way", [typed, in_otp_form, sent])
async def test_who_waits_for_room_on_another_node_waits_no_longer_than_its_time(cluster: Cluster, way: Way) -> None:
    """By its own clock; where its time is up by that of the other node too, what it waited for is never put in."""
    near, far = ManualClock(), ManualClock()
    errors: list[Exception] = []

    async def attempt() -> None:
        try:
            await way()
        except CallTimeout as error:
            errors.append(error)

    async with running(cluster.node(A, clock=near), cluster.node(B, clock=far)) as (a, b):
        process, box = await full_on(b, "wait")
        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(attempt)
                await until(lambda: process.open_requests())
                near.advance(5.0)
        assert len(errors) == 1
        far.advance(5.0)
        await until(lambda: not process.open_requests())
        box.gate.set()
        await until(lambda: box.held)
    assert box.held == ["first"]


async def test_who_gives_up_waiting_for_room_on_another_node_is_forgotten(cluster: Cluster) -> None:
    """The other node is told, and what was to be put in never is."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        process, box = await full_on(b, "wait")
        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(sent)
                group.start_soon(typed)
                await until(lambda: len(process.open_requests()) == 2)
                group.cancel_scope.cancel()
            await until(lambda: not process.open_requests())
        box.gate.set()
        await until(lambda: box.held)
    assert box.held == ["first"]


async def test_a_lost_node_takes_those_who_wait_with_it(cluster: Cluster) -> None:
    """They hear of the loss, and nothing of theirs is put in afterwards."""
    reasons: list[object] = []

    async def attempt(way: Way) -> None:
        try:
            await way()
        except ServerExited as error:
            reasons.append(error.reason)

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        process, box = await full_on(b, "wait")
        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(attempt, sent)
                group.start_soon(attempt, typed)
                await until(lambda: len(process.open_requests()) == 2)
                disconnect(B)
            assert reasons == [NoConnection(), NoConnection()]
        await until(lambda: not process.open_requests())
        box.gate.set()
        await until(lambda: box.held)
    assert box.held == ["first"]


async def test_a_message_that_nobody_waits_for_is_dropped_over_there(cluster: Cluster) -> None:
    """The sender neither waits nor is told, on whichever node it is."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        process, box = await full_on(b)
        with a.current():
            send(BOX, "dropped")
            with pytest.raises(MailboxFull):
                await typed()
        box.gate.set()
        await until(lambda: box.held and not process.mailbox.queue)
    assert box.held == ["first"]


async def test_an_awaited_message_to_another_node_is_there_when_it_returns(cluster: Cluster) -> None:
    """Also in a mailbox without a bound; or the sender learns why not."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            pid = spawn(anyio.sleep_forever)
        with a.current():
            await send_wait(pid, ("message", 1))
            assert list(b.runtime.processes[pid].mailbox.queue) == [("message", 1)]
            with pytest.raises(NoProcess):
                await send_wait(("nobody", B), 1)
            with pytest.raises(NotPortable):
                await send_wait(pid, object())
            with pytest.raises(ServerExited):
                await send_wait(("anybody", "c@localhost"), 1)


async def test_an_awaited_message_that_the_other_node_cannot_read_is_an_error(cluster: Cluster) -> None:
    """It is in no mailbox, and its sender does not wait for that."""
    async with running(cluster.node(A, portable=["tests.local.portable_kit"]), cluster.node(B)) as (a, b):
        with b.current():
            pid = spawn(anyio.sleep_forever)
        with a.current(), pytest.raises(RemoteError, match="cannot read the message"):
            await send_wait(pid, Coin(3))
        assert not b.runtime.processes[pid].mailbox.queue
