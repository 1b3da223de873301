"""System messages to processes of other nodes."""

from __future__ import annotations

import pytest
from anyio import create_task_group

from regrow import CallTimeout, Custom, Name, NoConnection, NoProcess, ServerExited, sys
from tests.harness import row
from tests.local.gen_server_kit import Attempt

from .kit import ECHO, Cluster, Echo, echo_on, running, until

A, B, NOBODY = "a@localhost", "b@localhost", "nobody@localhost"


@row("SYS-001", "SYS-002", "SYS-008", "SYS-011")
async def test_a_process_of_another_node_is_held_and_ended(cluster: Cluster) -> None:
    """By pid, by name, and by name and node, as one of the own node."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        ref = await echo_on(b)
        with a.current():
            for dest in (ref.pid, ECHO.at(B), ("echo", B)):
                await sys.suspend(dest)
                with pytest.raises(CallTimeout):
                    await Echo.say.with_timeout(0)(ECHO.at(B), "in vain")
                async with create_task_group() as group:
                    later = Attempt(group, Echo.say(ECHO.at(B), "later"))
                    await until(lambda: len(b.runtime.processes[ref.pid].mailbox.queue) == 2)
                    await sys.resume(dest)
                    assert await later.result() == "later"
            await sys.suspend(ref.pid)
            await sys.terminate(ECHO.at(B), Custom("enough"))
            for dest in (ref.pid, ECHO.at(B)):
                with pytest.raises(NoProcess):
                    await sys.suspend(dest)


@row("SYS-011")
async def test_a_node_that_cannot_be_reached_is_a_server_that_exited(cluster: Cluster) -> None:
    """At once, whatever the timeout."""
    async with cluster.node(A) as a:
        with a.current():
            for verb in (sys.suspend, sys.resume, sys.terminate):
                with pytest.raises(ServerExited) as lost:
                    await verb(Name("echo", Echo).at(NOBODY), timeout=None)
                assert lost.value.reason == NoConnection()
