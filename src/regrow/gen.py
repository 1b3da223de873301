"""How a request gets to a server, on this node or another, and its answer back to who asked. OTP's `gen`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._pure.ids import Pid, Reference
from .call_cycles import begin_wait, held_up_by
from .errors import CallingSelf, MailboxFull, NoProcess
from .mailbox import NOT_HANDLED
from .messages import Call, Failure, result_of
from .refs import Dest, ServerRef, item_of, runtime_for
from .runtime import Process, Runtime, current
from .signals import GiveUp, Item, Send, node_of


async def request(
    dest: Dest,
    method: str | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    timeout_s: float | None,
    kind: type[Call] = Call,
) -> Any:
    """Send a request and wait for its reply, whichever way it ends; what every call comes down to."""
    # Every call goes through here: each step of its own, function or coroutine, would be seen in what a call costs.
    me = current.get(None)
    mailbox = dest.mailbox if type(dest) is ServerRef else None
    server: Process | None = None if mailbox is None else mailbox.owner
    if mailbox is None or server is None:
        runtime = runtime_for(dest)
        item = item_of(dest, runtime)
        server = runtime.lookup(item)
        if server is None:
            asked_by = me.pid if isinstance(me, Process) else None
            far_call = kind(asked_by, runtime.backend.promise(), method, args, kwargs)
            return await _ask_far(runtime, item, far_call, timeout_s)
        mailbox = server.mailbox
    if server is me:
        raise CallingSelf(server.pid)
    if timeout_s is not None and not timeout_s >= 0.0:
        check_timeout(timeout_s)
    runtime = server.runtime
    caller = me if type(me) is Process else None
    pid = None if caller is None else caller.pid
    call: Call | None = None
    at_rest = mailbox.at_rest
    if at_rest is not None and kind is Call:
        if not runtime.in_place_left:
            await runtime.take_turns()
            at_rest = mailbox.at_rest
        if at_rest is not None:
            begun = at_rest.handle(Call, pid, method, args, kwargs)
            if type(begun) is Call:
                call = begun
            elif begun is not NOT_HANDLED:
                return begun
    is_begun = call is not None
    if call is None:
        call = kind(pid, runtime.backend.promise(), method, args, kwargs)
    held_up = None
    if caller is not None and caller.runner is not None and kind.holds_up:
        held_up = begin_wait(caller, call, server)
    if not is_begun:
        if server.exiting is not None:
            call.keep_in(server.requests)  # its mailbox takes nothing any more: the answer is that it has ended
        if kind is Call:
            mailbox.post(call)
        else:
            call.enter(mailbox)
    if timeout_s is not None and call.is_open:
        runtime.timers.expire_after(timeout_s, call)
    try:
        result = await call.promise
    finally:
        if call.is_open:
            call.withdraw()
        if held_up is not None:
            held_up.waits_for = None
    if type(result) is Failure:
        if isinstance(result.error, MailboxFull):
            await runtime.backend.checkpoint()  # whoever tries again at once has to let the server make room
        raise result.error
    return result


async def _ask_far(runtime: Runtime, item: Item, call: Call, timeout_s: float | None) -> Any:
    """The same with a server on another node."""
    check_timeout(timeout_s)
    held_up = held_up_by(runtime, call, item)
    try:
        reference = post_far(runtime, item, call, timeout_s, None if held_up is None else held_up.waits_nested)
        try:
            if timeout_s is not None:
                runtime.timers.expire_after(timeout_s, call)
            return result_of(await call.promise)
        finally:
            give_up(runtime, item, call)
            del runtime.aliases[reference]
    finally:
        if held_up is not None:
            held_up.waits_for = None


def post_far(
    runtime: Runtime, item: Item, call: Call, timeout_s: float | None, nested: bool | None = None
) -> Reference:
    """Put the call on its way to another node. Its reply comes to an alias, which who waits for it has to forget.

    `nested` is as for `Call.envelope`. Raises `NoProcess` if it is this node that has no such process, `NotPortable`.
    """
    to, node = (item, item.node) if isinstance(item, Pid) else item
    if node == runtime.node_name:
        raise NoProcess(to)
    reference = call.reference = runtime.make_ref()
    runtime.aliases[reference] = (node, call)
    # A process of another node in this interpreter calls through a reference of this one as an outsider would.
    sender = call.caller if call.caller in runtime.processes else None
    try:
        left_s = None if timeout_s is None else float(timeout_s)
        envelope = call.envelope(reference, left_s, nested)
        runtime.route.dispatch(node, Send(sender or runtime.nobody, to, envelope))
    except BaseException:
        call.withdraw()
        runtime.aliases.pop(reference, None)
        raise
    return reference


def give_up(runtime: Runtime, item: Item, call: Call) -> None:
    """Nobody waits for the reply any more: if it has neither come nor run out of time, the other node is told."""
    if call.withdraw() and call.reference is not None and node_of(item) != runtime.node_name:
        runtime.dispatch(node_of(item), GiveUp(call.reference))


def check_timeout(timeout_s: float | None) -> None:
    """Raises `ValueError`, before anything is sent."""
    if timeout_s is not None and not timeout_s >= 0.0:  # so put, it catches NaN as well
        raise ValueError(f"a timeout is None or seconds from 0 up, not {timeout_s!r}")
