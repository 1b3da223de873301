"""The channel between a node and whoever started it: standard input and output, and no connection of nodes.

So a node can be asked while nothing connects it with others. The end of its input is the order to stop: whoever started
the node may say so, and if that ends in whatever way, the system does.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import assert_never

import anyio
from anyio.abc import TaskGroup

from .._pure.codec import BadFrame, FrameReader, NotPortable, Unreadable
from ..errors import NotInNode
from ..inspect import CONTROL_LABEL
from ..messages import Failure
from ..node import Node
from ..peer_words import Answer, Ask, up_line
from ..reasons import RemoteError, Shutdown
from ..rpc_server import outcome_of
from ..rpc_words import Exited, Outcome, Run, Unknown
from ..runtime import Process

CHUNK = 64 * 1024
STDIN, STDOUT, STDERR = range(3)


class Channel:
    """The node's end."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading = reading
        self._writing = writing
        self._node: Node | None = None
        self._waiting: deque[bytes] = deque()
        self._more = anyio.Event()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)

    @classmethod
    def of_this_process(cls) -> Channel:
        """Take standard input and output for it: what the program prints goes to standard error from here on."""
        channel = cls(os.dup(STDIN), os.dup(STDOUT))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, STDIN)
        os.close(nothing)
        os.dup2(STDERR, STDOUT)
        return channel

    def up(self, node: Node) -> None:
        """Say that the node has booted; from now on it can be asked."""
        self._node = node
        self._send(f"{up_line(node.name)}\n".encode())

    async def serve(self) -> None:
        """Carry out what is asked, until the input ends."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._write)
            await self._read(group)
            group.cancel_scope.cancel()

    async def _read(self, group: TaskGroup) -> None:
        frames = FrameReader()
        while True:
            await anyio.wait_readable(self.reading)
            data = os.read(self.reading, CHUNK)
            if not data:
                return
            try:
                for body in frames.feed(data):
                    self._ask(group, body)
            except BadFrame:
                return

    def _ask(self, group: TaskGroup, body: bytes) -> None:
        ask = None if self._node is None else self._node.codec.decode(body)
        if self._node is None or not isinstance(ask, Ask):
            raise BadFrame("whoever starts a node asks it once it is up, and says nothing else")
        group.start_soon(self._answer, self._node, ask)

    async def _answer(self, node: Node, ask: Ask) -> None:
        outcome = await _carry_out(node, ask.run)
        try:
            self._send(node.codec.encode(Answer(ask.number, outcome)))
        except NotPortable as error:
            self._send(node.codec.encode(Answer(ask.number, Failure(RemoteError.of(error)))))

    def _send(self, data: bytes) -> None:
        self._waiting.append(data)
        self._more.set()

    async def _write(self) -> None:
        with suppress(BrokenPipeError):  # nobody is left to read it; the input ends as well
            while True:
                while self._waiting:
                    await self._write_out(self._waiting.popleft())
                self._more = anyio.Event()
                await self._more.wait()

    async def _write_out(self, data: bytes) -> None:
        while data:
            await anyio.wait_writable(self._writing)
            data = data[os.write(self._writing, data) :]


async def _carry_out(node: Node, run: Run | Unreadable) -> Outcome | Failure:
    """Run the function in a process of the node."""
    match run:
        case Unreadable(why):
            return Failure(RemoteError("NotPortable", f"{node.name} cannot read the arguments: {why}"))
        case Run(name):
            function = node.portable_functions.get(name)
        case _:
            assert_never(run)
    if function is None:
        return Unknown()
    outcomes: list[Outcome] = []

    async def body(_process: Process) -> None:
        outcomes.append(await outcome_of(function, run))

    try:
        process = node.runtime.spawn(body, CONTROL_LABEL, None)
    except NotInNode:
        return Exited(Shutdown(), by_signal=True)  # it has stopped, and is about to say so
    await process.wait_ended()
    assert process.ended is not None, "waited for"
    return outcomes[0] if outcomes else Exited(process.ended, by_signal=True)
