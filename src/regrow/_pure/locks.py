"""The locks that one node has given: of each resource to one requester at a time, for the processes that asked."""

from __future__ import annotations

import attrs

from .ids import Pid


@attrs.frozen
class Lock:
    """What is locked, and in whose name: processes that name the same requester do not lock each other out."""

    resource: str
    requester: str | Pid


class Locks:
    """Who has which. A process that took a lock twice has to free it twice."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[Lock, list[Pid]]] = {}  # by resource; no list is empty

    def __len__(self) -> int:
        return len(self._given)

    def take(self, lock: Lock, pid: Pid) -> bool:
        """Give the lock to the process; whether it has it now."""
        given, pids = self._given.setdefault(lock.resource, (lock, []))
        if given != lock:
            return False
        pids.append(pid)
        return True

    def free(self, lock: Lock, pid: Pid) -> None:
        """The process does not want it any more, or not so often."""
        given, pids = self._given.get(lock.resource, (lock, []))
        if given == lock and pid in pids:
            pids.remove(pid)
            if not pids:
                del self._given[lock.resource]

    def lost(self, node: str) -> None:
        """A node is gone, and what its processes had is free."""
        for lock, pids in list(self._given.values()):
            for pid in [pid for pid in pids if pid.node == node]:
                self.free(lock, pid)
