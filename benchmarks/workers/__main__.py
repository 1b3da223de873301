"""Measures what a second node on a second core gives, and what a message between two nodes of a machine costs.

The nodes are started as `regrow run --workers 2` starts them, once for each loop and each way between them, and take
turns, so that a machine that slows down slows all of them. A ratio is taken within a round, and of the rounds the
median.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import attrs

from benchmarks.report import machine, median_ratio, table
from regrow import Node, NodeUp, ServerRef, connect, monitor_nodes, receive, whereis, workers
from regrow.peer import Options, Peer, PeerServer

from . import loads

ROUNDS = 7
LOOPS = {
    "asyncio": Options(backend="asyncio"),
    "uvloop": Options(loop="uvloop"),
    "trio": Options(backend="trio"),
}


@attrs.frozen
class Load:
    """One kind of work, so many times of it for each node."""

    what: str
    count: int
    do: Callable[[Peer, Peer, int], Coroutine[Any, Any, None]]


SHARED = (  # what each node does for itself
    Load("computations", 4_000, lambda one, _, count: one.call(loads.compute, count, timeout=None)),
    Load("calls, 64 callers", 60_000, lambda one, _, count: one.call(loads.converse, count, timeout=None)),
)
BETWEEN = (  # what one node asks of another
    Load("call", 3_000, lambda one, other, count: one.call(loads.ask, other.name, 1, count, timeout=None)),
    Load("64 callers, each", 12_800, lambda one, other, n: one.call(loads.ask, other.name, 64, n, timeout=None)),
    Load("cast", 20_000, lambda one, other, count: one.call(loads.tell, other.name, count, timeout=None)),
)


@asynccontextmanager
async def two_workers(name: str, options: Options) -> AsyncIterator[tuple[Peer, Peer]]:
    """Two of them, connected with each other; stopped at the end."""
    async with Node(name, cookie="benchmark"):
        monitor_nodes()
        given = Options(cookie="benchmark", portable=[loads.__name__], log="error")
        given.update(options)
        await workers.start_link(2, **given)
        peers: list[Peer] = []
        for node in sorted([(await receive(NodeUp)).node, (await receive(NodeUp)).node]):
            pid = whereis(node)
            assert pid is not None, "the server of a worker has its name"
            peers.append(await PeerServer.peer(ServerRef(pid, PeerServer)))
            await connect(node)
            await peers[-1].call(loads.prepare)
        yield peers[0], peers[1]


async def seconds(load: Load, pairs: Sequence[tuple[Peer, Peer]], count: int) -> float:
    """What it takes until each first one of a pair has done it, all at the same time."""
    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for one, other in pairs:
            group.start_soon(load.do, one, other, count)
    return time.perf_counter() - began


async def shared(loop: str, rounds: int, part: float) -> list[list[str]]:
    """Operations a second, of one node and of two."""
    rows: list[list[str]] = []
    async with two_workers("w@localhost", LOOPS[loop]) as (one, other):
        for load in SHARED:
            count = math.ceil(load.count * part)
            alone: list[float] = []
            both: list[float] = []
            for _ in range(rounds):
                alone.append(count / await seconds(load, [(one, other)], count))
                both.append(2 * count / await seconds(load, [(one, other), (other, one)], count))
            rows.append([load.what, loop, f"{max(alone):.0f}", f"{max(both):.0f}", f"{median_ratio(both, alone):.2f}"])
    return rows


async def between(loop: str, rounds: int, part: float) -> list[list[str]]:
    """Microseconds of an operation, by TCP and by Unix sockets."""
    rows: list[list[str]] = []
    async with AsyncExitStack() as stack:
        tcp = await stack.enter_async_context(two_workers("t@localhost", {**LOOPS[loop], "unix": "off"}))
        unix = await stack.enter_async_context(two_workers("u@localhost", {**LOOPS[loop], "unix": "only"}))
        for load in BETWEEN:
            count = math.ceil(load.count * part / loads.CALLERS) * loads.CALLERS
            by_tcp: list[float] = []
            by_unix: list[float] = []
            for _ in range(rounds):
                by_tcp.append(await seconds(load, [tcp], count) / count * 1e6)
                by_unix.append(await seconds(load, [unix], count) / count * 1e6)
            rows.append(
                [load.what, loop, f"{min(by_tcp):.1f}", f"{min(by_unix):.1f}", f"{median_ratio(by_unix, by_tcp):.2f}"]
            )
    return rows


async def measure(loops: Sequence[str], rounds: int, part: float) -> None:
    scaling = [row for loop in loops for row in await shared(loop, rounds, part)]
    ways = [row for loop in loops for row in await between(loop, rounds, part)]
    print(machine("regrow", "anyio", "trio", "uvloop"))
    print()
    print(table(("done in a second", "loop", "1 node", "2 nodes", "times"), scaling))
    print()
    print(table(("between two nodes", "loop", "TCP, µs", "Unix, µs", "ratio"), ways))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--loop", choices=LOOPS, action="append", help="these alone")
    arguments.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    asked = arguments.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REGROW_RUNTIME_DIR"] = folder
        anyio.run(measure, asked.loop or list(LOOPS), 1 if asked.quick else asked.rounds, 0.01 if asked.quick else 1.0)


if __name__ == "__main__":
    main()
