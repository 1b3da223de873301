"""Calls, casts and stops of servers on other nodes."""

from __future__ import annotations

import logging

import anyio
import pytest

from regrow import (
    CallTimeout,
    Custom,
    Exit,
    GenServer,
    Kill,
    Killed,
    Name,
    NoConnection,
    Node,
    NoProc,
    NoProcess,
    Normal,
    NotPortable,
    Pid,
    Reason,
    RemoteError,
    ServerExited,
    ServerRef,
    Shutdown,
    call,
    connect,
    disconnect,
    flush,
    gen_call,
    gen_cast,
    link,
    nodes,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    stop,
    trap_exit,
)
from regrow.testing import ManualClock
from tests.harness import row

from .kit import (
    ECHO,
    Cluster,
    Echo,
    MemoryCluster,
    connected,
    echo_of,
    echo_on,
    halt,
    reported,
    running,
    until,
    warnings,
)

A, B, NOBODY = "a@localhost", "b@localhost", "nobody@localhost"


class Plain(GenServer):
    """In the OTP form."""

    def __init__(self) -> None:
        self.cast: list[object] = []

    async def handle_call(self, request: object, from_: object) -> object:
        return (request, self.cast)

    async def handle_cast(self, request: object) -> None:
        self.cast.append(request)


class Farewell(GenServer):
    """Tells somebody why it ends."""

    def __init__(self, home: Pid, gate: anyio.Event | None = None) -> None:
        self.home = home
        self.gate = gate

    async def init(self) -> None:
        trap_exit(True)

    @call
    async def ping(self) -> str:
        return "pong"

    async def terminate(self, reason: Reason) -> None:
        send(self.home, ("terminated", reason))
        if self.gate is not None:
            await self.gate.wait()


async def test_a_server_is_called_by_pid_and_by_name(cluster: Cluster) -> None:
    """As one of the own node; casts before a call are handled before it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        ref = await echo_on(b)
        with b.current():
            plain = (await start(Plain)).pid
        with a.current():
            for dest in (ServerRef(ref.pid, Echo), ECHO.at(B)):
                assert await Echo.say(dest, {"any": ("value", 1)}) == {"any": ("value", 1)}
            for number in range(5):
                Echo.hear(ECHO.at(B), number)
            assert await Echo.everything(ECHO.at(B)) == [0, 1, 2, 3, 4]
            gen_cast(plain, "cast")
            assert await gen_call(plain, "call") == ("call", ["cast"])


@row("GEN-021")
@pytest.mark.parametrize("seconds", [5.0, None])
async def test_a_server_that_is_not_there_is_no_process(cluster: Cluster, seconds: float | None) -> None:
    """At once, whatever the timeout; by pid and by name."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = await echo_of(b)
        with b.current():
            await stop(pid)
        with a.current():
            for dest in (ServerRef(pid, Echo), Name("nobody", Echo).at(B)):
                with pytest.raises(NoProcess) as refused:
                    await Echo.say.with_timeout(seconds)(dest, 1)
                assert refused.value.reason == NoProc()
                with pytest.raises(NoProcess):
                    await stop(dest)
            with pytest.raises(NoProcess):
                await Echo.say(ECHO.at(A), 1)


@row("GEN-022")
async def test_a_call_to_a_node_that_cannot_be_reached_fails_at_once(cluster: Cluster) -> None:
    """One that was never there, and one that is lost."""
    async with cluster.node(A) as a:
        async with cluster.node(B) as b:
            pid = await echo_of(b)
        with a.current():
            for dest in (ECHO.at(NOBODY), ECHO.at(B), ServerRef(pid, Echo)):
                with pytest.raises(ServerExited) as lost:
                    await Echo.say.with_timeout(None)(dest, 1)
                assert lost.value.reason == NoConnection()
                with pytest.raises(ServerExited) as lost:
                    await stop(dest)
                assert lost.value.reason == NoConnection()


