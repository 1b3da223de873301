"""casty: an actor pinned to the other node of a cluster of two."""

from __future__ import annotations

import logging

import anyio
from casty import ActorSystem, Cluster, Context, Ref, actor

from benchmarks.speed.rounds import REMOTE_CALLERS, at_once, run_pair, serve, until_caller_ends
from benchmarks.speed.subjects.casty import Add, Crash, Put, body

ANY_PORT = "127.0.0.1:0"


@actor(initial=0, pinned=True)
async def counter(ctx: Context[int, Add | Put | Crash]) -> None:
    await body(ctx)


class Works:
    def __init__(self, server: Ref[Add | Put | Crash]) -> None:
        self.server = server

    async def call(self, count: int) -> None:
        for number in range(count):
            await self.server.ask(Add(number))

    async def callers(self, count: int) -> None:
        await at_once(self.call, REMOTE_CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            self.server.tell(Put(number))
        await self.server.ask(Add(1))


async def server() -> None:
    logging.disable()
    async with ActorSystem(cluster=Cluster(ANY_PORT)) as system:
        address = system.node.address
        assert address is not None, "it is in a cluster"
        await until_caller_ends(address)


async def caller(address: str) -> None:
    logging.disable()
    async with ActorSystem(cluster=Cluster(ANY_PORT, seeds=(address,))) as system:
        while len(system.members) < 2:
            await anyio.sleep(0.01)
        works = Works(system.ref(counter, "counter", at=address))
        await serve({"remote call": works.call, "remote callers": works.callers, "remote cast": works.cast})


if __name__ == "__main__":
    run_pair(server, caller)
