"""A machine for nodes, a node on each loop, and the command line in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.cli import main

from .nodes import Machine, Outcome, RunningNode, Say


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def say(machine: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """One command of the command line, in this process: what it prints, and what it exits with."""
    monkeypatch.setenv("REGROW_RUNTIME_DIR", str(machine.runtime_directory))
    monkeypatch.setenv("HOME", str(machine.folder))

    def say(*arguments: str) -> Outcome:
        capfd.readouterr()
        try:
            exit_code = main(arguments)
        except SystemExit as stop:  # argparse
            exit_code = stop.code if isinstance(stop.code, int) else -1
        return Outcome(int(exit_code), *capfd.readouterr())

    return say


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The loop a node runs on."""
    return request.param


@pytest.fixture
def node(machine: Machine, backend: str) -> Iterator[RunningNode]:
    """A node on which the application `moods` runs, or soon will."""
    with machine.node("--backend", backend, "--start", "moods") as running:
        yield running
