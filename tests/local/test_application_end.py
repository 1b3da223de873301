"""Applications that end by themselves, and what that means for their node; and the end of the node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from regrow import (
    ApplicationError,
    Crash,
    Custom,
    GenServer,
    Kill,
    Killed,
    Node,
    Normal,
    NormalStart,
    ProcessExited,
    Reason,
    Restart,
    Shutdown,
    Stop,
    Supervisor,
    application,
    child,
    gen_call,
    send_exit,
    spawn,
    start_link,
    trap_exit,
    whereis,
)
from regrow.application_master import STOP_CALLBACK_S
from regrow.refusals import REFUSAL_S
from regrow.testing import ManualClock
from tests.harness import row

from .application_kit import (
    Apps,
    Script,
    apps,
    crash,
    end_tree,
    master_of,
    reason_of,
    script,
    settled,
    started,
    stopped,
    waiting_for,
)

__all__ = ["apps", "script"]

REASONS: list[Reason] = [Normal(), Shutdown(), Custom("gone"), Crash(ValueError("boom"))]


async def run_until(apps: Apps, body: Callable[[Node], Awaitable[object]]) -> None:
    """Run this in the body of a node, and wait there for the node's end."""
    async with apps.node() as node:
        await body(node)
        await anyio.sleep_forever()


# -- the restart types


@row("APP-015")
@pytest.mark.parametrize("reason", REASONS, ids=str)
async def test_the_end_of_a_temporary_application_is_only_reported(
    apps: Apps, caplog: pytest.LogCaptureFixture, reason: Reason
) -> None:
    """It is gone from those that run, and can be started again; the others live."""
    apps.add("a")
    apps.add("b")
    async with apps.node() as node:
        await application.start("b")
        await application.start("a")
        await end_tree(node, "a", reason)
        assert application.which_applications() == ["b"]
        assert await gen_call("b_worker", "who?") == "b"
        assert caplog.text.count(f"application a (temporary) ended by itself: {reason}") == 1
        assert node.applications.loaded["a"].reason == reason
        await application.start("a")


@row("APP-014")
async def test_the_normal_end_of_a_transient_application_is_only_reported(
    apps: Apps, caplog: pytest.LogCaptureFixture
) -> None:
    """It was done."""
    apps.add("a")
    async with apps.node() as node:
        await application.start("a", "transient")
        await end_tree(node, "a", Normal())
        assert application.which_applications() == []
        assert "application a (transient) ended by itself: normal" in caplog.text


FATAL = [("transient", reason) for reason in REASONS[1:]] + [("permanent", reason) for reason in REASONS]


@row("APP-014")
@pytest.mark.parametrize(("restart", "reason"), FATAL, ids=str)
async def test_the_node_ends_with_an_application_it_cannot_do_without(
    apps: Apps, script: Script, restart: Restart, reason: Reason
) -> None:
    """In order: the others are stopped. A transient one may end normally; a supervisor that gave up has not."""
    apps.add("a")
    apps.add("b")

    async def body(node: Node) -> None:
        await application.start("b")
        await application.start("a", restart)
        await end_tree(node, "a", reason)

    with pytest.raises(ProcessExited) as caught:
        await run_until(apps, body)
    assert str(caught.value.reason) == f"application_terminated: a: {reason}"
    assert script.log == [*started("b"), *started("a"), "a worker stops", "a prep_stop", "a stop", *stopped("b")]


async def test_a_supervisor_that_gives_up_ends_a_transient_application_and_its_node(apps: Apps) -> None:
    """The one end that is likely: `shutdown` is no normal one here."""
    apps.add("a")

    async def body(_: Node) -> None:
        await application.start("a", "transient")
        send_exit("a_worker", Kill())

    with pytest.raises(ProcessExited) as caught:
        await run_until(apps, body)
    assert str(caught.value.reason) == "application_terminated: a: shutdown"


@pytest.mark.parametrize("restart", Restart)
async def test_stopping_an_application_never_ends_its_node(apps: Apps, restart: Restart) -> None:
    """Only an end by itself does."""
    apps.add("a")
    async with apps.node():
        await application.start("a", restart)
        await application.stop("a")
        await settled()
        assert application.which_applications() == []


