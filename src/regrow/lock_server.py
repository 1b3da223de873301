"""Locks on resources that several nodes share: each node gives its own, and one who wants a lock asks them in order.

There is nobody in charge. Two that want the same on nodes of which one is common to both meet at the first of those,
and one of them gives back what it has and tries again. A lock goes with the process that took it, and with its node.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import attrs

from ._pure.codec import BadFrame
from ._pure.ids import Pid
from ._pure.locks import Lock, Locks
from .kinds import word
from .net_kernel import NetKernel
from .questions import Answer, Ask, Questions
from .runtime import Process, Runtime

SERVICE = "global_lock"
HEARD = None  # the question whether all that was said before has been heard; the answer is yes
PAUSE_S, PAUSE_MAX_S = 0.01, 1.0  # before the second try, and before any


@attrs.frozen
class Take:
    """Give this lock to a process of the asking node."""

    lock: Lock
    pid: Pid


@attrs.frozen
class Free:
    """A process of the asking node gives it back."""

    lock: Lock
    pid: Pid


_word = partial(word, prefix="regrow.global_lock")
KINDS = (_word(Lock, str, (str, Pid)), _word(Take, Lock, Pid), _word(Free, Lock, Pid))


@attrs.define(eq=False)
class HeldLock:
    """A lock that a process has, or is about to, on these nodes."""

    server: LockServer
    lock: Lock
    nodes: list[str] = attrs.field(factory=list[str])

    def release(self, process: Process) -> None:
        self.server.give_back(self, process.pid)


class LockServer:
    """The locks that a node gives, and those its processes have."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._net: NetKernel | None = None
        self._locks = Locks()
        self._questions = Questions(runtime, self._tell)

    def join(self, net: NetKernel) -> None:
        """Lock and be locked by the nodes that will connect."""
        self._net = net
        net.services[SERVICE] = self._told
        net.watchers.append(self._came_or_went)

    # -- what processes ask

    async def set_lock(self, process: Process, lock: Lock, nodes: Sequence[str], retries: int | None) -> bool:
        """Lock it on all these nodes, trying again so often; whether the process has it now."""
        pause_s, tries = PAUSE_S, 0
        while not await self._try(process, lock, sorted(nodes)):
            if tries == retries:
                return False
            await self._pause(pause_s)
            pause_s, tries = min(2 * pause_s, PAUSE_MAX_S), tries + 1
        return True

    async def del_lock(self, process: Process, lock: Lock) -> bool:
        """Free it where the process has it; whether it had it. The nodes know when this returns."""
        held = self.drop_lock(process, lock)
        for node in [] if held is None else held.nodes:
            await self._ask(node, HEARD)
        return held is not None

    def drop_lock(self, process: Process, lock: Lock) -> HeldLock | None:
        """The same without waiting for the nodes to know; what it had, and where."""
        mine = (held for held in process.held if isinstance(held, HeldLock) and held.lock == lock)
        held = next(mine, None)
        if held is not None:
            self._drop(process, held)
        return held

    def _drop(self, process: Process, held: HeldLock) -> None:
        process.held = tuple(each for each in process.held if each is not held)
        held.release(process)

    def give_back(self, held: HeldLock, pid: Pid) -> None:
        """Free a lock of a process, on all nodes that it was asked of."""
        for node in held.nodes:
            if node == self._runtime.node_name:
                self._locks.free(held.lock, pid)
            else:
                self._tell(node, Free(held.lock, pid))

    async def _try(self, process: Process, lock: Lock, nodes: Sequence[str]) -> bool:
        """Take it on one node after the other; all or nothing. A node that cannot be reached has no objection."""
        held = HeldLock(self, lock)
        process.held = (*process.held, held)  # from now on: the process may end in between
        taken = False
        try:
            taken = await self._take_all(held, nodes, process.pid)
        finally:
            if not taken:
                self._drop(process, held)
        return taken

    async def _take_all(self, held: HeldLock, nodes: Sequence[str], pid: Pid) -> bool:
        for node in nodes:
            held.nodes.append(node)
            if await self._ask(node, Take(held.lock, pid)) is False:
                return False
        return True

    async def _ask(self, node: str, question: Take | None) -> object:
        if node == self._runtime.node_name:
            return self._answer(question)
        if self._net is None or not await self._net.connect(node):
            return None
        return await self._questions.ask(node, question)

    async def _pause(self, seconds: float) -> None:
        promise = self._runtime.backend.promise()
        timer = self._runtime.timers.after(random.uniform(seconds / 2, seconds), promise.settle)
        try:
            await promise
        finally:
            timer.cancel()

    # -- what other nodes ask

    def _answer(self, question: Take | None) -> bool:
        return question is None or self._locks.take(question.lock, question.pid)

    def _tell(self, node: str, message: object) -> None:
        if self._net is not None:
            self._net.tell(node, SERVICE, message)

    def _told(self, node: str, message: object) -> None:
        """Another lock server has said something. Raises `BadFrame` for what none would say."""
        match message:
            case Ask(number, Take(pid=pid) as question) if pid.node == node:
                self._tell(node, Answer(number, self._answer(question)))
            case Ask(number, None):
                self._tell(node, Answer(number, self._answer(HEARD)))
            case Free(lock, pid) if pid.node == node:
                self._locks.free(lock, pid)
            case Answer():
                self._questions.answered(node, message)
            case _:
                raise BadFrame(f"no lock server says {message!r:.200}")

    def _came_or_went(self, node: str, came: bool) -> None:
        if came:
            return
        self._locks.lost(node)
        self._questions.lost(node)
        for process in self._runtime.processes.values():
            for held in process.held:
                if isinstance(held, HeldLock) and node in held.nodes:
                    held.nodes.remove(node)  # it has forgotten, and is told nothing when it is back
