"""Exit reasons: why a process ended, as its links, monitors and callers see it."""

from __future__ import annotations

from functools import cached_property
from typing import cast

import attrs

from .tracebacks import Traceback, traceback_of

PARTS_TOLD = 5  # of a group of exceptions, in its text


class RemoteError(Exception):
    """An exception of another node, as data: the name of its type, its text and its printed traceback."""

    def __init__(self, type_name: str, text: str, traceback: str | Traceback = "") -> None:
        super().__init__(type_name, text)
        self.type_name = type_name
        self.text = text
        self._traceback = traceback

    @classmethod
    def of(cls, error: BaseException) -> RemoteError:
        """The exception as data, which can travel, and keeps nothing alive."""
        if isinstance(error, RemoteError):  # not itself: once raised, it has a traceback of its own, with live frames
            return cls(error.type_name, error.text, error._traceback)
        return cls(type(error).__name__, _text_of(error), traceback_of(error))

    @property
    def traceback(self) -> str:
        """The printed traceback, empty if there is none. It is printed when somebody first asks for it."""
        self._traceback = str(self._traceback)
        return self._traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}" if self.text else self.type_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteError) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash((self.type_name, self.text))

    def __reduce__(self) -> tuple[type[RemoteError], tuple[str, str, str]]:
        return RemoteError, self._parts

    @property
    def _parts(self) -> tuple[str, str, str]:
        return self.type_name, self.text, self.traceback


@attrs.frozen
class Reason:
    """What every exit reason is. `str()` begins with OTP's word for it."""

    def __str__(self) -> str:
        return "reason"


@attrs.frozen
class Normal(Reason):
    """The process was done. An exit signal with it is ignored by others, unless they trap exits."""

    def __str__(self) -> str:
        return "normal"


@attrs.frozen
class Shutdown(Reason):
    """Stopped in order, by its supervisor for example. A clean end: transient children are not restarted."""

    detail: object = None

    def __str__(self) -> str:
        return "shutdown" if self.detail is None else f"shutdown: {_text_of(self.detail)}"


@attrs.frozen
class Kill(Reason):
    """Sent with `send_exit`, it ends any process, trapping or not; links and monitors then see `Killed`."""

    def __str__(self) -> str:
        return "kill"


@attrs.frozen
class Killed(Reason):
    """The process was killed; it had no chance to clean up."""

    def __str__(self) -> str:
        return "killed"


@attrs.frozen
class NoProc(Reason):
    """There was no such process when it was linked, monitored or called."""

    def __str__(self) -> str:
        return "noproc"


@attrs.frozen
class NoConnection(Reason):
    """The connection to the process's node is lost, or could not be made. The process may still run."""

    def __str__(self) -> str:
        return "noconnection"


@attrs.frozen
class Crash(Reason):
    """An exception nobody caught; from another node it is a `RemoteError` with the same text."""

    exception: BaseException

    @cached_property
    def data(self) -> RemoteError:
        """The exception as data, as other nodes and the reports have it; the same for all of them."""
        return RemoteError.of(self.exception)

    def __str__(self) -> str:
        if isinstance(self.exception, RemoteError):
            return str(self.exception)
        text = _text_of(self.exception)
        name = type(self.exception).__name__
        return f"{name}: {text}" if text else name


@attrs.frozen
class Custom(Reason):
    """Any reason of the user's own, as `exit(term)` in OTP."""

    term: object

    def __str__(self) -> str:
        return _text_of(self.term)


def _text_of(value: object) -> str:
    """The `str` of a value; that of a group of exceptions names its parts as well."""
    # A user's `__str__` may fail too; that must not get in the way of telling what happened.
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - whatever it raises, there is no text
        return f"({type(value).__name__} without a text)"
    if not isinstance(value, BaseExceptionGroup):
        return text
    parts = cast("BaseExceptionGroup[BaseException]", value).exceptions
    more = ["..."] if len(parts) > PARTS_TOLD else []
    return f"{text}: {'; '.join([*(str(as_reason(part)) for part in parts[:PARTS_TOLD]), *more])}"


def as_data(reason: Reason) -> Reason:
    """The same reason without a live exception: one holds on to whatever was in its frames."""
    return Crash(reason.data) if isinstance(reason, Crash) else reason


def is_quiet(reason: Reason) -> bool:
    """Whether an end with this reason is no news for the log: normal and shutdown."""
    return isinstance(reason, Normal | Shutdown)


def as_reason(value: object) -> Reason:
    """A reason from what a program gave: a reason as it is, an exception as a crash, anything else as `Custom`.

    A group of exceptions with a single member is unwrapped: the member is the reason.
    """
    if isinstance(value, Reason):
        return value
    return Crash(unwrapped(value)) if isinstance(value, BaseException) else Custom(value)


def unwrapped(error: BaseException) -> BaseException:
    """The exception itself, or the only one that a group holds: task groups wrap whatever is raised in them."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return unwrapped(group.exceptions[0]) if len(group.exceptions) == 1 else group
    return error


def interrupt_in(error: BaseException) -> KeyboardInterrupt | None:
    """The Ctrl-C that the exception is, or that a group holds besides others."""
    while isinstance(error, BaseExceptionGroup):
        found = cast("BaseExceptionGroup[BaseException]", error).subgroup(KeyboardInterrupt)
        if found is None:
            return None
        error = found.exceptions[0]
    return error if isinstance(error, KeyboardInterrupt) else None
