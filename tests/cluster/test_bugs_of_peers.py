"""What other libraries of this kind got wrong, as it shows between nodes; most of it stands where it belongs.

`tests/local/test_bugs_of_peers.py` is the same list for one node; what is about packages and pages stands there only.

- A call to a server that crashes fails at once, with its reason, and so does one whose node is lost:
  `test_a_server_that_ends_in_a_call_gives_its_reason`, `test_a_crash_in_a_call_reads_the_same_on_the_other_node`,
  `test_a_node_that_is_lost_in_the_middle_of_a_call_is_seen_at_once`.
- A late reply harms neither the server nor the mailbox of the caller: `test_a_reply_after_the_timeout_vanishes`,
  `test_a_reply_after_the_connection_was_lost_reaches_nobody_and_connects_nobody`.
- Other mail that arrives during a call is kept, in order: below.
- Calls go by pid and by name: `test_a_server_is_called_by_pid_and_by_name`, and by a name that all nodes know:
  `test_a_registered_name_is_known_everywhere_when_the_registration_returns`.
- A call to a dead pid is `noproc` at once: `test_a_server_that_is_not_there_is_no_process`; to one of an earlier
  incarnation of its node: `test_pids_of_an_earlier_incarnation_reach_nobody`.
- A cast to oneself or to a busy server never blocks: below, and `test_a_cast_never_fails`,
  `test_a_cast_to_a_node_that_does_not_answer_takes_no_time`.
- What `init` raises is what the start raises, and the name is free: below, and
  `test_a_start_that_fails_brings_its_reason_home`.
- Who is killed is restarted: below, and `test_a_supervised_holder_comes_back_under_its_name_at_once`.
- A supervisor that gave up has ended with `shutdown`: below.
- In the restart of a group no sibling serves once the crash is seen: below.
- A copy of a pid is that pid: `test_terms_come_back_as_they_went`,
  `test_a_reference_crosses_and_works_from_where_it_arrived`.
- Two names in the registry: below, and `test_a_process_has_one_global_name_unless_it_is_allowed_several`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from anyio import create_task_group

from regrow import (
    CallError,
    ChildSpec,
    Crash,
    Down,
    GenServer,
    Global,
    Kill,
    Killed,
    Name,
    Node,
    Pid,
    Shutdown,
    StartFailed,
    Supervisor,
    call,
    cast,
    child,
    flush,
    global_name,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    start,
    whereis,
)
from tests.local.gen_server_kit import Attempt

from .kit import ECHO, Cluster, Echo, echo_on, running, until

A, B, C = "a@localhost", "b@localhost", "c@localhost"
TESTS = Path(__file__).parents[1]


def test_what_is_said_to_stand_elsewhere_does() -> None:
    """A test that was given another name would be missed here."""
    named = re.findall(r"`(test_\w+)`", __doc__ or "")
    there = {
        name
        for path in sorted(TESTS.rglob("test_*.py"))
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert set(named) - there == set()
    assert len(named) > 12


async def test_mail_of_all_nodes_that_arrives_during_a_call_is_kept_in_order(cluster: Cluster) -> None:
    """Neither the call nor its reply disturbs what the server's node, the own one or a third has sent meanwhile."""
    async with running(cluster.node(A), cluster.node(B), cluster.node(C)) as (a, b, c):
        await echo_on(b)
        with a.current():
            me = self_pid()
            send(me, "before")
            async with create_task_group() as group:
                asked = Attempt(group, Echo.wait(ECHO.at(B)))
                await until(lambda: b.runtime.incoming)
                for number in range(3):
                    for node in (a, b, c):
                        with node.current():
                            send(me, (node.name, number))
                with b.current():
                    await Echo.answer_all(ECHO)
                assert await asked.result() == "late"
            mail = [await receive(timeout=10.0) for _ in range(10)]
            assert mail[0] == "before"
            for node in (A, B, C):
                assert [number for sender, number in mail[1:] if sender == node] == [0, 1, 2]
            assert flush() == []


