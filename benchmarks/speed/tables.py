"""What was measured, as tables: one for a node by itself, one for two nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, groupby

import attrs

from benchmarks.report import table

from .measure import Column, Result, Stage

NOTHING = "-"
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def tables(results: Sequence[Result], stages: Sequence[Stage]) -> str:
    """Markdown. A figure is of the best round; in brackets, how many times as long as what it is compared with."""
    parts: list[str] = []
    for _, group in groupby(stages, key=lambda stage: stage.suffix):
        columns = [*chain.from_iterable(stage.columns for stage in group)]
        if taking_part := [result for result in results if result.is_in(columns)]:
            parts += _table(columns, taking_part)
    return "\n\n".join(parts)


@attrs.frozen
class Notes:
    """What stands below a table, each thing once."""

    texts: list[str] = attrs.field(factory=list[str])

    def marks(self, *texts: str | None) -> str:
        """What is put behind a figure that there is something to be said of."""
        return " ".join(self._mark(text) for text in texts if text is not None)

    def lines(self) -> list[str]:
        return ["; ".join(f"{self._mark(text)} {text}" for text in self.texts) + "."] if self.texts else []

    def _mark(self, text: str) -> str:
        if text not in self.texts:
            self.texts.append(text)
        return str(self.texts.index(text) + 1).translate(SUPERSCRIPTS)


def _table(columns: Sequence[Column], results: Sequence[Result]) -> list[str]:
    notes = Notes()
    named = {result.subject.name: result for result in results}
    head = ["what"]
    for column in columns:
        head += [column.head] if column.kept is None else [column.head, column.kept]
    rows = [_row(result, columns, named, notes) for result in results]
    return [table(head, rows), *notes.lines()]


def _row(result: Result, columns: Sequence[Column], named: Mapping[str, Result], notes: Notes) -> list[str]:
    beside = named.get(result.subject.beside or "")
    cells = [result.subject.name]
    for column in columns:
        best, kept = result.best_us(column.work), result.bytes_kept(column.work)
        ratio = None if beside is None else result.ratio(column.work, beside)
        said = NOTHING if best is None else short(best)
        if ratio is not None:
            said += f" ({short(ratio)})"
        cells.append(said + notes.marks(result.subject.notes.get(column.work), result.missing(column.work)))
        if column.kept is not None:
            cells.append(NOTHING if kept is None else f"{kept:.0f}")
    return cells


def short(number: float) -> str:
    """Three figures of it, or all of those before the point."""
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f}"
