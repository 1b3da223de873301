"""Global names: what one node knows of them, and what it says to the others so that all know the same.

Each entry has an owner, the node its process lives on. The owner alone makes it, settles it and drops it, and tells
all nodes it is connected with, in that order; what they know of it is a copy that goes with the connection, and at
the next meeting the owner says anew what it has. So a name that is gone never comes back, and nothing is locked.

A registration takes two rounds. The entry is told first as a claim, which nobody shows, and every node says that it
has heard. Of two claims that cross, both owners hear of both, and both know which is older; the younger is dropped.
A claim that all have heard is settled and told as such, and when all have heard that, the registration is done. The
process of a node that falls silent is waited for as long as it is connected, and no longer.

Two settled entries of one name are a clash: nodes have met that had not seen each other. Until it is resolved all
show the older. The owner of the older one decides, so that it is decided once, and tells the other owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

import attrs

from .ids import Pid

Stamp: TypeAlias = tuple[int, str]
"""When and where an entry was made. No two are equal, and all nodes order them alike."""


@attrs.frozen
class Entry:
    """A process under a name."""

    name: str
    pid: Pid
    stamp: Stamp
    replaces: tuple[Stamp, ...] = ()
    """Entries that it takes the place of once it is settled."""
    settled: bool = False
    """Whether all nodes had heard of it before any was to show it."""


# -- what nodes say to each other


@attrs.frozen
class Meet:
    """The first of each connection: all that the sender owns."""

    entries: tuple[Entry, ...]


@attrs.frozen
class Put:
    """The sender has made this entry, or settled it."""

    entry: Entry


@attrs.frozen
class Drop:
    """The sender has dropped this entry."""

    name: str
    stamp: Stamp


@attrs.frozen
class Lost:
    """To the owner of an entry: yours has lost against another of the sender's, or was replaced by it."""

    name: str
    stamp: Stamp


@attrs.frozen
class Probe:
    """Say when you have heard this, and so all that was said before."""

    number: int


@attrs.frozen
class Echo:
    """Heard."""

    number: int


Message: TypeAlias = Meet | Put | Drop | Lost | Probe | Echo


# -- what is to be done


@attrs.frozen
class Tell:
    """Say this to a connected node."""

    node: str
    message: Message


@attrs.frozen
class Done:
    """What was asked for with this ticket is over; for a registration, who has the name now."""

    ticket: int
    holder: Pid | None


@attrs.frozen
class Freed:
    """A process of this node has a name no longer, or not after all."""

    name: str
    pid: Pid


@attrs.frozen
class Resolve:
    """Two have one name. Let the resolver of the older decide, and say what came of it with `resolved`."""

    older: Entry
    younger: Entry


Action: TypeAlias = Tell | Done | Freed | Resolve


# -- how two entries of one name get along


def yields(mine: Entry, other: Entry) -> bool:
    """Whether the first, a claim, is dropped by its owner, which has heard of the second."""
    if mine.settled or is_succession(mine, other):
        return False
    return other.settled or other.stamp < mine.stamp


def clash(mine: Entry, other: Entry) -> bool:
    """Whether both were settled without knowing of each other."""
    return mine.settled and other.settled and not is_succession(mine, other)


def is_succession(one: Entry, other: Entry) -> bool:
    """Whether one of the two takes the place of the other."""
    return one.stamp in other.replaces or other.stamp in one.replaces


def shown(entries: Iterable[Entry]) -> Entry | None:
    """Of all entries of one name the one that counts: the oldest that is settled and not replaced."""
    settled = [entry for entry in entries if entry.settled]
    replaced = {stamp for entry in settled for stamp in entry.replaces}
    left = [entry for entry in settled if entry.stamp not in replaced]
    return min(left, key=lambda entry: entry.stamp, default=None)


# -- one node


@attrs.frozen
class Claimed:
    """All have heard of a claim: it is to be settled."""

    name: str
    stamp: Stamp


@attrs.frozen
class Settled:
    """All have heard that an entry is settled: its registration is done."""

    name: str
    stamp: Stamp


@attrs.frozen
class Synced:
    """All have heard what was to be heard before this ticket is over."""

    ticket: int


Then: TypeAlias = Claimed | Settled | Synced


@attrs.define(eq=False)
class Round:
    """Something waits until these nodes have heard what was said."""

    then: Then
    waits_for: set[str]