@row("GEN-023", "ALI-004")
async def test_a_node_that_is_lost_in_the_middle_of_a_call_is_seen_at_once(cluster: Cluster) -> None:
    """By all who wait for a reply from it; nothing of it is left."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await echo_on(b)

        async def ask(home: Pid) -> None:
            try:
                await Echo.wait(ECHO.at(B))
            except ServerExited as error:
                send(home, error.reason)

        with a.current():
            for _ in range(10):
                spawn(ask, self_pid())
            await until(lambda: len(a.runtime.aliases) == 10)
            assert await Echo.say(ECHO.at(B), 1) == 1
            halt(b)
            assert [await receive() for _ in range(10)] == [NoConnection()] * 10
            assert not a.runtime.aliases


@row("ALI-004")
async def test_a_reply_after_the_connection_was_lost_reaches_nobody_and_connects_nobody(cluster: Cluster) -> None:
    """The caller has been told that there will be none."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        ref = await echo_on(b)

        async def ask(home: Pid) -> None:
            try:
                await Echo.wait(ECHO.at(B))
            except ServerExited as error:
                send(home, error.reason)
            send(home, await receive())

        with a.current():
            asking = spawn(ask, self_pid())
            await until(lambda: a.runtime.aliases)
            assert await Echo.say(ECHO.at(B), 1) == 1
            disconnect(B)
            assert await receive() == NoConnection()
        await reported(lambda: not connected(b))
        with b.current():
            assert await Echo.answer_all(ref) == 1
            assert await Echo.say(ref, 1) == 1
            assert nodes() == []
        with a.current():
            assert await connect(B)
            assert await Echo.say(ECHO.at(B), 1) == 1
            send(asking, "only this")
            assert await receive() == "only this"


@row("ALI-004")
async def test_a_reply_after_the_timeout_vanishes(cluster: Cluster) -> None:
    """And harms neither the caller nor the server."""
    clock = ManualClock()
    async with running(cluster.node(A, clock=clock), cluster.node(B)) as (a, b):
        ref = await echo_on(b)

        async def ask(home: Pid) -> None:
            try:
                await Echo.wait.with_timeout(3.0)(ECHO.at(B))
            except CallTimeout:
                send(home, "late")

        with a.current():
            spawn(ask, self_pid())
            await until(lambda: a.runtime.aliases)
            assert await Echo.say(ECHO.at(B), 1) == 1
            clock.advance(3.0)
            assert await receive() == "late"
        with b.current():
            assert await Echo.answer_all(ref) == 1
        with a.current():
            assert await Echo.say(ECHO.at(B), 1) == 1
            assert flush() == []
            assert not a.runtime.aliases


@row("GEN-016")
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("detail"), Custom("own")])
async def test_a_server_that_ends_in_a_call_gives_its_reason(cluster: Cluster, reason: Reason) -> None:
    """The same as to a caller of its own node."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await echo_on(b)
        with a.current():
            with pytest.raises(ServerExited) as ended:
                await Echo.fail(ECHO.at(B), reason)
            assert ended.value.reason == reason


@row("GEN-016")
async def test_a_crash_in_a_call_reads_the_same_on_the_other_node(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """As data; it is reported where it happened, once."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await echo_on(b)
        with a.current():
            with pytest.raises(ServerExited) as ended:
                await Echo.crash(ECHO.at(B))
            assert str(ended.value.reason) == "Broken: badly"
            assert isinstance(ended.value.__cause__, RemoteError)
            assert "raise Broken" in ended.value.__cause__.traceback
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


async def test_a_kill_of_the_server_and_a_reason_that_cannot_travel(cluster: Cluster) -> None:
    """The caller hears of an end, in words at least."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        for reason, told in ((Kill(), Killed()), (Custom(object), Custom("<class 'object'>"))):
            ref = await echo_on(b)
            seen: list[Reason] = []

            async def ask(seen: list[Reason] = seen) -> None:
                try:
                    await Echo.wait(ECHO.at(B))
                except ServerExited as error:
                    seen.append(error.reason)

            with a.current():
                spawn(ask)
                await until(lambda: a.runtime.aliases)
                assert await Echo.say(ECHO.at(B), 1) == 1
            with b.current():
                send_exit(ref, reason)
            await until(lambda seen=seen: seen)
            assert seen == [told]


async def test_arguments_that_do_not_fit_are_an_error_of_the_caller(cluster: Cluster) -> None:
    """The server is not harmed; the error is data."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await echo_on(b)
        with a.current():
            with pytest.raises(RemoteError, match="TypeError"):
                await Echo.say(ECHO.at(B))  # type: ignore[call-arg]
            with pytest.raises(RemoteError, match="UnknownRequest"):
                await Farewell.ping(Name("echo", Farewell).at(B))
            assert await Echo.say(ECHO.at(B), 1) == 1


