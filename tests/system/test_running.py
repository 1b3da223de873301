"""Nodes as OS processes: up, told to stop at whatever moment, and ending by themselves."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.harness import row

from .nodes import PATIENCE_S, Machine, RunningNode, Say

A, B = "a@localhost", "b@localhost"
CLUSTER = """
[kernel]
sync_nodes_optional = ["a@localhost", "b@localhost"]
sync_nodes_timeout = 10.0
shutdown_timeout = 0.5
[[kernel.distributed]]
application = "moods"
nodes = ["{first}", "{second}"]
"""

# -- up, and told to stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_says_that_it_is_up_and_stops_in_order_when_told(
    machine: Machine, backend: str, number: signal.Signals
) -> None:
    """The first line of standard output is the only one; the rest is for people, and goes elsewhere."""
    with machine.node("--backend", backend, "--start", "moods") as node:
        assert node.first_line == "a@localhost up\n"
        node.log_until("application moods started")
        outcome = node.stopped_by(number)
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert "stopping in a calm mood" in outcome.stderr
    assert list(machine.runtime_directory.iterdir()) == []


@pytest.mark.parametrize(("loop", "module"), [("asyncio", "asyncio.unix_events"), ("uvloop", "uvloop")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_on_asyncio_runs_on_the_loop_that_it_is_told(
    machine: Machine, say: Say, loop: str, module: str, number: signal.Signals
) -> None:
    """It comes up, answers, and stops in order all the same."""
    with machine.node("--loop", loop, "--start", "moods") as node:
        node.log_until("application moods started")
        running = say("rpc", "type(__import__('asyncio').get_running_loop()).__module__")
        assert running.stdout == f"{module!r}\n"
        outcome = node.stopped_by(number)
    assert outcome.exit_code == 0
    assert "stopping in a calm mood" in outcome.stderr


def test_a_node_needs_no_applications_and_no_host_in_its_name(machine: Machine) -> None:
    """It is this machine's, then."""
    with machine.node(name="a") as node:
        assert node.first_line == "a@localhost up\n"
        assert node.stopped_by(signal.SIGTERM).exit_code == 0


def test_a_node_reads_as_many_configuration_files_as_it_is_given(machine: Machine, say: Say) -> None:
    """What the later one says counts."""
    (machine.folder / "here.toml").write_text("moods.mood = 'later'\n")
    both = ("--config", machine.config("[moods]\nmood = 'first'\npatient = true\n"))
    with machine.node(*both, "--config", str(machine.folder / "here.toml"), "--start", "moods") as node:
        node.log_until("application moods started")
        asked = say("rpc", "[application.get_env('moods', key) for key in ('mood', 'patient')]")
        assert asked.stdout == "['later', True]\n"


def test_a_child_that_does_not_stop_in_time_is_named_and_killed(machine: Machine, backend: str) -> None:
    """The shutdown budget of the node counts, whatever time the child was promised; to stop is no failure."""
    config = machine.config('kernel.shutdown_timeout = 0.2\n[moods]\nmood = "stubborn"\npatient = true\n')
    with machine.node("--backend", backend, "--config", config, "--start", "moods") as node:
        node.log_until("application moods started")
        outcome = node.stopped_by(signal.SIGTERM)
    assert outcome.exit_code == 0
    assert "kills application moods" in outcome.stderr
    assert "waits for counter" in outcome.stderr


