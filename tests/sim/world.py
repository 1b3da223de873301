"""A cluster's elections without a cluster: hosts, channels that are queues, and nothing happens by itself.

A channel keeps its order; a node that goes down leaves a mark in its channels, and each of the others comes to
it sooner or later, having heard all or only the first part of what was said before. A node that comes up is
connected with all that are up, but they have to meet yet. Nodes that are both up are never cut off from each
other: what two halves of a cluster do is tested on real connections.

A world is a tuple of numbers, one for what each host is and one for what is in each channel: so worlds can be kept by
the million, and whatever can happen to a host is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from regrow._pure.dist_app import Settings, State, Status

from .hosts import BY_ITSELF, FROM_OUTSIDE, Host, Item, Meet, Outcome, Queue, take
from .tables import END, Hosts, Mentioned, Queues, Table

World: TypeAlias = tuple[int, ...]

EVENTS = ("crash", "return", *FROM_OUTSIDE)
EMPTY = 0  # the number of nothing: of a host that is down, and of a channel with nothing in it


@attrs.define(eq=False)
class Saying:
    """What a host puts into a channel."""

    there: int
    """The place of the channel in a world."""
    back: int
    """That of the channel that comes back."""
    messages: Queue
    longer: dict[int, int] = attrs.field(factory=dict[int, int])
    """What becomes of the channel, by what is in it already."""


@attrs.define(eq=False)
class Effect:
    """What something that happens to a host makes of the world."""

    host: int
    """What becomes of the host."""
    rest: int = EMPTY
    """What is left in the channel it took from."""
    said: list[Saying] = attrs.field(factory=list[Saying])
    renumbers: bool = False
    """Whether other claims are mentioned than before."""


class Cluster:
    """Nodes that share an application, and all that can happen to them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names = sorted(node for group in settings.groups for node in group)
        self.places = range(len(self.names))
        pairs = [(i, j) for i in self.places for j in self.places if i != j]
        self.channels = {pair: len(self.names) + place for place, pair in enumerate(pairs)}
        self._mentioned = Mentioned(self.names)
        self.hosts = [Hosts(self._mentioned) for _ in self.places]
        self.queues = {
            channel: Queues(self._mentioned, self.names[i], self.names[j]) for (i, j), channel in self.channels.items()
        }
        self._tables: list[Table[Any]] = [*self.hosts, *self.queues.values()]
        # What has been worked out before.
        self._arrivals = {channel: dict[tuple[int, int], list[Effect]]() for channel in self.queues}
        self._own = [dict[int, list[Effect]]() for _ in self.places]
        self._events: dict[tuple[str, int, int], Effect | None] = {}
        self._changed: dict[tuple[int, int, int], int] = {}

    # -- to look at

    def host(self, world: World, i: int) -> Host | None:
        return self.hosts[i].values[world[i]]

    def up(self, world: World) -> list[Host]:
        return [host for i in self.places if (host := self.host(world, i)) is not None]

    def copies(self, world: World) -> int:
        """On how many hosts the application is."""
        return sum([table.marked[number] for table, number in zip(self.hosts, world, strict=False)])

    def longest(self, world: World) -> int:
        """How much is in the channel that has most in it."""
        return max([len(table.values[world[channel]]) for channel, table in self.queues.items()])

    def difference(self, before: World, after: World) -> str:
        """What became of one world in another, in words."""
        names = [*self.names, *(f"{self.names[i]} to {self.names[j]}" for i, j in self.channels)]
        pairs = zip(names, self._tables, before, after, strict=True)
        return "; ".join(
            f"{name}: {_difference(table.values[old], table.values[new])}"
            for name, table, old, new in pairs
            if old != new
        )

    # -- in the beginning

    def all_up(self) -> World:
        """Every node is up and has met the others; nobody has started anything."""
        others = {name: tuple((other, Status()) for other in self.names if other != name) for name in self.names}
        hosts = [Host(State(name, self.settings, peers=peers)) for name, peers in others.items()]
        return tuple(self.hosts[i].number(host) for i, host in enumerate(hosts)) + (EMPTY,) * len(self.channels)

    # -- what goes on by itself

    def moves(self, world: World) -> list[World]:
        """All that may happen next: a message arrives, an order is carried out, a timer rings."""
        found: list[World] = []
        for (i, j), channel in self.channels.items():
            if world[channel]:
                key = world[j], world[channel]
                effects = self._arrivals[channel].get(key)
                if effects is None:
                    effects = self._arrivals[channel][key] = self._arrive(i, j, *key)
                for effect in effects:
                    found.append(self._after(world, j, effect, channel))
        for i in self.places:
            effects = self._own[i].get(world[i])
            if effects is None:
                outcomes = (self._outcome(i, world[i], happen) for happen in BY_ITSELF)
                effects = self._own[i][world[i]] = [effect for effect in outcomes if effect is not None]
            for effect in effects:
                found.append(self._after(world, i, effect))
        return found

    def _arrive(self, i: int, j: int, host: int, queue: int) -> list[Effect]:
        """The next of the channel arrives; or, if there is an end in it, that, and what is before it never does."""
        receiver = self.hosts[j].values[host]
        assert receiver is not None, "nothing is said to a node that is down"
        table = self.queues[self.channels[i, j]]
        items = table.values[queue]
        effects: list[Effect] = []
        for place in sorted({0, items.index(END)} if END in items else {0}):
            effect = self._effect(j, host, take(receiver, self.names[i], items[place]))
            effect.rest = table.number(items[place + 1 :])
            effect.renumbers = effect.renumbers or table.mentions[queue] != table.mentions[effect.rest]
            effects.append(effect)
        return effects

    def _outcome(self, i: int, number: int, happen: Callable[[Host], Outcome | None]) -> Effect | None:
        host = self.hosts[i].values[number]
        outcome = None if host is None else happen(host)
        return None if outcome is None else self._effect(i, number, outcome)

    def _effect(self, i: int, before: int, outcome: Outcome) -> Effect:
        host, messages = outcome
        mentions = self.hosts[i].mentions
        effect = Effect(self.hosts[i].number(host))
        effect.renumbers = mentions[before] != mentions[effect.host]
        for j in self.places:
            to_it = tuple(message for to, message in messages if to == self.names[j])
            if to_it:
                there = self.channels[i, j]
                effect.said.append(Saying(there, self.channels[j, i], to_it))
                effect.renumbers = effect.renumbers or self.queues[there].mentions_of(to_it) != 0
        return effect

    def _after(self, world: World, i: int, effect: Effect, channel: int = EMPTY) -> World:
        changed = list(world)
        changed[i] = effect.host
        if channel:
            changed[channel] = effect.rest
        for saying in effect.said:
            if self.queues[saying.back].marked[changed[saying.back]]:
                continue  # it went down, and hears nothing more
            queue = changed[saying.there]
            longer = saying.longer.get(queue)
            if longer is None:
                table = self.queues[saying.there]
                longer = saying.longer[queue] = table.number((*table.values[queue], *saying.messages))
            changed[saying.there] = longer
        return self._with_smallest_numbers(changed) if effect.renumbers else tuple(changed)

    def _with_smallest_numbers(self, world: list[int]) -> World:
        mentioned = 0
        for table, number in zip(self._tables, world, strict=True):
            mentioned |= table.mentions[number]
        changes = self._mentioned.changes(mentioned)
        if not changes:
            return tuple(world)
        for place, table in enumerate(self._tables):
            key = place, world[place], mentioned
            number = self._changed.get(key)
            if number is None:
                number = self._changed[key] = table.changed(world[place], changes)
            world[place] = number
        return tuple(world)

    # -- what happens from outside

    def event(self, world: World, what: str, i: int) -> World | None:
        """The world after it; `None` if it can't happen now."""
        match what:
            case "crash":
                return self._crash(world, i) if world[i] else None
            case "return":
                return None if world[i] else self._come_up(world, i)
            case _:
                key = what, i, world[i]
                if key not in self._events:
                    self._events[key] = self._outcome(i, world[i], FROM_OUTSIDE[what])
                effect = self._events[key]
                return None if effect is None else self._after(world, i, effect)

    def _crash(self, world: World, i: int) -> World:
        changed = list(world)
        changed[i] = EMPTY
        for j in self.places:
            if j != i:
                changed[self.channels[j, i]] = EMPTY
                self._append(changed, i, j, END)
        return self._with_smallest_numbers(changed)

    def _come_up(self, world: World, i: int) -> World:
        changed = list(world)
        unmet = frozenset(self.names[j] for j in self.places if world[j])
        host = Host(State(self.names[i], self.settings), unmet=unmet)
        changed[i] = self.hosts[i].number(host)
        for j in self.places:
            if j != i:
                self._append(changed, i, j, Meet(host.state.mine))
        return self._with_smallest_numbers(changed)

    def _append(self, world: list[int], i: int, j: int, item: Item) -> None:
        """Put it into the channel; what was in there for a node that is down is nothing."""
        channel = self.channels[i, j]
        table = self.queues[channel]
        world[channel] = table.number((*table.values[world[channel]], item)) if world[j] else EMPTY


def _difference(old: object, new: object) -> str:
    """What is new; of two that are alike, only the fields that differ."""
    if type(old) is not type(new) or not attrs.has(type(new)):
        return repr(new)
    fields = [(field.name, getattr(old, field.name), getattr(new, field.name)) for field in attrs.fields(type(new))]
    return ", ".join(f"{name} {_difference(a, b)}" for name, a, b in fields if a != b)
