"""A named counter crashes, its caller hears of it at once, its supervisor starts it again under its name.

Run it with `python examples/crash_and_heal.py [asyncio|trio]`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

import anyio
import anyio.lowlevel

from regrow import ChildSpec, GenServer, Name, Node, ServerExited, Supervisor, call, child, start_link


class Counter(GenServer):
    def __init__(self, value: int = 0) -> None:
        self.value = value

    @call
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @call
    async def divide(self, n: int) -> int:
        self.value //= n
        return self.value


class CounterSup(Supervisor):
    intensity = 3
    period = 10.0

    def init(self) -> Iterable[ChildSpec]:
        return [child(Counter, 5).named("counter")]


COUNTER = Name("counter", Counter)


async def main() -> None:
    async with Node():
        await start_link(CounterSup)
        print(f"5 + 3 = {await Counter.add(COUNTER, 3)}")
        try:
            await Counter.divide(COUNTER, 0)
        except ServerExited as error:
            print(f"the counter crashed, and we know at once: {error.reason}")
        print(f"it is back under its name, from a known state: 5 + 1 = {await restarted_add(1)}")


async def restarted_add(n: int) -> int:
    """Add to the counter as soon as its supervisor has it up again."""
    while True:
        try:
            return await Counter.add(COUNTER, n)
        except LookupError:
            await anyio.lowlevel.checkpoint()


if __name__ == "__main__":
    logging.basicConfig(format="  log: %(message)s", level=logging.WARNING)
    logging.getLogger("regrow").addFilter(lambda record: setattr(record, "exc_info", None) is None)
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
