"""What runs when: messages, continuations, idle timeouts, and what callbacks return or raise."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from regrow import (
    NO_REPLY,
    Crash,
    Custom,
    Down,
    Exit,
    GenServer,
    Ignore,
    Node,
    Reason,
    ServerExited,
    Stop,
    Timeout,
    UnknownRequest,
    call,
    gen_call,
    gen_cast,
    link,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    start_monitor,
    trap_exit,
)
from tests.harness import row

from .gen_server_kit import Counter, Scripted, raising, settled, styles


async def log_of(ref: Any) -> list[object]:
    """What the server has logged, once it has handled all that was sent before."""
    return list(await Scripted.run(ref, lambda server: server.log))


@row("GEN-025", translated="what `handle_call` returns is the reply; the other callbacks return nothing of meaning")
@styles
async def test_there_is_no_bad_return(style: Any) -> None:
    """OTP's `bad_return_value` is for a shape that Python's handlers do not have."""

    class Returning(Counter):
        async def handle_cast(self, request: object) -> Any:
            return request

        async def handle_info(self, message: object) -> Any:
            return message

        async def handle_continue(self, token: object) -> Any:
            return token

    async with Node():
        ref = await start_link(style(Returning))
        gen_cast(ref, ("reply", "junk"))
        send(ref, ("stop", "junk"))
        assert await gen_call(ref, ("stop", "now")) == (("stop", "now"), 0)


@row("GEN-026", translated="`Stop` is the only exception with a meaning; whatever else is raised is a crash")
@styles
async def test_what_is_raised_is_no_return_value(style: Any) -> None:
    """OTP takes a thrown value for a return; here even `Ignore` is a crash outside of init."""
    async with Node():
        ignore = Ignore()
        ref, ended = await start_monitor(style(Scripted), [])
        Scripted.do(ref, raising(ignore))
        assert await receive() == Down(ended, ref.pid, Crash(ignore))


@pytest.mark.parametrize("way", ["call", "cast", "otp_call", "otp_cast", "info", "continue"])
@styles
async def test_stop_may_be_raised_in_every_callback(style: Any, way: str) -> None:
    """It ends the server with its reason after `terminate`; only a call in hand has use for a reply."""
    stopping = raising(Stop(Custom("enough"), reply="reply"))
    async with Node() as node:
        log: list[object] = []
        ref, ended = await start_monitor(style(Scripted), log)
        match way:
            case "call":
                assert await Scripted.run(ref, stopping) == "reply"
            case "otp_call":
                assert await gen_call(ref, stopping) == "reply"
            case "cast":
                Scripted.do(ref, stopping)
            case "otp_cast":
                gen_cast(ref, stopping)
            case "info":
                send(ref, stopping)
            case _:
                Scripted.do(ref, lambda server: server.continue_with(stopping))
        assert await receive() == Down(ended, ref.pid, Custom("enough"))
        assert log == [("terminate", Custom("enough"))]
        assert len(node.runtime.reports.crashes) == 1


async def test_stop_with_a_reply_in_a_continuation_answers_nobody() -> None:
    """The request that asked for it has had its chance: it stayed open, and fails with the server."""

    class Open(GenServer):
        async def handle_call(self, request: object, from_: object) -> object:
            self.continue_with("go on")
            return NO_REPLY

        async def handle_continue(self, token: object) -> None:
            raise Stop(reply="too late")

    async with Node():
        ref = await start(Open)
        with pytest.raises(ServerExited):
            await gen_call(ref, "hello")


@styles
async def test_stop_out_of_a_task_group_is_still_a_stop(style: Any) -> None:
    """Task groups wrap what is raised in them; with a single member the wrapping means nothing."""
    async with Node():
        log: list[object] = []
        ref, ended = await start_monitor(style(Scripted), log)
        wrapped = ExceptionGroup("", [ExceptionGroup("", [Stop(Custom("enough"), reply=1)])])
        assert await Scripted.run(ref, raising(wrapped)) == 1
        assert await receive() == Down(ended, ref.pid, Custom("enough"))
        assert log == [("terminate", Custom("enough"))]


@row("GEN-028")
@pytest.mark.parametrize("way", ["info", "terminate", "continue"])
@styles
async def test_an_attribute_error_in_a_callback_is_a_crash(style: Any, way: str) -> None:
    """It must not be taken for a callback that is not defined."""

    def broken(server: Any = None) -> None:
        server.no_such_attribute()

    async with Node():
        ref, _ = await start_monitor(style(Scripted), [], None, broken if way == "terminate" else None)
        if way == "info":
            send(ref, broken)
        elif way == "continue":
            Scripted.do(ref, lambda server: server.continue_with(broken))
        else:
            Scripted.do(ref, raising(Stop()))
        down = await receive(Down)
        assert isinstance(down.reason, Crash)
        assert isinstance(down.reason.exception, AttributeError)


@row("GEN-032")
@styles
async def test_everything_that_is_no_request_goes_to_handle_info(style: Any) -> None:
    """What was sent, and the exits and downs the server asked to hear of."""
    async with Node():
        log: list[object] = []
        ref = await start(style(Scripted), log, lambda: trap_exit(True))
        other = spawn(receive)
        refs = await Scripted.run(ref, lambda _: (link(other), monitor(other)))
        for message in (None, 0, "text", ("call", 1), Timeout()):
            send(ref, message)
        send_exit(other, Custom("over"))
        await settled()
        seen = await log_of(ref)
        assert seen[:5] == [None, 0, "text", ("call", 1), Timeout()]
        assert seen[5:] == [Exit(other, Custom("over")), Down(refs[1], other, Custom("over"))]


async def test_a_server_without_handle_info_warns_and_lives(caplog: pytest.LogCaptureFixture) -> None:
    """Stray messages are a fact of life; one whose text can't be had is no exception."""

    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("not telling")

    async with Node():
        ref = await start_link(Counter)
        with caplog.at_level(logging.WARNING, "regrow"):
            send(ref, "stray")
            send(ref, Unspeakable())
            assert await Counter.add(ref, 1) == 1
        assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
        assert "no handle_info for 'stray'" in caplog.records[0].getMessage()
        assert "Unspeakable whose repr raised RuntimeError" in caplog.records[1].getMessage()


