"""The floor: two tasks, a deque, and the event loop's own way to wait for a value. No names, no ends, no timeouts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Protocol

import anyio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from benchmarks.speed.rounds import CALLERS, at_once, run, serve


class Value(Protocol):
    """One value to come, as its loop has it: a future of asyncio, or a parked task of trio."""

    def set_result(self, value: Any, /) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


class Parked:
    """A task of trio that waits for a value."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.value: Any = None

    def set_result(self, value: Any, /) -> None:
        self.value = value
        if self.task is not None:
            reschedule(self.task)

    def __await__(self) -> Generator[Any, Any, Any]:
        self.task = current_task()
        yield from wait_task_rescheduled(lambda _: Abort.SUCCEEDED).__await__()
        return self.value


def maker_of_values() -> Callable[[], Value]:
    """What makes such values on the loop that runs."""
    try:
        return asyncio.get_running_loop().create_future
    except RuntimeError:
        return Parked


class Server:
    """Answers what lies in its queue, and waits when it is empty."""

    def __init__(self) -> None:
        self.value = maker_of_values()
        self.queue: deque[tuple[int, Value | None]] = deque()
        self.waiter: Value | None = None

    async def run(self) -> None:
        while True:
            while not self.queue:
                self.waiter = self.value()
                await self.waiter
            number, reply = self.queue.popleft()
            if reply is not None:
                reply.set_result(number)

    def post(self, number: int, reply: Value | None) -> None:
        self.queue.append((number, reply))
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter.set_result(None)

    async def call(self, count: int) -> None:
        for number in range(count):
            reply = self.value()
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
