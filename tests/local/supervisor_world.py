"""Random trees, their children up to all kinds of mischief, and a fate that strikes them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import attrs

from regrow import (
    ChildSpec,
    Crash,
    Custom,
    DynamicSupervisor,
    GenServer,
    Ignore,
    Kill,
    Normal,
    NotPortable,
    Pid,
    Reason,
    RemoteError,
    Restart,
    ServerRef,
    Shutdown,
    Stop,
    Supervisor,
    TypedChild,
    cast,
    child,
    self_pid,
    send_exit,
    spawn,
    start_link,
    trap_exit,
)
from regrow.dynamic_supervisor import DynamicSupervisorRunner
from regrow.errors import CallError, ChildError, StartError
from regrow.owner import Owner
from regrow.runtime import Runtime, this_process
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
    paused: list[Callable[[], object]] = attrs.field(factory=list)
    """What lets those go on that wait."""
    by_hand: set[str] = attrs.field(factory=set)
    """Names of children that somebody stops by hand, out of their turn."""
    excused: set[str] = attrs.field(factory=set)
    """Names of children that may be down though they ought to be up: stopped by hand, or ignored."""
    interrupted: set[Pid] = attrs.field(factory=set)
    """Supervisors that were told to stop a child by hand."""
    wrong: list[str] = attrs.field(factory=list)
    """What must not be, and was."""
    counts: Counter[str] = attrs.field(factory=Counter)
    """What there was, and how often."""
    names: int = 0

    def chance(self, of: float) -> bool:
        return not self.calm and self.dice.random() < of

    async def pause(self) -> None:
        event = anyio.Event()
        self.paused.append(event.set)
        await event.wait()

    def resume(self, at_most: int) -> None:
        for _ in range(min(at_most, len(self.paused))):
            self.paused.pop(self.dice.randrange(len(self.paused)))()

    def check(self) -> None:
        """What no oracle of a single node sees; when all is quiet."""

    def stir(self) -> None:
        """The quiet is over."""
        self.calm = False
        self.by_hand.clear()
        self.interrupted.clear()

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def leaf(self) -> TypedChild[Leaf]:
        """A worker of any kind."""
        name = self.name()
        return self._vary(child(self.worker, name, self).named(name), ["infinity", "brutal_kill", 0.0, 1.0, 5.0])

    @property
    def worker(self) -> type[Leaf]:
        return Leaf

    def tree(self, depth: int) -> TypedChild[Branch] | TypedChild[Flock]:
        """A supervisor of any kind, with children of all kinds down to that depth."""
        return self.flock() if self.dice.random() < 0.25 else self.branch(depth)

    def flock(self) -> TypedChild[Flock]:
        """A dynamic supervisor, whose children are still to come."""
        flags = {
            "max_children": self.dice.choice(["infinity", 2, 5]),
            "intensity": self.dice.choice([0, 1, 3, 10]),
            "period": self.dice.choice([1.0, 5.0]),
        }
        return self._vary(child(Flock, flags).named(self.name()), ["infinity", "infinity", 5.0, "brutal_kill"])

    def branch(self, depth: int) -> TypedChild[Branch]:
        """A supervisor that knows its children, of all kinds down to that depth."""
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


class Flock(DynamicSupervisor):
    """A dynamic supervisor that is told its flags."""

    def __init__(self, flags: dict[str, object]) -> None:
        for flag, value in flags.items():
            setattr(self, flag, value)


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
                self.world.wrong.append(f"{self.name} was stopped before {sibling.spec.id}")


class Fate:
    """Does something to the tree, again and again."""

    def __init__(self, world: World, runtime: Runtime) -> None:
        self.world = world
        self.runtime = runtime
        self.root: ServerRef[Branch] | None = None
        self.acts: dict[Callable[[], None], float] = {
            self._end: 6,
            self._kill: 3,
            self._signal: 1,
            self._ask: 4,
            self._let_go: 4,
            self._wait: 2,
        }

    @property
    def living_root(self) -> Pid | None:
        """The supervisor of the tree, if it lives."""
        return self.root.pid if self.root is not None and self.root.pid in self.runtime.processes else None

    async def strike(self) -> None:
        """One event."""
        dice = self.world.dice
        if self.living_root is None:
            await self._plant()
        self._act(dice.choices(list(self.acts), list(self.acts.values()))[0])
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
        self.root = await start_link(self.world.branch(DEPTH))
        self.world.calm = False

    def _act(self, act: Callable[[], None]) -> None:
        act()

    def _pick(self, kind: type[object], runtime: Runtime | None = None) -> Pid | None:
        processes = (runtime or self.runtime).processes
        found = [pid for pid, process in processes.items() if isinstance(process.server, kind)]
        return self.world.dice.choice(found) if found else None

    def _end(self) -> None:
        pid = self._pick(Leaf)
        if pid is not None:
            reasons = [Crash(ValueError("boom")), Normal(), Shutdown("by itself"), Custom("tired")]
            Leaf.end(ServerRef(pid, Leaf), self.world.dice.choice(reasons))

    def _kill(self) -> None:
        pid = self._pick(Owner if self.world.dice.random() < 0.2 else Leaf)
        if pid is not None:
            send_exit(pid, Kill())

    def _signal(self) -> None:
        """From the body: an order for the root, once in a while, noise for everybody else."""
        pid = self._pick(object)
        if pid is not None and pid != self_pid():
            send_exit(pid, self.world.dice.choice([Normal(), Shutdown("by a stranger"), Custom("noise")]))

    def _ask(self) -> None:
        pid = self._pick(Owner)
        if pid is None:
            return
        runner = self.runtime.processes[pid].runner
        if isinstance(runner, SupervisorRunner):
            self._ask_branch(pid, runner)
        elif isinstance(runner, DynamicSupervisorRunner):
            self._ask_flock(pid, runner)

    def _ask_branch(self, pid: Pid, runner: SupervisorRunner) -> None:
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

    def _ask_flock(self, pid: Pid, runner: DynamicSupervisorRunner) -> None:
        flock, known = ServerRef(pid, Flock), [child for child in runner.all_children() if child.pid is not None]
        match self.world.dice.randrange(5):
            case 0 | 1 | 2 if len(self.runtime.processes) < PROCESSES_MAX:
                spec = self.world.leaf() if self.world.dice.random() < 0.8 else self.world.tree(1)
                spawn(asking, DynamicSupervisor.start_child, flock, spec)
            case 3 if known:
                chosen = self.world.dice.choice(known)
                self.world.by_hand.add(chosen.spec.id)
                self.world.excused.add(chosen.spec.id)
                spawn(asking, DynamicSupervisor.terminate_child, flock, chosen.pid)
            case _:
                spawn(asking, DynamicSupervisor.which_children, flock)

    def _let_go(self) -> None:
        self.world.resume(2)

    def _wait(self) -> None:
        self.world.clock.advance(self.world.dice.choice([0.1, 0.7, 1.0, 2.5]))


async def asking(request: Any, *args: object) -> None:
    """An operator, perhaps on another node, who takes a refusal for an answer."""
    try:
        await request(*args)
    except (CallError, ChildError, StartError, RemoteError, NotPortable):
        return
