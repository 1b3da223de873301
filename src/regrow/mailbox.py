"""The mailbox of one process.

Two lanes share one queue, so that messages and the news of a process's end arrive in the order they were
sent in. The lane of a message says what may happen to it under pressure, not when it is seen: `post` is for
what users send, `post_system` for exits, downs and system messages, which no bound may ever drop. This mailbox has
none; `bounded_mailbox` has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ._backends import Backend
from .messages import Call, Promise, settle


class Mailbox:
    """A queue, and at most one task that waits for it."""

    __slots__ = ("_backend", "_waiter", "closed", "queue", "taken", "taken_at_once")

    def __init__(self, backend: Backend) -> None:
        self.queue: deque[object] = deque()
        self.closed = False
        self.taken = 0  # how often something was taken out: the place of one who waits is then no longer right
        self.taken_at_once = 0  # messages received without waiting, for fairness
        self._backend = backend
        self._waiter: Promise | None = None

    def post(self, message: object) -> None:
        """Add a user's message; the mailbox of a process that is ending takes nothing any more."""
        if self.closed:
            return
        self.queue.append(message)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            settle(waiter)

    def post_system(self, message: object) -> None:
        """Add what no bound may drop: an exit, a down, a system message."""
        self.post(message)

    def deliver(self, delivery: Call) -> None:
        """Add the message of a `send_wait`, and answer who waits for that."""
        if not self.closed:
            self.post(delivery.args[0])
            delivery.answer(None)

    def close(self) -> None:
        """No message is handled after this: what is queued is dropped, what comes later too."""
        self.closed = True
        self.queue.clear()

    def wake(self) -> None:
        """Let the waiting task look again, as when its time is up."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            settle(waiter)

    def wait(self) -> Promise:
        """To be awaited: something was posted after this, or `wake` was called. Look at the queue before."""
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("another task of this process is already waiting for its mailbox")
        self._waiter = self._backend.promise()
        return self._waiter

    def take(self, wanted: Callable[[object], bool]) -> list[object]:
        """Remove and return every message that is wanted, in order; the rest stays in order."""
        taken = [message for message in self.queue if wanted(message)]
        if taken:
            self.taken += 1
            kept = [message for message in self.queue if not wanted(message)]
            self.queue.clear()
            self.queue.extend(kept)
        return taken
