"""The distributed application controller: who runs what, among the nodes that share it.

It carries out what `_pure.election` decides, one state machine for each application: tells the other nodes,
orders the application controller of this one, and sets the timers. Its methods never wait. It meets the
controller of another node whenever the two connect, at boot or later, and keeps trying to reach those that
share an application with it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import cast

import attrs

from ._pure.config import Distributed
from ._pure.dist_app import (
    Because,
    Event,
    Failed,
    Grant,
    Heard,
    Introduced,
    Lost,
    Message,
    Permit,
    RunsAt,
    RunsNowhere,
    Send,
    Settings,
    Started,
    StartHere,
    State,
    Status,
    StopHere,
    Stopped,
    StopWanted,
    TakeOverByHand,
    TakeOverRefused,
    WaitFor,
    WaitOver,
    Want,
    Weight,
)
from ._pure.election import step
from ._pure.vocabulary import NotPortable, Unreadable
from .application_controller import ApplicationController
from .application_master import Failover, NormalStart, StartType, Takeover
from .dist_words import About, Meet
from .errors import ApplicationError
from .messages import Failure, Promise, result_of
from .net_kernel import NetKernel
from .reasons import Custom, Reason
from .runtime import Runtime
from .timers import Timer

SERVICE = "dist_ac"
MEET_S = 1.0  # how long a node that is connected may take to say what it runs, before nothing is started for it
REDIAL_S = 0.5  # between two attempts to reach the nodes that share an application and are not connected


@attrs.define(eq=False)
class Shared:
    """One distributed application, as this node sees it."""

    config: Distributed
    state: State
    failure: Reason | None = None
    """Why it last failed here."""
    mismatches: dict[str, str] = attrs.field(factory=dict[str, str])
    """Nodes whose configuration of it is another, and what that is."""
    takers: list[Promise] = attrs.field(factory=list[Promise])
    """Who asked for a takeover by hand."""


class DistributionController:
    """The distributed applications of one node."""

    def __init__(
        self, runtime: Runtime, controller: ApplicationController, net: NetKernel, configs: tuple[Distributed, ...]
    ) -> None:
        self._runtime = runtime
        self._controller = controller
        self._net = net
        self._todo: deque[tuple[Shared, Event]] = deque()
        self._working = False
        self._timers: list[Timer] = []
        self._redial: Timer | None = None
        self._unmet: dict[str, Timer] = {}  # nodes that were asked what they run, and have not said
        self._held: list[str] = []  # applications that somebody wants started, once all have said
        self.shared = {config.application: _shared(runtime.node_name, config) for config in configs}
        mine = runtime.node_name
        self._others = {node for config in configs for node in config.nodes if mine in config.nodes and node != mine}

    # -- life

    def start(self) -> None:
        """Meet the other nodes, now and whenever they come."""
        self._controller.distribution = self
        self._net.services[SERVICE] = self._told
        self._net.watchers.append(self._came_or_went)
        for node in self._net.connected():
            self._meet(node)
        self._dial()

    def stop(self) -> None:
        """Say nothing any more: to the others this node is about to go down. A second time does nothing."""
        if self._net.services.pop(SERVICE, None) is not None:
            self._net.watchers.remove(self._came_or_went)
        for timer in (*self._timers, *self._unmet.values(), self._redial):
            if timer is not None:
                timer.cancel()

    def _dial(self) -> None:
        for node in sorted(self._others.difference(self._net.connected())):
            self._net.invite(node)
        self._redial = self._runtime.timers.after(REDIAL_S, self._dial)

    # -- other nodes

    def _came_or_went(self, node: str, came: bool) -> None:
        if came:
            self._meet(node)
            return
        for shared in self.shared.values():
            shared.mismatches.pop(node, None)
            self._feed(shared, Lost(node))
        self._met(node)
        if node in self._others:
            self._net.invite(node)

    def _meet(self, node: str, *, answer: bool = False) -> None:
        """Say which applications we share, how they are configured, and what we do about them."""
        if not answer and node in self._others and node not in self._unmet:
            self._unmet[node] = self._runtime.timers.after(MEET_S, lambda: self._met(node))
        about = {name: (_terms(shared.config), shared.state.mine) for name, shared in self.shared.items()}
        self._net.tell(node, SERVICE, Meet(about, answer))

    def _met(self, node: str) -> None:
        """The node has said what it runs, or won't; once all have, what is wanted is started."""
        timer = self._unmet.pop(node, None)
        if timer is not None:
            timer.cancel()
        if not self._unmet:
            held, self._held = self._held, []
            for name in held:
                self.start_wanted(name)

    def _told(self, node: str, message: object) -> None:
        match message:
            case Meet(about, answer):
                if not answer:
                    self._meet(node, answer=True)
                for name, (terms, status) in about.items():
                    if name in self.shared:
                        self._introduced(self.shared[name], node, terms, status)
                self._met(node)
                self._runtime.reports.progress(f"{node} has told what it does about {', '.join(about) or 'nothing'}")
            case About(name, said) if name in self.shared:
                if isinstance(said, Grant) and isinstance(said.handoff, Unreadable):
                    self._runtime.reports.warning(f"what {node} hands over of {name} is lost: {said.handoff.why}")
                    said = attrs.evolve(said, handoff=None)
                self._feed(self.shared[name], Heard(node, cast(Message, said)))
            case _:
                self._runtime.reports.warning(f"{node} said what no application controller says: {message!r:.200}")

    def _introduced(self, shared: Shared, node: str, terms: tuple[object, ...], status: Status) -> None:
        mine = _terms(shared.config)
        if terms == mine:
            self._feed(shared, Introduced(node, status))
        else:
            shared.mismatches[node] = repr(terms)
            self._runtime.reports.warning(
                f"application {shared.config.application} is configured differently on {node}: {terms!r}, here {mine!r}"
            )

    # -- what the application controller wants and reports

    def controls(self, name: str) -> bool:
        return name in self.shared

    def start_wanted(self, name: str) -> None:
        shared = self.shared[name]
        if self._unmet:
            self._held.append(name)
            return
        if shared.mismatches:
            theirs = "; ".join(f"{node}: {terms}" for node, terms in shared.mismatches.items())
            text = f"distribution_mismatch: here {_terms(shared.config)!r}; {theirs}"
            self._controller.start_refused(name, Custom(text))
            return
        self._feed(shared, Want())

    def stop_wanted(self, name: str) -> None:
        self._held = [other for other in self._held if other != name]
        self._feed(self.shared[name], StopWanted())

    def started_here(self, name: str) -> None:
        self._settle(self.shared[name], None)
        self._feed(self.shared[name], Started())

    def failed_here(self, name: str, reason: Reason) -> None:
        shared = self.shared[name]
        shared.failure = reason
        self._runtime.reports.warning(f"application {name} does not run here: {reason}; the next node tries")
        self._settle(shared, Failure(ApplicationError(name, reason)))
        self._feed(shared, Failed(str(reason)))

    def stopped_here(self, name: str, handoff: object) -> None:
        self._feed(self.shared[name], Stopped(handoff))

    def wanted(self, name: str) -> bool:
        """Whether it was started on this node, and not stopped since."""
        return self.shared[name].state.mine.wanted

    def failed(self, name: str) -> bool:
        """Whether it was tried on this node, and is not again until somebody starts it anew."""
        return self.shared[name].state.mine.failed is not None

    # -- by hand

    async def takeover(self, name: str) -> None:
        """Run it here, whatever the precedence says; returns once it does. Raises `ApplicationError`."""
        if name not in self.shared:
            raise ApplicationError(name, Custom("not_running_distributed"))
        shared = self.shared[name]
        promise = self._runtime.backend.promise()
        shared.takers.append(promise)
        self._feed(shared, TakeOverByHand())
        result_of(await promise)

    async def permit(self, name: str, flag: bool) -> None:
        """Say whether it may run here; returns once it does not run where it may not."""
        self._feed(self.shared[name], Permit(flag))
        if not flag:
            await self._controller.moved_away(name)

    # -- the machine

    def _feed(self, shared: Shared, event: Event) -> None:
        """Move one application on; what its actions bring about at once takes its turn after them."""
        weight = len(self._controller.running)
        if weight != shared.state.mine.weight:
            self._todo.append((shared, Weight(weight)))
        self._todo.append((shared, event))
        if self._working:
            return
        self._working = True
        try:
            while self._todo:
                self._step(*self._todo.popleft())
        finally:
            self._working = False

    def _step(self, shared: Shared, event: Event) -> None:
        shared.state, actions = step(shared.state, event)
        for action in actions:
            name = shared.config.application
            match action:
                case Send(node, message):
                    self._say(node, name, message)
                case StartHere(because, node, handoff):
                    self._start_here(shared, _start_type(because, node, handoff))
                case StopHere(ask_handoff):
                    self._controller.stop_here(name, ask_handoff=ask_handoff)
                case WaitFor(number, seconds):
                    self._wait_for(shared, number, seconds)
                case RunsAt(node):
                    self._controller.runs_elsewhere(name, node)
                case RunsNowhere(reason):
                    self._controller.runs_nowhere(name, None if reason is None else shared.failure or Custom(reason))
                case TakeOverRefused(why):
                    self._settle(shared, Failure(ApplicationError(name, Custom(why))))

    def _say(self, node: str, name: str, message: Message) -> None:
        try:
            self._net.tell(node, SERVICE, About(name, message))
        except NotPortable as error:
            assert isinstance(message, Grant), "all other messages are plain data"
            self._runtime.reports.warning(f"what {name} hands over cannot leave this node: {error}")
            self._net.tell(node, SERVICE, About(name, attrs.evolve(message, handoff=None)))

    def _start_here(self, shared: Shared, start_type: StartType) -> None:
        name = shared.config.application
        try:
            self._controller.run_if_possible(name, start_type)
        except ApplicationError as error:
            self.failed_here(name, error.reason)

    def _wait_for(self, shared: Shared, number: int, seconds: float) -> None:
        self._timers = [timer for timer in self._timers if timer.active]
        if not math.isinf(seconds):
            self._timers.append(self._runtime.timers.after(seconds, lambda: self._feed(shared, WaitOver(number))))

    def _settle(self, shared: Shared, outcome: object) -> None:
        takers, shared.takers = shared.takers, []
        for promise in takers:
            promise.settle(outcome)


def _shared(me: str, config: Distributed) -> Shared:
    return Shared(config, State(me, Settings(config.groups, config.wait, config.takeover == "overlap")))


def _terms(config: Distributed) -> tuple[object, ...]:
    """What all nodes have to agree on; the order inside of a group means nothing."""
    return tuple(tuple(sorted(group)) for group in config.groups), config.wait, config.takeover, config.arbiter


def _start_type(because: Because, node: str | None, handoff: object) -> StartType:
    match because, node:
        case Because.FAILOVER, str():
            return Failover(node)
        case Because.TAKEOVER, str():
            return Takeover(node, handoff)
        case _:
            return NormalStart()
