"""Leaving a node: what is stopped, in which order, in how much time, and who else may try to cut it short."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    ChildSpec,
    GenServer,
    Name,
    Node,
    ProcessExited,
    Reason,
    Supervisor,
    child,
    gen_call,
    link,
    spawn,
    spawn_link,
    start,
    start_link,
    trap_exit,
)
from regrow._pure.config import NodeConfig
from regrow.testing import ManualClock

from .process_kit import Broken, run_in, settled

Log = list[str]


class Noted(GenServer):
    """Notes its end, with the reason; in its own time, if it is given one."""

    def __init__(self, log: Log, name: str, wait_for: anyio.Event | None = None) -> None:
        self.log = log
        self.name = name
        self.wait_for = wait_for

    async def init(self) -> None:
        trap_exit(True)

    async def terminate(self, reason: Reason) -> None:
        self.log.append(f"{self.name} stops: {reason}")
        if self.wait_for is not None:
            await self.wait_for.wait()
        self.log.append(f"{self.name} has stopped")


class Top(Supervisor):
    """One child."""

    def __init__(self, log: Log, name: str) -> None:
        self.log = log
        self.name = name

    def init(self) -> Iterable[ChildSpec]:
        return [child(Noted, self.log, f"{self.name}'s child")]


async def note_end(log: Log, name: str) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        log.append(f"{name} is killed")


async def test_servers_and_supervisors_stop_one_after_the_other_newest_first() -> None:
    """What was started later may need what was there before; plain processes are killed when all have stopped."""
    log: Log = []
    async with Node():
        spawn(note_end, log, "worker")
        await start_link(Noted, log, "linked")
        await start(Noted, log, "loose")
        await start_link(Top, log, "top")
        await settled()
    assert log == [
        "top's child stops: shutdown",
        "top's child has stopped",
        "loose stops: shutdown",
        "loose has stopped",
        "linked stops: shutdown",
        "linked has stopped",
        "worker is killed",
    ]


async def test_a_server_can_call_an_older_one_while_it_stops() -> None:
    """The older is still there."""
    log: Log = []

    class Leaving(Noted):
        async def terminate(self, reason: Reason) -> None:
            self.log.append(str(await gen_call(Name("older", GenServer), "bye")))

    class Older(Noted):
        async def handle_call(self, request: object, from_: object) -> object:
            return f"older heard {request}"

    async with Node():
        await start_link(child(Older, log, "older").named("older"))
        await start_link(Leaving, log, "newer")
    assert log == ["older heard bye", "older stops: shutdown", "older has stopped"]


async def test_who_does_not_stop_in_its_time_is_killed_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """By its shutdown time, on the node's clock; the others get theirs all the same."""
    log: Log = []
    clock = ManualClock()
    entered, never = anyio.Event(), anyio.Event()

    async def run() -> None:
        async with Node(clock=clock):
            await start_link(child(Noted, log, "patient"))
            await start_link(child(Noted, log, "stuck", never).with_(shutdown=2.0))
            entered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await entered.wait()
        while not log:
            await checkpoint()
        clock.advance(1.999)
        await settled()
        assert log == ["stuck stops: shutdown"]
        clock.advance(0.001)
    assert log == ["stuck stops: shutdown", "patient stops: shutdown", "patient has stopped"]
    assert "Noted" in caplog.text
    assert "has not stopped within 2 s" in caplog.text
    assert "in terminate" in caplog.text


@pytest.mark.parametrize("shutdown", [60.0, "infinity"])
async def test_the_time_of_the_node_is_the_most_that_all_have_together(
    caplog: pytest.LogCaptureFixture, shutdown: float | str
) -> None:
    """Whatever they were promised; who is late is named, and killed, with those who were not told yet."""
    log: Log = []
    clock = ManualClock()
    never = anyio.Event()

    async def run() -> None:
        async with Node(clock=clock, config=NodeConfig(shutdown_timeout=3.0)):
            await start_link(child(Noted, log, "untold"))
            await start_link(child(Noted, log, "stuck", never).with_(shutdown=shutdown))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        while not log:
            await checkpoint()
        clock.advance(2.999)
        await settled()
        assert "killed" not in caplog.text
        clock.advance(0.001)
    assert log == ["stuck stops: shutdown"]
    assert caplog.text.count("nonode@nohost kills Noted") == caplog.text.count("has not stopped within 3 s") == 2
    assert "in terminate" in caplog.text


