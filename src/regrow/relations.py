"""What ties a process to others: links, monitors in both directions, and who waits for its answers."""

from __future__ import annotations

from typing import Protocol

from ._pure.ids import Pid, Reference
from .errors import NoProcess
from .mailbox import Mailbox
from .messages import Down, Exit, From, NotMade, opened
from .reasons import NoProc, Reason
from .signals import Demonitor, Item, Link, Monitor, Signal, Unlink


class Surroundings(Protocol):
    """What a process needs of its node to reach others."""

    @property
    def node_name(self) -> str: ...
    def make_ref(self) -> Reference: ...
    def lookup(self, target: Item) -> Relations | None: ...
    def down(self, watcher: Pid, ref: Reference, item: Item, reason: Reason) -> None: ...
    def dispatch(self, node: str, signal: Signal) -> None: ...


class Relations:
    """The ties of one process. Dicts, for their order: what is told to many is told in order of creation."""

    __slots__ = (
        "_surroundings",
        "_unlinks",
        "last_message",
        "links",
        "mailbox",
        "monitors",
        "monitors_nodes",
        "node_monitors",
        "pid",
        "requests",
        "trap_exit",
        "unlinking",
        "watchers",
    )

    def __init__(self, surroundings: Surroundings, pid: Pid, mailbox: Mailbox) -> None:
        self.pid = pid
        self.mailbox = mailbox
        self.trap_exit = False
        self.links: dict[Pid, None] = {}
        self.unlinking: dict[Pid, int] = {}  # unlinks that the other node has not acknowledged yet
        self.monitors: dict[Reference, Item] = {}  # what it watches
        self.watchers: dict[Reference, tuple[Pid, Item]] = {}  # who watches it, and under which name
        self.node_monitors: dict[str, int] = {}  # of which nodes it wants to hear the end, and how often
        self.last_message: object = None  # what it is handling, or handled last
        self.requests: dict[From, bool] = {}  # to be answered, neither queued nor in hand; whether put off
        self.monitors_nodes = 0  # how many times it wants to hear of every node
        self._unlinks = 0
        self._surroundings = surroundings

    def _is_here(self, node: str) -> bool:
        return node == self._surroundings.node_name

    # -- links

    def link(self, pid: Pid) -> None:
        """Link with `pid`. A dead local process is `NoProcess`, or an `Exit` if this one traps exits."""
        if pid == self.pid or pid in self.links:
            return
        other = self._surroundings.lookup(pid)
        if other is not None:
            self.links[pid] = None
            other.links[self.pid] = None
        elif not self._is_here(pid.node):
            self.links[pid] = None
            self._surroundings.dispatch(pid.node, Link(self.pid, pid))
        elif self.trap_exit:
            self.mailbox.post_system(Exit(pid, NoProc()))
        else:
            raise NoProcess(pid)

    def unlink(self, pid: Pid) -> None:
        """Remove the link: no exit of `pid` comes after this; one that is in the mailbox already stays."""
        if not self.lose_link(pid):
            return
        other = self._surroundings.lookup(pid)
        if other is not None:
            other.links.pop(self.pid, None)
        elif not self._is_here(pid.node):
            self._unlinks += 1
            self.unlinking[pid] = self._unlinks
            self._surroundings.dispatch(pid.node, Unlink(self.pid, pid, self._unlinks))

    def drop_link(self, pid: Pid) -> None:
        """Forget a link on both sides without a word."""
        self.links.pop(pid, None)
        other = self._surroundings.lookup(pid)
        if other is not None:
            other.links.pop(self.pid, None)

    def lose_link(self, pid: Pid) -> bool:
        """Forget a link on this side; whether there was one."""
        if pid not in self.links:
            return False
        del self.links[pid]
        return True

    # -- monitors

    def monitor(self, target: Item) -> Reference:
        """Watch a pid or `(name, node)`; the `Down` comes once, at once if there is no such process."""
        around = self._surroundings
        ref = around.make_ref()
        self.monitors[ref] = target
        node = target.node if isinstance(target, Pid) else target[1]
        watched = around.lookup(target)
        if watched is not None:
            watched.watchers[ref] = (self.pid, target)
            self.monitors[ref] = watched.pid
        elif self._is_here(node):
            around.down(self.pid, ref, target, NoProc())
        else:
            around.dispatch(node, Monitor(self.pid, ref, target if isinstance(target, Pid) else target[0]))
        return ref

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        """Stop watching. Whether the monitor was active; if not, its `Down` is in the mailbox, or flushed."""
        target = self.monitors.pop(ref, None)
        if target is None:
            if flush:
                self.mailbox.take(lambda message: isinstance(message, Down) and message.ref == ref)
            return False
        watched = self._surroundings.lookup(target)
        if watched is not None:
            watched.watchers.pop(ref, None)
        else:
            node, to = (target.node, target) if isinstance(target, Pid) else (target[1], target[0])
            if not self._is_here(node):
                self._surroundings.dispatch(node, Demonitor(self.pid, ref, to))
        return True

    # -- requests

    def in_hand(self) -> object:
        """The message that it is handling, or handled last."""
        if isinstance(self.last_message, NotMade):
            self.last_message = self.last_message.make()
        return opened(self.last_message)

    def close_mailbox(self) -> None:
        """It handles nothing any more; who waits for an answer hears of that at its end."""
        if isinstance(in_hand := self.in_hand(), From):
            in_hand.keep_in(self.requests)
        for request in self.mailbox.close():
            request.keep_in(self.requests)

    def open_requests(self) -> tuple[From, ...]:
        """All who wait for an answer of it."""
        in_hand = self.in_hand()
        asked = (*self.requests, *self.mailbox.requests())
        if isinstance(in_hand, From) and in_hand.is_open and in_hand not in self.requests:
            return (in_hand, *asked)
        return asked
