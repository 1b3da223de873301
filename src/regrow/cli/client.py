"""Asking a running node: which one, and one request through its control socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from ..control import ExitCode, Refused
from ..control.protocol import REQUEST_BYTES_MAX
from ..local_nodes import Record, connect, live_nodes


def pick(name: str | None) -> Record:
    """The running node of this name, or the only one there is. Raises `Refused`."""
    nodes = live_nodes()
    names = ", ".join(node.name for node in nodes)
    if not nodes and name is None:
        raise Refused("no node is running here; start one with regrow run", ExitCode.NOT_FOUND)
    found = [node for node in nodes if name in (None, node.name)]
    if not found:  # without its host a name will do if it is only one's
        found = [node for node in nodes if node.name.partition("@")[0] == name]
    if not found:
        raise Refused(f"no node {name} is running here; running: {names or 'none'}", ExitCode.NOT_FOUND)
    if len(found) > 1:
        raise Refused(f"several nodes are running here, choose one with --node: {names}", ExitCode.USAGE)
    return found[0]


def ask(
    node: Record,
    command: str,
    arguments: Mapping[str, object],
    timeout_s: float | None = None,
    *,
    then: Callable[[socket.socket], None] = lambda _connection: None,
) -> Any:
    """The result of a request, once the node has answered; `then` gets the connection before it is closed.

    Raises `Refused`, also for a node that is gone or does not answer in time.
    """
    request = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
    if len(request) > REQUEST_BYTES_MAX:
        raise Refused(f"the request is longer than {REQUEST_BYTES_MAX} bytes", ExitCode.USAGE)
    try:
        with connect(node, timeout_s) as connection:
            connection.sendall(request)
            answer = _answer(connection, node)
            then(connection)
    except TimeoutError:
        raise Refused(f"{node.name} did not answer within {timeout_s:g} s", ExitCode.TIMED_OUT) from None
    except ConnectionError as error:
        raise Refused(f"{node.name} cannot be asked: {error.strerror or error}", ExitCode.NOT_FOUND) from None
    return answer


def _answer(connection: socket.socket, node: Record) -> Any:
    with connection.makefile("rb") as stream:
        line = stream.readline()
    if not line.endswith(b"\n"):
        raise Refused(f"{node.name} ended before it answered")
    answer = json.loads(line)
    if "error" in answer:
        raise Refused(answer["error"], ExitCode(answer.get("exit", 1)), answer.get("detail", ""))
    return answer["result"]