async def test_a_supervisor_that_hangs_in_its_start_holds_up_nobody_for_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its shutdown time is infinite, and while a child of it hangs in `init` it hears nothing; the child is named."""
    starting = anyio.Event()

    class Hanging(GenServer):
        async def init(self) -> None:
            starting.set()
            await anyio.sleep_forever()

    class Waiting(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            return [child(Hanging)]

    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with Node(config=NodeConfig(shutdown_timeout=0.05)):
                await start_link(Waiting)

        group.start_soon(run)
        await starting.wait()
        group.cancel_scope.cancel()
    assert "kills Waiting" in caplog.text
    assert "has not stopped within 0.05 s; it waits for Hanging" in caplog.text
    assert "in init" in caplog.text


async def test_a_clock_that_nobody_turns_does_not_hold_up_the_end() -> None:
    """A test that leaves its node with a server that hangs waits no longer than the real shutdown time."""
    log: Log = []
    async with Node(clock=ManualClock()):
        await start_link(child(Noted, log, "stuck", anyio.Event()).with_(shutdown=0.01))
    assert log == ["stuck stops: shutdown"]


async def test_brutal_kill_leaves_no_time() -> None:
    """As its specification says."""
    log: Log = []
    async with Node():
        await start_link(child(Noted, log, "brutal").with_(shutdown="brutal_kill"))
        await settled()
    assert log == []


async def test_processes_that_are_started_during_the_stop_are_stopped_too() -> None:
    """Until nobody is left."""
    log: Log = []

    async def hydra(heads: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if heads:
                spawn_link(hydra, heads - 1)
            log.append(f"{heads} more")

    class Starter(Noted):
        async def terminate(self, reason: Reason) -> None:
            await start(Noted, self.log, "late")

    async with Node() as node:
        spawn(hydra, 2)
        await start_link(Starter, log, "starter")
        await settled()
    assert node.runtime.leftovers() == ()
    assert "2 more" in log


async def test_outer_cancellation_becomes_an_orderly_stop_and_goes_on_outwards() -> None:
    """It reaches no process directly: a server still has its `terminate`, with time to wait in it."""
    log: Log = []
    may_end = anyio.Event()
    after = False
    async with anyio.create_task_group() as group:

        async def run() -> None:
            nonlocal after
            async with Node() as node:
                await start_link(Noted, log, "server", may_end)
                spawn(note_end, log, "worker")
                nodes.append(node)
                await anyio.sleep_forever()
            after = True

        nodes: list[Node] = []
        group.start_soon(run)
        await settled()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            while not log:
                await checkpoint()
            assert log == ["server stops: shutdown"]
            may_end.set()
    assert log == ["server stops: shutdown", "server has stopped", "worker is killed"]
    assert nodes[0].runtime.leftovers() == ()
    assert not after


async def test_a_cancellation_while_the_node_stops_does_not_cut_it_short() -> None:
    """The body had ended by itself; that somebody loses patience meanwhile changes nothing for the servers."""
    log: Log = []
    may_end = anyio.Event()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with Node():
                await start_link(Noted, log, "server", may_end)

        group.start_soon(run)
        while not log:
            await checkpoint()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await settled()
            assert log == ["server stops: shutdown"]
            may_end.set()
    assert log == ["server stops: shutdown", "server has stopped"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelling_the_task_again_and_again_does_not_cut_the_stop_short() -> None:
    """As Ctrl-C pressed twice does under asyncio: its cancellation is no scope, and is not held off by one."""
    import asyncio

    log: Log = []
    may_end = anyio.Event()

    async def run() -> None:
        async with Node() as node:
            nodes.append(node)
            spawn(note_end, log, "worker")
            await start_link(Noted, log, "server", may_end)
            await anyio.sleep_forever()

    nodes: list[Node] = []
    task = asyncio.create_task(run())
    await settled()
    for _ in range(3):
        task.cancel()
        await settled()
        assert log == ["server stops: shutdown"]
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["server stops: shutdown", "server has stopped", "worker is killed"]
    assert nodes[0].runtime.leftovers() == ()


async def test_a_body_ended_by_a_signal_stops_the_node_in_order() -> None:
    """The same stop as for a body that reached its end."""
    log: Log = []

    async def fail() -> None:
        raise Broken("x")

    async def body() -> None:
        await start_link(Noted, log, "server")
        spawn_link(fail)
        await anyio.sleep_forever()

    with pytest.raises(ProcessExited):
        await run_in(Node(), body)
    assert log == ["server stops: shutdown", "server has stopped"]


async def test_the_body_handles_nothing_after_its_end() -> None:
    """What its links say while they are stopped goes nowhere, and it is not reported as one that refuses to end."""
    clock = ManualClock()
    may_end = anyio.Event()
    log: Log = []
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with Node(clock=clock) as node:
                nodes.append(node)
                pid = spawn(note_end, log, "partner")
                link(pid)
                await start_link(child(Noted, log, "server", may_end).with_(shutdown=60.0))

        nodes: list[Node] = []
        group.start_soon(run)
        while not log:
            await checkpoint()
        runtime = nodes[0].runtime
        assert runtime.body is not None, "set for as long as the node runs"
        closed, timers = runtime.body.mailbox.closed, len(runtime.timers)
        may_end.set()
    assert closed
    assert timers == 3, "the server's shutdown time, that of its terminate and the node's, no watch over the body"
    assert log[-1] == "partner is killed"


async def test_a_node_whose_runtime_directory_is_gone_stops_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systems remove it at the end of a login, with all that is in it."""
    directory = tmp_path / "run"
    monkeypatch.setenv("REGROW_RUNTIME_DIR", str(directory))
    async with Node("a@localhost", cookie="secret"):
        shutil.rmtree(directory)
    assert not directory.exists()


async def test_a_node_that_cannot_remove_its_record_says_so_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others can get into the directory by now: nothing in it is touched, and the name is free."""
    directory = tmp_path / "run"
    monkeypatch.setenv("REGROW_RUNTIME_DIR", str(directory))
    async with Node("a@localhost", cookie="secret"):
        directory.chmod(0o777)
    assert "the record of a@localhost stays where it is: others can get into" in caplog.text
    directory.chmod(0o700)
    async with Node("a@localhost", cookie="secret"):
        pass
    assert not list(directory.iterdir())
