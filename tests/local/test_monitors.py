"""Monitors: to watch without being tied."""

from __future__ import annotations

import pytest

from regrow import (
    Crash,
    Custom,
    Down,
    Kill,
    Killed,
    NoConnection,
    Node,
    NoProc,
    Normal,
    Pid,
    Reason,
    Reference,
    demonitor,
    flush,
    make_ref,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_monitor,
    unregister,
)
from tests.harness import row

from .process_kit import Broken, crash, end_of, end_on_message, end_with, idle, settled


@row("MON-001")
async def test_the_watcher_is_told_once_and_nothing_else_happens_to_it() -> None:
    """A monitor is one-way: the watched knows nothing of it, the watcher only hears."""
    async with Node():
        pid = spawn(idle)
        ref = monitor(pid)
        send_exit(pid, Custom("x"))
        assert await receive(timeout=5.0) == Down(ref, pid, Custom("x"))
        await settled()
        assert flush() == []


@row("MON-001")
async def test_the_end_of_the_watcher_means_nothing_to_the_watched() -> None:
    """The other way round there is nothing."""

    async def watch(pid: Pid) -> None:
        monitor(pid)
        raise Broken

    async with Node() as node:
        pid = spawn(idle)
        await end_of(spawn(watch, pid))
        await settled()
        assert pid in node.runtime.processes
        assert not node.runtime.processes[pid].watchers


async def test_each_monitor_is_separate() -> None:
    """Two monitors of one process, two pieces of news, in the order they were made."""
    async with Node():
        pid = spawn(idle)
        first, second = monitor(pid), monitor(pid)
        assert first != second
        send_exit(pid, Kill())
        await settled()
        assert flush() == [Down(first, pid, Killed()), Down(second, pid, Killed())]


@row("MON-002")
async def test_monitoring_the_dead_is_answered_at_once() -> None:
    """No error: the question whether it lives has an answer."""
    async with Node():
        pid = spawn(end_with, Custom("x"))
        await end_of(pid)
        ref = monitor(pid)
        assert flush() == [Down(ref, pid, NoProc())]


@row("MON-003")
@pytest.mark.parametrize("reason", [Normal(), Custom("x")], ids=str)
async def test_a_monitor_by_name_reports_the_name_and_the_node(reason: Reason) -> None:
    """Who asked for a name is told of the name, never of a pid it has not heard of."""
    async with Node() as node:
        pid = spawn(end_on_message)
        register("watched", pid)
        by_str, by_pair, by_pid = monitor("watched"), monitor(("watched", node.name)), monitor(pid)
        send("watched", reason)
        await settled()
        item = ("watched", node.name)
        assert flush() == [Down(by_str, item, reason), Down(by_pair, item, reason), Down(by_pid, pid, reason)]


@row("MON-003")
async def test_a_monitor_by_name_stays_with_the_process_that_held_it() -> None:
    """The name may move on; it was the process behind it that is watched."""
    async with Node() as node:
        pid = spawn(idle)
        register("moving", pid)
        ref = monitor("moving")
        unregister("moving")
        register("moving", self_pid())
        send_exit(pid, Kill())
        assert await receive(Down, timeout=5.0) == Down(ref, ("moving", node.name), Killed())


@row("MON-004")
async def test_monitoring_a_name_nobody_has_is_answered_at_once() -> None:
    """No exception, unlike `send`: not being there is just what a monitor reports."""
    async with Node() as node:
        ref = monitor("nobody")
        other = monitor(("nobody", node.name))
        item = ("nobody", node.name)
        assert flush() == [Down(ref, item, NoProc()), Down(other, item, NoProc())]


@row("MON-006")
async def test_after_demonitor_nothing_comes() -> None:
    """And to do it twice changes nothing."""
    async with Node():
        pid = spawn(idle)
        ref = monitor(pid)
        assert demonitor(ref) is True
        assert demonitor(ref) is False
        send_exit(pid, Kill())
        await settled()
        assert flush() == []


@row("MON-006")
async def test_demonitor_of_a_name_works_after_the_name_has_moved_on() -> None:
    """It is the monitor that is taken back, wherever the name is by then."""
    async with Node() as node:
        pid = spawn(idle)
        register("moving", pid)
        ref = monitor("moving")
        unregister("moving")
        assert demonitor(ref) is True
        assert not node.runtime.processes[pid].watchers
        send_exit(pid, Kill())
        await settled()
        assert flush() == []


