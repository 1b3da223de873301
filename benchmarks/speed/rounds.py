"""The side of a subject: it is told on standard input what to do, does it, and says how long it took.

It runs in an interpreter of its own, so that nothing of one implementation is in the way of another. One that calls
over the network starts its own program once more, as the side that serves.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

CALLERS = 100
REMOTE_CALLERS = 64
SERVE = "serve"
ADDRESS_BYTES_MAX = 1000

Work: TypeAlias = Callable[[int], Coroutine[Any, Any, None]]
"""Does so many operations, and returns when the last is done."""


async def serve(works: Mapping[str, Work]) -> None:
    """Do what is asked until there is nothing more to do: `call 20000`. The answer is seconds, and bytes kept."""
    print(json.dumps(sorted(works)), flush=True)
    # In a thread, so that what a library does by itself meanwhile, such as telling other nodes that it lives, goes on.
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        what, _, count = line.strip().rpartition(" ")
        gc.collect()
        memory = resident_bytes()
        began = time.perf_counter()
        await works[what](int(count))
        took = time.perf_counter() - began
        gc.collect()
        print(json.dumps({"seconds": took, "bytes": resident_bytes() - memory}), flush=True)


async def at_once(work: Work, callers: int, count: int) -> None:
    """So many tasks, each of which does its part of the work."""
    async with anyio.create_task_group() as group:
        for _ in range(callers):
            group.start_soon(work, count // callers)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the program of a subject on the loop that its command line names: asyncio, uvloop or trio."""
    loop = sys.argv[1]
    options = {"use_uvloop": True} if loop == "uvloop" else {}
    anyio.run(main, backend="trio" if loop == "trio" else "asyncio", backend_options=options)


def run_pair(
    server: Callable[[], Coroutine[Any, Any, None]], caller: Callable[[str], Coroutine[Any, Any, None]]
) -> None:
    """Run a subject of two operating-system processes: `caller` is given the address that `server` says it has."""
    run(server if SERVE in sys.argv else partial(_beside_server, caller))


async def until_caller_ends(address: str) -> None:
    """What a server does when it is up: it says its address, and goes on until the other side ends, in whatever way."""
    print(address, flush=True)
    await anyio.to_thread.run_sync(sys.stdin.read)


async def _beside_server(caller: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    program = sys.modules["__main__"].__spec__
    assert program is not None, "run with -m"
    command = [sys.executable, "-m", program.name, sys.argv[1], SERVE]
    async with await anyio.open_process(command, stdin=subprocess.PIPE, stderr=None) as server:
        assert server.stdout is not None, "a pipe"
        said = await BufferedByteReceiveStream(server.stdout).receive_until(b"\n", ADDRESS_BYTES_MAX)
        await caller(said.decode())


def resident_bytes() -> int:
    """The memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
