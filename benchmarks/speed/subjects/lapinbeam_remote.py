"""lapinbeam: an actor of another node. One-way messages fit into the queue for the peer: beyond it they would fail."""

from __future__ import annotations

import logging
from typing import Any

from lapinbeam import Node, Supervisor

from benchmarks.speed.rounds import REMOTE_CALLERS, at_once, run_pair, serve, until_caller_ends
from benchmarks.speed.subjects.lapinbeam import LOOPBACK, Counter

QUEUE = 1_000_000


class Works:
    def __init__(self, server: Any) -> None:
        self.server = server

    async def call(self, count: int) -> None:
        for number in range(count):
            await self.server.ask({"add": number})

    async def callers(self, count: int) -> None:
        await at_once(self.call, REMOTE_CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            await self.server.send({"put": number})
        await self.call(1)


async def server() -> None:
    logging.disable()
    async with Node(f"server@{LOOPBACK}") as node:
        Supervisor().spawn(Counter)
        await until_caller_ends(node.local_id)


async def caller(address: str) -> None:
    logging.disable()
    async with Node(f"caller@{LOOPBACK}", peer_queue_capacity=QUEUE) as node:
        await node.connect_peer(address)
        works = Works(node.get_remote_actor(address, "counter"))
        await serve({"remote call": works.call, "remote callers": works.callers, "remote cast": works.cast})


if __name__ == "__main__":
    run_pair(server, caller)
