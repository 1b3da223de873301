"""What every behaviour does with system messages: the part of a process's loop that is the same for all of them.

A loop hands what it takes out of the mailbox to `handle_system` if it is a `SystemRequest`; `serve` is such a loop.
While a process is suspended it stays in there, so a process that is not pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeAlias, TypeGuard, assert_never, cast

import attrs

from .debug import Debug
from .errors import CallbackFailed, Stop
from .handlers import finish, tell
from .messages import Exit, Failure, From, opened
from .process import receive
from .reasons import Reason, as_reason
from .runtime import Process
from .status import attributes_of, isolated, replace_attributes
from .system_words import (
    ChangeCode,
    Count,
    GetStatus,
    In,
    Install,
    Log,
    NoDebug,
    Remove,
    ReplaceState,
    Resume,
    Status,
    Suspend,
    SystemRequest,
    Terminate,
    Trace,
)

Handle: TypeAlias = Callable[[object], Awaitable[None]]


async def serve(process: Process, handle: Handle) -> NoReturn:
    """Handle messages until something is raised."""
    mailbox = process.mailbox
    while True:
        while not mailbox.queue:
            await mailbox.wait()
        message = opened(mailbox.queue.popleft())
        if type(message) is SystemRequest:
            await handle_system(process, message)
            continue
        if isinstance(message, From):
            message.keep_in(process.requests)
        tell(process, In(message))
        await handle(message)


# -- system messages


async def handle_system(process: Process, request: SystemRequest) -> None:
    """Carry out a system message. Returns when the process is to go on: after `Resume`, if it was suspended.

    Raises `Stop` if the process is to end.
    """
    request.keep_in(process.requests)
    await _carry_out(process, request)

    def concerns_suspended(message: object) -> TypeGuard[SystemRequest | Exit]:
        return type(message) is SystemRequest or (isinstance(message, Exit) and message.pid == process.parent)

    while process.suspended:
        match await receive(concerns_suspended):
            case SystemRequest() as next_request:
                await _carry_out(process, next_request)
            case Exit(_, reason):
                obey_parent(process, reason)


def obey_parent(process: Process, reason: Reason) -> NoReturn:
    """The parent of a process that traps exits has ended, or says that it is to end."""
    process.inherited = reason
    raise Stop(reason)


async def _carry_out(process: Process, request: SystemRequest) -> None:
    try:
        request.answer(await _result(process, request))
    except CallbackFailed as failed:
        request.answer(Failure(failed))


async def _result(process: Process, request: SystemRequest) -> object:
    match request.operation:
        case Terminate(reason):
            process.last_message = request
            raise Stop(reason)  # the answer is that it has ended
        case Suspend():
            process.suspended = True
        case Resume():
            process.suspended = False
        case GetStatus(as_seen):
            return _isolated(process.seen() if as_seen else process.status())
        case ReplaceState(function):
            await _replace_state(process.server, function)
            return _isolated(process.status())
        case ChangeCode(old_version, extra):
            await _change_code(process.server, old_version, extra)
        case NoDebug():
            process.debug = None
        case (Trace() | Log() | Count() | Install() | Remove()) as operation:
            debug = process.debug or Debug(process.label, process.pid)
            debug.change(operation, process.runtime.clock.now())
            process.debug = debug if debug.watchers else None
        case _:
            assert_never(request.operation)
    return None


def _isolated(status: Status) -> Status:
    return attrs.evolve(status, state=isolated(dict(status.state)))


async def _replace_state(server: object, function: Callable[[dict[str, Any]], object]) -> None:
    try:
        new = await finish(function(isolated(attributes_of(server))))
        if not isinstance(new, Mapping):
            raise TypeError(f"the new state must be the attributes by name, not {type(new).__name__}")
        replace_attributes(server, cast("Mapping[str, object]", new))
    except Exception as error:
        raise CallbackFailed(as_reason(error)) from error


async def _change_code(server: Any, old_version: object, extra: object) -> None:
    before = isolated(attributes_of(server))
    try:
        await finish(server.code_change(old_version, extra))
    except Exception as error:
        replace_attributes(server, before)
        raise CallbackFailed(as_reason(error)) from error
