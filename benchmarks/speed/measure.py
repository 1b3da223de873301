"""What is measured, how, and what becomes of it: ratios within a round, and of the rounds the median."""

from __future__ import annotations

import statistics
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack

import attrs

from .subject import Figure, Program, Subject, SubjectFailed, running


@attrs.frozen
class Column:
    """One kind of work: so many operations in a round."""

    work: str
    head: str
    operations: int
    kept: str | None = None
    """The head of another column, if the memory that it takes is shown as well."""


@attrs.frozen
class Stage:
    """What is measured with the same programs."""

    columns: Sequence[Column]
    suffix: str = ""
    """Of the modules that do it."""
    fresh: bool = False
    """Whether each round has programs of its own, as what one leaves would be in the way of the next."""


@attrs.define(eq=False)
class Result:
    """What a subject took for each work."""

    subject: Subject
    figures: dict[str, dict[int, Figure]] = attrs.field(factory=dict[str, dict[int, Figure]])
    """By work, and by round."""
    failures: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])
    """By work: why there is no figure of a round, for each such round."""

    def best_us(self, work: str) -> float | None:
        """An operation in the best of the rounds."""
        figures = self.figures.get(work)
        return None if figures is None else min(figure.seconds for figure in figures.values()) * 1e6

    def bytes_kept(self, work: str) -> float | None:
        figures = self.figures.get(work)
        return None if figures is None else statistics.median(figure.bytes_kept for figure in figures.values())

    def is_in(self, columns: Sequence[Column]) -> bool:
        """Whether it does any of this, or should have."""
        return any(column.work in self.figures or column.work in self.failures for column in columns)

    def ratio(self, work: str, to: Result) -> float | None:
        """How many times as long as the other it takes, by the rounds of which both have a figure."""
        mine, theirs = self.figures.get(work, {}), to.figures.get(work, {})
        ratios = [mine[turn].seconds / theirs[turn].seconds for turn in mine if turn in theirs]
        return statistics.median(ratios) if ratios else None

    def missing(self, work: str) -> str | None:
        """Of how many rounds there is no figure, and why, if it failed."""
        failures = self.failures.get(work)
        if failures is None:
            return None
        rounds = len(failures) + len(self.figures.get(work, {}))
        return f"failed in {len(failures)} of {rounds} rounds: {', '.join(dict.fromkeys(failures))}"


@attrs.define(eq=False)
class Entrant:
    """A subject in a stage: its program is started when there is something to do, and anew after it has failed."""

    result: Result
    stage: Stage
    limit_s: float
    _running: ExitStack
    _program: Program | None = None

    def take(self, column: Column, turn: int) -> None:
        """Let it do this once, and write down what it took, or why there is nothing to write down."""
        subject = self.result.subject
        try:
            if self._program is None:
                self._program = self._running.enter_context(running(subject, self.stage.suffix, self.limit_s))
            figure = self._program.do(column)
        except SubjectFailed as error:
            if subject.needed:
                raise
            print(f"left out of round {turn + 1}: {error}", file=sys.stderr)
            self.result.failures.setdefault(column.work, []).append(error.why)
            self._end()
        else:
            if figure is not None:
                self.result.figures.setdefault(column.work, {})[turn] = figure
            if self.stage.fresh:
                self._end()

    def _end(self) -> None:
        self._program = None
        self._running.close()


def measure(subjects: Sequence[Subject], stages: Sequence[Stage], rounds: int, limit_s: float) -> list[Result]:
    """Let all of them do all of it in turn, so many times. Who begins moves on by one from round to round.

    Who fails, or is not done within the limit, is left out of that round. Raises `SubjectFailed` if it is needed.
    """
    results = [Result(subject) for subject in subjects]
    for stage in stages:
        with ExitStack() as stack:
            entrants = deque(
                Entrant(result, stage, limit_s, stack.enter_context(ExitStack()))
                for result in results
                if result.subject.has(stage.suffix)
            )
            for column in stage.columns:
                print(f"{column.head} ...", file=sys.stderr)
                for turn in range(rounds):
                    for entrant in entrants:
                        entrant.take(column, turn)
                    entrants.rotate(-1)
    return results
