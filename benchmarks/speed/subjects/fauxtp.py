"""fauxtp: a GenServer in a task group, called and cast as its README shows."""

from __future__ import annotations

from typing import Any

import anyio
from fauxtp import GenServer, call, cast

from benchmarks.speed.rounds import CALLERS, run, serve


class Counter(GenServer):
    async def init(self) -> dict[str, int]:
        return {"value": 0}

    async def handle_call(self, request: Any, _from: Any, state: dict[str, int]) -> Any:
        value = state["value"] + request
        return value, {"value": value}

    async def handle_cast(self, request: Any, state: dict[str, int]) -> dict[str, int]:
        return {"value": request}


class Works:
    def __init__(self, group: anyio.abc.TaskGroup, server: Any) -> None:
        self.group = group
        self.server = server
        self.kept: list[Any] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await call(self.server, number)

    async def callers(self, count: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(self.call, count // CALLERS)

    async def cast(self, count: int) -> None:
        for number in range(count):
            await cast(self.server, number)
        await call(self.server, 1)

    async def start(self, count: int) -> None:
        self.kept = [await Counter.start(task_group=self.group) for _ in range(count)]


async def main() -> None:
    async with anyio.create_task_group() as group:
        works = Works(group, await Counter.start(task_group=group))
        await serve({"call": works.call, "callers": works.callers, "cast": works.cast, "start": works.start})
        group.cancel_scope.cancel()


if __name__ == "__main__":
    run(main)
