"""The channel of a node that was started as a peer: what it answers, and what ends it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from regrow import Node, Shutdown
from regrow._pure.codec import TICK, FrameReader, framed
from regrow.control import Channel
from regrow.peer_words import Answer, Ask
from regrow.rpc_words import Exited, Returned, Run, Unknown

from . import portable_kit as kit

DOUBLE = f"{kit.__name__}.double"


class Controller:
    """Whoever has started the node: the other ends of its input and output."""

    def __init__(self, node: Node) -> None:
        self.node = node
        reading, self._writing = os.pipe()
        self._reading, writing = os.pipe()
        self._ends = [reading, writing, self._reading]
        self.channel = Channel(reading, writing)

    def say(self, data: bytes) -> None:
        os.write(self._writing, data)

    def ask(self, run: Run, number: int = 1) -> None:
        self.say(self.node.codec.encode(Ask(number, run)))

    def hang_up(self) -> None:
        os.close(self._writing)

    def go_deaf(self) -> None:
        """Read no more, as one that was killed."""
        os.close(self._reading)
        self._ends.remove(self._reading)

    def close(self) -> None:
        for end in self._ends:
            os.close(end)

    async def hears(self) -> bytes:
        await anyio.wait_readable(self._reading)
        return os.read(self._reading, 65536)

    async def answer(self) -> object:
        [body] = FrameReader().feed(await self.hears())
        answer = self.node.codec.decode(body)
        assert isinstance(answer, Answer)
        return answer.outcome


@asynccontextmanager
async def controlled() -> AsyncIterator[Controller]:
    """A node whose channel is served until its controller hangs up."""
    async with Node("a@localhost", cookie="secret", portable=[kit.__name__]) as node:
        controller = Controller(node)
        with anyio.fail_after(10.0):
            async with anyio.create_task_group() as group:
                group.start_soon(controller.channel.serve)
                controller.channel.up(node)
                assert await controller.hears() == b"a@localhost up\n"
                yield controller
        controller.close()


async def test_what_is_asked_is_run_and_answered() -> None:
    """By the portable name of the function; of one there is not, that is said."""
    async with controlled() as controller:
        controller.ask(Run(DOUBLE, (21,), {}))
        assert await controller.answer() == Returned(42)
        controller.ask(Run(f"{kit.__name__}.nothing", (), {}))
        assert await controller.answer() == Unknown()
        controller.hang_up()


async def test_an_ask_that_comes_when_the_node_has_stopped_is_answered() -> None:
    """Its last words are not a traceback."""
    node = Node("a@localhost", cookie="secret", portable=[kit.__name__])
    controller = Controller(node)
    with anyio.fail_after(10.0):
        async with anyio.create_task_group() as group:
            async with node:
                group.start_soon(controller.channel.serve)
                controller.channel.up(node)
                await controller.hears()
            controller.ask(Run(DOUBLE, (21,), {}))
            assert await controller.answer() == Exited(Shutdown(), by_signal=True)
            controller.hang_up()
    controller.close()


@pytest.mark.parametrize("nonsense", [framed(b"\xc1"), TICK, b"\xff" * 8], ids=["no term", "no ask", "too long"])
async def test_whoever_says_anything_else_is_hung_up_on(nonsense: bytes) -> None:
    """The node stops then: nothing can be made of what comes after it."""
    async with controlled() as controller:
        controller.say(nonsense)
    controller.hang_up()


async def test_a_controller_that_hears_nothing_any_more_is_waited_for_to_hang_up() -> None:
    """As one that was killed with an answer under way: its end of the input ends as well."""
    async with controlled() as controller:
        controller.go_deaf()
        controller.ask(Run(DOUBLE, (21,), {}))
        await anyio.wait_all_tasks_blocked()
        controller.hang_up()
