"""Runs every subject in an interpreter of its own, in turn, round after round, and prints one table.

The machine's speed drifts, so a ratio is taken within a round, and of the rounds the median. The order of the
subjects turns by one from round to round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any, TextIO

import attrs

from benchmarks.report import machine, table

ROUNDS = 7
HEAD = ("what", "call, µs", "100 callers, µs each", "cast, µs", "start, µs", "idle, bytes", "crash to answer, µs")


@attrs.frozen
class Column:
    """One kind of work."""

    work: str
    operations: int

    def per_operation_us(self, seconds: float) -> float:
        return seconds / self.operations * 1e6


COLUMNS = (Column("call", 20_000), Column("callers", 20_000), Column("cast", 20_000), Column("start", 10_000))
CRASH = Column("crash", 500)
FLOORED = ("call", "callers", "cast")  # of which there is a floor


@attrs.frozen
class Subject:
    """An implementation on an event loop."""

    name: str
    module: str
    loop: str
    package: str | None = None
    """What has to be installed for it."""

    @property
    def is_here(self) -> bool:
        needed = [self.package, None if self.loop == "asyncio" else self.loop]
        return all(find_spec(package) is not None for package in needed if package is not None)


OURS = [Subject(f"regrow, {loop}", "ours", loop) for loop in ("asyncio", "uvloop", "trio")]
FLOORS = [Subject(f"the floor, {loop}", "raw", loop) for loop in ("asyncio", "uvloop", "trio")]
PEERS = [
    Subject("async-pykka", "async_pykka", "asyncio", "async_pykka"),
    Subject("pykka, threads", "pykka", "asyncio", "pykka"),
    Subject("otpylib", "otpylib", "asyncio", "otpylib"),
    Subject("fauxtp, asyncio", "fauxtp", "asyncio", "fauxtp"),
    Subject("fauxtp, trio", "fauxtp", "trio", "fauxtp"),
]


@attrs.define(eq=False)
class Running:
    """A subject that waits to be told what to do, and what it has said so far."""

    subject: Subject
    to: TextIO
    out: TextIO
    works: Sequence[str]
    seconds: dict[str, list[float]] = attrs.field(factory=dict[str, list[float]])
    idle_bytes: list[float] = attrs.field(factory=list[float])

    def do(self, column: Column) -> None:
        if column.work not in self.works:
            return
        print(column.work, column.operations, file=self.to, flush=True)
        said: dict[str, Any] = json.loads(self.out.readline())
        self.seconds.setdefault(column.work, []).append(said["seconds"])
        if column.work == "start" and not self.idle_bytes:  # afterwards memory is used again
            self.idle_bytes.append(said["bytes"] / column.operations)


@contextmanager
def running(subject: Subject) -> Iterator[Running]:
    command = [sys.executable, "-m", f"benchmarks.speed.subjects.{subject.module}", subject.loop]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None, "pipes"
        try:
            yield Running(subject, process.stdin, process.stdout, json.loads(process.stdout.readline()))
        finally:
            process.kill()


def measure(subjects: Sequence[Subject], rounds: int, columns: Sequence[Column]) -> list[Running]:
    """Let all of them do all of it, so many times."""
    with ExitStack() as stack:
        all_ = [stack.enter_context(running(subject)) for subject in subjects]
        for column in columns:
            for turn in range(rounds):
                for each in [*all_[turn % len(all_) :], *all_[: turn % len(all_)]]:
                    each.do(column)
        return all_


def row(each: Running, columns: Sequence[Column], others: Sequence[Running]) -> list[str]:
    """The best time of each column; in brackets how it compares, by the median of the rounds."""
    floor = next((o for o in others if o.subject.module == "raw" and o.subject.loop == each.subject.loop), None)
    ours = next((o for o in others if o.subject.module == "ours" and o.subject.loop == each.subject.loop), None)
    cells = [each.subject.name]
    for column in columns:
        seconds = each.seconds.get(column.work)
        if seconds is None:
            cells += ["-"] * (2 if column.work == "start" else 1)
            continue
        cell = f"{column.per_operation_us(min(seconds)):.2f}"
        if each.subject.module == "ours" and floor is not None and column.work in FLOORED:
            cell += f" ({_ratio(seconds, floor.seconds[column.work]):.2f} of the floor)"
        elif each.subject in PEERS and ours is not None:
            cell += f" (regrow {_ratio(seconds, ours.seconds[column.work]):.1f} times as fast)"
        cells.append(cell)
        if column.work == "start":
            cells.append(f"{each.idle_bytes[0]:.0f}")
    return cells


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    asked = arguments.parse_args()
    columns: Sequence[Column] = (*COLUMNS, CRASH)
    if asked.quick:
        columns = [attrs.evolve(column, operations=max(100, column.operations // 100)) for column in columns]
    subjects = [subject for subject in (*FLOORS, *OURS, *PEERS) if subject.is_here]
    left_out = [subject.name for subject in (*FLOORS, *OURS, *PEERS) if not subject.is_here]
    all_ = measure(subjects, 1 if asked.quick else asked.rounds, columns)
    print(machine("regrow", "anyio", "trio", "uvloop", *dict.fromkeys(s.package for s in PEERS if s.package)))
    print()
    print(table(HEAD, [row(each, columns, all_) for each in all_]))
    if left_out:
        print(f"\nnot installed, and left out: {', '.join(left_out)}", file=sys.stderr)


if __name__ == "__main__":
    main()
