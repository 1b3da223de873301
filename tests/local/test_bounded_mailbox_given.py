"""Where a bound is given, and what operators hear of it."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from regrow import (
    Bounded,
    Down,
    Kill,
    Node,
    Pid,
    SpawnOptions,
    child,
    current_node,
    flush,
    inspect,
    receive,
    self_pid,
    send,
    send_exit,
    send_wait,
    start,
    start_link,
    whereis,
)
from regrow.reports import KIND, DropReport
from regrow.testing import ManualClock

from .bounded_kit import (
    Box,
    Narrow,
    dropped_by,
    full,
    goes_on,
    process_of,
)
from .gen_server_kit import Attempt, settled

# -- reports


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and getattr(record, KIND, None) == DropReport.kind
    ]


async def test_dropping_is_reported_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    """Once each, with the number: a log must not drown with the mailbox."""
    clock = ManualClock()
    async with Node(clock=clock):
        ref = await full()
        for n in range(3):
            for _ in range(10):
                send(ref, n)
            clock.advance(1.0)
            await settled()
        began = f"Box {ref.pid} drops messages: its mailbox holds 2, as many as it may"
        assert reports(caplog) == [began]
        clock.advance(10.0)
        await settled()
        assert reports(caplog) == [began], "nothing more was dropped, but there is no room yet"
        await goes_on(ref)
        clock.advance(1.0)
        await settled()
        assert reports(caplog) == [began, f"Box {ref.pid} has dropped 30 messages, and that is over"]
        Box.stand_still(ref)
        await settled()
        for n in range(4):
            send(ref, n)
        assert reports(caplog)[2:] == [began]
        await goes_on(ref)
        for _ in range(2):  # the drops fell into the first second
            clock.advance(1.0)
            await settled()
        assert reports(caplog)[3:] == [f"Box {ref.pid} has dropped 2 messages, and that is over"]


async def test_an_end_says_what_was_dropped_before(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would know the number else. Nothing runs on for a process that has ended."""
    async with Node() as node:
        ref = await full()
        timers = len(node.runtime.timers)
        send(ref, 3)
        send(ref, 4)
        assert len(node.runtime.timers) == timers + 1
        send_exit(ref, Kill())
        await settled()
        assert reports(caplog)[1:] == [f"Box {ref.pid} has dropped 2 messages, and that is over"]
        assert len(node.runtime.timers) == timers


# -- where it is given


async def test_a_specification_says_otherwise_than_its_class() -> None:
    """Another bound, or none."""
    async with Node():
        for spec, bound in (
            (child(Box), 2),
            (child(Box).with_(mailbox=Bounded(7)), 7),
            (child(Box).with_(mailbox=None), None),
            (child(Box).with_(mailbox=None).with_(shutdown=1.0), None),
        ):
            ref = await start(spec)
            assert next(each.bound for each in inspect.processes(current_node()) if each.pid == ref.pid) == bound


async def test_a_restarted_child_has_an_empty_mailbox_of_the_same_bound() -> None:
    """What was dropped before is not held against it."""
    async with Node():
        await start_link(Narrow)
        before = whereis("a")
        assert before is not None
        for n in range(5):
            send("a", n)
        assert dropped_by(before) == 3
        send_exit("a", Kill())
        await settled()
        after = whereis("a")
        assert after not in (None, before)
        [info] = [each for each in inspect.processes(current_node()) if each.name == "a"]
        assert (info.bound, info.dropped, info.mailbox) == (2, 0, 0)


async def named(home: Pid, *, mailbox: str) -> None:
    """Tells what it was given as an argument."""
    send(home, mailbox)
    await anyio.sleep_forever()


async def test_a_plain_process_is_given_a_bound_as_it_is_spawned() -> None:
    """In each of the ways; the function's own arguments keep their names."""
    async with Node():
        options = SpawnOptions(mailbox=Bounded(2))
        pid, ref = options.spawn_monitor(named, self_pid(), mailbox="mine")
        for spawned in (pid, options.spawn(anyio.sleep_forever), options.spawn_link(anyio.sleep_forever)):
            for n in range(3):
                send(spawned, n)
            assert (len(process_of(spawned).mailbox.queue), dropped_by(spawned)) == (2, 1)
        assert await receive(str) == "mine"
        send_exit(pid, Kill())
        assert (await receive(Down)).ref == ref


async def pick(home: Pid) -> None:
    """Takes the key out from among the rest, then the rest."""
    send(home, await receive(lambda message: message == "key"))
    send(home, flush())


async def test_a_selective_receive_sees_what_comes_while_others_are_dropped() -> None:
    """Its place in the queue moves with what was in front of it."""
    async with Node():
        pid = SpawnOptions(mailbox=Bounded(2, drop="oldest")).spawn(pick, self_pid())
        for message in (1, 2, 3, "key"):
            send(pid, message)
            await settled()
        assert await receive(timeout=1.0) == "key"
        assert await receive(timeout=1.0) == [3]


async def test_what_was_taken_makes_room_in_each_way_it_is_taken() -> None:
    """A server takes the first message, `receive` one from the midst, `flush` all."""
    async with Node():
        done = SpawnOptions(mailbox=Bounded(2, on_full="wait")).spawn(pick, self_pid())
        for message in (1, 2):
            send(done, message)
        async with anyio.create_task_group() as group:
            attempts: list[Attempt] = []
            for message in ("key", 4):
                attempts.append(Attempt(group, send_wait(done, message)))
                await settled()
            assert not any(attempt.over for attempt in attempts)
            process_of(done).mailbox.take(lambda message: message == 1)
            for attempt in attempts:
                await attempt.result()
        assert await receive(timeout=1.0) == "key"
        assert await receive(timeout=1.0) == [2, 4]


@pytest.mark.parametrize("bound", [1000, "1000", Bounded])
def test_what_is_no_bound_is_refused(bound: Any) -> None:
    """Where it is given, not when the first message comes."""
    with pytest.raises(ValueError, match="mailbox must be a Bounded or None"):
        child(Box).with_(mailbox=bound)
    with pytest.raises(TypeError):
        SpawnOptions(mailbox=bound)
    with pytest.raises(TypeError, match=r"Odd\.mailbox must be a Bounded or None"):
        child(type("Odd", (Box,), {"mailbox": bound}))
