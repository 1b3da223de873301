"""Methods as requests: `@call`, `@cast`, and how a server runs what they mark."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import update_wrapper
from types import CoroutineType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

from .calls import CALL_TIMEOUT_S, BoundCall, BoundCast, call_function, cast_function
from .errors import NO_REPLY, UnknownRequest, short
from .messages import Call, Cast, Failure, From
from .refs import Behaviour
from .runtime import Process
from .status import attributes_of
from .system_words import Event, Out

P = ParamSpec("P")
R = TypeVar("R")
L = TypeVar("L")
L_co = TypeVar("L_co", covariant=True)
S = TypeVar("S", bound=Behaviour)


class Deferred(Generic[R]):
    """A reply that comes later: return it from a `@call` handler, and `set` it from any process of the node.

    The first `set` or `fail` counts. If the server ends before, the caller gets `ServerExited`. Returned to
    several callers, it answers them all.
    """

    __slots__ = ("_look_again_at", "_outcome", "_requests")

    def __init__(self) -> None:
        self._outcome: object = NO_REPLY
        self._requests: list[From] = []
        self._look_again_at = 16

    def set(self, value: R) -> None:
        """Give the caller its reply."""
        self._settle(value)

    def fail(self, error: Exception) -> None:
        """Let the caller's call raise `error`. Raises `TypeError` if it is no exception of the ordinary kind."""
        if not isinstance(error, Exception):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a reply fails with an exception, not with {error!r}")
        self._settle(Failure(error))

    def attach(self, request: From) -> None:
        """The handler returned it: from now on its outcome is this request's reply."""
        if self._outcome is not NO_REPLY:
            request.answer(self._outcome)
            return
        if len(self._requests) >= self._look_again_at:  # callers that gave up must not pile up
            self._requests = [waiting for waiting in self._requests if waiting.is_open]
            self._look_again_at = 16 + 2 * len(self._requests)
        self._requests.append(request)

    def _settle(self, outcome: object) -> None:
        if self._outcome is NO_REPLY:
            self._outcome = outcome
            requests, self._requests = self._requests, []
            for request in requests:
                request.answer(outcome)


class CallHandler(Generic[P, L_co]):
    """What `@call` makes of a method: on the class a typed call, on the object the plain method.

    In the class a function takes its place, which is both. No other kind of attribute is reached as fast, and each
    request would pay for that.
    """

    def __init__(self, handler: Callable[Concatenate[Any, P], L_co], timeout_s: float | None) -> None:
        self._handler = handler
        self._timeout_s = timeout_s

    def __set_name__(self, owner: type[object], name: str) -> None:
        function = call_function(name, self._timeout_s, self._handler, owner)
        setattr(owner, name, _in_place_of(self._handler, function, CallHandler))

    if TYPE_CHECKING:

        @overload
        def __get__(  # pyright: ignore[reportOverlappingOverload]
            self: CallHandler[P, Coroutine[Any, Any, Deferred[R]]], instance: None, owner: type[S]
        ) -> BoundCall[S, P, R]: ...
        @overload
        def __get__(  # pyright: ignore[reportOverlappingOverload]
            self: CallHandler[P, Coroutine[Any, Any, R | Deferred[R]]], instance: None, owner: type[S]
        ) -> BoundCall[S, P, R]: ...
        @overload
        def __get__(self: CallHandler[P, Deferred[R]], instance: None, owner: type[S]) -> BoundCall[S, P, R]: ...
        @overload
        def __get__(self: CallHandler[P, R | Deferred[R]], instance: None, owner: type[S]) -> BoundCall[S, P, R]: ...
        @overload
        def __get__(self, instance: Behaviour, owner: type[S]) -> Callable[P, L_co]: ...
        def __get__(self, instance: Behaviour | None, owner: type[Any]) -> Any: ...


class CastHandler(Generic[P, L]):
    """What `@cast` makes of a method: on the class a typed cast, on the object the plain method."""

    def __init__(self, handler: Callable[Concatenate[Any, P], L]) -> None:
        self._handler = handler

    def __set_name__(self, owner: type[object], name: str) -> None:
        function = cast_function(name, self._handler, owner)
        setattr(owner, name, _in_place_of(self._handler, function, CastHandler))

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type[S]) -> BoundCast[S, P]: ...
        @overload
        def __get__(self, instance: Behaviour, owner: type[S]) -> Callable[P, L]: ...
        def __get__(self, instance: Behaviour | None, owner: type[Any]) -> Any: ...


