"""What the tests of bounded mailboxes share: a server that stands still, and a look at what it holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio

from regrow import (
    Bounded,
    ChildSpec,
    GenServer,
    Pid,
    ServerRef,
    Supervisor,
    call,
    cast,
    child,
    current_node,
    inspect,
    send,
    start,
)
from regrow.runtime import Process

from .gen_server_kit import settled


class Box(GenServer):
    """Keeps what it is given, and stands still while its gate is closed."""

    mailbox = Bounded(2)

    def __init__(self) -> None:
        self.held: list[object] = []
        self.gate = anyio.Event()

    @cast
    async def stand_still(self) -> None:
        await self.gate.wait()

    @call
    async def put(self, what: object) -> list[object]:
        self.held.append(what)
        return list(self.held)

    @cast
    async def drop_in(self, what: object) -> None:
        self.held.append(what)

    async def handle_call(self, request: object, from_: object) -> object:
        self.held.append(request)
        return list(self.held)

    async def handle_cast(self, request: object) -> None:
        self.held.append(request)

    async def handle_info(self, message: object) -> None:
        self.held.append(message)


class Patient(Box):
    mailbox = Bounded(2, on_full="wait")


class Fresh(Box):
    mailbox = Bounded(2, drop="oldest")


class FreshAndPatient(Box):
    mailbox = Bounded(2, on_full="wait", drop="oldest")


def process_of(ref: ServerRef[Any] | Pid) -> Process:
    return current_node().runtime.processes[ref if isinstance(ref, Pid) else ref.pid]


def box_of(ref: ServerRef[Box]) -> Box:
    server = process_of(ref).server
    assert isinstance(server, Box)
    return server


def dropped_by(ref: ServerRef[Any] | Pid) -> int:
    pid = ref if isinstance(ref, Pid) else ref.pid
    return next(each.dropped for each in inspect.processes(current_node()) if each.pid == pid)


async def standing_still(kind: type[Box] = Box) -> ServerRef[Box]:
    """One that handles nothing until its gate opens, with an empty mailbox."""
    ref = await start(kind)
    Box.stand_still(ref)
    await settled()
    assert not process_of(ref).mailbox.queue
    return ref


async def full(kind: type[Box] = Box) -> ServerRef[Box]:
    """The same with a mailbox in which no room is left."""
    ref = await standing_still(kind)
    send(ref, 1)
    send(ref, 2)
    return ref


async def goes_on(ref: ServerRef[Box]) -> list[object]:
    """Open its gate; what it holds when it has handled everything."""
    box = box_of(ref)
    box.gate.set()
    await settled()
    return box.held


class Narrow(Supervisor):
    mailbox = Bounded(1)
    intensity = 100

    def init(self) -> Iterable[ChildSpec]:
        return [child(Box).named(name) for name in ("a", "b", "c")]
