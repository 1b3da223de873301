"""Functions that other nodes call, as a user would write them."""

from __future__ import annotations

import anyio

from regrow import CallTimeout, Pid, Reason, Stop, current_node, portable, self_pid, send

from .kit import Broken


@portable
def multiply(a: int, b: int = 1) -> int:
    return a * b


@portable("kit.where")
async def where() -> tuple[str, Pid]:
    await anyio.lowlevel.checkpoint()
    return current_node().name, self_pid()


@portable
def keyed(*args: int, **kwargs: int) -> tuple[tuple[int, ...], dict[str, int]]:
    return args, kwargs


@portable
async def fail(text: str) -> None:
    raise Broken(text)


@portable
async def out_of_time() -> None:
    raise CallTimeout("something else", 5.0)


@portable
async def leave(reason: Reason) -> None:
    raise Stop(reason)


@portable
async def linger(home: Pid) -> None:
    """Says who it is, and stays."""
    send(home, self_pid())
    await anyio.sleep_forever()


@portable
async def tell(home: Pid, what: object) -> None:
    send(home, what)


@portable
async def opaque() -> object:
    return object()


def unmarked() -> None:
    """Nobody else's business."""
