"""How a request gets to a server, on this node or another, and its answer back to who asked. OTP's `gen`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ._pure.ids import Reference
from .call_cycles import begin_wait, waiting
from .errors import CallingSelf, MailboxFull, NoProcess
from .messages import Call, Request, result_of
from .refs import Dest, item_of, runtime_for
from .runtime import Process, Runtime, current
from .signals import GiveUp, Item, Send, node_of, target_of

Envelope: TypeAlias = Callable[[Reference, bool | None], object]
"""Makes what travels to another node: of the alias for the reply, and of whether the call is nested."""


async def request(
    dest: Dest, method: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout_s: float | None
) -> Any:
    """Send a request and wait for its reply; what every call comes down to."""
    me = current.get(None)
    runtime = runtime_for(dest)
    item = item_of(dest, runtime)
    server = runtime.lookup(item)
    caller = me if isinstance(me, Process) else None
    call = Call(None if caller is None else caller.pid, runtime.backend.promise(), method, args, kwargs)
    if server is None:
        return await exchange_far(runtime, item, call, request_for(call, timeout_s), timeout_s)
    if server is caller:
        raise CallingSelf(server.pid)
    return await exchange(caller, server, call, server.mailbox.post, timeout_s)


async def exchange(
    caller: Process | None, server: Process, call: Call, post: Callable[[Call], None], timeout_s: float | None
) -> Any:
    """Put the call into the server's mailbox and wait for its answer, whichever way it ends."""
    check_timeout(timeout_s)
    held_up = None if caller is None or caller.runner is None else begin_wait(caller, call, server)
    call.admit(server.requests)
    post(call)
    if timeout_s is not None:
        server.runtime.timers.expire_after(timeout_s, call)
    try:
        return result_of(await call.promise)
    except MailboxFull:
        await server.runtime.backend.checkpoint()  # whoever tries again at once has to let the server make room
        raise
    finally:
        call.withdraw()
        if held_up is not None:
            held_up.waits_for = None


async def exchange_far(runtime: Runtime, item: Item, call: Call, envelope: Envelope, timeout_s: float | None) -> Any:
    """The same with a server on another node."""
    check_timeout(timeout_s)
    with waiting(runtime, call, item) as held_up:
        nested = None if held_up is None else held_up.waits_nested
        reference = post_far(runtime, item, call, lambda reference: envelope(reference, nested))
        try:
            if timeout_s is not None:
                runtime.timers.expire_after(timeout_s, call)
            return result_of(await call.promise)
        finally:
            give_up(runtime, item, call)
            del runtime.aliases[reference]


def post_far(runtime: Runtime, item: Item, call: Call, envelope: Callable[[Reference], object]) -> Reference:
    """Put the call on its way to another node. Its reply comes to an alias, which who waits for it has to forget.

    Raises `NoProcess` if it is this node that has no such process, and `NotPortable`.
    """
    node, to = node_of(item), target_of(item)
    if node == runtime.node_name:
        raise NoProcess(to)
    reference = call.reference = runtime.make_ref()
    runtime.aliases[reference] = call
    call.admit(runtime.outgoing.setdefault(node, {}))
    # A process of another node in this interpreter calls through a reference of this one as an outsider would.
    sender = call.caller if call.caller in runtime.processes else None
    try:
        runtime.dispatch(node, Send(sender or runtime.nobody, to, envelope(reference)))
    except BaseException:
        call.withdraw()
        runtime.aliases.pop(reference, None)
        raise
    return reference


def give_up(runtime: Runtime, item: Item, call: Call) -> None:
    """Nobody waits for the reply any more: if it has neither come nor run out of time, the other node is told."""
    if call.withdraw() and call.reference is not None and node_of(item) != runtime.node_name:
        runtime.dispatch(node_of(item), GiveUp(call.reference))


def request_for(call: Call, timeout_s: float | None) -> Envelope:
    """The call in the form in which it travels."""
    left_s = None if timeout_s is None else float(timeout_s)
    return lambda reference, nested: Request(reference, call.method, call.args, call.kwargs, left_s, nested)


def check_timeout(timeout_s: float | None) -> None:
    """Raises `ValueError`, before anything is sent."""
    if timeout_s is not None and not timeout_s >= 0:  # so put, it catches NaN as well
        raise ValueError(f"a timeout is None or seconds from 0 up, not {timeout_s!r}")
