"""The scope that a process lives in, in a task that is in no other: made late on asyncio, it does what any scope does.

What a kill does to a process by it stands in `test_kill.py` and `test_stray_cancellations.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from regrow._backends import Scope, _asyncio, running_backend


@pytest.fixture(params=[True, False], ids=["made late", "entered"], autouse=True)
def _are_known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where anyio's scopes are no longer what is known of them."""
    assert _asyncio.SCOPES_ARE_KNOWN, "with every anyio that there is"
    monkeypatch.setattr(_asyncio, "SCOPES_ARE_KNOWN", request.param)


class Cancelled:
    """Runs code in a scope of the backend, in a task of its own, and cancels it when the code waits for something."""

    def __init__(self, code: Callable[[], Awaitable[object]], *, at_once: bool = False) -> None:
        self.code = code
        self.at_once = at_once
        self.raised: BaseException | None = None
        self.over = False

    async def run(self) -> None:
        scope = running_backend().scope()
        async with running_backend().home() as home:
            home.start_soon(lambda: self._run(scope), name="runs in a scope")
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            if not self.at_once:
                scope.cancel()
            self.over = True

    async def _run(self, scope: Scope) -> None:
        with scope:
            if self.at_once:
                scope.cancel()
            try:
                await self.code()
            except BaseException as error:
                self.raised = error
                raise
        await anyio.lowlevel.checkpoint()  # it is over


@pytest.mark.parametrize("at_once", [False, True])
async def test_code_is_cancelled_at_its_next_await_and_at_each_after_that(at_once: bool) -> None:
    """Who swallows it once is not rid of it."""
    swallowed: list[int] = []

    async def swallows() -> None:
        for i in range(3):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                swallowed.append(i)
        await anyio.sleep_forever()

    cancelled = Cancelled(swallows, at_once=at_once)
    await cancelled.run()
    assert swallowed == [0, 1, 2]
    assert isinstance(cancelled.raised, anyio.get_cancelled_exc_class())


async def test_scopes_that_were_entered_before_lie_inside_of_it() -> None:
    """None of them takes the cancellation for its own."""
    scopes = [anyio.CancelScope(), anyio.CancelScope()]

    async def waits() -> None:
        with scopes[0], scopes[1]:
            await anyio.sleep_forever()

    await Cancelled(waits).run()
    assert [(scope.cancel_called, scope.cancelled_caught) for scope in scopes] == [(False, False)] * 2


async def test_what_the_code_shields_goes_on() -> None:
    """It ends where the shield does."""
    log: list[str] = []

    async def shields() -> None:
        with anyio.CancelScope():
            with anyio.CancelScope(shield=True):
                while not cancelled.over:
                    await anyio.lowlevel.checkpoint()
                log.append("done")
            await anyio.sleep_forever()

    cancelled = Cancelled(shields)
    await cancelled.run()
    assert log == ["done"]


async def test_tasks_of_groups_in_it_are_cancelled_at_once_even_if_their_host_is_shielded() -> None:
    """They are part of what runs there."""
    ended = anyio.Event()
    log: list[str] = []

    async def ends() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async def hosts() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ends)
            with anyio.CancelScope(shield=True):
                await ended.wait()
                log.append("done")

    await Cancelled(hosts).run()
    assert log == ["done"]


async def test_a_scope_of_the_code_that_is_left_open_is_an_error() -> None:
    """As it would be in any scope."""

    async def leaves_one_open() -> None:
        anyio.CancelScope().__enter__()

    async def run() -> None:
        scope = running_backend().scope()
        try:
            with scope:
                await leaves_one_open()
        except RuntimeError as error:
            raised.append(error)
            await running_backend().close_scopes(scope, 0)

    raised: list[RuntimeError] = []
    async with running_backend().home() as home:
        home.start_soon(run, name="leaves a scope open")
    assert len(raised) == 1
