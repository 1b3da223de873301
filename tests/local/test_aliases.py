"""The alias of a call: the way back for one reply, open for as long as the caller waits."""

from __future__ import annotations

import anyio
import pytest

from regrow import NO_REPLY, CallTimeout, From, GenServer, Node, flush, gen_call, reply, self_pid, send, start
from regrow.testing import ManualClock
from tests.harness import row

from .process_kit import settled


class Slow(GenServer):
    """Answers nothing by itself: the test replies, when and as often as it wants to."""

    def __init__(self, requests: list[From]) -> None:
        self.requests = requests

    async def handle_call(self, request: object, from_: From) -> object:
        self.requests.append(from_)
        return NO_REPLY


@row("ALI-001", translated="an alias is made for each call, is active while the caller waits, and is no address")
async def test_what_is_sent_to_an_active_alias_arrives_and_to_an_inactive_one_vanishes() -> None:
    """The end of the waiting is the `unalias`."""
    clock = ManualClock()
    requests: list[From] = []
    outcomes: list[object] = []
    async with Node(clock=clock):
        server = await start(Slow, requests)

        async def ask() -> None:
            outcomes.append(await gen_call(server, "in time", timeout=1.0))
            with pytest.raises(CallTimeout):
                await gen_call(server, "too late", timeout=1.0)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await settled()
            assert requests[0].is_open
            reply(requests[0], "here")
            await settled()
            assert outcomes == ["here"]
            clock.advance(1.0)
            await settled()
            assert not requests[1].is_open
            reply(requests[1], "late")
        assert flush() == []
        assert outcomes == ["here"]


@row("ALI-002")
async def test_an_alias_delivers_one_reply_only() -> None:
    """The second has nowhere to go, whoever sends it."""
    requests: list[From] = []
    outcomes: list[object] = []
    async with Node():
        server = await start(Slow, requests)

        async def ask() -> None:
            outcomes.append(await gen_call(server, "once"))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await settled()
            reply(requests[0], "first")
            reply(requests[0], "second")
            await settled()
            reply(requests[0], "third")
        assert outcomes == ["first"]
        assert flush() == []


@row("ALI-004")
async def test_a_late_reply_never_reaches_the_mailbox_of_the_caller() -> None:
    """A caller that gave up must not find an answer to a question it has forgotten, nor a server be harmed."""
    clock = ManualClock()
    requests: list[From] = []
    async with Node(clock=clock) as node:
        server = await start(Slow, requests)

        async def give_up() -> None:
            with pytest.raises(CallTimeout):
                await gen_call(server, "x", timeout=1.0)

        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            await settled()
            clock.advance(1.0)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(gen_call, server, "y")
                await settled()
                scope.cancel()
        for request in requests:
            reply(request, "late")
        await settled()
        assert len(requests) == 2
        assert flush() == []
        assert not node.runtime.processes[server.pid].open_requests()


@row("ALI-005")
async def test_an_alias_is_no_address_of_a_process() -> None:
    """It is the way for one reply; nobody is found, or signalled, through it."""
    requests: list[From] = []
    async with Node():
        server = await start(Slow, requests)
        async with anyio.create_task_group() as group:
            group.start_soon(gen_call, server, "x")
            await settled()
            with pytest.raises(TypeError, match="no process address"):
                send(requests[0], "hello")  # type: ignore[arg-type]
            assert requests[0].caller == self_pid()
            reply(requests[0], None)
