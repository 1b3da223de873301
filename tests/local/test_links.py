"""Links: the fates of two processes, tied together and untied again."""

from __future__ import annotations

import random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    Crash,
    Custom,
    Down,
    Exit,
    Kill,
    Killed,
    NoConnection,
    Node,
    NoProc,
    NoProcess,
    Normal,
    Pid,
    Stop,
    flush,
    link,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_link,
    trap_exit,
    unlink,
)
from tests.harness import row

from .process_kit import Broken, crash, end_of, end_on_message, end_with, idle, ready, report_to, reported, settled


@row("LNK-001")
@pytest.mark.parametrize("first", ["linker", "linked"])
async def test_a_link_ends_the_other_whoever_made_it_and_whoever_dies(first: str) -> None:
    """A link has no direction."""
    async with Node():
        linked = spawn(report_to, self_pid(), trap=False)
        await ready(linked)
        linker = spawn(report_to, self_pid(), linked, trap=False)
        await ready(linker)
        dies, follows = (linker, linked) if first == "linker" else (linked, linker)
        ref = monitor(follows)
        send_exit(dies, Custom("together"))
        assert await receive(Down, timeout=5.0) == Down(ref, follows, Custom("together"))


@row("LNK-002")
async def test_a_normal_end_goes_unnoticed_by_who_does_not_trap() -> None:
    """That a helper is done must not end whom it helped."""
    async with Node():
        helper = spawn(end_on_message)
        meek = spawn(report_to, self_pid(), helper, trap=False)
        trapping = spawn(report_to, self_pid(), helper)
        await ready(meek)
        await ready(trapping)
        send(helper, Normal())
        assert await reported(trapping) == Exit(helper, Normal())
        await settled()
        send(meek, "next")
        assert await reported(meek) == "next"


@row("LNK-003")
async def test_linking_again_changes_nothing() -> None:
    """Links are a set, not a count: one exit, and one `unlink` undoes them all."""
    async with Node():
        trap_exit(True)
        pid = spawn(idle)
        for _ in range(3):
            link(pid)
        send_exit(pid, Custom("x"))
        assert await receive(Exit, timeout=5.0) == Exit(pid, Custom("x"))
        await settled()
        assert flush() == []

        other = spawn(idle)
        for _ in range(3):
            link(other)
        unlink(other)
        send_exit(other, Custom("y"))
        await settled()
        assert flush() == []


@row("LNK-004")
async def test_after_unlink_no_exit_arrives() -> None:
    """Whoever has unlinked may forget the other; it need not expect anything of it."""
    async with Node():
        trap_exit(True)
        for unlink_first in (True, False):
            pid = spawn_link(idle)
            await settled()
            if unlink_first:
                unlink(pid)
                send_exit(pid, Custom("x"))
            else:
                send_exit(pid, Custom("x"))
                unlink(pid)
            await settled()
            assert flush() == []


@row("LNK-004")
async def test_an_exit_in_the_mailbox_stays_there_after_unlink() -> None:
    """What has arrived has arrived."""
    async with Node():
        trap_exit(True)
        pid = spawn_link(end_with, Custom("x"))
        await settled()
        unlink(pid)
        assert flush() == [Exit(pid, Custom("x"))]


@row("LNK-004")
async def test_unlinking_what_was_never_linked_is_no_error() -> None:
    """Also of oneself and of the dead: afterwards there is no link, which is what was wanted."""
    async with Node():
        pid = spawn(end_with, Normal())
        unlink(pid)
        unlink(self_pid())
        await end_of(pid)
        unlink(pid)


@row("LNK-004")
async def test_either_side_may_unlink() -> None:
    """The link is gone for both."""
    async with Node():
        trap_exit(True)

        async def work(home: Pid) -> None:
            unlink(home)
            raise Stop(Custom("on my own"))

        pid = spawn_link(work, self_pid())
        assert await end_of(pid) == Custom("on my own")
        assert flush() == []


@row("LNK-005")
async def test_a_link_with_oneself_has_no_effect() -> None:
    """Nobody hears of his own death."""
    async with Node():
        trap_exit(True)

        async def work() -> None:
            trap_exit(True)
            link(self_pid())
            raise Stop(Custom("x"))

        pid = spawn_link(work)
        assert await receive(timeout=5.0) == Exit(pid, Custom("x"))


@row("LNK-007")
async def test_linking_the_dead_is_an_error_for_who_does_not_trap() -> None:
    """An error in the caller, not a signal that kills it."""
    async with Node():
        pid = spawn(end_with, Normal())
        await end_of(pid)
        with pytest.raises(NoProcess):
            link(pid)
        with pytest.raises(NoProcess):
            link("nobody")


@row("LNK-007")
async def test_linking_the_dead_is_a_message_for_who_traps() -> None:
    """It is told like any other end, with `NoProc` for the reason nobody knows any more."""
    async with Node():
        trap_exit(True)
        pid = spawn(end_with, Normal())
        await end_of(pid)
        link(pid)
        assert flush() == [Exit(pid, NoProc())]


async def test_a_link_by_name_is_a_link_with_the_holder() -> None:
    """The exit names the pid."""
    async with Node() as node:
        trap_exit(True)
        pid = spawn(idle)
        register("partner", pid)
        link("partner")
        link(("partner", node.name))
        send_exit(pid, Kill())
        assert await receive(Exit, timeout=5.0) == Exit(pid, Killed())
        await settled()
        assert flush() == []


