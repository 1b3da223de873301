"""The rows of the conformance catalogue, and the decorator with which a test names those it covers."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import attrs
import pytest

CATALOGUE = Path(__file__).parent.parent / "conformance" / "catalogue.toml"


@attrs.frozen
class Row:
    """One demand of the catalogue."""

    id: str
    case: str
    demand: str
    weight: str  # C core, I important, X exotic, N not applicable
    open: str | None = None  # why it has no test yet
    later: str | None = None  # what of it is still to come

    @property
    def area(self) -> str:
        return self.id.partition("-")[0]


@attrs.frozen
class Area:
    """A group of rows."""

    id: str
    title: str
    stage: str


@attrs.frozen
class Catalogue:
    """All rows, in their order, and the areas they belong to."""

    areas: dict[str, Area]
    rows: dict[str, Row]

    def of(self, area: Area) -> list[Row]:
        return [row for row in self.rows.values() if row.area == area.id]


@cache
def catalogue() -> Catalogue:
    """The catalogue as its file has it."""
    data = tomllib.loads(CATALOGUE.read_text())
    return Catalogue(
        {id_: Area(id_, **fields) for id_, fields in data["areas"].items()},
        {id_: Row(id_, **fields) for id_, fields in data["rows"].items()},
    )


def row(*ids: str, translated: str | None = None, deviation: str | None = None) -> pytest.MarkDecorator:
    """Mark a test as covering rows of the catalogue. May stand several times.

    `translated` says in a line what form the row took in Python; `deviation` why regrow does otherwise.
    Raises `ValueError`, and so breaks the collection, for an id that the catalogue does not have.
    """
    unknown = [id_ for id_ in ids if id_ not in catalogue().rows]
    if unknown or not ids:
        raise ValueError(f"rows that the catalogue does not have: {', '.join(unknown) or 'none was given'}")
    if translated is not None and deviation is not None:
        raise ValueError("a row is either translated or deviated from")
    return pytest.mark.row(*ids, translated=translated, deviation=deviation)
