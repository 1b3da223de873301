"""The election of distributed applications, explored: exhaustively within a bound, by seed beyond it."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import pytest

from regrow._pure.dist_app import Groups, Settings, Weight
from regrow._pure.election import step

from .checks import all_agree, it_runs_if_it_can, it_runs_in_the_best_group, never_two_copies, nobody_is_stuck
from .conftest import DEPTHS
from .explore import Check, Exploration
from .world import EVENTS, Cluster, World

TWO: Groups = (("a",), ("b",))
TWO_EQUAL: Groups = (("a", "b"),)
THREE: Groups = (("a",), ("b", "c"))
GROUPS = [TWO, THREE, (("a", "b"), ("c",)), (("a",), ("b", "c"), ("d",))]

MESSAGES_MAX = 3  # in one channel: nothing happens from outside that would leave more
ALL = 99  # events: each that there is, once at each node
LIFE = ("start", "stop", "permission", "crash", "return")
AND_FAILURES = (*LIFE, "failing start")
AND_HANDS = (*AND_FAILURES, "death", "takeover")
AT_REST: tuple[Check, ...] = (nobody_is_stuck, all_agree, it_runs_if_it_can)


@attrs.frozen
class Bound:
    """What is explored."""

    name: str
    settings: Settings
    events: tuple[str, ...]
    """What may happen from outside, at each node once."""
    events_max: tuple[int, int, int]
    """How many of them in all, by depth."""
    running: bool = False
    """Whether it was started on all nodes before."""


# With two nodes all of it is a matter of seconds. With three, each further event makes 23 times as many states: 79,
# 2,279, 55,060 and 1,251,914 with one to four, so that the fifteen there are can't be explored. Nor can much be left
# out: names decide between equal nodes, so that one can't stand for the other; and as whatever comes to a node depends
# on what came there before, and every node may say something to it at any time, hardly any order is the same as
# another. What takes longer than a minute has up to 17 million states, and wants 5 GB.
BOUNDS = [
    Bound("two nodes", Settings(TWO, 1.0), AND_FAILURES, (ALL, ALL, ALL)),
    Bound("two nodes that do not wait", Settings(TWO, 0.0), AND_FAILURES, (4, ALL, ALL)),
    Bound("two nodes that overlap", Settings(TWO, 1.0, overlap=True), AND_FAILURES, (4, ALL, ALL)),
    Bound("two equal nodes", Settings(TWO_EQUAL, 1.0), AND_FAILURES, (4, ALL, ALL)),
    Bound("two nodes, deaths, takeovers by hand", Settings(TWO, 1.0), AND_HANDS, (4, ALL, ALL)),
    Bound("two nodes that overlap, deaths, takeovers", Settings(TWO, 1.0, overlap=True), AND_HANDS, (4, ALL, ALL)),
    Bound("three nodes", Settings(THREE, 1.0), LIFE, (3, 4, 4)),
    Bound("three nodes that run it", Settings(THREE, 1.0), AND_FAILURES, (2, 2, 3), running=True),
    Bound(
        "three nodes that run it and overlap", Settings(THREE, 1.0, overlap=True), AND_HANDS, (1, 2, 3), running=True
    ),
]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_every_order_of_events_within_the_bound_ends_well(bound: Bound, request: pytest.FixtureRequest) -> None:
    """Whatever happens at any moment, and however what is under way overtakes it."""
    depth = DEPTHS.index(request.config.getoption("--election-depth"))
    cluster = Cluster(bound.settings)
    start = started_everywhere(cluster) if bound.running else cluster.all_up()
    at_rest = AT_REST if "takeover" in bound.events else (*AT_REST, it_runs_in_the_best_group)
    exploration = Exploration(
        cluster, bound.events, bound.events_max[depth], MESSAGES_MAX, (never_two_copies,), at_rest
    )
    explored = exploration.run(start)
    print(f"{bound.name}: {explored}")
    assert explored.at_rest > 1


def test_what_goes_wrong_is_found_and_told() -> None:
    """Here that it is started at all."""
    cluster = Cluster(Settings(TWO))

    def nowhere(cluster: Cluster, world: World) -> None:
        assert not cluster.copies(world), "it is somewhere"

    with pytest.raises(AssertionError, match="it is somewhere\n") as found:
        Exploration(cluster, LIFE, 2, MESSAGES_MAX, (nowhere,), ()).run(cluster.all_up())
    assert str(found.value).splitlines()[-1].startswith("- a: state mine phase")


def started_everywhere(cluster: Cluster) -> World:
    world = cluster.all_up()
    for i in cluster.places:
        world = cluster.event(world, "start", i) or world
    return settled(cluster, world, lambda moves: moves[0])


def settled(cluster: Cluster, world: World, choose: Callable[[list[World]], World]) -> World:
    """Let everything happen that happens by itself."""
    for _ in range(3000):
        moves = cluster.moves(world)
        if not moves:
            return world
        world = choose(moves)
        never_two_copies(cluster, world)
    raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("overlap", [False, True], ids=["stop_first", "overlap"])
@pytest.mark.parametrize("wait_s", [0.0, 1.0], ids=["at_once", "wait"])
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_whatever_happens_one_copy_runs_in_the_end(
    groups: Groups, wait_s: float, overlap: bool, request: pytest.FixtureRequest
) -> None:
    """A hundred turns as chance has them, whatever can happen from outside among them."""
    cluster = Cluster(Settings(groups, wait_s, overlap))
    for seed in range(request.config.getoption("--election-seeds")):
        chance = random.Random(seed)
        world = cluster.all_up()
        try:
            for _ in range(100):
                world = random_turn(cluster, world, chance)
                never_two_copies(cluster, world)
            world = settled(cluster, world, chance.choice)
            for check in AT_REST:
                check(cluster, world)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def random_turn(cluster: Cluster, world: World, chance: random.Random) -> World:
    moves = cluster.moves(world)
    if moves and chance.random() < 0.75:
        return chance.choice(moves)
    return cluster.event(world, chance.choice(EVENTS), chance.choice(cluster.places)) or world


def test_a_node_that_hears_nothing_new_does_nothing() -> None:
    """In each state that it may be in: so it does not matter how often it looks at the whole picture."""
    cluster = Cluster(Settings(TWO, 1.0, overlap=True))
    Exploration(cluster, AND_HANDS, 4, MESSAGES_MAX, (), ()).run(cluster.all_up())
    hosts = [host for table in cluster.hosts for host in table.values if host is not None]
    assert len(hosts) > 1000
    for host in hosts:
        assert step(host.state, Weight(host.state.mine.weight)) == (host.state, ())