async def test_linking_into_an_unreachable_node_brings_an_exit_signal() -> None:
    """Whether a process over there lives cannot be known; the link is lost at once, and says why."""
    far = Pid("other@host", 7, 0, 1)
    async with Node():
        trap_exit(True)
        link(far)
        assert flush() == [Exit(far, NoConnection())]
        unlink(far)

        async def meek() -> None:
            link(far)
            await anyio.sleep_forever()

        assert await end_of(spawn(meek)) == NoConnection()


@row("LNK-011")
async def test_the_exit_of_a_child_is_not_missed_however_short_its_life() -> None:
    """`spawn_link` is one step: there is no moment in which the child lives without the link."""

    async def nothing() -> None: ...

    async with Node():
        trap_exit(True)
        error = Broken("first line")
        crashed = spawn_link(crash, error)
        done = spawn_link(nothing)
        wrong = spawn_link(end_with)  # type: ignore[call-arg]
        heard = {message.pid: message.reason for message in [await receive(Exit, timeout=5.0) for _ in range(3)]}
        assert heard[crashed] == Crash(error)
        assert heard[done] == Normal()
        reason = heard[wrong]
        assert isinstance(reason, Crash)
        assert isinstance(reason.exception, TypeError)


@row("LNK-012")
async def test_a_child_gets_the_signal_of_a_parent_that_dies_right_after_spawning_it() -> None:
    """In every interleaving: whether the child has run no step, or one, or several."""

    async def traps(home: Pid) -> None:
        trap_exit(True)
        send(home, await receive())

    async def parent(home: Pid, steps: int) -> None:
        spawn_link(idle)
        spawn_link(traps, home)
        for _ in range(steps):
            await checkpoint()
        raise Stop(Custom("parent"))

    async with Node() as node:
        heard: list[object] = []
        for round_ in range(200):
            pid = spawn(parent, self_pid(), round_ % 4)
            assert await end_of(pid) == Custom("parent")
            await settled()
            assert set(node.runtime.processes) == {self_pid()}
            # A child that had no step yet could not trap: then the signal ended it.
            messages = flush()
            assert messages in ([], [Exit(pid, Custom("parent"))])
            assert messages or round_ % 4 < 2
            heard += messages
        assert heard


@row("LNK-013")
async def test_a_reason_runs_along_a_chain_of_links_unchanged() -> None:
    """Each dies of what the one before it died of."""
    error = Broken("at the far end")

    async def member(home: Pid, left: int) -> None:
        if left:
            spawn_link(member, home, left - 1)
        else:
            send(home, self_pid())
            await receive()
            raise error
        await anyio.sleep_forever()

    async with Node() as node:
        trap_exit(True)
        first = spawn_link(member, self_pid(), 50)
        last = await receive(Pid, timeout=5.0)
        send(last, "now")
        assert await receive(Exit, timeout=5.0) == Exit(first, Crash(error))
        assert len(node.runtime.reports.crashes) == 1


@row("LNK-015")
@pytest.mark.parametrize("seed", range(5))
async def test_both_sides_agree_after_linking_and_unlinking_at_random(seed: int) -> None:
    """However the two interleave, in the end either both know of the link or neither does."""
    rng = random.Random(seed)

    async def work(other: Pid, rolls: list[bool]) -> None:
        trap_exit(True)
        for roll in rolls:
            (link if roll else unlink)(other)
            if rng.random() < 0.5:
                await checkpoint()
        await anyio.sleep_forever()

    async def start(rolls: list[bool]) -> None:
        await work(await receive(Pid), rolls)

    async with Node() as node:
        processes = node.runtime.processes
        pairs: list[tuple[Pid, Pid]] = []
        for _ in range(50):
            a, b = (spawn(start, [rng.random() < 0.5 for _ in range(20)]) for _ in range(2))
            send(a, b)
            send(b, a)
            pairs.append((a, b))
        await settled()
        linked = [b in processes[a].links for a, b in pairs]
        assert linked == [a in processes[b].links for a, b in pairs]
        assert {*linked} == {True, False}
        for a, _b in pairs:
            send_exit(a, Kill())
        await settled()
        assert [[type(m) for m in processes[b].mailbox.queue] for _a, b in pairs] == [[Exit] * was for was in linked]


@row("LNK-016")
async def test_who_links_and_monitors_hears_twice_once_of_each() -> None:
    """Two relations, two pieces of news."""
    async with Node():
        trap_exit(True)
        pid = spawn_link(end_with, Custom("x"))
        ref = monitor(pid)
        await settled()
        assert sorted(flush(), key=repr) == [Down(ref, pid, Custom("x")), Exit(pid, Custom("x"))]


async def test_links_of_both_sides_are_gone_after_an_end() -> None:
    """What the dead were linked to must not pile up in the living."""
    async with Node() as node:
        trap_exit(True)
        me = node.runtime.processes[self_pid()]
        for fn in (idle, idle):
            pid = spawn_link(fn)
            assert list(me.links) == [pid]
            send_exit(pid, Kill())
            await receive(Exit, timeout=5.0)
            assert not me.links
