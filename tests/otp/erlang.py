"""Erlang/OTP as a program that plays scenarios."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

from .scenario import Scenario, in_erlang

PROGRAM = Path(__file__).with_name("side.erl")
INSTALLED = shutil.which("erl") is not None


@attrs.define(eq=False)
class Erlang:
    """A running Erlang node that plays one scenario after the other."""

    process: subprocess.Popen[str]

    def play(self, scenario: Scenario) -> list[str]:
        """What happens, an event a line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(in_erlang(scenario) + ".\n")
        self.process.stdin.flush()
        lines: list[str] = []
        while (line := self.process.stdout.readline()) != "end\n":
            if not line:
                raise RuntimeError(f"the Erlang node ended: {''.join(lines)}")
            lines.append(line.rstrip("\n"))
        return lines


@contextmanager
def erlang(folder: Path) -> Generator[Erlang]:
    """Compile the program into the folder, and run it for as long as the block lasts.

    One scheduler: with several, events that have no order between them come in any.
    """
    subprocess.run(["erlc", "-o", folder, PROGRAM], check=True)
    command = ["erl", "-noshell", "+S", "1", "-pa", str(folder), "-s", "side", "main"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Erlang(process)
        finally:
            process.kill()
