"""What the distributed application controller orders and hears: starts of each type, handoffs, ends."""

from __future__ import annotations

import logging

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    ApplicationError,
    Custom,
    Failover,
    NormalStart,
    Reason,
    StartType,
    Takeover,
    application,
    gen_call,
    monitor,
    spawn,
)
from regrow.application_master import HANDOFF_S
from regrow.testing import ManualClock

from .application_kit import (
    Apps,
    Script,
    apps,
    crash,
    end_tree,
    ended,
    reason_of,
    script,
    settled,
    stopped,
    waiting_for,
)

__all__ = ["apps", "script"]


class Elsewhere:
    """Stands in for what decides where an application runs, and notes what it is told."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def controls(self, name: str) -> bool:
        return name == "a"

    def start_wanted(self, name: str) -> None:
        self.script.log.append(f"{name} start wanted")

    def stop_wanted(self, name: str) -> None:
        self.script.log.append(f"{name} stop wanted")

    def wanted(self, name: str) -> bool:
        return False

    def started_here(self, name: str) -> None:
        self.script.log.append(f"{name} started here")

    def failed_here(self, name: str, reason: Reason) -> None:
        self.script.log.append(f"{name} failed here: {reason}")

    def stopped_here(self, name: str, handoff: object) -> None:
        self.script.log.append(f"{name} stopped here: {handoff}")


@pytest.mark.parametrize(
    ("start_type", "shown"),
    [
        (NormalStart(), "normal"),
        (Failover("jc1@localhost"), "failover from jc1@localhost"),
        (Takeover("jc1@localhost", {"jobs": 3}), "takeover from jc1@localhost"),
    ],
)
async def test_an_application_is_told_how_it_starts(
    apps: Apps, script: Script, caplog: pytest.LogCaptureFixture, start_type: StartType, shown: str
) -> None:
    """In `start`, in its phases, and by `start_type()` in any of its processes."""
    caplog.set_level(logging.INFO)
    apps.add("a", start_phases=["go"])

    async def ask() -> None:
        script.log.append(str(application.start_type() == start_type))

    script.at("a worker init", ask)
    async with apps.node() as node:
        node.applications.distribution = Elsewhere(script)
        starting = monitor(spawn(application.start, "a"))
        await settled()
        assert script.taken() == ["a start wanted"]
        node.applications.run_here("a", start_type)
        await ended(starting)
        tree, phases = [f"a start {shown} []", "a worker init", "True"], [f"a phase go {shown} None"]
        assert script.log == [*tree, *phases, "a started here"]
        assert f"application a started ({shown})" in caplog.text


async def start_distributed(apps: Apps, script: Script) -> None:
    controller = application._controller()
    controller.distribution = Elsewhere(script)
    starting = monitor(spawn(application.start, "a"))
    await settled()
    controller.run_here("a", NormalStart())
    await ended(starting)
    script.taken()


async def test_the_running_instance_is_asked_what_it_hands_over_before_it_stops(apps: Apps, script: Script) -> None:
    """Its tree is up then; nobody else is told."""
    apps.add("a")

    async def hand_over() -> object:
        return {"jobs": await gen_call("a_worker", "who?")}

    script.at("a handoff", hand_over)
    async with apps.node() as node:
        await start_distributed(apps, script)
        node.applications.stop_here("a", ask_handoff=True)
        await settled()
        assert script.log == ["a handoff", *stopped("a"), "a stopped here: {'jobs': 'a'}"]


@pytest.mark.parametrize("fails", ["crash", "hang"])
async def test_a_handoff_that_fails_or_takes_too_long_hands_over_nothing(
    apps: Apps, script: Script, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    """The takeover goes on without it."""
    apps.add("a")
    clock = ManualClock()
    script.at("a handoff", crash if fails == "crash" else waiting_for(anyio.Event()))
    async with apps.node(clock=clock) as node:
        await start_distributed(apps, script)
        node.applications.stop_here("a", ask_handoff=True)
        await settled()
        if fails == "hang":
            clock.advance(HANDOFF_S - 0.001)
            await settled()
            assert script.log == ["a handoff"]
            clock.advance(0.001)
            while len(script.log) < 5:
                await checkpoint()
        assert script.log == ["a handoff", *stopped("a"), "a stopped here: None"]
        said = "ValueError: boom" if fails == "crash" else "TimeoutError: not done within 5.0 s"
        assert f"handoff of application a failed: {said}" in caplog.text


async def test_a_failure_is_first_of_all_the_matter_of_who_decides(apps: Apps, script: Script) -> None:
    """Whether the restart type applies is known when nobody else runs it."""
    apps.add("a")
    async with apps.node() as node:
        await start_distributed(apps, script)
        await end_tree(node, "a", Custom("gone"))
        assert script.log[-1] == "a failed here: gone"
        node.applications.runs_elsewhere("a", "jc2@localhost")
        assert application.which_applications() == []
        stopping = monitor(spawn(application.stop, "a"))
        await settled()
        assert script.log[-1] == "a stop wanted"
        node.applications.runs_nowhere("a", None)
        await ended(stopping)
        with pytest.raises(ApplicationError, match="not_started"):
            await application.stop("a")


async def test_a_start_that_waits_for_another_node_can_be_called_off(apps: Apps, script: Script) -> None:
    """Who waits for it is told."""
    apps.add("a")
    outcome: list[str] = []

    async def try_it() -> None:
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        outcome.append(reason_of(caught))

    async with apps.node() as node:
        node.applications.distribution = Elsewhere(script)
        spawn(try_it)
        await settled()
        stopping = monitor(spawn(application.stop, "a"))
        await settled()
        assert script.log == ["a start wanted", "a stop wanted"]
        node.applications.runs_nowhere("a", None)
        await ended(stopping)
        assert outcome == ["stopped"]
