"""What a node does when a tool asks: it shows what is so, kills and tells what came of it, starts and stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from regrow import ChildSpec, GenServer, Stop, Supervisor, child, send, spawn, start, start_link, sys, whereis
from regrow.inspect import CONTROL_LABEL
from regrow.testing import ManualClock

from .control_kit import Box, Lone, controlled
from .gen_server_kit import Attempt
from .process_kit import Broken, end_of, idle, settled


class Moody(GenServer):
    """Starts once; a second start does what the class says."""

    starts = 0
    again: Callable[[], Any]

    async def init(self) -> None:
        cls = type(self)
        cls.starts += 1
        if cls.starts > 1:
            await cls.again()


# -- looking inside


async def test_the_processes_that_answer_are_marked_as_the_nodes_own(tmp_path: Path) -> None:
    """A list shows them only if one wants to see all."""
    async with controlled(tmp_path) as node:
        assert await node.ask("ps") == []
        labels = [(each["label"], each["system"]) for each in await node.ask("ps", all=True)]
        assert labels == [("node body", True), (CONTROL_LABEL, True)]
        assert await node.ask("tree") == []


async def test_the_state_of_a_stuck_server_is_shown(tmp_path: Path) -> None:
    """It is not asked."""
    async with controlled(tmp_path) as node:
        box = await start_link(child(Box, 7).named("box"))
        Box.get_stuck(box)
        await settled()
        shown = await node.ask("state", process="box")
        assert shown["pid"] == str(box.pid)
        assert shown["attributes"] == {"value": "7"}
        assert "get_stuck" in shown["stack"]


async def test_a_process_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """By whichever command."""
    async with controlled(tmp_path) as node:
        for command in ("state", "kill", "suspend", "resume", "trace"):
            assert await node.refusal(command, process="nobody") == ("there is no process nobody on nonode@nohost", 3)


async def test_what_an_object_hides_is_not_shown(tmp_path: Path) -> None:
    """Neither in its attributes nor in the messages that wait for it."""

    class Discreet(Box):
        def format_status(self, status: sys.Status) -> sys.Status:
            return attrs.evolve(status.hiding("value"), message="a message")

    async with controlled(tmp_path) as node:
        box = await start_link(child(Discreet, 7).named("box"))
        await sys.suspend(box)
        send(box, "a secret")
        shown = await node.ask("state", process="box")
        assert (shown["attributes"], shown["mailbox"]) == ({"value": "'(hidden)'"}, ["'a message'"])
        assert (shown["suspended"], shown["debug"], shown["log"]) == (True, [], [])


# -- holding and watching


async def test_a_process_is_suspended_and_resumed(tmp_path: Path) -> None:
    """Whoever holds it, it is held."""
    async with controlled(tmp_path) as node:
        box = await start_link(child(Box).named("box"))
        await node.ask("suspend", process=str(box.pid))
        assert (await sys.get_status(box)).suspended
        await node.ask("resume", process="box")
        assert not (await sys.get_status(box)).suspended


async def test_a_process_is_traced_until_one_says_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Into the log of its node."""
    caplog.set_level("INFO", "regrow.trace")
    async with controlled(tmp_path) as node:
        box = await start_link(child(Box).named("box"))
        assert await node.ask("trace", process="box") == {"process": "box", "on": True}
        send(box, "one")
        assert (await node.ask("state", process="box"))["debug"] == ["trace"]
        assert await node.ask("trace", process="box", off=True) == {"process": "box", "on": False}
        send(box, "two")
        assert (await sys.get_status(box)).debug == ()
        lines = [record.getMessage() for record in caplog.records if record.name == "regrow.trace"]
        assert lines == [f"Box {box.pid} got 'one'"]


async def test_a_process_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """A plain process knows nothing of system messages."""
    clock = ManualClock()
    async with controlled(tmp_path, clock=clock) as node, anyio.create_task_group() as group:
        pid = spawn(idle)
        refused = Attempt(group, node.refusal("suspend", process=str(pid)))
        while not node.node.runtime.processes[pid].mailbox.queue:
            await checkpoint()
        clock.advance(5.0)
        assert await refused.result() == ("it does not answer: it is stuck, or no behaviour", 4)


async def test_a_process_that_ends_instead_of_answering_is_refused(tmp_path: Path) -> None:
    """With why it ended."""

    leave = anyio.Event()

    class Quitter(GenServer):
        async def handle_info(self, message: object) -> None:
            await leave.wait()
            raise Stop

    async with controlled(tmp_path) as node, anyio.create_task_group() as group:
        ref = await start(Quitter)
        send(ref, "go")
        await settled()
        refused = Attempt(group, node.refusal("trace", process=str(ref.pid)))
        while not node.node.runtime.processes[ref.pid].mailbox.queue:
            await checkpoint()
        leave.set()
        assert await refused.result() == ("the server ended before it replied: normal", 1)


# -- killing


async def test_a_killed_child_is_restarted_and_one_sees_as_what(tmp_path: Path) -> None:
    """By whom, how fast, and how often that may happen again."""
    async with controlled(tmp_path) as node:
        await start(child(Lone).named("top"))
        old = str(whereis("lone"))
        told = await node.ask("kill", process="lone")
        assert (told["killed"], told["name"], told["outcome"]) == (old, "lone", "restarted")
        assert (told["supervisor"], told["restarted_as"]) == ("top", str(whereis("lone")))
        assert told["restarted_as"] != old
        assert (told["budget_left"], told["intensity"], told["period"]) == (0, 1, 5.0)
        assert 0 <= told["after_ms"] < 1000
        assert (await node.ask("kill", process="lone"))["outcome"] == "gave up"


