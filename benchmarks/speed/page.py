"""Puts what was measured into the project's page, table and picture at once, so that they never disagree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .measure import Result, Stage
from .plot import plot

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
REFERENCE = "regrow, asyncio"
BEGIN, END = "<!-- what scripts/benchmark speed writes begins here -->\n", "<!-- and ends here -->\n"


def write(page: Path, text: str, results: Sequence[Result], stages: Sequence[Stage]) -> None:
    """Write the text between the two marks of the page, and the picture beside the page under the same name."""
    picture = page.with_suffix(".svg")
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page} has no place for it")
    picture.write_text(plot(results, stages, REFERENCE), encoding="utf-8")
    shown = f"{text}\n\n![how many times as long as {REFERENCE} everybody takes]({picture.name})\n"
    page.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}", encoding="utf-8")
