"""The dog and the cat say what they are said to say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXPECTED = """\
the dog hears Hello! from <cat@localhost.1.0>; it is connected with ['cat@localhost']
the cat hears Woof!
the dog hears purr
the cat is killed; the dog hears
  Exit(pid=<cat@localhost.1.0>, reason=NoConnection())
  Down(ref=#Ref<dog@localhost.1.0.0>, item=<cat@localhost.1.0>, reason=NoConnection())
  Down(ref=#Ref<dog@localhost.2.0.0>, item=('cat', 'cat@localhost'), reason=NoConnection())
  NodeDown(node='cat@localhost', reason=None)
  NodeDown(node='cat@localhost', reason=None)
  NodeDown(node='cat@localhost', reason='connection_closed')
and is connected with []; what it sends now vanishes
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_prints_what_the_dog_hears_in_this_order(backend: str, tmp_path: Path) -> None:
    """Two operating-system processes, and a kill that gives the cat no time to say anything."""
    run = subprocess.run(
        [sys.executable, "-u", "examples/dog_and_cat.py", backend],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src", "REGROW_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (run.stdout, run.returncode) == (EXPECTED, 0), run.stderr
    # A socket of the dying cat may still accept what the dog sends last: then the log says that nothing came of it.
    assert "Traceback" not in run.stderr