@pytest.mark.parametrize("way", ["call", "cast", "continue"])
async def test_a_request_of_the_otp_form_without_a_handler_is_a_crash(way: str) -> None:
    """As in OTP, whose server then has an undefined function."""

    class Bare(GenServer):
        async def handle_info(self, message: object) -> None:
            self.continue_with(message)

    async with Node():
        ref, ended = await start_monitor(Bare)
        if way == "call":
            with pytest.raises(ServerExited, match="UnknownRequest: Bare has no handler for 'hello'"):
                await gen_call(ref, "hello")
        elif way == "cast":
            gen_cast(ref, "hello")
        else:
            send(ref, "hello")
        down = await receive(Down)
        assert down.ref == ended
        assert isinstance(down.reason, Crash)
        assert isinstance(down.reason.exception, UnknownRequest)


@row("GEN-036")
@pytest.mark.parametrize("asked_in", ["__init__", "init", "call", "cast", "info"])
@styles
async def test_a_continuation_runs_before_anything_in_the_mailbox(style: Any, asked_in: str) -> None:
    """Also before what the server sent itself before it asked; the reply, if any, is out already."""

    class Continuing(Scripted):
        def __init__(self, log: list[Any]) -> None:
            super().__init__(log)
            if asked_in == "__init__":
                self.ask()

        async def init(self) -> None:
            if asked_in == "init":
                self.ask()

        def ask(self) -> None:
            send(self_pid(), "queued")
            self.continue_with("go on")

    async with Node():
        log: list[object] = []
        ref = await start_link(style(Continuing), log)
        if asked_in == "call":
            assert await Scripted.run(ref, lambda server: server.ask() or "reply") == "reply"
        elif asked_in == "cast":
            Scripted.do(ref, lambda server: server.ask())
        elif asked_in == "info":
            send(ref, lambda server: server.ask())
        assert await log_of(ref) == [("continue", "go on"), "queued"]


@row("GEN-036")
async def test_the_reply_is_out_before_the_continuation_runs() -> None:
    """A handler may answer quickly and do the work afterwards."""

    class Working(Counter):
        @call
        async def order(self) -> str:
            self.continue_with("work")
            return "ordered"

        async def handle_continue(self, token: object) -> None:
            await receive("never".__eq__)

    async with Node():
        ref = await start_link(Working)
        assert await Working.order(ref) == "ordered"


@row("GEN-037")
@styles
async def test_continuations_may_follow_each_other_and_stop(style: Any) -> None:
    """A chain runs to its end before the mailbox gets its turn; asked for twice at once, both run, in order."""
    async with Node():
        log: list[object] = []
        ref, ended = await start_monitor(style(Scripted), log)

        def first(server: Any) -> None:
            send(self_pid(), "queued")
            server.continue_with(second)
            server.continue_with("after the second")

        def second(server: Any) -> None:
            server.log.append("second")
            server.continue_with("third")

        Scripted.do(ref, first)
        assert await log_of(ref) == ["second", ("continue", "after the second"), ("continue", "third"), "queued"]
        Scripted.do(ref, lambda server: server.continue_with(raising(Stop(Custom("done")))))
        assert (await receive(Down)) == Down(ended, ref.pid, Custom("done"))


@styles
async def test_no_continuation_runs_in_a_server_that_signalled_itself(style: Any) -> None:
    """After its end is settled it handles nothing, though it has not come to an await yet."""
    async with Node():
        log: list[object] = []
        ref, ended = await start_monitor(style(Scripted), log)

        def action(server: Any) -> None:
            server.continue_with("go on")
            send_exit(self_pid(), Custom("enough"))

        Scripted.do(ref, action)
        assert await receive() == Down(ended, ref.pid, Custom("enough"))
        assert log == []


async def test_a_reason_may_be_any_value_of_ones_own() -> None:
    """`Stop("text")` is `Stop(Custom("text"))`: an exit reason is always a `Reason`."""
    async with Node():
        ref, ended = await start_monitor(Scripted, [])
        Scripted.do(ref, raising(Stop("out of paper")))  # type: ignore[arg-type]
        down = await receive(Down)
        assert down == Down(ended, ref.pid, Custom("out of paper"))
        assert isinstance(down.reason, Reason)
