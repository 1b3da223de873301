"""The idle timeout of a server: when `Timeout` comes, and what calls it off."""

from __future__ import annotations

from typing import Any

import pytest

from regrow import (
    Crash,
    Down,
    Node,
    NotAProcess,
    Timeout,
    gen_call,
    gen_cast,
    receive,
    send,
    start_link,
    start_monitor,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Counter, Scripted, settled, styles


@row("GEN-033")
@styles
async def test_an_idle_server_gets_a_timeout_once(style: Any) -> None:
    """After the seconds it asked for, not earlier; and it must ask again for another."""
    clock = ManualClock()
    async with Node(clock=clock) as node:
        log: list[object] = []
        ref = await start_link(style(Scripted), log, lambda: None)
        Scripted.do(ref, lambda server: server.idle_timeout(2.0))
        await settled()
        clock.advance(1.9)
        await settled()
        assert log == []
        clock.advance(0.1)
        await settled()
        clock.advance(60.0)
        await settled()
        assert log == [Timeout()]
        assert len(node.runtime.timers) == 0


@row("GEN-033")
@pytest.mark.parametrize("way", ["call", "cast", "otp_call", "otp_cast", "info"])
@styles
async def test_any_message_calls_the_idle_timeout_off(style: Any, way: str) -> None:
    """Whatever comes: the server is not idle, and was not told to wait again."""
    clock = ManualClock()
    async with Node(clock=clock) as node:
        log: list[object] = []
        ref = await start_link(style(Scripted), log)
        await Scripted.run(ref, lambda server: server.idle_timeout(2.0))
        clock.advance(1.0)
        await settled()
        match way:
            case "call":
                await Scripted.run(ref, lambda _: None)
            case "otp_call":
                await gen_call(ref, lambda _: None)
            case "cast":
                Scripted.do(ref, lambda _: None)
            case "otp_cast":
                gen_cast(ref, lambda _: None)
            case _:
                send(ref, lambda _: None)
        await settled()
        clock.advance(60.0)
        await settled()
        assert log == []
        assert len(node.runtime.timers) == 0


@row("GEN-033")
@pytest.mark.parametrize("seconds", [0, 2.0])
@styles
async def test_a_message_that_waits_already_calls_the_idle_timeout_off(style: Any, seconds: float) -> None:
    """Even one of 0 seconds; with an empty mailbox that one comes at once."""
    clock = ManualClock()
    async with Node(clock=clock):
        log: list[object] = []
        ref = await start_link(style(Scripted), log)
        Scripted.do(ref, lambda server: server.idle_timeout(seconds))
        send(ref, "waiting")
        await settled()
        clock.advance(60.0)
        await settled()
        assert log == ["waiting"]
        Scripted.do(ref, lambda server: server.idle_timeout(0))
        await settled()
        assert log == ["waiting", Timeout()]


@pytest.mark.parametrize("asked_in", ["__init__", "init", "continue"])
async def test_an_idle_timeout_may_be_asked_for_before_the_first_message(asked_in: str) -> None:
    """By the constructor, init, or a continuation; one that was asked for before it outlives a continuation."""
    clock = ManualClock()

    class Impatient(Scripted):
        def __init__(self, log: list[Any]) -> None:
            super().__init__(log)
            if asked_in != "init":
                self.idle_timeout(2.0)

        async def init(self) -> None:
            if asked_in == "init":
                self.idle_timeout(2.0)
            if asked_in == "continue":
                self.continue_with(lambda _: None)

    async with Node(clock=clock):
        log: list[object] = []
        await start_link(Impatient, log)
        await settled()
        clock.advance(2.0)
        await settled()
        assert log == [Timeout()]


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
async def test_an_idle_timeout_that_is_none_is_a_crash(bad: float) -> None:
    """OTP's `bad_return_value`: and a time that compares with nothing would stop the node's clock."""
    async with Node():
        ref, _ = await start_monitor(Scripted, [])
        Scripted.do(ref, lambda server: server.idle_timeout(bad))
        down = await receive(Down)
        assert isinstance(down.reason, Crash)
        assert isinstance(down.reason.exception, ValueError)


async def test_continue_and_idle_timeout_are_for_callbacks() -> None:
    """Elsewhere there is no server to ask for anything."""
    server = Counter()
    with pytest.raises(NotAProcess):
        server.continue_with("go on")
    async with Node():
        with pytest.raises(TypeError, match="only in the callbacks of a GenServer"):
            server.idle_timeout(1.0)