class CallDecorator:
    """`@call(timeout=...)`."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s

    def __call__(self, handler: Callable[Concatenate[Any, P], L], /) -> CallHandler[P, L]:
        return CallHandler(handler, self._timeout_s)


@overload
def call(handler: Callable[Concatenate[Any, P], L], /) -> CallHandler[P, L]: ...
@overload
def call(*, timeout: float | None) -> CallDecorator: ...
def call(handler: Any = None, /, *, timeout: float | None = CALL_TIMEOUT_S) -> Any:
    """Make a method a call: `await Counter.add(ref, 3)` runs it in the server and brings its return value.

    Callers wait 5 s by default; `@call(timeout=...)` changes that for the method, `None` is for ever.
    Return a `Deferred` to reply later. An exception in the handler is a crash of the server.
    """
    return CallDecorator(timeout) if handler is None else CallHandler(handler, timeout)


@overload
def cast(
    handler: Callable[Concatenate[Any, P], Coroutine[Any, Any, None]], /
) -> CastHandler[P, Coroutine[Any, Any, None]]: ...
@overload
def cast(handler: Callable[Concatenate[Any, P], None], /) -> CastHandler[P, None]: ...
def cast(handler: Any, /) -> Any:
    """Make a method a cast: `Counter.reset(ref)` sends the request and does not wait; it never fails."""
    return CastHandler(handler)


class Handling(Behaviour):
    """A behaviour whose methods may be marked as calls and casts."""

    call_handlers: ClassVar[Mapping[str | None, Callable[..., Any]]] = {}
    """By method; messages of the OTP form have none."""
    cast_handlers: ClassVar[Mapping[str | None, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.call_handlers = _marked(cls, CallHandler)
        cls.cast_handlers = _marked(cls, CastHandler)


MARK = "regrow_mark"  # borne by a function that is there for a marked method: by what that was marked


def _in_place_of(handler: Callable[..., Any], function: FunctionType, mark: type[object]) -> FunctionType:
    """The function, in the handler's place in its class, and looking like it.

    attrs makes slotted classes anew, and then mends what methods know of their class, which is in their cells: so the
    function shares that of a handler that uses `super()`.
    """
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if isinstance(handler, FunctionType) and "__class__" in handler.__code__.co_freevars:
        cells["owner"] = (handler.__closure__ or ())[handler.__code__.co_freevars.index("__class__")]
    placed = FunctionType(function.__code__, function.__globals__, closure=(*cells.values(),))
    setattr(placed, MARK, mark)
    vars(placed).update(vars(function))
    update_wrapper(placed, handler)
    return placed


def _marked(
    cls: type[object], mark: type[CallHandler[Any, Any]] | type[CastHandler[Any, Any]]
) -> dict[str | None, Callable[..., Any]]:
    """The handlers of a class by name: whatever is marked somewhere in its ancestry, as overridden last."""
    names = {name for base in cls.__mro__ for name, value in vars(base).items() if getattr(value, MARK, None) is mark}
    found = {name: next(vars(base)[name] for base in cls.__mro__ if name in vars(base)) for name in sorted(names)}
    return {name: value.__wrapped__ if hasattr(value, MARK) else value for name, value in found.items()}


async def run_call(process: Process, server: Handling, message: Call, refusals: tuple[type[Exception], ...]) -> None:
    """Run the marked handler of a call and answer its caller. An error among `refusals` is the answer.

    A request that does not fit (no such method, wrong arguments) is the caller's mistake: it is answered with
    the error and does not harm the server.
    """
    handler = server.call_handlers.get(message.method or "")
    if handler is None:
        result: Any = no_handler(server, message)
    else:
        try:
            result = await finish(handler(server, *message.args, **message.kwargs))
        except refusals as refusal:
            result = Failure(refusal)
        except TypeError as error:
            if not is_misfit(error, handler, server, message.args, message.kwargs):
                raise
            result = Failure(error.with_traceback(None))
    give_answer(process, message, result)


def no_handler(server: Handling, message: Call | Cast) -> Failure:
    """What comes of a request for which the server has no handler."""
    return Failure(UnknownRequest(type(server).__name__, message))


def conclude(process: Process, message: Call | Cast, result: object) -> None:
    """A handler has run: answer its caller; of a cast that did not fit nobody but the log hears."""
    if isinstance(message, Call):
        give_answer(process, message, result)
    elif type(result) is Failure:
        why, reports = result.error, process.runtime.reports
        reports.warning(lambda: f"{process!r} dropped {short(message, 500)}: {why}", pid=process.pid)


def give_answer(process: Process, request: From, result: object) -> None:
    """Give the caller what its handler returned, now or when the handler's `Deferred` is set."""
    if isinstance(result, Deferred):
        request.keep_in(process.requests, put_off=True)
        result.attach(request)  # pyright: ignore[reportUnknownMemberType]
    elif result is NO_REPLY:
        request.keep_in(process.requests, put_off=True)
    else:
        if process.debug is not None:
            tell(process, Out(result, request.caller))
        request.answer(result)


def tell(process: Process, event: Event) -> None:
    """Tell those who watch the process, if anybody does."""
    if process.debug is not None:
        process.debug.note(event, lambda: attributes_of(process.server))


async def finish(result: Any) -> Any:
    """What a callback returned, which may be a plain function's value or a coroutine."""
    if type(result) is CoroutineType:
        return await result  # pyright: ignore[reportUnknownVariableType]
    return result  # pyright: ignore[reportUnknownVariableType]


def is_misfit(
    error: TypeError, handler: Callable[..., Any], server: Handling, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Whether the error says that the arguments do not fit the handler, and does not come from within it.

    A decorated handler takes whatever comes and fails further inside: there the signature it shows decides.
    """
    trace = error.__traceback__
    if trace is not None and trace.tb_next is None:
        return True  # raised where we call it: the handler never ran
    try:
        inspect.signature(handler).bind(server, *args, **kwargs)
    except TypeError:
        return True
    except ValueError:
        return False  # it shows none
    return False
