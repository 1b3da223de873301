"""Any behaviour from outside, without its callbacks being asked: look at it, hold it, watch it. OTP's `sys`.

Used with its module: `from regrow import sys`, then `await sys.get_state(ref)`. Each verb takes any address, also one
on another node, and raises as a call does: `NoProcess`, `CallTimeout`, `ServerExited`, `CallingSelf`. A process answers
between two messages, in the order of its mailbox; one that is stuck in a callback does not. What timed out is still
carried out when its turn comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .calls import CALL_TIMEOUT_S, stop, system_request
from .handlers import tell
from .reasons import Reason
from .refs import Dest
from .runtime import this_process
from .system import handle_system
from .system_words import (
    ChangeCode,
    Count,
    Event,
    GetStatus,
    In,
    Install,
    Log,
    NoDebug,
    Out,
    Remove,
    ReplaceState,
    Resume,
    Statistics,
    Status,
    Suspend,
    SystemRequest,
    Trace,
)

# -- looking


async def get_state(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> dict[str, Any]:
    """The attributes of the object behind a process, by name.

    Lists, dicts and other containers are copies, however deep; objects of other classes are the server's own. From
    another node comes what is portable, and what anything else prints as.
    """
    status: Status = await system_request(dest, GetStatus(formatted=False), timeout)
    return dict(status.state)


async def replace_state(
    dest: Dest,
    fn: Callable[[dict[str, Any]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]],
    timeout: float | None = CALL_TIMEOUT_S,
) -> dict[str, Any]:
    """Give the object the attributes that `fn` makes of those it has, and no others; they are returned.

    `fn` runs in the process, on a copy as `get_state` gives it: `lambda state: state | {"limit": 10}`. If it fails,
    or returns what the object cannot have, `CallbackFailed` is raised and the state is what it was. For a process on
    another node it has to be portable.
    """
    status: Status = await system_request(dest, ReplaceState(fn), timeout)
    return dict(status.state)


async def get_status(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> Status:
    """What is to be seen of a process: who it is, whether it is suspended, who watches, and its state.

    The object's `format_status` decides, so that secrets stay out.
    """
    status: Status = await system_request(dest, GetStatus(formatted=True), timeout)
    return status


# -- holding and ending


async def suspend(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Have the process handle no messages until it is resumed; they queue. Twice is the same as once.

    It still answers system messages and obeys the end of its parent.
    """
    await system_request(dest, Suspend(), timeout)


async def resume(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Have the process go on, with what has come meanwhile. One that is not suspended goes on anyway."""
    await system_request(dest, Resume(), timeout)


async def terminate(dest: Dest, reason: Reason | None = None, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Stop the process in order, also while it is suspended, and wait until it is gone. `stop`, with OTP's timeout."""
    await stop(dest, reason, timeout)


async def change_code(
    dest: Dest, old_version: object, extra: object = None, timeout: float | None = CALL_TIMEOUT_S
) -> None:
    """Have the object turn its state into that of a new version: `code_change(old_version, extra)` runs.

    A supervisor reads its flags and its children anew. Raises `CallbackFailed` if that fails, or if the class has no
    `code_change`; the state is then what it was.
    """
    await system_request(dest, ChangeCode(old_version, extra), timeout)


# -- watching


async def trace(dest: Dest, on: bool = True, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Write a line to the logger `regrow.trace`, at INFO, for each message that comes and each reply that goes."""
    await system_request(dest, Trace(on), timeout)


async def log(dest: Dest, keep: int = 10, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Keep the last so many events, for `get_log` and crash reports; 0 ends it.

    Raises `ValueError` for less than that, and for more than a million.
    """
    await system_request(dest, Log(keep), timeout)


async def get_log(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> list[Event]:
    """The events that were kept, the oldest first."""
    status: Status = await system_request(dest, GetStatus(formatted=False), timeout)
    return list(status.log)


async def statistics(dest: Dest, on: bool = True, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Count messages that come and replies that go, from now on; what was being counted goes on."""
    await system_request(dest, Count(on), timeout)


async def get_statistics(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> Statistics | None:
    """What was counted; `None` if nothing is."""
    status: Status = await system_request(dest, GetStatus(formatted=False), timeout)
    return status.statistics


async def install(
    dest: Dest,
    fn: Callable[[Any, Event, dict[str, Any]], object],
    id: str | None = None,
    *,
    state: object = None,
    timeout: float | None = CALL_TIMEOUT_S,
) -> None:
    """Have `fn(state, event, attributes)` called for each event, in the process; what it returns is its next state.

    The same function, or another with the same id, is not installed twice; one that raises is removed.
    """
    await system_request(dest, Install(fn, id, state), timeout)


async def remove(dest: Dest, fn_or_id: Callable[..., object] | str, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Remove what was installed: by its id if it was given one, else by the function."""
    await system_request(dest, Remove(fn_or_id), timeout)


async def no_debug(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """End the trace, the log and the count, and remove all that was installed."""
    await system_request(dest, NoDebug(), timeout)


# -- a loop of one's own


async def handle_system_message(request: SystemRequest, server: object = None) -> None:
    """Answer a `SystemRequest` that this process received, for one that is no behaviour and has a loop of its own.

    `server` is the object whose attributes are its state; it may have `format_status` and `code_change`. Returns when
    the process is to go on, so only after it was resumed if this suspended it. Raises `Stop` where it is to end.
    """
    me = this_process("handle_system_message")
    me.server = server
    await handle_system(me, request)


def handle_debug(event: Event) -> None:
    """Tell those who watch this process of an event; for a loop of one's own."""
    tell(this_process("handle_debug"), event)


__all__ = [
    "Event",
    "In",
    "Out",
    "Statistics",
    "Status",
    "SystemRequest",
    "change_code",
    "get_log",
    "get_state",
    "get_statistics",
    "get_status",
    "handle_debug",
    "handle_system_message",
    "install",
    "log",
    "no_debug",
    "remove",
    "replace_state",
    "resume",
    "statistics",
    "suspend",
    "terminate",
    "trace",
]
