"""The mailbox of one process.

Two lanes share one queue, so that messages and the news of a process's end arrive in the order they were
sent in. The lane of a message says what may happen to it under pressure, not when it is seen: `post` is for
what users send, `post_system` for exits, downs and system messages, which no bound may ever drop. This mailbox has
none; `bounded_mailbox` has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ._backends import Backend
from ._pure.ids import Pid
from .messages import Call, Cast, From, Promise

EMPTY: Final[deque[Any]] = deque(maxlen=0)  # of all that never had a message: a tenth of an idle server less
NOT_HANDLED: Final = object()


class AtRest(Protocol):
    """A process that waits for its next message in a place where it can handle it at once."""

    def handle(
        self,
        kind: type[Call | Cast],
        caller: Pid | None,
        method: str | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> object:
        """Handle a message in the task that sends it: the reply, or the `Call` that is to be waited for.

        `NOT_HANDLED` if it has to go through the mailbox.
        """
        ...


class Mailbox:
    """A queue, and at most one task that waits for it."""

    __slots__ = ("_backend", "at_rest", "closed", "owner", "queue", "taken", "taken_at_once", "waiter")

    def __init__(self, backend: Backend) -> None:
        self.queue: deque[Any] = EMPTY
        self.owner: Any = None  # the process that it belongs to, as long as that lives
        self.at_rest: AtRest | None = None  # waits for the next message, which it may handle where that is sent
        self.closed = False
        self.taken = 0  # how often something was taken out: the place of one who waits is then no longer right
        self.taken_at_once = 0  # messages received without waiting, for fairness
        self._backend = backend
        self.waiter: Promise | None = None  # of the task that waits; none once it was woken

    def post(self, message: object) -> None:
        """Add a user's message; the mailbox of a process that is ending takes nothing any more."""
        if self.closed:
            return
        if self.queue is EMPTY:
            self.queue = deque()
        self.queue.append(message)
        waiter = self.waiter
        if waiter is not None:
            self.waiter = self.at_rest = None
            waiter.settle()

    def post_system(self, message: object) -> None:
        """Add what no bound may drop: an exit, a down, a system message."""
        self.post(message)

    def deliver(self, delivery: Call) -> None:
        """Add the message of a `send_wait`, and answer who waits for that."""
        if not self.closed:
            self.post(delivery.args[0])
            delivery.answer(None)

    def requests(self) -> list[From]:
        """The requests in here that are still open."""
        return [message for message in self.queue if isinstance(message, From) and message.is_open]

    def close(self) -> list[From]:
        """No message is handled after this: what is queued is dropped, what comes later too.

        Returns the requests among it: whoever waits for their answers is to be told.
        """
        requests = self.requests()
        self.closed = True
        self.waiter = self.at_rest = None
        self.queue.clear()
        return requests

    def wake(self) -> None:
        """Let the waiting task look again, as when its time is up."""
        waiter, self.waiter = self.waiter, None
        self.at_rest = None
        if waiter is not None:
            waiter.settle()

    def wait(self) -> Promise:
        """To be awaited: something was posted after this, or `wake` was called. Look at the queue before."""
        if self.waiter is not None and not self.waiter.done():
            raise RuntimeError("another task of this process is already waiting for its mailbox")
        promise = self.waiter = self._backend.promise()
        return promise

    def take(self, wanted: Callable[[object], bool]) -> list[object]:
        """Remove and return every message that is wanted, in order; the rest stays in order."""
        taken = [message for message in self.queue if wanted(message)]
        if taken:
            self.taken += 1
            kept = [message for message in self.queue if not wanted(message)]
            self.queue.clear()
            self.queue.extend(kept)
        return taken
