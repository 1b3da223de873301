"""A service on several cores: nodes that are all alike, started again by the node that started them."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from regrow import Node, NodeUp, monitor_nodes, nodes, receive, stop, whereis, workers
from regrow.local_nodes import Record, live_nodes
from regrow.peer import Options, PeerServer
from regrow.refs import ServerRef

from .nodes import PATIENCE_S, ROOT, Machine, RunningNode, Say

MAIN, ONE, TWO = "app@localhost", "app_1@localhost", "app_2@localhost"
STARTED = "application moods started"


@contextmanager
def with_workers(machine: Machine, *arguments: str) -> Iterator[RunningNode]:
    """A node with two workers that run the application, or soon will."""
    with machine.node("--workers", "2", "--start", "moods", *arguments, name=MAIN) as node:
        yield node


def record_of(machine: Machine, name: str) -> Record:
    [record] = [record for record in live_nodes(machine.runtime_directory) if record.name == name]
    return record


def test_workers_run_what_is_started_and_stop_with_their_node(machine: Machine, backend: str, say: Say) -> None:
    """The node itself only looks after them; all are connected, through sockets of this machine."""
    with with_workers(machine, "--backend", backend) as node:
        assert node.first_line == "app@localhost up\n"
        log = node.log_until("app_2@localhost: app_1@localhost connected")
        assert f"{ONE}: {STARTED}" in log
        assert f"{TWO}: {STARTED}" in log
        tree = say("tree", "--node", MAIN).stdout
        assert tree.splitlines()[0].startswith("workers <app@localhost.")
        assert f"─ {ONE} <" in tree
        assert f"─ {TWO} <" in tree
        assert "moods" not in tree
        assert say("tree", "--node", "app_1").stdout.startswith("moods (permanent, ")
        for name in (MAIN, ONE, TWO):
            record = record_of(machine, name)
            assert (record.port is not None, record.link is not None) == (True, True)
        outcome = node.stopped_by(signal.SIGTERM)
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    for name in (ONE, TWO):
        assert f"{name}: stopping in a calm mood" in outcome.stderr
    assert list(machine.runtime_directory.iterdir()) == []


def test_workers_are_told_the_settings_of_the_command_line(machine: Machine, say: Say) -> None:
    """All of them, and after the configuration, so that they count more than that does there too."""
    config = machine.config('[moods]\nmood = "bad"\n')
    settings = ("--set", "moods.mood='best'", "--set", "moods.patient=true")
    with with_workers(machine, *settings, "--config", config) as node:
        node.log_until(f"{TWO}: app_1@localhost connected")
        for name in (ONE, TWO):
            assert say("app", "start", "moods", "--node", name).exit_code == 0
            told = "[application.get_env('moods', key) for key in ('mood', 'patient')]"
            assert say("rpc", told, "--node", name).stdout == "['best', True]\n"


@pytest.mark.parametrize("way", ["the OS process", "its server", "the application"])
def test_a_worker_that_goes_down_is_started_again(machine: Machine, say: Say, way: str) -> None:
    """Whatever it was; the others go on meanwhile."""
    with with_workers(machine) as node:
        node.log_until(f"{MAIN.replace('app@', 'app_2@')}: app_1@localhost connected")
        before, other = record_of(machine, ONE), record_of(machine, TWO)
        match way:
            case "the OS process":
                os.kill(before.os_pid, signal.SIGKILL)
            case "its server":
                assert "workers restarted it" in say("kill", ONE, "--node", MAIN).stdout
            case _:
                say("kill", "top", "--node", ONE)
        node.log_until(f"{ONE}: {STARTED}")
        assert record_of(machine, ONE).os_pid != before.os_pid
        assert record_of(machine, TWO) == other
        assert node.stopped_by(signal.SIGINT).exit_code == 0


def test_workers_do_not_outlive_their_node(machine: Machine) -> None:
    """Though that was killed, and could say nothing."""
    with with_workers(machine) as node:
        node.log_until(f"{TWO}: app_1@localhost connected")
        left = [os.pidfd_open(record_of(machine, name).os_pid) for name in (ONE, TWO)]
        node.signal(signal.SIGKILL)
        for pidfd in left:
            assert select.select([pidfd], [], [], PATIENCE_S)[0] == [pidfd]
            os.close(pidfd)
    assert live_nodes(machine.runtime_directory) == []


def test_workers_that_do_not_stay_up_end_their_node(machine: Machine, backend: str) -> None:
    """There is nothing left that it could do about it: it has tried, three times each."""
    config = machine.config('[moods]\nmood = "bad"\n')
    with with_workers(machine, "--backend", backend, "--config", config) as node:
        outcome = node.outcome()
    assert outcome.exit_code == 1
    assert outcome.stderr.count("ended: application moods did not start: ValueError: not today") > 2 * 3
    assert outcome.stderr.splitlines()[-1] == "regrow: app@localhost ended: its workers do not stay up"


def test_workers_are_not_started_for_what_is_not_there(machine: Machine) -> None:
    """The node looks before it starts any."""
    with machine.node("--workers", "2", "--start", "mods", name=MAIN) as node:
        outcome = node.outcome()
    assert outcome.exit_code == 3
    assert outcome.stderr.splitlines()[-1] == "regrow: there is no application mods; known are: moods"


def test_a_worker_that_does_not_stop_is_killed_when_its_time_is_over(machine: Machine) -> None:
    """By itself, and so it still says what it was that did not stop; to stop is no failure."""
    config = machine.config('kernel.shutdown_timeout = 0.2\n[moods]\nmood = "stubborn"\npatient = true\n')
    with with_workers(machine, "--config", config) as node:
        node.log_until(f"{TWO}: app_1@localhost connected")
        outcome = node.stopped_by(signal.SIGTERM)
    assert outcome.exit_code == 0
    for name in (ONE, TWO):
        assert f"{name}: app" in outcome.stderr
    assert outcome.stderr.count("kills application moods") == 2


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend_name: Any) -> Options:
    machine = Machine(tmp_path)
    monkeypatch.setenv("REGROW_RUNTIME_DIR", str(machine.runtime_directory))
    monkeypatch.setenv("HOME", str(machine.folder))
    environment = {**machine.environment, "PYTHONPATH": str(ROOT / "src")}
    return Options(backend=anyio_backend_name, environment=environment)


async def test_a_program_can_have_workers_too(options: Options) -> None:
    """They are called like any other peers."""
    async with Node(MAIN, unix="only"):
        monitor_nodes()
        supervisor = await workers.start_link(2, **options)
        came = {(await receive(NodeUp)).node for _ in range(2)}
        assert came == {ONE, TWO} == set(nodes())
        pid = whereis(ONE)
        assert pid is not None
        assert (await PeerServer.peer(ServerRef(pid, PeerServer))).name == ONE
        await stop(supervisor)
        assert live_nodes() == [record for record in live_nodes() if record.name == MAIN]


async def test_workers_need_a_node_with_a_name_and_a_number() -> None:
    """They are named after it."""
    async with Node():
        with pytest.raises(ValueError, match="a node that has no name"):
            await workers.start_link(2)
        with pytest.raises(ValueError, match="at least one worker"):
            await workers.start_link(0)
