"""docs/conformance.md says what the tests say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.page import Covered, status
from tests.harness.rows import Area, Row, catalogue, row

ROOT = Path(__file__).parents[2]
NOW, FUTURE = Area("GEN", "GenServer", "A"), Area("DST", "Nodes", "C")
BOTH = {"asyncio", "trio"}


def test_the_page_is_what_the_markers_of_the_suite_make_of_it(tmp_path: Path) -> None:
    """A row that is claimed has a test that names it, and none is forgotten."""
    page = tmp_path / "conformance.md"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "--conformance-write", f"--conformance-page={page}"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    generated = page.read_text(encoding="utf-8").splitlines()
    written = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8").splitlines()
    assert written == generated, "run scripts/test --conformance-write"


def test_every_row_belongs_to_an_area_and_has_a_known_weight() -> None:
    """The catalogue is written by hand from here on."""
    areas = catalogue().areas
    assert not [row.id for row in catalogue().rows.values() if row.area not in areas or row.weight not in "CIXN"]


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        (None, ("open", "no test yet")),
        (Covered({"asyncio"}), ("open", "not tested on trio")),
        (Covered(BOTH), ("pass", "")),
        (Covered({"pure"}), ("pass", "")),
        (Covered(BOTH, failed={"trio"}), ("fail", "")),
        (Covered(BOTH, translated=["as an error"]), ("translated", "as an error")),
        (Covered(BOTH, translated=["as an error"], deviation=["safer"]), ("deviation", "safer")),
    ],
)
def test_the_status_of_a_row_comes_from_its_tests(tests: Covered | None, expected: tuple[str, str]) -> None:
    """Both loops or none: half a row is open."""
    assert status(Row("GEN-999", "case", "demand", "C"), NOW, tests) == expected


def test_a_row_without_a_test_says_why() -> None:
    """Its own reason comes before that of its area; what Python cannot have is not open."""
    assert status(Row("GEN-999", "", "", "C", open="needs other nodes"), NOW, None) == ("open", "needs other nodes")
    assert status(Row("DST-999", "", "", "C"), FUTURE, None) == ("open", "comes later")
    assert status(Row("DST-999", "", "", "N"), FUTURE, None) == ("n/a", "")


def test_what_is_still_to_come_of_a_tested_row_is_told() -> None:
    """A row may pass for what exists, and be open for what does not."""
    assert status(Row("GEN-999", "", "", "C", later="other nodes"), NOW, Covered(BOTH)) == (
        "pass",
        "still to come: other nodes",
    )


def test_a_row_that_does_not_exist_breaks_the_collection() -> None:
    """A misspelt id must not be counted as coverage."""
    with pytest.raises(ValueError, match="GEN-000"):
        row("GEN-001", "GEN-000")