class Busy(GenServer):
    """Sits in a handler until it may go on."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.log: list[str] = []

    @cast
    async def sit(self) -> None:
        await self.gate.wait()
        Busy.note(Name("busy", Busy).at(B), "to myself")  # by an address that could be anywhere
        self.log.append("sat")

    @cast
    async def note(self, text: str) -> None:
        self.log.append(text)

    @call
    async def notes(self) -> list[str]:
        return self.log


async def test_a_cast_to_a_busy_server_of_another_node_and_to_oneself_never_blocks(cluster: Cluster) -> None:
    """All are handled in their turn, once it gets to them."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            ref = await start(child(Busy).named("busy"))
        busy = b.runtime.processes[ref.pid]
        with a.current():
            Busy.sit(ref)
            for number in range(3):
                Busy.note(ref, str(number))
            await until(lambda: len(busy.mailbox.queue) == 3)
            assert isinstance(busy.server, Busy)
            busy.server.gate.set()
            await until(lambda: len(busy.server.log) == 5)  # type: ignore[union-attr]
            assert await Busy.notes(ref) == ["sat", "0", "1", "2", "to myself"]


class Broken(GenServer):
    """Does not start."""

    async def init(self) -> None:
        raise ValueError("not today")


async def test_a_failed_init_is_the_starters_error_and_its_global_name_is_free_on_every_node(cluster: Cluster) -> None:
    """It was known everywhere when `init` ran."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            with pytest.raises(StartFailed) as failed:
                await start(child(Broken).named(Global("broken", Broken)))
            assert isinstance(failed.value.reason, Crash)
            assert str(failed.value.reason) == "ValueError: not today"
            await global_name.sync()
        with b.current():
            assert global_name.whereis("broken") is None
            assert await global_name.register("broken", await start(Echo))


class Member(GenServer):
    """Knows whether it is the first of its name."""

    def __init__(self, lives: list[int]) -> None:
        self.life = len(lives)
        lives.append(self.life)

    @call
    async def which(self) -> int:
        return self.life


class Group(Supervisor):
    strategy = "one_for_all"

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.seconds: list[int] = []

    def init(self) -> Iterable[ChildSpec]:
        return [child(Member, self.firsts).named("first"), child(Member, self.seconds).named("second")]


FIRST, SECOND = Name("first", Member).at(B), Name("second", Member).at(B)


async def kill(name: str) -> None:
    """Kill who has the name on the other node, and return when that is known here."""
    ref = monitor((name, B))
    send_exit((name, B), Kill())
    down = await receive(lambda message: isinstance(message, Down) and message.ref == ref, timeout=10.0)
    assert down.reason == Killed()


async def test_who_is_killed_from_another_node_is_restarted_until_that_is_too_often(cluster: Cluster) -> None:
    """The name leads to the new one; and a supervisor that gave up is seen to have ended with `shutdown`."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            sup = await start(child(Group).named("group"))
        with a.current():
            ended = monitor(sup)
            await kill("first")
            assert (await Supervisor.which_child(sup, "first")).pid == whereis_on(b, "first")
            assert await Member.which(FIRST) == 1
            await kill("second")
            down = await receive(Down, timeout=10.0)
            assert (down.ref, down.reason) == (ended, Shutdown())


async def test_once_a_crash_is_seen_on_another_node_no_old_sibling_serves(cluster: Cluster) -> None:
    """Who answers is a new one; until there is one, nobody does."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            await start(child(Group).named("group"))
        with a.current():
            await kill("first")
            with suppress(CallError):  # between the two
                assert await Member.which(SECOND) == 1


def whereis_on(node: Node, name: str) -> Pid | None:
    with node.current():
        return whereis(name)


async def test_one_name_on_two_nodes_leads_to_two_processes(cluster: Cluster) -> None:
    """And of two names that all nodes know each leads to its own, wherever it is asked."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        here, there = await echo_on(a), await echo_on(b)
        with a.current():
            assert await global_name.register("one", here)
        with b.current():
            assert await global_name.register("two", there)
        for node in (a, b):
            with node.current():
                Echo.hear(ECHO.at(A), f"a from {node.name}")
                Echo.hear(ECHO.at(B), f"b from {node.name}")
                assert (global_name.whereis("one"), global_name.whereis("two")) == (here.pid, there.pid)
                assert (await Echo.everything(Global("one", Echo)))[-1] == f"a from {node.name}"
                assert (await Echo.everything(Global("two", Echo)))[-1] == f"b from {node.name}"
