"""One request to servers on many nodes."""

from __future__ import annotations

import anyio
import pytest

from regrow import (
    CallTimeout,
    Name,
    NoProcess,
    NotPortable,
    RemoteError,
    Replies,
    ServerExited,
    abcast,
    flush,
    nodes,
)
from regrow.testing import ManualClock
from tests.harness import row

from .kit import ECHO, Cluster, Echo, echo_on, halt, running, until

A, B, C, NOBODY = "a@localhost", "b@localhost", "c@localhost", "nobody@localhost"


def errors(found: Replies[object]) -> dict[str, type[Exception]]:
    return {node: type(error) for node, error in found.bad_nodes.items()}


@row("GEN-053")
async def test_all_nodes_are_asked_and_each_reply_bears_its_node(cluster: Cluster) -> None:
    """Those that are given, in that order; else this one and all that are connected."""
    async with running(*map(cluster.node, (A, B, C))) as found:
        for node in found:
            await echo_on(node)
        with found[0].current():
            assert await Echo.say.multi_call([C, A], ECHO, "hello") == ([(C, "hello"), (A, "hello")], {})
            assert await Echo.say.multi_call([], ECHO, "hello") == ([], {})
            replies, bad_nodes = await Echo.say.multi_call(None, ECHO, "all")
            assert (replies[0], sorted(replies), bad_nodes) == ((A, "all"), [(n, "all") for n in (A, B, C)], {})
            assert not found[0].runtime.aliases


@row("GEN-053", translated="with the bad nodes comes what a call would have raised")
async def test_nodes_without_an_answer_are_bad(cluster: Cluster) -> None:
    """No server there, no such node, a server that ends, and one that fails the reply."""
    async with running(*map(cluster.node, (A, B, C))) as (a, b, _c):
        await echo_on(a)
        await echo_on(b)
        with a.current():
            found = await Echo.say.multi_call([A, B, C, NOBODY], ECHO, 1)
            assert found.replies == [(A, 1), (B, 1)]
            assert errors(found) == {C: NoProcess, NOBODY: ServerExited}
            assert str(found.bad_nodes[NOBODY]).endswith("noconnection")
            found_too = await Echo.say.multi_call([B, C], Name("echo", Echo))  # type: ignore[call-arg]
            assert errors(found_too) == {B: RemoteError, C: NoProcess}
            crashed = await Echo.crash.multi_call([B], ECHO)
            assert errors(crashed) == {B: ServerExited}
            assert not a.runtime.aliases


@row("GEN-053")
async def test_all_have_one_time_and_late_replies_are_dropped(cluster: Cluster) -> None:
    """Who has answered by then has; nothing comes after."""
    clock = ManualClock()
    async with running(cluster.node(A, clock=clock), *map(cluster.node, (B, C))) as (a, b, c):
        await echo_on(a)
        refs = [await echo_on(node) for node in (b, c)]
        results: list[Replies[str]] = []

        async def ask() -> None:
            results.append(await Echo.wait.with_timeout(3.0).multi_call([A, B, C], ECHO))

        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                servers = [node.runtime.processes[ref.pid].server for node, ref in zip((b, c), refs, strict=True)]
                await until(lambda: all(isinstance(server, Echo) and server.open for server in servers))
                assert await Echo.answer_all(ECHO.at(B)) == 1
                clock.advance(3.0)
            [found] = results
            assert found.replies == [(B, "late")]
            assert errors(found) == {A: CallTimeout, C: CallTimeout}
            assert await Echo.answer_all(ECHO.at(C)) == 1
            assert await Echo.say(ECHO.at(C), 1) == 1
            assert flush() == []
            assert not a.runtime.aliases


@row("GEN-053")
async def test_a_node_that_dies_meanwhile_is_bad_at_once(cluster: Cluster) -> None:
    """Long before the time is up."""
    async with running(*map(cluster.node, (A, B))) as (a, b):
        ref = await echo_on(b)
        results: list[Replies[str]] = []

        async def ask() -> None:
            results.append(await Echo.wait.multi_call([B], ECHO))

        with a.current():
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                server = b.runtime.processes[ref.pid].server
                assert isinstance(server, Echo)
                await until(lambda: server.open)
                halt(b)
            assert errors(results[0]) == {B: ServerExited}


async def test_what_cannot_travel_is_an_error_and_leaves_nothing(cluster: Cluster) -> None:
    """Raised where it was asked for, not said of a node."""
    async with running(*map(cluster.node, (A, B))) as (a, b):
        for node in (a, b):
            await echo_on(node)
        with a.current():
            with pytest.raises(NotPortable):
                await Echo.say.multi_call([A, B], ECHO, object())
            with pytest.raises(NotPortable):
                Echo.hear.abcast([B, A], ECHO, object())
            assert not a.runtime.aliases


@row("GEN-054")
async def test_a_cast_to_many_nodes_reaches_those_that_can_be_reached(cluster: Cluster) -> None:
    """The given ones, else all and this one; the others are no error, and nobody waits."""
    async with running(*map(cluster.node, (A, B, C))) as found:
        a = found[0]
        for node in found[:2]:
            await echo_on(node)
        with a.current():
            Echo.hear.abcast([A, NOBODY, B, C], ECHO, "given")
            Echo.hear.abcast(None, ECHO, "all")
            abcast([B, NOBODY], "nobody", "in the OTP form")
            assert await Echo.everything(ECHO) == ["given", "all"]
            assert await Echo.everything(ECHO.at(B)) == ["given", "all"]
            assert sorted(nodes()) == [B, C]


@row("GEN-053", "GEN-054")
async def test_outside_of_a_process_it_works_as_well(cluster: Cluster) -> None:
    """With a node lent."""
    async with running(*map(cluster.node, (A, B))) as (a, b):
        await echo_on(b)

        async def outside() -> None:
            with a.current():
                Echo.hear.abcast([B], ECHO, "cast")
                assert (await Echo.everything.multi_call([B], ECHO)).replies == [(B, ["cast"])]

        async with anyio.create_task_group() as group:
            group.start_soon(outside)
