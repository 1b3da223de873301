"""What other nodes do to the processes of this one, and what becomes of them when a node goes down."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, assert_never

from ._pure.codec import NotPortable, Unreadable
from ._pure.ids import Pid, Reference
from .call_cycles import probe_arrived, request_arrived
from .errors import CallbackFailed, NoProcess, ServerExited, StartFailed
from .mailbox import Mailbox
from .messages import NO_KWARGS, Call, Cast, Deliver, Failure, NodeDown, NodeUp, Request
from .reasons import NoConnection, NoProc, Reason, RemoteError
from .runtime import Process, Runtime
from .signals import (
    Demonitor,
    GiveUp,
    Item,
    Link,
    Monitor,
    Probe,
    Send,
    SendDown,
    SendExit,
    Signal,
    Unlink,
    UnlinkAck,
    node_of,
)
from .system_words import SystemAsk, SystemRequest
from .wire import as_text


class ReplyToNode:
    """The promise of a caller on another node: its result travels there, to the alias that waits."""

    __slots__ = ("_done", "node", "reference", "runtime")

    def __init__(self, runtime: Runtime, node: str, reference: Reference) -> None:
        self.node = node
        self.runtime = runtime
        self.reference = reference
        self._done = False

    def done(self) -> bool:
        return self._done

    def settle(self, value: Any = None, /) -> None:
        if self._done:
            return
        self._done = True
        try:
            self._send(value)
        except NotPortable as error:
            self._send(self._instead_of(value, error))

    def _send(self, value: object) -> None:
        self.runtime.route.dispatch(self.node, Send(self.runtime.nobody, self.reference, value))

    def _instead_of(self, value: object, refusal: NotPortable) -> object:
        """What is said in place of what can't leave this node."""
        match value:
            case Failure((ServerExited() | StartFailed() | CallbackFailed()) as error):
                return Failure(type(error)(as_text(error.reason)))
            case Reason():
                return as_text(value)
            case _:
                # The server did its work; that nobody over there can read the answer is the caller's news.
                self.runtime.reports.warning(f"a reply to {self.node} cannot leave this node: {refusal}")
                return Failure(RemoteError(type(refusal).__name__, str(refusal)))

    def __await__(self) -> Generator[Any, Any, Any]:
        raise TypeError("who awaits this reply is on another node")


class CallFromNode(Call):
    """A call by a process of another node. That its time is up it knows by itself: here it is forgotten, no more."""

    __slots__ = ("_reply",)

    def __init__(self, caller: Pid, reply: ReplyToNode, method: str | None, args: Any, kwargs: Any) -> None:
        super().__init__(caller, reply, method, args, kwargs)
        self.reference = reply.reference
        self._reply = reply

    def arrive(self) -> None:
        """Be known by the alias that waits for the answer, until that is given."""
        self._reply.runtime.incoming[self._reply.reference] = self

    def withdraw(self) -> bool:
        self._reply.runtime.incoming.pop(self._reply.reference, None)
        return super().withdraw()

    def answer(self, value: object) -> None:
        self._reply.runtime.incoming.pop(self._reply.reference, None)
        super().answer(value)

    def expire(self, timeout_s: float) -> None:
        self.withdraw()


def receive_signal(runtime: Runtime, node: str, signal: Signal) -> None:
    """Carry out what a process of another node does to one of this node. Never waits, never raises."""
    match signal:
        case Send():
            receive_message(runtime, node, signal)
        case Probe():
            probe_arrived(runtime, signal)
        case GiveUp(reference):
            call = runtime.incoming.get(reference)
            if call is not None and reference.node == node:
                call.withdraw()
        case Link(sender, to):
            _link(runtime, node, sender, to)
        case Unlink(sender, to, number):
            process = runtime.processes.get(to)
            if process is not None:
                process.links.pop(sender, None)
            runtime.dispatch(node, UnlinkAck(to, sender, number))
        case UnlinkAck(sender, to, number):
            process = runtime.processes.get(to)
            if process is not None and process.unlinking.get(sender) == number:
                del process.unlinking[sender]
        case SendExit(sender, to, reason, linked):
            process = _addressee(runtime, to)
            if process is not None:
                process.exit_signal(sender, reason, linked=linked)
        case Monitor(watcher, ref, to):
            item = _item(runtime, to)
            process = runtime.lookup(item)
            if process is None:
                runtime.dispatch(node, SendDown(ref, watcher, item, NoProc()))
            else:
                process.watchers[ref] = (watcher, item)
        case Demonitor(_, ref, to):
            process = _addressee(runtime, to)
            if process is not None:
                process.watchers.pop(ref, None)
        case SendDown(ref, watcher, item, reason):
            process = runtime.processes.get(watcher)
            watched = None if process is None else process.monitors.get(ref)
            if watched is not None and node_of(watched) == node:
                runtime.down(watcher, ref, item, reason)
        case _:
            assert_never(signal)


def receive_message(runtime: Runtime, node: str, send: Send) -> None:
    """The same for what most signals are: a message to a process, or the reply to one."""
    to, message = send.to, send.message
    if isinstance(to, Reference):
        _reply(runtime, node, to, message)
        return
    process = _addressee(runtime, to)
    if type(message) is Request:
        _request(runtime, node, send.sender, to, process, message)
    elif type(message) is not Cast:
        _message(runtime, node, send.sender, to, process, message)
    elif process is not None:
        process.mailbox.post(message)


def _item(runtime: Runtime, to: Pid | str) -> Item:
    return to if isinstance(to, Pid) else (to, runtime.node_name)


