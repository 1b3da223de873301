"""regrow's side: plays a scenario as side.erl does, and says in the same words what happened."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import attrs

from regrow import (
    NO_REPLY,
    ChildSpec,
    Crash,
    Custom,
    Down,
    Exit,
    From,
    GenServer,
    Ignore,
    Ignored,
    Kill,
    Name,
    Node,
    Normal,
    Pid,
    Reason,
    Reference,
    Shutdown,
    StartFailed,
    Stop,
    Supervisor,
    child,
    demonitor,
    flush,
    gen_call,
    gen_cast,
    link,
    monitor,
    reply,
    self_pid,
    send_exit,
    spawn,
    start_link,
    stop,
    trap_exit,
    unlink,
    whereis,
)
from regrow.errors import AlreadyPresent, AlreadyStarted, CallError, ChildNotFound, ChildRestarting, ChildRunning
from regrow.runtime import Process, Runtime

from .scenario import Child, Scenario, Step, Sup, Worker

REASONS: dict[str, Reason] = {
    "normal": Normal(),
    "kill": Kill(),
    "shutdown": Shutdown(),
    "clean": Shutdown("clean"),
    "custom": Custom("custom"),
}
REFUSALS = {
    AlreadyPresent: "already_present",
    AlreadyStarted: "already_started",
    ChildNotFound: "not_found",
    ChildRestarting: "restarting",
    ChildRunning: "running",
    Ignored: "ignored",
}


def play(scenario: Scenario, backend: str) -> list[str]:
    """What happens, an event a line."""
    return anyio.run(_play, scenario, backend=backend)


async def _play(scenario: Scenario) -> list[str]:
    async with Node() as node:
        return await Driver(node.runtime).drive(scenario)


class Boom(Exception):
    """What the servers crash with."""


@attrs.define(eq=False)
class Collector:
    """Sees what happens in the tree, in its order: a mailbox that takes the words and the ends of all."""

    runtime: Runtime
    process: Process
    starts: dict[str, int] = attrs.field(factory=dict[str, int])
    watched: dict[Reference, str] = attrs.field(factory=dict[Reference, str])

    def born(self, id_: str) -> int:
        """A process of this id is about to start; which one of them it is."""
        self.starts[id_] = self.starts.get(id_, 0) + 1
        self.watched[self.process.monitor(self_pid())] = id_
        return self.starts[id_]

    def log(self, line: str) -> None:
        self.process.mailbox.post(line)

    def take(self) -> list[str]:
        messages = self.process.mailbox.take(lambda _message: True)
        return [
            f"dead {self.watched[message.ref]} {words(message.reason)}" if isinstance(message, Down) else str(message)
            for message in messages
        ]


class Hand(GenServer):
    """A server that does as it is told, in the OTP form."""

    def __init__(self, told: Worker, collector: Collector) -> None:
        self.told = told
        self.collector = collector
        self.n = 0

    async def init(self) -> None:
        trap_exit(self.told.trap)
        time = self.collector.born(self.told.id)
        outcome = self.told.outcomes[time - 1] if time <= len(self.told.outcomes) else "ok"
        self.collector.log(f"start {self.told.id} {outcome}")
        match outcome:
            case "fail":
                raise Stop(Custom("nope"))
            case "crash":
                raise Boom
            case "ignore":
                raise Ignore
            case _:
                pass

    async def handle_call(self, request: object, from_: From) -> object:
        match request:
            case "get":
                self.n += 1
                return self.n
            case "later":
                gen_cast(self_pid(), from_)
                return NO_REPLY
            case "crash":
                raise Boom
            case "stop":
                raise Stop(Custom("custom"))
            case "stop_reply":
                raise Stop(Normal(), reply="bye")
            case _:
                return "pong"

    async def handle_cast(self, request: object) -> None:
        match request:
            case From():
                reply(request, "late")
            case "crash":
                raise Boom
            case _:
                raise Stop(REASONS[str(request)])

    async def handle_info(self, message: object) -> None:
        assert isinstance(message, Exit)
        self.collector.log(f"info {self.told.id} {words(message.reason)}")

    async def terminate(self, reason: Reason) -> None:
        self.collector.log(f"terminate {self.told.id} {words(reason)}")
        if self.told.terminate == "crash":
            raise Boom
        if self.told.terminate == "hang" and reason == Shutdown():
            await anyio.sleep_forever()


class Branch(Supervisor):
    """A supervisor of a scenario."""

    period = 1000.0

    def __init__(self, told: Sup, collector: Collector) -> None:
        self.told = told
        self.collector = collector
        for flag in ("strategy", "intensity", "auto_shutdown"):
            setattr(self, flag, getattr(told, flag))

    def init(self) -> list[ChildSpec]:
        self.collector.born(self.told.id)
        self.collector.log(f"start {self.told.id} ok")
        return [spec_of(below, self.collector) for below in self.told.children]


def spec_of(told: Child, collector: Collector) -> ChildSpec:
    cls: Callable[[Any, Collector], Any] = Branch if isinstance(told, Sup) else Hand
    return child(cls, told, collector).named(told.id).with_(
        restart=told.restart,  # type: ignore[arg-type]
        shutdown=told.shutdown / 1000 if isinstance(told.shutdown, int) else told.shutdown,  # type: ignore[arg-type]
        significant=told.significant,
    )  # fmt: skip


class Driver:
    """Does what the scenario says, and waits for peace after each step."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.collector = Collector(runtime, runtime.processes[spawn(anyio.sleep_forever)])
        self.monitors: dict[Reference, str] = {}
        self.linked: dict[Pid, str] = {}

    async def drive(self, scenario: Scenario) -> list[str]:
        trap_exit(True)
        trace: list[str] = []
        for step in (("start", scenario.tree), *scenario.steps):
            trace += await self._step(step)
        trace += [f"{id_}: {await self._look(id_)}" for id_ in sorted(self.collector.starts)]
        for process in list(self.runtime.processes.values()):  # one that hangs when it is told to stop is not asked
            if process.server is not None:
                process.trap_exit = False
                send_exit(process.pid, Kill())
        return trace

    async def _step(self, step: Step) -> list[str]:
        kind, *arguments = step
        act: Callable[..., Coroutine[Any, Any, object]] = getattr(self, f"_{kind}", self._ask)
        try:
            result = await (act(kind, *arguments) if act == self._ask else act(*arguments))
        except tuple(REFUSALS) as refusal:
            result = REFUSALS[type(refusal)]
        except (StartFailed, CallError) as error:
            result = f"error {words(error.reason)}"
        await self._settle()
        return [f"{kind}: {result}", *self.collector.take(), *self._inbox()]

    # -- steps

    async def _start(self, tree: Sup) -> str:
        await start_link(spec_of(tree, self.collector))  # type: ignore[call-overload]
        return "ok"

    async def _cast(self, id_: str, how: str) -> str:
        gen_cast(Name(id_, Hand), how)
        return "ok"

    async def _call(self, id_: str, what: str) -> object:
        return await gen_call(Name(id_, Hand), what, None)

    async def _exit(self, id_: str, reason: str) -> str:
        pid = whereis(id_)
        if pid is None:
            return "noproc"
        send_exit(pid, REASONS[reason])
        return "ok"

    async def _stop(self, id_: str, how: str) -> str:
        await stop(Name(id_, Hand), REASONS[how])
        return "ok"

    async def _monitor(self, id_: str) -> str:
        self.monitors[monitor(id_)] = id_
        return "ok"

    async def _demonitor(self, id_: str) -> str:
        for ref, watched in reversed(self.monitors.items()):
            if watched == id_:
                del self.monitors[ref]
                return str(demonitor(ref)).lower()
        return "none"

    async def _link(self, id_: str) -> str:
        pid = whereis(id_)
        if pid is None:
            return "noproc"
        link(pid)
        self.linked[pid] = id_
        return "ok"

    async def _unlink(self, id_: str) -> str:
        pid = whereis(id_)
        if pid is None:
            return "noproc"
        unlink(pid)
        return "ok"

    async def _which(self, id_: str) -> str:
        children = await Supervisor.which_children(Name(id_, Supervisor))
        return " ".join(
            f"{it.id}={'restarting' if it.restarting else 'undefined' if it.pid is None else 'running'}"
            for it in children
        )

    async def _count(self, id_: str) -> str:
        counts = await Supervisor.count_children(Name(id_, Supervisor))
        return f"[{','.join(map(str, attrs.astuple(counts)))}]"

    async def _start_child(self, id_: str, told: Child) -> str:
        spec: Any = spec_of(told, self.collector)
        await Supervisor.start_child(Name(id_, Supervisor), spec)
        return "ok"

    async def _ask(self, kind: str, supervisor: str, id_: str) -> str:
        await getattr(Supervisor, kind)(Name(supervisor, Supervisor), id_)
        return "ok"

    # -- what is seen

    def _inbox(self) -> list[str]:
        lines: list[str] = []
        for message in flush():
            match message:
                case Exit(pid, reason):
                    lines.append(f"exit {self.linked.get(pid, 'top')} {words(reason)}")
                case Down(ref, _, reason):
                    lines.append(f"down {self.monitors.pop(ref)} {words(reason)}")
                case _:
                    lines.append(f"unexpected {message}")
        return lines

    async def _look(self, id_: str) -> str:
        if whereis(id_) is None:
            return "dead"
        return await self._which(id_) if id_.startswith("s") else "alive"

    async def _settle(self) -> None:
        """Return when nothing has changed between two rounds, and no restart is under way."""
        before: list[object] = []
        while True:
            now = [await self._glance(id_) for id_ in self.collector.starts]
            if now == before and not any(isinstance(seen, list) and None in seen for seen in now):
                return
            before = now

    async def _glance(self, id_: str) -> object:
        try:
            if id_.startswith("s"):
                children = await Supervisor.which_children(Name(id_, Supervisor))
                return [None if it.restarting else (it.id, it.pid) for it in children]
            return (whereis(id_), await gen_call(Name(id_, Hand), "ping", None))
        except CallError:
            return "dead"


def words(reason: Reason) -> str:
    """The reason as side.erl says it."""
    match reason:
        case Shutdown(None):
            return "shutdown"
        case Shutdown(str() as detail):
            return f"shutdown ({detail})"
        case Shutdown(detail):
            return f"shutdown ({detail.id}: {words(detail.reason)})"  # type: ignore[attr-defined]
        case Crash(Boom()):
            return "crash"
        case _:
            return str(reason)
