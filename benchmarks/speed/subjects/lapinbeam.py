"""lapinbeam: an actor of a supervisor, sent messages and asked. What is asked answers through `current_message`."""

from __future__ import annotations

import logging
from typing import Any

from lapinbeam import Node, Supervisor, actor, current_message

from benchmarks.speed.rounds import CALLERS, at_once, run, serve

LOOPBACK = "127.0.0.1:0"


@actor(name="counter")
class Counter:
    def __init__(self) -> None:
        self.value = 0

    async def receive(self, message: dict[str, Any]) -> None:
        match message:
            case {"add": n}:
                self.value += n
                await current_message().reply(self.value)
            case {"put": n}:
                self.value = n
            case _:
                raise ValueError("on purpose")


class Works:
    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.server = supervisor.spawn(Counter)
        self.kept: list[Any] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await self.server.ask({"add": number})

    async def callers(self, count: int) -> None:
        await at_once(self.call, CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            await self.server.send({"put": number})
        await self.call(1)

    async def start(self, count: int) -> None:
        """A name belongs to a class, and there is one actor of a name."""
        kinds = [actor(name=str(number))(type("Counter", (Counter,), {})) for number in range(count)]
        self.kept = [self.supervisor.spawn(kind) for kind in kinds]
        for server in self.kept:
            await server.ask({"add": 1})

    async def crash(self, count: int) -> None:
        for _ in range(count):
            await self.server.send({})
            await self.call(1)


async def main() -> None:
    logging.disable()
    async with Node(f"counters@{LOOPBACK}"):
        works = Works(Supervisor(max_restarts=1_000_000))
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
