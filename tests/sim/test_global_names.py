"""Global names, explored: every order of messages for a few nodes, and by seed whatever else can happen."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from regrow._pure.ids import Pid
from tests.harness import row
from tests.pure.exhaustive import Exhaustive

from .names_world import NAMES, World

NODES = ["a", "b", "c", "d"]


class EveryChoice(random.Random):
    """Chance that takes every turn there is, one in each run."""

    def __init__(self, every: Exhaustive) -> None:
        super().__init__()
        self.every = every

    def choice(self, seq: Sequence[object]) -> object:  # type: ignore[override]
        return self.every.choose(seq)


def connected(nodes: list[str], chance: random.Random, *, skewed: bool = True) -> World:
    """A cluster in which everybody knows everybody."""
    world = World(nodes, random.Random(0), skewed=skewed)
    for one in nodes:
        for other in nodes:
            if one < other:
                world.join(one, other)
    world.settle()
    world.chance = chance
    return world


def test_of_two_registrations_at_the_same_time_one_wins_whatever_the_order_of_messages() -> None:
    """And nobody ever shows the other: all orders there are, for two nodes."""
    for _ in (every := Exhaustive()).runs():
        world = connected(["a", "b"], EveryChoice(every), skewed=False)
        one, other = world.register("a", "x"), world.register("b", "x")
        shown: set[Pid | None] = set()
        while moves := world.moves():
            world.deliver(*world.chance.choice(moves))
            shown |= world.shown("x")
        winners = {asked.entry for asked in (one, other) if asked.outcome == asked.entry}
        assert len(winners) == 1
        assert {one.outcome, other.outcome} == winners
        assert shown == {None, *winners}
        world.check_quiet()


@row("GLB-004")
def test_a_name_that_is_registered_anew_is_never_free_whatever_the_order_of_messages() -> None:
    """Each node shows the old holder, then the new one, who is known to all when the registration is over."""
    for _ in (every := Exhaustive()).runs():
        world = connected(["a", "b", "c"], random.Random(0), skewed=False)
        old = world.register("a", "x").entry
        world.settle()
        world.chance = EveryChoice(every)
        new = world.register("b", "x", replace=True)
        while moves := world.moves():
            world.deliver(*world.chance.choice(moves))
            assert world.shown("x") <= {old, new.entry}
            if new.over:
                assert world.shown("x") == {new.entry}
        assert new.outcome == new.entry
        world.check_quiet()


@pytest.mark.parametrize("seed", range(200))
def test_registrations_without_a_fault_have_one_winner_whom_all_show_when_it_is_told(seed: int) -> None:
    """Any number at the same time, and later ones: none of them is ever shown that does not win."""
    chance = random.Random(seed)
    world = connected(NODES, chance)
    told: list[Pid] = []
    for _ in range(60):
        if chance.random() < 0.1:
            world.register(chance.choice(NODES), "x")
        elif moves := world.moves():
            world.deliver(*chance.choice(moves))
        for asked in world.registrations.values():
            if asked.outcome == asked.entry and asked.entry not in told:
                told.append(asked.entry)
                assert world.shown("x") == {asked.entry}
    world.settle()
    [holder] = world.shown("x")
    winners = [asked.entry for asked in world.registrations.values() if asked.outcome == asked.entry]
    assert winners == ([] if not world.registrations else [holder])
    world.check_quiet()


@row("GLB-009", "GLB-010", "GLB-011")
def test_whatever_happens_all_nodes_agree_in_the_end(request: pytest.FixtureRequest) -> None:
    """Splits, crashes, deaths, registrations of both kinds and their opposite, in the middle of everything."""
    for seed in range(request.config.getoption("--names-seeds")):
        chance = random.Random(seed)
        nodes = NODES[: chance.randrange(2, 5)]
        world = connected(nodes, chance)
        try:
            for _ in range(chance.randrange(20, 120)):
                random_turn(world, chance, nodes)
            heal(world, nodes)
            world.settle()
            world.check_quiet()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def random_turn(world: World, chance: random.Random, nodes: list[str]) -> None:
    moves = world.moves()
    if moves and chance.random() < 0.7:
        world.deliver(*chance.choice(moves))
        return
    node, other, name = chance.choice(nodes), chance.choice(nodes), chance.choice(NAMES)
    there = node in world.machines
    what = chance.choice(
        ("register",) * 6 + ("replace", "unregister", "give up", "die", "die", "cut", "join", "join", "crash")
    )
    match what:
        case "register" | "replace" if there:
            world.register(node, name, replace=what == "replace")
        case "unregister" if there:
            world.unregister(node, name)
        case "give up" if waiting := [asked for asked in world.registrations.values() if world.waits(asked)]:
            world.give_up(chance.choice(waiting))
        case "die" if world.alive:
            world.die(chance.choice(list(world.alive)))
        case "cut" if node != other:
            world.cut(node, other)
        case "join" if node != other:
            world.join(node, other)
        case "crash" if there and chance.random() < 0.3:
            world.crash(node)
        case "crash" if not there:
            world.boot(node)
        case _:
            pass


def heal(world: World, nodes: list[str]) -> None:
    """Everybody runs, and is connected with everybody."""
    for node in nodes:
        if node not in world.machines:
            world.boot(node)
    for one in nodes:
        for other in nodes:
            if one != other:
                world.join(one, other)
