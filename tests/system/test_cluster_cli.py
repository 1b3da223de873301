"""Several nodes as OS processes, through the command line: who is there, who runs what, and moving it by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .nodes import Machine, Outcome

A, B = "a@localhost", "b@localhost"
CLUSTER = f"""
[kernel]
sync_nodes_optional = ["{A}", "{B}"]
sync_nodes_timeout = 10.0
[[kernel.distributed]]
application = "moods"
wait = 0.0
nodes = ["{A}", "{B}"]
"""


@pytest.fixture
def pair(machine: Machine) -> Iterator[Machine]:
    """Two nodes that wait for each other at their start; the one on asyncio, the other on trio."""
    with machine.cluster(CLUSTER, {B: "trio", A: "asyncio"}):
        yield machine


def read(machine: Machine, *arguments: str) -> Any:
    outcome = machine.regrow(*arguments, "--json")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    return json.loads(outcome.stdout)


def start_everywhere(machine: Machine) -> None:
    """Start `moods` on the standby, which waits, and on the first of its list."""
    with machine.popen("app", "start", "moods", "--node", B) as standby:
        assert machine.regrow("app", "start", "moods", "--node", A).exit_code == 0
        assert standby.wait(30) == 0


def runs_on(machine: Machine, asked: str) -> Any:
    return read(machine, "cluster", "--node", asked)["applications"]["moods"]["running_on"]


def test_nodes_that_wait_for_each_other_are_connected_when_they_are_up(pair: Machine) -> None:
    """No command has to follow the first line of standard output."""
    assert read(pair, "nodes", "--node", A) == [B]
    assert pair.regrow("nodes", "--node", B).stdout == f"{A}\n"


def test_cluster_shows_the_nodes_and_who_runs_what_and_who_is_next(pair: Machine) -> None:
    """On every node the same, with exactly the keys that are promised."""
    order = {"arbiter": "none", "order": [A, B]}
    nodes = [{"name": A, "state": "up"}, {"name": B, "state": "up"}]
    expected = {"node": B, "nodes": nodes, "applications": {"moods": {"running_on": None, **order}}}
    assert read(pair, "cluster", "--node", B) == expected
    start_everywhere(pair)
    expected["applications"] = {"moods": {"running_on": A, **order}}
    assert read(pair, "cluster", "--node", B) == expected
    assert pair.regrow("cluster", "--node", A).stdout.splitlines() == [
        "NODE         STATE",
        f"{A}  up",
        f"{B}  up",
        "",
        "APPLICATION  RUNNING ON   NEXT         ORDER",
        f"moods        {A}  {B}  {A} > {B}",
    ]


def test_equal_nodes_stand_in_a_group_and_those_that_are_not_there_are_down(machine: Machine) -> None:
    """As in the configuration, so that a program can tell who is next from the one and the other."""
    groups = f'nodes = ["{A}", ["{B}", "c@h"], "d@h"]'
    config = machine.config(f'[[kernel.distributed]]\napplication = "moods"\n{groups}\n')
    with machine.node("--config", config):
        seen = read(machine, "cluster")
        assert seen["applications"]["moods"]["order"] == [A, [B, "c@h"], "d@h"]
        assert [each["name"] for each in seen["nodes"] if each["state"] == "down"] == [B, "c@h", "d@h"]
        assert read(machine, "nodes") == []
        lines = machine.regrow("cluster").stdout.splitlines()
        assert lines[-1].split("  ")[-1] == f"{A} > {B} = c@h > d@h"


def test_an_application_is_moved_by_hand(pair: Machine) -> None:
    """By `takeover`, whatever the precedence says; by `forbid` and `permit`, as the permission says."""
    start_everywhere(pair)
    assert pair.regrow("app", "takeover", "moods", "--node", B) == Outcome(0, "taken over: moods\n", "")
    assert runs_on(pair, B) == B
    assert pair.regrow("app", "forbid", "moods", "--node", B) == Outcome(0, "forbidden here: moods\n", "")
    assert runs_on(pair, B) == A
    assert pair.regrow("app", "permit", "moods", "--node", B) == Outcome(0, "permitted here: moods\n", "")
    assert runs_on(pair, B) == A


def test_ping_connects_or_says_that_it_cannot(machine: Machine) -> None:
    """A node that is not there is as unknown as one that was never heard of."""
    with machine.node(name=A), machine.node(name=B):
        assert read(machine, "nodes", "--node", A) == []
        refused = machine.regrow("ping", "c@localhost", "--node", A)
        line = f"regrow: {A} cannot connect to c@localhost: node c@localhost is not known here\n"
        assert refused == Outcome(3, "", line)
        assert machine.regrow("ping", B, "--node", A) == Outcome(0, f"{A} is connected with {B}\n", "")
        assert read(machine, "nodes", "--node", B) == [A]
        assert machine.regrow("ping", "b c", "--node", A).exit_code == 2


def test_what_is_not_distributed_cannot_be_taken_over_but_forbidden(machine: Machine) -> None:
    """There is nobody to take it from; an unknown application is another matter than one that is not distributed."""
    with machine.node("--start", "moods"):
        assert machine.regrow("app", "start", "moods").exit_code == 0
        refused = machine.regrow("app", "takeover", "moods")
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert "application moods is not distributed" in refused.stderr
        assert machine.regrow("app", "forbid", "moods") == Outcome(0, "forbidden here: moods\n", "")
        (info,) = read(machine, "app", "list")
        assert (info["state"], info["running_on"], info["start_type"]) == ("standby", None, None)
        assert machine.regrow("app", "permit", "moods") == Outcome(0, "permitted here: moods\n", "")
        assert read(machine, "app", "list")[0]["state"] == "running"
        for verb in ("takeover", "permit", "forbid"):
            assert machine.regrow("app", verb, "nothing").exit_code == 3


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_node_whose_mandatory_nodes_do_not_come_ends_with_one_line(machine: Machine, backend: str) -> None:
    """It names those that are missing, not those that it could do without, and says how long it waited."""
    names = f'sync_nodes_mandatory = ["{A}", "c@localhost"]\nsync_nodes_optional = ["{B}"]'
    config = machine.config(f"[kernel]\n{names}\nsync_nodes_timeout = 0.3\n")
    outcome = machine.regrow("run", "--sname", A, "--config", config, "--backend", backend)
    line = f"regrow: {A} cannot start: mandatory nodes missing after 0.3 s: c@localhost\n"
    assert outcome == Outcome(1, "", line)
    assert list(machine.runtime_directory.iterdir()) == []
