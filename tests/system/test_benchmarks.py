"""The benchmarks run, so that they can be run again whenever somebody doubts a figure. No figure is tested here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_the_speed_suite_prints_where_it_ran_and_one_table() -> None:
    """A short round of what is installed: regrow and the floor on both loops, and whatever else there is."""
    command = [sys.executable, "-m", "benchmarks.speed", "--quick"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert outcome.returncode == 0, outcome.stderr
    machine, empty, *table = outcome.stdout.splitlines()
    assert "Python" in machine
    assert empty == ""
    head, _rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert head[0] == "what"
    subjects = [row[0] for row in rows]
    assert {"regrow, asyncio", "regrow, trio", "the floor, asyncio", "the floor, trio"} <= set(subjects)
    for subject, *cells in rows:
        measured = [cell.split()[0] for cell in cells]
        assert all(cell == "-" or float(cell) > 0 for cell in measured), subject
        assert "-" not in measured or not subject.startswith("regrow")
