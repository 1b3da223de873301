"""The side of a subject: it is told on standard input what to do, does it, and says how long it took.

It runs in an interpreter of its own, so that nothing of one implementation is in the way of another.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import anyio

CALLERS = 100

Work: TypeAlias = Callable[[int], Awaitable[None]]
"""Does so many operations, and returns when the last is done."""


async def serve(works: Mapping[str, Work]) -> None:
    """Do what is asked until there is nothing more to do: `call 20000`. The answer is seconds, and bytes kept."""
    print(json.dumps(sorted(works)), flush=True)
    for line in sys.stdin:
        what, count = line.split()
        gc.collect()
        memory = resident_bytes()
        began = time.perf_counter()
        await works[what](int(count))
        took = time.perf_counter() - began
        gc.collect()
        print(json.dumps({"seconds": took, "bytes": resident_bytes() - memory}), flush=True)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run the program of a subject on the loop that its command line names: asyncio, uvloop or trio."""
    loop = sys.argv[1]
    options = {"use_uvloop": True} if loop == "uvloop" else {}
    anyio.run(main, backend="trio" if loop == "trio" else "asyncio", backend_options=options)


def resident_bytes() -> int:
    """The memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
