"""What every behaviour does with system messages: the part of a process's loop that is the same for all of them.

A loop hands what it takes out of the mailbox to `handle_system` if it is a `SystemRequest`; `serve` is such a loop.
While a process is suspended it stays in there, so a process that is not pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeAlias, TypeGuard, assert_never

from .errors import Stop
from .messages import Exit
from .process import receive
from .reasons import Reason
from .runtime import Process
from .system_words import Resume, Suspend, SystemRequest, Terminate

Handle: TypeAlias = Callable[[object], Awaitable[None]]


async def serve(process: Process, handle: Handle) -> NoReturn:
    """Handle messages until something is raised."""
    mailbox = process.mailbox
    while True:
        while not mailbox.queue:
            await mailbox.wait()
        message = mailbox.queue.popleft()
        if type(message) is SystemRequest:
            await handle_system(process, message)
        else:
            await handle(message)


async def handle_system(process: Process, request: SystemRequest) -> None:
    """Carry out a system message. Returns when the process is to go on: after `Resume`, if it was suspended.

    Raises `Stop` if the process is to end.
    """
    _carry_out(process, request)

    def concerns_suspended(message: object) -> TypeGuard[SystemRequest | Exit]:
        return type(message) is SystemRequest or (isinstance(message, Exit) and message.pid == process.parent)

    while process.suspended:
        match await receive(concerns_suspended):
            case SystemRequest() as next_request:
                _carry_out(process, next_request)
            case Exit(_, reason):
                obey_parent(process, reason)


def obey_parent(process: Process, reason: Reason) -> NoReturn:
    """The parent of a process that traps exits has ended, or says that it is to end."""
    process.inherited = reason
    raise Stop(reason)


def _carry_out(process: Process, request: SystemRequest) -> None:
    if isinstance(request.operation, Terminate):
        process.last_message = request
        raise Stop(request.operation.reason)  # answered when it has ended
    request.answer(_result(process, request.operation))


def _result(process: Process, operation: Suspend | Resume) -> object:
    match operation:
        case Suspend():
            process.suspended = True
        case Resume():
            process.suspended = False
        case _:
            assert_never(operation)
    return None
