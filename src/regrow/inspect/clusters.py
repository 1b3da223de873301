"""The nodes of a cluster, and who runs each distributed application, as one node sees it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from .._pure.config import Distributed
from .._pure.dist_app import Phase
from ..node import Node

Order: TypeAlias = "tuple[str | tuple[str, ...], ...]"


@attrs.frozen
class NodeInfo:
    """One node that is configured, connected, or the one that is asked."""

    name: str
    state: Literal["up", "down"]


@attrs.frozen
class DistributedInfo:
    """One distributed application: where it runs, and where it may."""

    running_on: str | None
    arbiter: str
    order: Order
    """The nodes it may run on, the best first; equal ones in a group."""


@attrs.frozen
class ClusterInfo:
    """A cluster as one node sees it."""

    node: str
    nodes: tuple[NodeInfo, ...]
    applications: dict[str, DistributedInfo]


def cluster(node: Node) -> ClusterInfo:
    """What the node knows of the others, by name, and of the applications that its configuration distributes."""
    config = node.config
    up = {node.name, *(() if node.net_kernel is None else node.net_kernel.connected())}
    listed = {*config.sync_nodes_mandatory, *config.sync_nodes_optional}
    listed.update(name for each in config.distributed for name in each.nodes)
    return ClusterInfo(
        node.name,
        tuple(NodeInfo(name, "up" if name in up else "down") for name in sorted(up | listed)),
        {each.application: _distributed(node, each) for each in config.distributed},
    )


def _distributed(node: Node, config: Distributed) -> DistributedInfo:
    order = tuple(group[0] if len(group) == 1 else group for group in config.groups)
    return DistributedInfo(_runs_on(node, config.application), config.arbiter, order)


def _runs_on(node: Node, name: str) -> str | None:
    """Also where this node was never asked to start it: the others say what they run."""
    if node.distribution is None:
        return None
    state = node.distribution.shared[name].state
    known = ((node.name, state.mine), *state.peers)
    return next((who for who, status in known if status.phase is Phase.RUNNING), None)
