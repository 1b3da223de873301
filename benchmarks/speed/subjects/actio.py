"""actio: an actor that is told messages. It has no ask: who wants an answer sends a future along."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from actio import Actor, ActorRef, ActorSystem

from benchmarks.speed.rounds import CALLERS, at_once, run, serve

Message: TypeAlias = tuple[int, asyncio.Future[int] | None]


class Counter(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.value = 0

    async def receive(self, sender: ActorRef, message: Message) -> None:
        number, reply = message
        self.value += number
        if reply is not None:
            reply.set_result(self.value)


class Works:
    def __init__(self) -> None:
        self.system: Any = ActorSystem()
        self.server = self.system.create(Counter())
        self.kept: list[ActorRef] = []

    async def ask(self, server: ActorRef, number: int) -> int:
        reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.system.tell(server, (number, reply))
        return await reply

    async def call(self, count: int) -> None:
        for number in range(count):
            await self.ask(self.server, number)

    async def callers(self, count: int) -> None:
        await at_once(self.call, CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            self.system.tell(self.server, (number, None))
        await self.ask(self.server, 1)

    async def start(self, count: int) -> None:
        self.kept = [self.system.create(Counter(), name=str(number)) for number in range(count)]
        for server in self.kept:
            await self.ask(server, 1)


async def main() -> None:
    works = Works()
    await serve({"call": works.call, "callers": works.callers, "cast": works.cast, "start": works.start})
    await works.system.shutdown(timeout=5.0)


if __name__ == "__main__":
    run(main)
