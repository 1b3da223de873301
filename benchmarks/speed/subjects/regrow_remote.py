"""regrow: a server of another node, found by its name."""

from __future__ import annotations

import logging

from benchmarks.speed.rounds import REMOTE_CALLERS, at_once, run_pair, serve, until_caller_ends
from benchmarks.speed.subjects.regrow import Counter
from regrow import Name, Node, child, connect, start_link

COOKIE = b"of this benchmark"


class Works:
    def __init__(self, node: str) -> None:
        self.server = Name("counter", Counter).at(node)

    async def call(self, count: int) -> None:
        for number in range(count):
            await Counter.add(self.server, number)

    async def callers(self, count: int) -> None:
        await at_once(self.call, REMOTE_CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            Counter.put(self.server, number)
        await Counter.add(self.server, 1)


async def server() -> None:
    logging.disable()
    async with Node("server@localhost", cookie=COOKIE) as node:
        await start_link(child(Counter).named("counter"))
        await until_caller_ends(node.name)


async def caller(address: str) -> None:
    logging.disable()
    async with Node("caller@localhost", cookie=COOKIE):
        await connect(address)
        works = Works(address)
        await serve({"remote call": works.call, "remote callers": works.callers, "remote cast": works.cast})


if __name__ == "__main__":
    run_pair(server, caller)
