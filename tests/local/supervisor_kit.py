"""What the tests of supervisors are played with: children whose life is written down, and trees of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

import anyio
import attrs
import trio.testing

from regrow import (
    ChildSpec,
    Crash,
    Down,
    GenServer,
    Kill,
    Normal,
    Pid,
    Reason,
    Reference,
    ServerRef,
    Shutdown,
    Stop,
    Supervisor,
    TypedChild,
    call,
    cast,
    child,
    monitor,
    receive,
    send_exit,
    start_link,
    trap_exit,
    unlink,
)
from regrow.runtime import here


@attrs.define(eq=False)
class Script:
    """What is to happen to the children of a test, and what did."""

    journal: list[str] = attrs.field(factory=list)
    """`+a`: a has started, `!a`: a start of it failed, `-a`: it terminates. A kill leaves no trace."""
    reasons: dict[str, Reason] = attrs.field(factory=dict)
    """What `terminate` was told, last."""
    broken: set[str] = attrs.field(factory=set)
    """Their starts fail."""
    faults: dict[str, deque[BaseException]] = attrs.field(factory=dict)
    """Their next starts fail so."""
    gates: dict[str, anyio.Event] = attrs.field(factory=dict)
    """The next start waits for it."""
    holds: dict[str, anyio.Event] = attrs.field(factory=dict)
    """`terminate` waits for it."""

    def fail(self, id_: str, *errors: BaseException) -> None:
        self.faults.setdefault(id_, deque()).extend(errors)

    def gate(self, id_: str) -> anyio.Event:
        gate = self.gates[id_] = anyio.Event()
        return gate

    def hold(self, id_: str) -> anyio.Event:
        hold = self.holds[id_] = anyio.Event()
        return hold

    def news(self) -> list[str]:
        """What was written since this was asked last."""
        news, self.journal[:] = self.journal.copy(), []
        return news


class Broken(Exception):
    """A start that failed because the script says so."""


class Worker(GenServer):
    """Does what its script says when it starts and when it terminates, and ends as it is told."""

    def __init__(self, id_: str, script: Script) -> None:
        self.id = id_
        self.script = script

    async def init(self) -> None:
        script = self.script
        gate = script.gates.pop(self.id, None)
        if gate is not None:
            await gate.wait()
        fault = script.faults[self.id].popleft() if script.faults.get(self.id) else None
        if fault is None and self.id in script.broken:
            fault = Broken(self.id)
        if fault is not None:
            script.journal.append(f"!{self.id}")
            raise fault
        trap_exit(True)
        script.journal.append(f"+{self.id}")

    async def handle_info(self, message: object) -> None:
        """An `Exit` of a stranger is nothing to it."""

    async def terminate(self, reason: Reason) -> None:
        self.script.reasons[self.id] = reason
        if self.id in self.script.holds:
            await self.script.holds[self.id].wait()
        self.script.journal.append(f"-{self.id}")

    @call
    async def ping(self) -> str:
        return self.id

    @cast
    async def end(self, reason: Reason) -> None:
        if isinstance(reason, Crash):
            raise reason.exception
        raise Stop(reason)

    @cast
    async def leave(self, pid: Pid) -> None:
        unlink(pid)


class Tree(Supervisor):
    """A supervisor that is told its children and flags."""

    def __init__(self, *specs: ChildSpec, **flags: object) -> None:
        self.specs = specs
        for flag, value in flags.items():
            setattr(self, flag, value)

    def init(self) -> Iterable[ChildSpec]:
        return self.specs


STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]

ENDINGS: dict[str, Reason] = {
    "normal": Normal(),
    "shutdown": Shutdown(),
    "shutdown_detail": Shutdown("done"),
    "crash": Crash(ValueError("boom")),
    "kill": Kill(),
}


def worker(script: Script, id_: str, **changes: object) -> TypedChild[Worker]:
    """A scripted child of that id."""
    return child(Worker, id_, script).with_(id=id_, **changes)  # type: ignore[arg-type]


def workers(script: Script, ids: str, **changes: object) -> list[TypedChild[Worker]]:
    """One for each letter."""
    return [worker(script, id_, **changes) for id_ in ids]


async def start_tree(*specs: ChildSpec, **flags: object) -> ServerRef[Tree]:
    """A tree whose parent is this process, which survives its end."""
    trap_exit(True)
    return await start_link(Tree, *specs, **flags)


async def children(sup: ServerRef[Tree]) -> dict[str, Pid | None]:
    """The ids and pids in start order. Asked after a `Down`, the answer comes after what the end of it led to."""
    return {info.id: info.pid for info in reversed(await Supervisor.which_children(sup))}


async def pid_of(sup: ServerRef[Tree], id_: str) -> Pid:
    pid = (await children(sup))[id_]
    assert pid is not None, f"{id_} does not run"
    return pid


async def ended(ref: Reference) -> Reason:
    """Wait for what is monitored to end, and say why it did."""
    return (await receive(lambda message: isinstance(message, Down) and message.ref == ref)).reason  # type: ignore[attr-defined]


async def down(dest: Pid | ServerRef[Any]) -> Reason:
    """Wait until it has ended, and say why."""
    return await ended(monitor(dest))


def tell(pid: Pid, reason: Reason) -> None:
    """Have it end, by itself or by a kill, as soon as it runs."""
    if isinstance(reason, Kill):
        send_exit(pid, reason)
    else:
        Worker.end(ServerRef(pid, Worker), reason)


async def end(pid: Pid, reason: Reason = ENDINGS["crash"]) -> Reason:
    """Have it end, and wait for it; what its supervisor does about it is still to come."""
    tell(pid, reason)
    return await down(pid)


async def settled() -> None:
    """Return when every other task waits for something that only this one can bring about."""
    if here().runtime.backend.name == "trio":
        await trio.testing.wait_all_tasks_blocked()
        return
    # anyio's own sleeps a tenth of a second at a time, and does not see a cancellation that is still on its way.
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:
        await asyncio.sleep(0)
