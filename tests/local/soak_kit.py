"""How a soak is played: random events on one node or several, and in quiet moments a look at what has to hold."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence

import attrs
import pytest

from regrow import Node, stop
from tests.local.supervisor_oracle import Oracle
from tests.local.supervisor_world import Fate, World

EVENTS = 2000
SEED = 1
QUIET_EVERY = 40  # events


@attrs.frozen
class Place:
    """A node, what befalls it, and who watches it."""

    node: Node
    fate: Fate
    oracle: Oracle


@attrs.frozen
class Soak:
    """How long, and with which dice."""

    events: int
    seed: int

    async def play(self, world: World, places: Sequence[Place]) -> None:
        """Let things happen, and fail on the first that is not as it has to be. What was counted is printed."""
        try:
            for event in range(1, self.events + 1):
                place = world.dice.choice(places)
                with place.node.current():
                    await place.fate.strike()
                if event % QUIET_EVERY == 0:
                    await _look(world, places)
                assert not world.wrong, f"--soak-seed={self.seed}, event {event}: {world.wrong}"
            await _look(world, places)
            for place in places:
                await _fell(place)
            await _look(world, places)
            assert not world.wrong, f"--soak-seed={self.seed}, at the end: {world.wrong}"
        finally:
            await places[0].fate.calm_down()  # or the nodes would wait for those who pause
        print(f"{self.events} events: {', '.join(f'{count} {what}' for what, count in world.counts.items())}")


async def _look(world: World, places: Sequence[Place]) -> None:
    await places[0].fate.calm_down()
    for place in places:
        with place.node.current():
            place.oracle.check(place.fate.living_root)
    world.check()
    world.stir()


async def _fell(place: Place) -> None:
    """Stop the tree."""
    await place.fate.calm_down()
    if place.fate.root is not None and place.fate.living_root is not None:
        with place.node.current():
            await stop(place.fate.root)


@pytest.fixture
def soak(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Soak:
    """As the command line says; its seed is printed, and repeats what happened."""
    caplog.set_level(logging.CRITICAL + 1, "regrow")
    events, seed = request.config.getoption("--soak-events"), request.config.getoption("--soak-seed")
    if seed is None:
        seed = SEED if events is None else time.time_ns() % 2**32
    # trio shuffles its tasks; the switch with which it does so by a seed is there for Hypothesis. A watchdog would
    # disturb it, as it wakes the loop in real time.
    monkeypatch.setattr("trio._core._run._r", random.Random(seed))
    monkeypatch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", True)
    print(f"--soak-seed={seed}")
    return Soak(events or EVENTS, seed)
