"""One node's processes: what a process is, how it ends, and how signals reach it.

A process is a task with a mailbox. It has one cancel scope of its own, shielded, so that nothing ends it but
an exit signal: a cancellation from around the node, or a stray one inside, is not a stop. A process that
owns others (a supervisor) runs them in a home outside that scope, so that they outlive its cancel for
as long as their shutdown time says; its own end is news only after theirs.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import count
from typing import Protocol, TypeAlias

from anyio import CancelScope

from ._backends import Backend, Home, Scope
from ._pure.bounds import Bounded
from ._pure.child_spec import ShutdownTime
from ._pure.ids import Pid, ProcessName, Reference
from .bounded_mailbox import BoundedMailbox, Drops
from .clock import Clock
from .debug import Debug
from .errors import NotAProcess, NotInNode, StartError, StartFailed, exit_reason
from .mailbox import Mailbox
from .messages import Call, Deliver, Down, Exit, Failure, From, Promise, Request, Starting
from .nest import BuryChildren, Nest
from .process_timers import ProcessTimers
from .reasons import Crash, Kill, Killed, NoConnection, Normal, Reason, Shutdown, as_data, interrupt_in, is_quiet
from .refusals import Refusals
from .registry import GlobalNames, Registry
from .relations import Relations
from .reports import CrashReport, Reports
from .signals import Item, Link, Monitor, NoRoute, Route, Send, SendDown, SendExit, Signal, Unlink, node_of, target_of
from .status import attributes_of, formatted
from .system_words import Status, SystemAsk
from .timers import Timers

WORD = 2**32  # ids are made of unsigned 32-bit numbers
IN_PLACE_MAX = 256  # messages handled where they are sent before the other tasks get a turn

Body: TypeAlias = Callable[["Process"], Awaitable[Reason | None]]  # what it returns is what the process ends with


class Held(Protocol):
    """Something a process has that goes with it, such as a name that its node's registry knows nothing of."""

    def release(self, process: Process, /) -> None:
        """The process ended, and nobody has heard of it yet. Must neither wait nor raise."""
        ...