def _addressee(runtime: Runtime, to: Pid | str) -> Process | None:
    pid = runtime.registry.whereis(to) if isinstance(to, str) else to
    return None if pid is None else runtime.processes.get(pid)


def _reply(runtime: Runtime, node: str, alias: Reference, message: object) -> None:
    """What the node answers to a call; dropped if that is over, or was put to another node."""
    asked, call = runtime.aliases.get(alias, (None, None))
    if call is None or asked != node:
        return
    if isinstance(message, Unreadable):
        message = Failure(RemoteError("NotPortable", f"{runtime.node_name} cannot read the reply: {message.why}"))
    call.answer(message)


def _request(runtime: Runtime, node: str, sender: Pid, to: Pid | str, process: Process | None, asked: Request) -> None:
    reply = ReplyToNode(runtime, node, asked.reference)
    if isinstance(asked.args, Unreadable):
        _cannot_read(reply, "arguments", asked.args.why)
        return
    call = CallFromNode(sender, reply, asked.method, asked.args, asked.kwargs)
    mailbox = _mailbox_for(call, process, to, asked.time_left_s)
    if mailbox is not None:
        mailbox.post(call)
    if asked.nested is not None and process is not None:
        request_arrived(process, sender, asked.reference, asked.nested)


def _message(runtime: Runtime, node: str, sender: Pid, to: Pid | str, process: Process | None, message: object) -> None:
    match message:
        case SystemAsk(reference, Unreadable(why)):
            _cannot_read(ReplyToNode(runtime, node, reference), "arguments", why)
        case Deliver(reference, Unreadable(why)):
            _cannot_read(ReplyToNode(runtime, node, reference), "message", why)
        case Unreadable(why):
            runtime.reports.warning(f"a message from {node} was dropped, this node cannot read it: {why}")
        case SystemAsk(reference, operation) if not isinstance(operation, Unreadable):
            request = SystemRequest.of(sender, ReplyToNode(runtime, node, reference), operation)
            request.reference = reference
            mailbox = _mailbox_for(request, process, to)
            if mailbox is not None:
                mailbox.post_system(request)
            if process is not None:
                request_arrived(process, sender, reference, nested=True)  # as far as is known
        case Deliver(reference, sent, time_left_s):
            reply = ReplyToNode(runtime, node, reference)
            delivery = CallFromNode(sender, reply, "send_wait", (sent,), NO_KWARGS)
            mailbox = _mailbox_for(delivery, process, to, time_left_s)
            if mailbox is not None:
                mailbox.deliver(delivery)
        case _ if process is not None:
            process.mailbox.post(message)
        case _:
            pass  # sent to nobody


def _cannot_read(reply: ReplyToNode, what: str, why: str) -> None:
    text = f"{reply.runtime.node_name} cannot read the {what}: {why}"
    reply.settle(Failure(RemoteError("NotPortable", text)))


def _mailbox_for(
    call: Call, process: Process | None, to: Pid | str, time_left_s: float | None = None
) -> Mailbox | None:
    """Where a request that arrives is put; nowhere if it comes too late, and its sender is told so."""
    if process is None:
        call.promise.settle(Failure(NoProcess(to)))
        return None
    if process.exiting is not None:
        call.keep_in(process.requests)  # the answer is that it has ended
    if isinstance(call, CallFromNode):
        call.arrive()
    if time_left_s is not None:
        process.runtime.timers.expire_after(time_left_s, call)
    return process.mailbox


def _link(runtime: Runtime, node: str, sender: Pid, to: Pid) -> None:
    process = runtime.processes.get(to)
    if process is None:
        runtime.dispatch(node, SendExit(to, sender, NoProc(), linked=True))
    elif sender not in process.unlinking:
        # While an unlink of ours is under way, the other side has yet to hear of it: this link is older than that.
        process.links[sender] = None


def node_up(runtime: Runtime, node: str) -> None:
    """A node has connected."""
    for process in list(runtime.processes.values()):
        for _ in range(process.monitors_nodes):
            process.mailbox.post_system(NodeUp(node))


def node_down(runtime: Runtime, node: str, reason: str) -> None:
    """A node is lost. Whoever was tied to one of its processes hears of that first: links, then monitors."""
    for asked, call in list(runtime.aliases.values()):
        if asked == node:
            call.server_ended(NoConnection())
    for process in list(runtime.processes.values()):
        _lose_node(runtime, process, node)
        tell_node_monitor(process, node)
        for _ in range(process.monitors_nodes):
            process.mailbox.post_system(NodeDown(node, reason))


def tell_node_monitor(process: Process, node: str) -> None:
    """One `NodeDown` for each time it was asked for; that is all of them."""
    for _ in range(process.node_monitors.pop(node, 0)):
        process.mailbox.post_system(NodeDown(node))


def _lose_node(runtime: Runtime, process: Process, node: str) -> None:
    for pid in [pid for pid in process.links if pid.node == node]:
        process.exit_signal(pid, NoConnection(), linked=True)
    for pid in [pid for pid in process.unlinking if pid.node == node]:
        del process.unlinking[pid]
    for ref, item in list(process.monitors.items()):
        if node_of(item) == node:
            runtime.down(process.pid, ref, item, NoConnection())
    for ref, (watcher, _) in list(process.watchers.items()):
        if watcher.node == node:
            del process.watchers[ref]
    for request in process.open_requests():
        # Its caller has heard already that there will be no reply; one must not bring a new connection about.
        if isinstance(request, Call) and isinstance(request.promise, ReplyToNode) and request.promise.node == node:
            request.withdraw()
