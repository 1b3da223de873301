"""fauxtp: a GenServer in a task group, called and cast as its README shows; a supervisor with its registry."""

from __future__ import annotations

import logging
from typing import Any

import anyio
from fauxtp import GenServer, call, cast
from fauxtp.registry import Registry
from fauxtp.supervisor import ChildSpec, Supervisor

from benchmarks.speed.rounds import CALLERS, at_once, run, serve

CRASH = "crash"


class Counter(GenServer):
    async def init(self) -> dict[str, int]:
        return {"value": 0}

    async def handle_call(self, request: Any, _from: Any, state: dict[str, int]) -> Any:
        value = state["value"] + request
        return value, {"value": value}

    async def handle_cast(self, request: Any, state: dict[str, int]) -> dict[str, int]:
        if request == CRASH:
            raise ValueError("on purpose")
        return {"value": request}


class Works:
    def __init__(self, group: anyio.abc.TaskGroup, server: Any, registry: Any) -> None:
        self.group = group
        self.server = server
        self.registry = registry
        self.kept: list[Any] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await call(self.server, number)

    async def callers(self, count: int) -> None:
        await at_once(self.call, CALLERS, count)

    async def cast(self, count: int) -> None:
        for number in range(count):
            await cast(self.server, number)
        await call(self.server, 1)

    async def start(self, count: int) -> None:
        self.kept = [await Counter.start(task_group=self.group) for _ in range(count)]

    async def crash(self, count: int) -> None:
        """Who is to answer is found in the registry, again and again until it is another."""
        crashing = await self._find_another_than(None)
        for _ in range(count):
            await cast(crashing, CRASH)
            crashing = await self._find_another_than(crashing)
            await call(crashing, 1)

    async def _find_another_than(self, crashed: Any) -> Any:
        while (found := await call(self.registry, ("get", "crashing"))) in (None, crashed):
            pass
        return found


async def main() -> None:
    logging.disable()
    async with anyio.create_task_group() as group:
        registry = await Registry.start(task_group=group)
        await Supervisor.start(children=[ChildSpec(Counter, "crashing")], registry=registry, task_group=group)
        works = Works(group, await Counter.start(task_group=group), registry)
        await serve(
            {
                "call": works.call,
                "callers": works.callers,
                "cast": works.cast,
                "start": works.start,
                "crash": works.crash,
            }
        )
        group.cancel_scope.cancel()


if __name__ == "__main__":
    run(main)
