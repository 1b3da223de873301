"""A cluster's elections without a cluster: nodes are states, channels are queues, and nothing happens by itself.

Crashes are seen at once by everybody (perfect detection), and a node that boots is met at once: within these
bounds there is never more than one active instance. What the nodes may meet beyond them (splits, late meetings)
is tested on real connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs

from regrow._pure.dist_app import (
    ACTIVE,
    Event,
    Failed,
    Heard,
    Introduced,
    Lost,
    Message,
    Permit,
    Phase,
    Send,
    Settings,
    Started,
    StartHere,
    State,
    StopHere,
    Stopped,
    StopWanted,
    TakeOverByHand,
    WaitFor,
    WaitOver,
    Want,
    Weight,
)
from regrow._pure.election import step

Channel: TypeAlias = tuple[str, str]
HANDOFF = "what was handed over"


@attrs.frozen
class Move:
    """Something that can happen next."""

    kind: str
    node: str
    other: Any = None


@attrs.frozen
class World:
    """Everything there is, at one moment."""

    settings: Settings
    states: tuple[tuple[str, State], ...] = ()
    channels: tuple[tuple[Channel, tuple[Message, ...]], ...] = ()
    orders: tuple[tuple[str, str], ...] = ()
    """Starts and stops under way, by node, in order."""
    timers: tuple[tuple[str, int], ...] = ()

    def state(self, node: str) -> State:
        return dict(self.states)[node]

    @property
    def up(self) -> list[str]:
        return [node for node, _ in self.states]

    @property
    def active(self) -> list[str]:
        return [node for node, state in self.states if state.mine.phase in ACTIVE]

    def feed(self, node: str, event: Event) -> World:
        """One event at one node, and what its actions put on the way."""
        state, actions = step(self.state(node), event)
        channels, orders, timers = dict(self.channels), list(self.orders), list(self.timers)
        for action in actions:
            match action:
                case Send(to, message):
                    channels[node, to] = (*channels.get((node, to), ()), message)
                case StartHere():
                    orders.append((node, "start"))
                case StopHere():
                    orders.append((node, "stop"))
                case WaitFor(number):
                    timers.append((node, number))
                case _:
                    pass
        states = tuple((name, state if name == node else old) for name, old in self.states)
        world = attrs.evolve(
            self, states=states, channels=_sorted(channels), orders=tuple(orders), timers=tuple(timers)
        )
        assert self.settings.overlap or len(world.active) <= 1, f"two are active: {world.active}"
        return world

    def boot(self, node: str) -> World:
        """A node comes up, and is met by all."""
        states = tuple(sorted([*self.states, (node, State(node, self.settings))], key=lambda entry: entry[0]))
        world = attrs.evolve(self, states=states)
        for other in self.up:
            mine, theirs = world.state(node).mine, world.state(other).mine
            world = world.feed(node, Introduced(other, theirs)).feed(other, Introduced(node, mine))
        return world

    def crash(self, node: str) -> World:
        """A node goes down, and all see it."""
        world = attrs.evolve(
            self,
            states=tuple(entry for entry in self.states if entry[0] != node),
            channels=tuple(entry for entry in self.channels if node not in entry[0]),
            orders=tuple(entry for entry in self.orders if entry[0] != node),
            timers=tuple(entry for entry in self.timers if entry[0] != node),
        )
        for other in world.up:
            world = world.feed(other, Lost(node))
        return world

    # -- what goes on by itself

    def moves(self) -> Iterator[Move]:
        """Messages that may arrive, and orders that may be carried out."""
        yield from (Move("deliver", *channel) for channel, queue in self.channels if queue)
        yield from (Move("finish", node) for node in dict.fromkeys(node for node, _ in self.orders))

    def make(self, move: Move, *, fails: bool = False) -> World:
        """One of these moves."""
        if move.kind == "deliver":
            channels = dict(self.channels)
            message, *rest = channels[move.node, move.other]
            channels[move.node, move.other] = tuple(rest)
            world = attrs.evolve(self, channels=_sorted(channels))
            return world.feed(move.other, Heard(move.node, message))
        index = next(i for i, (node, _) in enumerate(self.orders) if node == move.node)
        world = attrs.evolve(self, orders=self.orders[:index] + self.orders[index + 1 :])
        if self.orders[index][1] == "stop":
            return world.feed(move.node, Stopped(HANDOFF))
        return world.feed(move.node, Failed("it does not start here") if fails else Started())

    def ring(self, timer: tuple[str, int]) -> World:
        """A wait is over."""
        world = attrs.evolve(self, timers=tuple(entry for entry in self.timers if entry != timer))
        return world.feed(timer[0], WaitOver(timer[1]))

    # -- what is true once nothing goes on any more

    def check_quiet(self) -> None:
        """Nobody waits for anybody, and it runs exactly where it should."""
        able = [name for name, one in self.states if _able(one)]
        running = [name for name, one in self.states if one.mine.phase is Phase.RUNNING]
        assert len(running) <= 1, f"two run: {running}"
        for name, one in self.states:
            assert one.mine.phase in (Phase.IDLE, Phase.RUNNING), f"{name} is stuck {one.mine.phase}"
            assert one.promised is None and not one.deferred and one.stopping_for is None, f"{name} keeps a promise"
        if able and not running:
            waits_for = [name for name, one in self.states if not one.mine.wanted and one.mine.permitted]
            first = not any(self.state(name).mine.opened for name in able)
            assert first and waits_for, f"it runs nowhere, though {able} could"


def _able(one: State) -> bool:
    return one.mine.wanted and one.mine.permitted and one.mine.failed is None


def _sorted(channels: dict[Channel, tuple[Message, ...]]) -> tuple[tuple[Channel, tuple[Message, ...]], ...]:
    return tuple(sorted(((channel, queue) for channel, queue in channels.items() if queue), key=lambda entry: entry[0]))


FAULTS = ("want", "crash", "boot", "permit", "forbid", "stop", "die", "take over", "weight")


def disturb(world: World, what: str, node: str, nodes: list[str]) -> World | None:
    """Something from outside; `None` if it can't happen now."""
    there = node in world.up
    match what:
        case "boot":
            return None if there else world.boot(node)
        case "want":
            return world.feed(node, Want()) if there and not world.state(node).mine.wanted else None
        case "crash":
            return world.crash(node) if there and len(world.up) > 1 else None
        case "permit" | "forbid":
            return world.feed(node, Permit(what == "permit")) if there else None
        case "stop":
            return world.feed(node, StopWanted()) if there else None
        case "take over":
            return world.feed(node, TakeOverByHand()) if there else None
        case "die":
            running = there and world.state(node).mine.phase is Phase.RUNNING
            return world.feed(node, Failed("it died")) if running else None
        case _:
            return world.feed(node, Weight(nodes.index(node) % 3)) if there else None
