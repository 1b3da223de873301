"""The demonstration goes as told, and the README shows what it tells."""

from __future__ import annotations

import re
import subprocess
import sys

from .nodes import PATIENCE_S, ROOT

BEGAN = re.compile(r"^ *\d+\.\d s  ")
TOOK = re.compile(r"  \[[\d.]+ m?s\]$")


def story(text: str) -> list[str]:
    """What it tells, without the times."""
    told = [line for line in text.splitlines() if BEGAN.match(line)]
    return [BEGAN.sub("", TOOK.sub("  [time]", line)) for line in told]


def test_the_readme_shows_what_the_demonstration_tells() -> None:
    """Word for word; only the times are those of another run. Here, two of the nodes run on trio."""
    command = [sys.executable, "examples/job_center/demo.py", "--mixed"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stdout + run.stderr
    assert story((ROOT / "README.md").read_text(encoding="utf-8")) == story(run.stdout) != []
