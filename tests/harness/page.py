"""docs/conformance.md, written from the catalogue and the tests that name its rows."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import pytest

from .rows import Area, Catalogue, Row

LOOPS = ("asyncio", "trio")
PURE = "pure"  # stands for the loop of a test that needs none

HEAD = """\
# Conformance

Which of OTP's rules have a test here, row by row. This page is generated: `scripts/test --conformance-write`.
A run of the suite fails if it is out of date. What each row demands stands in
[the catalogue](../tests/conformance/catalogue.toml); where regrow departs from OTP, and why, in
[semantics.md](semantics.md#where-regrow-departs-from-otp).

- **W**, the weight: C core, I important, X exotic, N cannot apply to Python.
- **asyncio**, **trio**: whether its tests pass on that loop; *pure* if they need none.
- **Status**: *pass*; *translated*: it holds, in the form named; *deviation*: regrow does otherwise, for the reason
  named; *open*: no test yet, for the reason named; *n/a*: it cannot have one.
"""


@attrs.define
class Covered:
    """What the tests of one row cover."""

    loops: set[str] = attrs.Factory(set[str])
    failed: set[str] = attrs.Factory(set[str])
    translated: list[str] = attrs.Factory(list[str])
    deviation: list[str] = attrs.Factory(list[str])

    def column(self, loop: str) -> str:
        if self.failed & {loop, PURE}:
            return "fail"
        if self.loops == {PURE}:
            return PURE
        return "pass" if loop in self.loops else "-"

    def missing(self) -> list[str]:
        return [] if PURE in self.loops else [loop for loop in LOOPS if loop not in self.loops]


def gather(items: Iterable[pytest.Item], failed: Iterable[str] = ()) -> dict[str, Covered]:
    """What the markers of collected tests say, by row; `failed` are ids of tests that did not pass."""
    found: dict[str, Covered] = {}
    failures = set(failed)
    for item in items:
        for marker in item.iter_markers("row"):
            for id_ in marker.args:
                _note(found.setdefault(id_, Covered()), item, marker, item.nodeid in failures)
    return found


def _note(tests: Covered, item: pytest.Item, marker: pytest.Mark, failed: bool) -> None:
    loop = loop_of(item)
    tests.loops.add(loop)
    if failed:
        tests.failed.add(loop)
    for key, texts in (("translated", tests.translated), ("deviation", tests.deviation)):
        text = marker.kwargs.get(key)
        if text is not None and text not in texts:
            texts.append(text)


def loop_of(item: pytest.Item) -> str:
    """The loop that a collected test runs on."""
    callspec = getattr(item, "callspec", None)
    return PURE if callspec is None else callspec.params.get("anyio_backend", PURE)


def status(row: Row, area: Area, tests: Covered | None) -> tuple[str, str]:
    """The status of a row, and what is to be said about it."""
    later = f"still to come: {row.later}" if row.later else ""
    if tests is None:
        if row.weight == "N":
            return "n/a", ""
        coming = "no test yet" if area.stage == "A" else "comes later"
        return "open", row.open or coming
    if tests.failed:
        return "fail", later
    if tests.missing():
        return "open", f"not tested on {', '.join(tests.missing())}"
    word, texts = "pass", list[str]()
    if tests.deviation:
        word, texts = "deviation", tests.deviation
    elif tests.translated:
        word, texts = "translated", tests.translated
    return word, "; ".join([*texts, *([later] if later else [])])


def contradictions(catalogue: Catalogue, found: dict[str, Covered]) -> list[str]:
    """Rows that the catalogue calls open although tests name them."""
    return [f"{id_} has a test: take its `open` out of the catalogue" for id_ in found if catalogue.rows[id_].open]


def render(catalogue: Catalogue, found: dict[str, Covered]) -> str:
    """The whole page."""
    shown = [area for area in catalogue.areas.values() if area.stage == "A" or _has_tests(catalogue, area, found)]
    parts = [HEAD, _summary(catalogue, found), *(_area(catalogue, area, found) for area in shown)]
    return "\n".join(parts)


def _has_tests(catalogue: Catalogue, area: Area, found: dict[str, Covered]) -> bool:
    return any(row.id in found for row in catalogue.of(area))


def _summary(catalogue: Catalogue, found: dict[str, Covered]) -> str:
    lines = [
        "## Summary",
        "",
        "| Area | Rows | pass | translated | deviation | open | of them core |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for area in catalogue.areas.values():
        words = [(row, status(row, area, found.get(row.id))[0]) for row in catalogue.of(area)]
        counts = [sum(word == wanted for _, word in words) for wanted in ("pass", "translated", "deviation")]
        # What fails is open, too: nothing is done that does not pass.
        still = [row for row, word in words if word in ("open", "fail")]
        core = sum(row.weight == "C" for row in still)
        cells = [f"{area.title} ({area.id})", len(words), *counts, len(still), core]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


def _area(catalogue: Catalogue, area: Area, found: dict[str, Covered]) -> str:
    lines = [
        f"## {area.title} ({area.id})",
        "",
        "| ID | Case | W | asyncio | trio | Status |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in catalogue.of(area):
        tests = found.get(row.id)
        word, remark = status(row, area, tests)
        columns = [tests.column(loop) if tests else "-" for loop in LOOPS]
        lines.append(f"| {row.id} | {row.case} | {row.weight} | {' | '.join(columns)} | {_told(word, remark)} |")
    return "\n".join([*lines, ""])


def _told(word: str, remark: str) -> str:
    return (f"{word}: {remark}" if remark else word).replace("|", "\\|")
