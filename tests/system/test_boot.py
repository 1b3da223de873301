"""Nodes whose applications start as they boot, not by hand: the whole story, from the first start to the return."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.harness import row

from .nodes import APPS, Machine, RunningNode

A, B, C = "a@localhost", "b@localhost", "c@localhost"
CLUSTER = f"""
[kernel]
sync_nodes_optional = ["{A}", "{B}", "{C}"]
sync_nodes_timeout = 20.0
[[kernel.distributed]]
application = "moods"
wait = 0.1
nodes = ["{A}", ["{B}", "{C}"]]
"""


@contextmanager
def booted(machine: Machine, *names: str) -> Iterator[list[RunningNode]]:
    """Nodes that wait for each other; every other one runs on trio."""
    config = machine.config(CLUSTER)
    with ExitStack() as stack:
        processes = []
        for place, name in enumerate(names):
            loop = ("asyncio", "trio")[place % 2]
            options = ("--path", str(APPS), "--config", config, "--start", "moods", "--backend", loop)
            processes.append(stack.enter_context(machine.popen("run", "--sname", name, *options)))
            stack.callback(processes[-1].kill)
        yield [RunningNode(process) for process in processes]


def runs_on(machine: Machine, asked: str) -> str:
    outcome = machine.regrow("cluster", "--node", asked, "--json")
    where = json.loads(outcome.stdout)["applications"]["moods"]["running_on"]
    assert isinstance(where, str), outcome
    return where


@row("DAP-025")
def test_what_starts_at_boot_fails_over_and_is_taken_over_on_return(tmp_path: Path) -> None:
    """Nobody types anything: nodes come, are killed, and come back."""
    machine = Machine(tmp_path)
    with booted(machine, A, B, C) as (a, b, c):
        a.log_until("application moods started (normal)")
        for standby in (b, c):
            standby.log_until(f"application moods stands by: it runs on {A}")
        a.signal(signal.SIGKILL)
        b.log_until(f"application moods started (failover from {A})")
        c.log_until(f"application moods stands by: it runs on {B}")
        b.signal(signal.SIGKILL)
        c.log_until(f"application moods started (failover from {B})")
        with booted(machine, A, B) as (a_again, b_again):
            a_again.log_until(f"application moods started (takeover from {C})")
            for standby in (b_again, c):
                standby.log_until(f"application moods stands by: it runs on {A}")
            assert [runs_on(machine, node) for node in (A, B, C)] == [A, A, A]
