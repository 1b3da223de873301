"""A mailbox that holds only so much of what users send.

It costs those who have none nothing: it is a mailbox of another class, whose queue knows of each message whether it
counts. What waits for room lies in a line of its own, and moves into the queue in the step that makes the room. So a
mailbox in front of which something waits is full, and nothing that comes later overtakes what waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias, assert_never

from ._backends import Backend
from ._pure.bounds import Bounded, Fate, Lane, fate_of
from ._pure.ids import Pid
from .errors import MailboxFull
from .mailbox import Mailbox
from .messages import Call, Failure, From
from .reports import DropReport, Reports
from .timers import Timer, Timers

LOOK_AGAIN_S = 1.0  # after this long without a drop, and with room, a time of dropping counts as over

Waiting: TypeAlias = tuple[Call, object]
"""Who waits, and what is put into the mailbox: the call itself, or the message of a `send_wait`."""


class LaneQueue(deque[object]):
    """Messages in order of arrival, each with its lane. Tells when one that counts was taken, in whichever way a
    mailbox's owner takes messages; it has to be put in by `enter`."""

    def __init__(self, taken: Callable[[], None]) -> None:
        super().__init__()
        self.held = 0  # messages that count
        self.plain = 0  # those that may be dropped
        self._lanes: deque[Lane] = deque()
        self._taken = taken

    def enter(self, message: object, lane: Lane) -> None:
        """Put a message in as the last one."""
        self.append(message)
        self._lanes.append(lane)
        self._count(lane, 1)

    def popleft(self) -> object:
        message = super().popleft()
        self._left(self._lanes.popleft())
        return message

    def __delitem__(self, index: int) -> None:  # type: ignore[override]  # a deque has no slices
        super().__delitem__(index)
        lane = self._lanes[index]
        del self._lanes[index]
        self._left(lane)

    def clear(self) -> None:
        self._empty()
        self._taken()

    def take(self, wanted: Callable[[object], bool]) -> list[object]:
        """Remove and return every message that is wanted, in order; the rest stays in order."""
        entries = [(message, lane, wanted(message)) for message, lane in zip(self, self._lanes, strict=True)]
        self._empty()
        for message, lane, is_wanted in entries:
            if not is_wanted:
                self.enter(message, lane)
        self._taken()
        return [message for message, _, is_wanted in entries if is_wanted]

    def drop_oldest(self) -> None:
        """Remove the oldest message that may be dropped."""
        del self[self._lanes.index(Lane.PLAIN)]

    def _empty(self) -> None:
        super().clear()
        self._lanes.clear()
        self.held = self.plain = 0

    def _left(self, lane: Lane) -> None:
        self._count(lane, -1)
        if lane is not Lane.SYSTEM:
            self._taken()

    def _count(self, lane: Lane, change: int) -> None:
        self.held += change * (lane is not Lane.SYSTEM)
        self.plain += change * (lane is Lane.PLAIN)