async def test_a_crash_is_reported_once_however_far_its_news_goes(apps: Apps, script: Script) -> None:
    """The server's report has it all; neither its application nor the node's body adds one."""
    apps.add("a")

    class Fragile(GenServer):
        async def handle_call(self, request: object, from_: object) -> object:
            raise ValueError("boom")

    script.at("a start", lambda: start_link(child(Fragile).named("fragile")))
    nodes: list[Node] = []

    async def body(node: Node) -> None:
        nodes.append(node)
        await application.start("a", "permanent")
        spawn(gen_call, "fragile", "break")

    with pytest.raises(ProcessExited, match="application_terminated: a: ValueError: boom"):
        await run_until(apps, body)
    reports = [report.label for report in nodes[0].runtime.reports.crashes]
    assert reports.count("Fragile") == 1
    assert "application a" not in reports
    assert "node body" not in reports


async def normally() -> object:
    raise Stop(Normal())


@row("APP-017")
async def test_a_transient_application_may_end_normally_in_its_start(apps: Apps, script: Script) -> None:
    """The error comes to who started it, and the node lives."""
    apps.add("a")
    script.at("a start", normally)
    async with apps.node():
        with pytest.raises(ApplicationError) as caught:
            await application.start("a", "transient")
        assert caught.value.reason == Normal()
        await settled()


@row("APP-017")
@pytest.mark.parametrize(
    ("restart", "action", "reason"),
    [
        ("transient", crash, "ValueError: boom"),
        ("permanent", crash, "ValueError: boom"),
        ("permanent", normally, "normal"),
    ],
)
async def test_a_start_that_fails_ends_a_node_that_cannot_do_without(
    apps: Apps, script: Script, restart: Restart, action: Callable[[], Awaitable[object]], reason: str
) -> None:
    """Who started it gets the error first."""
    apps.add("a")
    script.at("a start", action)
    errors: list[str] = []

    async def body(_: Node) -> None:
        with pytest.raises(ApplicationError) as caught:
            await application.start("a", restart)
        errors.append(reason_of(caught))

    with pytest.raises(ProcessExited) as caught:
        await run_until(apps, body)
    assert str(caught.value.reason) == f"application_start_failure: a: {reason}"
    assert errors == [reason]


async def test_the_restart_type_of_ensure_all_started_is_that_of_all_it_starts(apps: Apps) -> None:
    """What a permanent application needs is as indispensable."""
    apps.add("a", "b")
    apps.add("b")

    async def body(node: Node) -> None:
        await application.ensure_all_started("a", "permanent")
        await end_tree(node, "b", Normal())

    with pytest.raises(ProcessExited, match="application_terminated: b: normal"):
        await run_until(apps, body)


# -- the end of the node


@row("APP-035")
async def test_a_node_stops_its_applications_in_reverse_order_of_their_start(apps: Apps, script: Script) -> None:
    """One after the other, before anything else; the callbacks still see those that were started before."""
    for name in "abc":
        apps.add(name)
    heard: list[object] = []

    class Outside(GenServer):
        async def init(self) -> None:
            trap_exit(True)

        async def terminate(self, reason: Reason) -> None:
            script.log.append("a server outside of applications stops")

    async def ask() -> None:
        heard.append(await gen_call("c_worker", "who?"))

    script.at("b stop", ask)
    async with apps.node() as node:
        for name in "cba":
            await application.start(name)
        await start_link(Outside)
        script.taken()
    assert script.log == [*stopped("a"), *stopped("b"), *stopped("c"), "a server outside of applications stops"]
    assert heard == ["c"]
    assert node.runtime.leftovers() == ()


