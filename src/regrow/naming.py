"""How a process gets its name: on its node, in a registry of one's own, or in the whole cluster."""

from __future__ import annotations

from typing import Any, Protocol, Self

import attrs

from ._pure.ids import Pid, ProcessName
from .errors import NameTaken
from .refs import NameElsewhere, S_co
from .registry import Resolver, check_name
from .runtime import Process, Runtime


class Naming(Protocol):
    """How a process that is started gets its name. It goes with the process, before the news of its end."""

    def whereis(self, runtime: Runtime, /) -> Pid | None:
        """Who has the name."""
        ...

    async def claim(self, process: Process, /) -> Pid | None:
        """Give the name to the process this runs in; if that is too late, who has it."""
        ...


def naming_of(name: str | ProcessName | None) -> Naming | None:
    """How the name of a specification is taken."""
    match name:
        case None | NameElsewhere():
            return name
        case str():
            return Registered(name)
        case _:
            raise TypeError(f"a process can't be named {name!r}")


@attrs.frozen
class Registered:
    """A name on the node that the process runs on. Its registry forgets the process by itself."""

    name: str

    def whereis(self, runtime: Runtime) -> Pid | None:
        return runtime.registry.whereis(self.name)

    async def claim(self, process: Process) -> Pid | None:
        registry = process.runtime.registry
        holder = registry.whereis(self.name)
        if holder is None:
            registry.register(self.name, process.pid)
        return holder


# -- via


class ViaRegistry(Protocol):
    """A registry of your own: any object with these four verbs. A name is whatever the registry takes for one."""

    def register(self, name: Any, pid: Pid, /) -> bool:
        """Give the name to the process; whether it has it now."""
        ...

    def unregister(self, name: Any, /) -> object:
        """Free the name."""
        ...

    def whereis(self, name: Any, /) -> Pid | None:
        """The process that has the name."""
        ...

    def send(self, name: Any, message: Any, /) -> object:
        """Send a message to the process that has the name. Raises `NoProcess` if nobody has."""
        ...


REGISTRY_VERBS = ("register", "unregister", "whereis", "send")


def _check_registry(_instance: object, _attribute: object, value: ViaRegistry) -> None:
    missing = [verb for verb in REGISTRY_VERBS if not callable(getattr(value, verb, None))]
    if missing:
        raise TypeError(f"a via name needs a registry, and {value!r} has no {', '.join(missing)}")


@attrs.frozen
class Via(NameElsewhere[S_co]):
    """A name in a registry of your own, that knows the class behind it. OTP's `{via, Module, Name}`.

    A process that was started under it has the name before its `init` runs; when it ends, the name is free
    before anybody hears of the end. Raises `TypeError` for what is no registry.
    """

    registry: ViaRegistry = attrs.field(validator=_check_registry, eq=id)
    name: Any
    cls: type[S_co]

    def __str__(self) -> str:
        return f"via {self.name}"

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # a copy of a state that holds names must not copy the registry behind them

    def whereis(self, _runtime: Runtime) -> Pid | None:
        return self.registry.whereis(self.name)

    async def claim(self, process: Process) -> Pid | None:
        if self.registry.register(self.name, process.pid):
            process.held = (*process.held, self)
            return None
        holder = self.registry.whereis(self.name)
        if holder is None:
            raise NameTaken(f"{self.registry!r} refuses {self.name!r}, though nobody has it")
        return holder

    def release(self, process: Process) -> None:
        try:
            if self.registry.whereis(self.name) == process.pid:
                self.registry.unregister(self.name)
        except Exception as error:  # noqa: BLE001 - code of others: the end of a process goes on whatever it does
            process.runtime.reports.warning(f"{process!r} has ended, but {self.registry!r} raised {error!r}")

    def post(self, _runtime: Runtime, _sender: Pid, message: object) -> None:
        self.registry.send(self.name, message)


# -- global


def _check_name(_instance: object, _attribute: object, value: str) -> None:
    check_name(value)


@attrs.frozen
class Global(NameElsewhere[S_co]):
    """A name that all connected nodes know, and the class behind it. OTP's `{global, Name}`.

    A process that was started under it has the name before its `init` runs; when it ends, the name is free
    before anybody hears of the end. `resolve` says what becomes of two that have it when nodes meet, see
    `global_name`.
    """

    name: str = attrs.field(validator=_check_name)
    cls: type[S_co]
    resolve: Resolver | None = attrs.field(default=None, kw_only=True, eq=False)

    def __str__(self) -> str:
        return f"global {self.name}"

    def whereis(self, runtime: Runtime) -> Pid | None:
        return runtime.global_names.whereis(self.name)

    async def claim(self, process: Process) -> Pid | None:
        holder = await process.runtime.global_names.claim(self.name, process.pid, self.resolve)
        if holder is None:
            raise NameTaken(f"{process} has lost the global name {self.name!r}, and nobody has it")
        return None if holder == process.pid else holder

    def release(self, process: Process) -> None:
        process.runtime.global_names.release(self.name, process.pid)
