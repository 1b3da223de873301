"""Nodes as OS processes of their own, for tests: started as users start them, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import attrs

Say: TypeAlias = Callable[..., "Outcome"]
"""One command of the command line, in the process of the tests."""

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
PATIENCE_S = 30.0  # nothing in these tests takes nearly as long


@attrs.frozen
class Outcome:
    """What a command left."""

    exit_code: int
    stdout: str
    stderr: str


class RunningNode:
    """`regrow run`, as an OS process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self.process:  # closes the pipes and waits
            self.process.kill()

    @property
    def os_pid(self) -> int:
        return self.process.pid

    @cached_property
    def first_line(self) -> str:
        """The first line of its standard output; what is waited for here."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def log_until(self, text: str) -> str:
        """What it logs, up to the first line that holds the text."""
        assert self.process.stderr is not None
        lines: list[str] = []
        while not lines or text not in lines[-1]:
            line = self.process.stderr.readline()
            assert line, f"it ended without {text!r}:\n{''.join(lines)}"
            lines.append(line)
        return "".join(lines)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def outcome(self) -> Outcome:
        """Wait for its end."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE_S)
        return Outcome(self.process.returncode, stdout, stderr)

    def stopped_by(self, number: signal.Signals) -> Outcome:
        self.signal(number)
        return self.outcome()


class Machine:
    """Where nodes run: a home and a runtime directory of their own, so that they meet no others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime_directory = folder / "run"
        self.environment: Mapping[str, str] = {
            **os.environ,
            "HOME": str(folder),
            "REGROW_RUNTIME_DIR": str(self.runtime_directory),
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONWARNINGS": "error",
        }

    def config(self, text: str) -> str:
        """A configuration file with this text."""
        path = self.folder / "sys.toml"
        path.write_text(text)
        return str(path)

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "regrow", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=self.environment
        )

    def regrow(self, *arguments: str) -> Outcome:
        """One command, to its end."""
        with self.popen(*arguments) as process:
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
            return Outcome(process.returncode, stdout, stderr)

    @contextmanager
    def node(self, *arguments: str, name: str = "a@localhost") -> Iterator[RunningNode]:
        """A node that is up: its first line has come."""
        with RunningNode(self.popen("run", "--sname", name, "--path", str(APPS), *arguments)) as running:
            assert running.first_line.endswith(" up\n")
            yield running

    @contextmanager
    def cluster(self, config: str, backends: Mapping[str, str]) -> Iterator[dict[str, RunningNode]]:
        """Nodes that wait for each other at their start, each on its loop; all of them are up."""
        common = ("--path", str(APPS), "--config", self.config(config))
        with ExitStack() as stack:
            started = {
                name: stack.enter_context(RunningNode(self.popen("run", "--sname", name, "--backend", loop, *common)))
                for name, loop in backends.items()
            }
            assert [node.first_line for node in started.values()] == [f"{name} up\n" for name in started]
            yield started
