"""Measures nodes in threads of one interpreter: what a second one gives, for interpreters that are free-threaded.

Without free threading it gives nothing, of course; that is what the figure is compared with.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from functools import partial

import anyio

from benchmarks.report import machine, median_ratio, table
from regrow import Node

from . import loads

ROUNDS = 7
WORKS = {"computations": (loads.compute, 2_000), "calls, 64 callers": (loads.converse, 32_000)}


async def life(begin: threading.Barrier, what: str, part: float) -> None:
    """A node that does so much when all are there."""
    work, count = WORKS[what]
    async with Node(watchdog=None):
        await loads.prepare()
        begin.wait()
        await work(int(count * part))


def rate(threads: int, what: str, backend: str, part: float) -> float:
    """Operations a second, of so many nodes together."""
    began: list[float] = []
    begin = threading.Barrier(threads + 1, lambda: began.append(time.perf_counter()))  # before the first one goes on
    target = partial(anyio.run, life, begin, what, part, backend=backend)
    running = [threading.Thread(target=target) for _ in range(threads)]
    for thread in running:
        thread.start()
    begin.wait()
    for thread in running:
        thread.join()
    return threads * int(WORKS[what][1] * part) / (time.perf_counter() - began[0])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    asked = arguments.parse_args()
    logging.disable()
    rounds, part = (1, 0.01) if asked.quick else (asked.rounds, 1.0)
    rows: list[list[str]] = []
    for backend in ("asyncio", "trio"):
        for what in WORKS:
            pairs = [(rate(1, what, backend, part), rate(2, what, backend, part)) for _ in range(rounds)]
            alone, both = zip(*pairs, strict=True)
            rows.append([what, backend, f"{max(alone):.0f}", f"{max(both):.0f}", f"{median_ratio(both, alone):.2f}"])
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"{machine('regrow', 'anyio', 'trio')}; {'one' if has_lock else 'no'} interpreter lock")
    print()
    print(table(("done in a second", "loop", "1 thread", "2 threads", "times"), rows))


if __name__ == "__main__":
    main()
