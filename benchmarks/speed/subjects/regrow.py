"""regrow, as its pages show it: a typed GenServer, calls with their timeout, a supervisor.

The handlers are `async def`, so that each call is two messages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

import anyio

from benchmarks.speed.rounds import CALLERS, at_once, run, serve
from regrow import (
    ChildSpec,
    Down,
    GenServer,
    Name,
    Node,
    ServerRef,
    Supervisor,
    call,
    cast,
    child,
    monitor,
    receive,
    start,
    start_link,
    whereis,
)


class Counter(GenServer):
    def __init__(self) -> None:
        self.value = 0

    @call
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @cast
    async def put(self, n: int) -> None:
        self.value = n

    @cast
    async def crash(self) -> None:
        raise ValueError("on purpose")


class Counters(Supervisor):
    intensity = 1_000_000

    def __init__(self, kind: type[Counter]) -> None:
        self.kind = kind

    def init(self) -> Iterable[ChildSpec]:
        return [child(self.kind).named("crashing")]


class Works:
    def __init__(self, kind: type[Counter], server: ServerRef[Counter]) -> None:
        self.kind = kind
        self.server = server
        self.kept: list[ServerRef[Counter]] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await Counter.add(self.server, number)

    async def callers(self, count: int) -> None:
        await at_once(self.call, CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            Counter.put(self.server, number)
        await Counter.add(self.server, 1)

    async def start(self, count: int) -> None:
        self.kept = [await start(self.kind) for _ in range(count)]

    async def crash(self, count: int) -> None:
        """From the crash to the answer of the one that was started instead."""
        crashing = Name("crashing", Counter)
        for _ in range(count):
            monitor("crashing")
            Counter.crash(crashing)
            await receive(Down)
            while whereis("crashing") is None:
                await anyio.lowlevel.checkpoint()
            await Counter.add(crashing, 1)


async def measured(kind: type[Counter]) -> None:
    """Measure with servers of this kind."""
    logging.disable()
    async with Node():
        await start_link(Counters, kind)
        works = Works(kind, await start_link(kind))
        await serve(
            {
                "call": works.call,
                "callers": works.callers,
                "cast": works.cast,
                "start": works.start,
                "crash": works.crash,
            }
        )


if __name__ == "__main__":
    run(partial(measured, Counter))
