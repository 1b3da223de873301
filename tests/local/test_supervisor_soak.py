"""Thousands of random events in random trees, and whatever happens, what has to hold holds."""

from __future__ import annotations

import random

from regrow import Node
from tests.local.soak_kit import Place, Soak
from tests.local.supervisor_oracle import Oracle
from tests.local.supervisor_world import Fate, World


async def test_whatever_happens_no_process_name_monitor_or_timer_is_lost_and_no_budget_is_miscounted(
    soak: Soak,
) -> None:
    """The interleavings nobody thought of. A failure names its seed: repeat it with `--soak-seed`.

    No process outlives its supervisor, stop order is reverse start order, whoever has to be up is up in the end,
    the intensity is exact, and every monitor fires exactly once.
    """
    world = World(random.Random(soak.seed))
    async with Node(clock=world.clock, watchdog=None) as node:
        await soak.play(world, [Place(node, Fate(world, node.runtime), Oracle(world, node.runtime))])