class GlobalNames:
    """The names as one node knows them. Each method gives what is to be done about what happened."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._connected: dict[str, None] = {}
        self._entries: dict[str, dict[Stamp, Entry]] = {}  # those of all nodes, by name; none is empty
        self._tickets: dict[Stamp, int] = {}  # who waits for the registration of an entry of ours
        self._rounds: dict[int, Round] = {}
        self._number = 0  # of the last round
        self._latest = 0  # the latest time in any stamp that was seen
        self._actions: list[Action] = []

    # -- who has which name

    def whereis(self, name: str) -> Pid | None:
        """The process that has the name."""
        found = shown(self._entries.get(name, {}).values())
        return None if found is None else found.pid

    def names(self) -> list[str]:
        """All names that somebody has."""
        return [name for name in self._entries if self.whereis(name) is not None]

    def holders(self, name: str) -> list[Pid]:
        """All who have the name: more than one during a clash."""
        return [entry.pid for entry in self._entries.get(name, {}).values() if entry.settled]

    @property
    def quiet(self) -> bool:
        """Whether nobody waits for anybody."""
        return not self._rounds and not self._tickets

    # -- what is asked here

    def register(self, name: str, pid: Pid, now: int, ticket: int, *, replace: bool = False) -> list[Action]:
        """Claim a name for a process of this node; in place of whoever has it, or only if nobody has.

        `now` is the time, in any unit that all nodes share. The ticket is over when it is settled who has the name.
        """
        rivals = self._entries.get(name, {})
        if rivals and not replace:
            first = shown(rivals.values()) or min(rivals.values(), key=lambda entry: entry.stamp)
            return [Freed(name, pid), Done(ticket, first.pid)]
        self._latest = max(self._latest + 1, now)
        entry = Entry(name, pid, (self._latest, self.node), tuple(sorted(rivals)))
        self._tickets[entry.stamp] = ticket
        self._put(entry)
        self._ask_all(Claimed(name, entry.stamp))
        return self._taken()

    def withdraw(self, ticket: int) -> list[Action]:
        """Nobody waits for this registration any more: it is undone, unless it is over."""
        for entry in self._mine():
            if self._tickets.get(entry.stamp) == ticket:
                self._drop(entry)
        return self._taken()

    def unregister(self, name: str, ticket: int) -> list[Action]:
        """Drop what this node has under the name; the ticket is over when all have heard of it."""
        for entry in self._mine(name):
            if entry.settled:
                self._drop(entry)
        return self.sync(ticket)

    def release(self, name: str, pid: Pid) -> list[Action]:
        """The process has ended, or is to have this name no longer."""
        for entry in self._mine(name):
            if entry.pid == pid:
                self._drop(entry)
        return self._taken()

    def sync(self, ticket: int) -> list[Action]:
        """The ticket is over when every node has heard what this one has said, and this one what they have."""
        self._ask_all(Synced(ticket))
        return self._taken()

    def resolved(self, older: Entry, younger: Entry, keep: Pid | None) -> list[Action]:
        """A clash was resolved: one of the two keeps the name, or nobody."""
        if older not in self._mine(older.name):
            return []
        if keep != younger.pid:
            self._tell(younger.stamp[1], Lost(younger.name, younger.stamp))
        if keep != older.pid:
            self._drop(older, keep)
        return self._taken()

    # -- other nodes

    def up(self, node: str) -> list[Action]:
        """A node has connected. Rounds under way are for it too."""
        self._connected[node] = None
        self._tell(node, Meet(tuple(self._mine())))
        for number, round_ in self._rounds.items():
            round_.waits_for.add(node)
            self._tell(node, Probe(number))
        return self._taken()

    def down(self, node: str) -> list[Action]:
        """A node is lost, and with it all that it had. Nobody waits for it."""
        self._connected.pop(node, None)
        for entry in [entry for entries in self._entries.values() for entry in entries.values()]:
            if entry.stamp[1] == node:
                self._forget(entry)
        for number in list(self._rounds):
            self._heard(node, number)
        return self._taken()

    def told(self, node: str, message: Message) -> list[Action]:
        """A node has said something."""
        match message:
            case Meet(entries):
                for entry in entries:
                    self._learn(entry)
                    self._replaced_by(entry)
            case Put(entry):
                self._learn(entry)
            case Drop(name, stamp):
                if (known := self._find(name, stamp)) is not None:
                    self._forget(known)
            case Lost(name, stamp):
                if (mine := self._find(name, stamp)) is not None:
                    self._drop(mine)
            case Probe(number):
                self._tell(node, Echo(number))
            case Echo(number):
                self._heard(node, number)
            case _:
                assert_never(message)
        return self._taken()

    # -- entries

    def _mine(self, name: str | None = None) -> list[Entry]:
        """The entries that this node owns, of one name or of all."""
        of = self._entries.values() if name is None else [self._entries.get(name, {})]
        return [entry for entries in of for entry in entries.values() if entry.stamp[1] == self.node]

    def _find(self, name: str, stamp: Stamp) -> Entry | None:
        return self._entries.get(name, {}).get(stamp)

    def _learn(self, entry: Entry) -> None:
        """Another node has this."""
        self._latest = max(self._latest, entry.stamp[0])
        self._entries.setdefault(entry.name, {})[entry.stamp] = entry
        for mine in self._mine(entry.name):
            if yields(mine, entry):
                self._drop(mine, entry.pid)
            elif clash(mine, entry) and mine.stamp < entry.stamp:
                self._actions.append(Resolve(mine, entry))

    def _put(self, entry: Entry) -> None:
        """Make an entry, or settle it."""
        self._entries.setdefault(entry.name, {})[entry.stamp] = entry
        self._tell_all(Put(entry))

    def _settle(self, claim: Claimed) -> None:
        entry = self._find(claim.name, claim.stamp)
        if entry is None:
            return  # it was dropped meanwhile
        self._put(attrs.evolve(entry, settled=True))
        self._ask_all(Settled(claim.name, claim.stamp))

    def _done(self, settled: Settled) -> None:
        """All show it. Only now those go that it replaces, so that nobody finds the name free in between."""
        entry = self._find(settled.name, settled.stamp)
        if entry is None:
            return
        self._replaced_by(entry)
        for stamp in entry.replaces:
            if stamp[1] in self._connected:
                self._tell(stamp[1], Lost(entry.name, stamp))
        self._over(entry.stamp, entry.pid)

    def _replaced_by(self, entry: Entry) -> None:
        """Drop what it takes the place of, if that is ours."""
        for mine in self._mine(entry.name):
            if entry.settled and mine.stamp in entry.replaces:
                self._drop(mine, entry.pid)

    def _drop(self, entry: Entry, rival: Pid | None = None) -> None:
        """Drop an entry of ours; who waits for its registration hears who has the name instead, or is about to."""
        self._forget(entry)
        self._tell_all(Drop(entry.name, entry.stamp))
        self._actions.append(Freed(entry.name, entry.pid))
        self._over(entry.stamp, rival or self.whereis(entry.name))

    def _over(self, stamp: Stamp, holder: Pid | None) -> None:
        """The registration of an entry of ours is over, unless it was already: this is who has the name."""
        ticket = self._tickets.pop(stamp, None)
        if ticket is not None:
            self._actions.append(Done(ticket, holder))

    def _forget(self, entry: Entry) -> None:
        entries = self._entries[entry.name]
        del entries[entry.stamp]
        if not entries:
            del self._entries[entry.name]

    # -- rounds

    def _ask_all(self, then: Then) -> None:
        """Go on with this when all connected nodes have heard what was said until now."""
        self._number += 1
        number = self._number
        self._rounds[number] = Round(then, set(self._connected))
        self._tell_all(Probe(number))
        self._perhaps_over(number)

    def _heard(self, node: str, number: int) -> None:
        round_ = self._rounds.get(number)
        if round_ is not None:
            round_.waits_for.discard(node)
            self._perhaps_over(number)

    def _perhaps_over(self, number: int) -> None:
        if self._rounds[number].waits_for:
            return
        match self._rounds.pop(number).then:
            case Claimed() as claim:
                self._settle(claim)
            case Settled() as settled:
                self._done(settled)
            case Synced(ticket):
                self._actions.append(Done(ticket, None))

    # -- what is to be done

    def _tell(self, node: str, message: Message) -> None:
        self._actions.append(Tell(node, message))

    def _tell_all(self, message: Message) -> None:
        for node in self._connected:
            self._tell(node, message)

    def _taken(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions
