"""How processes are addressed: typed references and names, and what all of them come down to."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

import attrs

from ._pure.bounds import Bounded
from ._pure.child_spec import ChildSpec, ChildType
from ._pure.ids import Pid, ProcessName
from .errors import NoProcess, UnknownRequest
from .reasons import Reason
from .registry import check_name
from .runtime import Process, Runtime, here
from .runtime import current as _current
from .signals import Item
from .system_words import Status


class Runner(Protocol):
    """What runs the callbacks of one behaviour in its process."""

    owns_children: bool

    async def run(self, process: Process) -> Reason | None:
        """The body of the process; tells the starter once it is ready."""
        ...

    async def bury_children(self, reason: Reason) -> None:
        """After the body, whatever ended it: bring down the children that are left."""
        ...


class Behaviour:
    """What `GenServer` and `Supervisor` share: a class whose objects live in a process of their own."""

    child_type: ClassVar[ChildType] = ChildType.WORKER
    mailbox: ClassVar[Bounded | None] = None
    """How much the mailbox of its processes may hold, where their specification says nothing else."""

    @classmethod
    def runner(cls, spec: ChildSpec) -> Runner:
        """What will run an object of this class; the object itself is made in its process."""
        raise TypeError(f"{cls.__name__} is no behaviour that can be started: subclass GenServer or Supervisor")

    def format_status(self, status: Status) -> Status:
        """What is to be seen of the process, by `sys.get_status`, by `regrow state` and in crash reports.

        Return the status with secrets left out: `status.hiding("password")`. It may run at any time and must not
        wait; if it fails, a placeholder is seen and the process is not harmed.
        """
        return status

    async def code_change(self, old_version: object, extra: object) -> None:
        """Turn the state that another version of the class had into that of this one, when `sys.change_code` says so.

        Whatever is raised is told to the caller, and the attributes are again what they were.
        """
        raise UnknownRequest(type(self).__name__, f"code_change from {old_version!r}")


S_co = TypeVar("S_co", bound=Behaviour, covariant=True)


class ServerRef(Generic[S_co]):
    """A pid that knows the class it runs, so that calls through it are typed.

    It keeps the node it was made on: calls work from any task, also outside of a process. Equal if the
    pids are.
    """

    __slots__ = ("cls", "mailbox", "pid", "runtime")

    def __init__(self, pid: Pid | None, cls: type[S_co], *, _runtime: Runtime | None = None) -> None:
        """Type a pid. Raises `NoProcess` for `None`, so that `ServerRef(whereis("name"), cls)` needs no check."""
        if pid is None:
            raise NoProcess(cls.__name__)
        self.pid = pid
        self.cls = cls
        self.runtime = _runtime or _current_runtime()
        # Kept, so that what is sent need not look for the process each time; of another node's there is none here.
        process = None if self.runtime is None else self.runtime.processes.get(pid)
        self.mailbox = None if process is None else process.mailbox

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


class NameElsewhere(ProcessName, Generic[S_co]):
    """A name that another registry keeps than the node's own, and that knows the class behind it."""

    __slots__ = ()

    cls: type[S_co]

    def whereis(self, runtime: Runtime, /) -> Pid | None:
        """Who has the name, as far as this node knows."""
        raise TypeError(f"{type(self).__name__} has to say who has a name")

    async def claim(self, process: Process, /) -> Pid | None:
        """Give the name to the process this runs in; if that is too late, who has it."""
        raise TypeError(f"{type(self).__name__} has to say how a name is given")

    def release(self, process: Process, /) -> None:
        """The process has ended, and nobody has heard of it yet. Neither waits nor raises."""
        raise TypeError(f"{type(self).__name__} has to say how a name is freed")

    def post(self, runtime: Runtime, sender: Pid, message: object, /) -> None:
        """Send a message to who has the name. Raises `NoProcess` if nobody has."""
        runtime.send(sender, item_of(self, runtime), message)


Server: TypeAlias = ServerRef[S_co] | Name[S_co] | NameElsewhere[S_co]
"""Whom a typed call or cast goes to."""

Dest: TypeAlias = Pid | Server[Any] | str | tuple[str, str]
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
    """What an address comes down to: a pid, or a name on a node.

    Raises `NoProcess` if only the address could say who it is and nobody is, `TypeError` for what is no address.
    """
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
        case NameElsewhere():
            pid = dest.whereis(runtime)
            if pid is None:
                raise NoProcess(dest.name)
            return pid
        case _:
            raise TypeError(f"{dest!r} is no process address: a pid, a reference, a name or (name, node)")


def deliver(runtime: Runtime, sender: Pid, dest: Dest, message: object) -> None:
    """Send a message; nobody there is no error, but `NoProcess` where an address can tell, as `item_of`."""
    if isinstance(dest, NameElsewhere):
        dest.post(runtime, sender, message)
    else:
        runtime.send(sender, item_of(dest, runtime), message)
