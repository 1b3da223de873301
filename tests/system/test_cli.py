"""The command line with real nodes: what is printed where, and every exit code."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from regrow.cli.commands import COMMANDS, Command
from regrow.cli.run import RUN

from .nodes import Machine, Outcome, RunningNode, Say

# -- finding a node


def test_without_a_node_there_is_nothing_to_ask(say: Say) -> None:
    """The line says what to do."""
    assert say("tree") == Outcome(3, "", "regrow: no node is running here; start one with regrow run\n")
    assert say("tree", "--node", "a@localhost") == Outcome(
        3, "", "regrow: no node a@localhost is running here; running: none\n"
    )


def test_of_several_nodes_one_has_to_be_chosen(machine: Machine, say: Say) -> None:
    """By its name, or by the part of it before the host."""
    with machine.node(), machine.node(name="b@localhost"):
        outcome = say("tree")
        assert outcome.exit_code == 2
        assert outcome.stderr.endswith("choose one with --node: a@localhost, b@localhost\n")
        assert say("rpc", "node.name", "--node", "b@localhost").stdout == "'b@localhost'\n"
        assert say("--node", "a", "rpc", "node.name").stdout == "'a@localhost'\n"
        assert say("tree", "--node", "c").exit_code == 3


def test_a_node_that_was_killed_is_no_node_any_more(machine: Machine, say: Say) -> None:
    """What it left does not keep its name."""
    with machine.node() as node:
        node.signal(signal.SIGKILL)
        node.outcome()
        assert len(list(machine.runtime_directory.iterdir())) == 2
        assert say("tree").exit_code == 3
    with machine.node() as node:
        assert say("tree").exit_code == 0


# -- looking inside


def test_one_sees_an_application_crash_and_recover(node: RunningNode, say: Say) -> None:
    """From another terminal: the tree, a kill, what came of it, and why."""
    assert say("app", "start", "moods").exit_code == 0  # it runs when this returns, whoever started it
    first, second, third = say("tree").stdout.splitlines()
    assert re.fullmatch(r"moods \(temporary, \d+ s\)", first)
    assert re.fullmatch(r"└─ top <a@localhost\.\d+\.0>  one_for_one 1/3600 s, 1 left", second)
    assert re.fullmatch(r"   └─ counter <a@localhost\.\d+\.0>  Counter  mailbox 0  restarts 0", third)
    killed = say("kill", "counter").stdout
    assert re.fullmatch(
        r"killed <a@localhost\.\d+\.0>; top restarted it as <a@localhost\.\d+\.0> after [\d.]+ ms "
        r"\(budget left 0 of 1 in 3600 s\)\n",
        killed,
    )
    assert say("tree").stdout.splitlines()[2].endswith("restarts 1")
    assert "ended: killed\n  top restarted it (one_for_one), budget left 0 within 3600 s" in say("crashes").stdout


def test_a_process_is_held_and_watched_from_another_terminal(node: RunningNode, say: Say) -> None:
    """One sees that it is, and everything can be undone."""
    say("app", "start", "moods")
    assert say("suspend", "counter").stdout == "suspended counter\n"
    assert say("trace", "counter").stdout == "tracing counter\n"
    assert re.match(
        r"counter <a@localhost\.\d+\.0> Counter  mailbox 0  suspended\n  value = 0\nwatched by trace\n",
        say("state", "counter").stdout,
    )
    assert say("resume", "counter").stdout == "resumed counter\n"
    assert say("trace", "counter", "--off").stdout == "no longer tracing counter\n"
    assert "suspended" not in say("state", "counter").stdout


def test_what_reads_prints_json_in_the_shapes_that_are_promised(node: RunningNode, say: Say) -> None:
    """Programs depend on these keys."""
    say("app", "start", "moods")
    (app,) = json.loads(say("tree", "--json").stdout)
    for each in (app, app["children"][0], app["children"][0]["children"][0]):
        assert {"name", "pid", "type", "restarts", "children"} <= each.keys()
    assert [app["type"], app["children"][0]["type"]] == ["application", "supervisor"]
    (info,) = json.loads(say("app", "list", "--json").stdout)
    assert {
        "name": "moods", "state": "running", "running_on": "a@localhost", "start_type": "normal", "reason": None,
    }.items() <= info.items()  # fmt: skip
    assert [each["name"] for each in json.loads(say("ps", "--json").stdout)] == [None, "top", "counter"]
    assert json.loads(say("state", "counter", "--json").stdout)["attributes"] == {"value": "0"}
    assert json.loads(say("crashes", "--json").stdout) == []
    assert json.loads(say("kill", "counter", "--json").stdout)["outcome"] == "restarted"


def test_what_reads_prints_tables_for_people(node: RunningNode, say: Say) -> None:
    """Aligned, with a head."""
    say("app", "start", "moods")
    head, *rows = say("app", "list").stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "RUNNING", "ON", "START", "TYPE", "REASON"]
    assert [row.split() for row in rows] == [["moods", "running", "a@localhost", "normal", "-"]]
    head, *rows = say("ps").stdout.splitlines()
    assert [row[head.index("NAME") :].split()[0] for row in rows] == ["-", "top", "counter"]
    assert len(say("ps", "--all").stdout.splitlines()) == 1 + 3 + 2
    assert say("state", "counter").stdout.splitlines()[1] == "  value = 0"
    assert say("crashes").stdout == "no crashes\n"


def test_a_terminal_that_cannot_show_everything_is_shown_the_rest(machine: Machine, node: RunningNode) -> None:
    """The branches of a tree, for example."""
    machine.environment = {**machine.environment, "PYTHONIOENCODING": "ascii"}
    assert machine.regrow("app", "start", "moods").exit_code == 0
    outcome = machine.regrow("tree")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines()[1].startswith("\\u2514\\u2500 top")


def test_a_setting_of_the_command_line_counts_more_than_the_configuration(machine: Machine, say: Say) -> None:
    """For this node alone; a mistake in it is told as those of the files are."""
    config = machine.config('[moods]\nmood = "good"\n')
    with machine.node("--config", config, "--set", "moods.mood='best'", "--start", "moods") as node:
        node.log_until("application moods started")
        assert say("rpc", "application.get_env('moods', 'mood')").stdout == "'best'\n"
    outcome = machine.regrow("run", "--sname", "a@localhost", "--config", config, "--set", "kernel.wait=1")
    assert outcome.exit_code == 2
    assert "--set kernel.wait=1: kernel.wait: unknown key" in outcome.stderr


def test_a_changed_configuration_is_read_by_a_node_that_runs(machine: Machine, backend: str, say: Say) -> None:
    """Only whom it concerns is told; a file with mistakes is refused as at the start of a node."""
    config = machine.config('[moods]\nmood = "good"\n')
    with machine.node("--backend", backend, "--config", config, "--start", "moods") as node:
        node.log_until("application moods started")
        assert say("reload").stdout == "nothing has changed for an application that runs\n"
        machine.config('[moods]\nmood = "better"\n')
        assert say("reload").stdout == "told moods\n"
        assert say("rpc", "application.get_env('moods', 'mood')").stdout == "'better'\n"
        machine.config("[modes]\n")
        refused = say("reload")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "modes: neither a table of the node nor an application to be found" in refused.stderr


def test_a_crash_is_told_with_its_traceback(node: RunningNode, say: Say) -> None:
    """The text and the place, beside what the supervisor did."""
    say("app", "start", "moods")
    assert say("rpc", "await moods.add('one')").exit_code == 1
    told = say("crashes", "-n", "1").stdout
    assert "ended: TypeError: unsupported operand" in told
    assert "handling" in told
    assert "self.value += n" in told
    assert "top restarted it" in told


def test_the_state_of_a_stuck_server_is_shown(machine: Machine, node: RunningNode, say: Say) -> None:
    """Where it is stuck is the last of it."""
    say("app", "start", "moods")
    with machine.popen("rpc", "await moods.wait()") as stuck:
        seen = ""
        while "moods" not in seen:  # the request has yet to get there
            assert stuck.poll() is None
            seen = say("state", "counter").stdout
        stuck.send_signal(signal.SIGINT)
        stuck.communicate()
        assert stuck.returncode == 130
    assert "value = 0" in seen


@pytest.mark.parametrize(
    "command", [("state", "nobody"), ("kill", "<0.9.9>"), ("tree", "mods"), ("app", "stop", "mods")]
)
def test_what_is_not_there_exits_3(node: RunningNode, say: Say, command: tuple[str, ...]) -> None:
    """A process and an application alike."""
    outcome = say(*command)
    assert (outcome.exit_code, outcome.stdout) == (3, "")
    assert outcome.stderr.startswith("regrow: there is no ")


# -- acting


def test_an_expression_is_evaluated_in_the_node(node: RunningNode, say: Say) -> None:
    """Its value is printed as it prints there, or as JSON; an exception is a failure."""
    say("app", "start", "moods")
    assert say("rpc", "await moods.add(3)") == Outcome(0, "3\n", "")
    assert say("rpc", "('a', {1: None})") == Outcome(0, "('a', {1: None})\n", "")
    assert json.loads(say("rpc", "--json", "('a', {1: None})").stdout) == ["a", {"1": None}]
    assert say("rpc", "chr(0xDC80)", "--json") == Outcome(0, '"\\udc80"\n', "")
    assert say("rpc", "1 / 0") == Outcome(1, "", "regrow: ZeroDivisionError: division by zero\n")
    assert say("rpc", "1 +").exit_code == 2
    traceback = say("rpc", "--traceback", "1 / 0")
    assert traceback.exit_code == 1
    assert traceback.stderr.splitlines()[1] == '  File "<rpc>", line 1, in <module>'


def test_one_waits_only_as_long_as_one_wants_to(node: RunningNode, say: Say) -> None:
    """For an expression, and for a node that something blocks."""
    say("app", "start", "moods")
    assert say("rpc", "await receive()", "--timeout", "0.05") == Outcome(
        4, "", "regrow: a@localhost did not answer within 0.05 s\n"
    )
    assert say("rpc", "await moods.block()", "--timeout", "0.05").exit_code == 4
    assert say("tree", "--timeout", "0.05").exit_code == 4


def test_an_application_is_started_stopped_and_unloaded(node: RunningNode, say: Say) -> None:
    """What one is told is what was done; what was not done is a failure."""
    say("app", "start", "moods")
    assert say("app", "start", "moods") == Outcome(0, "moods was started already\n", "")
    assert say("app", "unload", "moods") == Outcome(1, "", "regrow: application moods: running\n")
    assert say("app", "stop", "moods") == Outcome(0, "stopped moods\n", "")
    assert say("app", "stop", "moods").exit_code == 1
    assert say("tree") == Outcome(0, "nothing runs here\n", "")
    assert say("tree", "moods") == Outcome(1, "", "regrow: application moods does not run here: it is loaded\n")
    assert say("app", "start", "moods", "--json").stdout == '["moods"]\n'
    say("app", "stop", "moods")
    assert say("app", "unload", "moods") == Outcome(0, "unloaded moods\n", "")
    assert say("app", "load", "moods") == Outcome(0, "loaded moods\n", "")


def test_halt_returns_when_the_node_has_stopped_in_order(machine: Machine, node: RunningNode, say: Say) -> None:
    """Its name is free by then."""
    say("app", "start", "moods")
    assert say("halt") == Outcome(0, "a@localhost stopped\n", "")
    assert list(machine.runtime_directory.iterdir()) == []
    outcome = node.outcome()
    assert outcome.exit_code == 0
    assert "stopping in a calm mood" in outcome.stderr


def test_a_halt_that_takes_too_long_for_whoever_asked_is_carried_out_all_the_same(
    machine: Machine, backend: str, say: Say
) -> None:
    """What took too long is said as it is: the node has answered, and not stopped yet."""
    config = machine.config('kernel.shutdown_timeout = 1.0\n[moods]\nmood = "stubborn"\npatient = true\n')
    with machine.node("--backend", backend, "--config", config, "--start", "moods") as node:
        node.log_until("application moods started")
        assert say("halt", "--timeout", "0.1") == Outcome(4, "", "regrow: a@localhost has not stopped within 0.1 s\n")
        assert node.outcome().exit_code == 0


def test_a_hard_halt_stops_nothing_in_order(machine: Machine, node: RunningNode, say: Say) -> None:
    """The OS process is gone at once, with exit code 0, as after `halt()`."""
    say("app", "start", "moods")
    assert say("halt", "--hard").exit_code == 0
    outcome = node.outcome()
    assert outcome.exit_code == 0
    assert "stopping in a" not in outcome.stderr
    assert say("tree").exit_code == 3


def test_the_command_is_installed_under_its_name(machine: Machine) -> None:
    """`regrow`, and `python -m regrow`, are one."""
    outcome = machine.regrow("--help")
    assert outcome.exit_code == 0
    assert "regrow" in outcome.stdout
    assert os.linesep.join(outcome.stdout.splitlines()[:1]).startswith("usage: regrow")


# -- the page about it


PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.mark.parametrize("command", [pytest.param(each, id=each.words) for each in (RUN, *COMMANDS)])
def test_the_page_names_every_command_and_option(command: Command) -> None:
    """What is not there is not found."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"regrow {command.words}" in page
    flags = {flag for each in command.arguments for flag in each.flags if flag.startswith("-")}
    assert not [
        flag for flag in flags if f"`{flag}`" not in page and f"{flag} " not in page and f"[{flag}]" not in page
    ]
