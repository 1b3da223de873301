"""One node that holds so many idle processes: what each takes, and what is done among them.

It runs in an interpreter of its own, so that nothing of one run is in the way of another:
`python -m benchmarks.scale.processes trio GenServer 1000000` says what it found in one line of JSON.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack

import attrs
from anyio.lowlevel import checkpoint

from benchmarks.speed.rounds import resident_bytes, run
from regrow import (
    DynamicSupervisor,
    GenServer,
    Kill,
    Node,
    Pid,
    ServerRef,
    call,
    cast,
    child,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
)
from regrow._pure.config import NodeConfig

KINDS = ("spawn", "GenServer")
AMONG = 2_000  # times each operation is measured among them
TURN = 256  # processes that are spawned before they get to run
STOP_S = 3600.0  # nobody is killed because there are so many


@attrs.frozen
class Found:
    """What one run has found; microseconds of processor time, of one operation."""

    start_us: float
    size_bytes: float
    call_us: float
    cast_us: float
    restart_us: float
    end_us: float


class Counter(GenServer):
    """Is talked to among the others."""

    def __init__(self) -> None:
        self.value = 0

    @call
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @cast
    async def put(self, n: int) -> None:
        self.value = n


class Mortal(GenServer):
    """Says that it is there, so that it can be killed."""

    def __init__(self, killer: Pid) -> None:
        self.killer = killer

    async def init(self) -> None:
        send(self.killer, self_pid())


class Pool(DynamicSupervisor):
    """Restarts as often as it takes."""

    intensity = 1_000_000


class Idle(GenServer):
    """Has nothing to do."""


async def idle() -> None:
    await receive()


async def spawn_idle(count: int) -> list[Pid]:
    """So many processes, each of which has come to where it waits."""
    spawned: list[Pid] = []
    for number in range(count):
        spawned.append(spawn(idle))
        if number % TURN == 0:
            await checkpoint()
    await checkpoint()
    await checkpoint()
    return spawned


async def start_idle(count: int) -> list[ServerRef[Idle]]:
    return [await start(Idle) for _ in range(count)]


async def calls(counter: ServerRef[Counter], count: int) -> None:
    for number in range(count):
        await Counter.add(counter, number)


async def casts(counter: ServerRef[Counter], count: int) -> None:
    for number in range(count):
        Counter.put(counter, number)
    await Counter.add(counter, 1)


async def restarts(count: int) -> None:
    """From a kill to the one that was started instead."""
    pid = await receive(Pid)
    for _ in range(count):
        send_exit(pid, Kill())
        pid = await receive(Pid)


async def timed_us(work: Awaitable[object], count: int) -> float:
    """What one of so many operations takes of the processor: what else the machine does meanwhile does not count."""
    gc.collect()
    began = time.process_time()
    await work
    return (time.process_time() - began) / count * 1e6


async def found(kind: str, count: int) -> Found:
    """Start them, do something among them, and leave the node, which ends them."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Node(config=NodeConfig(shutdown_timeout=STOP_S), watchdog=None))
        counter = await start(Counter)
        await DynamicSupervisor.start_child(await start_link(Pool), child(Mortal, self_pid()))
        memory = resident_bytes()
        start_us = await timed_us(start_idle(count) if kind == "GenServer" else spawn_idle(count), count)
        gc.collect()
        size_bytes = (resident_bytes() - memory) / count
        call_us = await timed_us(calls(counter, AMONG), AMONG)
        cast_us = await timed_us(casts(counter, AMONG), AMONG)
        restart_us = await timed_us(restarts(AMONG), AMONG)
        end_us = await timed_us(stack.aclose(), count)
    return Found(start_us, size_bytes, call_us, cast_us, restart_us, end_us)


async def main() -> None:
    logging.disable()
    _program, _loop, kind, count = sys.argv
    print(json.dumps(attrs.asdict(await found(kind, int(count)))))


if __name__ == "__main__":
    run(main)
