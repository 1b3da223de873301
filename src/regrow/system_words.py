"""System messages: what any behaviour can be asked about itself, and what it tells, as data.

They travel in the system lane of a mailbox, in the order of everything else, and no callback for messages sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from ._pure.codec import SealsItself, Unreadable
from ._pure.ids import Pid, Reference
from .errors import short
from .messages import NO_KWARGS, Call, Entrance, Promise
from .reasons import Reason

LOG_MAX: Final = 1_000_000  # events that one process may keep
HIDDEN: Final = "(hidden)"  # what stands in place of what is not to be seen


# -- what a process tells


@attrs.frozen
class In(SealsItself):
    """A message came, and is handled next."""

    message: object

    def __str__(self) -> str:
        return f"got {short(self.message, 500)}"


@attrs.frozen
class Out(SealsItself):
    """A handler returned the reply to a call."""

    reply: object
    to: Pid | None

    def __str__(self) -> str:
        return f"sent {short(self.reply, 500)} to {self.to or 'an outsider'}"


Event: TypeAlias = In | Out


@attrs.frozen
class Statistics:
    """How many messages a process has had in so many seconds, and how many calls it has answered."""

    seconds: float
    messages_in: int
    messages_out: int


def _check_state(_instance: object, _attribute: object, value: Mapping[str, Any]) -> None:
    if not isinstance(value, dict | Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a state is shown as attributes by name, not as {short(value)}")


@attrs.frozen
class Status(SealsItself):
    """A look at one process: what `sys.get_status`, `regrow state` and a crash report show of it.

    Before anybody sees it, `format_status` of its object gets it, and returns what is to be seen.
    """

    pid: Pid
    name: str | None
    label: str
    """The class of its object."""
    parent: Pid | None
    """Who started it with a link, and is obeyed by it."""
    suspended: bool
    state: Mapping[str, Any] = attrs.field(validator=_check_state)
    """The attributes of its object."""
    message: object = None
    """What it was handling as it crashed; or a message that waits."""
    reason: Reason | None = None
    """Why it crashed."""
    log: tuple[Event, ...] = ()
    """What `sys.log` has kept."""
    statistics: Statistics | None = None
    """What `sys.statistics` has counted."""
    debug: tuple[str, ...] = ()
    """Who watches its messages: `trace`, `log`, `statistics`, and what was installed."""

    def hiding(self, *attributes: str) -> Status:
        """The same with these attributes of the state hidden, those that there are."""
        seen = {name: HIDDEN if name in attributes else value for name, value in self.state.items()}
        return attrs.evolve(self, state=seen)


# -- what it is asked


@attrs.frozen
class Terminate:
    """Stop in order. Its answer is the reason that the process really ended with."""

    reason: Reason


@attrs.frozen
class Suspend:
    """Handle nothing but system messages, and the end of the parent, until told to resume."""


@attrs.frozen
class Resume:
    """Go on with what has come meanwhile."""


@attrs.frozen
class GetStatus:
    """Answered with a `Status`: as it is to be seen, or as it is."""

    formatted: bool


@attrs.frozen
class ReplaceState:
    """Make what the function returns the state; answered with the new `Status`."""

    function: Callable[[dict[str, Any]], object]


@attrs.frozen
class ChangeCode:
    """Run `code_change`."""

    old_version: object
    extra: object


@attrs.frozen
class Trace:
    """Write a line to the log for each event."""

    on: bool


@attrs.frozen
class Log:
    """Keep so many events; 0 for none."""

    keep: int = attrs.field(validator=attrs.validators.in_(range(LOG_MAX + 1)))


@attrs.frozen
class Count:
    """Count messages."""

    on: bool


def _check_function(_instance: object, _attribute: object, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{short(value)} is no function")
    hash(value)


def _check_function_or_id(instance: object, attribute: object, value: Any) -> None:
    if not isinstance(value, str):
        _check_function(instance, attribute, value)


@attrs.frozen
class Install:
    """Tell a function of each event."""

    function: Callable[[Any, Event, dict[str, Any]], object] = attrs.field(validator=_check_function)
    id: str | None
    state: object
    """What it gets first; then what it returned last."""


@attrs.frozen
class Remove:
    """Tell it no more."""

    function_or_id: Callable[..., object] | str = attrs.field(validator=_check_function_or_id)


@attrs.frozen
class NoDebug:
    """Nobody watches any more."""


Debugging: TypeAlias = Trace | Log | Count | Install | Remove
Operation: TypeAlias = Terminate | Suspend | Resume | GetStatus | ReplaceState | ChangeCode | Debugging | NoDebug


# -- and how


class SystemRequest(Call):
    """A system message in a mailbox: what is to be done is `args[0]`."""

    __slots__ = ()

    @classmethod
    def of(cls, caller: Pid | None, promise: Promise, operation: Operation) -> SystemRequest:
        return cls(caller, promise, "sys", (operation,), NO_KWARGS)

    @property
    def operation(self) -> Operation:
        operation: Operation = self.args[0]
        return operation

    def enter(self, mailbox: Entrance) -> None:
        mailbox.post_system(self)

    def envelope(self, reference: Reference, left_s: float | None, nested: bool | None) -> object:
        return SystemAsk(reference, self.operation)

    def server_ended(self, reason: Reason) -> None:
        if isinstance(self.operation, Terminate):
            self.answer(reason)
        else:
            super().server_ended(reason)


@attrs.frozen(eq=False)
class SystemAsk(SealsItself):
    """A system message on its way to another node, with the alias that waits for the answer."""

    reference: Reference
    operation: Operation | Unreadable
