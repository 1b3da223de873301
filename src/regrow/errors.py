"""What callers catch: one exception for each thing they can do about it."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from ._pure.ids import Pid
from .reasons import Crash, Custom, NoConnection, NoProc, Normal, Reason, as_reason, unwrapped


class NoReply(enum.Enum):
    """The type of `NO_REPLY`."""

    NO_REPLY = "no reply"
    """Returned by `handle_call`: the answer comes later, through `reply`."""


NO_REPLY = NoReply.NO_REPLY


class Stop(Exception):
    """Raised in a process, ends it with `reason`; in a callback of a server `terminate` runs first.

    With `reply` a caller whose request is being handled gets that answer before the server ends.
    """

    def __init__(self, reason: Reason | None = None, *, reply: object = NO_REPLY) -> None:
        self.reason: Reason = Normal() if reason is None else as_reason(reason)
        self.reply = reply
        super().__init__(self.reason)


def exit_reason(error: BaseException) -> Reason:
    """What a process ends with that this was raised in: the reason of a `Stop`, a crash for anything else."""
    error = unwrapped(error)
    return error.reason if isinstance(error, Stop) else as_reason(error)


class Ignore(Exception):
    """Raised in `init`: do not start, and do not call it a failure. The starter gets `Ignored`."""


class CallError(Exception):
    """A call brought no reply; `reason` says why, as an exit reason."""

    def __init__(self, text: str, reason: Reason) -> None:
        super().__init__(text)
        self.reason = reason


class CallTimeout(CallError, TimeoutError):
    """No reply came in time. The server may still handle the request; a late reply is dropped."""

    def __init__(self, what: str, timeout_s: float | None) -> None:
        super().__init__(f"no reply from {what} within {timeout_s} s", Custom("timeout"))


class NoProcess(CallError, LookupError):
    """There is no such process: it has ended, or the name is not registered."""

    def __init__(self, what: object) -> None:
        described = f"process {what}" if isinstance(what, Pid) else f"process registered as {what!r}"
        super().__init__(f"there is no {described}", NoProc())

    @classmethod
    def saying(cls, text: str) -> NoProcess:
        """The same with the text of another node."""
        error = cls("")
        error.args = (text,)
        return error


class CallingSelf(CallError):
    """A process called itself, which would wait for ever."""

    def __init__(self, what: object) -> None:
        super().__init__(f"process {what} called itself", Custom("calling_self"))


class CallCycle(CallError):
    """The server waits in turn for who called it, so that all would wait for ever; `processes` are those in the circle.

    They stand in the order in which each calls the next, and the last calls the first, who got this error.
    """

    def __init__(self, processes: Sequence[tuple[str, Pid]]) -> None:
        shown = [f"{name} {pid}" for name, pid in processes]
        super().__init__(f"a cycle of calls: {' -> '.join([*shown, *shown[:1]])}", Custom("call_cycle"))
        self.processes = tuple(pid for _, pid in processes)


class ServerExited(CallError):
    """The server ended before it replied, or the connection to its node was lost; `reason` is its exit reason."""

    def __init__(self, reason: Reason, what: str = "the server") -> None:
        super().__init__(f"{what} ended before it replied: {reason}", reason)
        if isinstance(reason, Crash):
            self.__cause__ = reason.exception


class MailboxFull(CallError):
    """The mailbox of the process was full, and is bound to refuse what finds no room: nothing was put into it."""

    def __init__(self, pid: Pid) -> None:
        super().__init__(f"the mailbox of process {pid} is full", Custom("mailbox_full"))
        self.pid = pid


class CallbackFailed(CallError):
    """A function that was to work on a process's state failed, or its `code_change` did; the state is as it was."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the callback failed: {reason}", reason)
        if isinstance(reason, Crash):
            self.__cause__ = reason.exception


class RpcRefused(CallError):
    """The node does not run this function for others; it has not run."""

    def __init__(self, text: str) -> None:
        super().__init__(text, Custom("refused"))


class CalleeExited(CallError):
    """The process that ran a function for `rpc` ended before it returned.

    It raised `Stop(reason)`, or an exit signal ended it (`by_signal`), a kill for example.
    """

    def __init__(self, node: str, function: str, reason: Reason, by_signal: bool) -> None:
        super().__init__(f"{function} on {node} ended before it returned: {reason}", reason)
        self.by_signal = by_signal


