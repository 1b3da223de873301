"""The typed surface: both checkers accept what is right, and reject each line that is wrong."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED, REJECTED = HERE / "accepted.py", HERE / "rejected.py"
MARK = re.compile(r"# (\d+) ")
MYPY_ERROR = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: (?P<text>.*)$", re.MULTILINE)


@attrs.frozen
class Complaint:
    """An error that a checker found, and where."""

    file: str
    line: int
    text: str


def run_mypy() -> list[Complaint]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(ACCEPTED), str(REJECTED)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [Complaint(Path(hit["file"]).name, int(hit["line"]), hit["text"]) for hit in MYPY_ERROR.finditer(run.stdout)]


def run_pyright() -> list[Complaint]:
    # A configuration of its own: the project's leaves out the file that is wrong on purpose.
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(HERE)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    told = json.loads(run.stdout)
    assert told["summary"]["filesAnalyzed"] == 2, told["summary"]
    return [_pyright_complaint(found) for found in told["generalDiagnostics"]]


def _pyright_complaint(found: dict[str, Any]) -> Complaint:
    return Complaint(Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"])


@pytest.fixture(scope="session", params=["mypy", "pyright"])
def complaints(request: pytest.FixtureRequest) -> list[Complaint]:
    """What a checker says about both files; each runs once."""
    return run_mypy() if request.param == "mypy" else run_pyright()


def marked() -> dict[int, str]:
    """The lines that are wrong, with what is wrong about them."""
    lines = REJECTED.read_text(encoding="utf-8").splitlines()
    return {number: line for number, line in enumerate(lines, 1) if MARK.search(line)}


def head_of(line: int) -> int:
    """The line of the `def` for a line among its decorators: the checkers differ in where they put an error."""
    for node in ast.walk(ast.parse(REJECTED.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(decorator_list=[first, *_]) | ast.AsyncFunctionDef(decorator_list=[first, *_]):
                if first.lineno <= line <= node.lineno:
                    return node.lineno
            case _:
                pass
    return line


def test_what_is_right_is_accepted(complaints: list[Complaint]) -> None:
    """The surface can be used under strict rules without a single ignore."""
    assert [found for found in complaints if found.file == ACCEPTED.name] == []


def test_each_wrong_line_is_rejected_and_no_other(complaints: list[Complaint]) -> None:
    """A mistake in a call is found before the program runs."""
    rejected = {head_of(found.line) for found in complaints if found.file == REJECTED.name}
    assert rejected == set(marked())


def test_the_marks_are_numbered_without_a_gap() -> None:
    """A line that lost its mark would be checked by nobody."""
    numbers = [int(hit.group(1)) for line in marked().values() if (hit := MARK.search(line))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 19
