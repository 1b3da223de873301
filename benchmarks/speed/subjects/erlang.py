"""Erlang/OTP, where it is installed: runs speed.erl. In place of a loop it is told how many schedulers to use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

PROGRAM = Path(__file__).with_name("speed.erl")
DEFAULT = "default"


def compiled() -> str:
    """Compile the program; the folder where it is."""
    folder = gettempdir()
    subprocess.run(["erlc", "-o", folder, PROGRAM], check=True)
    return folder


def command(folder: str, function: str, *flags: str) -> list[str]:
    """How to run a function of the program."""
    schedulers = [] if sys.argv[1] == DEFAULT else ["+S", sys.argv[1]]
    quiet = ["-noshell", "-kernel", "logger_level", "none"]
    return ["erl", *schedulers, *quiet, *flags, "-pa", folder, "-s", "speed", function]


if __name__ == "__main__":
    subprocess.run(command(compiled(), "local"), check=True)
