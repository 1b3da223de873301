"""The verbs a process lives by: spawn, send, receive, link, monitor, exit, and the names of processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, ParamSpec, TypeAlias, TypeGuard, TypeVar, overload

import attrs

from ._pure.bounds import Bounded
from ._pure.ids import Pid, ProcessName, Reference
from .errors import NoProcess
from .messages import Down, From, opened
from .reasons import NoProc, Reason, as_reason
from .refs import Dest, Name, NameElsewhere, ServerRef, deliver, item_of, runtime_for
from .runtime import Body, Process, Runtime, here, this_process

P = ParamSpec("P")
T = TypeVar("T")
Wanted: TypeAlias = Callable[[object], bool] | None

DRAIN_MAX = 256  # messages taken without waiting before the other tasks get a turn


def spawn(fn: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs) -> Pid:
    """Start a process that runs `fn`; what it returns is ignored, its reason is then `Normal`.

    It lives in the group of the application its parent belongs to, else of the node.
    """
    return _PLAIN.spawn(fn, *args, **kwargs)


def spawn_link(fn: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs) -> Pid:
    """Start a process linked with this one; however short its life, its exit is not missed."""
    return _PLAIN.spawn_link(fn, *args, **kwargs)


def spawn_monitor(fn: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs) -> tuple[Pid, Reference]:
    """Start a process and monitor it; the `Down` has its true reason, however short its life."""
    return _PLAIN.spawn_monitor(fn, *args, **kwargs)


@attrs.frozen(kw_only=True)
class SpawnOptions:
    """What is asked of a process beside what it runs: `SpawnOptions(mailbox=Bounded(100)).spawn(fn, *args)`.

    An object of its own, so that no option can be taken for an argument of `fn`. OTP's `spawn_opt`.
    """

    mailbox: Bounded | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(Bounded))
    )
    """How much its mailbox may hold; `None` for no bound."""

    def spawn(self, fn: Callable[P, Awaitable[object]], /, *args: P.args, **kwargs: P.kwargs) -> Pid:
        """The same as `spawn`, with these options."""
        return self._start(fn, args, kwargs, link=False).pid

    def spawn_link(self, fn: Callable[P, Awaitable[object]], /, *args: P.args, **kwargs: P.kwargs) -> Pid:
        """The same as `spawn_link`, with these options."""
        return self._start(fn, args, kwargs, link=True).pid

    def spawn_monitor(
        self, fn: Callable[P, Awaitable[object]], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[Pid, Reference]:
        """The same as `spawn_monitor`, with these options."""
        me = this_process("spawn_monitor")
        pid = self._start(fn, args, kwargs, link=False).pid
        return pid, me.monitor(pid)

    def _start(self, fn: Callable[..., Awaitable[object]], args: Any, kwargs: Any, *, link: bool) -> Process:
        me = this_process("spawn_link") if link else here()
        parent = me if isinstance(me, Process) else None
        label = getattr(fn, "__qualname__", None) or repr(fn)
        return me.runtime.spawn(_body(fn, args, kwargs), label, parent, link=link, bound=self.mailbox)


_PLAIN = SpawnOptions()


def _body(fn: Callable[..., Awaitable[object]], args: Any, kwargs: Any) -> Body:
    async def body(_process: Process) -> None:
        await fn(*args, **kwargs)

    return body


def self_pid() -> Pid:
    """The pid of the process this runs in. Raises `NotAProcess` outside of one. OTP's `self()`."""
    return this_process("self_pid").pid


def ancestors() -> tuple[Pid, ...]:
    """Who started this process, who started that one, and so on. OTP's `$ancestors`."""
    return this_process("ancestors").ancestors


def make_ref() -> Reference:
    """A reference unique across nodes and their incarnations."""
    return here().runtime.make_ref()


def send(dest: Dest, message: object) -> None:
    """Send a message. Never waits; silent for a dead pid and for an absent name on another node.

    Raises `NoProcess` for a local name (a `str`) that nobody has registered, as OTP does, and for a `Via` or `Global`.
    """
    runtime = runtime_for(dest)
    if isinstance(dest, str) and runtime.registry.whereis(dest) is None:
        raise NoProcess(dest)
    deliver(runtime, runtime.sender(), dest, message)


@overload
async def receive(*, timeout: float | None = None) -> object: ...
@overload
async def receive(what: type[T], *, timeout: float | None = None) -> T: ...
@overload
async def receive(what: Callable[[object], TypeGuard[T]], *, timeout: float | None = None) -> T: ...
@overload
async def receive(what: Callable[[object], bool], *, timeout: float | None = None) -> object: ...
async def receive(what: Any = None, *, timeout: float | None = None) -> Any:
    """Take the first message that is wanted: of a class, one a predicate holds for, or any.

    What is left stays in the mailbox, in order. `timeout` is in seconds; with 0 only what is there already
    counts. Raises `TimeoutError` if nothing came in time, `NotAProcess` outside of a process.
    """
    me = this_process("receive")
    wanted: Wanted = (lambda message: isinstance(message, what)) if isinstance(what, type) else what
    mailbox = me.mailbox
    # The turn of the others comes before a message is taken, so that being cancelled there loses none.
    if mailbox.taken_at_once == DRAIN_MAX:
        mailbox.taken_at_once = 0
        await me.runtime.backend.checkpoint()
    found, seen = _take(me, wanted, 0)
    if found is not NOTHING:
        mailbox.taken_at_once += 1
        return found
    mailbox.taken_at_once = 0
    if timeout is not None and timeout <= 0:
        await me.runtime.backend.checkpoint()
        raise TimeoutError("there is no such message")
    return await _wait_for(me, wanted, seen, timeout)


