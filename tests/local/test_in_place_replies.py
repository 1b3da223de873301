"""What a plain handler can do is the same where it runs in place: replies, continuations, and who watches it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    NO_REPLY,
    CallTimeout,
    Deferred,
    From,
    GenServer,
    Node,
    NoRequest,
    Pid,
    ServerRef,
    Timeout,
    call,
    cast,
    child,
    gen_call,
    gen_cast,
    reply,
    self_pid,
    start_link,
    sys,
    this_request,
    time_left,
    whereis,
)
from regrow.testing import ManualClock

from .in_place_kit import Plain
from .process_kit import settled

# -- what it may do


class Desk(GenServer):
    """Answers in all the ways there are."""

    def __init__(self) -> None:
        self.later: Deferred[str] = Deferred()
        self.asked: From | None = None

    @call
    def wait(self) -> str | Deferred[str]:
        return self.later

    @call
    def put_off(self) -> Any:
        self.asked = this_request()
        return NO_REPLY

    @call
    def at_once(self) -> Any:
        reply(this_request(), "at once")
        return NO_REPLY

    @call
    def who(self) -> tuple[Pid | None, bool]:
        return this_request().caller, this_request().expired

    @cast
    def no_request(self, told: list[str]) -> None:
        with pytest.raises(NoRequest):
            this_request()
        told.append("none")

    @call
    def left(self) -> float | None:
        return time_left()

    @cast
    def answer(self, text: str) -> None:
        if self.asked is not None:
            reply(self.asked, text)
        self.later.set(text)

    def handle_call(self, request: object, from_: From) -> object:  # type: ignore[override]
        return (request, from_.caller)

    def handle_cast(self, request: object) -> None:  # type: ignore[override]
        assert isinstance(request, list)
        request.append("cast")


@pytest.mark.parametrize("ask", [Desk.wait, Desk.put_off], ids=["deferred", "no_reply"])
async def test_it_may_answer_later(ask: Callable[[ServerRef[Desk]], Coroutine[Any, Any, str]]) -> None:
    """Its caller waits then as for any other reply, with its timeout."""
    async with Node(clock=ManualClock()), anyio.create_task_group() as group:
        ref = await start_link(Desk)
        await settled()
        answers: list[str] = []

        async def caller() -> None:
            answers.append(await ask(ref))

        group.start_soon(caller)
        await settled()
        assert answers == []
        Desk.answer(ref, "now")
        await settled()
        assert answers == ["now"]


async def test_a_reply_put_off_has_its_time() -> None:
    """The timeout of the call, on the node's clock."""
    clock = ManualClock()
    async with Node(clock=clock), anyio.create_task_group() as group:
        ref = await start_link(Desk)
        await settled()
        outcomes: list[type[BaseException]] = []

        async def caller() -> None:
            with pytest.raises(CallTimeout) as raised:
                await Desk.wait.with_timeout(3.0)(ref)
            outcomes.append(raised.type)

        group.start_soon(caller)
        await settled()
        clock.advance(3.0)
        await settled()
        assert outcomes == [CallTimeout]


async def test_it_knows_its_request() -> None:
    """Who asks and whether that still waits, where the message was never made."""
    async with Node():
        ref = await start_link(Desk)
        await settled()
        assert await Desk.who(ref) == (self_pid(), False)
        assert await Desk.at_once(ref) == "at once"
        told: list[str] = []
        Desk.no_request(ref, told)
        assert told == ["none"]
        assert await gen_call(ref, "question") == ("question", self_pid())
        gen_cast(ref, told)
        assert told == ["none", "cast"]


async def test_what_it_asks_for_the_server_does_next() -> None:
    """`continue_with` before any other message, `idle_timeout` when nothing comes."""

    class Goes(Plain):
        @call
        def go_on(self) -> None:
            self.continue_with("continued")

        @call
        def rest(self) -> None:
            self.idle_timeout(1.0)

    clock = ManualClock()
    async with Node(clock=clock):
        ref = await start_link(Goes)
        await settled()
        await Goes.go_on(ref)
        Goes.put(ref, 1)
        assert await Goes.everything(ref) == ["continued", 1]
        await Goes.rest(ref)
        await settled()
        clock.advance(1.0)
        await settled()
        assert await Goes.everything(ref) == ["continued", 1, Timeout()]


async def test_a_plain_function_that_returns_a_coroutine_is_finished_by_the_server() -> None:
    """As decorators make them: only the server's own task may wait for it."""

    class Wrapped(GenServer):
        async def _later(self, n: int) -> int:
            await checkpoint()
            return n if self_pid() == whereis("wrapped") else -1

        @call
        def twice(self, n: int) -> Any:
            return self._later(2 * n)

    async with Node():
        ref = await start_link(child(Wrapped).named("wrapped"))
        await settled()
        assert await Wrapped.twice(ref, 4) == 8
        await settled()
        assert await Wrapped.twice(ref, 5) == 10


async def test_arguments_that_do_not_fit_are_the_callers_mistake(caplog: pytest.LogCaptureFixture) -> None:
    """The server is not harmed."""
    async with Node():
        ref = await start_link(Plain)
        await settled()
        with pytest.raises(TypeError, match="positional"):
            await Plain.add(ref, 1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        with caplog.at_level(logging.WARNING, "regrow"):
            Plain.put(ref)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        assert "dropped" in caplog.text
        assert await Plain.add(ref, 1) == 2


# -- who watches


async def test_a_suspended_server_runs_nothing_in_place() -> None:
    """Suspended means that no handler runs, wherever."""
    async with Node(), anyio.create_task_group() as group:
        ref = await start_link(Plain)
        await sys.suspend(ref)
        await settled()
        Plain.put(ref, 1)
        answers: list[int] = []

        async def ask() -> None:
            answers.append(await Plain.add(ref, 2))

        group.start_soon(ask)
        await settled()
        assert answers == []
        await sys.resume(ref)
        assert await Plain.everything(ref) == [1, 2]


async def test_who_watches_a_server_sees_all_of_its_messages() -> None:
    """While somebody does, they go through its mailbox."""
    async with Node():
        ref = await start_link(Plain)
        await sys.statistics(ref, True)
        await settled()
        for n in range(3):
            await Plain.add(ref, n)
        seen = await sys.get_statistics(ref)
        assert seen is not None
        assert (seen.messages_in, seen.messages_out) == (3, 3)
