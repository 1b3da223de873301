"""The election of distributed applications, explored: exhaustively within a bound, by seed beyond it."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from regrow._pure.dist_app import Settings

from .world import FAULTS, World, disturb

GROUPS = [
    (("a",), ("b",)),
    (("a",), ("b", "c")),
    (("a", "b"), ("c",)),
    (("a",), ("b", "c"), ("d",)),
]
SEEDS = 60  # of each setting; many more with --election-seeds


def nodes_of(settings: Settings) -> list[str]:
    return [node for group in settings.groups for node in group]


def booted(settings: Settings) -> World:
    world = World(settings)
    for node in nodes_of(settings):
        world = world.boot(node)
    return settle(world, random.Random(0))


def settle(world: World, chance: random.Random) -> World:
    """Let everything happen that happens by itself, in any order, and nothing fail any more."""
    for _ in range(3000):
        moves = list(world.moves())
        if moves:
            world = world.make(chance.choice(moves))
        elif world.timers:
            world = world.ring(chance.choice(world.timers))
        else:
            return world
    raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("overlap", [False, True], ids=["stop_first", "overlap"])
@pytest.mark.parametrize("wait_s", [0.0, 1.0], ids=["at_once", "wait"])
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_whatever_happens_one_copy_runs_in_the_end(
    groups: tuple[tuple[str, ...], ...], wait_s: float, overlap: bool, request: pytest.FixtureRequest
) -> None:
    """Starts, crashes, returns, permissions, stops, deaths and takeovers by hand, sixty of them in any order."""
    settings = Settings(groups, wait_s, overlap)
    for seed in range(request.config.getoption("--election-seeds")):
        chance = random.Random(seed)
        world = booted(settings)
        try:
            for _ in range(60):
                world = random_turn(world, chance, nodes_of(settings))
            settle(world, chance).check_quiet()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def random_turn(world: World, chance: random.Random, nodes: list[str]) -> World:
    moves = list(world.moves())
    if moves and chance.random() < 0.75:
        return world.make(chance.choice(moves), fails=chance.random() < 0.2)
    if world.timers and chance.random() < 0.2:
        return world.ring(chance.choice(world.timers))
    return disturb(world, chance.choice(FAULTS), chance.choice(nodes), nodes) or world


# What may happen once at each node, in any order and at any moment, for the exhaustive exploration.
BOUNDS = {
    "two nodes: start, crash, return, forbid, permit, stop": (
        (("a",), ("b",)),
        ("want", "crash", "boot", "forbid", "permit", "stop"),
        4,
    ),
    "two nodes: start, death, stop, takeover by hand": ((("a",), ("b",)), ("want", "die", "stop", "take over"), 5),
    "three nodes: start, crash, return": ((("a",), ("b", "c")), ("want", "crash", "boot"), 3),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_every_order_of_events_within_the_bound_ends_well(bound: str) -> None:
    """Each node has each event once at most, at most so many in all; messages arrive in every order there is."""
    groups, faults, most = BOUNDS[bound]
    settings = Settings(groups, 1.0)
    nodes = nodes_of(settings)
    start = booted(settings)
    seen: set[tuple[World, frozenset[tuple[str, str]]]] = set()
    todo: list[tuple[World, frozenset[tuple[str, str]]]] = [(start, frozenset())]
    kinds: Counter[str] = Counter()
    while todo:
        world, done = todo.pop()
        if (world, done) in seen:
            continue
        seen.add((world, done))
        successors = [(world.make(move), done) for move in world.moves()]
        if not successors:
            successors = [(world.ring(timer), done) for timer in world.timers]
        if not successors:
            world.check_quiet()
            kinds["at rest"] += 1
        todo += successors
        if len(done) < most and sum(len(queue) for _, queue in world.channels) <= 3 * len(nodes):
            for node in nodes:
                for fault in faults:
                    if (fault, node) not in done:
                        after = disturb(world, fault, node, nodes)
                        if after is not None:
                            todo.append((after, done | {(fault, node)}))
    print(f"{bound}: {len(seen)} states, {kinds['at rest']} at rest")
    assert kinds["at rest"] > 10