class BootFailed(Exception):
    """A peer did not come up: it ended first, with `exit_code`, or was killed for taking too long.

    `output` is what it wrote to standard error, unless that went elsewhere.
    """

    def __init__(self, node: str, exit_code: int, output: str) -> None:
        super().__init__(f"{node} did not come up, it exited with {exit_code}:\n{output}".rstrip(":\n"))
        self.node = node
        self.exit_code = exit_code
        self.output = output


class PeerDown(CallError):
    """The peer has ended, with `exit_code`; a negative one is the signal that killed it."""

    def __init__(self, node: str, exit_code: int) -> None:
        super().__init__(f"{node} is down, it exited with {exit_code}", NoConnection())
        self.node = node
        self.exit_code = exit_code


class StartError(Exception):
    """A process could not be started."""


class StartFailed(StartError):
    """The start failed with `reason`; the process is gone and its name is free."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason
        if isinstance(reason, Crash):
            self.__cause__ = reason.exception


class AlreadyStarted(StartError):
    """The name is taken by `pid`, which is left as it was."""

    def __init__(self, pid: Pid) -> None:
        super().__init__(f"already started as {pid}")
        self.pid = pid


class StartTimeout(StartError, TimeoutError):
    """`init` took longer than allowed; the half-started process was killed and its name is free."""

    def __init__(self, what: str, timeout_s: float | None) -> None:
        super().__init__(f"{what} was not ready within {timeout_s} s")


class Ignored(StartError):
    """`init` raised `Ignore`: nothing was started."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} asked to be ignored")


class AlreadyPresent(StartError):
    """The supervisor has a child of this id that does not run: restart or delete it."""

    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id!r} is present, but does not run")


class MaxChildren(StartError):
    """The dynamic supervisor has as many children as it may have."""

    def __init__(self, max_children: object) -> None:
        super().__init__(f"there are {max_children} children, as many as there may be")


class ChildError(Exception):
    """A supervisor refused what it was asked about a child."""


class ChildNotFound(ChildError, LookupError):
    """The supervisor has no child of this id."""

    def __init__(self, child_id: str) -> None:
        super().__init__(f"there is no child {child_id!r}")


class ChildRunning(ChildError):
    """The child runs: terminate it first."""

    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id!r} is running")


class ChildRestarting(ChildError):
    """The child is being restarted: wait, or terminate it first."""

    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id!r} is restarting")


class MandatoryNodesMissing(Exception):
    """The node waited at boot for nodes that it must not be without, and they did not come."""

    def __init__(self, nodes: Sequence[str], waited_s: float) -> None:
        super().__init__(f"mandatory nodes missing after {waited_s:g} s: {', '.join(nodes)}")
        self.nodes = tuple(nodes)


class ApplicationError(Exception):
    """What was asked of an application could not be done; `reason` says why, as an exit reason."""

    def __init__(self, application: str, reason: Reason) -> None:
        super().__init__(f"application {application}: {reason}")
        self.application = application
        self.reason = reason
        if isinstance(reason, Crash):
            self.__cause__ = reason.exception


class ProcessExited(Exception):
    """The body of `async with Node()` was ended by an exit signal, for example from a process linked to it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason
        if isinstance(reason, Crash):
            self.__cause__ = reason.exception


class NotAProcess(RuntimeError):
    """This works only inside a process of a node, and the code that asked runs outside of one."""

    def __init__(self, verb: str) -> None:
        super().__init__(f"{verb} works only inside a process: use `async with Node()`, spawn, or a server's callback")


class NoRequest(RuntimeError):
    """`this_request` works only while a call is being handled, and none is."""

    def __init__(self) -> None:
        super().__init__("no call is being handled here")


class NotInNode(RuntimeError):
    """No node is current here: neither inside a process nor inside `with node.current()`."""

    def __init__(self, text: str = "no node is current here: use `async with Node()` or `with node.current()`") -> None:
        super().__init__(text)


class NameTaken(ValueError):
    """The name is registered already, or the process has one already."""

    def __init__(self, text: str) -> None:
        super().__init__(text)


class UnknownRequest(LookupError):
    """A request the server has no handler for."""

    def __init__(self, server: str, request: object) -> None:
        super().__init__(f"{server} has no handler for {short(request, 500)}")


def short(value: object, width: int = 80) -> str:
    """The `repr` of what users send, cut to size; a value whose `repr` fails is named by its type."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - texts are for people: none of them may end a process or the ticker
        text = f"<{type(value).__qualname__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= width else f"{text[: width - 3]}..."
