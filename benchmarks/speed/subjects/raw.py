"""The floor: two tasks, a deque, and the event loop's own way to wait for a value. No names, no ends, no timeouts."""

from __future__ import annotations

from collections import deque

import anyio

from benchmarks.speed.rounds import CALLERS, at_once, run, serve
from regrow._backends import running_backend
from regrow.messages import Promise


class Server:
    """Answers what lies in its queue, and waits when it is empty."""

    def __init__(self) -> None:
        self.backend = running_backend()
        self.queue: deque[tuple[int, Promise | None]] = deque()
        self.waiter: Promise | None = None

    async def run(self) -> None:
        while True:
            while not self.queue:
                self.waiter = self.backend.promise()
                await self.waiter
            number, reply = self.queue.popleft()
            if reply is not None:
                reply.set_result(number)

    def post(self, number: int, reply: Promise | None) -> None:
        self.queue.append((number, reply))
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter.set_result(None)

    async def call(self, count: int) -> None:
        for number in range(count):
            reply = self.backend.promise()
            self.post(number, reply)
            await reply

    async def callers(self, count: int) -> None:
        await at_once(self.call, CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            self.post(number, None)
        await self.call(1)


async def main() -> None:
    server = Server()
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        await serve({"call": server.call, "callers": server.callers, "cast": server.cast})
        group.cancel_scope.cancel()


if __name__ == "__main__":
    run(main)
