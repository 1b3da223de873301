"""All that can happen to a cluster within a bound, and nothing twice.

What may still happen from outside is a set, of which each event takes one thing. Whatever happens with a set can
also happen with a larger one: so a world is explored anew only with a set that is in none it was explored with
before. Worlds are explored in the order of how much has happened, so that the large sets come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, product
from time import process_time
from typing import TypeAlias

import attrs

from .world import Cluster, World

Check: TypeAlias = Callable[[Cluster, World], None]
Level: TypeAlias = Iterable[tuple[World, int]]
"""Worlds, each with the set of what may still happen, a bit for each event at each node."""
STORY = 20  # worlds told of before the one that is wrong


@attrs.define
class Explored:
    """How much there was."""

    worlds: int = 0
    at_rest: int = 0
    longest: int = 0
    """So many messages were in one channel."""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.worlds:,} states, {self.at_rest:,} at rest, {self.longest} in a channel, {self.seconds:.1f} s"


@attrs.define(eq=False)
class Exploration:
    """Each event once at most at each node, so many in all, and none that would leave a channel with more than that."""

    cluster: Cluster
    events: Sequence[str]
    events_max: int
    messages_max: int
    always: Sequence[Check]
    """What is true of every world."""
    at_rest: Sequence[Check]
    """What is true once nothing goes on any more."""
    _seen: dict[World, tuple[int, ...]] = attrs.field(init=False, factory=dict[World, tuple[int, ...]])
    _before: dict[World, World] = attrs.field(init=False, factory=dict[World, World])
    _explored: Explored = attrs.field(init=False, factory=Explored)

    def run(self, start: World) -> Explored:
        """Explore it all. Raises `AssertionError` if something is not true, with how it came to that."""
        began = process_time()
        level: Level = [(start, (1 << len(self.events) * len(self.cluster.places)) - 1)]
        for _ in range(self.events_max):
            level = self._one_event_later(self._spread(level))
        for _ in self._spread(level):
            pass
        self._explored.worlds = len(self._seen)
        self._explored.seconds = process_time() - began
        return self._explored

    def _spread(self, level: Level) -> Iterator[tuple[World, int]]:
        """All that comes of these worlds by itself, depth first, so that a circle is seen."""
        for start, left in level:
            todo: list[World | None] = [start]
            path: dict[World, None] = {}
            while todo:
                world = todo.pop()
                if world is None:
                    path.popitem()
                elif self._is_new(world, left):
                    moves = self.cluster.moves(world)
                    if world not in self._seen:
                        self._look_at(world, moves, next(reversed(path), None))
                    self._seen[world] = (*self._seen.get(world, ()), left)
                    yield world, left
                    path[world] = None
                    todo.append(None)
                    todo += [move for move in moves if self._is_new(move, left)]
                    if not path.keys().isdisjoint(moves):
                        raise AssertionError(f"it never comes to rest{self._story(world)}")

    def _one_event_later(self, level: Level) -> Level:
        later: set[tuple[World, int]] = set()
        pairs = enumerate(product(self.events, self.cluster.places))
        events = [(what, i, 1 << number) for number, (what, i) in pairs]
        for world, left in level:
            for what, i, bit in events:
                then = self.cluster.event(world, what, i) if left & bit else None
                if then is None or self.cluster.longest(then) > self.messages_max or not self._is_new(then, left - bit):
                    continue
                later.add((then, left - bit))
                if then not in self._seen:
                    self._before.setdefault(then, world)
        return later

    def _is_new(self, world: World, left: int) -> bool:
        return all(left & ~before for before in self._seen.get(world, ()))

    def _look_at(self, world: World, moves: list[World], before: World | None) -> None:
        if before is not None:
            self._before[world] = before
        self._explored.at_rest += not moves
        self._explored.longest = max(self._explored.longest, self.cluster.longest(world))
        try:
            for check in self.always if moves else (*self.always, *self.at_rest):
                check(self.cluster, world)
        except AssertionError as error:
            raise AssertionError(f"{error}{self._story(world)}") from error

    def _story(self, world: World) -> str:
        worlds = [world]
        while len(worlds) < STORY and worlds[-1] in self._before:
            worlds.append(self._before[worlds[-1]])
        told = [self.cluster.difference(old, new) for new, old in pairwise(worlds)]
        return "".join(f"\n- {line}" for line in reversed(told))
