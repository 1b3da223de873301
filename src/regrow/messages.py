"""What is delivered to processes, and the envelopes that carry requests between them."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import Any, ClassVar, Final, Protocol, final

import attrs

from ._pure.codec import SealsItself, Unreadable
from ._pure.ids import Pid, ProcessName, Reference, TimerRef
from .errors import CallError, CallTimeout, ServerExited, short
from .reasons import Reason

NO_KWARGS: Final[Mapping[str, Any]] = {}
NEVER: Final = math.inf


@attrs.frozen
class Exit:
    """A linked process ended (or someone sent an exit signal), seen by a process that traps exits."""

    pid: Pid
    reason: Reason


@attrs.frozen
class Down:
    """A monitored process ended. `item` is its pid, or `(name, node)` where it was monitored by name.

    It is the `Via` or `Global` that was to be monitored, where nobody had it.
    """

    ref: Reference
    item: Pid | tuple[str, str] | ProcessName
    reason: Reason


@attrs.frozen
class NodeUp:
    """A node connected."""

    node: str


@attrs.frozen
class NodeDown:
    """The connection to a node is lost; `reason` only for `monitor_nodes`."""

    node: str
    reason: str | None = None


@attrs.frozen
class NameConflict:
    """This process has lost a global name: nodes have met, and `other` had it too. Who keeps it is not said."""

    name: str
    other: Pid


@attrs.frozen
class Timeout:
    """Nothing came within the idle timeout that the server had asked for."""


@attrs.frozen
class TimerFired:
    """The time of a timer has come that was set with `start_timer`; `message` is what it was given."""

    ref: TimerRef
    message: object


@attrs.frozen
class Continue:
    """What a server in `handle_continue` is handling; it names it in a crash report and travels nowhere."""

    token: object


class Promise(Protocol):
    """One value to come, awaited by one task at most. Each backend has its own."""

    def settle(self, value: Any = None, /) -> None:
        """Wake who waits for it with this value, unless there was one before, or nobody waits any more."""
        ...

    def done(self) -> bool: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


@attrs.frozen
class Failure:
    """Delivered in place of a reply: what the caller's await raises."""

    error: BaseException


class From:
    """Whom to answer: given to `handle_call`, used with `reply`. The first answer counts, later ones vanish."""

    __slots__ = ("_kept_in", "caller", "is_open", "promise", "reference")

    def __init__(self, caller: Pid | None, promise: Promise) -> None:
        self.caller = caller
        self.promise = promise
        self.reference: Reference | None = None  # what other nodes know it by
        self.is_open = True  # the caller still waits for an answer
        self._kept_in: dict[From, bool] | None = None

    def keep_in(self, requests: dict[From, bool], *, put_off: bool = False) -> None:
        """Be among the requests that a process still has to answer, and is not just handling; `answer` and `withdraw`
        leave them.
        """
        if self.is_open:
            if self._kept_in is None:
                self._kept_in = requests
            self._kept_in[self] = put_off

    @property
    def expired(self) -> bool:
        """Whether an answer would reach nobody: the caller's time is up, it gave up or is gone, or it was answered."""
        return not self.is_open

    @property
    def is_put_off(self) -> bool:
        """Whether the answer is to come later: then it may come from anybody, and need not wait for the server."""
        return self._kept_in is not None and self._kept_in[self]

    def withdraw(self) -> bool:
        """The caller gave up or was answered; whether the request was still open."""
        was_open, self.is_open = self.is_open, False
        if self._kept_in is not None:
            self._leave()
        return was_open

    def answer(self, value: object) -> None:
        """Send the reply, or a `Failure`; does nothing if the caller was answered or has given up."""
        if self.is_open:
            self.is_open = False  # not by way of `withdraw`: each call comes through here
            if self._kept_in is not None:
                self._leave()
            self.promise.settle(value)

    def _leave(self) -> None:
        if self._kept_in is not None:
            del self._kept_in[self]
            self._kept_in = None

    def server_ended(self, reason: Reason) -> None:
        """The server ended with the request open."""
        self.answer(Failure(ServerExited(reason)))


class Starting(From):
    """The start of a process, which its starter waits for: the answer is `None` once it is ready, else a `Failure`."""

    __slots__ = ()

    def server_ended(self, reason: Reason) -> None:
        """That is no answer yet: why the start failed is known better."""


class Entrance(Protocol):
    """The ways into a mailbox, as requests take them."""

    def post(self, message: object, /) -> None: ...
    def post_system(self, message: object, /) -> None: ...
    def deliver(self, delivery: Call, /) -> None: ...


