"""How processes are addressed: typed references and names, and what all of them come down to."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

import attrs

from ._pure.child_spec import ChildSpec, ChildType
from ._pure.ids import Pid
from .errors import NoProcess
from .reasons import Reason
from .registry import check_name
from .runtime import Process, Runtime, here
from .runtime import current as _current
from .signals import Item


class Runner(Protocol):
    """What runs the callbacks of one behaviour in its process."""

    owns_children: bool

    async def run(self, process: Process) -> None:
        """The body of the process; tells the starter once it is ready."""
        ...

    async def bury_children(self, reason: Reason) -> None:
        """After the body, whatever ended it: bring down the children that are left."""
        ...


class Behaviour:
    """What `GenServer` and `Supervisor` share: a class whose objects live in a process of their own."""

    child_type: ClassVar[ChildType] = ChildType.WORKER

    @classmethod
    def runner(cls, spec: ChildSpec) -> Runner:
        """What will run an object of this class; the object itself is made in its process."""
        raise TypeError(f"{cls.__name__} is no behaviour that can be started: subclass GenServer or Supervisor")


S_co = TypeVar("S_co", bound=Behaviour, covariant=True)


class ServerRef(Generic[S_co]):
    """A pid that knows the class it runs, so that calls through it are typed.

    It keeps the node it was made on: calls work from any task, also outside of a process. Equal if the
    pids are.
    """

    __slots__ = ("cls", "pid", "runtime")

    def __init__(self, pid: Pid | None, cls: type[S_co], *, _runtime: Runtime | None = None) -> None:
        """Type a pid. Raises `NoProcess` for `None`, so that `ServerRef(whereis("name"), cls)` needs no check."""
        if pid is None:
            raise NoProcess(cls.__name__)
        self.pid = pid
        self.cls = cls
        self.runtime = _runtime or _current_runtime()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServerRef) and self.pid == other.pid  # pyright: ignore[reportUnknownMemberType]

    def __hash__(self) -> int:
        return hash(self.pid)

    def __repr__(self) -> str:
        return f"ServerRef({self.cls.__name__} {self.pid})"

    def __deepcopy__(self, _memo: object) -> ServerRef[S_co]:
        return self  # a copy of a state that holds references must not copy the node behind them

    def __reduce__(self) -> tuple[Any, ...]:
        return (ServerRef, (self.pid, self.cls))  # unpickled, it belongs to the node that is current there


def _check_name(_instance: object, _attribute: object, value: str) -> None:
    check_name(value)


@attrs.frozen
class Name(Generic[S_co]):
    """A registered name that knows the class behind it: on the current node, or `.at(node)`."""

    name: str = attrs.field(validator=_check_name)
    cls: type[S_co]
    node: str | None = None

    def at(self, node: str) -> Name[S_co]:
        """The same name on another node."""
        return attrs.evolve(self, node=node)


Dest: TypeAlias = Pid | ServerRef[Any] | Name[Any] | str | tuple[str, str]
"""Whom a message may be sent to."""


def _current_runtime() -> Runtime | None:
    found = _current.get(None)
    return None if found is None else found.runtime


def runtime_for(dest: Dest) -> Runtime:
    """The node that work with `dest` goes through: a reference's own, else the current one."""
    if isinstance(dest, ServerRef) and dest.runtime is not None:
        return dest.runtime
    return here().runtime


def item_of(dest: Dest, runtime: Runtime) -> Item:
    """What an address comes down to: a pid, or a name on a node. Raises `TypeError` for what is no address."""
    match dest:
        case Pid():
            return dest
        case ServerRef():
            return dest.pid
        case Name():
            return (dest.name, dest.node or runtime.node_name)
        case str():
            return (dest, runtime.node_name)
        case (str(), str()):
            return dest
        case _:
            raise TypeError(f"{dest!r} is no process address: a pid, a reference, a name or (name, node)")
