"""Calls in place: a plain handler of a server at rest runs where its message is sent, not in the server's own task.

A handler that is no coroutine cannot wait, so nobody can tell in whose task it ran: it sees the server's context, its
crash is the server's, and what it leaves to be done the server does itself. A message is handled in place only if it
would be the next one: the server waits for it, and nothing lies in its mailbox. It spares two turns of the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, copy_context
from inspect import iscoroutinefunction
from types import CoroutineType
from typing import Any, TypeAlias

from ._pure.ids import Pid
from .errors import NoReply
from .handlers import Deferred, Handling, conclude, is_misfit
from .mailbox import NOT_HANDLED
from .messages import Call, Cast, Failure, NotMade
from .runtime import IN_PLACE_MAX, Process

Handler: TypeAlias = Callable[..., Any]
Handlers: TypeAlias = Mapping[str | None, Handler]
"""By method; `None` stands for the OTP form."""
PlainHandlers: TypeAlias = Mapping[type[Call | Cast], Handlers]

_NO_REPLIES = frozenset({CoroutineType, Failure, NoReply, Call})  # what a handler may return and is no reply
_NOTHING = object()


def plain(*handlers: tuple[Handler, Handlers]) -> PlainHandlers | None:
    """The handlers of calls and of casts that are no coroutines, each after the OTP form; `None` if there are none."""
    calls, casts = ({None: otp_form, **by_method} for otp_form, by_method in handlers)
    found = {Call: _plain(calls), Cast: _plain(casts)}
    return found if any(found.values()) else None


def _plain(handlers: Handlers) -> Handlers:
    return {method: handler for method, handler in handlers.items() if not iscoroutinefunction(handler)}


class InPlace(NotMade):
    """What runs the plain handlers of one server while it is at rest."""

    __slots__ = ("_asked", "_context", "_handlers", "_process", "_server", "_unfinished", "_used")

    def __init__(self, process: Process, server: Handling, handlers: PlainHandlers) -> None:
        self._process = process
        self._server = server
        self._handlers = handlers
        self._context: Context  # of the server's task as it came to rest
        self._used = False  # since then
        self._asked: tuple[type[Call | Cast], Pid | None, str | None, tuple[Any, ...], Mapping[str, Any]]
        self._unfinished: tuple[Call | Cast, Coroutine[Any, Any, object]] | None = None

    # -- for who sends

    def handle(
        self,
        kind: type[Call | Cast],
        caller: Pid | None,
        method: str | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> object:
        """Handle a message here and now: the reply, or the `Call` that is to be waited for.

        `NOT_HANDLED` if it has to go through the mailbox.
        """
        process = self._process
        runtime, mailbox = process.runtime, process.mailbox
        handler = self._handlers[kind].get(method)
        if handler is None or runtime.in_place is not None or not runtime.in_place_left:
            return NOT_HANDLED
        runtime.in_place_left -= 1
        runtime.in_place = process
        mailbox.at_rest = None
        self._asked = kind, caller, method, args, kwargs
        process.last_message = self  # made into one if anybody asks for it, which mostly nobody does
        self._used = True
        try:
            if method is None and kind is Call:
                args = (*args, process.in_hand())
            if len(args) == 1 and not kwargs:
                result = self._context.run(handler, self._server, args[0])  # as most are: to unpack them costs more
            else:
                result = self._context.run(handler, self._server, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - a crash is the server's, which raises it in its own task
            result = self._failed(error, handler)
        finally:
            runtime.in_place = None
        if process.last_message is not self or type(result) in _NO_REPLIES or isinstance(result, Deferred):
            return self._conclude(result)  # pyright: ignore[reportUnknownArgumentType]
        process.last_message = None
        if mailbox.waiter is not None:
            mailbox.at_rest = self
        return result

    def make(self) -> Call | Cast:
        kind, caller, method, args, kwargs = self._asked
        if kind is Cast:
            return Cast(method, args, kwargs)
        return Call(caller, self._process.runtime.backend.promise(), method, args, kwargs)

    def _failed(self, error: BaseException, handler: Callable[..., Any]) -> object:
        message = self._process.in_hand()
        assert isinstance(message, Call | Cast), "made here"
        if (
            isinstance(error, TypeError)
            and message.method is not None
            and is_misfit(error, handler, self._server, message.args, message.kwargs)
        ):
            return Failure(error.with_traceback(None))
        return _raised(error)

    def _conclude(self, result: object) -> object:
        process = self._process
        mailbox, message = process.mailbox, process.in_hand()
        assert isinstance(message, Call | Cast), "made here"
        if isinstance(result, CoroutineType):  # a crash, or a coroutine in a plain function: for the server itself
            self._unfinished = message, result
            mailbox.wake()
        else:
            conclude(process, message, result)
            if mailbox.waiter is not None:
                mailbox.at_rest = self
        return message

    # -- for the server

    def rest(self) -> None:
        """The server is about to wait for its mailbox, and has nothing else to do."""
        self._context = copy_context()
        self._process.mailbox.at_rest = self

    async def rise(self) -> None:
        """The server goes on: with what is left in its context, and to be done, by handlers that ran in place."""
        self._process.runtime.in_place_left = IN_PLACE_MAX  # the others have had their turn
        if not self._used:
            return
        self._used = False
        for variable, value in self._context.items():
            if variable.get(_NOTHING) is not value:
                variable.set(value)
        if self._unfinished is not None:
            (message, rest), self._unfinished = self._unfinished, None
            conclude(self._process, message, await rest)

    def close(self) -> None:
        """The server has ended: what is unfinished is not gone on with."""
        if self._unfinished is not None:
            self._unfinished[1].close()


async def _raised(error: BaseException) -> object:
    raise error