@pytest.mark.parametrize("loop", ["--backend=asyncio", "--loop=uvloop", "--backend=trio"])
@pytest.mark.parametrize("mood", ["stubborn", "blocking"])
def test_a_second_interrupt_kills_at_once(machine: Machine, loop: str, mood: str) -> None:
    """Also when something blocks the loop, so that nothing else could."""
    config = machine.config(f'[moods]\nmood = "{mood}"\npatient = true\n')
    with machine.node(loop, "--config", config, "--start", "moods") as node:
        node.log_until("application moods started")
        node.signal(signal.SIGINT)
        node.log_until(f"stopping in a {mood} mood")
        assert node.stopped_by(signal.SIGINT).exit_code == -signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_before_there_is_a_node_ends_the_os_process(
    machine: Machine, number: signal.Signals
) -> None:
    """There is nothing to be stopped, and it is no failure; here it reads its configuration."""
    pipe = machine.folder / "sys.toml"
    os.mkfifo(pipe)
    with machine.popen("run", "--sname", A, "--config", str(pipe)) as early, pipe.open("wb"):  # it has opened it too
        early.send_signal(number)
        assert early.communicate(timeout=PATIENCE_S) == ("", "")
    assert early.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_still_waits_for_others_stops_when_told(
    machine: Machine, backend: str, number: signal.Signals
) -> None:
    """Its boot is not over; the signal counts all the same."""
    config = machine.config('[kernel]\nsync_nodes_optional = ["c@localhost"]\nsync_nodes_timeout = 60.0\n')
    with RunningNode(machine.popen("run", "--sname", A, "--config", config, "--backend", backend)) as waiting:
        while not (machine.runtime_directory / f"{A}.json").exists():
            assert waiting.process.poll() is None
        outcome = waiting.stopped_by(number)
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert len(outcome.stderr.splitlines()) == 1
    assert list(machine.runtime_directory.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_application_that_is_just_starting_holds_up_no_stop(
    machine: Machine, backend: str, number: signal.Signals
) -> None:
    """It is killed: nobody has anything of it yet."""
    config = machine.config('[moods]\nmood = "hesitant"\n')
    with machine.node("--backend", backend, "--config", config, "--start", "moods") as node:
        node.log_until("hesitating")
        outcome = node.stopped_by(number)
    assert outcome.exit_code == 0
    assert "application moods (temporary) did not start: killed" in outcome.stderr


def test_a_supervisor_outside_of_applications_is_named_and_killed_as_well(
    machine: Machine, backend: str, say: Say
) -> None:
    """With the child that it waits for, and that has not even started."""
    config = machine.config("kernel.shutdown_timeout = 0.2\n")
    with machine.node("--backend", backend, "--config", config) as node:
        say("rpc", "spawn(moods.wait_for_ever)")
        node.log_until("stuck in init")
        outcome = node.stopped_by(signal.SIGINT)
    assert outcome.exit_code == 0
    assert "has not stopped within 0.2 s; it waits for Stuck" in outcome.stderr


def test_the_shutdown_time_may_be_without_an_end(machine: Machine) -> None:
    """The node then waits for as long as it takes."""
    config = machine.config("kernel.shutdown_timeout = inf\n")
    with machine.node("--config", config, "--start", "moods") as node:
        node.log_until("application moods started")
        outcome = node.stopped_by(signal.SIGTERM)
    assert outcome.exit_code == 0
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(("stops", "other"), [("a", "b"), ("b", "a")])
def test_a_standby_whose_start_still_waits_stops_when_told(machine: Machine, stops: str, other: str) -> None:
    """Whoever asked for the start learns why nothing came of it; the other node is not harmed."""
    first, second = f"{stops}@localhost", f"{other}@localhost"
    config = CLUSTER.format(first=second, second=first)
    with machine.cluster(config, {A: "asyncio", B: "trio"}) as nodes:
        with machine.popen("app", "start", "moods", "--node", first) as starting:
            while '"starting"' not in machine.regrow("app", "list", "--json", "--node", first).stdout:
                assert starting.poll() is None
            assert nodes[first].stopped_by(signal.SIGTERM).exit_code == 0
            _, told = starting.communicate(timeout=PATIENCE_S)
        assert (starting.returncode, told) == (1, f"regrow: {first} stopped before it was done\n")
        assert machine.regrow("app", "start", "moods", "--node", second).exit_code == 0


@pytest.mark.parametrize(("role", "number"), [("gives", signal.SIGTERM), ("takes", signal.SIGINT)])
def test_both_sides_of_a_takeover_stop_when_told(machine: Machine, role: str, number: signal.Signals) -> None:
    """In the middle of it; the other side then has the application, and keeps or starts it."""
    config = CLUSTER.format(first=A, second=B) + '[moods]\nmood = "clinging"\n'
    with machine.cluster(config, {A: "asyncio", B: "trio"}) as nodes:
        start_everywhere(machine)
        with machine.popen("app", "takeover", "moods", "--node", B) as taking:
            nodes[A].log_until("clinging to what it has")
            told, other = (A, B) if role == "gives" else (B, A)
            assert nodes[told].stopped_by(number).exit_code == 0
            taking.communicate(timeout=PATIENCE_S)
        assert taking.returncode == (0 if role == "gives" else 1)
        nodes[other].log_until("application moods started")
        assert running_on(machine, other) == other


def start_everywhere(machine: Machine) -> None:
    """Start `moods` on the standby, which waits, and on the first of its list."""
    with machine.popen("app", "start", "moods", "--node", B) as standby:
        assert machine.regrow("app", "start", "moods", "--node", A).exit_code == 0
        standby.communicate(timeout=PATIENCE_S)
        assert standby.returncode == 0


def running_on(machine: Machine, asked: str) -> object:
    outcome = machine.regrow("cluster", "--json", "--node", asked)
    return json.loads(outcome.stdout)["applications"]["moods"]["running_on"]


def test_a_node_whose_permanent_application_ends_says_so_and_exits_1(machine: Machine, backend: str, say: Say) -> None:
    """In one line, after an orderly stop."""
    with machine.node("--backend", backend, "--start", "moods", "--type", "permanent") as node:
        node.log_until("application moods started")
        assert say("kill", "top").exit_code in (0, 1)  # the node may be gone before the answer is out
        outcome = node.outcome()
    assert outcome.exit_code == 1
    assert outcome.stderr.splitlines()[-1] == "regrow: a@localhost ended: application moods ended: killed"


def test_a_node_whose_permanent_application_gives_up_exits_1(machine: Machine, backend: str, say: Say) -> None:
    """More restarts than its top supervisor accepts: its end is a clean reason, the node's is not."""
    with machine.node("--backend", backend, "--start", "moods", "--type", "permanent") as node:
        node.log_until("application moods started")
        for _ in range(2):  # one restart is accepted
            say("rpc", "await moods.add('one')")
        outcome = node.outcome()
    assert outcome.exit_code == 1
    assert "gives up: counter ended (TypeError" in outcome.stderr
    assert outcome.stderr.splitlines()[-1] == "regrow: a@localhost ended: application moods ended: shutdown"


def test_a_temporary_application_may_end_without_its_node(machine: Machine, node: RunningNode, say: Say) -> None:
    """That is what `--start` means unless one says otherwise."""
    say("app", "start", "moods")
    assert say("kill", "top").stdout.endswith("; its application ended with it\n")
    (info,) = json.loads(say("app", "list", "--json").stdout)
    assert (info["state"], info["reason"]) == ("loaded", "killed")


@row("APP-037", translated="for any restart type; the node says that it is up before, and then exits with 1")
@pytest.mark.parametrize(
    ("restart", "told"),
    [
        ("temporary", "regrow: application moods: ValueError: not today"),
        ("permanent", "regrow: a@localhost ended: application moods did not start: ValueError: not today"),
    ],
)
def test_a_start_that_fails_ends_the_node(machine: Machine, backend: str, restart: str, told: str) -> None:
    """It was up, and then it could not do what it was there for."""
    config = machine.config('[moods]\nmood = "bad"\n')
    with machine.node("--backend", backend, "--config", config, "--start", "moods", "--type", restart) as node:
        outcome = node.outcome()
    assert outcome.exit_code == 1
    assert outcome.stderr.splitlines()[-1] == told


def test_a_start_of_what_is_not_there_is_not_found(machine: Machine) -> None:
    """The line says what there is."""
    with machine.node("--start", "mods") as node:
        outcome = node.outcome()
    assert outcome.exit_code == 3
    assert outcome.stderr.splitlines()[-1] == "regrow: there is no application mods; known are: moods"
