"""The counter crashes and heals as its example tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXPECTED = """\
5 + 3 = 8
the counter crashed, and we know at once: ZeroDivisionError: integer division or modulo by zero
it is back under its name, from a known state: 5 + 1 = 6
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_prints_what_becomes_of_the_counter(backend: str) -> None:
    """And logs the crash and the restart."""
    run = subprocess.run(
        [sys.executable, "examples/crash_and_heal.py", backend],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (run.stdout, run.returncode) == (EXPECTED, 0), run.stderr
    assert "crashed: ZeroDivisionError" in run.stderr
    assert "restarts counter (one_for_one)" in run.stderr
