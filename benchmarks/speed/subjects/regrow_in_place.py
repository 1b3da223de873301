"""regrow with handlers that are plain functions, which cannot await."""

from __future__ import annotations

from functools import partial

from benchmarks.speed.rounds import run
from benchmarks.speed.subjects.regrow import Counter, measured
from regrow import call, cast


class PlainCounter(Counter):
    # To who calls them they are the same; a checker sees more in it.
    @call
    def add(self, n: int) -> int:  # type: ignore[override]
        self.value += n
        return self.value

    @cast
    def put(self, n: int) -> None:  # type: ignore[override]
        self.value = n


if __name__ == "__main__":
    run(partial(measured, PlainCounter))
