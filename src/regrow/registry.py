"""Registered names: strings, local to a node, one for a process; and what a node asks of names that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from ._pure.ids import Pid
from .errors import NameTaken, NoProcess


class Registry:
    """Which pid has which name, and back."""

    def __init__(self) -> None:
        self._pids: dict[str, Pid] = {}
        self._names: dict[Pid, str] = {}

    def __len__(self) -> int:
        return len(self._pids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._pids)

    def register(self, name: str, pid: Pid) -> None:
        """Give the process this name. Raises `NameTaken` if either has a partner already, `ValueError` for no name."""
        check_name(name)
        if name in self._pids:
            raise NameTaken(f"the name {name!r} is taken by {self._pids[name]}")
        if pid in self._names:
            raise NameTaken(f"{pid} is already registered as {self._names[pid]!r}")
        self._pids[name] = pid
        self._names[pid] = name

    def unregister(self, name: str) -> None:
        """Free the name. Raises `NoProcess` if nobody has it."""
        pid = self._pids.pop(name, None)
        if pid is None:
            raise NoProcess(name)
        del self._names[pid]

    def forget(self, pid: Pid) -> None:
        """Free the name of a process that ended, if it has one."""
        name = self._names.pop(pid, None)
        if name is not None:
            del self._pids[name]

    def whereis(self, name: str) -> Pid | None:
        return self._pids.get(name)

    def name_of(self, pid: Pid) -> str | None:
        return self._names.get(pid)


def check_name(name: object) -> None:
    """Raise `ValueError` unless this can be a registered name."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"a registered name is a non-empty string, not {name!r}")


Resolver: TypeAlias = Callable[[str, Pid, Pid], Pid | None]
"""Says which of two processes keeps a global name that both have, the older or the younger; `None` for neither."""


class GlobalNames(Protocol):
    """The names that all connected nodes know; the name server installs itself here."""

    def whereis(self, name: str, /) -> Pid | None:
        """Who has the name, as far as this node knows."""
        ...

    async def claim(self, name: str, pid: Pid, resolve: Resolver | None, /) -> Pid | None:
        """Register a process of this node; who has the name then."""
        ...

    def release(self, name: str, pid: Pid, /) -> None:
        """Free the name, if this process of this node has it. Never waits."""
        ...
