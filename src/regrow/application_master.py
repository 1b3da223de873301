"""Application: the behaviour, and the process that runs one of them.

The master is the group that everything in the application belongs to: what its processes spawn lives in the
master's home, so that nothing of an application outlives it. It starts the application, waits for its
end or for the order to stop, and takes it down: `prep_stop`, the tree in reverse, `stop`, then the strays.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs
from anyio import get_cancelled_exc_class

from ._pure.manifest import Manifest
from .children import reason_of
from .dynamic_supervisor import DynamicSupervisor
from .errors import StartError, Stop, exit_reason
from .handlers import finish
from .messages import Call, Exit, Failure
from .reasons import Crash, Killed, Reason, Shutdown, interrupt_in, unwrapped
from .refs import ServerRef
from .runtime import Process
from .stopping import stop_in_order, tell_to_stop, time_limit
from .supervisor import Supervisor

HANDOFF_S = 5.0  # what an instance gets to hand over before it is stopped for a takeover
STOP_CALLBACK_S = 5.0  # what `stop` gets after the application was killed
CONFIG_CHANGE_S = 5.0  # what an instance gets to go by another configuration, before the next is told


@attrs.frozen
class NormalStart:
    """An ordinary start."""

    def __str__(self) -> str:
        return "normal"


@attrs.frozen
class Failover:
    """The application ran on `node`, which went down."""

    node: str

    def __str__(self) -> str:
        return f"failover from {self.node}"


@attrs.frozen
class Takeover:
    """The application ran on `node` and moves here; `handoff` is what the old instance handed over."""

    node: str
    handoff: object = None

    def __str__(self) -> str:
        return f"takeover from {self.node}"


StartType: TypeAlias = NormalStart | Failover | Takeover


class Application:
    """What an application does to start and to stop; everything but `start` may be left out."""

    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor | DynamicSupervisor]:
        """Start the application's tree and return its top, a supervisor of any kind. Raising is a failed start."""
        raise TypeError(f"{type(self).__name__} does not say how it starts: define start()")

    async def start_phase(self, phase: str, start_type: StartType, args: object) -> None:
        """Do one of the manifest's start phases, after `start`, in their order. Raising is a failed start.

        Each phase is also asked, after the application itself, of those that it includes and that list it too.
        """

    async def handoff(self) -> object:
        """What the next instance is to know; asked just before this one is stopped for a takeover (5 s at most)."""
        return None

    async def config_change(
        self, changed: Mapping[str, object], new: Mapping[str, object], removed: tuple[str, ...]
    ) -> None:
        """Go by another configuration, which was read again (5 s at most): values by key, and keys that are gone.

        Called only if something is different; `get_env` gives the new values already.
        """

    async def prep_stop(self) -> None:
        """Get ready to stop: the tree is still up."""

    async def stop(self) -> None:
        """Clean up: the tree is gone."""


@attrs.frozen
class ApplicationEnded:
    """Detail of the exit reason of a node that ended because an application that it needs did."""

    application: str
    reason: Reason
    started: bool = True
    """Whether it ran; if not, it could not be started."""

    def __str__(self) -> str:
        word = "application_terminated" if self.started else "application_start_failure"
        return f"{word}: {self.application}: {self.reason}"


@attrs.frozen
class StopOrder:
    """To the master: stop in order, first asking the application what it hands over if wanted."""

    ask_handoff: bool


@attrs.frozen
class ConfigChange:
    """A request to the master: what is different in the application's environment. The reply: whether it went well."""

    changed: Mapping[str, object]
    new: Mapping[str, object]
    removed: tuple[str, ...]


