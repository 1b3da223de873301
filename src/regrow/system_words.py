"""System messages: what any behaviour can be asked about itself, as data, and the envelopes that carry it.

They travel in the system lane of a mailbox, in the order of everything else, and no callback for messages sees them.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from ._pure.codec import SealsItself, Unreadable
from ._pure.ids import Pid, Reference
from .messages import NO_KWARGS, Call, Promise
from .reasons import Reason


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


Operation: TypeAlias = Terminate | Suspend | Resume


class SystemRequest(Call):
    """A system message in a mailbox."""

    __slots__ = ("operation",)

    def __init__(self, caller: Pid | None, promise: Promise, operation: Operation) -> None:
        super().__init__(caller, promise, "sys", (operation,), NO_KWARGS)
        self.operation: Final = operation

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