async def test_a_killed_process_that_nobody_supervises_has_ended(tmp_path: Path) -> None:
    """That is all there is to tell."""
    async with controlled(tmp_path) as node:
        pid = spawn(idle)
        await settled()
        told = await node.ask("kill", process=str(pid))
        assert (told["outcome"], told["supervisor"]) == ("ended", None)
        assert pid not in node.node.runtime.processes


async def test_a_temporary_child_is_not_restarted(tmp_path: Path) -> None:
    """Its supervisor is named all the same."""

    class Once(Supervisor):
        def init(self) -> list[ChildSpec]:
            return [child(Box).named("once").with_(restart="temporary")]

    async with controlled(tmp_path) as node:
        await start_link(child(Once).named("top"))
        told = await node.ask("kill", process="once")
        assert (told["outcome"], told["supervisor"]) == ("not restarted", "top")


async def test_a_restart_that_fails_at_first_is_waited_for(tmp_path: Path) -> None:
    """What counts is what comes of it."""

    class Twice(Moody):
        @staticmethod
        async def again() -> None:
            if Twice.starts == 2:
                raise Broken("the second time")

    class Patient(Supervisor):
        intensity = 5

        def init(self) -> list[ChildSpec]:
            return [child(Twice).named("moody")]

    async with controlled(tmp_path) as node:
        await start_link(Patient)
        told = await node.ask("kill", process="moody")
        assert (told["outcome"], told["restarted_as"]) == ("restarted", str(whereis("moody")))
        assert Twice.starts == 3


async def test_a_restart_that_takes_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command tells what is so after a second."""
    monkeypatch.setattr("regrow.control.kill.FOLLOW_S", 0.05)
    gate = anyio.Event()

    class Slow(Moody):
        again = gate.wait

    class Top(Supervisor):
        def init(self) -> list[ChildSpec]:
            return [child(Slow).named("slow")]

    async with controlled(tmp_path) as node:
        await start_link(Top)
        told = await node.ask("kill", process="slow")
        assert (told["outcome"], told["restarted_as"]) == ("restarting", None)
        gate.set()


async def test_a_killed_top_supervisor_takes_its_application_along(tmp_path: Path) -> None:
    """Nobody restarts it; what that means for the node says the application's type."""
    async with controlled(tmp_path) as node:
        await node.ask("app start", name="shop")
        (shop,) = await node.ask("tree")
        told = await node.ask("kill", process=shop["children"][0]["pid"])
        assert told["outcome"] == "application ended"
        (info,) = await node.ask("app list")
        assert (info["state"], info["reason"]) == ("loaded", "killed")


# -- applications


async def test_applications_are_loaded_started_stopped_and_unloaded(tmp_path: Path) -> None:
    """What was there already is no error where OTP's `ensure` is meant, and one where it is not."""
    async with controlled(tmp_path) as node:
        await node.ask("app load", name="shop")
        assert await node.refusal("app load", name="shop") == ("application shop: already_loaded", 1)
        assert (await node.refusal("tree", app="shop"))[1] == 1
        assert await node.ask("app start", name="shop", type="transient") == ["shop"]
        assert await node.ask("app start", name="shop") == []
        (info,) = await node.ask("app list")
        assert (info["name"], info["state"], info["restart"]) == ("shop", "running", "transient")
        (tree,) = await node.ask("tree", app="shop")
        assert tree["children"][0]["children"][0]["name"] == "lone"
        assert await node.refusal("app unload", name="shop") == ("application shop: running", 1)
        await node.ask("app stop", name="shop")
        assert await node.refusal("app stop", name="shop") == ("application shop: not_started", 1)
        await node.ask("app unload", name="shop")
        assert await node.ask("app list") == []


async def test_an_application_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """By whichever command; the text says which there are."""
    async with controlled(tmp_path) as node:
        for command in ("app start", "app stop", "app load", "app unload"):
            text, exit_code = await node.refusal(command, name="ship")
            assert (text, exit_code) == ("there is no application ship; known are: shop", 3)
        assert (await node.refusal("tree", app="ship"))[1] == 3
        assert (await node.refusal("app start", name="shop", type="always"))[1] == 2


async def test_a_start_goes_on_when_its_client_has_gone(tmp_path: Path) -> None:
    """What was asked for was the start, not the wait."""
    async with controlled(tmp_path) as node:
        async with await node.connect() as stream:
            await stream.send(b'{"command": "app start", "arguments": {"name": "shop"}}\n')
        assert await node.ask("app start", name="shop") in ([], ["shop"])
        assert [each["state"] for each in await node.ask("app list")] == ["running"]


async def test_crashes_are_told_as_many_as_wanted(tmp_path: Path) -> None:
    """The newest first."""

    async def crash(text: str) -> None:
        raise Broken(text)

    async with controlled(tmp_path) as node:
        for text in ("one", "two", "three"):
            await end_of(spawn(crash, text))
        told = await node.ask("crashes", count=2)
        assert [crash["reason"] for crash in told] == ["Broken: three", "Broken: two"]
        assert len(await node.ask("crashes")) == 3
