"""What becomes of two processes that have one global name, once their nodes meet.

A resolver is told the name and both pids, the older registration first, and says who keeps the name: one of them, or
`None` for neither. It runs once, on the node of the older, and must not wait. What is to happen to the processes
themselves it does itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ._pure.ids import Pid
from .messages import NameConflict
from .process import send, send_exit
from .reasons import Kill
from .registry import Resolver


def kill_younger(_name: str, older: Pid, younger: Pid) -> Pid:
    """The older keeps the name, and the younger is killed. The default."""
    send_exit(younger, Kill())
    return older


def notify_younger(name: str, older: Pid, younger: Pid) -> Pid:
    """The older keeps the name, and the younger gets a `NameConflict`."""
    send(younger, NameConflict(name, older))
    return older


def notify_both(name: str, older: Pid, younger: Pid) -> None:
    """Neither keeps the name, and both get a `NameConflict`."""
    send(older, NameConflict(name, younger))
    send(younger, NameConflict(name, older))


RESOLVERS: Final[Mapping[str, Resolver]] = {
    f"regrow.{resolver.__name__}": resolver for resolver in (kill_younger, notify_younger, notify_both)
}
"""These, by the names under which they travel with the registration of a process of another node."""
