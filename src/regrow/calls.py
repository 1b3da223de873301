"""Calls, casts and the order to stop: how requests reach a server and its replies their caller. OTP's `gen`."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable
from types import FunctionType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from .errors import CallTimeout, NoProcess, ServerExited
from .gen import request
from .mailbox import NOT_HANDLED
from .many_nodes import Replies, ask_nodes, node_names
from .messages import CAST, NO_KWARGS, Call, Cast, Delivery
from .reasons import Normal, Reason, as_reason
from .refs import Behaviour, Dest, Name, Server, ServerRef, deliver, runtime_for
from .runtime import Process, current, here
from .sent_requests import SentRequest, send_request
from .system_words import Operation, SystemRequest, Terminate

P = ParamSpec("P")
R = TypeVar("R")
S_contra = TypeVar("S_contra", bound=Behaviour, contravariant=True)

CALL_TIMEOUT_S = 5.0  # what a call waits unless it or its class says otherwise, as in OTP


async def gen_call(dest: Dest, request_: object, timeout: float | None = CALL_TIMEOUT_S) -> Any:
    """Call a server in the OTP form: its `handle_call` gets the request. Untyped. OTP's `gen_server:call`.

    Raises `CallTimeout`, `NoProcess`, `CallingSelf` or `ServerExited`, all of them `CallError`.
    """
    return await request(dest, None, (request_,), NO_KWARGS, timeout)


def gen_send_request(dest: Dest, request_: object) -> SentRequest[Any]:
    """Send a request in the OTP form and return at once. OTP's `gen_server:send_request`.

    Never fails, but for what may not leave this node (`NotPortable`): what goes wrong is said where it is waited for.
    """
    return send_request(dest, None, (request_,), NO_KWARGS)


def gen_cast(dest: Dest, request_: object) -> None:
    """Cast in the OTP form: the server's `handle_cast` gets the request. Never waits, never fails."""
    _otp_cast(dest, request_)


async def multi_call(
    nodes: Iterable[str] | None, name: str, request_: object, timeout: float | None = CALL_TIMEOUT_S
) -> Replies[Any]:
    """Call the servers of that name on these nodes, or on this one and all that are connected, in the OTP form.

    Gives `(replies, bad_nodes)` when all have answered or the time, one for all, is up. A node is bad where there is no
    such server, where it ended or failed the reply, and where no answer came. Raises `TypeError` and `ValueError` for
    what are no names of nodes. OTP's `gen_server:multi_call`.
    """
    return await ask_nodes(nodes, name, None, (request_,), NO_KWARGS, timeout)


def abcast(nodes: Iterable[str] | None, name: str, request_: object) -> None:
    """Cast to the servers of that name on these nodes, or on this one and all that are connected, in the OTP form.

    Never waits; nodes without such a server, and nodes that cannot be reached, are no error. OTP's `gen_server:abcast`.
    """
    for node in node_names(here().runtime, nodes):
        gen_cast((name, node), request_)


def time_left() -> float | None:
    """Seconds until the caller of the request in hand gives up, 0.0 if that is past: a timeout for calls of one's own.

    `None` if it waits for ever, or if no request is in hand.
    """
    me = current.get(None)
    in_hand = me.in_hand() if isinstance(me, Process) else None
    if me is None or not isinstance(in_hand, Call) or math.isinf(in_hand.deadline):
        return None
    return max(0.0, in_hand.deadline - me.runtime.clock.now())


