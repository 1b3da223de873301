"""The application controller: what is loaded, what runs, and who waits for it.

An object whose methods never wait, but for those that are asked to (`start`, `stop`): a start is a process,
the application's master, and its outcome comes back as a method call. So no application, however slow, keeps
the controller from answering, and whoever waits does so on a promise of his own.
"""

from __future__ import annotations

import enum
from contextlib import suppress
from typing import Protocol

import attrs

from ._pure.child_spec import Restart
from ._pure.manifest import Manifest
from ._pure.start_order import OrderError, start_order
from .application_master import (
    STOP_CALLBACK_S,
    ApplicationEnded,
    MasterRunner,
    NormalStart,
    StartType,
    StopOrder,
)
from .environments import Environments
from .errors import ApplicationError
from .manifests import Manifests
from .messages import Failure, Promise, result_of
from .reasons import Custom, Killed, Normal, Reason
from .refusals import REFUSAL_S
from .runtime import Process, Runtime
from .stopping import kill_late, time_limit


class Phase(enum.Enum):
    """What an application that is loaded is doing on this node."""

    LOADED = "loaded"
    """It is known, and does not run: not started yet, stopped, or ended."""
    STARTING = "starting"
    """Its start is under way, here or on another node."""
    RUNNING = "running"
    """It runs here."""
    STOPPING = "stopping"
    """It is being stopped here."""
    STANDBY = "standby"
    """It was started here, and runs on another node."""


@attrs.define(eq=False)
class LoadedApplication:
    """One application that the node knows, and where it is."""

    manifest: Manifest
    phase: Phase = Phase.LOADED
    restart: Restart = Restart.TEMPORARY
    start_type: StartType | None = None
    """How it was started here; `None` while it does not run."""
    master: Process | None = None
    runs_at: str | None = None
    started: bool = False
    """Somebody started it, and nobody stopped it: it runs somewhere, may not run, or has ended by itself."""
    permitted: bool = True
    """Whether it may run here, where that is this node's alone to say."""
    reason: Reason | None = None
    """Why it does not run: it could not be started, or has ended by itself."""
    starters: list[Promise] = attrs.field(factory=list[Promise])
    stoppers: list[Promise] = attrs.field(factory=list[Promise])

    @property
    def name(self) -> str:
        return self.manifest.name


class Distribution(Protocol):
    """Who decides where an application runs; the distributed application controller installs itself here.

    It orders with `run_here`, `stop_here`, `runs_elsewhere` and `runs_nowhere`.
    """

    def controls(self, name: str) -> bool:
        """Whether the place of this application is decided here, rather than being this node always."""
        ...

    def start_wanted(self, name: str) -> None:
        """Somebody here wants it started."""
        ...

    def stop_wanted(self, name: str) -> None:
        """Somebody here wants it stopped, wherever it runs."""
        ...

    def started_here(self, name: str) -> None:
        """It runs here now."""
        ...

    def failed_here(self, name: str, reason: Reason) -> None:
        """It could not be started here, or ended here by itself."""
        ...

    def stopped_here(self, name: str, handoff: object) -> None:
        """It was stopped here as ordered; what it handed over, if it was asked."""
        ...

    def wanted(self, name: str) -> bool:
        """Whether somebody here started it and nobody stopped it, wherever it runs, moves to, or is tried next."""
        ...

    def failed(self, name: str) -> bool:
        """Whether it was tried on this node in vain, so that only a new start lets it run here again."""
        ...

    async def permit(self, name: str, flag: bool) -> None:
        """Somebody here says whether it may run here; returns once that is so."""
        ...


