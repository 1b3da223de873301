"""Nodes as users start them, with `regrow run`, and what the application that is measured tells from inside of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from regrow.cli.client import ask
from regrow.control import Refused
from regrow.local_nodes import live_nodes

APPS = Path(__file__).parent / "apps"
APP = "probe"
N1, N2, N3, N4, ABSENT = [f"n{number}@localhost" for number in range(1, 6)]
NODES = (N1, N2, N3, N4)  # the last of the five never comes
PATIENCE_S = 30.0  # for anything; nothing takes nearly as long
POLL_S = 0.02  # between two looks, none of which is measured
STAMP_BYTES_MAX = 4096


class NotAsExpected(Exception):
    """A node did something else than what was to be measured."""


@attrs.frozen
class Stamp:
    """A moment in the life of the application, by the clock that all processes of this host share."""

    at: float
    node: str
    what: str
    how: str


class Cluster:
    """Nodes with a home, a cookie and a runtime directory of their own. Leaving the block ends them all."""

    def __init__(self, folder: Path, backend: str, *, wait_s: float) -> None:
        self._folder = folder
        self._backend = backend
        self._runtime_directory = folder / "run"
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._stamps, self._inherited = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._stamps.settimeout(PATIENCE_S)
        distributed = (
            f"[[kernel.distributed]]\napplication = '{APP}'\nwait = {wait_s}\n"
            f"nodes = ['{N1}', ['{N2}', '{N3}'], '{N4}']\n[{APP}]\nstamps = {self._inherited.fileno()}\n"
        )
        self.config = self.write_config("cluster", sync_nodes(NODES, PATIENCE_S) + distributed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.kill(name)
        self._stamps.close()
        self._inherited.close()

    def write_config(self, name: str, text: str) -> Path:
        path = self._folder / f"{name}.toml"
        path.write_text(text)
        return path

    def run(self, name: str, config: Path, *arguments: str) -> None:
        """`regrow run`; it boots."""
        command = [sys.executable, "-m", "regrow", "run", "--sname", name, "--backend", self._backend]
        command += ["--config", str(config), "--path", str(APPS), *arguments]
        environment = {**os.environ, "HOME": str(self._folder), "REGROW_RUNTIME_DIR": str(self._runtime_directory)}
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment, pass_fds=[self._inherited.fileno()],
            )  # fmt: skip

    def wait_up(self, name: str) -> float:
        """The moment the node says that it is up."""
        stdout = self._running[name].stdout
        assert stdout is not None, "a pipe"
        line = stdout.readline()
        at = time.monotonic()
        if line != f"{name} up\n":
            raise NotAsExpected(f"{name} is not up:\n{self._log(name).read_text()}")
        return at

    def kill(self, name: str) -> float:
        """`kill -9`; the moment before it."""
        with self._running.pop(name) as process:
            at = time.monotonic()
            process.kill()
        return at

    def stop(self, name: str) -> None:
        """In order."""
        with self._running.pop(name) as process:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)

    def stamp(self, what: str) -> Stamp:
        """The next thing that the application says, which has to be this."""
        try:
            stamp = Stamp(**json.loads(self._stamps.recv(STAMP_BYTES_MAX)))
        except TimeoutError:
            raise NotAsExpected(f"{APP} did not say {what!r} within {PATIENCE_S:g} s") from None
        if stamp.what != what:
            raise NotAsExpected(f"{APP} was to say {what!r}, and said {stamp}")
        return stamp

    def settle(self, runner: str) -> None:
        """Wait until every node knows that the application runs there."""
        deadline, never = time.monotonic() + PATIENCE_S, threading.Event()
        while not all(self._knows(name, runner) for name in self._running):
            if time.monotonic() > deadline:
                raise NotAsExpected(f"not every node says that {APP} runs on {runner}")
            never.wait(POLL_S)

    def _knows(self, name: str, runner: str) -> bool:
        state = "running" if name == runner else "standby"
        try:
            mine = [each["state"] for each in self._ask(name, "app list") if each["name"] == APP]
            return mine == [state] and self._ask(name, "cluster")["applications"][APP]["running_on"] == runner
        except Refused:
            return False  # it does not listen yet

    def _ask(self, name: str, command: str) -> Any:
        found = [record for record in live_nodes(self._runtime_directory) if record.name == name]
        if not found:
            raise NotAsExpected(f"{name} ended:\n{self._log(name).read_text()}")
        return ask(found[0], command, {}, PATIENCE_S)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def sync_nodes(nodes: Sequence[str], timeout_s: float) -> str:
    """The part of a configuration that has a node wait for others as it boots."""
    return f"[kernel]\nsync_nodes_optional = {list(nodes)}\nsync_nodes_timeout = {timeout_s}\n"