class BoundCall(Generic[S_contra, P, R]):
    """A `@call` handler seen from outside: called with a reference and the handler's arguments."""

    def __init__(self, method: str, timeout_s: float | None, doc: str | None) -> None:
        self._method = method
        self._timeout_s = timeout_s
        self.__doc__ = doc

    def __call__(self, ref: Server[S_contra], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Send the request and wait for the reply. Raises `CallError`, or what the server failed the reply with."""
        return request(ref, self._method, args, kwargs, self._timeout_s)

    def send_request(self, ref: Server[S_contra], /, *args: P.args, **kwargs: P.kwargs) -> SentRequest[R]:
        """Send the request and return at once; its reply can be waited for later, with a timeout, or given up."""
        return send_request(ref, self._method, args, kwargs)

    def multi_call(
        self, nodes: Iterable[str] | None, name: Name[S_contra], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, Replies[R]]:
        """Call the servers of that name on these nodes, or on this one and all that are connected; as `multi_call`."""
        return ask_nodes(nodes, name.name, self._method, args, kwargs, self._limit_s())

    def with_timeout(self, seconds: float | None) -> BoundCall[S_contra, P, R]:
        """The same call with another time to wait for the reply; `None` waits for ever."""
        return type(self)(self._method, seconds, self.__doc__)

    def within_deadline(self) -> BoundCall[S_contra, P, R]:
        """The same call, which besides waits no longer than the caller of the request in hand does.

        Where that caller's time is up, nothing is sent and `CallTimeout` is raised. Where no request is in hand, or
        its caller waits for ever, this is the call as it was.
        """
        return CallWithinDeadline(self._method, self._timeout_s, self.__doc__)

    def _limit_s(self) -> float | None:
        return self._timeout_s


class CallWithinDeadline(BoundCall[S_contra, P, R]):
    """A call by a server that has something left of its own caller's time, and no more."""

    def __call__(self, ref: Server[S_contra], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return request(ref, self._method, args, kwargs, self._limit_s())

    def _limit_s(self) -> float | None:
        left_s = time_left()
        if left_s == 0.0:
            raise CallTimeout(self._method, left_s)
        return min((each for each in (self._timeout_s, left_s) if each is not None), default=None)


class BoundCast(Protocol[S_contra, P]):
    """A `@cast` handler seen from outside: called with a reference and the handler's arguments."""

    def __call__(self, ref: Server[S_contra], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Send the request. Never waits, never fails."""
        ...

    def abcast(self, nodes: Iterable[str] | None, name: Name[S_contra], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Cast to the servers of that name on these nodes, or on this one and all that are connected; as `abcast`."""
        ...


# -- what stands in a class for its handlers


def call_function(
    method: str, timeout_s: float | None, handler: Callable[..., Any], owner: type[object]
) -> FunctionType:
    """A `BoundCall` that is the plain method as well, if it is called on an object of the class."""

    def called(ref: Any, /, *args: Any, **kwargs: Any) -> Any:
        if type(ref) is ServerRef or not isinstance(ref, owner):
            return request(ref, method, args, kwargs, timeout_s)  # pyright: ignore[reportUnknownArgumentType]
        return handler(ref, *args, **kwargs)

    bound = BoundCall[Any, Any, Any](method, timeout_s, handler.__doc__)
    for verb in (bound.send_request, bound.multi_call, bound.with_timeout, bound.within_deadline):
        setattr(called, verb.__name__, verb)
    return cast("FunctionType", called)


def cast_function(method: str | None, handler: Callable[..., Any], owner: type[object]) -> FunctionType:
    """A `BoundCast` that is the plain method as well, if it is called on an object of the class."""

    def told(ref: Any, /, *args: Any, **kwargs: Any) -> Any:
        if type(ref) is ServerRef and ref.mailbox is not None:  # mostly it is: the way there without a detour
            at_rest = ref.mailbox.at_rest
            if at_rest is None or at_rest.handle(Cast, None, method, args, kwargs) is NOT_HANDLED:
                ref.mailbox.post((CAST, method, args, kwargs or NO_KWARGS))
            return None
        if isinstance(ref, owner):
            return handler(ref, *args, **kwargs)
        to: Dest = ref  # pyright: ignore[reportUnknownVariableType]
        runtime = runtime_for(to)
        try:  # not `suppress`, which takes a tenth of what a cast to another node takes here
            deliver(runtime, runtime.sender(), to, Cast(method, args, kwargs))
        except NoProcess:
            return None
        return None

    def abcast(nodes: Iterable[str] | None, name: Name[Any], /, *args: Any, **kwargs: Any) -> None:
        for node in node_names(here().runtime, nodes):
            told(name.at(node), *args, **kwargs)

    setattr(told, abcast.__name__, abcast)
    return cast("FunctionType", told)


class _NoClass:
    """What the OTP form belongs to."""


_otp_cast: Any = cast_function(None, lambda: None, _NoClass)


async def send_wait(dest: Dest, message: object, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Send a message and return when it is in the mailbox, on whichever node that is; from there no bound drops it.

    To a full mailbox it fails at once with `MailboxFull`, or waits for room, as its bound says. Raises `CallTimeout`
    when the time is up before, `NoProcess`, `ServerExited` if the process ends meanwhile, and `CallingSelf`; all are
    `CallError`. The message may not leave this node: `NotPortable`.
    """
    await request(dest, "send_wait", (message,), NO_KWARGS, timeout, Delivery)


# -- system messages


async def system_request(dest: Dest, operation: Operation, timeout_s: float | None) -> Any:
    """Send a system message and wait for its answer; raises as a call does."""
    return await request(dest, "sys", (operation,), NO_KWARGS, timeout_s, SystemRequest)


async def stop(dest: Dest, reason: Reason | None = None, timeout: float | None = None) -> None:
    """Stop a server or supervisor in order, and wait until it is gone.

    `terminate` runs with the reason, `Normal` by default. Raises `CallTimeout` if it took longer than
    `timeout` seconds (it still stops when it gets to it), `NoProcess` if there is none, `CallingSelf`, and
    `ServerExited` if it ended with another reason.
    """
    reason = Normal() if reason is None else as_reason(reason)
    ended = await system_request(dest, Terminate(reason), timeout)
    if ended != reason:
        raise ServerExited(cast(Reason, ended), str(dest))
