"""Workers: nodes that are all alike, beside this one, so that a service uses more than one core.

Used with its module: `from regrow import workers`, and `await workers.start_link(4, start=["web"])`, which is what
`regrow run --workers 4 --start web` does. The node that starts them does not take part in their work: it is there to
start them again.
"""

from __future__ import annotations

import math
from typing import Unpack

from ._pure.ids import UNNAMED_NODE
from .behaviour import child
from .behaviour import start_link as _start_link
from .dynamic_supervisor import DynamicSupervisor
from .node import current_node
from .nodes import connect
from .peer import Options, PeerServer
from .refs import ServerRef

__all__ = ["Worker", "Workers", "start_link"]

NAME = "workers"  # under which their supervisor is registered
FAILURES = 3  # of each in a minute; what hits all of them at once counts for each


class Workers(DynamicSupervisor):
    """Supervises workers: ends with `Shutdown` when they fail, on average, more than three times a minute each."""

    period = 60.0  # not 5 s: what starts here is an OS process, which takes a while to come up and to fail

    def __init__(self, count: int) -> None:
        self.intensity = FAILURES * count  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


class Worker(PeerServer):
    """Holds one worker, and connects with it when it is up, so that all of them are connected."""

    async def handle_info(self, message: object) -> None:
        await super().handle_info(message)
        if message is self._peer:
            await connect(self._peer.name)


async def start_link(count: int, **options: Unpack[Options]) -> ServerRef[Workers]:
    """Start so many nodes, named after this one, with a supervisor that is linked with this process.

    Those of `app@localhost` are `app_1@localhost`, `app_2@localhost` and so on; they boot at the same time, and need
    not be up yet when this returns. They are peers, so they never outlive this node; one that goes down is started
    again. Unless told otherwise they have all the time they want to stop in, and a Unix socket.
    """
    if count < 1:
        raise ValueError(f"there has to be at least one worker, not {count!r}")
    node = current_node().name
    if node == UNNAMED_NODE:
        raise ValueError("a node that has no name, and so no connections, can have no workers")
    given = Options(unix="also", capture=False, stop_timeout=math.inf)
    given.update(options)
    supervisor = await _start_link(child(Workers, count).named(NAME))
    for name in _names(node, count):
        spec = child(Worker, name, wait=False, **given).named(name).with_(shutdown="infinity")
        await DynamicSupervisor.start_child(supervisor, spec)
    return supervisor


def _names(node: str, count: int) -> list[str]:
    name, _, host = node.partition("@")
    return [f"{name}_{number}@{host}" for number in range(1, count + 1)]
