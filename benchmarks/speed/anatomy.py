"""Where the microseconds of a call go: the same call with one part more in each line.

`python -m benchmarks.speed.anatomy asyncio`, or `trio`, or `uvloop`; with `--quick`, in short. Each line is the best of
several rounds in turn; what counts is the processor's time, so that others on the machine do not.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Mapping

import anyio

from benchmarks.report import table
from benchmarks.speed.rounds import CALLERS, Work, at_once, run
from benchmarks.speed.subjects.raw import Server as Floor
from regrow import GenServer, Node, ServerRef, call, start_link
from regrow.gen import request
from regrow.messages import NO_KWARGS, Call
from regrow.runtime import Process

QUICK = "--quick"
ROUNDS = 1 if QUICK in sys.argv else 9
CALLS = 200 if QUICK in sys.argv else 20_000


class Counter(GenServer):
    def __init__(self) -> None:
        self.value = 0

    @call(timeout=None)
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @call
    async def add_in_time(self, n: int) -> int:
        self.value += n
        return self.value

    @call
    def add_in_place(self, n: int) -> int:
        self.value += n
        return self.value


class Steps:
    """From a bare message to all that a call is."""

    def __init__(self, floor: Floor, server: ServerRef[Counter], process: Process) -> None:
        self.floor, self.server, self.process = floor, server, process

    def by_name(self) -> Mapping[str, Work]:
        return {
            "two tasks, a deque and a promise: the floor": self.floor.call,
            "an envelope, and the server's loop, with a handler that is a coroutine": self.envelope,
            "the caller's side: who calls, is that allowed, what became of it": self.asked,
            "typed": self.typed,
            "with a timeout": self.in_time,
            "in place, instead of all that": self.in_place,
        }

    async def envelope(self, count: int) -> None:
        promise, mailbox = self.process.runtime.backend.promise, self.process.mailbox
        for number in range(count):
            envelope = Call(None, promise(), "add", (number,), NO_KWARGS)
            mailbox.post(envelope)
            await envelope.promise

    async def asked(self, count: int) -> None:
        for number in range(count):
            await request(self.server, "add", (number,), NO_KWARGS, None)

    async def typed(self, count: int) -> None:
        for number in range(count):
            await Counter.add(self.server, number)

    async def in_time(self, count: int) -> None:
        for number in range(count):
            await Counter.add_in_time(self.server, number)

    async def in_place(self, count: int) -> None:
        for number in range(count):
            await Counter.add_in_place(self.server, number)


async def best_us(steps: Mapping[str, Work], callers: int) -> list[float]:
    """The microseconds that each takes."""
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, work in steps.items():
            gc.collect()
            began = time.process_time()
            await at_once(work, callers, CALLS)
            best[name] = min(best[name], (time.process_time() - began) / CALLS * 1e6)
    return [*best.values()]


async def main() -> None:
    async with Node() as node, anyio.create_task_group() as group:
        floor = Floor()
        group.start_soon(floor.run)
        server = await start_link(Counter)
        steps = Steps(floor, server, node.runtime.processes[server.pid]).by_name()
        one, many = await best_us(steps, 1), await best_us(steps, CALLERS)
        rows = [[name, f"{a:.2f}", f"{b:.2f}"] for name, a, b in zip(steps, one, many, strict=True)]
        print(table(["a call, in µs", "one caller", f"{CALLERS} callers"], rows))
        group.cancel_scope.cancel()


if __name__ == "__main__":
    run(main)
