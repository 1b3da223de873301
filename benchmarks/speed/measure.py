"""What is measured, how, and what becomes of it: ratios within a round, and of the rounds the median."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import attrs

from .subject import Figure, Program, Subject, running


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
    """What a subject took for each work, round by round."""

    subject: Subject
    figures: dict[str, list[Figure]] = attrs.field(factory=dict[str, list[Figure]])

    def best_us(self, work: str) -> float | None:
        """An operation in the best of the rounds."""
        figures = self.figures.get(work)
        return None if figures is None else min(figure.seconds for figure in figures) * 1e6

    def bytes_kept(self, work: str) -> float | None:
        figures = self.figures.get(work)
        return None if figures is None else statistics.median(figure.bytes_kept for figure in figures)

    def is_in(self, columns: Sequence[Column]) -> bool:
        """Whether it does any of this."""
        return any(column.work in self.figures for column in columns)

    def ratio(self, work: str, to: Result) -> float | None:
        """How many times as long as the other it takes."""
        mine, theirs = self.figures.get(work), to.figures.get(work)
        if mine is None or theirs is None:
            return None
        return statistics.median(a.seconds / b.seconds for a, b in zip(mine, theirs, strict=True))


def measure(subjects: Sequence[Subject], stages: Sequence[Stage], rounds: int) -> list[Result]:
    """Let all of them do all of it in turn, so many times. Who begins moves on by one from round to round."""
    results = [Result(subject) for subject in subjects]
    for stage in stages:
        taking_part = [result for result in results if result.subject.has(stage.suffix)]
        with ExitStack() as stack:
            kept = [] if stage.fresh else taking_part
            programs = {each.subject.name: stack.enter_context(running(each.subject, stage.suffix)) for each in kept}
            for column in stage.columns:
                print(f"{column.head} ...", file=sys.stderr)
                for turn in range(rounds):
                    first = turn % len(taking_part)
                    for result in [*taking_part[first:], *taking_part[:first]]:
                        _take(result, programs.get(result.subject.name), stage, column)
    return results


def _take(result: Result, program: Program | None, stage: Stage, column: Column) -> None:
    if program is None:
        with running(result.subject, stage.suffix) as program:
            figure = program.do(column)
    else:
        figure = program.do(column)
    if figure is not None:
        result.figures.setdefault(column.work, []).append(figure)