class MasterRunner:
    """Runs one application in the master's process."""

    owns_children = True

    def __init__(self, manifest: Manifest, included: tuple[Manifest, ...], start_type: StartType) -> None:
        self.manifest = manifest
        self.included = included
        self.start_type = start_type
        self.on_ready: Callable[[], None] = lambda: None
        self.start_failure: Reason | None = None
        self.handed_over: object = None
        self._application: Application | None = None
        self._root: Process | None = None
        self._stop_owed = False  # it has started, and its `stop` was not called yet
        self._burying = False
        self._process: Process

    @property
    def root(self) -> Process | None:
        """The top supervisor's process, once the application runs."""
        return self._root

    async def run(self, process: Process) -> None:
        """The body: start, wait for the end or the order to stop, take down."""
        self._process = process
        process.trap_exit = True
        assert process.nest is not None, "a master owns what its application spawns"
        process.home = process.nest.home
        process.application = self.manifest.name
        try:
            await self._start()
        except BaseException as error:  # the border where a failing start becomes the application's reason
            if process.exiting is not None:
                raise
            self.start_failure = _start_reason(error)
            await self._undo_start()
            raise Stop(self.start_failure) from error
        if process.exiting is not None:
            return  # killed in `start`, and it has not come to an await yet
        self._stop_owed = True
        self.on_ready()
        raise Stop(await self._serve())

    async def bury_children(self, reason: Reason) -> None:
        """End every process that belongs to the application; `stop` is owed to one that was killed."""
        process, self._burying = self._process, True
        assert process.nest is not None, "where they live"
        home = process.nest.home
        while strays := [p for p in process.runtime.processes.values() if p.home is home and p is not process]:
            for stray in strays:
                stray.die(Killed())
            for stray in strays:
                await stray.wait_ended()
        if self._stop_owed:
            await self._call_stop(STOP_CALLBACK_S)

    async def _start(self) -> None:
        manifest = self.manifest
        self._application = application = _class_of(manifest)()
        ref = await finish(application.start(self.start_type, manifest.args))
        if not isinstance(ref, ServerRef):
            raise TypeError(f"start() of application {manifest.name} returned {ref!r}, not a supervisor's reference")
        root = self._process.runtime.processes.get(ref.pid)
        if root is None:
            raise TypeError(f"start() of application {manifest.name} returned {ref!r}, which does not run")
        self._root = root
        self._process.link(root.pid)
        await self._do_phases(application)

    async def _do_phases(self, application: Application) -> None:
        """Phase by phase: the application itself, then of those it includes whoever lists the phase too."""
        wanted = {phase for phase, _ in self.manifest.start_phases}
        parts = [
            (dict(each.start_phases), _class_of(each)())
            for each in self.included
            if each.module is not None and not wanted.isdisjoint(dict(each.start_phases))
        ]
        for phase, args in self.manifest.start_phases:
            await finish(application.start_phase(phase, self.start_type, args))
            for phases, part in parts:
                if phase in phases:
                    await finish(part.start_phase(phase, self.start_type, phases[phase]))

    async def _serve(self) -> Reason:
        """Wait for the end or the order to stop; the reason to end with."""
        mailbox = self._process.mailbox
        assert self._root is not None, "it runs"
        while True:
            while not mailbox.queue:
                await mailbox.wait()
            match mailbox.queue.popleft():
                case Exit(pid, reason) if pid == self._root.pid:
                    self._process.inherited = reason  # and was reported where it happened
                    await self._take_down()
                    return reason
                case StopOrder(ask_handoff):
                    if ask_handoff:
                        await self._ask_handoff()
                    await self._take_down()
                    return Shutdown()
                case Call(args=(ConfigChange() as change,)) as request:
                    request.answer(await self._change_config(change))
                case Call() as request:
                    request.answer(Failure(TypeError("an application master answers no such request")))
                case _:
                    pass  # exits of whatever the application linked with its master, as in OTP

    async def _ask_handoff(self) -> None:
        assert self._application is not None, "it runs"
        self.handed_over = await self._callback("handoff", self._application.handoff, HANDOFF_S)

    async def _change_config(self, change: ConfigChange) -> bool:
        application, went_well = self._application, False
        assert application is not None, "it runs"

        async def tell() -> None:
            nonlocal went_well
            await finish(application.config_change(change.changed, change.new, change.removed))
            went_well = True

        await self._callback("config_change", tell, CONFIG_CHANGE_S)
        return went_well

    async def _take_down(self) -> None:
        """prep_stop, the tree in reverse, stop; the strays go with the master's group."""
        assert self._application is not None and self._root is not None, "it runs"
        await self._callback("prep_stop", self._application.prep_stop)
        tell_to_stop(self._root, self._process.pid)
        await self._root.wait_ended()
        await self._call_stop()

    async def _call_stop(self, seconds: float | None = None) -> None:
        assert self._application is not None, "it runs"
        self._stop_owed = False
        await self._callback("stop", self._application.stop, seconds)

    async def _undo_start(self) -> None:
        """Stop the servers and supervisors that `start` has started, the newest first, each in its shutdown time."""
        me = self._process
        for pid in reversed(list(me.links)):
            child = me.runtime.processes.get(pid)
            if child is not None and child.runner is not None and child.parent == me.pid:
                await stop_in_order(child, me.pid, f"application {self.manifest.name}")

    async def _callback(self, name: str, callback: Callable[[], Any], seconds: float | None = None) -> Any:
        """What the callback returns, in that time; if it fails, a warning and `None`, for the end must go on."""
        with time_limit(self._process.runtime.timers, seconds) as limit:
            try:
                return await finish(callback())
            except BaseException as error:  # the border where a failing callback becomes a warning
                killed = self._process.exiting is not None and not self._burying
                if isinstance(error, get_cancelled_exc_class()) and (killed or limit.cancel_called):
                    raise
                if (interrupt := interrupt_in(error)) is not None:
                    self._process.runtime.interrupted(interrupt)
                if unwrapped(error) is not interrupt:
                    self._warn(name, error)
        if limit.cancelled_caught:
            self._warn(name, TimeoutError(f"not done within {seconds} s"))
        return None

    def _warn(self, callback: str, error: BaseException) -> None:
        self._process.runtime.reports.warning(
            f"{callback} of application {self.manifest.name} failed: {Crash(error)}", pid=self._process.pid
        )


def _class_of(manifest: Manifest) -> type[Application]:
    """The application class that a manifest names. Raises what importing it raises, or `TypeError`."""
    assert manifest.module is not None, "library applications have no class"
    module, _, name = manifest.module.partition(":")
    cls = getattr(importlib.import_module(module), name)
    if not (isinstance(cls, type) and issubclass(cls, Application)):
        raise TypeError(f"{manifest.module} is no Application")
    return cls


def _start_reason(error: BaseException) -> Reason:
    error = unwrapped(error)
    return reason_of(error) if isinstance(error, StartError) else exit_reason(error)
