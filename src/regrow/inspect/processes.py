"""The processes of a node, and a look into one of them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import attrs

from .._pure.ids import UNNAMED_NODE, Pid, parse_pid
from ..errors import short
from ..node import Node
from ..runtime import Process
from ..signals import Item
from ..stacks import stack_of

REPR_MAX = 2000  # characters of one attribute or message
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
    """Of the object whose callbacks it runs, each as it prints."""
    mailbox: tuple[str, ...]
    """The messages that wait, the first ones of them."""
    waiting: int
    """How many wait in all."""
    stack: str
    """Where it is."""


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
    """What a process holds and where it is; it is not asked, so it may be stuck."""
    queue = process.mailbox.queue
    shown = [short(message, REPR_MAX) for message, _ in zip(queue, range(MESSAGES_SHOWN), strict=False)]
    return StateInfo(
        pid=process.pid,
        name=process.name,
        label=process.label,
        attributes=attributes_of(process.server),
        mailbox=tuple(shown),
        waiting=len(queue),
        stack=stack_of(process),
    )


def attributes_of(server: object) -> Mapping[str, str]:
    """The attributes of an object, each as it prints; also those in slots."""
    values = dict(getattr(server, "__dict__", {}))
    for cls in reversed(type(server).__mro__):
        slots = cls.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(server, name):
                values[name] = getattr(server, name)
    return {name: short(value, REPR_MAX) for name, value in values.items()}


def age_of(process: Process) -> float:
    return max(0.0, round(time.time() - process.started_at, 3))
