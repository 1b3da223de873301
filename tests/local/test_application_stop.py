"""Stopping applications: in which order, what goes with them, and what may go wrong on the way."""

from __future__ import annotations

import anyio
import pytest

from regrow import (
    ApplicationError,
    Custom,
    GenServer,
    Kill,
    Killed,
    Shutdown,
    Supervisor,
    application,
    child,
    gen_call,
    monitor,
    send_exit,
    spawn,
    start,
    start_link,
    stop,
    trap_exit,
    whereis,
)
from regrow.application_master import STOP_CALLBACK_S
from regrow.testing import ManualClock
from tests.harness import row

from .application_kit import (
    Apps,
    Script,
    apps,
    crash,
    end_tree,
    ended,
    master_of,
    reason_of,
    script,
    settled,
    start_tree,
    started,
    stopped,
    waiting_for,
)

__all__ = ["apps", "script"]


# -- the order


async def test_prep_stop_then_the_tree_in_reverse_then_stop_then_the_strays(apps: Apps, script: Script) -> None:
    """`prep_stop` still sees the tree, `stop` does not; a process outside of the tree is there until the very end."""
    apps.add("a")

    async def stray() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            script.log.append("stray ends")

    async def start_it() -> object:
        spawn(stray)
        return await start_tree()

    async def see() -> None:
        script.log.append("tree is up" if whereis("a_worker") else "tree is gone")

    script.at("a start", start_it)
    script.at("a prep_stop", see)
    script.at("a stop", see)
    async with apps.node() as node:
        await application.start("a")
        await settled()
        script.taken()
        await application.stop("a")
        assert script.log == [
            "a prep_stop",
            "tree is up",
            "a worker stops",
            "a stop",
            "tree is gone",
            "stray ends",
        ]
        assert len(node.runtime.processes) == 1


@row("APP-011")
async def test_what_was_not_started_cannot_be_stopped(apps: Apps) -> None:
    """Unknown, loaded, stopped, or not come up: it is all the same."""
    apps.add("a")

    async def refused() -> None:
        with pytest.raises(ApplicationError) as caught:
            await application.stop("a")
        assert caught.value.application == "a"
        assert reason_of(caught) == "not_started"

    async with apps.node():
        await refused()
        await application.load("a")
        await refused()
        await application.start("a")
        await application.stop("a")
        await refused()


@row("APP-011")
async def test_one_that_has_ended_by_itself_can_be_stopped_once(apps: Apps, script: Script) -> None:
    """Somebody had started it, and now it counts as stopped; nothing is called for that."""
    apps.add("a")
    async with apps.node() as node:
        await application.start("a")
        await end_tree(node, "a", Custom("gone"))
        script.taken()
        await application.stop("a")
        assert script.log == []
        with pytest.raises(ApplicationError):
            await application.stop("a")


@row("APP-012")
async def test_who_depends_on_it_is_not_asked(apps: Apps) -> None:
    """They go on running; whether they can is their own matter."""
    apps.add("a", "b")
    apps.add("b")
    async with apps.node():
        await application.ensure_all_started("a")
        await application.stop("b")
        assert application.which_applications() == ["a"]
        assert await gen_call("a_worker", "who?") == "a"


@row("APP-016")
async def test_prep_stop_and_stop_are_called_too_when_the_tree_ends_by_itself(apps: Apps, script: Script) -> None:
    """What they clean up is there all the same."""
    apps.add("a")
    async with apps.node() as node:
        await application.start("a")
        await end_tree(node, "a", Custom("gone"))
        assert script.log == [*started("a"), "a worker stops", "a prep_stop", "a stop"]


@row("APP-019")
async def test_no_process_that_belongs_to_it_survives(apps: Apps, script: Script) -> None:
    """Not those outside of the tree, nor servers, nor what traps exits, nor what is spawned while they end."""
    apps.add("a")

    async def hydra(heads: int) -> None:
        trap_exit(True)
        try:
            await anyio.sleep_forever()
        finally:
            if heads:
                spawn(hydra, heads - 1)

    class Loose(GenServer):
        async def init(self) -> None:
            trap_exit(True)

    async def start_it() -> object:
        spawn(hydra, 3)
        await start(Loose)
        await start_link(Loose)
        return await start_tree()

    script.at("a start", start_it)
    async with apps.node() as node:
        await application.start("a")
        await settled()
        assert len(node.runtime.processes) == 7
        await application.stop("a")
        assert len(node.runtime.processes) == 1


async def test_two_who_stop_it_both_return_when_it_is_gone(apps: Apps, script: Script) -> None:
    """It is stopped once."""
    apps.add("a")
    may_go = anyio.Event()
    async with apps.node():
        await application.start("a")
        script.taken()
        script.at("a stop", waiting_for(may_go))
        stoppers = [monitor(spawn(application.stop, "a")) for _ in range(2)]
        await settled()
        may_go.set()
        assert [str(await ended(each)) for each in stoppers] == ["normal", "normal"]
        assert script.log == stopped("a")


async def test_a_server_may_stop_its_own_application(apps: Apps, script: Script) -> None:
    """It does not live to see it, and nothing hangs."""
    apps.add("a")

    class Leaving(GenServer):
        async def handle_call(self, request: object, from_: object) -> object:
            await application.stop("a")
            return "never"

    class Tree(Supervisor):
        def init(self) -> list[object]:  # type: ignore[override]
            return [child(Leaving).named("leaving")]

    script.at("a start", lambda: start_link(Tree))
    async with apps.node():
        await application.start("a")
        pid = whereis("leaving")
        assert pid is not None
        gone = monitor(pid)
        spawn(gen_call, "leaving", "stop")
        assert await ended(gone) == Shutdown()
        await settled()
        assert application.which_applications() == []


