"""Exit signals: whom they end, whom they only tell, and with which reason."""

from __future__ import annotations

import anyio
import pytest

from regrow import (
    Crash,
    Custom,
    Down,
    Exit,
    Kill,
    Killed,
    Node,
    NoProcess,
    Normal,
    Pid,
    Reason,
    Shutdown,
    Stop,
    flush,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_link,
    trap_exit,
)
from tests.harness import row

from .process_kit import Broken, end_of, idle, ready, report_to, reported, settled

REASONS = [Custom("r"), Shutdown(), Shutdown("detail"), Killed(), Crash(Broken("far away"))]


@row("PRC-002")
@pytest.mark.parametrize("reason", REASONS, ids=str)
async def test_a_signal_ends_who_does_not_trap_with_exactly_its_reason(reason: Reason) -> None:
    """No more of its code runs, and its links and monitors see the reason that was sent."""
    ran: list[str] = []

    async def work() -> None:
        await anyio.sleep_forever()
        ran.append("went on")

    async with Node():
        trap_exit(True)
        pid = spawn_link(work)
        ref = monitor(pid)
        await settled()
        send_exit(pid, reason)
        assert await receive(Exit, timeout=5.0) == Exit(pid, reason)
        assert await receive(Down, timeout=5.0) == Down(ref, pid, reason)
        assert ran == []


@row("PRC-002")
async def test_no_message_is_handled_after_the_signal_arrived() -> None:
    """It acts when it arrives, not when the messages before it have been handled."""
    handled: list[object] = []

    async def work() -> None:
        while True:
            handled.append(await receive())

    async with Node():
        pid = spawn(work)
        await settled()
        send(pid, "before")
        send_exit(pid, Custom("now"))
        send(pid, "after")
        assert await end_of(pid) == Custom("now")
        assert handled == []


@row("PRC-003")
async def test_normal_from_another_is_ignored() -> None:
    """That a neighbour is done is no reason to stop."""
    async with Node():
        pid = spawn(report_to, self_pid(), trap=False)
        await ready(pid)
        send_exit(pid, Normal())
        send(pid, "still there?")
        assert await reported(pid) == "still there?"


@row("PRC-004")
async def test_normal_reaches_who_traps_as_a_message() -> None:
    """Trapping means to be told of everything."""
    async with Node():
        pid = spawn(report_to, self_pid())
        await ready(pid)
        send_exit(pid, Normal())
        assert await reported(pid) == Exit(self_pid(), Normal())


@row("PRC-005")
async def test_normal_to_oneself_ends_who_does_not_trap() -> None:
    """The exception to the rule: to oneself it is meant."""

    async def work() -> None:
        send_exit(self_pid(), Normal())
        await anyio.sleep_forever()

    async with Node():
        assert await end_of(spawn(work)) == Normal()


@row("PRC-005")
async def test_normal_to_oneself_is_a_message_to_who_traps() -> None:
    """From itself, in its own mailbox."""
    async with Node():
        trap_exit(True)
        send_exit(self_pid(), Normal())
        assert flush() == [Exit(self_pid(), Normal())]


@row("PRC-006")
async def test_a_signal_to_oneself_is_not_swallowed_by_a_broad_except() -> None:
    """`except Exception` around everything is common; it must not keep a process from dying."""
    handled: list[str] = []

    async def work() -> None:
        try:
            send_exit(self_pid(), Custom("die"))
            await anyio.sleep_forever()
        except Exception:  # noqa: BLE001 - what is tried here
            handled.append("caught")
        handled.append("went on")

    async with Node():
        assert await end_of(spawn(work)) == Custom("die")
        assert handled == []


@row("PRC-006", translated="code that runs goes on to its next await; its reason is settled already")
async def test_a_process_that_signalled_itself_ends_with_that_reason_whatever_its_code_does_next() -> None:
    """Returning or raising before the next `await` comes too late to change the reason."""

    async def returns() -> None:
        send_exit(self_pid(), Custom("die"))

    async def raises() -> None:
        send_exit(self_pid(), Custom("die"))
        raise Broken("later")

    async def stops() -> None:
        send_exit(self_pid(), Custom("die"))
        raise Stop(Shutdown())

    async with Node() as node:
        for work in (returns, raises, stops):
            assert await end_of(spawn(work)) == Custom("die")
        assert not node.runtime.reports.crashes


async def test_a_process_that_signalled_itself_receives_nothing_more() -> None:
    """Even a message that lies in its mailbox, which it could take without waiting."""
    got: list[object] = []

    async def work() -> None:
        send(self_pid(), "a")
        send_exit(self_pid(), Custom("die"))
        got.append(await receive())

    async with Node():
        assert await end_of(spawn(work)) == Custom("die")
        assert got == []


