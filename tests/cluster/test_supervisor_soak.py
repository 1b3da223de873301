"""The soak of supervision trees on two nodes, whose connection is cut and mended at random."""

from __future__ import annotations

import random

from regrow import Node
from regrow._pure.config import NodeConfig
from tests.cluster.kit import COOKIE, MemoryCluster
from tests.cluster.split_world import TICK_TIME_S, FarFate, FarOracle, SplitWorld
from tests.local.soak_kit import Place, Soak

A, B = "a@localhost", "b@localhost"


async def test_whatever_happens_between_two_nodes_every_tie_ends_once_and_nothing_is_lost(
    soak: Soak, memory: MemoryCluster
) -> None:
    """What holds on one node holds on both, and every monitor fires once, with the reason or `NoConnection`.

    So does every link; every call ends; and neither node keeps anything of what is over on the other.
    """
    world = SplitWorld(random.Random(soak.seed), network=memory.network)
    async with node_of(world, A) as a, node_of(world, B) as b:
        world.ties.runtimes |= {A: a.runtime, B: b.runtime}
        places: list[Place] = []
        for here, there in ((a, b), (b, a)):
            with here.current():
                places.append(Place(here, FarFate(world, here, there), FarOracle(world, here.runtime)))
        await soak.play(world, places)


def node_of(world: SplitWorld, name: str) -> Node:
    config = NodeConfig(net_tick_time=TICK_TIME_S)
    carrier = world.network.of(name)
    return Node(name, cookie=COOKIE, config=config, clock=world.clock, carrier=carrier, watchdog=None)
