"""Random trees that live through random failures, and an oracle that watches every process of them.

The oracle knows nothing of how a supervisor works. It sees each process begin and end, each report, and in quiet
moments the whole table; and it checks what has to hold whatever happened.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any, TypeVar

import anyio
import attrs

from regrow import (
    ChildSpec,
    Crash,
    Custom,
    Down,
    GenServer,
    Ignore,
    Kill,
    Normal,
    Pid,
    Reason,
    Reference,
    Restart,
    ServerRef,
    Shutdown,
    Stop,
    Supervisor,
    TypedChild,
    cast,
    child,
    flush,
    self_pid,
    send_exit,
    spawn,
    start_link,
    trap_exit,
)
from regrow.errors import CallError, ChildError, StartError
from regrow.reports import RestartReport
from regrow.runtime import Process, Runtime, this_process
from regrow.supervisor import SupervisorRunner
from regrow.testing import ManualClock
from tests.local.supervisor_kit import Broken, settled

DEPTH = 3
WIDTH = 4
PROCESSES_MAX = 80  # nobody adds children beyond this

T = TypeVar("T", bound=TypedChild[Any])


@attrs.define(eq=False)
class World:
    """One run: its dice, its time, and what waits to be let go on."""

    dice: random.Random
    clock: ManualClock = attrs.field(factory=ManualClock)
    calm: bool = True
    """No new mischief: starts succeed, and nobody is slow."""
    paused: list[anyio.Event] = attrs.field(factory=list)
    by_hand: set[str] = attrs.field(factory=set)
    """Names of children that somebody stops by hand, out of their turn."""
    excused: set[str] = attrs.field(factory=set)
    """Names of children that may be down though they ought to be up: stopped by hand, or ignored."""
    interrupted: set[Pid] = attrs.field(factory=set)
    """Supervisors that were told to stop a child by hand."""
    out_of_turn: list[str] = attrs.field(factory=list)
    """Who was stopped before those that were started after it."""
    names: int = 0

    def chance(self, of: float) -> bool:
        return not self.calm and self.dice.random() < of

    async def pause(self) -> None:
        event = anyio.Event()
        self.paused.append(event)
        await event.wait()

    def resume(self, at_most: int) -> None:
        for _ in range(min(at_most, len(self.paused))):
            self.paused.pop(self.dice.randrange(len(self.paused))).set()

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def leaf(self) -> TypedChild[Leaf]:
        """A worker of any kind."""
        name = self.name()
        return self._vary(child(Leaf, name, self).named(name), ["infinity", "brutal_kill", 0.0, 1.0, 5.0])

    def tree(self, depth: int) -> TypedChild[Branch]:
        """A supervisor of any kind, with children of all kinds down to that depth."""
        specs: list[ChildSpec] = []
        for _ in range(self.dice.randint(1, WIDTH)):
            specs.append(self.tree(depth - 1) if depth > 1 and self.dice.random() < 0.5 else self.leaf())
        flags = {
            "strategy": self.dice.choice(["one_for_one", "one_for_all", "rest_for_one"]),
            "intensity": self.dice.choice([0, 1, 3, 10]),
            "period": self.dice.choice([1.0, 5.0]),
        }
        return self._vary(child(Branch, specs, flags).named(self.name()), ["infinity", "infinity", 5.0, "brutal_kill"])

    def _vary(self, spec: T, shutdowns: list[Any]) -> T:
        return spec.with_(
            restart=self.dice.choice([*Restart, Restart.PERMANENT]),
            shutdown=self.dice.choice(shutdowns),
            start_timeout=self.dice.choice([None, None, 3.0]),
        )


class Branch(Supervisor):
    """A supervisor that is told everything."""

    def __init__(self, specs: list[ChildSpec], flags: dict[str, object]) -> None:
        self.specs = specs
        for flag, value in flags.items():
            setattr(self, flag, value)

    def init(self) -> list[ChildSpec]:
        return self.specs


class Leaf(GenServer):
    """A worker up to all kinds of mischief."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world

    async def init(self) -> None:
        world = self.world
        trap_exit(world.chance(0.5))
        if world.chance(0.1):
            await world.pause()
        if world.chance(0.15):
            error = world.dice.choice([Broken(self.name), Stop(Normal()), Ignore()])
            if isinstance(error, Ignore):
                world.excused.add(self.name)
            raise error
        trap_exit(world.dice.random() < 0.7)
        if world.chance(0.05):
            self.continue_with("crash")

    async def handle_continue(self, token: object) -> None:
        raise ValueError(token)

    async def handle_info(self, message: object) -> None:
        """Exit signals of strangers."""

    @cast
    async def end(self, reason: Reason) -> None:
        if isinstance(reason, Crash):
            raise reason.exception
        raise Stop(reason)

    async def terminate(self, reason: Reason) -> None:
        if reason == Shutdown() and self.name not in self.world.by_hand:
            self._check_turn()
        if self.world.chance(0.2):
            await self.world.pause()
        if self.world.chance(0.05):
            raise ValueError("in terminate")

    def _check_turn(self) -> None:
        """Its supervisor stops it, in order: then those that were started after it are gone."""
        me = this_process("looking at itself")
        supervisor = me.runtime.processes.get(me.ancestors[0])
        if supervisor is None or not isinstance(supervisor.runner, SupervisorRunner):
            return
        siblings = list(supervisor.runner.children.values())
        mine = next(i for i, sibling in enumerate(siblings) if sibling.process is me)
        for sibling in siblings[mine + 1 :]:
            if sibling.process is not None and sibling.process.ended is None:
                self.world.out_of_turn.append(f"{self.name} before {sibling.spec.id}")


