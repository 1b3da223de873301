"""Trees on two nodes, whose workers link, monitor and call each other, and a cable that is cut and mended meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from regrow import (
    CallCycle,
    CallTimeout,
    Deferred,
    From,
    NoProcess,
    Pid,
    Reference,
    ServerExited,
    ServerRef,
    call,
    cast,
    demonitor,
    link,
    monitor,
    self_pid,
    spawn,
    this_request,
    unlink,
)
from regrow._pure.membership import TICKS_PER_TIME
from regrow.net_kernel import NetKernel
from regrow.node import Node
from regrow.runtime import Process
from regrow.signals import Item
from regrow.testing import MemoryNetwork
from tests.cluster.ties import Ties
from tests.local.supervisor_kit import settled
from tests.local.supervisor_oracle import Oracle
from tests.local.supervisor_world import Fate, Leaf, World

TICK_TIME_S = 60.0


@attrs.define(eq=False)
class Questions:
    """The calls between the nodes, by number: what their callers know of them, and what their servers do."""

    asked: int = 0
    waiting: set[int] = attrs.field(factory=set)
    """Whose callers wait."""
    timed_out: set[int] = attrs.field(factory=set)
    in_hand: dict[From, int] = attrs.field(factory=dict)
    """What servers have not answered at once."""

    def new(self) -> int:
        self.asked += 1
        return self.asked

    def check(self, world: SplitWorld) -> None:
        """Nothing is under way: a server knows whether somebody waits, but for a time that is up over there alone."""
        for request, number in list(self.in_hand.items()):
            is_late = number in self.timed_out and world.clock.now() < request.deadline
            if request.expired == (number in self.waiting) and not is_late:
                world.wrong.append(f"{request}: expired {request.expired}, and {number} of {self.waiting} wait")
            world.counts["calls in hand"] += 1
            world.counts["calls in hand for nobody"] += request.expired
            if request.expired:
                del self.in_hand[request]
        self.timed_out &= set(self.in_hand.values())


@attrs.define(eq=False)
class SplitWorld(World):
    """Of two nodes, with what ties the processes of one to those of the other."""

    network: MemoryNetwork = attrs.field(factory=MemoryNetwork)
    is_cut: bool = False
    is_stalled: bool = False
    is_lost: bool = False
    """What was connected is silent for good, until somebody notices."""
    ties: Ties = attrs.field(init=False)
    questions: Questions = attrs.field(factory=Questions)

    def __attrs_post_init__(self) -> None:
        self.ties = Ties(self.wrong, self.counts)

    @property
    def worker(self) -> type[Leaf]:
        return Friend

    def check(self) -> None:
        self.ties.check()


class Friend(Leaf):
    """A worker with ties to the other node."""

    world: SplitWorld

    async def handle_info(self, message: object) -> None:
        self.world.ties.heard(self_pid(), message)

    @cast
    async def befriend(self, other: Pid) -> None:
        self.world.ties.linked(self_pid(), other)
        link(other)

    @cast
    async def part(self, other: Pid) -> None:
        self.world.ties.parted(self_pid(), other)
        unlink(other)

    @cast
    async def watch(self, other: Item) -> None:
        self.world.ties.watched(self_pid(), monitor(other), other)

    @cast
    async def look_away(self, ref: Reference) -> None:
        self.world.ties.given_up(ref, active=demonitor(ref))

    @call
    async def echo(self, number: int) -> int | Deferred[int]:
        self.world.questions.in_hand[this_request()] = number
        if self.world.chance(0.1):
            await self.world.pause()
        if self.world.chance(0.2):
            deferred = Deferred[int]()
            self.world.paused.append(partial(deferred.set, number))
            return deferred
        return number

    @cast
    async def ask(self, other: Pid, number: int, timeout: float | None) -> None:
        """From a callback, so that circles may close."""
        await asking_friend(self.world, ServerRef(other, Friend), number, timeout)


async def asking_friend(world: SplitWorld, friend: ServerRef[Friend], number: int, timeout: float | None) -> None:
    """A call to the other node: however it ends, it ends, and for a reason."""
    ties, since, counts = world.ties, world.ties.sound, world.counts
    world.questions.waiting.add(number)
    try:
        if number % 3:  # there are two ways to ask
            reply = await Friend.echo.with_timeout(timeout)(friend, number)
        else:
            reply = await Friend.echo.send_request(friend, number).receive(timeout)
    except (ServerExited, NoProcess) as error:
        counts[f"calls {type(error.reason).__name__}"] += 1
        if not ties.is_fair_end(friend.pid, error.reason, since):
            world.wrong.append(f"a call of {friend} ended with {error!r}")
    except CallTimeout:
        counts["calls timed out"] += 1
        world.questions.timed_out.add(number)
        if timeout is None:
            world.wrong.append(f"a call of {friend} without a timeout timed out")
    except CallCycle:
        counts["calls in a circle"] += 1
    else:
        counts["calls"] += 1
        if reply != number:
            world.wrong.append(f"{friend} was asked for {number} and said {reply}")
    finally:
        world.questions.waiting.discard(number)


class FarFate(Fate):
    """Strikes a node, as often as not from another one."""

    world: SplitWorld

    def __init__(self, world: SplitWorld, here: Node, there: Node) -> None:
        super().__init__(world, here.runtime)
        self._here, self._there = here, there
        self.acts |= {
            self._link: 4,
            self._watch: 4,
            self._part: 2,
            self._quarrel: 2,
            self._call: 8,
            self._cut: 0.4,
            self._disconnect: 0.2,
            self._stall: 0.2,
            self._mend: 2,
        }

    def _act(self, act: Callable[[], None]) -> None:
        with self.world.dice.choice([self._here, self._there]).current():
            act()

    async def calm_down(self) -> None:
        """The nodes are connected then, or not; nothing is under way."""
        self.world.calm = True
        await settled()
        if not self.world.is_stalled and not self.world.is_lost:
            self.world.questions.check(self.world)
        await super().calm_down()
        if self.world.is_stalled:
            self._mend()
            await super().calm_down()
        if self.world.is_lost:
            for _ in range(TICKS_PER_TIME + 1):
                self.world.clock.advance(TICK_TIME_S / TICKS_PER_TIME)
                await super().calm_down()
            self.world.is_lost = False
        nets = [net_of(self._here), net_of(self._there)]
        while under_way := [(net, node) for net in nets for node in net.connecting()]:
            for net, node in under_way:
                await net.connect(node)
            await super().calm_down()
        if not self.world.is_cut:
            self.world.ties.all_is_well()

    def _link(self) -> None:
        mine, theirs = self._pair()
        if mine and theirs:
            Friend.befriend(ServerRef(mine, Friend), theirs)

    def _watch(self) -> None:
        mine, theirs = self._pair()
        if mine and theirs:
            name = self._there.runtime.registry.name_of(theirs)
            by_name = name is not None and self.world.chance(0.3)
            Friend.watch(ServerRef(mine, Friend), (name, self._there.name) if by_name else theirs)

    def _part(self) -> None:
        """From one that it has a tie with, if there is one."""
        mine, ties = self._pick(Friend), self.world.ties
        if mine is None:
            return
        if others := ties.bonds_of(mine):
            Friend.part(ServerRef(mine, Friend), self.world.dice.choice(others))
        if refs := ties.watches_of(mine):
            Friend.look_away(ServerRef(mine, Friend), self.world.dice.choice(refs))

    def _quarrel(self) -> None:
        """Both link and part, and neither has heard yet what the other does."""
        mine, theirs = self._pair()
        if mine and theirs:
            for _ in range(self.world.dice.randint(2, 5)):
                me, other, node = self.world.dice.choice([(mine, theirs, self._here), (theirs, mine, self._there)])
                with node.current():
                    self.world.dice.choice([Friend.befriend, Friend.part])(ServerRef(me, Friend), other)

    def _call(self) -> None:
        mine, theirs = self._pair()
        if mine and theirs:
            number, timeout = self.world.questions.new(), self.world.dice.choice([None, 0.5, 2.0])
            if self.world.chance(0.5):
                Friend.ask(ServerRef(mine, Friend), theirs, number, timeout)
            else:
                with self._here.current():
                    spawn(asking_friend, self.world, ServerRef(theirs, Friend), number, timeout)

    def _pair(self) -> tuple[Pid | None, Pid | None]:
        """A worker of this node, and one of the other."""
        return self._pick(Friend), self._pick(Friend, self._there.runtime)

    def _cut(self) -> None:
        self.world.counts["cuts"] += 1
        self.world.ties.trouble()
        self.world.is_cut, self.world.is_stalled = True, False
        self.world.network.cut(self._here.name, self._there.name)

    def _stall(self) -> None:
        self.world.counts["stalls"] += 1
        self.world.ties.trouble()
        self.world.is_stalled = True
        self.world.network.stall(self._here.name, self._there.name)

    def _mend(self) -> None:
        """What was under way arrives late, or never."""
        world, names = self.world, (self._here.name, self._there.name)
        # A handshake that is lost takes its time, and that is real time.
        are_up = all(node.runtime.route.connected() for node in (self._here, self._there))
        if world.is_stalled and are_up and world.dice.random() < 0.5:
            world.is_lost = True
            world.network.lose(*names)
        world.network.heal(*names)
        world.is_cut = world.is_stalled = False

    def _disconnect(self) -> None:
        self.world.ties.trouble()
        self.world.counts["disconnects"] += net_of(self._here).disconnect(self._there.name)


def net_of(node: Node) -> NetKernel:
    assert node.net_kernel is not None, "it has a name"
    return node.net_kernel


class FarOracle(Oracle):
    """Watches one of two nodes, and what its processes have to do with those of the other."""

    world: SplitWorld

    def _process_ends(self, process: Process) -> None:
        super()._process_ends(process)
        assert process.ended is not None
        self.world.ties.ends(process, process.ended)

    def timers_at_rest(self) -> int:
        """A tick for each connection."""
        return len(self.runtime.route.connected())
