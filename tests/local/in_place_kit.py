"""A server with handlers of both kinds, which tells where they run."""

from __future__ import annotations

import contextvars

from anyio import get_current_task
from anyio.lowlevel import checkpoint

from regrow import GenServer, Pid, call, cast, self_pid

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


class Plain(GenServer):
    """Notes in which task and process its handlers run."""

    def __init__(self) -> None:
        self.tasks: list[int] = []
        self.heard: list[object] = []

    async def init(self) -> None:
        colour.set("red")

    @call
    def where(self) -> tuple[int, Pid]:
        return get_current_task().id, self_pid()

    @call
    async def own_task(self) -> int:
        return get_current_task().id

    @call
    def add(self, n: int) -> int:
        self.heard.append(n)
        return n + 1

    @cast
    def put(self, n: int) -> None:
        self.heard.append(n)
        self.tasks.append(get_current_task().id)

    @cast
    async def put_slowly(self, n: int) -> None:
        await checkpoint()
        self.heard.append(n)

    @call
    def everything(self) -> list[object]:
        return list(self.heard)

    @call
    def painted(self) -> str:
        return colour.get()

    @call
    def paint(self, name: str) -> None:
        colour.set(name)

    @call
    async def colour_seen_by_a_coroutine(self) -> str:
        return colour.get()

    @call
    def fail(self) -> None:
        raise ValueError("on purpose")

    @cast
    def fail_later(self) -> None:
        raise ValueError("on purpose")

    async def handle_info(self, message: object) -> None:
        self.heard.append(message)

    async def handle_continue(self, token: object) -> None:
        await checkpoint()
        self.heard.append(token)
