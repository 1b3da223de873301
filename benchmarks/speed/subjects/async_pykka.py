"""async-pykka: an actor with a method, asked through its proxy, told by a message."""

from __future__ import annotations

import asyncio
from typing import Any

import async_pykka

from benchmarks.speed.rounds import CALLERS, run, serve


class Counter(async_pykka.AsyncioActor):
    def __init__(self) -> None:
        super().__init__()
        self.value = 0

    async def on_receive(self, message: int) -> int:
        self.value += message
        return self.value


class Works:
    def __init__(self) -> None:
        self.server: Any = Counter.start()
        self.kept: list[Any] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await self.server.ask(number).get(timeout=5.0)

    async def callers(self, count: int) -> None:
        await asyncio.gather(*(self.call(count // CALLERS) for _ in range(CALLERS)))

    async def cast(self, count: int) -> None:
        for number in range(count):
            self.server.tell(number)
        await self.call(1)

    async def start(self, count: int) -> None:
        self.kept = [Counter.start() for _ in range(count)]
        for server in self.kept:
            await server.ask(1).get(timeout=5.0)


async def main() -> None:
    works = Works()
    await serve({"call": works.call, "callers": works.callers, "cast": works.cast, "start": works.start})
    await async_pykka.ActorRegistry.stop_all(current_loop_only=True)


if __name__ == "__main__":
    run(main)
