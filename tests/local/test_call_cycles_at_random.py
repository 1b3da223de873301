"""Calls among servers at random: whatever they do, it ends, and only a real circle is refused."""

from __future__ import annotations

import random

import anyio
import pytest

from regrow import (
    CallCycle,
    GenServer,
    Name,
    Node,
    Pid,
    call,
    cast,
    child,
    receive,
    self_pid,
    send,
    start_link,
)

from .call_cycles_kit import holds
from .gen_server_kit import settled


class Walker(GenServer):
    """Passes a walk on to the next server on its list."""

    def __init__(self, log: list[CallCycle]) -> None:
        self.log = log

    @call(timeout=None)
    async def walk(self, names: list[str]) -> int:
        return 1 + await self.go(names)

    @cast
    async def start_walk(self, names: list[str], home: Pid) -> None:
        send(home, await self.go(names))

    async def go(self, names: list[str]) -> int:
        for _ in range(random.Random(len(names)).randrange(3)):
            await anyio.lowlevel.checkpoint()
        if not names:
            return 0
        try:
            return await Walker.walk(Name(names[0], Walker), names[1:])
        except CallCycle as error:
            await holds(error.processes)
            self.log.append(error)
            return 0


WALKERS = [str(number) for number in range(6)]


@pytest.mark.parametrize("seed", range(5))
async def test_random_walks_end_and_only_real_circles_are_refused(seed: int) -> None:
    """Dozens at once, without a timeout: each ends, and whoever is told of a circle can see it."""
    chance = random.Random(seed)
    log: list[CallCycle] = []
    async with Node():
        for name in WALKERS:
            await start_link(child(Walker, log).named(name))
        walks = [_walk(chance) for _ in range(200)]
        with anyio.fail_after(30.0):
            for first, *rest in walks:
                Walker.start_walk(Name(first, Walker), rest, self_pid())
                if chance.random() < 0.2:
                    await settled()
            for _ in walks:
                await receive(int)
        assert log, "there were circles to find"


def _walk(chance: random.Random) -> list[str]:
    walk = [chance.choice(WALKERS)]
    while len(walk) < chance.randint(2, 6):
        walk.append(chance.choice([name for name in WALKERS if name != walk[-1]]))
    return walk


@pytest.mark.parametrize("seed", range(3))
async def test_walks_that_all_go_one_way_never_meet_a_circle(seed: int) -> None:
    """However many there are, and however long the queues."""
    chance = random.Random(seed)
    log: list[CallCycle] = []
    async with Node():
        for name in WALKERS:
            await start_link(child(Walker, log).named(name))
        walks = [sorted(chance.sample(WALKERS, chance.randint(2, 6))) for _ in range(200)]
        for first, *rest in walks:
            Walker.start_walk(Name(first, Walker), rest, self_pid())
        assert sorted([await receive(int) for _ in walks]) == sorted(len(walk) - 1 for walk in walks)
        assert log == []
