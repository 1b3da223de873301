"""casty: an actor that is an async function, addressed by its key, told and asked.

The value is the body's own, as in the other subjects, and not the saved state of its README, which costs half as much
again. A body that raised runs again after 100 ms, unless told otherwise.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from casty import ActorSystem, Askable, Context, Ref, actor

from benchmarks.speed.rounds import CALLERS, at_once, run, serve


@dataclass(frozen=True)
class Add(Askable[int]):
    n: int


@dataclass(frozen=True)
class Put:
    n: int


@dataclass(frozen=True)
class Crash: ...


async def body(ctx: Context[int, Add | Put | Crash]) -> None:
    value = ctx.state.value
    async for message in ctx.inbox:
        match message:
            case Add(n):
                value += n
                message.reply_to.tell(value)
            case Put(n):
                value = n
            case Crash():
                raise ValueError("on purpose")


@actor(initial=0)
async def counter(ctx: Context[int, Add | Put | Crash]) -> None:
    await body(ctx)


class Works:
    def __init__(self, system: ActorSystem, server: Ref[Add | Put | Crash]) -> None:
        self.system = system
        self.server = server
        self.kept: list[Ref[Add | Put | Crash]] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await self.server.ask(Add(number))

    async def callers(self, count: int) -> None:
        await at_once(self.call, CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            self.server.tell(Put(number))
        await self.server.ask(Add(1))

    async def start(self, count: int) -> None:
        self.kept = [self.system.ref(counter, str(number)) for number in range(count)]
        for server in self.kept:
            await server.ask(Add(1))

    async def crash(self, count: int) -> None:
        for _ in range(count):
            self.server.tell(Crash())
            await self.server.ask(Add(1))


async def main() -> None:
    logging.disable()
    async with ActorSystem() as system:
        works = Works(system, system.ref(counter, "counter"))
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
