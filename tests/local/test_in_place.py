"""Calls in place: a plain handler of a server that is at rest runs where its message is sent from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio import get_current_task
from anyio.lowlevel import checkpoint

from regrow import (
    Crash,
    Custom,
    Down,
    GenServer,
    Kill,
    Killed,
    Name,
    Node,
    ServerExited,
    ServerRef,
    Stop,
    Supervisor,
    call,
    cast,
    child,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    start,
    start_link,
    whereis,
)
from regrow.runtime import IN_PLACE_MAX

from .in_place_kit import Plain, colour
from .process_kit import settled


class Mine(Plain):
    """The same in its own task alone."""

    in_place = False


# -- where it runs


async def test_a_plain_handler_of_a_server_at_rest_runs_in_the_task_of_its_caller_and_is_the_server() -> None:
    """Nobody else gets a turn in between: that is what it spares."""
    async with Node():
        ref = await start_link(Plain)
        await settled()
        assert await Plain.where(ref) == (get_current_task().id, ref.pid)
        Plain.put(ref, 1)
        assert await Plain.everything(ref) == [1]
        assert self_pid() != ref.pid


async def test_a_class_can_say_that_its_handlers_run_in_its_own_task_alone() -> None:
    """Who would rather have each call let the others run."""
    async with Node():
        ref = await start_link(Mine)
        await settled()
        own = await Mine.own_task(ref)
        await settled()
        assert await Mine.where(ref) == (own, ref.pid)


async def test_it_sees_the_context_of_the_server_and_leaves_its_own_changes_there() -> None:
    """As if it had run in the server's task, before and after handlers that do."""
    async with Node():
        ref = await start_link(Plain)
        await settled()
        colour.set("mine")
        assert await Plain.painted(ref) == "red"
        await Plain.paint(ref, "blue")
        assert await Plain.painted(ref) == "blue"
        assert await Plain.colour_seen_by_a_coroutine(ref) == "blue"
        assert colour.get() == "mine"


async def test_what_is_in_the_mailbox_comes_first() -> None:
    """Messages of one sender are handled in the order they were sent in, of whatever kind their handlers are."""
    async with Node():
        ref = await start_link(Plain)
        await settled()
        for n in range(3):
            Plain.put_slowly(ref, 3 * n)
            Plain.put(ref, 3 * n + 1)
            await Plain.add(ref, 3 * n + 2)
        assert await Plain.everything(ref) == list(range(9))


async def test_a_server_in_the_midst_of_a_handler_is_not_at_rest() -> None:
    """Also while that waits for a message of its own."""

    class Waits(GenServer):
        def __init__(self) -> None:
            self.done: list[str] = []

        @cast
        async def wait(self) -> None:
            await receive(str)
            self.done.append("waited")

        @call
        def note(self) -> list[str]:
            self.done.append("noted")
            return self.done

    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Waits)
        Waits.wait(ref)
        await settled()
        answers: list[list[str]] = []

        async def ask() -> None:
            answers.append(await Waits.note(ref))

        group.start_soon(ask)
        await settled()
        assert answers == []
        send(ref, "go on")
        await settled()
        assert answers == [["waited", "noted"]]


async def test_others_run_at_least_every_so_many_calls() -> None:
    """A loop of calls in place would else keep the loop from turning."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Plain)
        await settled()
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await checkpoint()

        group.start_soon(others)
        await checkpoint()
        before = turns
        for n in range(10 * IN_PLACE_MAX):
            await Plain.add(ref, n)
        assert 8 <= turns - before < IN_PLACE_MAX  # some had been made before, and the last turn may be still to come
        group.cancel_scope.cancel()


async def test_casts_in_a_row_are_handled_in_order_though_only_so_many_can_be_in_place() -> None:
    """A cast cannot let others run: what goes beyond is left to the server."""
    async with Node():
        ref = await start_link(Plain)
        await settled()
        for n in range(3 * IN_PLACE_MAX):
            Plain.put(ref, n)
        assert await Plain.everything(ref) == list(range(3 * IN_PLACE_MAX))


async def test_a_handler_in_place_casts_to_others_without_running_theirs() -> None:
    """A chain of servers that cast to each other must not become a stack of calls."""

    class Link(GenServer):
        def __init__(self, next_: ServerRef[Link] | None, told: Callable[[], None]) -> None:
            self.next, self.told = next_, told

        @cast
        def pass_on(self) -> None:
            if self.next is None:
                self.told()
            else:
                Link.pass_on(self.next)

    async with Node():
        arrived = anyio.Event()
        ref: ServerRef[Link] | None = None
        for _ in range(2000):
            ref = await start(Link, ref, arrived.set)
        await settled()
        assert ref is not None
        Link.pass_on(ref)
        await arrived.wait()


# -- how it ends


@pytest.mark.parametrize("how", [Plain.fail, Plain.fail_later], ids=["call", "cast"])
async def test_its_crash_is_the_servers(how: Any) -> None:
    """With the message and the traceback in the report; the caller is only told."""
    async with Node() as node:
        ref = await start(Plain)
        await settled()
        watch = monitor(ref)
        if how is Plain.fail:
            with pytest.raises(ServerExited) as exited:
                await Plain.fail(ref)
            assert str(exited.value.reason) == "ValueError: on purpose"
        else:
            Plain.fail_later(ref)
        match await receive(Down):
            case Down(ref=which, item=item, reason=Crash(exception)):
                assert (which, item) == (watch, ref.pid)
                assert isinstance(exception, ValueError)
            case down:
                pytest.fail(f"{down}")
        (report,) = node.runtime.reports.crashes
        assert report.pid == ref.pid
        assert report.last_message is not None
        assert report.last_message.startswith("C")
        assert "in fail" in report.traceback


async def test_its_supervisor_starts_it_anew() -> None:
    """As after any crash."""

    class Top(Supervisor):
        def init(self) -> list[Any]:
            return [child(Plain).named("plain")]

    async with Node():
        await start_link(Top)
        await settled()
        first = whereis("plain")
        monitor("plain")
        Plain.fail_later(ServerRef(first, Plain))
        await receive(Down)
        await settled()
        assert whereis("plain") not in (None, first)
        assert await Plain.add(Name("plain", Plain), 1) == 2


async def test_it_may_stop_the_server_and_answer() -> None:
    """`Stop` with a reply, in order."""

    class Leaves(GenServer):
        def __init__(self, ended: list[object]) -> None:
            self.ended = ended

        @call
        def leave(self) -> str:
            raise Stop(Custom("done"), reply="bye")

        async def terminate(self, reason: object) -> None:
            self.ended.append(reason)

    async with Node():
        ended: list[object] = []
        ref = await start(Leaves, ended)
        await settled()
        monitor(ref)
        assert await Leaves.leave(ref) == "bye"
        assert (await receive(Down)).reason == Custom("done")
        assert ended == [Custom("done")]


async def test_it_may_be_killed_by_itself() -> None:
    """Code that runs goes on to its next await; that handler has none, so its reply still counts."""

    class Suicidal(GenServer):
        @call
        def end(self) -> str:
            send_exit(self_pid(), Kill())
            return "last words"

    async with Node():
        ref = await start(Suicidal)
        await settled()
        monitor(ref)
        assert await Suicidal.end(ref) == "last words"
        assert (await receive(Down)).reason == Killed()
        with pytest.raises(LookupError):
            await Suicidal.end(ref)
