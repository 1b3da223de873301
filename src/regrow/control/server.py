"""The listening side of a control socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any, cast

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream, TaskStatus

from ..errors import NotInNode
from ..inspect import CONTROL_LABEL, Json
from ..local_nodes import is_own_user
from ..node import Node
from ..reasons import Crash, Killed
from ..runtime import Process
from .protocol import ANSWER_BYTES_MAX, REQUEST_BYTES_MAX, ExitCode, Refused
from .verbs import END_WITH_CLIENT, VERBS, Arguments, argument, run_verb

PATIENCE_S = 5.0  # what a client gets to say what it wants
ANSWER_S = 5.0  # and to take its answer
CONNECTIONS_MAX = 64  # more wait in the backlog
PAUSE_S = 0.1  # between two attempts when no connection can be accepted, for want of descriptors say
CHUNK = 64 * 1024
HALT = "halt"  # no verb of the node: whoever runs it ends it


async def serve(
    node: Node,
    sock: socket.socket,
    halt: Callable[[bool], None],
    *,
    patience_s: float = PATIENCE_S,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Answer the requests that come through a listening Unix socket, until cancelled.

    Each runs in a process of the node, so it may call, send and receive. `halt(hard)` is called when somebody
    wants the node to stop; its client is answered first, and learns of the end by the end of its connection.
    """
    server = _Server(node, halt, patience_s)
    listener = await SocketListener.from_socket(sock)
    async with listener, anyio.create_task_group() as group:
        task_status.started()
        while True:
            await server.free.acquire()
            try:
                group.start_soon(server.serve_one, await listener.accept())
            except OSError as error:
                server.free.release()
                node.runtime.reports.warning(f"the control socket accepts no connection: {error}")
                await anyio.sleep(PAUSE_S)


class _Server:
    def __init__(self, node: Node, halt: Callable[[bool], None], patience_s: float) -> None:
        self.free = anyio.Semaphore(CONNECTIONS_MAX)
        self._node = node
        self._halt = halt
        self._patience_s = patience_s

    async def serve_one(self, stream: SocketStream) -> None:
        """One connection, from its request to its end."""
        try:
            async with stream:
                # Nobody else should get this far: the socket and its directory are the user's alone.
                if is_own_user(stream.extra(SocketAttribute.raw_socket)):
                    await self._converse(stream)
        except (anyio.BrokenResourceError, anyio.EndOfStream, OSError):
            return  # the client is gone, or said nothing in time: there is nobody to tell
        except Exception as error:  # noqa: BLE001 - the border where a failing connection must not become the node's end
            self._node.runtime.reports.warning(f"a connection to the control socket failed: {Crash(error)}")
        finally:
            self.free.release()

    async def _converse(self, stream: SocketStream) -> None:
        with anyio.fail_after(self._patience_s):
            line = await _read_line(stream)
        # Shielded: a node that stops ends the process, and its client is to learn that.
        halt = None
        with anyio.CancelScope(shield=True):
            halt = await self._answer(line, stream)
        if halt is not None:
            self._halt(halt)
            await anyio.sleep_forever()  # until the node is gone: the client sees the connection end then

    async def _answer(self, line: bytes, stream: SocketStream) -> bool | None:
        """Carry out a request and send what it gives; for a request to halt, whether that is to be at once."""
        halt: bool | None = None
        answer: dict[str, Json] = {"result": None}
        try:
            command, arguments = _parse(line)
            if command == HALT:
                halt = argument(arguments, "hard", bool, False)
            else:
                answer["result"] = await self._carry_out(command, arguments, stream)
        except Refused as refused:
            answer = {"error": refused.text, "exit": refused.exit_code.value, "detail": refused.detail}
        await _send(stream, answer)
        return halt

    async def _carry_out(self, command: str, arguments: Arguments, stream: SocketStream) -> Json:
        """What the command gives, carried out in a process of the node."""
        results: list[Json] = []
        refusals: list[Refused] = []

        async def body(_process: Process) -> None:
            try:
                results.append(await run_verb(command, self._node, arguments))
            except Refused as refused:
                refusals.append(refused)

        try:
            process = self._node.runtime.spawn(body, CONTROL_LABEL, None)
        except NotInNode as error:
            raise Refused(str(error)) from None
        async with anyio.create_task_group() as group:
            if command in END_WITH_CLIENT:
                group.start_soon(_end_with, stream, process)
            await process.wait_ended()
            group.cancel_scope.cancel()
        for refused in refusals:
            raise refused
        if not results and self._is_stopping():
            raise Refused(f"{self._node.name} stopped before it was done")
        if not results:
            raise Refused(f"the process that carried out the request ended: {process.ended}")
        return results[0]

    def _is_stopping(self) -> bool:
        body = self._node.runtime.body
        return body is not None and body.exiting is not None


async def _end_with(stream: SocketStream, process: Process) -> None:
    """Kill the process when the client is gone."""
    try:
        while True:
            await stream.receive(CHUNK)  # it has nothing more to say
    except (anyio.BrokenResourceError, anyio.EndOfStream):
        process.die(Killed())


async def _read_line(stream: SocketStream) -> bytes:
    """The request, up to the end of its line; as much as is allowed of one that is longer."""
    data = bytearray()
    while len(data) <= REQUEST_BYTES_MAX and b"\n" not in data[-CHUNK:]:
        data += await stream.receive(CHUNK)
    return bytes(data)


def _parse(line: bytes) -> tuple[str, Arguments]:
    """The command and its arguments. Raises `Refused` for what is no request."""
    if len(line) > REQUEST_BYTES_MAX:
        raise Refused(f"the request is longer than {REQUEST_BYTES_MAX} bytes", ExitCode.USAGE)
    try:
        request: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("the request is no JSON", ExitCode.USAGE) from None
    known = cast("dict[str, Any]", request) if isinstance(request, dict) else {}
    command, arguments = known.get("command"), known.get("arguments", {})
    if not isinstance(command, str) or not isinstance(arguments, dict):
        raise Refused("a request is an object with a command and its arguments", ExitCode.USAGE)
    if command not in VERBS and command != HALT:
        raise Refused(f"this node knows no command {command!r}", ExitCode.USAGE)
    return command, cast(Arguments, arguments)


async def _send(stream: SocketStream, answer: dict[str, Json]) -> None:
    data = json.dumps(answer).encode()
    if len(data) > ANSWER_BYTES_MAX:
        data = json.dumps({"error": f"the answer is too long: {len(data)} bytes", "exit": 1}).encode()
    with anyio.fail_after(ANSWER_S):
        await stream.send(data + b"\n")
