"""Where the tasks of processes live: whoever has opened a home waits for all who live there."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from regrow._backends import Home, running_backend
from tests.harness import leaks
from tests.local.process_kit import Broken, crash, settled

where: ContextVar[str] = ContextVar("where")


class Guests:
    """Tasks that stay until they may leave, whatever is cancelled, as processes do."""

    def __init__(self) -> None:
        self.may_leave = anyio.Event()
        self.log: list[str] = []

    def come(self, home: Home, name: str) -> None:
        async def stay() -> None:
            self.log.append(f"{name} is there")
            with anyio.CancelScope(shield=True):
                await self.may_leave.wait()
            self.log.append(f"{name} has left")

        home.start_soon(stay, name=name)


async def test_a_home_is_left_when_all_who_live_there_have_ended() -> None:
    """Also those that came as it was waited for the others."""
    guests = Guests()

    async def keep_house() -> None:
        async with running_backend().home() as home:
            guests.come(home, "first")

            async def bring_another() -> None:
                with anyio.CancelScope(shield=True):
                    await guests.may_leave.wait()
                guests.come(home, "second")

            home.start_soon(bring_another, name="brings another")
        guests.log.append("over")

    async with anyio.create_task_group() as group:
        group.start_soon(keep_house)
        await settled()
        assert guests.log == ["first is there"]
        guests.may_leave.set()
    assert guests.log == ["first is there", "first has left", "second is there", "second has left", "over"]


async def test_a_home_where_nobody_lives_is_left_at_once() -> None:
    """A supervisor without children ends as quickly as any process."""
    async with running_backend().home():
        pass
    async with running_backend().home() as home:
        home.start_soon(settled, name="has ended before")
        await settled()
        await settled()


async def test_whoever_starts_a_task_is_done_before_it_begins() -> None:
    """The starter of a process still has to note down who it is."""
    log: list[str] = []

    async def begin() -> None:
        log.append("began")

    async with running_backend().home() as home:
        home.start_soon(begin, name="begins")
        log.append("started")
    assert log == ["started", "began"]


async def test_a_task_has_its_name_and_a_copy_of_the_context_it_was_started_in(anyio_backend_name: str) -> None:
    """By its name a debugger finds it, and by the context its processes know their node."""
    seen: list[str] = []
    named: set[Any] = set()
    where.set("outside")

    async def look() -> None:
        seen.append(where.get())
        where.set("changed")
        named.update(map(leaks.name_of, leaks.tasks(anyio_backend_name)))

    async with running_backend().home() as home:
        where.set("inside")
        home.start_soon(look, name="looks around")
        await settled()
        assert where.get() == "inside"
    assert seen == ["inside"]
    assert "looks around" in named


async def test_a_cancellation_around_a_home_leaves_nobody_behind() -> None:
    """Who lives there ends when it is told to, and not because somebody else is in a hurry."""
    guests = Guests()

    async def keep_house() -> None:
        with anyio.CancelScope() as around:
            async with running_backend().home() as home:
                guests.come(home, "guest")
                await settled()
                around.cancel()
            guests.log.append("left")
            await anyio.lowlevel.checkpoint()
            guests.log.append("never")
        guests.log.append(f"cancelled: {around.cancelled_caught}")

    async with anyio.create_task_group() as group:
        group.start_soon(keep_house)
        await settled()
        assert guests.log == ["guest is there"]
        guests.may_leave.set()
    assert guests.log == ["guest is there", "guest has left", "left", "cancelled: True"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_whose_task_is_cancelled_while_it_leaves_a_home_waits_all_the_same() -> None:
    """As a program does that was not written for anyio, again and again. It is cancelled afterwards."""
    guests = Guests()

    async def keep_house() -> None:
        async with running_backend().home() as home:
            guests.come(home, "guest")

    task = asyncio.create_task(keep_house())
    for _ in range(3):
        await settled()
        task.cancel()
    await settled()
    assert not task.done()
    guests.may_leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guests.log == ["guest is there", "guest has left"]


async def test_a_failure_ends_whoever_is_inside_and_is_raised_when_the_others_have_ended() -> None:
    """No process raises; if one does, that is a mistake of ours, which must not vanish."""
    guests = Guests()
    error = Broken("a mistake")

    async def keep_house() -> None:
        async with running_backend().home() as home:
            guests.come(home, "guest")
            home.start_soon(lambda: crash(error), name="fails")
            await anyio.sleep_forever()

    async def look() -> None:
        with pytest.raises(BaseExceptionGroup) as raised:
            await keep_house()
        assert raised.value.exceptions == (error,)
        guests.log.append("raised")

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        await settled()
        assert guests.log == ["guest is there"]
        guests.may_leave.set()
    assert guests.log == ["guest is there", "guest has left", "raised"]


async def test_what_is_raised_inside_a_home_is_raised_with_the_failures_in_it() -> None:
    """None of them hides another."""
    inside, outside = Broken("inside"), Broken("outside")

    async def keep_house() -> None:
        async with running_backend().home() as home:
            home.start_soon(lambda: crash(inside), name="fails")
            raise outside

    with pytest.raises(BaseExceptionGroup) as raised:
        await keep_house()
    assert {*raised.value.exceptions} == {inside, outside}


def test_a_factory_of_tasks_that_begins_them_at_once_is_not_asked() -> None:
    """Programs may set one for their loop, such as the eager one that Python has since 3.12."""
    log: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **_kwargs: Any) -> asyncio.Task[Any]:
        log.append(f"asked for {coroutine.__name__}")
        return asyncio.Task(coroutine, loop=loop)

    async def begin() -> None:
        log.append("began")

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        async with running_backend().home() as home:
            home.start_soon(begin, name="begins")
            log.append("started")

    with asyncio.Runner() as runner:
        runner.run(main())
        runner.get_loop().set_task_factory(None)
    assert log == ["started", "began"]