class Call(From):
    """A request that wants a reply. `method` is None in the OTP form, whose request is then `args[0]`."""

    __slots__ = ("args", "deadline", "kwargs", "method")

    holds_up: ClassVar = True
    """Whether its caller, if that is a server, handles nothing until the answer is there."""

    def __init__(
        self, caller: Pid | None, promise: Promise, method: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self.caller = caller  # not by way of `super`: every call comes through here
        self.promise = promise
        self.reference = None
        self.is_open = True
        self._kept_in = None
        self.deadline = NEVER  # when its caller's time is up, on the clock of the server's node
        self.method: Final = method
        self.args: Final = args
        self.kwargs: Final = kwargs

    def __repr__(self) -> str:
        return f"Call({describe(self.method, self.args, self.kwargs)}, from {self.caller})"

    def enter(self, mailbox: Entrance) -> None:
        """Lie down in the mailbox of who is to answer."""
        mailbox.post(self)

    def envelope(self, reference: Reference, left_s: float | None, nested: bool | None) -> object:
        """The form in which it travels: with the alias for the reply, and the caller's time that is left.

        `nested` is whether the call is a nested one, `None` if waiting does not hold up the caller.
        """
        return Request(reference, self.method, self.args, self.kwargs, left_s, nested)

    def expire(self, timeout_s: float) -> None:
        """The caller's time is up."""
        self.answer(Failure(CallTimeout(describe(self.method, self.args, self.kwargs), timeout_s)))


@final
class Cast(SealsItself):
    """A request that wants no reply. `method` is None in the OTP form, whose request is then `args[0]`."""

    __slots__ = ("args", "kwargs", "method")

    def __init__(self, method: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.method: Final = method
        self.args: Final = args
        self.kwargs: Final = kwargs

    def __repr__(self) -> str:
        return f"Cast({describe(self.method, self.args, self.kwargs)})"


CAST: Final = object()
"""Comes first where a cast lies in a mailbox as a tuple, before its method, arguments and keywords.

Tuples are made in half the time of an object, and the collector does not look at those of plain data again.
"""


def opened(message: object) -> object:
    """A message as it was sent, of one that was taken out of a mailbox."""
    if type(message) is tuple and len(message) == 4 and message[0] is CAST:  # pyright: ignore[reportUnknownArgumentType]
        return Cast(*message[1:])  # pyright: ignore[reportUnknownArgumentType]
    return message  # pyright: ignore[reportUnknownVariableType]


class NotMade:
    """Stands for the message in hand, where that is made only if somebody asks for it."""

    __slots__ = ()

    def make(self) -> Call | Cast:
        """The message."""
        raise TypeError(f"{type(self).__name__} has to say which message it stands for")


@attrs.define(eq=False)  # as `Send`, which carries it
class Request(SealsItself):
    """A call on its way to another node: what the server is asked, and the alias that waits for the reply.

    Clocks differ, so what travels of the caller's deadline is the time that is left, in seconds. `nested` is whether
    somebody waits for the caller in turn; `None` if waiting does not hold the caller up.
    """

    reference: Reference
    method: str | None
    args: tuple[Any, ...] | Unreadable
    kwargs: Mapping[str, Any]
    time_left_s: float | None = None
    nested: bool | None = None


class Delivery(Call):
    """The message of a `send_wait`, `args[0]`: the answer is that it is in the mailbox."""

    __slots__ = ()

    holds_up = False  # on its own node: mostly there is room, and it waits for nobody

    def enter(self, mailbox: Entrance) -> None:
        mailbox.deliver(self)

    def envelope(self, reference: Reference, left_s: float | None, nested: bool | None) -> object:
        return Deliver(reference, self.args[0], left_s)


@attrs.frozen(eq=False)
class Deliver(SealsItself):
    """A message on its way to another node, whose sender waits until it is in the mailbox there."""

    reference: Reference
    message: object
    time_left_s: float | None = None


def describe(method: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A request as a person would write it, cut to one line."""
    parts = [*map(short, args), *(f"{key}={short(value)}" for key, value in kwargs.items())]
    return f"{method or 'request'}({', '.join(parts)})"


def result_of(outcome: object) -> Any:
    """The reply that was delivered, or the error that stands in its place, raised."""
    if type(outcome) is Failure:
        raise outcome.error
    return outcome


__all__ = [
    "NO_KWARGS",
    "Call",
    "CallError",
    "Cast",
    "Continue",
    "Deliver",
    "Delivery",
    "Down",
    "Exit",
    "Failure",
    "From",
    "NodeDown",
    "NodeUp",
    "Promise",
    "Timeout",
    "TimerFired",
    "describe",
    "result_of",
]
