"""Who is measured, and what runs while it is: a subject's program, in an interpreter of its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
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
STARTING_S = 30.0  # what a subject gets to come up, and those of two processes to find each other
ENDING_S = 5.0  # what a subject of two processes gets to end both
LOG_CHARACTERS = 2000  # of what a subject wrote to its standard error, when it fails


class SubjectFailed(Exception):
    """A subject ended instead of doing what it was told, or is not done with it."""

    def __init__(self, subject: str, why: str, log: str) -> None:
        super().__init__(f"{subject}: {why}\n{log[-LOG_CHARACTERS:]}".rstrip())
        self.why = why


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
    needed: bool = False
    """Whether all is given up when it fails; others are left out of the round in which they do."""
    modules: str = SUBJECTS
    """The package that its module is in."""
    source: Path | None = None
    """Where regrow is imported from, if not from this checkout."""
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
        return find_spec(self.program(suffix)) is not None

    def program(self, suffix: str) -> str:
        """The module that is run."""
        return f"{self.modules}.{self.module}{suffix}"


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
    """The program of a subject that waits to be told what to do, once it is up.

    Whatever it is asked may raise `SubjectFailed`.
    """

    subject: Subject
    _limit_s: float
    _to: IO[str]
    _out: IO[str]
    _log: Path

    @cached_property
    def works(self) -> Sequence[str]:
        """What it can do, which is the first that it says."""
        works: list[str] = self._said(STARTING_S)
        return works

    def do(self, work: Work) -> Figure | None:
        """Have it do this work; `None` if it has no such thing."""
        if work.work not in self.works:
            return None
        count = min(work.operations, self.subject.counts.get(work.work, work.operations))
        with suppress(BrokenPipeError):  # it has ended since, as it will say
            print(work.work, count, file=self._to, flush=True)
        said: dict[str, Any] = self._said(self._limit_s)
        return Figure(said["seconds"] / count, said["bytes"] / count)

    def _said(self, limit_s: float) -> Any:
        if not select.select([self._out], [], [], limit_s)[0]:
            raise self._failed(f"not done within {limit_s:g} s")
        line = self._out.readline()
        if not line:
            raise self._failed(_exception(self._log.read_text()) or "it has ended")
        return json.loads(line)

    def _failed(self, why: str) -> SubjectFailed:
        return SubjectFailed(self.subject.name, why, self._log.read_text())


@contextmanager
def running(subject: Subject, suffix: str, limit_s: float) -> Generator[Program]:
    """Run a program of a subject, with a folder of its own for what it leaves. The end of its input ends the rest."""
    command = [sys.executable, "-m", subject.program(suffix), subject.loop]
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        log = Path(folder, "log")
        with log.open("w") as errors, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=_environment(subject, folder), process_group=0,
        ) as process:  # fmt: skip
            assert process.stdin is not None and process.stdout is not None, "pipes"
            try:
                yield Program(subject, limit_s, process.stdin, process.stdout, log)
            finally:
                with suppress(BrokenPipeError):  # there may be something left that it was told
                    process.stdin.close()
                if suffix:  # it has another process, which lives in the same folder, and ends before it does
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(ENDING_S)
                with suppress(ProcessLookupError):  # all of them, as one that hangs does not end what it has started
                    os.killpg(process.pid, signal.SIGKILL)


def _environment(subject: Subject, folder: str) -> Mapping[str, str]:
    environment = {**os.environ, "TMPDIR": folder, "REGROW_RUNTIME_DIR": str(Path(folder, "run"))}
    if subject.source is not None:
        environment["PYTHONPATH"] = str(subject.source)
    return environment


def _exception(log: str) -> str:
    """What a program ended with: the class in the last line of a traceback; of a group, that of the last within it."""
    lines = [line.strip(" |+-") for line in log.splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return last.partition(":")[0]
