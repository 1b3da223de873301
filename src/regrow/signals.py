"""What one process does to another, as data: the verbs of the carrier between nodes.

Inside a node a signal is a method call; only what leaves the node takes this form. The order of the signals
from one process to another is the order they were made in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import attrs

from ._pure.call_path import Path
from ._pure.ids import Pid, Reference
from .reasons import Reason

Item: TypeAlias = Pid | tuple[str, str]
"""What a monitor watches and a `Down` reports: a pid, or a name on a node."""


def node_of(item: Item) -> str:
    """The node that it is on."""
    return item.node if isinstance(item, Pid) else item[1]


def target_of(item: Item) -> Pid | str:
    """What it is called there."""
    return item if isinstance(item, Pid) else item[0]


@attrs.define  # as good as frozen, and made in a third of the time, of which there is one for each message
class Send:
    """A message to a pid, to a registered name, or to the alias that waits for a reply."""

    sender: Pid
    to: Pid | str | Reference
    message: object


@attrs.frozen
class GiveUp:
    """Nobody waits any more for the reply that would go to this alias, and the time of the request is not up yet."""

    reference: Reference


@attrs.frozen
class Probe:
    """Does a circle of waits close? The last process of the path waits for the process that this goes to."""

    to: Pid | str
    path: Path


@attrs.frozen
class Link:
    """Link both; answered with an exit if `to` is not alive."""

    sender: Pid
    to: Pid


@attrs.frozen
class Unlink:
    """Remove the link; no exit of `to` reaches `sender` after this, whatever is under way."""

    sender: Pid
    to: Pid
    id: int


@attrs.frozen
class UnlinkAck:
    """The other side has removed the link."""

    sender: Pid
    to: Pid
    id: int


@attrs.frozen
class SendExit:
    """An exit signal: through a link as its sender ended, or sent on purpose."""

    sender: Pid
    to: Pid | str
    reason: Reason
    linked: bool


@attrs.frozen
class Monitor:
    """Tell the watcher when `to`, a pid or a registered name, has ended."""

    watcher: Pid
    ref: Reference
    to: Pid | str


@attrs.frozen
class Demonitor:
    """The watcher does not want to know any more."""

    watcher: Pid
    ref: Reference
    to: Pid | str


@attrs.frozen
class SendDown:
    """The answer to a monitor."""

    ref: Reference
    watcher: Pid
    item: Item
    reason: Reason


Signal: TypeAlias = Send | GiveUp | Probe | Link | Unlink | UnlinkAck | SendExit | Monitor | Demonitor | SendDown


class Route(Protocol):
    """The way to other nodes; the net kernel installs itself here."""

    def dispatch(self, node: str, signal: Signal) -> None:
        """Bring the signal to the node, connecting first if need be; never waits.

        What can't be brought is handed to `Runtime.undelivered`. Raises `NotPortable` for what may not leave.
        """
        ...

    def connected(self) -> list[str]:
        """The nodes that are connected, in the order they came."""
        ...


class NoRoute:
    """The route of a node that has no others: every other node is unreachable."""

    def __init__(self, undelivered: Callable[[str, Signal], None]) -> None:
        self._undelivered = undelivered

    def dispatch(self, node: str, signal: Signal) -> None:
        self._undelivered(node, signal)

    def connected(self) -> list[str]:
        return []
