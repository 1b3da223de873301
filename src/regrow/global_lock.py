"""Locks on resources that several nodes share: `from regrow import global_lock`. OTP's `global:set_lock` and kin.

A lock is held by a process, on some nodes: by default its own and all that are connected. Two who name the same
requester share it. It is free again when the process frees it, ends, or is lost with its node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from ._pure.ids import Pid
from ._pure.locks import Lock
from .many_nodes import node_names
from .node import current_node
from .registry import check_name
from .runtime import Process, this_process

T = TypeVar("T")


class Aborted(Exception):
    """The lock of a transaction could not be had."""

    def __init__(self, resource: str) -> None:
        super().__init__(f"{resource!r} is locked by others")


async def set_lock(
    resource: str,
    requester: str | Pid | None = None,
    *,
    nodes: Iterable[str] | None = None,
    retries: int | None = None,
) -> bool:
    """Lock a resource on some nodes; whether this process has it now.

    If others have it, it is tried again `retries` times, or for ever, after pauses that grow to a second. The
    requester is this process, if none is named. Set twice, it has to be freed twice. A node that cannot be reached
    is left out. Raises `NotAProcess`, and what names the nonsense it was given.
    """
    me = this_process("set_lock")
    lock = _lock(me, resource, requester)
    if retries is not None and (type(retries) is not int or retries < 0):
        raise ValueError(f"retries are a number from 0 up, or None for ever, not {retries!r}")
    return await current_node().locks.set_lock(me, lock, node_names(me.runtime, nodes), retries)


async def del_lock(resource: str, requester: str | Pid | None = None) -> bool:
    """Free a lock on all nodes it was set on, once; whether this process had it. Others can have it on return."""
    me = this_process("del_lock")
    return await current_node().locks.del_lock(me, _lock(me, resource, requester))


async def trans(
    resource: str,
    action: Callable[[], Awaitable[T]],
    requester: str | Pid | None = None,
    *,
    nodes: Iterable[str] | None = None,
    retries: int | None = None,
) -> T:
    """Do something while the resource is locked; what came of it. Raises `Aborted` if the lock could not be had.

    Arguments as for `set_lock`. However the action ends, the lock is freed.
    """
    if not await set_lock(resource, requester, nodes=nodes, retries=retries):
        raise Aborted(resource)
    me = this_process("trans")
    try:
        return await action()
    finally:
        current_node().locks.drop_lock(me, _lock(me, resource, requester))


def _lock(process: Process, resource: str, requester: str | Pid | None) -> Lock:
    check_name(resource)
    if not isinstance(requester, str | Pid | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a requester is a string or a pid, not {requester!r}")
    return Lock(resource, process.pid if requester is None else requester)
