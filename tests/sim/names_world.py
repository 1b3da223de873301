"""The global names of a cluster without a cluster: nodes are tables, connections queues, and chance decides the rest.

A connection that is cut delivers a prefix of what was sent, then each side hears that the other is down, in its own
time. A node that crashes loses everything; a process that ends loses its names first.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TypeAlias

import attrs

from regrow._pure.global_names import Done, Entry, Freed, GlobalNames, Message, Resolve, Stamp, Tell
from regrow._pure.ids import Pid

NAMES = ("x", "y")
RESOLVERS = ("kill younger", "kill older", "notify both")


@attrs.frozen
class Up:
    """The connection is there, the one of this number."""

    connection: int


@attrs.frozen
class Down:
    """It is lost."""


@attrs.frozen
class Kill:
    """An exit signal, on its way with the rest."""

    pid: Pid


@attrs.frozen
class Unregister:
    """A request to the owner of a name."""

    name: str


OnTheWay: TypeAlias = Message | Up | Down | Kill | Unregister


@attrs.define
class Registration:
    """What somebody asked for, and what came of it."""

    node: str
    entry: Pid
    name: str
    ticket: int
    outcome: Pid | None = None
    over: bool = False


@attrs.define(eq=False)
class Machine:
    """A node that runs."""

    names: GlobalNames
    skew: int
    seen: dict[str, int] = attrs.field(factory=dict[str, int])
    """The connections it knows of, by the other node."""


class World:
    """Everything there is."""

    def __init__(self, nodes: list[str], chance: random.Random, *, skewed: bool = True) -> None:
        self.chance = chance
        self.skewed = skewed
        self.machines: dict[str, Machine] = {}
        self.queues: dict[tuple[str, str], deque[OnTheWay]] = {(a, b): deque() for a in nodes for b in nodes if a != b}
        self.connections: dict[frozenset[str], int] = {}
        self.alive: dict[Pid, set[str]] = {}
        """Processes, with the names their nodes believe they have."""
        self.registrations: dict[int, Registration] = {}
        self.synced: set[int] = set()
        self.dropped: set[Stamp] = set()
        self.time = 0
        self._count = 0
        for node in nodes:
            self.boot(node)

    def number(self) -> int:
        self._count += 1
        return self._count

    # -- nodes and what connects them

    def boot(self, node: str) -> None:
        skew = self.chance.randrange(-50, 50) if self.skewed else 0
        self.machines[node] = Machine(GlobalNames(node), skew)

    def crash(self, node: str) -> None:
        for pair in [pair for pair in self.connections if node in pair]:
            self.cut(*pair)
        del self.machines[node]
        for ends, queue in self.queues.items():
            if ends[1] == node:
                queue.clear()
        for pid in [pid for pid in self.alive if pid.node == node]:
            del self.alive[pid]

    def join(self, one: str, other: str) -> None:
        pair = frozenset((one, other))
        if pair not in self.connections and {one, other} <= set(self.machines):
            number = self.connections[pair] = self.number()
            self.queues[one, other].append(Up(number))
            self.queues[other, one].append(Up(number))

    def cut(self, one: str, other: str) -> None:
        if self.connections.pop(frozenset((one, other)), None) is None:
            return
        for ends in ((one, other), (other, one)):
            queue = self.queues[ends]
            arrives = self.chance.randrange(len(queue) + 1)
            # What is said of the connection itself is heard in any case.
            kept = [said for place, said in enumerate(queue) if place < arrives or isinstance(said, Up | Down)]
            self.queues[ends] = deque([*kept, Down()])

    def send(self, sender: str, to: str, said: OnTheWay) -> None:
        """Put on the way what is said over a connection that is still there."""
        if self.machines[sender].seen.get(to) == self.connections.get(frozenset((sender, to)), 0):
            self.queues[sender, to].append(said)

    # -- what happens

    def moves(self) -> list[tuple[str, str]]:
        return [ends for ends, queue in self.queues.items() if queue]

    def deliver(self, sender: str, to: str) -> None:
        said = self.queues[sender, to].popleft()
        machine = self.machines[to]
        match said:
            case Up(number):
                machine.seen[sender] = number
                self.perform(to, machine.names.up(sender))
            case Down():
                machine.seen.pop(sender, None)
                self.perform(to, machine.names.down(sender))
            case Kill(pid):
                self.die(pid)
            case Unregister(name):
                self.perform(to, machine.names.unregister(name, self.number()))
            case _:
                self.perform(to, machine.names.told(sender, said))

    def settle(self) -> None:
        """Let everything arrive that is on its way."""
        for _ in range(100_000):
            moves = self.moves()
            if not moves:
                return
            self.deliver(*self.chance.choice(moves))
        raise AssertionError("it never comes to rest")

    def now(self, node: str) -> int:
        self.time += 1
        return self.time + self.machines[node].skew

    def register(self, node: str, name: str, *, replace: bool = False) -> Registration:
        """A new process of the node asks for the name."""
        ticket = self.number()
        pid = Pid(node, ticket, 0, 1)
        self.alive[pid] = {name}
        asked = self.registrations[ticket] = Registration(node, pid, name, ticket)
        names = self.machines[node].names
        self.perform(node, names.register(name, pid, self.now(node), ticket, replace=replace))
        return asked

    def waits(self, asked: Registration) -> bool:
        """Whether it is neither over nor gone with its process."""
        return not asked.over and asked.entry in self.alive

    def give_up(self, asked: Registration) -> None:
        """Nobody waits for it any more; the process lives on."""
        self.perform(asked.node, self.machines[asked.node].names.withdraw(asked.ticket))

    def unregister(self, node: str, name: str) -> None:
        names = self.machines[node].names
        for owner in {pid.node for pid in names.holders(name)}:
            if owner == node:
                self.perform(node, names.unregister(name, self.number()))
            else:
                self.send(node, owner, Unregister(name))

    def die(self, pid: Pid) -> None:
        for name in self.alive.pop(pid, ()):
            self.perform(pid.node, self.machines[pid.node].names.release(name, pid))

    def perform(self, node: str, actions: list[Tell | Done | Freed | Resolve]) -> None:
        for action in actions:
            match action:
                case Tell(to, message):
                    self.send(node, to, message)
                case Done(ticket, holder):
                    self._done(ticket, holder)
                case Freed(name, pid):
                    self.alive.get(pid, set()).discard(name)
                case Resolve(older, younger):
                    self._resolve(node, older, younger)

    def _done(self, ticket: int, holder: Pid | None) -> None:
        asked = self.registrations.get(ticket)
        assert ticket not in self.synced, "a ticket is over once"
        self.synced.add(ticket)
        if asked is not None:
            asked.outcome, asked.over = holder, True
            if holder == asked.entry:
                self._check_known(asked)

    def _check_known(self, asked: Registration) -> None:
        """A registration is over: every node that is connected knows it, whatever else it has heard."""
        for other, number in self.machines[asked.node].seen.items():
            if self.connections.get(frozenset((asked.node, other))) == number:
                holders = self.machines[other].names.holders(asked.name)
                assert asked.entry in holders, f"{other} does not know {asked}"

    def _resolve(self, node: str, older: Entry, younger: Entry) -> None:
        how = self.chance.choice(RESOLVERS)
        keep = {"kill younger": older.pid, "kill older": younger.pid, "notify both": None}[how]
        if how == "kill younger":
            self.send(node, younger.pid.node, Kill(younger.pid))
        self.perform(node, self.machines[node].names.resolved(older, younger, keep))
        if how == "kill older":
            self.die(older.pid)

    # -- what is true once nothing is on its way

    def shown(self, name: str) -> set[Pid | None]:
        return {machine.names.whereis(name) for machine in self.machines.values()}

    def check_quiet(self) -> None:
        """All nodes agree, whoever has a name lives and knows it, and nobody waits."""
        for name in NAMES:
            shown = self.shown(name)
            assert len(shown) == 1, f"{name} is {shown}"
            [holder] = shown
            believers = [pid for pid, names in self.alive.items() if name in names]
            assert believers == ([] if holder is None else [holder]), f"{name} is {holder}, believed by {believers}"
        for node, machine in self.machines.items():
            assert machine.names.quiet, f"{node} waits"
            here = [asked for asked in self.registrations.values() if asked.entry.node == node]
            assert all(asked.over for asked in here if asked.entry in self.alive), f"{node} never answered"
