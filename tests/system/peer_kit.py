"""Functions that tests call on nodes that they have started."""

from __future__ import annotations

import os
import sys
import threading

import anyio

from regrow import Reason, Stop, connect, current_node, disconnect, nodes, portable


@portable
async def where() -> str:
    await anyio.lowlevel.checkpoint()
    return current_node().name


@portable
def echo(what: object) -> object:
    return what


@portable
def fail(text: str) -> None:
    raise LookupError(text)


@portable
async def leave(reason: Reason) -> None:
    raise Stop(reason)


@portable
async def linger() -> None:
    print("lingering", file=sys.stderr, flush=True)
    await anyio.sleep_forever()


@portable
def opaque() -> object:
    return object()


@portable
def shout(text: str) -> None:
    print(text, flush=True)


@portable
def block() -> None:
    """Nothing else happens on the node after this."""
    print("blocking", file=sys.stderr, flush=True)
    threading.Event().wait()


@portable
async def meet(node: str) -> bool:
    return await connect(node)


@portable
def part(node: str) -> bool:
    return disconnect(node)


@portable
def variable(name: str) -> str | None:
    return os.environ.get(name)


@portable
def met() -> list[str]:
    return nodes()
