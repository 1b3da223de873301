"""Who is measured, and what runs while it is: a subject's program, in an interpreter of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Protocol

import attrs

SUBJECTS = "benchmarks.speed.subjects"
ENDING_S = 5.0  # what a subject of two processes gets to end both
LOG_CHARACTERS = 2000  # of what a subject wrote to its standard error, when it fails


class SubjectFailed(Exception):
    """A subject ended instead of doing what it was told."""


@attrs.frozen
class Subject:
    """An implementation, on an event loop."""

    name: str
    module: str
    loop: str
    beside: str | None = None
    """The name of the subject that its figures are set in relation to."""
    package: str | None = None
    """What has to be installed for it."""
    command: str | None = None
    """What has to be on the path for it."""
    counts: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """Of which work it does less than the others."""
    notes: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """What has to be said of a figure, or of why there is none."""

    @property
    def is_here(self) -> bool:
        """Whether all is installed that it needs."""
        loop = self.loop if self.loop in ("uvloop", "trio") else None
        packages = all(find_spec(package) is not None for package in (self.package, loop) if package is not None)
        return packages and (self.command is None or shutil.which(self.command) is not None)

    def has(self, suffix: str) -> bool:
        """Whether it has the program with this suffix."""
        return find_spec(f"{SUBJECTS}.{self.module}{suffix}") is not None


class Work(Protocol):
    """What can be done: so many operations of it, under a name."""

    @property
    def work(self) -> str: ...
    @property
    def operations(self) -> int: ...


@attrs.frozen
class Figure:
    """What one operation took, in one round."""

    seconds: float
    bytes_kept: float


@attrs.define(eq=False)
class Program:
    """The program of a subject that waits to be told what to do, once it is up."""

    subject: Subject
    _to: IO[str]
    _out: IO[str]
    _log: Path

    @cached_property
    def works(self) -> Sequence[str]:
        """What it can do, which is the first that it says."""
        works: list[str] = json.loads(self._line())
        return works

    def do(self, work: Work) -> Figure | None:
        """Have it do this work; `None` if it has no such thing."""
        if work.work not in self.works:
            return None
        count = min(work.operations, self.subject.counts.get(work.work, work.operations))
        print(work.work, count, file=self._to, flush=True)
        said: dict[str, Any] = json.loads(self._line())
        return Figure(said["seconds"] / count, said["bytes"] / count)

    def _line(self) -> str:
        line = self._out.readline()
        if not line:
            raise SubjectFailed(f"{self.subject.name} has ended:\n{self._log.read_text()[-LOG_CHARACTERS:]}")
        return line


@contextmanager
def running(subject: Subject, suffix: str) -> Generator[Program]:
    """Run a program of a subject, with a folder of its own for what it leaves. The end of its input ends the rest."""
    command = [sys.executable, "-m", f"{SUBJECTS}.{subject.module}{suffix}", subject.loop]
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        environment = {**os.environ, "TMPDIR": folder, "REGROW_RUNTIME_DIR": str(Path(folder, "run"))}
        log = Path(folder, "log")
        with log.open("w") as errors, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process:  # fmt: skip
            assert process.stdin is not None and process.stdout is not None, "pipes"
            try:
                yield Program(subject, process.stdin, process.stdout, log)
            finally:
                process.stdin.close()
                if suffix:  # it has another process, which lives in the same folder, and ends before it does
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(ENDING_S)
                process.kill()