class Process(Relations):
    """One process: its mailbox, its relations to others, and its life from start to end."""

    __slots__ = (
        "_body",
        "_lineage",
        "_scope",
        "ancestors",
        "application",
        "at_home",
        "debug",
        "ended",
        "exiting",
        "failing",
        "held",
        "home",
        "inherited",
        "label",
        "nest",
        "on_end",
        "parent",
        "runner",
        "runtime",
        "sent",
        "server",
        "shutdown",
        "start_error",
        "started",
        "started_at",
        "suspended",
        "task",
        "task_id",
        "waiters",
        "waits_at",
        "waits_for",
        "waits_nested",
    )

    def __init__(self, runtime: Runtime, pid: Pid, body: Body, label: str, parent: Process | None) -> None:
        super().__init__(runtime, pid, Mailbox(runtime.backend))
        self.mailbox.owner = self
        self.runtime = runtime
        self.label = label
        self.exiting: Reason | None = None  # an exit signal is ending it, with this reason
        self.ended: Reason | None = None
        self.inherited: Reason | None = None  # its parent ended with this, and it ends in order for that
        self.waits_for: From | None = None  # the answer that its own task waits for, handling nothing meanwhile
        self.waits_at: Process | Item | None = None  # whose it is
        self.waits_nested = False  # whether somebody waited for this process as it began to wait
        self.sent: dict[Held, None] = {}  # requests whose answers it may still wait for
        self.parent: Pid | None = None  # who started it with a link: obeyed by behaviours
        self.ancestors: tuple[Pid, ...] = () if parent is None else parent.lineage()
        self._lineage: tuple[Pid, ...] | None = None  # the same of those that it starts, who share it
        self.home: Home = runtime.home if parent is None else parent.home  # where what it spawns lives
        self.application: str | None = None if parent is None else parent.application
        self.on_end: Callable[[Reason], None] | None = None  # told last, when everybody else knows
        self.at_home = True  # runs there itself, not among the children of a supervisor
        self.nest: Nest | None = None  # where its children live, if it may have some
        self.held: tuple[Held, ...] = ()  # what goes with it
        self.server: object = None  # the object whose callbacks it runs, if it is a behaviour
        self.runner: object = None  # what runs those callbacks
        self.shutdown: ShutdownTime = "brutal_kill"  # what it gets to stop when its node does
        self.failing: Reason | None = None  # it is ending by itself with this, and its `terminate` runs
        self.suspended = False  # it handles system messages alone
        self.debug: Debug | None = None  # who watches its messages
        self.started: Starting | None = None  # its starter waits for this
        self.start_error: StartError | None = None
        self.started_at = time.time()
        self.waiters: tuple[Promise, ...] = ()
        self.task: object = None  # its own, once that runs
        self._body: Body | None = body  # until it runs
        self._scope: Scope | None = None
        self.task_id: int | None = None  # of the task, where it lives in somebody else's

    def __repr__(self) -> str:
        return f"<Process {self.label} {self.pid}>"

    @property
    def name(self) -> str | None:
        """What it is called: on its node, else elsewhere."""
        name = self.runtime.registry.name_of(self.pid)
        if name is None and self.held:
            return next((str(held) for held in self.held if isinstance(held, ProcessName)), None)
        return name

    def lineage(self) -> tuple[Pid, ...]:
        """The ancestors of what it starts."""
        self._lineage = self._lineage or (self.pid, *self.ancestors)
        return self._lineage

    # -- life

    async def run(self) -> None:
        """The process's task, from its first step to its last."""
        current.set(self)
        backend = self.runtime.backend
        nest = self.nest if self.exiting is None else None  # killed before its first step, it never had children
        self.task = backend.current_task()
        if nest is not None:
            await nest.open(backend)
        raised: BaseException | None = None
        reason: Reason | None = None
        scope = self._scope = backend.scope() if nest is None else CancelScope(shield=True)
        scope.__enter__()  # a `with` would keep one object more for as long as the process lives
        try:
            if self.exiting is None:
                reason = await self._begin()
        except BaseException as error:  # noqa: BLE001 - the border where a process's death becomes its exit reason
            raised, reason = error, exit_reason(error)
        try:
            scope.__exit__(None if raised is None else type(raised), raised, None)
        except BaseException as error:  # noqa: BLE001 - its code has left scopes open
            await backend.close_scopes(scope, 0 if nest is None else 1)
            reason = reason or exit_reason(error)
        self._code_ended(reason or Normal())
        raised = reason = None  # this frame is in its traceback, and nothing is to wait for the garbage collector
        assert self.exiting is not None, "settled when its code was over"
        if nest is not None:
            await nest.leave(self.exiting)
        self.end(self.exiting)

    def _begin(self) -> Awaitable[Reason | None]:
        body, self._body = self._body, None
        assert body is not None, "run once"
        return body(self)

    def _code_ended(self, reason: Reason) -> None:
        """Its own code is over, of itself with this reason, which is reported if it is news."""
        if isinstance(reason, Crash) and (interrupt := interrupt_in(reason.exception)) is not None:
            self.runtime.interrupted(interrupt)
        own = reason if self.exiting is None else self.failing
        if own is not None and self._is_news(own):
            self._report_crash(own)
        self.settle(reason)

    def _is_news(self, reason: Reason) -> bool:
        """Whether its end by itself is to be reported. What it inherited has been, where it happened."""
        interrupted = isinstance(reason, Crash) and isinstance(reason.exception, KeyboardInterrupt)
        return not (interrupted or is_quiet(reason) or self.start_error is not None or reason is self.inherited)

    def settle(self, reason: Reason) -> Reason:
        """Its own code is over; the reason it ends with, which an exit signal may have settled before."""
        if self.exiting is not None:
            self.runtime.refusals.ended(self)
        self._scope = None
        if self.exiting is None:
            self.exiting = reason
        self.close_mailbox()
        return self.exiting

    def attach(self, scope: Scope, task_id: int) -> None:
        """Live in a task that is there already: its scope, once cancelled, ends the process."""
        self._scope = scope
        self.task_id = task_id

    def ready(self) -> None:
        """Its starter need not wait any longer."""
        if self.started is not None:
            self.started.answer(None)
            self.started = None

    def status(self, message: object = None, reason: Reason | None = None) -> Status:
        """A look at it; at a message of it, and at why it ended, if there is that to see."""
        state, debug = attributes_of(self.server), self.debug
        status = Status(self.pid, self.name, self.label, self.parent, self.suspended, state, message, reason)
        return status if debug is None else debug.added_to(status, self.runtime.clock.now())

    def seen(self, message: object = None, reason: Reason | None = None) -> Status:
        """The same as its object wants it to be seen."""
        return formatted(self.server, self.status(message, reason))

    def _report_crash(self, reason: Reason) -> None:
        seen = self.seen(self.in_hand(), reason)
        node, error = self.runtime.node_name, seen.reason.exception if isinstance(seen.reason, Crash) else None
        self.runtime.reports.add(CrashReport.of(node, seen, self.ancestors, tuple(self.links)), error)

    def die(self, reason: Reason) -> None:
        """End it from outside: no further message is handled, its code stops at its next await."""
        if self.exiting is not None:
            return
        self.exiting = reason
        self.close_mailbox()
        if self._scope is not None:
            self._scope.cancel()
            self.runtime.refusals.told(self)

    def end(self, reason: Reason) -> None:
        """The task is over: free what it held, then tell everybody. Nothing in here may wait."""
        self.ended = reason
        runtime = self.runtime
        runtime.forget(self)
        for request in tuple(self.requests):
            request.server_ended(reason)
        for sent in tuple(self.sent):
            sent.release(self)
        for ref in tuple(self.monitors):
            self.demonitor(ref)
        runtime.process_timers.process_ended(self.pid)
        failed_start = self.started is not None and self.started.is_open
        if failed_start and self.parent is not None:
            self.drop_link(self.parent)
        links, self.links = self.links, {}
        for pid in links:
            runtime.exit_signal(self.pid, pid, reason, linked=True)
        watchers, self.watchers = self.watchers, {}
        for ref, (watcher, item) in watchers.items():
            runtime.down(watcher, ref, item, reason)
        if self.started is not None and failed_start:
            self.started.answer(Failure(self.start_error or StartFailed(reason)))
        for waiter in self.waiters:
            waiter.settle()
        if self.on_end is not None:
            self.on_end(reason)
        self.mailbox.owner = None  # references hold on to the mailbox
        # These lead back to the process, by a context and by frames: with them it would stay until it is collected.
        self.task = self.failing = None
        if self.start_error is None:  # the reason was made data of, where it was reported
            self.exiting = self.ended = as_data(reason)

    async def wait_ended(self, timeout_s: float | None = None) -> bool:
        """Return once its task is over and the news of it is out, or the time is up; whether it has ended."""
        if self.ended is None:
            promise = self.runtime.backend.promise()
            self.waiters = (*self.waiters, promise)
            timer = None if timeout_s is None else self.runtime.timers.after(timeout_s, promise.settle)
            try:
                await promise
            finally:
                self.waiters = tuple(waiter for waiter in self.waiters if waiter is not promise)
                if timer is not None:
                    timer.cancel()
        return self.ended is not None

    # -- exit signals

    def exit_signal(self, sender: Pid, reason: Reason, *, linked: bool) -> None:
        """An exit signal arrives, through a link or sent on purpose."""
        if linked and not self.lose_link(sender):
            return
        if isinstance(reason, Kill) and not linked:
            self.die(Killed())
        elif self.trap_exit:
            self.mailbox.post_system(Exit(sender, reason))
        elif not isinstance(reason, Normal) or (sender == self.pid and not linked):
            self.die(reason)