@row("APP-035")
async def test_what_has_not_stopped_in_time_is_named_and_killed(
    apps: Apps, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The time is for all together, on the node's clock; whose turn had not come is killed too, and has its `stop`."""
    for name in "abc":
        apps.add(name)

    class Stuck(Supervisor):
        def init(self) -> list[object]:  # type: ignore[override]
            return [child(Sleeper).with_(shutdown="infinity")]

    class Sleeper(GenServer):
        async def init(self) -> None:
            trap_exit(True)

        async def terminate(self, reason: Reason) -> None:
            script.log.append("sleeper sleeps")
            await anyio.sleep_forever()

    script.at("b start", lambda: start_link(Stuck))
    clock = ManualClock()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with apps.node(clock=clock, shutdown_timeout=30.0) as node:
                for name in "cba":
                    await application.start(name)
                script.taken()
                nodes.append(node)

        nodes: list[Node] = []
        group.start_soon(run)
        while "sleeper sleeps" not in script.log:
            await anyio.lowlevel.checkpoint()
        clock.advance(29.999)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert script.log == [*stopped("a"), "b prep_stop", "sleeper sleeps"]
        clock.advance(0.001)
    assert script.log == [*stopped("a"), "b prep_stop", "sleeper sleeps", "b stop", "c stop"]
    assert nodes[0].runtime.leftovers() == ()
    for name in "bc":
        assert f"kills application {name} " in caplog.text
    assert "kills application a " not in caplog.text
    assert "in terminate" in caplog.text


async def test_one_that_refuses_to_end_keeps_nobody_from_ending_in_order(apps: Apps, script: Script) -> None:
    """It was starting as the node ended, and shields itself from its kill; the node itself has to wait for it."""
    apps.add("a")
    apps.add("b")
    refusing, may_end = anyio.Event(), anyio.Event()

    async def refuse() -> None:
        refusing.set()
        with anyio.CancelScope(shield=True):
            await may_end.wait()

    script.at("b start", refuse)
    clock = ManualClock()
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with apps.node(clock=clock):
                await application.start("a")
                spawn(application.start, "b")
                await refusing.wait()
                script.taken()

        group.start_soon(run)
        await refusing.wait()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert script.log == []
        clock.advance(STOP_CALLBACK_S + REFUSAL_S)
        while "a stop" not in script.log:
            await anyio.lowlevel.checkpoint()
        may_end.set()
    assert script.log == stopped("a")


async def test_a_clock_that_nobody_turns_does_not_hold_up_the_end_of_a_node(apps: Apps, script: Script) -> None:
    """The limit holds in real time too."""
    apps.add("a")
    script.at("a stop", waiting_for(anyio.Event()))
    async with apps.node(clock=ManualClock(), shutdown_timeout=0.01):
        await application.start("a")
    assert script.log == [*started("a"), *stopped("a")]


async def test_an_application_that_is_starting_when_its_node_stops_is_killed(apps: Apps, script: Script) -> None:
    """Whoever waits for it would wait for ever."""
    apps.add("a")
    apps.add("b")
    script.at("b phase go", waiting_for(anyio.Event()))
    apps.add("hanging", start_phases=["go"])
    script.at("hanging phase go", waiting_for(anyio.Event()))
    async with apps.node() as node:
        await application.start("a")
        spawn(application.start, "hanging")
        await settled()
        assert whereis("hanging_sup") is not None
        script.taken()
    assert script.log == stopped("a")
    assert node.runtime.leftovers() == ()


async def test_nothing_is_started_while_the_node_stops(apps: Apps, script: Script) -> None:
    """It would be killed a moment later."""
    apps.add("a")
    apps.add("b")
    errors: list[str] = []

    async def start_another() -> None:
        with pytest.raises(ApplicationError) as caught:
            await application.start("b")
        errors.append(reason_of(caught))

    script.at("a prep_stop", start_another)
    async with apps.node():
        await application.start("a")
    assert errors == ["the node is stopping"]


async def test_an_application_that_ends_by_itself_meanwhile_does_not_hold_up_the_stop(
    apps: Apps, script: Script
) -> None:
    """It was to be stopped in its turn, and is gone by then."""
    apps.add("a")
    apps.add("b")

    async def kill_the_other() -> None:
        master = master_of(node, "a")
        send_exit("a_sup", Kill())
        await master.wait_ended()

    script.at("b prep_stop", kill_the_other)
    async with apps.node() as node:
        await application.start("a", "permanent")
        await application.start("b")
        script.taken()
    assert script.log == ["b prep_stop", "a worker stops", "a prep_stop", "a stop", "b worker stops", "b stop"]


async def test_an_application_that_is_just_stopping_is_waited_for(apps: Apps, script: Script) -> None:
    """Its stop is not begun a second time."""
    apps.add("a")
    may_go = anyio.Event()

    async def let_go() -> None:
        may_go.set()

    apps.add("b")
    script.at("b stop", let_go)
    script.at("a stop", waiting_for(may_go))
    async with apps.node():
        await application.start("a")
        await application.start("b")
        script.taken()
        spawn(application.stop, "a")
        await settled()
    assert script.log == [*stopped("a"), *stopped("b")]


async def test_who_is_killed_before_its_first_step_has_nothing_to_bury(apps: Apps, script: Script) -> None:
    """Its end is an end like any other, and it can be started again."""
    apps.add("a")
    async with apps.node() as node:
        await application.load("a")
        node.applications.run_here("a", NormalStart())
        master = node.applications.loaded["a"].master
        assert master is not None, "it has just been started"
        send_exit(master.pid, Kill())
        await master.wait_ended()
        assert (master.ended, script.taken()) == (Killed(), [])
        await application.start("a")
        assert script.taken() == started("a")