class Oracle:
    """Watches every process of a node."""

    def __init__(self, world: World, runtime: Runtime) -> None:
        self.world = world
        self.runtime = runtime
        self.body = runtime.processes[self_pid()]
        trap_exit(True)
        self.wrong: list[str] = []
        self.ends = self.restarts = self.surrenders = 0
        self._watched: dict[Reference, Pid] = {}  # whose `Down` has not come yet
        self._ended: dict[Pid, Reason] = {}
        self._clean: set[tuple[Pid, str]] = set()  # children that had a clean end, with their supervisor
        self._stamps: dict[Pid, list[float]] = defaultdict(list)
        self._tap()

    def _tap(self) -> None:
        """Be told of each process as it begins and ends, and of each report."""
        runtime, reports = self.runtime, self.runtime.reports
        spawn_, forget, restart, warning = runtime.spawn, runtime.forget, reports.restart, reports.warning

        def tapped_spawn(*args: Any, **kwargs: Any) -> Process:
            process = spawn_(*args, **kwargs)
            self._watched[self.body.monitor(process.pid)] = process.pid
            return process

        def tapped_forget(process: Process) -> None:
            self._process_ends(process)
            forget(process)

        def tapped_restart(report: RestartReport) -> None:
            self._restart(report)
            restart(report)

        def tapped_warning(text: str, *, pid: Pid | None = None) -> None:
            if "gives up" in text and pid is not None:
                self._surrender(pid)
            warning(text, pid=pid)

        runtime.spawn = tapped_spawn  # type: ignore[method-assign]
        runtime.forget = tapped_forget  # type: ignore[method-assign]
        reports.restart = tapped_restart  # type: ignore[method-assign]
        reports.warning = tapped_warning  # type: ignore[method-assign]

    # -- as it happens

    def _process_ends(self, process: Process) -> None:
        self.ends += 1
        assert process.ended is not None
        self._ended[process.pid] = process.ended
        if isinstance(process.runner, SupervisorRunner):
            for other in self.runtime.processes.values():
                if process.pid in other.ancestors:
                    self.wrong.append(f"{other} outlives its supervisor {process}")
        name = self.runtime.registry.name_of(process.pid)
        if name is not None and process.ancestors and isinstance(process.ended, Normal | Shutdown):
            self._clean.add((process.ancestors[0], name))

    def _window(self, pid: Pid) -> tuple[int, int]:
        """One more restart, now: how many there are within the period, and how many may be."""
        now = self.world.clock.now()
        runner = self.runtime.processes[pid].runner
        assert isinstance(runner, SupervisorRunner)
        stamps = self._stamps[pid]
        stamps.append(now)
        recent = sum(now - stamp <= runner.flags.period_s for stamp in stamps)
        return recent, runner.flags.intensity

    def _restart(self, report: RestartReport) -> None:
        self.restarts += 1
        pid = self.runtime.registry.whereis(report.supervisor)
        assert pid is not None
        recent, intensity = self._window(pid)
        if report.budget_left != intensity - recent:
            self.wrong.append(f"{report.supervisor} says {report.budget_left}, but {recent} of {intensity} are spent")

    def _surrender(self, pid: Pid) -> None:
        self.surrenders += 1
        recent, intensity = self._window(pid)
        if recent != intensity + 1:
            self.wrong.append(f"{pid} gave up at {recent} of {intensity}")

    # -- when all is quiet

    def check(self, root: Pid | None) -> None:
        """Everything that must hold while nothing happens; `root` is the supervisor of the tree, if it lives."""
        self._check_downs()
        self.wrong += self.world.out_of_turn
        living = {self.body.pid}
        if root in self.runtime.processes:
            self._check_tree(self.runtime.processes[root], self.body, living)
        for pid in self.runtime.processes.keys() - living:
            self.wrong.append(f"{self.runtime.processes[pid]} belongs to nobody")
        named = {self.runtime.registry.name_of(pid) for pid in living - {self.body.pid}}
        if set(self.runtime.registry) != named:
            self.wrong.append(f"names {set(self.runtime.registry)}, but processes {named}")
        if len(self.runtime.timers):
            self.wrong.append(f"{len(self.runtime.timers)} timers run on")
        self.world.by_hand.clear()
        self.world.interrupted.clear()

    def _check_downs(self) -> None:
        for message in flush():
            if isinstance(message, Down):
                pid = self._watched.pop(message.ref, None)
                if pid is None:
                    self.wrong.append(f"a second {message}")
                elif self._ended.get(pid) != message.reason:
                    self.wrong.append(f"{message}, but it ended with {self._ended.get(pid)}")
        waiting = set(self._watched.values())
        alive = self.runtime.processes.keys() - {self.body.pid}
        if waiting != alive:
            self.wrong.append(f"monitors of {waiting - alive} did not fire, of {alive - waiting} fired too early")

    def _check_tree(self, process: Process, parent: Process, living: set[Pid]) -> None:
        living.add(process.pid)
        expected = {parent.pid}
        if isinstance(process.runner, SupervisorRunner):
            if process.pid in self.world.interrupted:
                # Whoever stops a child by hand between two tries stops the restart of its whole group.
                self.world.excused.update(process.runner.children)
            for id_, sibling in process.runner.children.items():
                if sibling.process is None:
                    self._check_absent(process.pid, id_, sibling.spec.restart)
                elif sibling.process.pid not in self.runtime.processes:
                    self.wrong.append(f"{process} takes {id_} for alive")
                else:
                    self.world.excused.discard(id_)
                    expected.add(sibling.process.pid)
                    self._check_tree(sibling.process, process, living)
        if set(process.links) != expected:
            self.wrong.append(f"{process} has links {list(process.links)}, not {expected}")
        if process.mailbox.queue or process.requests or process.monitors or len(process.watchers) != 1:
            self.wrong.append(f"{process} has something left: {process.mailbox.queue}, {process.requests}")

    def _check_absent(self, supervisor: Pid, id_: str, restart: Restart) -> None:
        done = restart is Restart.TRANSIENT and (supervisor, id_) in self._clean
        if restart is Restart.TEMPORARY or not (done or id_ in self.world.excused):
            self.wrong.append(f"{id_} ({restart}) of {supervisor} ought to be up")