class Outsider:
    """Code that runs beside a node's processes and may call, cast and send on it."""

    __slots__ = ("runtime",)

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime


class Runtime:
    """The table of one node's processes, and the way for signals between them."""

    def __init__(self, node_name: str, creation: int, backend: Backend, clock: Clock, home: Home) -> None:
        self.node_name = node_name
        self.creation = creation
        self.backend = backend
        self.clock = clock
        self.home = home
        self.processes: dict[Pid, Process] = {}
        self.registry = Registry()
        self.aliases: dict[Reference, tuple[str, Call]] = {}  # calls to which nodes, by what their replies go to
        self.incoming: dict[Reference, Call] = {}  # calls of other nodes that are not answered, by the same
        self.timers = Timers(clock)
        self.process_timers = ProcessTimers(self.timers)
        self.reports = Reports(node_name)
        self.refusals = Refusals(self.timers, self.reports, home)
        self.route: Route = NoRoute(self.undelivered)
        self.global_names: GlobalNames
        self.node: object = None  # the node whose runtime this is
        self.body: Process | None = None  # the process of the code that entered the node
        self.interrupt: KeyboardInterrupt | None = None  # hit one of the processes; raised where the node is left
        self.closed = False  # all is over: nothing can be started any more
        self._pids = count(1)
        self._refs = count(1)
        self.in_place: Process | None = None  # a handler of this one runs in the task of somebody else
        self.in_place_left = IN_PLACE_MAX
        self.nobody = Pid(node_name, 0, 0, creation)  # stands for outsiders where a signal needs a sender

    async def take_turns(self) -> None:
        """Let the other tasks run, after so many messages that were handled in place."""
        self.in_place_left = IN_PLACE_MAX
        await self.backend.checkpoint()

    # -- identity

    def make_ref(self) -> Reference:
        """A reference that no other node or incarnation will ever make."""
        number = next(self._refs)
        return Reference(self.node_name, self.creation, (number % WORD, (number >> 32) % WORD, number >> 64))

    def is_local(self, pid: Pid) -> bool:
        """Whether the pid names this node, in this or an earlier incarnation."""
        return pid.node == self.node_name

    def lookup(self, target: Item) -> Process | None:
        """The local process that a pid or `(name, node)` means, if it is alive."""
        if isinstance(target, Pid):
            return self.processes.get(target)
        name, node = target
        pid = self.registry.whereis(name) if node == self.node_name else None
        return None if pid is None else self.processes.get(pid)

    # -- starting

    def adopt(self, body: Body, label: str, parent: Process | None) -> Process:
        """A new process in the table, with no task yet."""
        if self.closed:
            raise NotInNode(f"node {self.node_name} has stopped")
        number = next(self._pids)
        pid = Pid(self.node_name, number % WORD, number // WORD % WORD, self.creation)
        process = Process(self, pid, body, label, parent)
        self.processes[pid] = process
        return process

    def spawn(
        self,
        body: Body,
        label: str,
        parent: Process | None,
        *,
        link: bool = False,
        home: Home | None = None,
        bury_children: BuryChildren | None = None,
        bound: Bounded | None = None,
    ) -> Process:
        """Start a process; linked at once if wanted, so that not even an instant end is missed."""
        process = self.adopt(body, label, parent)
        if bound is not None:
            process.mailbox = BoundedMailbox(self.backend, bound, Drops(self.timers, self.reports, label, process.pid))
            process.mailbox.owner = process
        process.nest = None if bury_children is None else Nest(bury_children)
        process.at_home = home is None
        if link and parent is not None:
            process.parent = parent.pid
            process.links[parent.pid] = None
            parent.links[process.pid] = None
        (process.home if home is None else home).start_soon(process.run, name=f"{label} {process.pid}")
        return process

    def interrupted(self, interrupt: KeyboardInterrupt) -> None:
        """Ctrl-C, which is for the program, hit a process: the node stops, and raises it where it is left."""
        self.interrupt = interrupt
        if self.body is not None:
            self.body.die(Shutdown())

    def forget(self, process: Process) -> None:
        """A process ended: its names and its pid are free before anybody hears of it."""
        del self.processes[process.pid]
        self.registry.forget(process.pid)
        for held in process.held:
            held.release(process)

    # -- signals to a process, wherever it is

    def sender(self) -> Pid:
        """Who sends what is sent here: the process this runs in, if it is one of this node, else nobody."""
        me = current.get(None)
        return me.pid if isinstance(me, Process) and me.runtime is self else self.nobody

    def send(self, sender: Pid, to: Item, message: object) -> None:
        """Post a message; silent if nobody is there."""
        target, node = (to, to.node) if isinstance(to, Pid) else to
        if node != self.node_name:
            self.route.dispatch(node, Send(sender, target, message))
            return
        process = self.lookup(to)
        if process is not None:
            process.mailbox.post(message)

    def exit_signal(self, sender: Pid, to: Item, reason: Reason, *, linked: bool = False) -> None:
        """Send an exit signal; silent if nobody is there."""
        process = self.lookup(to)
        if process is not None:
            process.exit_signal(sender, reason, linked=linked)
        elif node_of(to) != self.node_name:
            self.dispatch(node_of(to), SendExit(sender, target_of(to), reason, linked))

    def down(self, watcher: Pid, ref: Reference, item: Item, reason: Reason) -> None:
        """Tell a watcher that what it watches has ended; dropped if it does not watch any more."""
        process = self.processes.get(watcher)
        if process is not None:
            if process.monitors.pop(ref, None) is not None:
                process.mailbox.post_system(Down(ref, item, reason))
        elif not self.is_local(watcher):
            self.dispatch(watcher.node, SendDown(ref, watcher, item, reason))

    def dispatch(self, node: str, signal: Signal) -> None:
        self.route.dispatch(node, signal)

    def undelivered(self, node: str, signal: Signal) -> None:
        """A signal found no way to the node: whoever asked to be told is told so."""
        match signal:
            case Link(sender, to):
                self.exit_signal(to, sender, NoConnection(), linked=True)
            case Monitor(watcher, ref, to):
                item: Item = to if isinstance(to, Pid) else (to, node)
                self.down(watcher, ref, item, NoConnection())
            case Unlink(sender, to):
                process = self.processes.get(sender)
                if process is not None:
                    process.unlinking.pop(to, None)  # there is nobody to acknowledge it
            case Send(_, _, Request(reference) | Deliver(reference) | SystemAsk(reference)):
                _, call = self.aliases.get(reference, (node, None))
                if call is not None:
                    call.server_ended(NoConnection())
            case _:
                pass  # everything else is fire and forget

    # -- the end

    def leftovers(self) -> tuple[str, ...]:
        """What is still there, in words; nothing, after the node has stopped."""
        return (
            *(f"process {process.label} {pid}" for pid, process in self.processes.items()),
            *(f"name {name}" for name in self.registry),
            *(f"call {call!r}" for _, call in self.aliases.values()),
            *([f"{len(self.timers)} timers"] if len(self.timers) else []),
        )


Here: TypeAlias = Process | Outsider

current: ContextVar[Here] = ContextVar("regrow_here")


def here() -> Here:
    """The process this runs in, or the outsider that was lent a node. Raises `NotInNode`."""
    try:
        return current.get()
    except LookupError:
        raise NotInNode from None


def this_process(verb: str) -> Process:
    """The process this runs in. Raises `NotAProcess` for everybody else, naming the verb they tried."""
    found = current.get(None)
    if not isinstance(found, Process):
        raise NotAProcess(verb)
    return found
