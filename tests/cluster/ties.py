"""The book of what ties processes of different nodes: each monitor, each link, and what was heard of them.

It knows from the processes themselves what they did and heard, and from an oracle on each node why each ended.
"""

from __future__ import annotations

from collections import Counter

import attrs

from regrow import Down, Exit, NoConnection, NoProc, Normal, Pid, Reason, Reference
from regrow.runtime import Process, Runtime
from regrow.signals import Item


@attrs.define
class Watch:
    """One monitor of a process of the other node."""

    watcher: Pid
    item: Item
    since: int
    downs: int = 0
    was_active: bool | None = None
    """When it was given up, if it was."""


@attrs.define
class Bond:
    """What one process has seen of its links with another, since there was none, or one that still stands."""

    is_maker: bool
    since: int
    made: int = 0
    unmade: int = 0
    exits: int = 0


@attrs.define(eq=False)
class Ties:
    """Among the nodes whose runtimes these are, by name."""

    wrong: list[str]
    counts: Counter[str]
    runtimes: dict[str, Runtime] = attrs.field(factory=dict)
    troubles: int = 0
    """How often a connection was cut or lost."""
    sound: int = 0
    """How often when last all was well: later troubles explain why there was no connection."""
    _watches: dict[Reference, Watch] = attrs.field(factory=dict)
    _bonds: dict[tuple[Pid, Pid], Bond] = attrs.field(factory=dict)
    """By whose view it is, and of whom."""
    _ended: dict[Pid, Reason] = attrs.field(factory=dict)
    _told: dict[tuple[Pid, Pid] | Reference, Reason] = attrs.field(factory=dict)
    """What was said at an end: to whom by whom, or to which monitor."""

    def process(self, pid: Pid) -> Process | None:
        return self.runtimes[pid.node].processes.get(pid)

    # -- as it happens

    def trouble(self) -> None:
        self.troubles += 1

    def all_is_well(self) -> None:
        """There is no trouble any more, and nothing is under way."""
        self.sound = self.troubles

    def linked(self, me: Pid, other: Pid) -> None:
        for pair in ((me, other), (other, me)):
            bond = self._bonds.setdefault(pair, Bond(pair[0] == me, self.sound))
            bond.made += 1

    def parted(self, me: Pid, other: Pid) -> None:
        for pair in ((me, other), (other, me)):
            if pair in self._bonds:
                self._bonds[pair].unmade += 1

    def watched(self, me: Pid, ref: Reference, item: Item) -> None:
        self._watches[ref] = Watch(me, item, self.sound)

    def given_up(self, ref: Reference, *, active: bool) -> None:
        watch = self._watches.get(ref)
        if watch is not None and watch.was_active is None:
            watch.was_active = active

    def watches_of(self, me: Pid) -> list[Reference]:
        return [ref for ref, watch in self._watches.items() if watch.watcher == me and watch.was_active is None]

    def bonds_of(self, me: Pid) -> list[Pid]:
        return [other for mine, other in self._bonds if mine == me]

    def ends(self, process: Process, reason: Reason) -> None:
        """A process ends, and its ties with it; nobody has heard of it."""
        self._ended[process.pid] = reason
        self._told |= {(pid, process.pid): reason for pid in process.links}
        self._told |= dict.fromkeys(process.watchers, reason)

    def heard(self, me: Pid, message: object) -> None:
        """What a process was told."""
        match message:
            case Down(ref, _, reason) if ref in self._watches:
                self.counts[f"downs {_word(reason)}"] += 1
                self._heard_down(self._watches[ref], message)
            case Exit(pid, reason) if (me, pid) in self._bonds:
                self.counts[f"exits {_word(reason)}"] += 1
                self._heard_exit(me, self._bonds[me, pid], message)
            case Exit(pid) if self.runtimes[pid.node].body is not self.process(pid):
                self.wrong.append(f"{me} heard {message}, and was not linked")
            case Down():
                self.wrong.append(f"{me} heard {message}, and did not monitor it")
            case _:
                pass

    def _heard_down(self, watch: Watch, down: Down) -> None:
        watch.downs += 1
        told = self._told.get(down.ref)
        if down.item != watch.item or not self._is_fair(down.reason, told, watch.item, watch.since):
            self.wrong.append(f"{watch} heard {down}, and it was {told}")

    def _heard_exit(self, me: Pid, bond: Bond, exit_: Exit) -> None:
        bond.exits += 1
        told = self._told.get((me, exit_.pid))
        if isinstance(exit_.reason, NoProc) and (bond.made > 1 or bond.unmade):
            return  # linked again after it had ended
        if not self._is_fair(exit_.reason, told, exit_.pid, bond.since):
            self.wrong.append(f"{me} heard {exit_}, and it was {told}: {bond}")

    def _is_fair(self, reason: Reason, told: Reason | None, item: Item, since: int) -> bool:
        if told is not None and alike(reason, told):
            return True
        match reason:
            case NoConnection():
                return self.troubles > since
            case NoProc():
                return told is None and not (isinstance(item, Pid) and self.process(item))
            case _:
                return False

    def is_fair_end(self, pid: Pid, reason: Reason, since: int) -> bool:
        """Whether a call that began then may end so."""
        gone = isinstance(reason, NoProc) and self.process(pid) is None
        return gone or self._is_fair(reason, self._ended.get(pid), pid, since)

    # -- when all is quiet

    def check(self) -> None:
        """Every monitor has fired once or stands, on both sides; and so has every link."""
        for ref, watch in list(self._watches.items()):
            if not self._stands(ref, watch):
                del self._watches[ref]
        for pair, bond in list(self._bonds.items()):
            if not self._holds(pair, bond):
                del self._bonds[pair]
        self._ended.clear()
        self._told.clear()
        for runtime in self.runtimes.values():
            for process in runtime.processes.values():
                self._check_both_ends(runtime, process)

    def _stands(self, ref: Reference, watch: Watch) -> bool:
        """Whether the monitor still waits for its end."""
        watcher = self.process(watch.watcher)
        if watcher is None:
            return False
        stands = ref in watcher.monitors
        if watch.downs != (0 if stands or watch.was_active else 1):
            self.wrong.append(f"{watch}: {watch.downs} times, and it {'stands' if stands else 'is gone'}")
        return stands

    def _holds(self, pair: tuple[Pid, Pid], bond: Bond) -> bool:
        """Whether the two are still linked, as the first one sees it."""
        me = self.process(pair[0])
        if me is None:
            return False
        holds = pair[1] in me.links
        if holds:
            fits = bond.exits < bond.made
        elif bond.made > 1 or bond.unmade or not me.trap_exit:
            fits = bond.exits <= bond.made
        else:
            # A link may be lost on its way; and what came before it trapped exits may have been `Normal`.
            lost = not bond.is_maker and (self.troubles > bond.since or isinstance(self._told.get(pair), Normal))
            fits = bond.exits == 1 or (lost and bond.exits == 0)
        if not fits:
            self.wrong.append(f"{pair}: {bond}, and it {'holds' if holds else 'is gone'}")
        bond.made, bond.unmade, bond.exits = 1, 0, 0
        return holds

    def _check_both_ends(self, runtime: Runtime, process: Process) -> None:
        """What it knows of the other node, that node knows as well."""
        if process.unlinking:
            self.wrong.append(f"{process} unlinks {process.unlinking} for ever")
        for pid in process.links:
            if not runtime.is_local(pid):
                other = self.process(pid)
                if other is None or process.pid not in other.links:
                    self.wrong.append(f"{process} has a link with {pid}, and that not with it")
        for ref, item in process.monitors.items():
            node = item.node if isinstance(item, Pid) else item[1]
            if node != runtime.node_name:
                other = self.runtimes[node].lookup(item)
                if other is None or ref not in other.watchers:
                    self.wrong.append(f"{process} monitors {item}, which knows nothing of it")
        for ref, (watcher, _) in process.watchers.items():
            if not runtime.is_local(watcher):
                other = self.process(watcher)
                if other is None or ref not in other.monitors:
                    self.wrong.append(f"{process} is to tell {watcher}, which does not monitor it")


def alike(one: Reason, other: Reason) -> bool:
    """Whether it is the same reason; a crash travels as data."""
    return type(one) is type(other) and str(one) == str(other)


def _word(reason: Reason) -> str:
    return type(reason).__name__
