"""All paths through a test body, instead of some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


class Exhaustive:
    """Runs a loop body once for each sequence of choices that it can make, depth first.

    `for _ in (every := Exhaustive()).runs(): x = every.choose(options)`

    What may be chosen can depend on earlier choices of the same run, on nothing else.
    """

    def __init__(self) -> None:
        self._path: list[int] = []  # which option was taken at each choice
        self._widths: list[int] = []  # how many there were
        self._depth = 0

    def runs(self) -> Iterator[int]:
        """Yield the number of each run, from 0, until no choice is left untried."""
        run = 0
        while True:
            self._depth = 0
            yield run
            if self._depth != len(self._path):
                raise RuntimeError(f"run {run} made fewer choices than the one before: the body is not deterministic")
            if not self._advance():
                return
            run += 1

    def choose(self, options: Sequence[T]) -> T:
        """One of the options; each of them in some run."""
        if not options:
            raise ValueError("there is nothing to choose from")
        if self._depth == len(self._path):
            self._path.append(0)
            self._widths.append(len(options))
        elif self._widths[self._depth] != len(options):
            raise RuntimeError("the options changed between runs: the body is not deterministic")
        self._depth += 1
        return options[self._path[self._depth - 1]]

    def _advance(self) -> bool:
        while self._path and self._path[-1] + 1 == self._widths[-1]:
            self._path.pop()
            self._widths.pop()
        if not self._path:
            return False
        self._path[-1] += 1
        return True
