"""The benchmarks run, so that they can be run again whenever somebody doubts a figure. No figure is tested here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.speed.contest import SUBJECTS
from benchmarks.speed.measure import Column, Stage, measure
from benchmarks.speed.page import BEGIN, END
from benchmarks.speed.subject import Subject, SubjectFailed
from benchmarks.speed.tables import tables

from .nodes import PATIENCE_S, ROOT, Machine

MEASURED = (
    "failover, wait 1 s",
    "failover, wait 0",
    "takeover",
    "boot that waits",
    "boot, all listed",
    "boot, one absent",
)


def test_the_distributed_suite_prints_where_it_ran_and_one_table(tmp_path: Path) -> None:
    """Each figure once: real nodes die, take over and boot."""
    command = [sys.executable, "-m", "benchmarks.distributed", "--quick", "--backend", "asyncio"]
    environment = Machine(tmp_path).environment
    outcome = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    machine, empty, *table = outcome.stdout.splitlines()
    assert "Python" in machine
    assert empty == ""
    head, _rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert head == ["what", "loop", "runs", "min ms", "median ms", "max ms", "asked"]
    assert [row[0][: len(what)] for row, what in zip(rows, MEASURED, strict=True)] == list(MEASURED)
    for _what, loop, runs, *milliseconds, _asked in rows:
        assert (loop, int(runs) >= 1) == ("asyncio", True)
        assert sorted(map(float, milliseconds)) == list(map(float, milliseconds))


def test_the_speed_suite_writes_where_it_ran_tables_and_a_picture(tmp_path: Path) -> None:
    """A short round of what is installed: regrow and the floor on both loops, two nodes, and whatever else there is."""
    page, picture = tmp_path / "page.md", tmp_path / "page.svg"
    page.write_text(f"before\n{BEGIN}as it was\n{END}after\n", encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.speed", "--quick", "--write", str(page)]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    assert page.read_text(encoding="utf-8").replace("\n\n", "\n").startswith(f"before\n{BEGIN}{outcome.stdout[:100]}")
    assert page.read_text(encoding="utf-8").endswith(f"{END}after\n")
    machine, empty, *lines = outcome.stdout.splitlines()
    assert "Python" in machine
    assert empty == ""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [(subject, figures) for subject, *figures in cells if subject != "what" and not subject.startswith("---")]
    assert {"regrow, asyncio", "regrow, trio", "the floor, asyncio", "the floor, trio"} <= {row[0] for row in rows}
    assert len([subject for subject, _ in rows if subject == "regrow, asyncio"]) == 2, (
        "by itself, and beside another node"
    )
    for subject, figures in rows:
        measured = [figure.split()[0] for figure in figures if not figure.startswith("-")]
        assert all(float(figure) > 0 for figure in measured), subject
        assert len(measured) == len(figures) or not subject.startswith("regrow")
    drawn = "".join(ElementTree.parse(picture).getroot().itertext())
    assert all(subject in drawn for subject, _ in rows)
    named = "".join(line for line in lines if line.startswith(("|", "Not installed: ")))
    assert [subject.name for subject in SUBJECTS if subject.name not in named] == []


FLOOR = Subject("the floor", "raw", "asyncio", needed=True)
UNRELIABLE = Subject("another", "unreliable", "asyncio", FLOOR.name, modules=__package__)


def test_one_that_fails_or_hangs_is_left_out_of_the_rounds_in_which_it_does(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The others are measured as ever, and it is started anew for what follows."""
    monkeypatch.chdir(ROOT)
    stages = [Stage([Column("call", "call, µs", 1), Column("cast", "cast, µs", 1)])]
    floor, another = measure([FLOOR, UNRELIABLE], stages, rounds=3, limit_s=1.0)
    assert {work: [*figures] for work, figures in floor.figures.items()} == {"call": [0, 1, 2], "cast": [0, 1, 2]}
    assert {work: [*figures] for work, figures in another.figures.items()} == {"call": [0, 2]}
    assert another.ratio("call", floor) is not None
    assert "left out of round 2: another: TimeoutError\n" in capfd.readouterr().err
    _head, _rule, *rows, empty, notes = tables([floor, another], stages).splitlines()
    assert empty == ""
    assert [row.count("(") for row in rows] == [0, 1]
    assert [cell.strip()[-1] for cell in rows[1].strip("| ").split("|")[1:]] == ["¹", "²"]
    assert notes == ("¹ failed in 1 of 3 rounds: TimeoutError; ² failed in 3 of 3 rounds: not done within 1 s.")