async def _wait_for(me: Process, wanted: Wanted, seen: int, timeout: float | None) -> object:
    """The first wanted message to come after the `seen` ones. Raises `TimeoutError`."""
    mailbox = me.mailbox
    timer = None if timeout is None else me.runtime.timers.after(timeout, mailbox.wake)
    try:
        while True:
            taken = mailbox.taken
            await mailbox.wait()
            # Another task of the process may have taken messages meanwhile: then look at all of them again.
            found, seen = _take(me, wanted, seen if mailbox.taken == taken else 0)
            if found is not NOTHING:
                return found
            if timer is not None and not timer.active:
                raise TimeoutError(f"no such message came within {timeout} s")
    finally:
        if timer is not None:
            timer.cancel()


class _Nothing:
    """The type of `NOTHING`."""


NOTHING = _Nothing()  # no message was found, where a message may be anything


def _take(me: Process, wanted: Wanted, seen: int) -> tuple[object, int]:
    """The first wanted message after the `seen` ones, taken out, or `NOTHING` and how many were seen."""
    mailbox = me.mailbox
    queue = mailbox.queue
    for index, message in enumerate(map(opened, islice(queue, seen, None)), seen):
        if wanted is None or wanted(message):
            mailbox.taken += 1
            del queue[index]
            if isinstance(message, From):
                message.keep_in(me.requests)
            return message, index
    return NOTHING, len(queue)


def flush() -> list[object]:
    """Take everything out of the mailbox, in order."""
    me = this_process("flush")
    taken = [*map(opened, me.mailbox.take(lambda _message: True))]
    for message in taken:
        if isinstance(message, From):
            message.keep_in(me.requests)
    return taken


def link(dest: Dest) -> None:
    """Link this process with another: when one ends, the other gets its exit signal.

    A dead local process raises `NoProcess`, or brings an `Exit` with `NoProc` if this process traps exits;
    a process on an unreachable node brings an exit signal with `NoConnection`.
    """
    me = this_process("link")
    me.link(_pid_of(dest, me.runtime))


def unlink(dest: Dest) -> None:
    """Remove the link. No exit of the other comes after this; one already in the mailbox stays there."""
    me = this_process("unlink")
    me.unlink(_pid_of(dest, me.runtime))


def _pid_of(dest: Dest, runtime: Runtime) -> Pid:
    item = item_of(dest, runtime)
    if isinstance(item, Pid):
        return item
    process = runtime.lookup(item)
    if process is None:
        raise NoProcess(item[0])
    return process.pid


def monitor(dest: Dest) -> Reference:
    """Be told by a `Down` when the process ends; at once if there is none, or its node is unreachable."""
    me = this_process("monitor")
    try:
        return me.monitor(item_of(dest, me.runtime))
    except NoProcess:
        assert isinstance(dest, ProcessName), "other addresses come down to something always"
        ref = me.runtime.make_ref()
        me.mailbox.post_system(Down(ref, dest, NoProc()))
        return ref


def demonitor(ref: Reference, *, flush: bool = False) -> bool:
    """Stop monitoring. `True` if the monitor was active: then no `Down` comes any more.

    If it was not, its `Down` may be in the mailbox already; `flush` removes it.
    """
    if not isinstance(ref, Reference):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{ref!r} is no reference")
    return this_process("demonitor").demonitor(ref, flush=flush)


def send_exit(dest: Dest, reason: Reason) -> None:
    """Send an exit signal. OTP's `exit/2`.

    `Normal` is ignored by others that do not trap exits; `Kill` ends any process, which is then seen as
    `Killed`. Never waits; silent for a dead pid, `NoProcess` for an absent local name.
    """
    runtime = runtime_for(dest)
    if isinstance(dest, str) and runtime.registry.whereis(dest) is None:
        raise NoProcess(dest)
    runtime.exit_signal(runtime.sender(), item_of(dest, runtime), as_reason(reason))


def trap_exit(flag: bool) -> bool:
    """Whether exit signals arrive as `Exit` messages from now on, rather than end this process; the old flag."""
    me = this_process("trap_exit")
    old, me.trap_exit = me.trap_exit, flag
    return old


def register(name: str, pid_or_ref: Pid | ServerRef[Any]) -> None:
    """Register a local process under a name. Raises `NameTaken`, `NoProcess`, `ValueError` for no name."""
    runtime = here().runtime
    pid = pid_or_ref.pid if isinstance(pid_or_ref, ServerRef) else pid_or_ref
    if pid not in runtime.processes:
        raise NoProcess(pid)
    runtime.registry.register(name, pid)


def unregister(name: str) -> None:
    """Free a name. Raises `NoProcess` if nobody has it."""
    here().runtime.registry.unregister(name)


@overload
def whereis(dest: str | NameElsewhere[Any]) -> Pid | None: ...
@overload
def whereis(dest: Pid | ServerRef[Any]) -> Pid: ...
@overload
def whereis(dest: Name[Any] | tuple[str, str]) -> Pid | tuple[str, str] | None: ...
def whereis(dest: Dest) -> Pid | tuple[str, str] | None:
    """The process that an address means, `None` if nobody has the name.

    A name on another node stays the pair that it is: only that node could say. A pid is taken at its word.
    """
    runtime = runtime_for(dest)
    try:
        item = item_of(dest, runtime)
    except NoProcess:
        return None
    if isinstance(item, Pid) or item[1] != runtime.node_name:
        return item
    return runtime.registry.whereis(item[0])


def registered() -> list[str]:
    """All local names, oldest first."""
    return list(here().runtime.registry)
