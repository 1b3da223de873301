"""The server of global names: what `_pure.global_names` decides is carried out here. OTP's `global_name_server`.

Its methods do not wait for each other: what is asked of it is entered, and answered when the other nodes have.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import assert_never, cast

from ._pure.codec import BadFrame, Unreadable
from ._pure.global_names import (
    Action,
    Done,
    Drop,
    Echo,
    Entry,
    Freed,
    GlobalNames,
    Lost,
    Meet,
    Probe,
    Put,
    Resolve,
    Tell,
)
from ._pure.ids import Pid
from .clashes import kill_younger
from .global_words import Register, Unregister
from .naming import Global
from .net_kernel import NetKernel
from .questions import Answer, Ask, Questions
from .refs import Behaviour
from .registry import Resolver
from .runtime import Held, Outsider, Runtime, current

SERVICE = "global_name"


class GlobalNameServer:
    """The global names as one node knows them, and those of its own processes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._net: NetKernel | None = None
        self._names = GlobalNames(runtime.node_name)
        self._questions = Questions(runtime, self._tell)
        self._resolvers: dict[tuple[str, Pid], Resolver] = {}
        self._tickets = count(1)
        self._waiting: dict[int, Callable[[Pid | None], object]] = {}  # who is told that a ticket is over
        self._todo: deque[Action] = deque()
        self._working = False
        runtime.global_names = self

    def join(self, net: NetKernel) -> None:
        """Share names with the nodes that will connect."""
        self._net = net
        net.services[SERVICE] = self._told
        net.watchers.append(self._came_or_went)

    # -- what processes ask

    def whereis(self, name: str) -> Pid | None:
        """Who has the name, as far as this node knows."""
        return self._names.whereis(name)

    def names(self) -> list[str]:
        """All names that somebody has."""
        return self._names.names()

    async def claim(self, name: str, pid: Pid, resolve: Resolver | None) -> Pid | None:
        """Register a process of this node; who has the name then."""
        return await self._over(partial(self._register, Register(name, pid, False, False, resolve)))

    async def register(
        self, name: str, pid: Pid, resolve: Resolver | None, *, several: bool, replace: bool
    ) -> Pid | None:
        """Register a process of any node; who has the name then. `None` if it is dead or has a name already."""
        asked = Register(name, pid, replace, several, resolve)
        while True:
            here = pid.node == self._runtime.node_name
            holder = await (self._over(partial(self._register, asked)) if here else self._ask(pid.node, asked))
            # Somebody who was not known yet came first, and is there to be replaced now.
            if not replace or holder in (None, pid):
                return holder if isinstance(holder, Pid) else None

    async def unregister(self, name: str) -> bool:
        """Free the name; whether anybody had it. Every connected node knows when this returns."""
        owners = {pid.node for pid in self._names.holders(name)}
        for node in sorted(owners):
            if node == self._runtime.node_name:
                await self._over(partial(self._names.unregister, name))
            else:
                await self._ask(node, Unregister(name))
        return bool(owners)

    async def sync(self) -> None:
        """Return when this node is connected with all whom the others know, and has heard of their names."""
        waited_for: set[str] = set()
        while True:
            await self._over(self._names.sync)  # so each node has said by now whom else it knows
            under_way = [] if self._net is None else self._net.connecting()
            new = [node for node in under_way if node not in waited_for]
            if not new:
                return
            for node in new:
                await self._connected(node)
            waited_for.update(new)

    def release(self, name: str, pid: Pid) -> None:
        """Free the name, if this process of this node has it."""
        self._perform(self._names.release(name, pid))

    async def _over(self, begin: Callable[[int], list[Action]]) -> Pid | None:
        """Begin something that other nodes have to hear of, and wait until it is over. Given up, it is undone."""
        promise = self._runtime.backend.promise()
        ticket = self._ticket(promise.settle)
        try:
            self._perform(begin(ticket))
            return cast("Pid | None", await promise)
        finally:
            if self._waiting.pop(ticket, None) is not None:
                self._perform(self._names.withdraw(ticket))

    def _ticket(self, done: Callable[[Pid | None], object]) -> int:
        ticket = next(self._tickets)
        self._waiting[ticket] = done
        return ticket

    async def _ask(self, node: str, question: object) -> object:
        return await self._questions.ask(node, question) if await self._connected(node) else None

    async def _connected(self, node: str) -> bool:
        return self._net is not None and await self._net.connect(node)

    def _register(self, asked: Register, ticket: int) -> list[Action]:
        """Begin to register a process of this node."""
        name, pid = asked.name, asked.pid
        process = self._runtime.processes.get(pid)
        if process is None:
            return [Done(ticket, None)]
        names = [held.name for held in process.held if isinstance(held, Global)]
        if name in names:
            return [Done(ticket, pid if asked.replace and self.whereis(name) == pid else None)]
        if names and not asked.several:
            return [Done(ticket, None)]
        if isinstance(asked.resolve, Unreadable):
            self._runtime.reports.warning(f"{pid} does not become {name!r}: this node cannot read its resolver")
            return [Done(ticket, None)]
        process.held = (*process.held, Global(name, Behaviour))
        self._resolvers[name, pid] = asked.resolve or kill_younger
        return self._names.register(name, pid, time.time_ns(), ticket, replace=asked.replace)

    # -- other nodes

    def _tell(self, node: str, message: object) -> None:
        if self._net is not None:
            self._net.tell(node, SERVICE, message)

    def _came_or_went(self, node: str, came: bool) -> None:
        self._perform(self._names.up(node) if came else self._names.down(node))
        if not came:
            self._questions.lost(node)

    def _told(self, node: str, message: object) -> None:
        """Another name server has said something. Raises `BadFrame` for what none would say."""
        match message:
            case Drop() | Lost() | Probe() | Echo():
                self._perform(self._names.told(node, message))
            case Put(entry) if _is_of(node, entry):
                self._perform(self._names.told(node, message))
            case Meet(entries) if all(_is_of(node, entry) for entry in entries):
                self._perform(self._names.told(node, message))
            case Ask(number, Register() as asked):
                self._perform(self._register(asked, self._ticket(self._answering(node, number))))
            case Ask(number, Unregister(name)):
                self._perform(self._names.unregister(name, self._ticket(self._answering(node, number))))
            case Answer():
                self._questions.answered(node, message)
            case _:
                raise BadFrame(f"no name server says {message!r:.200}")

    def _answering(self, node: str, number: int) -> Callable[[Pid | None], None]:
        return lambda holder: self._tell(node, Answer(number, holder))

    # -- what is to be done

    def _perform(self, actions: list[Action]) -> None:
        """Do these in order, after what is being done."""
        self._todo.extend(actions)
        if self._working:
            return
        self._working = True
        try:
            while self._todo:
                self._do(self._todo.popleft())
        finally:
            self._working = False

    def _do(self, action: Action) -> None:
        match action:
            case Tell(node, message):
                self._tell(node, message)
            case Done(ticket, holder):
                done = self._waiting.pop(ticket, None)
                if done is not None:
                    done(holder)
            case Freed(name, pid):
                self._freed(name, pid)
            case Resolve(older, younger):
                self._perform(self._names.resolved(older, younger, self._keeper(older, younger)))
            case _:
                assert_never(action)

    def _freed(self, name: str, pid: Pid) -> None:
        self._resolvers.pop((name, pid), None)
        process = self._runtime.processes.get(pid)
        if process is not None:
            process.held = tuple(held for held in process.held if not _is_name(held, name))

    def _keeper(self, older: Entry, younger: Entry) -> Pid | None:
        """Who keeps the name, as the resolver of the older registration says."""
        name, resolve = older.name, self._resolvers[older.name, older.pid]
        outside = current.set(Outsider(self._runtime))
        try:
            keeper = resolve(name, older.pid, younger.pid)
        except Exception as error:  # noqa: BLE001 - code of others: the names go on, and nobody has this one
            self._runtime.reports.warning(f"the resolver of {name!r} raised {error!r}; nobody keeps the name")
            return None
        finally:
            current.reset(outside)
        if keeper not in (older.pid, younger.pid, None):
            self._runtime.reports.warning(f"the resolver of {name!r} gave it to {keeper!r}; nobody keeps the name")
            return None
        return keeper


def _is_of(node: str, entry: Entry) -> bool:
    """Whether this node may speak of the entry."""
    return entry.pid.node == entry.stamp[1] == node


def _is_name(held: Held, name: str) -> bool:
    return isinstance(held, Global) and held.name == name
