"""The supervision trees of a node: applications, their supervisors and workers, and what belongs to none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from .._pure.ids import Pid
from ..application_controller import LoadedApplication, Phase
from ..application_master import MasterRunner
from ..children import Child
from ..node import Node
from ..owner import OwnerRunner
from ..runtime import Process
from .processes import age_of, is_system


@attrs.frozen
class Supervision:
    """How a supervisor restarts, and how often it still may."""

    strategy: str
    intensity: int
    period: float
    budget_left: int


@attrs.frozen
class TreeNode:
    """An application, a supervisor or a worker, with what it has started."""

    name: str
    pid: Pid | None
    """`None` for a library application, and for a child that does not run."""
    type: Literal["application", "supervisor", "worker"]
    restarts: int
    """How often its supervisor has restarted it."""
    children: tuple[TreeNode, ...] = ()
    label: str = ""
    """Its class, or the function it runs."""
    status: Literal["running", "restarting", "stopped"] = "running"
    mailbox: int = 0
    """Messages that wait."""
    age: float | None = None
    """Seconds since it was started."""
    supervision: Supervision | None = None
    restart: str | None = None
    """`permanent`, `transient` or `temporary`; `None` where nobody restarts it."""


def tree(node: Node, app: str | None = None) -> list[TreeNode]:
    """The applications that run or start here with their trees, then what belongs to none; or one application alone."""
    controller = node.applications
    starting = [each for each in controller.loaded.values() if each.phase is Phase.STARTING and each.master is not None]
    here = [*controller.running.values(), *starting]
    trees = [_application_tree(node, each) for each in here if app in (None, each.name)]
    if app is None:
        trees += [_process_tree(node, root) for root in _roots(node, None)]
    return trees


def _application_tree(node: Node, application: LoadedApplication) -> TreeNode:
    master = application.master
    top = master.runner.root if master is not None and isinstance(master.runner, MasterRunner) else None
    roots = [process for process in _roots(node, application.name) if process is not top]
    return TreeNode(
        name=application.name,
        pid=None if master is None else master.pid,
        type="application",
        restarts=0,
        children=tuple(_process_tree(node, root) for root in ([] if top is None else [top]) + roots),
        label="" if application.manifest.module is None else application.manifest.module.partition(":")[2],
        age=None if master is None else age_of(master),
        restart=application.restart.value,
    )


def _roots(node: Node, application: str | None) -> Iterable[Process]:
    """The processes of an application, or of none, that no supervisor has started."""
    for process in node.runtime.processes.values():
        if process.application == application and process.at_home and not is_system(node, process):
            yield process


def _process_tree(node: Node, process: Process, child: Child | None = None) -> TreeNode:
    runner = process.runner
    owner = runner if isinstance(runner, OwnerRunner) else None
    return TreeNode(
        name=process.name or (process.label if child is None else child.spec.id),
        pid=process.pid,
        type="worker" if owner is None else "supervisor",
        restarts=0 if child is None else child.restarts,
        children=() if owner is None else tuple(_child_tree(node, each) for each in owner.all_children()),
        label=process.label,
        mailbox=len(process.mailbox.queue),
        age=age_of(process),
        supervision=None if owner is None else _supervision(node, owner),
        restart=None if child is None else child.spec.restart.value,
    )


def _child_tree(node: Node, child: Child) -> TreeNode:
    if child.process is not None:
        return _process_tree(node, child.process, child)
    spec = child.spec
    name = str(spec.name or spec.id)
    return TreeNode(name, None, spec.type.value, child.restarts, status=child.status.value, restart=spec.restart)


def _supervision(node: Node, runner: OwnerRunner) -> Supervision | None:
    if not hasattr(runner, "intensity"):  # it has not read its flags yet
        return None
    left = runner.intensity.left(node.runtime.clock.now())
    return Supervision(runner.flags.strategy.value, runner.flags.intensity, runner.flags.period_s, left)


def supervisor_of(node: Node, process: Process) -> tuple[Process, Child] | None:
    """The supervisor that has started a process, and what it keeps of it."""
    parent = None if process.parent is None else node.runtime.processes.get(process.parent)
    if parent is None or not isinstance(parent.runner, OwnerRunner):
        return None
    child = parent.runner.by_pid.get(process.pid)
    return None if child is None else (parent, child)