def test_there_is_no_table_without_what_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed must not fail: regrow, and what it is compared with."""
    monkeypatch.chdir(ROOT)
    needed = Subject("needed", "unreliable", "trio", needed=True, modules=__package__)
    with pytest.raises(SubjectFailed, match="needed: TimeoutError") as failed:
        measure([needed], [Stage([Column("call", "call, µs", 1)])], rounds=2, limit_s=PATIENCE_S)
    assert "in call\n" in str(failed.value)


def speed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A short round of the speed suite."""
    command = [sys.executable, "-m", "benchmarks.speed", "--quick", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE_S)


def test_some_columns_of_the_speed_suite_can_be_had_alone() -> None:
    """Whoever works on one figure need not wait for the others."""
    outcome = speed("--only", "the floor, asyncio", "--columns", "call", "cast", "remote")
    assert outcome.returncode == 0, outcome.stderr
    _machine, _empty, head, _rule, *rows = outcome.stdout.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["what", "call, µs", "cast, µs"]
    assert len(rows) == 1, "the floor has no other node"


def test_the_speed_suite_compares_two_checkouts(tmp_path: Path) -> None:
    """Each in its own interpreter, and the other one in relation to this one; here they are the same."""
    other = tmp_path / "other"
    other.symlink_to(ROOT)
    arguments = ("--only", "regrow, asyncio", "--columns", "call", "--against", str(other))
    outcome = speed(*arguments)
    assert outcome.returncode == 0, outcome.stderr
    _machine, _empty, _head, _rule, ours, theirs = outcome.stdout.splitlines()
    assert ours.startswith("| regrow, asyncio ")
    assert theirs.startswith(f"| regrow, asyncio, at {other} ")
    assert theirs.endswith(") |")


def test_the_other_checkout_is_what_is_imported(tmp_path: Path) -> None:
    """And not this one once more."""
    package = tmp_path / "src" / "regrow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise LookupError('of another commit')\n")
    outcome = speed("--only", "regrow, asyncio", "--columns", "call", "--against", str(tmp_path))
    assert outcome.returncode == 1
    assert f"given up: regrow, asyncio, at {tmp_path}: LookupError\n" in outcome.stderr


def test_the_scale_suite_prints_where_it_ran_and_a_table_of_each_part() -> None:
    """A small mesh, its elections alone, and a node with a few hundred processes on each loop."""
    command = [sys.executable, "-m", "benchmarks.scale", "--quick"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    machine, *lines = outcome.stdout.splitlines()
    assert "Python" in machine
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    counted = {what: cell for what, cell in (row for row in rows if len(row) == 2) if "/" in cell}
    assert counted["a node comes"]
    assert counted["a minute passes"]
    measured = [row for row in rows if row[0] in ("spawn", "GenServer")]
    assert [row[:2] for row in measured] == [
        [kind, loop] for loop in ("asyncio", "trio") for kind in ("spawn", "GenServer")
    ]
    assert all(float(cell) > 0 for _kind, _loop, _count, *cells in measured for cell in cells)


@pytest.mark.timeout(5 * PATIENCE_S)
def test_the_workers_suite_prints_where_it_ran_and_two_tables() -> None:
    """Two nodes, alone and side by side, and one asking the other in both ways; a short round of each."""
    command = [sys.executable, "-m", "benchmarks.workers", "--quick"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    machine, *tables = outcome.stdout.split("\n\n")
    assert "Python" in machine
    shared, between = ([line.strip("|").split("|") for line in table.splitlines()[2:]] for table in tables)
    loops = ["asyncio", "uvloop", "trio"]
    assert [row[1].strip() for row in shared] == [loop for loop in loops for _ in range(2)]
    assert [row[1].strip() for row in between] == [loop for loop in loops for _ in range(3)]
    assert all(float(figure) > 0 for _what, _loop, *figures in (*shared, *between) for figure in figures)


def test_nodes_in_threads_of_one_interpreter_are_measured_too() -> None:
    """They get along with each other, whatever it gives: regrow has nothing that belongs to the interpreter."""
    command = [sys.executable, "-m", "benchmarks.workers.threads", "--quick"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    machine, printed = outcome.stdout.split("\n\n")
    assert "interpreter lock" in machine
    rows = [line.strip("|").split("|") for line in printed.splitlines()[2:]]
    assert [row[1].strip() for row in rows] == ["asyncio", "asyncio", "trio", "trio"]
    assert all(float(figure) > 0 for _what, _loop, *figures in rows for figure in figures)


def test_the_parts_of_a_call_are_measured_in_one_table() -> None:
    """Each line has one part more."""
    command = [sys.executable, "-m", "benchmarks.speed.anatomy", "asyncio", "--quick"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in outcome.stdout.splitlines()]
    assert rows[0] == ["a call, in µs", "one caller", "100 callers"]
    assert len(rows) == 2 + 6
    assert all(float(us) > 0 for _, *figures in rows[2:] for us in figures)
