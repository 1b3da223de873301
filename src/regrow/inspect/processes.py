"""The processes of a node, and a look into one of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice

import attrs

from .._pure.ids import UNNAMED_NODE, Pid, parse_pid
from ..bounded_mailbox import BoundedMailbox
from ..messages import opened
from ..node import Node
from ..runtime import Process
from ..signals import Item
from ..stacks import stack_of
from ..status import printed

MESSAGES_SHOWN = 20
CONTROL_LABEL = "control request"  # of the processes that answer the tools


@attrs.frozen
class ProcessInfo:
    """One process as a list of all shows it."""

    pid: Pid
    name: str | None
    label: str
    application: str | None
    mailbox: int
    """Messages that wait."""
    bound: int | None
    """How many of them may be the users', if there is a bound."""
    dropped: int
    """Messages for which there was no room."""
    links: tuple[Pid, ...]
    monitors: tuple[Item, ...]
    """What it watches."""
    monitored_by: tuple[Pid, ...]
    """Who watches it: once for each monitor."""
    trap_exit: bool
    age: float
    """Seconds since it was started."""
    system: bool
    """Whether it is the node's own: its body, or one that answers a tool."""


@attrs.frozen
class StateInfo:
    """A look into one process."""

    pid: Pid
    name: str | None
    label: str
    attributes: Mapping[str, str]
    """Of the object whose callbacks it runs, as its `format_status` lets them be seen, each as it prints."""
    mailbox: tuple[str, ...]
    """The messages that wait, the first ones of them."""
    waiting: int
    """How many wait in all."""
    bound: int | None
    """How many of them may be the users', if there is a bound."""
    dropped: int
    """Messages for which there was no room."""
    stack: str
    """Where it is."""
    suspended: bool
    """Whether it handles system messages alone."""
    debug: tuple[str, ...]
    """Who watches its messages."""
    log: tuple[str, ...]
    """The last messages, if they are kept."""


def is_system(node: Node, process: Process) -> bool:
    """Whether a process is the node's own: its body, or one that answers a tool."""
    return process is node.runtime.body or process.label == CONTROL_LABEL


def processes(node: Node) -> list[ProcessInfo]:
    """All processes of the node, oldest first."""
    return [
        ProcessInfo(
            pid=process.pid,
            name=process.name,
            label=process.label,
            application=process.application,
            mailbox=len(process.mailbox.queue),
            bound=_bound_of(process),
            dropped=_dropped_by(process),
            links=tuple(process.links),
            monitors=tuple(process.monitors.values()),
            monitored_by=tuple(watcher for watcher, _ in process.watchers.values()),
            trap_exit=process.trap_exit,
            age=age_of(process),
            system=is_system(node, process),
        )
        for process in node.runtime.processes.values()
    ]


def find(node: Node, text: str) -> Process | None:
    """The process that a name, as it is shown, or a printed pid means, if it is alive and of this node."""
    runtime = node.runtime
    elsewhere = (process.pid for process in runtime.processes.values() if process.name == text)
    pid = runtime.registry.whereis(text) or next(elsewhere, None)
    written = parse_pid(text)
    if pid is None and written is not None and written.node in (UNNAMED_NODE, runtime.node_name):
        pid = Pid(runtime.node_name, written.id, written.serial, runtime.creation)
    return None if pid is None else runtime.processes.get(pid)


def state(node: Node, process: Process) -> StateInfo:
    """What is to be seen of a process, and where it is; it is not asked, so it may be stuck."""
    queue, seen = process.mailbox.queue, process.seen()
    waiting = [process.seen(message).message for message in map(opened, islice(queue, MESSAGES_SHOWN))]
    return StateInfo(
        pid=process.pid,
        name=process.name,
        label=process.label,
        attributes={name: printed(value) for name, value in seen.state.items()},
        mailbox=tuple(map(printed, waiting)),
        waiting=len(queue),
        bound=_bound_of(process),
        dropped=_dropped_by(process),
        stack=stack_of(process),
        suspended=process.suspended,
        debug=seen.debug,
        log=tuple(map(str, seen.log)),
    )


def _bound_of(process: Process) -> int | None:
    return process.mailbox.bound.size if isinstance(process.mailbox, BoundedMailbox) else None


def _dropped_by(process: Process) -> int:
    return process.mailbox.drops.count if isinstance(process.mailbox, BoundedMailbox) else 0


def age_of(process: Process) -> float:
    return max(0.0, round(time.time() - process.started_at, 3))