class ApplicationController:
    """The applications of one node."""

    def __init__(self, runtime: Runtime, manifests: Manifests, environments: Environments) -> None:
        self._runtime = runtime
        self._manifests = manifests
        self._closing = False  # the node stops: nothing is started any more
        self.environments = environments
        self.loaded: dict[str, LoadedApplication] = {}
        self.running: dict[str, LoadedApplication] = {}  # those that run here, in start order
        self.distribution: Distribution | None = None

    # -- loading

    def load(self, name: str) -> None:
        """Make an application known, with those it includes."""
        if name in self.loaded:
            raise ApplicationError(name, Custom("already_loaded"))
        self._load(name)

    def unload(self, name: str) -> None:
        """Forget an application and its environment, with those it includes."""
        application = self._known(name)
        if application.phase is not Phase.LOADED:
            raise ApplicationError(name, Custom("running"))
        del self.loaded[name]
        self.environments.unload(name)
        for included in application.manifest.included_applications:
            if included in self.loaded and self.loaded[included].phase is Phase.LOADED:
                self.unload(included)

    def _load(self, name: str) -> LoadedApplication:
        if name not in self.loaded:
            for manifest in self._family(name, {}).values():
                self.loaded[manifest.name] = LoadedApplication(manifest)
                self.environments.load(manifest.name, manifest.env)
        return self.loaded[name]

    def _family(self, name: str, found: dict[str, Manifest]) -> dict[str, Manifest]:
        """The manifests of an application and of those it includes that are not loaded: all of them, or an error."""
        if name not in self.loaded and name not in found:
            found[name] = self._manifests.find(name)
            for included in found[name].included_applications:
                self._family(included, found)
        return found

    def _included_in(self, manifest: Manifest) -> tuple[Manifest, ...]:
        """The manifests of all that the application includes, each before those that it includes itself."""
        found: dict[str, Manifest] = {}

        def add(including: Manifest) -> None:
            for name in including.included_applications:
                if name in self.loaded and name not in found:
                    found[name] = self.loaded[name].manifest
                    add(found[name])

        add(manifest)
        return tuple(found.values())

    def _known(self, name: str) -> LoadedApplication:
        if name not in self.loaded:
            raise ApplicationError(name, Custom("not_loaded"))
        return self.loaded[name]

    def _distributed(self, name: str) -> Distribution | None:
        return self.distribution if self.distribution is not None and self.distribution.controls(name) else None

    # -- starting

    async def start(self, name: str, restart: Restart) -> None:
        """Start an application, or wait with those who did; returns once it runs, here or elsewhere.

        One that only moves from one node to another was started before: that is an error.
        """
        application = self._load(name)
        if application.phase is Phase.STOPPING and self._distributed(name) is None:
            await self.gone_from_here(application)
            application = self._load(name)
        if application.phase is not Phase.STARTING or application.started:
            self._begin(application, restart)
        await self._started(application)

    async def ensure_started(self, name: str, restart: Restart) -> bool:
        """Start it, or wait with those who did, unless it is started; whether it was this caller who started it."""
        if self.is_started(name):
            return False
        if name in self.loaded and self.loaded[name].phase is Phase.STARTING:
            await self._started(self.loaded[name])
            return False
        await self.start(name, restart)
        return True

    async def _started(self, application: LoadedApplication) -> None:
        """Wait until a start is done. Raises `ApplicationError` if it fails."""
        if application.phase is Phase.STARTING:
            promise = self._runtime.backend.promise()
            application.starters.append(promise)
            result_of(await promise)
        elif application.phase is Phase.LOADED and application.reason is not None:
            raise ApplicationError(application.name, application.reason)  # it was clear at once that it can't be

    async def ensure_all_started(self, name: str, restart: Restart) -> list[str]:
        """Start an application and, before it, all it needs; those started here, in order. All or nothing."""
        mine: list[str] = []
        try:
            for needed in self._order(name):
                if await self.ensure_started(needed, restart):
                    mine.append(needed)
        except ApplicationError:
            for needed in reversed(mine):
                if self.is_started(needed):  # it may have ended by itself
                    await self.stop(needed)
            raise
        return mine

    def _order(self, name: str) -> tuple[str, ...]:
        try:
            return start_order(name, self._manifests.find_or_none)
        except OrderError as error:
            raise ApplicationError(error.application, Custom(str(error))) from None

    def is_started(self, name: str) -> bool:
        """Whether it runs here or stands by for running elsewhere."""
        application = self.loaded.get(name)
        return application is not None and application.phase in (Phase.RUNNING, Phase.STANDBY)

    def _begin(self, application: LoadedApplication, restart: Restart) -> None:
        distribution = self._distributed(application.name)
        again = (
            application.phase is Phase.STANDBY and distribution is not None and distribution.failed(application.name)
        )
        if application.phase is not Phase.LOADED and not again:
            raise ApplicationError(application.name, Custom("already_started"))
        if self._closing:
            raise ApplicationError(application.name, Custom("the node is stopping"))
        self._check_dependencies(application.manifest)
        application.phase, application.restart = Phase.STARTING, restart
        application.started, application.reason = False, None
        if distribution is not None:
            distribution.start_wanted(application.name)
        elif application.permitted:
            self.run_here(application.name, NormalStart())
        else:
            self.runs_elsewhere(application.name, None)

    def _check_dependencies(self, manifest: Manifest) -> None:
        for needed in manifest.applications:
            if self.is_started(needed) or needed in manifest.optional_applications:
                continue
            word = "not_running" if needed in self.loaded and self.loaded[needed].started else "not_started"
            raise ApplicationError(manifest.name, Custom(f"{word}: {needed}"))

    def run_here(self, name: str, start_type: StartType) -> None:
        """Start the application on this node: its master, in a process of its own."""
        application = self.loaded[name]
        application.phase, application.start_type = Phase.STARTING, start_type
        manifest = application.manifest
        if manifest.module is None:
            self._runs(application, start_type, None)
            return
        runner = MasterRunner(manifest, self._included_in(manifest), start_type)
        master = self._runtime.spawn(
            runner.run, f"application {name}", None, home=self._runtime.home, bury_children=runner.bury_children
        )
        master.runner, application.master = runner, master
        runner.on_ready = lambda: self._runs(application, start_type, master)
        master.on_end = lambda reason: self._master_ended(application, runner, reason)

    def _runs(self, application: LoadedApplication, start_type: StartType, master: Process | None) -> None:
        application.phase, application.start_type, application.master = Phase.RUNNING, start_type, master
        application.runs_at, application.started = self._runtime.node_name, True
        self.running[application.name] = application
        self._runtime.reports.progress(f"application {application.name} started ({start_type})")
        distribution = self._distributed(application.name)
        if distribution is not None:
            distribution.started_here(application.name)
        _settle_all(application.starters, None)

    def run_if_possible(self, name: str, start_type: StartType) -> None:
        """Start it on this node, whose turn it is. Raises `ApplicationError` if what it needs is not up."""
        if self._closing:
            raise ApplicationError(name, Custom("the node is stopping"))
        application = self.loaded[name]
        try:
            self._check_dependencies(application.manifest)
        except ApplicationError as error:
            application.reason = error.reason
            raise
        self.run_here(name, start_type)

    def start_refused(self, name: str, reason: Reason) -> None:
        """It can't be started as things are; whoever wanted it is told, and nothing else happens."""
        application = self.loaded[name]
        application.phase, application.reason = Phase.LOADED, reason
        _settle_all(application.starters, Failure(ApplicationError(name, reason)))

    def runs_elsewhere(self, name: str, node: str | None) -> None:
        """It runs on another node, or is permitted on none, and this one stands by."""
        application = self.loaded[name]
        application.phase, application.runs_at, application.started = Phase.STANDBY, node, True
        why = "it may not run" if node is None else f"it runs on {node}"
        self._runtime.reports.progress(f"application {name} stands by: {why}")
        _settle_all(application.starters, None)

    def runs_nowhere(self, name: str, reason: Reason | None) -> None:
        """It was stopped everywhere, or has failed everywhere, for that reason; then its restart type applies."""
        application = self.loaded[name]
        application.phase, application.runs_at, application.reason = Phase.LOADED, None, reason
        started, application.started = application.started, application.started and reason is not None
        error = ApplicationError(name, Custom("stopped") if reason is None else reason)
        _settle_all(application.starters, Failure(error))
        _settle_all(application.stoppers, None)
        if reason is None:
            self._runtime.reports.progress(f"application {name} is stopped")
            return
        did = "ended by itself" if started else "did not start"
        self._runtime.reports.warning(f"application {name} ({application.restart.value}) {did}: {reason}")
        if _fatal(application.restart, reason):
            assert self._runtime.body is not None, "applications run inside of a node's body"
            self._runtime.body.die(Custom(ApplicationEnded(name, reason, started)))

    # -- ending

    async def stop(self, name: str) -> None:
        """Stop an application; returns once it is gone, on every node if it is a distributed one."""
        application = self.loaded.get(name)
        if application is not None and application.phase is Phase.LOADED and application.started:
            application.started, application.reason = False, None  # it had ended by itself: now it counts as stopped
            return
        if application is None or not self._can_stop(application):
            raise ApplicationError(name, Custom("not_started"))
        distribution = self._distributed(name)
        if distribution is not None:
            distribution.stop_wanted(name)
        else:
            self._stop_wanted(application)
        await self.gone_from_here(application)

    def _stop_wanted(self, application: LoadedApplication) -> None:
        """Nobody wants it any more, and where it runs is this node's alone to say."""
        application.started = False
        if application.phase is Phase.RUNNING:
            self.stop_here(application.name)
        elif application.phase is Phase.STANDBY:
            self._gone(application, None)

    async def permit(self, name: str, flag: bool) -> None:
        """Say whether it may run on this node; returns once that is so.

        One that was started here and may not run stands by. Raises `ApplicationError`, also if it may run now but
        does not start.
        """
        distribution = self._distributed(name)
        if distribution is not None:
            await distribution.permit(name, flag)
            return
        application = self._known(name)
        application.permitted = flag
        with suppress(ApplicationError):  # that is for whoever started it
            await self._started(application)
        if application.phase is Phase.RUNNING and not application.permitted:
            self.stop_here(name)
        if application.phase is Phase.STOPPING:
            await self.gone_from_here(application)
        if application.phase is Phase.STANDBY and flag and application.permitted:  # nobody has said otherwise since
            self.run_if_possible(name, NormalStart())
            await self._started(application)

    async def gone_from_here(self, application: LoadedApplication) -> None:
        """Wait until a stop that was ordered is done."""
        if application.phase is not Phase.LOADED:
            promise = self._runtime.backend.promise()
            application.stoppers.append(promise)
            await promise

    async def moved_away(self, name: str) -> None:
        """Wait until no instance of it is on this node."""
        application = self.loaded.get(name)
        if application is not None and application.master is not None:
            await application.master.wait_ended()

    def _can_stop(self, application: LoadedApplication) -> bool:
        """Whether there is something to stop; the start of a distributed one can be called off, wherever it is."""
        if application.phase is Phase.STARTING:
            return self._distributed(application.name) is not None
        return application.phase is not Phase.LOADED

    async def stop_all(self, timeout_s: float) -> None:
        """Stop what runs on this node, newest first, without a word to other nodes; nothing starts any more.

        What is just starting is killed. What has not stopped within `timeout_s` is named, and killed.
        """
        self.distribution, self._closing = None, True
        await self._kill([one for one in self.loaded.values() if one.phase is Phase.STARTING])
        with time_limit(self._runtime.timers, timeout_s):
            while self.running:
                newest = next(reversed(self.running.values()))
                self._stop_wanted(newest)
                await self.gone_from_here(newest)
        late = list(reversed(self.running.values()))
        for application in late:
            if application.master is not None:
                kill_late({application.master: f"application {application.name}"}, self._runtime.node_name, timeout_s)
            await self._kill([application])

    async def _kill(self, applications: list[LoadedApplication]) -> None:
        for application in applications:
            if application.master is not None:
                if application.phase is Phase.RUNNING:
                    application.phase = Phase.STOPPING
                application.master.die(Killed())
                # One that refuses to end must not keep the others from ending in order.
                with time_limit(self._runtime.timers, STOP_CALLBACK_S + REFUSAL_S):
                    await application.master.wait_ended()

    def stop_here(self, name: str, *, ask_handoff: bool = False) -> None:
        """Stop the instance on this node in order, asking it first for what it hands over if wanted."""
        application = self.loaded[name]
        application.phase = Phase.STOPPING
        if application.master is None:
            self._gone(application, None)
        else:
            application.master.mailbox.post_system(StopOrder(ask_handoff))

    def _master_ended(self, application: LoadedApplication, runner: MasterRunner, reason: Reason) -> None:
        """An instance on this node is gone, with everything that belonged to it."""
        if application.phase is Phase.STOPPING:
            self._gone(application, runner.handed_over)
            return
        self._forget_instance(application)
        failure = application.reason = runner.start_failure or reason
        distribution = self._distributed(application.name)
        if distribution is not None:
            distribution.failed_here(application.name, failure)
        else:
            self.runs_nowhere(application.name, failure)

    def _gone(self, application: LoadedApplication, handoff: object) -> None:
        """The order to stop was carried out."""
        self._forget_instance(application)
        self._runtime.reports.progress(f"application {application.name} has stopped here")
        distribution = self._distributed(application.name)
        if distribution is not None:
            application.started = distribution.wanted(application.name)
            distribution.stopped_here(application.name, handoff)
            return
        if application.started:  # it is wanted, and only not permitted
            self.runs_elsewhere(application.name, None)
        _settle_all(application.stoppers, None)

    def _forget_instance(self, application: LoadedApplication) -> None:
        self.running.pop(application.name, None)
        distribution = self._distributed(application.name)
        moves = distribution is not None and distribution.wanted(application.name)
        application.phase, application.runs_at = Phase.STARTING if moves else Phase.LOADED, None
        application.master = application.start_type = None


def _fatal(restart: Restart, reason: Reason) -> bool:
    """Whether an application's end takes its node with it. For a transient one any end but a normal one does."""
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return not isinstance(reason, Normal)
        case Restart.TEMPORARY:
            return False


def _settle_all(promises: list[Promise], outcome: object) -> None:
    waiting = promises.copy()
    promises.clear()
    for promise in waiting:
        promise.settle(outcome)
