"""regrow, as its pages show it: a typed GenServer, calls with their timeout, a supervisor."""

from __future__ import annotations

import logging

import anyio

from benchmarks.speed.rounds import CALLERS, run, serve
from regrow import (
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

    def init(self):  # type: ignore[no-untyped-def]
        return [child(Counter).named("crashing")]


class Works:
    def __init__(self, server: ServerRef[Counter]) -> None:
        self.server = server
        self.kept: list[ServerRef[Counter]] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await Counter.add(self.server, number)

    async def callers(self, count: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(self.call, count // CALLERS)

    async def cast(self, count: int) -> None:
        for number in range(count):
            Counter.put(self.server, number)
        await Counter.add(self.server, 1)

    async def start(self, count: int) -> None:
        self.kept = [await start(Counter) for _ in range(count)]

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


async def main() -> None:
    logging.disable()
    async with Node():
        await start_link(Counters)
        works = Works(await start_link(Counter))
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
    run(main)