@row("PRC-007")
async def test_kill_ends_who_traps_and_everybody_sees_killed() -> None:
    """Nobody can refuse `Kill`; that it was sent is seen as `Killed`, which ends nobody who traps."""
    cleaned: list[str] = []

    async def work(home: Pid) -> None:
        trap_exit(True)
        send(home, "trapping")
        try:
            cleaned.append(str(await receive()))
        except Exception:  # noqa: BLE001 - what is tried here
            cleaned.append("handled it")

    async with Node():
        trap_exit(True)
        pid = spawn_link(work, self_pid())
        ref = monitor(pid)
        assert await receive(str, timeout=5.0) == "trapping"
        send_exit(pid, Kill())
        assert await receive(Exit, timeout=5.0) == Exit(pid, Killed())
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        assert cleaned == []


@row("PRC-008")
async def test_killed_is_an_ordinary_reason() -> None:
    """The neighbour of a killed process dies of `Killed`, or is told of it and lives on."""
    async with Node():
        victim = spawn(idle)
        trapping = spawn(report_to, self_pid(), victim)
        meek = spawn(report_to, self_pid(), victim, trap=False)
        await ready(trapping)
        await ready(meek)
        send_exit(victim, Kill())
        assert await end_of(meek) == Killed()
        assert await reported(trapping) == Exit(victim, Killed())
        send_exit(trapping, Killed())
        assert await reported(trapping) == Exit(self_pid(), Killed())


@row("PRC-009")
async def test_raising_kill_is_not_being_killed() -> None:
    """Only the signal is special: as a reason of one's own, `Kill` stays `Kill` and can be trapped."""

    async def work() -> None:
        await receive()
        raise Stop(Kill())

    async with Node():
        victim = spawn(work)
        ref = monitor(victim)
        trapping = spawn(report_to, self_pid(), victim)
        meek = spawn(report_to, self_pid(), victim, trap=False)
        await ready(trapping)
        await ready(meek)
        meek_ref = monitor(meek)
        send(victim, "go")
        assert await receive(Down, timeout=5.0) == Down(ref, victim, Kill())
        assert await reported(trapping) == Exit(victim, Kill())
        assert await receive(Down, timeout=5.0) == Down(meek_ref, meek, Kill())
        send(trapping, "alive")
        assert await reported(trapping) == "alive"


@row("PRC-010")
async def test_the_first_signal_wins() -> None:
    """Once the reason is settled, later signals change nothing, `Kill` included."""
    async with Node():
        for later in (Custom("second"), Kill(), Normal()):
            pid = spawn(idle)
            ref = monitor(pid)
            await settled()
            send_exit(pid, Custom("first"))
            send_exit(pid, later)
            assert await receive(Down, timeout=5.0) == Down(ref, pid, Custom("first"))


async def test_a_signal_sent_by_name_reaches_the_holder_and_an_absent_name_is_an_error() -> None:
    """As for `send`: a local name nobody has is a mistake that can be told at once."""
    async with Node() as node:
        for dest in ("victim", ("victim", node.name)):
            pid = spawn(report_to, self_pid(), trap=False)
            await ready(pid)
            register("victim", pid)
            send_exit(dest, Custom("by name"))
            assert await end_of(pid) == Custom("by name")
        with pytest.raises(NoProcess):
            send_exit("nobody", Custom("x"))


async def test_what_is_no_reason_is_wrapped() -> None:
    """An exception is a crash, any other value a reason of the user's own."""
    error = Broken("sent")
    async with Node():
        pid = spawn(report_to, self_pid())
        await ready(pid)
        send_exit(pid, error)  # type: ignore[arg-type]
        assert await reported(pid) == Exit(self_pid(), Crash(error))
        send_exit(pid, "why")  # type: ignore[arg-type]
        assert await reported(pid) == Exit(self_pid(), Custom("why"))


async def test_trap_exit_returns_the_old_flag_and_is_not_inherited() -> None:
    """A process starts without trapping, whoever spawned it."""
    async with Node():
        assert trap_exit(True) is False
        assert trap_exit(True) is True

        async def child(home: Pid) -> None:
            send(home, trap_exit(True))

        spawn(child, self_pid())
        assert await receive(bool, timeout=5.0) is False
        assert trap_exit(False) is True


async def test_a_signal_before_the_first_step_keeps_the_process_from_running_at_all() -> None:
    """A process that was told to end before its task ran has nothing to do."""
    ran: list[str] = []

    async def work() -> None:
        ran.append("ran")

    async with Node():
        trap_exit(True)
        pid = spawn_link(work)
        register("short", pid)
        ref = monitor(pid)
        send_exit(pid, Custom("never mind"))
        assert await receive(Exit, timeout=5.0) == Exit(pid, Custom("never mind"))
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Custom("never mind"))
        assert ran == []


async def test_a_signal_from_an_outsider_has_a_sender_that_is_nobody() -> None:
    """A trapping process is told, even where the sender has no pid of its own."""
    async with anyio.create_task_group() as outer, Node() as node:
        pid = spawn(report_to, self_pid())
        await ready(pid)

        async def outside() -> None:
            with node.current():
                send_exit(pid, Custom("from outside"))

        outer.start_soon(outside)
        message = await reported(pid)
        assert isinstance(message, Exit)
        assert message.reason == Custom("from outside")
        assert message.pid not in node.runtime.processes
