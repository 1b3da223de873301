"""Names that a whole cluster knows: `from regrow import global_name`. OTP's `global`.

A name belongs to the node its process lives on, and goes with the process, or with its node, before anybody hears
of that. Nodes that connect tell each other what they have. If both had a name, a resolver says who keeps it:
`kill_younger`, the default, `notify_younger`, `notify_both`, or a function of your own.

`Global(name, cls)` is such a name as an address, and for `child(...).named(...)`.
"""

from __future__ import annotations

from typing import Any

from ._pure.ids import Pid
from .clashes import kill_younger as kill_younger
from .clashes import notify_both as notify_both
from .clashes import notify_younger as notify_younger
from .errors import NoProcess
from .global_name_server import GlobalNameServer
from .naming import Global as Global
from .node import current_node
from .process import send as _send
from .refs import ServerRef
from .registry import Resolver as Resolver
from .registry import check_name


def _server() -> GlobalNameServer:
    return current_node().global_names


async def register(
    name: str, pid_or_ref: Pid | ServerRef[Any], *, resolve: Resolver | None = None, several: bool = False
) -> bool:
    """Give the name to a process of any node; whether it has it now.

    When this returns `True`, every node that is connected with the one of the process knows it. Of several that ask
    at the same time one gets the name. `False` if somebody has it or is about to, or if the process has another
    global name, unless `several` allows that. A node that falls silent is waited for as long as it is connected.
    Given up by its caller, it is undone, if the process is of this node.

    `resolve` decides when nodes meet that both have the name; see `regrow.clashes`. For a process of another node it
    has to be portable. Raises `ValueError` for no name, `NoProcess` for a dead process of this node.
    """
    return await _register(name, pid_or_ref, resolve, several=several, replace=False)


async def re_register(
    name: str, pid_or_ref: Pid | ServerRef[Any], *, resolve: Resolver | None = None, several: bool = False
) -> bool:
    """Give the name to the process, in place of whoever has it; otherwise as `register`.

    At no moment is the name free. Who had it before is not told. `False` only if the process is dead or has another
    global name.
    """
    return await _register(name, pid_or_ref, resolve, several=several, replace=True)


async def _register(
    name: str, pid_or_ref: Pid | ServerRef[Any], resolve: Resolver | None, *, several: bool, replace: bool
) -> bool:
    server, runtime = _server(), current_node().runtime
    check_name(name)
    pid = pid_or_ref.pid if isinstance(pid_or_ref, ServerRef) else pid_or_ref
    if not isinstance(pid, Pid):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{pid!r} is no process")
    if pid.node == runtime.node_name and pid not in runtime.processes:
        raise NoProcess(pid)
    return await server.register(name, pid, resolve, several=several, replace=replace) == pid


async def unregister(name: str) -> bool:
    """Free the name; whether anybody had it. When this returns every connected node knows.

    A name that is free on one side of a split does not come back when the other side is met again.
    """
    check_name(name)
    return await _server().unregister(name)


def whereis(name: str) -> Pid | None:
    """The process that has the name, as far as this node knows."""
    check_name(name)
    return _server().whereis(name)


def registered() -> list[str]:
    """All names that somebody has, as far as this node knows."""
    return _server().names()


def send(name: str, message: object) -> Pid:
    """Send a message to who has the name; the pid. Raises `NoProcess` if nobody has."""
    pid = whereis(name)
    if pid is None:
        raise NoProcess(name)
    _send(pid, message)
    return pid


async def sync() -> None:
    """Return when this node is connected with all whom the connected ones know, and has heard of their names."""
    await _server().sync()
