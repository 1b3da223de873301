"""regrow's side: plays a scenario as side.erl does, and says in the same words what happened."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import attrs

from regrow import (
    NO_REPLY,
    ChildCounts,
    ChildInfo,
    ChildSpec,
    Crash,
    Custom,
    Down,
    DynamicSupervisor,
    Exit,
    From,
    GenServer,
    Ignore,
    Ignored,
    Kill,
    Killed,
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
    send,
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
    "shutdown": Shutdown(),
    "clean": Shutdown("clean"),
    "custom": Custom("custom"),
    "killed": Killed(),
    "kill": Kill(),
}
REFUSALS: dict[type[Exception], str] = {
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
        trace = await Driver(node.runtime).drive(scenario)
    return trace


class Boom(Exception):
    """What the servers crash with."""


@attrs.define(eq=False)
class Collector:
    """Sees what happens in the tree, in its order: a mailbox that takes the words and the ends of all."""

    runtime: Runtime
    process: Process
    starts: dict[str, list[Pid]] = attrs.field(factory=dict[str, list[Pid]])
    watched: dict[Reference, str] = attrs.field(factory=dict[Reference, str])

    def starting(self, told: Worker | Sup) -> None:
        """This process starts, in the way that is planned for it."""
        starts = self.starts.setdefault(told.id, [])
        starts.append(self_pid())
        self.watched[self.process.monitor(self_pid())] = told.id
        outcome = told.outcomes[len(starts) - 1] if len(starts) <= len(told.outcomes) else "ok"
        self.log(f"start {told.id} {outcome}")
        match outcome:
            case "fail":
                raise Stop(Custom("nope"))
            case "crash":
                raise Boom
            case "ignore":
                raise Ignore
            case _:
                pass

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
        self.collector.starting(self.told)

    async def handle_call(self, request: object, from_: From) -> object:
        match request:
            case "ping":
                return "pong"
            case "get":
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
            case ("ask", _, str(id_)):
                return await gen_call(Name(id_, Hand), "get", None)
            case ("trap", _, flag):
                return str(trap_exit(flag == "true")).lower()
            case ("tie", _, str(id_)):
                return to(id_, link)
            case ("untie", _, str(id_)):
                return to(id_, unlink)
            case ("exit_from", _, str(id_), str(how)):
                return to(id_, lambda pid: send_exit(pid, REASONS[how]))
            case _:
                raise ValueError(request)

    async def handle_cast(self, request: object) -> None:
        match request:
            case From():
                reply(request, "late")
            case "bump":
                self.n += 1
            case "crash":
                raise Boom
            case _:
                raise Stop(REASONS[str(request)])

    async def handle_info(self, message: object) -> None:
        said = words(message.reason) if isinstance(message, Exit) else message
        self.collector.log(f"info {self.told.id} {said}")

    async def terminate(self, reason: Reason) -> None:
        self.collector.log(f"terminate {self.told.id} {words(reason)}")
        if self.told.terminate == "crash":
            raise Boom
        if self.told.terminate == "hang" and reason == Shutdown():
            await anyio.sleep_forever()


def to(id_: str, do: Callable[[Pid], object]) -> str:
    """Do it to who has this name, if anybody has."""
    pid = whereis(id_)
    if pid is None:
        return "noproc"
    do(pid)
    return "ok"


class Branch(Supervisor):
    """A supervisor of a scenario."""

    period = 1000.0

    def __init__(self, told: Sup, collector: Collector) -> None:
        self.told = told
        self.collector = collector
        for flag in ("strategy", "intensity", "auto_shutdown"):
            setattr(self, flag, getattr(told, flag))

    def init(self) -> list[ChildSpec]:
        self.collector.starting(self.told)
        return [spec_of(below, self.collector) for below in self.told.children]


class Pool(DynamicSupervisor):
    """A pool of a scenario. Its model is part of the workers already."""

    period = 1000.0

    def __init__(self, told: Sup, collector: Collector) -> None:
        self.told = told
        self.collector = collector
        for flag in ("intensity", "auto_shutdown"):
            setattr(self, flag, getattr(told, flag))

    def init(self) -> None:
        self.collector.starting(self.told)


KINDS: dict[str, Callable[[Any, Collector], Any]] = {"w": Hand, "s": Branch, "p": Pool}  # by the letter of the id


def spec_of(told: Child, collector: Collector) -> ChildSpec:
    return child(KINDS[told.id[0]], told, collector).named(told.id).with_(
        restart=told.restart,  # type: ignore[arg-type]
        shutdown=told.shutdown / 1000 if isinstance(told.shutdown, int) else told.shutdown,  # type: ignore[arg-type]
        significant=told.significant,
    )  # fmt: skip


def owner(id_: str) -> tuple[Any, Any]:
    """The class whose verbs are for it, and its name."""
    cls = DynamicSupervisor if id_.startswith("p") else Supervisor
    return cls, Name(id_, cls)


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
        trace.append("> tree:")
        trace += [f"{id_}: {await self._look(id_)}" for id_ in sorted(self.collector.starts)]
        for process in list(self.runtime.processes.values()):  # one that hangs when it is told to stop is not asked
            if process.server is not None:
                process.trap_exit = False
                send_exit(process.pid, Kill())
        return trace

    async def _step(self, step: Step) -> list[str]:
        kind, *arguments = step
        act: Callable[..., Coroutine[Any, Any, object]] | None = getattr(self, f"_{kind}", None)
        try:
            result = await (self._tell(step) if act is None else act(*arguments))
        except tuple(REFUSALS) as refusal:
            result = REFUSALS[type(refusal)]
        except (StartFailed, CallError) as error:
            result = "refused" if is_refusal(error.reason) else f"error {words(error.reason)}"
        await self._settle()
        return [f"> {kind}: {result}", *self.collector.take(), *self._inbox()]

    # -- steps

    async def _start(self, tree: Sup) -> str:
        await start_link(spec_of(tree, self.collector))  # type: ignore[call-overload]
        return "ok"

    async def _cast(self, id_: str, how: str) -> str:
        gen_cast(Name(id_, Hand), how)
        return "ok"

    async def _call(self, id_: str, what: str) -> object:
        return await gen_call(Name(id_, Hand), what, None)

    async def _tell(self, step: Step) -> object:
        """A worker does it itself."""
        return await gen_call(Name(step[1], Hand), step, None)

    async def _send(self, id_: str) -> str:
        send(id_, "hello")
        return "ok"

    async def _exit(self, id_: str, how: str) -> str:
        return to(id_, lambda pid: send_exit(pid, REASONS[how]))

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
        def tie(pid: Pid) -> None:
            link(pid)
            self.linked[pid] = id_

        return to(id_, tie)

    async def _unlink(self, id_: str) -> str:
        return to(id_, unlink)

    async def _which(self, id_: str) -> str:
        cls, name = owner(id_)
        children: list[ChildInfo] = await cls.which_children(name)
        if id_.startswith("p"):
            children.sort(key=lambda it: it.id)
        return " ".join(
            f"{it.id}={'restarting' if it.restarting else 'undefined' if it.pid is None else 'running'}"
            for it in children
        )

    async def _count(self, id_: str) -> str:
        cls, name = owner(id_)
        counts: ChildCounts = await cls.count_children(name)
        shown = [counts.active] if cls is DynamicSupervisor else attrs.astuple(counts)
        return f"[{','.join(map(str, shown))}]"

    async def _start_child(self, id_: str, told: Child) -> str:
        cls, name = owner(id_)
        await cls.start_child(name, spec_of(told, self.collector))
        return "ok"

    async def _terminate_child(self, above: str, id_: str) -> str:
        """By its id, or of a pool by the pid that it had last."""
        cls, name = owner(above)
        if cls is DynamicSupervisor and id_ not in self.collector.starts:
            return "unborn"
        await cls.terminate_child(name, self.collector.starts[id_][-1] if cls is DynamicSupervisor else id_)
        return "ok"

    async def _restart_child(self, supervisor: str, id_: str) -> str:
        await Supervisor.restart_child(Name(supervisor, Supervisor), id_)
        return "ok"

    async def _delete_child(self, supervisor: str, id_: str) -> str:
        await Supervisor.delete_child(Name(supervisor, Supervisor), id_)
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
        return "alive" if id_.startswith("w") else await self._which(id_)

    async def _settle(self) -> None:
        """Return when nothing has changed between two rounds, and no restart is under way."""
        before: list[object] = []
        while True:
            now = [await self._glance(id_) for id_ in list(self.collector.starts)]
            if now == before and not any(isinstance(seen, list) and None in seen for seen in now):
                return
            before = now

    async def _glance(self, id_: str) -> object:
        try:
            if id_.startswith("w"):
                return (whereis(id_), await gen_call(Name(id_, Hand), "ping", None))
            cls, name = owner(id_)
            children: list[ChildInfo] = await cls.which_children(name)
            return [None if it.restarting else (it.id, it.pid) for it in children]
        except CallError:
            return "dead"


def is_refusal(reason: Reason) -> bool:
    """Whether a start came to nothing because its specification is no good."""
    return isinstance(reason, Crash) and isinstance(reason.exception, ValueError)


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
        case Crash(AlreadyStarted()):
            return "already_started"
        case Crash(CallError() as error):
            return f"crash ({words(error.reason)})"
        case _:
            return str(reason)
