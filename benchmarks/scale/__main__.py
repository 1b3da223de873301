"""Counts what the nodes of a mesh say, and measures what the processes of a node take; prints a table of each.

What is counted is the same on every machine; what is measured is not.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence

import trio

from benchmarks.report import machine, table

from .elections import elections
from .mesh import mesh_of
from .processes import KINDS, Found
from .said import Occasion

NODES = (10, 20, 50, 100)
ELECTIONS = (100, 200, 500)
PROCESSES = (10_000, 100_000, 1_000_000)
LOOPS = ("asyncio", "trio")
PARTS = ("mesh", "elections", "processes")
HEAD = (
    "what", "loop", "how many", "start, µs each", "idle, bytes each", "call, µs", "cast, µs", "restart, µs",
    "end, µs each",
)  # fmt: skip


def counted(what: str, counts: Sequence[int], run: Callable[[int], list[Occasion]]) -> None:
    """A table of messages, one column for each number of nodes; and for the largest number, of which kinds they are."""
    columns: list[list[Occasion]] = []
    for count in counts:
        columns.append(run(count))
        print(f"counted: {what} of {count} nodes", file=sys.stderr)
    rows = [[occasions[0].what, *(each.cell() for each in occasions)] for occasions in zip(*columns, strict=True)]
    print(table([f"{what}: messages of the busiest node / of each other", *map(str, counts)], rows))
    print(f"\nOf {counts[-1]} nodes, by kind:\n")
    for each in columns[-1]:
        print(f"- {each.what}: {'; '.join(each.kinds()) or 'nothing'}")
    print()


def processes(loops: Sequence[str], counts: Sequence[int]) -> None:
    """A table of what processes take, each run in an interpreter of its own."""
    rows: list[list[str]] = []
    for loop in loops:
        for kind in KINDS:
            for count in counts:
                rows.append([kind, loop, f"{count:,}", *_cells(_run(loop, kind, count))])
                print(f"measured: {kind} {count} ({loop})", file=sys.stderr)
    print(table(HEAD, rows))


def _run(loop: str, kind: str, count: int) -> Found:
    command = [sys.executable, "-m", "benchmarks.scale.processes", loop, kind, str(count)]
    return Found(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def _cells(found: Found) -> list[str]:
    return [
        f"{found.start_us:.1f}", f"{found.size_bytes:.0f}", f"{found.call_us:.2f}", f"{found.cast_us:.2f}",
        f"{found.restart_us:.1f}", f"{found.end_us:.1f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/benchmark scale", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="the mesh, its elections alone, or processes")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, help="sizes of the mesh, at least 5")
    parser.add_argument("--elections", type=int, nargs="+", default=ELECTIONS, help="sizes for elections alone")
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES, help="how many processes a node holds")
    parser.add_argument("--loop", choices=LOOPS, action="append", help="of the node that holds them (both)")
    parser.add_argument("--quick", action="store_true", help="everything small, to see that it runs")
    asked = parser.parse_args()
    if asked.quick:
        asked.nodes, asked.elections, asked.processes = [6], [12], [300]
    parts = asked.only or PARTS
    logging.disable()
    print(f"{machine('regrow', 'anyio', 'trio')}\n")
    if "mesh" in parts:
        counted("mesh", asked.nodes, lambda count: trio.run(mesh_of, count))
    if "elections" in parts:
        counted("elections alone", asked.elections, elections)
    if "processes" in parts:
        processes(asked.loop or LOOPS, asked.processes)


if __name__ == "__main__":
    main()
