"""The verbs for other nodes: connect, disconnect, who is there, being told of comings and goings, what may cross."""

from __future__ import annotations

from .messages import NodeDown
from .node import current_node
from .runtime import this_process


def nodes() -> list[str]:
    """The nodes that the current one is connected with, in the order they came."""
    return current_node().runtime.route.connected()


async def connect(node: str) -> bool:
    """Connect to a node; whether it is connected then. Sending to it or monitoring it does so by itself."""
    here = current_node()
    return node == here.name if here.net_kernel is None else await here.net_kernel.connect(node)


def disconnect(node: str) -> bool:
    """Close the connection to a node, which both then take for down; whether there was one."""
    net = current_node().net_kernel
    return net is not None and net.disconnect(node)


def monitor_node(node: str, on: bool = True) -> None:
    """Get one `NodeDown(node)` when the node is lost; at once if it can't be reached.

    Asked for twice it comes twice; `on=False` takes one back.
    """
    me = this_process("monitor_node")
    net = current_node().net_kernel
    if net is not None:
        net.monitor_node(me, node, on)
    elif on and node != me.runtime.node_name:
        me.mailbox.post_system(NodeDown(node))


def monitor_nodes(on: bool = True) -> None:
    """Get `NodeUp` and `NodeDown`, with its reason, for every node that comes or goes, until asked to stop."""
    me = this_process("monitor_nodes")
    net = current_node().net_kernel
    if net is not None:
        net.monitor_nodes(me, on)


def check_portable(value: object) -> None:
    """Return if the value could be sent to another node from this one, whether or not there are any.

    For what is kept now and crosses later, with a takeover perhaps, when it is too late to refuse it. Raises
    `NotPortable`, with the place inside of the value; also for what is too large for a message.
    """
    current_node().codec.encode(value)