# -- what may go wrong


@pytest.mark.parametrize("which", ["prep_stop", "stop"])
async def test_a_callback_that_fails_does_not_keep_it_from_ending(
    apps: Apps, script: Script, caplog: pytest.LogCaptureFixture, which: str
) -> None:
    """It is a warning; everything else goes its way."""
    apps.add("a")
    script.at(f"a {which}", crash)
    async with apps.node():
        await application.start("a")
        script.taken()
        await application.stop("a")
        assert script.log == stopped("a")
        assert f"{which} of application a failed: ValueError: boom" in caplog.text
        await application.start("a")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("killed", [False, True])
async def test_a_stray_cancellation_in_a_callback_is_a_failure_like_any_other(
    apps: Apps, script: Script, caplog: pytest.LogCaptureFixture, killed: bool
) -> None:
    """Nobody has cancelled anything: a library leaked it."""
    import asyncio

    apps.add("a")

    async def leak() -> object:
        raise asyncio.CancelledError

    script.at("a stop", leak)
    async with apps.node() as node:
        await application.start("a")
        if killed:
            send_exit(master_of(node, "a").pid, Kill())
            await settled()
        else:
            await application.stop("a")
        assert "stop of application a failed: CancelledError" in caplog.text
        assert len(node.runtime.processes) == 1


@pytest.mark.parametrize("which", ["start", "prep_stop", "stop"])
async def test_ctrl_c_in_a_callback_stops_the_node(apps: Apps, script: Script, which: str) -> None:
    """It is for the program, and raised where the node is left."""
    apps.add("a")

    async def interrupt() -> object:
        raise KeyboardInterrupt

    script.at(f"a {which}", interrupt)

    async def run() -> None:
        async with apps.node():
            await application.start("a")
            await application.stop("a")
            await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        await run()
    assert script.log == [*started("a"), *stopped("a")][: 1 if which == "start" else None]


@row("APP-018")
async def test_if_the_master_is_killed_so_is_the_tree_and_stop_is_called_still(apps: Apps, script: Script) -> None:
    """What has to be cleaned up has to be, however it ended."""
    apps.add("a")
    async with apps.node() as node:
        await application.start("a")
        script.taken()
        master = master_of(node, "a")
        send_exit(master.pid, Kill())
        await master.wait_ended()
        assert script.log == ["a stop"]
        assert whereis("a_sup") is None
        assert whereis("a_worker") is None
        assert application.which_applications() == []
        assert node.applications.loaded["a"].reason == Killed()
        await application.start("a")


async def test_stop_has_a_limit_after_a_kill(apps: Apps, script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """In the node's time: nobody is there any more to lose patience."""
    apps.add("a")
    script.at("a stop", waiting_for(anyio.Event()))
    clock = ManualClock()
    async with apps.node(clock=clock) as node:
        await application.start("a")
        master = master_of(node, "a")
        send_exit(master.pid, Kill())
        await settled()
        assert script.log[-1] == "a stop"
        clock.advance(STOP_CALLBACK_S - 0.001)
        await settled()
        assert master.ended is None
        clock.advance(0.001)
        await master.wait_ended()
        assert "stop of application a failed: TimeoutError: not done within 5.0 s" in caplog.text


async def test_an_application_killed_while_it_starts_has_no_stop(apps: Apps, script: Script) -> None:
    """What has not started is not stopped; its tree is gone, and who waits for the start hears of it."""
    apps.add("a", start_phases=["go"])
    script.at("a phase go", waiting_for(anyio.Event()))
    outcome: list[str] = []

    async def try_it() -> None:
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        outcome.append(reason_of(caught))

    async with apps.node() as node:
        spawn(try_it)
        await settled()
        send_exit(master_of(node, "a").pid, Kill())
        await settled()
        assert outcome == ["killed"]
        assert "a stop" not in script.log
        assert len(node.runtime.processes) == 1


async def test_exits_of_others_do_not_end_the_master(apps: Apps, script: Script) -> None:
    """It traps exits; what `start` linked with it may come and go, and it answers nobody."""
    apps.add("a")

    async def start_it() -> object:
        ref = await start_link(GenServer)
        await stop(ref, Custom("gone"))
        return await start_tree()

    script.at("a start", start_it)
    async with apps.node() as node:
        await application.start("a")
        master = master_of(node, "a").pid
        send_exit(master, Custom("go away"))
        with pytest.raises(TypeError, match="an application master answers no such request"):
            await gen_call(master, "hello?")
        assert application.which_applications() == ["a"]


@row("APP-036")
async def test_while_a_stop_is_stuck_everything_else_goes_on(apps: Apps, script: Script) -> None:
    """The controller waits for nobody."""
    apps.add("stuck")
    apps.add("a")
    may_go = anyio.Event()
    script.at("stuck worker stops", waiting_for(may_go))
    async with apps.node(clock=ManualClock()):
        await application.start("stuck")
        stopping = monitor(spawn(application.stop, "stuck"))
        await settled()
        assert script.log[-1] == "stuck worker stops"
        await application.start("a")
        assert application.which_applications() == ["a", "stuck"]
        await application.stop("a")
        may_go.set()
        await ended(stopping)
        assert application.which_applications() == []