async def test_what_cannot_travel_is_an_error_on_the_way_there_and_on_the_way_back(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """On the way there nothing is sent; on the way back the server has done its work, and lives."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await echo_on(b)
        with a.current():
            with pytest.raises(NotPortable):
                await Echo.say(ECHO.at(B), object())
            with pytest.raises(NotPortable):
                Echo.hear(ECHO.at(B), object())
            with pytest.raises(RemoteError, match="NotPortable"):
                await Echo.secret(ECHO.at(B))
            assert not a.runtime.aliases
            assert await Echo.everything(ECHO.at(B)) == []
    assert len(warnings(caplog, "cannot leave this node")) == 1


@row("GEN-030")
async def test_a_cast_never_fails(cluster: Cluster) -> None:
    """Whoever is or is not there."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = await echo_of(b)
        with b.current():
            await stop(pid)
        with a.current():
            for dest in (ServerRef(pid, Echo), Name("nobody", Echo).at(B), ECHO.at(NOBODY)):
                Echo.hear(dest, 1)
            assert await connect(B)
            assert flush() == []


@row("GEN-030")
async def test_a_cast_to_a_node_that_does_not_answer_takes_no_time(memory: MemoryCluster) -> None:
    """It waits for the connection by itself, and vanishes if there is none."""
    async with memory.node(B), memory.node(A):
        memory.network.stall(A, B)
        Echo.hear(ECHO.at(B), 1)
        with anyio.move_on_after(0.0) as scope:
            await Echo.say(ECHO.at(B), 1)
        assert scope.cancelled_caught
        memory.network.heal(A, B)


@row("GEN-039")
async def test_a_stop_returns_when_the_server_has_ended(cluster: Cluster) -> None:
    """By pid and by name; `terminate` ran with the reason, which is told."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            home = self_pid()
        for by_name in (True, False):
            with b.current():
                ref = await start(Farewell, home)
                register("farewell", ref)
            with a.current():
                dest = ("farewell", B) if by_name else ref.pid
                await stop(dest)
                assert await receive() == ("terminated", Normal())
                assert ref.pid not in b.runtime.processes
                with pytest.raises(NoProcess):
                    await stop(dest)
        with b.current():
            ref = await start(Farewell, home)
        with a.current():
            await stop(ref.pid, Custom("enough"))
            assert await receive() == ("terminated", Custom("enough"))


async def test_a_stop_whose_asker_is_lost_goes_on(cluster: Cluster) -> None:
    """It was asked for; the asker hears of the loss, and nobody waits for the answer any more."""
    gate = anyio.Event()

    async def ask(pid: Pid, home: Pid) -> None:
        try:
            await stop(pid)
        except ServerExited as error:
            send(home, error.reason)

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            trap_exit(True)
            pid = (await start(Farewell, self_pid(), gate)).pid
            link(pid)
        with a.current():
            spawn(ask, pid, self_pid())
        with b.current():
            assert await receive() == ("terminated", Normal())
        with a.current():
            disconnect(B)
            assert await receive() == NoConnection()
        await reported(lambda: not connected(b))
        with b.current():
            gate.set()
            assert await receive() == Exit(pid, Normal())
            assert nodes() == []


async def test_outsiders_call_and_cast_to_other_nodes(cluster: Cluster) -> None:
    """A web handler, say, with a node lent to it or a reference that knows its node."""
    replies: list[object] = []

    async def outside(node: Node, ref: ServerRef[Echo]) -> None:
        with node.current():
            replies.append(await Echo.say(ECHO.at(B), "by name"))
            Echo.hear(ECHO.at(B), "cast")
            replies.append(await Echo.everything(ECHO.at(B)))
        replies.append(await Echo.say(ref, "by reference"))

    async with running(cluster.node(A), cluster.node(B)) as (a, b), anyio.create_task_group() as group:
        await echo_on(b)
        with a.current():
            ref = ServerRef(b.runtime.registry.whereis("echo"), Echo)
        group.start_soon(outside, a, ref)
        await until(lambda: len(replies) == 3)
    assert replies == ["by name", ["cast"], "by reference"]


async def test_a_reference_crosses_and_works_from_where_it_arrived(cluster: Cluster) -> None:
    """It belongs to the node that it came to."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        ref = await echo_on(b)
        with b.current():
            register("b", self_pid())
        with a.current():
            home = self_pid()
        with b.current():
            send(home, ref)
        with a.current():
            arrived = await receive(ServerRef)
            assert arrived == ref
            assert arrived.runtime is a.runtime
            assert await Echo.say(ServerRef(arrived.pid, Echo), 1) == 1
