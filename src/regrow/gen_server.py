"""GenServer: one process, one object, one message at a time."""

from __future__ import annotations

from types import CoroutineType
from typing import Any, ClassVar, NoReturn

from ._pure.child_spec import ChildSpec
from .errors import NO_REPLY, Ignore, Ignored, NoRequest, StartFailed, Stop, UnknownRequest, exit_reason, short
from .handlers import Deferred, Handling, conclude, finish, give_answer, is_misfit, no_handler, tell
from .in_place import InPlace, PlainHandlers, plain
from .messages import CAST, NO_KWARGS, Call, Cast, Continue, Exit, Failure, From, Timeout, opened
from .reasons import Reason, unwrapped
from .runtime import Process, this_process
from .stopping import kill_late
from .system import handle_system, obey_parent
from .system_words import In, SystemRequest

DRAIN_MAX = 256  # messages handled in a row before the other tasks get a turn


class GenServer(Handling):
    """A server: its state is its attributes, its methods marked `@call` and `@cast` are its requests.

    One message is handled at a time, in the order they came. A restart builds a new object. Every callback
    may be a plain `def` as well as `async def`. Subclasses need not call `super().__init__()`.
    """

    drop_expired: ClassVar[bool] = False
    """Whether a call whose caller has given up is dropped when its turn comes, rather than handled for nobody."""
    in_place: ClassVar[bool] = True
    """Whether handlers that are plain `def` run where the message is sent, if the server has nothing else to do."""
    plain_handlers: ClassVar[PlainHandlers | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        calls, casts = (cls.handle_call, cls.call_handlers), (cls.handle_cast, cls.cast_handlers)
        cls.plain_handlers = plain(calls, casts) if cls.in_place else None

    @classmethod
    def runner(cls, spec: ChildSpec) -> ServerRunner:
        return ServerRunner(spec)

    async def init(self) -> None:
        """Get ready; the starter waits for it. Failing here is a failed start; `raise Ignore()` starts nothing."""

    async def handle_call(self, request: object, from_: From) -> object:
        """Answer a request of the OTP form: return the reply, or `NO_REPLY` and `reply(from_, value)` later."""
        raise UnknownRequest(type(self).__name__, request)

    async def handle_cast(self, request: object) -> None:
        """Handle a cast of the OTP form."""
        raise UnknownRequest(type(self).__name__, request)

    async def handle_info(self, message: object) -> None:
        """Handle everything else: what was sent with `send`, and `Down`, `Exit`, `NodeDown`, `Timeout`."""
        me = this_process("handle_info")
        me.runtime.reports.warning(lambda: f"{me!r} has no handle_info for {short(message, 500)}", pid=me.pid)

    async def handle_continue(self, token: object) -> None:
        """Go on after `continue_with(token)`, before any other message."""
        raise UnknownRequest(type(self).__name__, token)

    async def terminate(self, reason: Reason) -> None:
        """Clean up. Runs after `Stop`, `stop()` and a crash in a callback; after the parent's exit only if trapping."""

    def continue_with(self, token: object) -> None:
        """Have `handle_continue(token)` run next, before any message that is already in the mailbox.

        Asked for more than once, it runs once for each, in that order.
        """
        runner = _runner_of("continue_with")
        if runner.continuations is None:
            runner.continuations = []
        runner.continuations.append(token)
        this_process("continue_with").mailbox.wake()  # from a handler that runs in place

    def idle_timeout(self, seconds: float) -> None:
        """Get a `Timeout()` in `handle_info` if no message comes within `seconds`; any message calls it off."""
        if not seconds >= 0:  # so put, it catches NaN as well
            raise ValueError(f"an idle timeout is seconds from 0 up, not {seconds!r}")
        _runner_of("idle_timeout").idle_s = seconds
        this_process("idle_timeout").mailbox.wake()  # from a handler that runs in place


def reply(from_: From, value: object) -> None:
    """Answer a request that `handle_call` left open with `NO_REPLY`; from any process of the node.

    The first answer counts; one that nobody waits for any more vanishes.
    """
    from_.answer(value)


def this_request() -> From:
    """The call that the server has in hand, as `handle_call` gets it: for `.caller`, `.expired`, and `reply`.

    Raises `NoRequest` where none is.
    """
    in_hand = this_process("this_request").in_hand()
    if not isinstance(in_hand, Call):
        raise NoRequest
    return in_hand


def _runner_of(verb: str) -> ServerRunner:
    runner = this_process(verb).runner
    if not isinstance(runner, ServerRunner):
        raise TypeError(f"{verb} works only in the callbacks of a GenServer")
    return runner


class ServerRunner:
    """Runs the callbacks of one server in its process."""

    __slots__ = ("_in_place", "_spec", "continuations", "idle_s")  # one for each server

    owns_children = False

    def __init__(self, spec: ChildSpec) -> None:
        self._spec = spec
        self.continuations: list[object] | None = None  # until there is one, as it mostly never is
        self.idle_s: float | None = None
        self._in_place: InPlace | None = None

    async def run(self, process: Process) -> Reason | None:
        """The body of the server's process: init, then one message after the other, then terminate."""
        server = await self._init(process)
        if server is None:
            return None
        try:
            await self._serve(process, server)
        except BaseException as error:  # the border where what a callback raised becomes the server's exit reason
            if process.exiting is not None:
                raise
            process.failing = exit_reason(error)
            _give_last_answer(process, unwrapped(error))
        finally:
            if self._in_place is not None:
                self._in_place.close()
        return await _terminate(process, server, process.failing)

    async def bury_children(self, reason: Reason) -> None:
        """A server has no children."""

    async def _init(self, process: Process) -> GenServer | None:
        try:
            server: GenServer = self._spec.cls(*self._spec.args, **self._spec.kwargs)  # type: ignore[assignment]
            process.server = server
            del self._spec  # what it was started with lives no longer than its object keeps it
            await finish(server.init())
        except BaseException as error:  # the border where a failing init becomes a failed start
            if process.exiting is None:
                if isinstance(unwrapped(error), Ignore):
                    process.start_error = Ignored(process.label)
                    return None
                process.start_error = StartFailed(exit_reason(error))
            raise
        if process.exiting is not None:
            return None  # it ended itself in init, and has not come to an await yet
        if server.plain_handlers is not None:
            self._in_place = InPlace(process, server, server.plain_handlers)
        process.ready()
        return server

    async def _serve(self, process: Process, server: GenServer) -> NoReturn:
        """Handle messages until something is raised."""
        # Kept whole, with the handlers of calls and casts run in here: a step in between would cost each of them.
        mailbox = process.mailbox
        while True:
            calls, casts = server.call_handlers, server.cast_handlers
            for _ in range(DRAIN_MAX):
                if self.continuations and process.exiting is None:
                    await self._continue(process, server, self.continuations.pop(0))
                    continue
                if not mailbox.queue:
                    if self.idle_s is None and self._in_place is None:
                        await mailbox.wait()
                    else:
                        await self._wait(process)
                    break
                message = mailbox.queue.popleft()
                kind = type(message)  # pyright: ignore[reportUnknownVariableType]
                call: Call | None = None
                if kind is tuple and len(message) == 4 and message[0] is CAST:
                    _, method, args, kwargs = message
                    handler = casts.get(method)
                elif kind is SystemRequest:
                    await handle_system(process, message)
                    break  # it may be of another class now
                elif isinstance(message, Call):
                    call, method, args, kwargs = message, message.method, message.args, message.kwargs
                    handler = calls.get(method)
                elif kind is Cast:  # sent to a name, or by another node
                    method, args, kwargs = message.method, message.args, message.kwargs
                    handler = casts.get(method)
                else:
                    handler, method, args, kwargs = None, None, (), NO_KWARGS
                self.idle_s = None
                process.last_message = message
                if process.debug is not None:
                    tell(process, In(opened(message)))
                if call is not None and server.drop_expired and not call.is_open:
                    continue
                if handler is None:
                    if method is None:
                        await self._handle(process, server, opened(message))
                        continue
                    result: Any = no_handler(server, call or Cast(method, args, kwargs))
                else:
                    try:
                        if len(args) == 1 and not kwargs:
                            result = handler(server, args[0])  # as most are: to unpack them costs a third more
                        else:
                            result = handler(server, *args, **kwargs)
                        if type(result) is CoroutineType:
                            result = await result  # pyright: ignore[reportUnknownVariableType]
                    except TypeError as error:
                        if not is_misfit(error, handler, server, args, kwargs):
                            raise
                        result = Failure(error.with_traceback(None))
                if call is None:
                    if type(result) is Failure:  # pyright: ignore[reportUnknownArgumentType]
                        conclude(process, Cast(method, args, kwargs), result)
                elif result is NO_REPLY or isinstance(result, Deferred) or process.debug is not None:
                    give_answer(process, call, result)  # pyright: ignore[reportUnknownArgumentType]
                else:
                    call.answer(result)  # pyright: ignore[reportUnknownArgumentType]
            else:
                await process.runtime.backend.checkpoint()

    async def _continue(self, process: Process, server: GenServer, token: object) -> None:
        message = process.last_message = Continue(token)
        tell(process, In(message))
        await finish(server.handle_continue(token))

    async def _wait(self, process: Process) -> None:
        """Return when there may be a message, or a `Timeout` in its place."""
        if self.idle_s is not None:
            await self._wait_idle(process, self.idle_s)
        elif self._in_place is None or process.debug is not None:
            await process.mailbox.wait()
        else:
            self._in_place.rest()
            await process.mailbox.wait()
            await self._in_place.rise()

    async def _wait_idle(self, process: Process, idle_s: float) -> None:
        mailbox = process.mailbox
        timer = process.runtime.timers.after(idle_s, mailbox.wake)
        try:
            await mailbox.wait()
        finally:
            timer.cancel()
        if not mailbox.queue:
            mailbox.post_system(Timeout())

    async def _handle(self, process: Process, server: GenServer, message: object) -> None:
        match message:
            case Call(args=(request,)):
                give_answer(process, message, await finish(server.handle_call(request, message)))
            case Cast(args=(request,)):
                await finish(server.handle_cast(request))
            case Exit(pid, reason) if pid == process.parent:
                obey_parent(process, reason)
            case _:
                await finish(server.handle_info(message))


def _give_last_answer(process: Process, stop: BaseException) -> None:
    """If it ends while it has a call in hand, its caller may be given an answer with that."""
    request = process.in_hand()
    if isinstance(stop, Stop) and isinstance(request, Call):
        give_answer(process, request, stop.reply)


async def _terminate(process: Process, server: GenServer, reason: Reason) -> Reason:
    """Run `terminate`; the reason to end with, which is terminate's own error if it fails."""
    seconds, timer = process.shutdown, None
    if getattr(server.terminate, "__func__", None) is GenServer.terminate:
        return reason  # there is nothing to be done
    if not isinstance(seconds, str):
        timer = process.runtime.timers.after(seconds, lambda: _end_late(process, seconds, reason))
    try:
        await finish(server.terminate(reason))
    except BaseException as error:  # the border where a failing terminate becomes the server's exit reason
        if process.exiting is not None:
            raise
        return exit_reason(error)
    finally:
        if timer is not None:
            timer.cancel()
    return reason


def _end_late(process: Process, seconds: float, reason: Reason) -> None:
    """Its `terminate` takes too long: without this, a server that crashes and hangs would never be restarted."""
    if process.exiting is None:
        kill_late({process: process.name or process.label}, None, seconds, reason)