@row("MON-007")
async def test_a_down_in_the_mailbox_stays_unless_it_is_flushed() -> None:
    """`flush` removes this one `Down` and nothing else."""
    async with Node():
        first, ref = spawn_monitor(end_with, Normal())
        second, other = spawn_monitor(end_with, Normal())
        await settled()
        send(self_pid(), "a message")
        assert demonitor(ref) is False
        assert demonitor(ref, flush=True) is False
        assert flush() == [Down(other, second, Normal()), "a message"]
        assert first != second


@row("MON-008")
async def test_demonitor_says_whether_the_monitor_was_active() -> None:
    """`False` is a promise: then the `Down` is in the mailbox, unless it was taken or flushed."""
    async with Node():
        pid, ref = spawn_monitor(idle)
        assert demonitor(ref, flush=True) is True
        ref = monitor(pid)
        send_exit(pid, Kill())
        await settled()
        assert demonitor(ref) is False
        assert flush() == [Down(ref, pid, Killed())]
        assert demonitor(ref, flush=True) is False


@row("MON-009")
async def test_demonitor_of_a_reference_that_is_no_monitor() -> None:
    """A fresh one is no error, what is no reference is one, and somebody else's monitor stays."""
    async with Node():
        assert demonitor(make_ref()) is False
        with pytest.raises(TypeError, match="no reference"):
            demonitor("garbage")  # type: ignore[arg-type]

        pid = spawn(idle)
        ref = monitor(pid)

        async def meddle(foreign: Reference) -> None:
            assert demonitor(foreign, flush=True) is False

        assert await end_of(spawn(meddle, ref)) == Normal()
        send_exit(pid, Kill())
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())


@row("MON-010")
async def test_monitoring_oneself_is_legal_and_never_heard_of() -> None:
    """One's own death is no message one could read."""
    async with Node() as node:

        async def work() -> None:
            monitor(self_pid())

        assert await end_of(spawn(work)) == Normal()
        ref = monitor(self_pid())
        assert demonitor(ref) is True
        assert not node.runtime.processes[self_pid()].watchers


@row("MON-013")
async def test_monitoring_on_an_unreachable_node_is_answered_with_noconnection() -> None:
    """Never an exception: not being able to tell is an answer too."""
    async with Node() as node:
        far = Pid("other@host", 7, 0, 1)
        by_pid, by_name = monitor(far), monitor(("somebody", "other@host"))
        assert flush() == [
            Down(by_pid, far, NoConnection()),
            Down(by_name, ("somebody", "other@host"), NoConnection()),
        ]
        assert not node.runtime.processes[self_pid()].monitors


@row("MON-015")
async def test_the_reason_is_the_true_one_however_short_the_life() -> None:
    """`spawn_monitor` is one step; `NoProc` would mean that something was missed."""

    async def nothing() -> None: ...

    error = Broken("at once")
    async with Node():
        for _ in range(50):
            pid, ref = spawn_monitor(nothing)
            assert await receive(Down, timeout=5.0) == Down(ref, pid, Normal())
            pid, ref = spawn_monitor(crash, error)
            assert await receive(Down, timeout=5.0) == Down(ref, pid, Crash(error))
            pid, ref = spawn_monitor(idle)
            send_exit(pid, Kill())
            assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())


@row("MON-016")
@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("over", ["watched ends", "watcher ends", "demonitor"])
async def test_no_bookkeeping_is_left_on_either_side(over: str, by_name: bool) -> None:
    """However a monitor is over, neither side remembers it."""

    async def watch(pid: Pid) -> None:
        ref = monitor("watched" if by_name else pid)
        while await receive() != "demonitor":
            pass
        demonitor(ref)
        await receive("never".__eq__)

    async with Node() as node:
        processes = node.runtime.processes
        watched = spawn(idle)
        register("watched", watched)
        watcher = spawn(watch, watched)
        await settled()
        assert len(processes[watcher].monitors) == len(processes[watched].watchers) == 1
        match over:
            case "watched ends":
                send_exit(watched, Kill())
            case "watcher ends":
                send_exit(watcher, Kill())
            case _:
                send(watcher, "demonitor")
        await settled()
        if watcher in processes:
            assert not processes[watcher].monitors
        if watched in processes:
            assert not processes[watched].watchers
        assert len([pid for pid in (watcher, watched) if pid in processes]) == (2 if over == "demonitor" else 1)


@row("MON-019")
@pytest.mark.parametrize("item", [17, None, ("a", "b", "c"), ("a", 1), b"name"])
async def test_a_malformed_item_is_an_error(item: object) -> None:
    """A mistake in the program is not the same as an absent process."""
    async with Node() as node:
        with pytest.raises(TypeError, match="no process address"):
            monitor(item)  # type: ignore[arg-type]
        assert not node.runtime.processes[self_pid()].monitors