class Drops:
    """How many messages a mailbox has dropped. Operators are told when that begins and when it is over, not of each."""

    def __init__(self, timers: Timers, reports: Reports, label: str, pid: Pid) -> None:
        self.count = 0
        self.pid = pid
        self._timers = timers
        self._reports = reports
        self._label = label
        self._before = 0  # dropped before the time of dropping that goes on
        self._seen = 0  # dropped when it was last looked at
        self._timer: Timer | None = None  # runs as long as it goes on

    def add(self, mailbox: BoundedMailbox) -> None:
        """One more was dropped."""
        if self._timer is None:
            self._before = self.count
            self._report(mailbox, None)
            self._look_later(mailbox)
        self.count += 1

    def close(self, mailbox: BoundedMailbox) -> None:
        """There will be no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._over(mailbox)

    def _look_later(self, mailbox: BoundedMailbox) -> None:
        self._seen = self.count
        self._timer = self._timers.after(LOOK_AGAIN_S, lambda: self._look(mailbox))

    def _look(self, mailbox: BoundedMailbox) -> None:
        # By time and by room: a mailbox at the edge would else begin and end with each message, or each second.
        if self.count > self._seen or mailbox.is_full():
            self._look_later(mailbox)
        else:
            self._over(mailbox)

    def _over(self, mailbox: BoundedMailbox) -> None:
        self._timer = None
        self._report(mailbox, self.count - self._before)

    def _report(self, mailbox: BoundedMailbox, dropped: int | None) -> None:
        node, size = self._reports.node, mailbox.bound.size
        self._reports.add(DropReport(node, self.pid, self._label, size, dropped))


class BoundedMailbox(Mailbox):
    """A mailbox with a bound for the lane of users; that of the system has none."""

    __slots__ = ("_line", "_look_again_at", "_queue", "bound", "drops")

    def __init__(self, backend: Backend, bound: Bounded, drops: Drops) -> None:
        super().__init__(backend)
        self.bound = bound
        self.drops = drops
        self.queue = self._queue = LaneQueue(self._let_in)
        self._line: deque[Waiting] = deque()  # what waits for room
        self._look_again_at = 16  # so long a line is looked through for those who have given up

    def post(self, message: object) -> None:
        if isinstance(message, Call):
            self._arrive(Lane.AWAITED, message, message)
        else:
            self._arrive(Lane.PLAIN, message)

    def post_system(self, message: object) -> None:
        self._arrive(Lane.SYSTEM, message)

    def deliver(self, delivery: Call) -> None:
        self._arrive(Lane.AWAITED, delivery.args[0], delivery)

    def requests(self) -> list[From]:
        return [*super().requests(), *(sender for sender, _ in self._line if sender.is_open)]

    def close(self) -> list[From]:
        requests = self.requests()
        self._line.clear()  # or what is in it would take the room that is made
        super().close()
        self.drops.close(self)
        return requests

    def take(self, wanted: Callable[[object], bool]) -> list[object]:
        taken = self._queue.take(wanted)
        self.taken += bool(taken)
        return taken

    def is_full(self) -> bool:
        """Whether what is sent now finds no room."""
        return self._queue.held >= self.bound.size

    def _arrive(self, lane: Lane, message: object, sender: Call | None = None) -> None:
        """A message comes; `sender` is who waits for it."""
        if self.closed:
            return
        replaceable = self._queue.plain > 0 and not self._anyone_waits()
        fate = fate_of(lane, self.bound, self._queue.held, replaceable=replaceable)
        match fate:
            case Fate.ENTERS:
                self._enter(lane, message, sender)
            case Fate.FAILS:
                assert sender is not None, "only what is awaited fails"
                sender.answer(Failure(MailboxFull(self.drops.pid)))
            case Fate.WAITS:
                assert sender is not None, "only what is awaited waits"
                self._wait_for_room(sender, message)
            case Fate.REPLACES:
                self.drops.add(self)
                self._queue.drop_oldest()
                self.taken += 1  # one who waits in the midst of the queue has lost the place
                self._enter(lane, message, sender)
            case Fate.DROPPED:
                self.drops.add(self)
            case _:
                assert_never(fate)

    def _enter(self, lane: Lane, message: object, sender: Call | None) -> None:
        self._queue.enter(message, lane)
        if sender is not None and sender is not message:
            sender.answer(None)  # a `send_wait` is over when its message is here
        self.wake()

    def _wait_for_room(self, sender: Call, message: object) -> None:
        if len(self._line) >= self._look_again_at:  # those who gave up must not pile up
            self._line = deque(waiting for waiting in self._line if waiting[0].is_open)
            self._look_again_at = 16 + 2 * len(self._line)
        self._line.append((sender, message))

    def _let_in(self) -> None:
        """Something was taken: what waits moves up."""
        while not self.is_full() and self._anyone_waits():
            sender, message = self._line.popleft()
            self._enter(Lane.AWAITED, message, sender)

    def _anyone_waits(self) -> bool:
        while self._line and not self._line[0][0].is_open:
            self._line.popleft()
        return bool(self._line)
