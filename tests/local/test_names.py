"""Names: one holder each, gone with the holder, and every way to say whom one means."""

from __future__ import annotations

import pytest

from regrow import (
    Down,
    Exit,
    GenServer,
    Kill,
    Killed,
    Name,
    NameTaken,
    NoConnection,
    Node,
    NoProcess,
    ServerRef,
    call,
    child,
    flush,
    monitor,
    receive,
    register,
    registered,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_link,
    spawn_monitor,
    start,
    start_link,
    trap_exit,
    unregister,
    whereis,
)
from tests.harness import row

from .process_kit import idle, ready, report_to, reported, settled


class Clerk(GenServer):
    """A server to have a name."""

    @call
    async def who(self) -> str:
        return f"{self_pid()}"


@row("REG-001")
async def test_a_name_leads_to_its_process_until_it_is_unregistered() -> None:
    """Round trip; a name nobody has leads to nobody."""
    async with Node():
        assert whereis("clerk") is None
        register("clerk", self_pid())
        assert whereis("clerk") == self_pid()
        assert registered() == ["clerk"]
        unregister("clerk")
        assert whereis("clerk") is None
        assert registered() == []


@row("REG-001")
async def test_a_reference_can_be_registered_too() -> None:
    """What `start` returned is what one has at hand."""
    async with Node():
        ref = await start(Clerk)
        register("clerk", ref)
        assert whereis("clerk") == ref.pid
        assert await Clerk.who(Name("clerk", Clerk)) == str(ref.pid)


@row("REG-002")
async def test_a_taken_name_is_refused_and_its_holder_untouched() -> None:
    """Also for the holder itself: it has the name already."""
    async with Node() as node:
        pid = spawn(idle)
        register("taken", pid)
        for other in (self_pid(), pid):
            with pytest.raises(NameTaken, match="'taken'"):
                register("taken", other)
        assert whereis("taken") == pid
        assert node.runtime.registry.name_of(self_pid()) is None


@row("REG-003")
async def test_a_process_has_one_name_at_most() -> None:
    """The first stays, the second is free for others."""
    async with Node():
        register("first", self_pid())
        with pytest.raises(NameTaken, match="'first'"):
            register("second", self_pid())
        assert registered() == ["first"]
        unregister("first")
        register("second", self_pid())
        assert registered() == ["second"]


@row("REG-005")
async def test_the_name_goes_with_its_holder() -> None:
    """Nobody has to clean up, and the news comes after it."""
    async with Node():
        trap_exit(True)
        pid = spawn_link(idle)
        ref = monitor(pid)
        register("mortal", pid)
        send_exit(pid, Kill())
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        assert whereis("mortal") is None
        assert registered() == []
        assert await receive(Exit, timeout=5.0) == Exit(pid, Killed())


@row("REG-006")
async def test_unregistering_what_nobody_has_is_an_error() -> None:
    """It would hide a misspelt name."""
    async with Node():
        with pytest.raises(NoProcess, match="'nobody'"):
            unregister("nobody")


async def test_only_a_live_local_process_can_be_registered() -> None:
    """A name for the dead would never be freed."""
    async with Node():
        pid, _ = spawn_monitor(idle)
        send_exit(pid, Kill())
        await receive(Down, timeout=5.0)
        with pytest.raises(NoProcess):
            register("late", pid)
        assert registered() == []


@row("REG-008")
async def test_killing_and_registering_again_never_finds_a_stale_pid() -> None:
    """A thousand rounds, with the news of the end as the only signal to go on."""
    async with Node():
        for _ in range(1000):
            pid, ref = spawn_monitor(idle)
            register("next", pid)
            assert whereis("next") == pid
            send_exit("next", Kill())
            assert await receive(Down) == Down(ref, pid, Killed())
            assert whereis("next") is None


@row("REG-010")
@pytest.mark.parametrize("name", ["", 5, ("a", "b"), b"name"])
async def test_a_malformed_name_is_refused_before_anything_is_spawned(name: object) -> None:
    """The error names the value; it comes where the mistake is, not from the new process."""
    async with Node() as node:
        with pytest.raises((ValueError, TypeError), match=repr(name).replace("(", r"\(").replace(")", r"\)")):
            await start_link(child(Clerk).named(name))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="non-empty string"):
            register(name, self_pid())  # type: ignore[arg-type]
        assert set(node.runtime.processes) == {self_pid()}
        assert registered() == []


@row("REG-010")
async def test_no_name_is_anonymous() -> None:
    """Any number of them can run."""
    async with Node():
        assert (await start(child(Clerk))).pid != (await start(child(Clerk))).pid
        assert registered() == []


@row("REG-011")
async def test_every_form_of_address_reaches_the_same_process() -> None:
    """Pid, reference, name, typed name, name and node: whichever one has."""
    async with Node() as node:
        pid = spawn(report_to, self_pid())
        await ready(pid)
        register("clerk", pid)
        clerk = Name("clerk", Clerk)
        for dest in (pid, ServerRef(pid, Clerk), "clerk", clerk, clerk.at(node.name), ("clerk", node.name)):
            assert whereis(dest) == pid  # type: ignore[call-overload]
            send(dest, "found you")
            assert await reported(pid) == "found you"
        assert whereis("nobody") is None
        with pytest.raises(NoProcess):
            send("nobody", "hello")


@row("REG-011")
async def test_a_name_on_another_node_stays_what_it_is() -> None:
    """Only that node could say who it is."""
    async with Node():
        register("clerk", self_pid())
        for dest in (Name("clerk", Clerk).at("other@host"), ("clerk", "other@host")):
            assert whereis(dest) == ("clerk", "other@host")
        ref = monitor(Name("clerk", Clerk).at("other@host"))
        assert flush() == [Down(ref, ("clerk", "other@host"), NoConnection())]
        send(("clerk", "other@host"), "not for us")
        assert flush() == []


async def test_names_are_listed_oldest_first() -> None:
    """The order is that of registration."""
    async with Node():
        for name in ("c", "a", "b"):
            register(name, spawn(idle))
        assert registered() == ["c", "a", "b"]


async def test_the_name_is_held_until_the_task_has_ended() -> None:
    """A process that is ending is still one: a second under its name would be a copy."""

    async def work() -> None:
        try:
            await receive("never".__eq__)
        finally:
            assert whereis("slow") == self_pid()
            seen.append("held")

    seen: list[str] = []
    async with Node():
        pid = spawn(work)
        register("slow", pid)
        monitor_ref = monitor(pid)
        await settled()
        send_exit(pid, Kill())
        assert whereis("slow") == pid
        with pytest.raises(NameTaken):
            register("slow", self_pid())
        assert await receive(Down, timeout=5.0) == Down(monitor_ref, pid, Killed())
        assert seen == ["held"]