class Fate:
    """Does something to the tree, again and again."""

    def __init__(self, world: World, runtime: Runtime) -> None:
        self.world = world
        self.runtime = runtime
        self.root: ServerRef[Branch] | None = None

    async def strike(self) -> None:
        """One event."""
        dice = self.world.dice
        if self.root is None or self.root.pid not in self.runtime.processes:
            await self._plant()
        acts = {self._end: 6, self._kill: 3, self._signal: 1, self._ask: 4, self._let_go: 4, self._wait: 2}
        dice.choices(list(acts), list(acts.values()))[0]()
        if dice.random() < 0.3:
            await settled()
        for _ in range(dice.randrange(4)):
            await self.runtime.backend.checkpoint()

    async def calm_down(self) -> None:
        """Let everything come to its end."""
        self.world.calm = True
        await settled()
        while self.world.paused:
            self.world.resume(len(self.world.paused))
            await settled()

    async def _plant(self) -> None:
        await self.calm_down()
        self.root = await start_link(self.world.tree(DEPTH))
        self.world.calm = False

    def _pick(self, kind: type[object]) -> Pid | None:
        found = [pid for pid, process in self.runtime.processes.items() if isinstance(process.server, kind)]
        return self.world.dice.choice(found) if found else None

    def _end(self) -> None:
        pid = self._pick(Leaf)
        if pid is not None:
            reasons = [Crash(ValueError("boom")), Normal(), Shutdown("by itself"), Custom("tired")]
            Leaf.end(ServerRef(pid, Leaf), self.world.dice.choice(reasons))

    def _kill(self) -> None:
        pid = self._pick(Branch if self.world.dice.random() < 0.2 else Leaf)
        if pid is not None:
            send_exit(pid, Kill())

    def _signal(self) -> None:
        """From the body: an order for the root, once in a while, noise for everybody else."""
        pid = self._pick(object)
        if pid is not None and pid != self.runtime.processes[self_pid()].pid:
            send_exit(pid, self.world.dice.choice([Normal(), Shutdown("by a stranger"), Custom("noise")]))

    def _ask(self) -> None:
        pid = self._pick(Branch)
        if pid is None:
            return
        runner = self.runtime.processes[pid].runner
        assert isinstance(runner, SupervisorRunner)
        id_ = self.world.dice.choice([*runner.children, "nobody"])
        sup = ServerRef(pid, Branch)
        match self.world.dice.randrange(5):
            case 0 if len(self.runtime.processes) < PROCESSES_MAX:
                spawn(asking, Supervisor.start_child, sup, self.world.tree(1) if id_ == "nobody" else self.world.leaf())
            case 1:
                self.world.by_hand.add(id_)
                self.world.excused.add(id_)
                self.world.interrupted.add(pid)
                spawn(asking, Supervisor.terminate_child, sup, id_)
            case 2:
                spawn(asking, Supervisor.restart_child, sup, id_)
            case 3:
                spawn(asking, Supervisor.delete_child, sup, id_)
            case _:
                spawn(asking, Supervisor.which_children, sup)

    def _let_go(self) -> None:
        self.world.resume(2)

    def _wait(self) -> None:
        self.world.clock.advance(self.world.dice.choice([0.1, 0.7, 1.0, 2.5]))


async def asking(request: Any, *args: object) -> None:
    """An operator who takes a refusal for an answer."""
    try:
        await request(*args)
    except (CallError, ChildError, StartError):
        return
