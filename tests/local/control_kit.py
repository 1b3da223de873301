"""What the tests of the control socket share: a node that listens, and what a client says to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketStream

from regrow import ChildSpec, GenServer, Node, Supervisor, cast, child
from regrow.clock import Clock
from regrow.control import serve
from regrow.control.protocol import REQUEST_BYTES_MAX
from regrow.local_nodes import claim

APP = f"""
from regrow import Application, start_link
from {__name__} import Lone

answer = 42

async def ask():
    return answer

class Shop(Application):
    async def start(self, start_type, args):
        return await start_link(Lone)
"""

MANIFEST = """
[application]
name = "shop"
module = "controlled.app:Shop"
portable = ["controlled.goods"]
"""


class Box(GenServer):
    """Holds a value; asked to, it gets stuck."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    @cast
    async def get_stuck(self) -> None:
        await anyio.sleep_forever()


class Lone(Supervisor):
    """One box."""

    def init(self) -> list[ChildSpec]:
        return [child(Box).named("lone")]


class Controlled:
    """A node with its control socket, and what a client says through it."""

    def __init__(self, node: Node, path: str) -> None:
        self.node = node
        self.halts: list[bool] = []
        self._path = path

    async def connect(self) -> SocketStream:
        return await anyio.connect_unix(self._path)

    async def say(self, line: bytes) -> dict[str, Any]:
        """The answer to this, word for word, after which the connection is closed."""
        async with await self.connect() as stream:
            await stream.send(line + b"\n")
            return await answer_of(stream)

    async def ask(self, command: str, **arguments: object) -> Any:
        answer = await self.say(json.dumps({"command": command, "arguments": arguments}).encode())
        assert "error" not in answer, answer
        return answer["result"]

    async def refusal(self, command: str, **arguments: object) -> tuple[str, int]:
        """The text and the exit code of a request that is refused."""
        answer = await self.say(json.dumps({"command": command, "arguments": arguments}).encode())
        return answer["error"], answer["exit"]


async def say_for_ever(stream: SocketStream) -> None:
    while True:
        await stream.send(b" " * REQUEST_BYTES_MAX)


async def answer_of(stream: SocketStream) -> dict[str, Any]:
    data = b""
    while True:
        try:
            data += await stream.receive()
        except anyio.EndOfStream:
            return json.loads(data)


@asynccontextmanager
async def controlled(
    tmp_path: Path, *, patience_s: float = 30.0, clock: Clock | None = None
) -> AsyncIterator[Controlled]:
    """A node that can find the application `shop`, listening in a directory of its own."""
    package = tmp_path / "apps" / "controlled"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "app.py").write_text(APP)
    (package / "goods.py").write_text("apple = 1")
    (package / "application.toml").write_text(MANIFEST)
    folder = tmp_path / "nodes"
    folder.mkdir(mode=0o700)
    with claim("a@h", folder) as held:
        async with anyio.create_task_group() as group:
            async with Node(path=[tmp_path / "apps"], clock=clock) as node:
                made = Controlled(node, str(folder / "a@h.sock"))
                await group.start(partial(serve, patience_s=patience_s), node, held.listen(), made.halts.append)
                yield made
            group.cancel_scope.cancel()
