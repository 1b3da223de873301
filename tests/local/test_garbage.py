"""What has ended goes at once: nothing of it waits for the garbage collector, which costs who crashes often."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator

import anyio
import pytest

from regrow import (
    ChildSpec,
    Down,
    GenServer,
    Kill,
    Name,
    Node,
    Supervisor,
    cast,
    child,
    monitor,
    receive,
    send_exit,
    spawn_monitor,
    start,
    start_link,
    stop,
    whereis,
)
from tests.local.process_kit import Broken, idle

ROUNDS = 20


class Server(GenServer):
    @cast
    async def crash(self) -> None:
        raise Broken("on purpose")


class Restarts(Supervisor):
    intensity = 1000

    def init(self) -> Iterable[ChildSpec]:
        return [child(Server).named("server")]


@pytest.fixture(autouse=True)
def by_hand() -> Iterator[None]:
    """The collector runs when the test says so."""
    gc.disable()
    yield
    gc.enable()


async def left_by(round_of: Callable[[], Awaitable[object]]) -> int:
    """How many objects are found that only the collector can remove, after some rounds."""
    await round_of()  # what is made but once
    gc.collect()
    for _ in range(ROUNDS):
        await round_of()
    return gc.collect()


async def returns() -> None:
    """Ends at once."""


async def spawned() -> None:
    spawn_monitor(returns)
    await receive(Down)


async def killed() -> None:
    pid, _ = spawn_monitor(idle)
    await anyio.lowlevel.checkpoint()
    send_exit(pid, Kill())
    await receive(Down)


async def stopped() -> None:
    await stop(await start(Server))


async def restarted() -> None:
    monitor("server")
    Server.crash(Name("server", Server))
    await receive(Down)
    while whereis("server") is None:
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("round_of", [spawned, killed, stopped, restarted])
async def test_what_has_ended_leaves_nothing_to_the_collector(round_of: Callable[[], Awaitable[object]]) -> None:
    """Whichever way it ended."""
    async with Node(watchdog=None):
        await start_link(Restarts)
        assert await left_by(round_of) < ROUNDS, "not one for each"
