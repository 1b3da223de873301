"""What the tests of processes share: a few processes to experiment on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, TypeGuard

import anyio
from anyio import wait_all_tasks_blocked
from anyio.abc import TaskGroup

from regrow import Down, Node, Pid, Reason, Stop, link, monitor, receive, self_pid, send, trap_exit


class Broken(Exception):
    """Raised in processes that are to crash."""


async def idle() -> None:
    """Lives until something ends it."""
    await anyio.sleep_forever()


async def end_with(reason: Reason) -> None:
    """Ends at once with this reason."""
    raise Stop(reason)


async def crash(error: BaseException) -> None:
    """Ends at once with this exception."""
    raise error


async def end_on_message() -> None:
    """Ends with the reason it is sent; with `Normal` for anything else."""
    reason = await receive()
    if isinstance(reason, Reason):
        raise Stop(reason)


async def report_to(home: Pid, linked_to: Pid | None = None, *, trap: bool = True) -> None:
    """Links if it is to, says `ready`, and forwards whatever comes."""
    trap_exit(trap)
    if linked_to is not None:
        link(linked_to)
    send(home, (self_pid(), "ready"))
    while True:
        send(home, (self_pid(), await receive()))


async def ready(pid: Pid) -> None:
    """Wait for the `ready` of a process that reports to this one."""
    await receive(lambda message: message == (pid, "ready"), timeout=5.0)


async def reported(pid: Pid) -> object:
    """The next message that a process forwarded to this one."""

    def from_it(message: object) -> TypeGuard[tuple[Pid, object]]:
        return isinstance(message, tuple) and message[0] == pid

    return (await receive(from_it, timeout=5.0))[1]


async def end_of(pid: Pid) -> Reason:
    """Why the process ended; waits for it."""
    ref = monitor(pid)
    down = await receive(lambda m: isinstance(m, Down) and m.ref == ref, timeout=5.0)
    assert isinstance(down, Down), "by the predicate"
    return down.reason


async def settled() -> None:
    """Let everything happen that is going to happen without anybody's doing."""
    await wait_all_tasks_blocked()


def start_outsider(group: TaskGroup, fn: Callable[..., Coroutine[Any, Any, object]], *args: object) -> None:
    """Start a task that inherits nothing of the process that starts it."""

    def start() -> None:
        group.start_soon(fn, *args)

    Context().run(start)


async def run_in(node: Node, body: Callable[[], Awaitable[object]]) -> None:
    """Run a function as the body of a node."""
    async with node:
        await body()


# -- what may go wrong in user code


async def lets_a_cancellation_out() -> None:
    """Of a scope that is long over."""
    caught: list[BaseException] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            caught.append(error)
            raise
    raise caught[0]


async def lets_a_timeout_out() -> None:
    with anyio.fail_after(0):
        await anyio.sleep_forever()


async def leaves_a_scope_open() -> None:
    """As an iterator does that is left in the middle; then its time is up."""
    scope = anyio.CancelScope()
    scope.__enter__()
    scope.cancel()
    await anyio.sleep_forever()
