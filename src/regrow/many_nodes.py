"""One request to the servers of one name on many nodes. OTP's `multi_call` and `abcast`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from ._pure.config import is_node_name
from .gen import check_timeout
from .runtime import Runtime, here
from .sent_requests import SentRequest, send_request

R = TypeVar("R")


class Replies(NamedTuple, Generic[R]):
    """What a `multi_call` brought."""

    replies: list[tuple[str, R]]
    """Each node that replied, with its reply, in the order the nodes were given in."""
    bad_nodes: dict[str, Exception]
    """The others, each with what a call would have raised."""


async def ask_nodes(
    nodes: Iterable[str] | None,
    name: str,
    method: str | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    timeout_s: float | None,
) -> Replies[Any]:
    """Ask the servers of that name on these nodes, all at once, and wait for all replies until the time is up."""
    check_timeout(timeout_s)
    asked: list[tuple[str, SentRequest[Any]]] = []
    found = Replies[Any]([], {})
    try:
        for node in node_names(here().runtime, nodes):
            asked.append((node, send_request((name, node), method, args, kwargs, timeout_s)))
        for node, request in asked:
            try:
                found.replies.append((node, await request.wait()))
            except Exception as error:  # noqa: BLE001 - whatever a server answers with
                found.bad_nodes[node] = error
    finally:
        for _, request in asked:
            request.abandon()
    return found


def node_names(runtime: Runtime, nodes: Iterable[str] | None) -> list[str]:
    """The nodes, or this one and all that are connected. Raises `TypeError` and `ValueError`, naming what is none."""
    if nodes is None:
        return [runtime.node_name, *runtime.route.connected()]
    if isinstance(nodes, str):
        raise TypeError(f"the nodes are a list of names, not {nodes!r}")
    names = list(nodes)
    wrong = [name for name in names if not (is_node_name(name) or name == runtime.node_name)]
    if wrong:
        raise ValueError(f"no names of nodes: {', '.join(map(repr, wrong))}")
    return names
