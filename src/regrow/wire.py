"""The words of the protocol between nodes: which of the core's classes travel, and under which names.

Each word says of which types its parts are. The sender refuses to send others, so a frame that holds them is a bad
frame. What is the user's own in a word is sealed: if the receiver does not know it, the word still arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Any, TypeAlias

import attrs

from . import child_words
from ._pure.call_path import HOPS_MAX, Hop
from ._pure.codec import Codec, Kind, NotPortable, Sealed, Unreadable, Vocabulary
from ._pure.config import is_node_name
from ._pure.ids import UNNAMED_NODE, Pid, Reference
from .clashes import RESOLVERS
from .error_words import FAILURE
from .frequent_words import are_keywords, arguments_of, cast_of, lower_frequent, read_frequent, request_of
from .kinds import TEXT_MAX, kind, text_of, word
from .messages import (
    NO_KWARGS,
    Cast,
    Deliver,
    Down,
    Exit,
    NameConflict,
    NodeDown,
    NodeUp,
    Request,
    Timeout,
    TimerFired,
)
from .naming import Global
from .portable import Marked
from .reasons import (
    Crash,
    Custom,
    Kill,
    Killed,
    NoConnection,
    NoProc,
    Normal,
    Reason,
    RemoteError,
    Shutdown,
)
from .refs import Behaviour, Name, ServerRef
from .runtime import Runtime
from .signals import Demonitor, GiveUp, Link, Monitor, Probe, Send, SendDown, SendExit, Signal, Unlink, UnlinkAck
from .status import printed
from .system_words import (
    ChangeCode,
    Count,
    GetStatus,
    In,
    Install,
    Log,
    NoDebug,
    Out,
    Remove,
    ReplaceState,
    Resume,
    Statistics,
    Status,
    Suspend,
    SystemAsk,
    Terminate,
    Trace,
)


@attrs.frozen
class Mesh:
    """To a node just connected: whom else this one is connected with."""

    nodes: tuple[str, ...]


@attrs.frozen
class Tell:
    """From a service of one node to the same of another, such as the distributed application controller."""

    service: str
    message: object


Word: TypeAlias = Signal | Mesh | Tell


def vocabulary(runtime: Runtime | None, marked: Marked) -> Vocabulary:
    """What may cross between this node, or a program that is none, and others."""
    functions: dict[str, Callable[..., object]] = {
        **RESOLVERS,
        **child_words.BEHAVIOURS,
        **marked.functions,
        **marked.behaviours,
    }
    words = Vocabulary.of((*_WORDS, *_addresses(runtime), *marked.kinds), functions, _as_data)
    return attrs.evolve(words, lower_frequent=lower_frequent, read_frequent=read_frequent)


def encode_signal(codec: Codec, signal: Signal) -> bytes:
    """A frame. Raises `NotPortable`, but not for the reason of an exit: that goes as text, if it can't as it is."""
    try:
        return codec.encode(signal)
    except NotPortable:
        if not isinstance(signal, SendExit | SendDown):
            raise
        return codec.encode(attrs.evolve(signal, reason=as_text(signal.reason)))


def origin_of(term: object) -> Pid | None:
    """The process that a signal comes from; `None` for what is no signal, or comes from none in particular."""
    match term:
        case Send(sender) | Link(sender) | Unlink(sender) | UnlinkAck(sender) | SendExit(sender):
            return sender
        case Monitor(watcher) | Demonitor(watcher):
            return watcher
        case Probe(_, (*_, Hop(pid))):
            return pid
        case _:
            return None


def as_text(reason: Reason) -> Reason:
    """What is told on other nodes of a reason that can't leave this one: its text, cut to size."""
    match reason:
        case Shutdown(detail):
            return Shutdown(text_of(detail))
        case Crash(RemoteError() as error):
            return Crash(RemoteError(error.type_name[:TEXT_MAX], error.text[:TEXT_MAX]))
        case Crash(error):
            return Crash(RemoteError(type(error).__name__, text_of(RemoteError.of(error).text)))
        case _:
            return Custom(text_of(reason))


def _parts_of_crash(crash: Any) -> tuple[object, ...]:
    """The exception as data, the same for all nodes that hear of it: so its traceback is printed once."""
    return (crash.data if isinstance(crash.exception, BaseException) else None,)


def _as_data(value: object) -> object:
    """An exception travels as a `RemoteError`."""
    return RemoteError.of(value) if isinstance(value, BaseException) else value


# -- words


def _has_item(message: Down | SendDown) -> bool:
    return isinstance(message.item, Pid) or (
        isinstance(message.item, tuple) and [*map(type, message.item)] == [str, str]
    )


def _has_names(mesh: Mesh) -> bool:
    return all(map(is_node_name, mesh.nodes))


def _has_keywords(asked: Request | Cast | Unreadable) -> bool:
    return isinstance(asked, Unreadable) or asked.kwargs is NO_KWARGS or are_keywords(asked.kwargs)


def _has_path(probe: Probe) -> bool:
    return 0 < len(probe.path) <= 2 * HOPS_MAX and {*map(type, probe.path)} == {Hop}


def _is_request(asked: Request) -> bool:
    return _has_keywords(asked) and _has_time_left(asked)


def _has_time_left(asked: Request | Deliver) -> bool:
    return asked.time_left_s is None or asked.time_left_s >= 0


def _seen(part: object) -> object:
    """What is shown of a process: what can't travel, and what is unknown over there, goes as it prints."""
    return Sealed(part, lambda: printed(part))


def _legible(part: object) -> object:
    return str(part) if isinstance(part, Unreadable) else part


def _parts_of_status(status: Status) -> tuple[object, ...]:
    state = {str(name): _seen(value) for name, value in status.state.items()}
    seen = attrs.evolve(status, state=state, message=_seen(status.message))
    return tuple(getattr(seen, field.name) for field in attrs.fields(Status))


def _status(*parts: Any) -> Status:
    status = Status(*parts)
    if not {*map(type, (*status.state, *status.debug))} <= {str} or not {*map(type, status.log)} <= {In, Out}:
        raise TypeError("with parts that it can't have")
    state = {name: _legible(value) for name, value in status.state.items()}
    return attrs.evolve(status, state=state, message=_legible(status.message))


def _in(message: object) -> In:
    return In(_legible(message))


def _out(reply: object, to: Pid | None) -> Out:
    return Out(_legible(reply), to)


_TEXT_OR_NONE = (str, NoneType)
_ITEM = (Pid, tuple)
_PID_OR_NONE = (Pid, NoneType)

_OPERATIONS = (
    word(Terminate, Reason),
    word(Suspend),
    word(Resume),
    word(GetStatus, bool),
    word(ReplaceState, object),
    word(ChangeCode, object, object),
    word(Trace, bool),
    word(Log, int),
    word(Count, bool),
    word(Install, object, _TEXT_OR_NONE, object),
    word(Remove, object),
    word(NoDebug),
)

_WORDS: tuple[Kind, ...] = (
    *(word(reason) for reason in (Normal, Kill, Killed, NoProc, NoConnection)),
    word(Shutdown, object, seal=0),
    word(Custom, object, seal=0),
    kind(Crash, ("exception",), _parts_of_crash, Crash, (BaseException,)),
    kind(
        RemoteError,
        ("type_name", "text", "traceback"),
        lambda error: tuple([text_of(part, None) for part in (error.type_name, error.text, error.traceback)]),
        RemoteError,
        (str, str, str),
    ),
    word(Exit, Pid, Reason),
    word(Down, Reference, _ITEM, Reason, valid=_has_item),
    word(NodeUp, str),
    word(NodeDown, str, _TEXT_OR_NONE),
    word(Timeout),
    word(TimerFired, Reference, object, seal=1),
    word(Send, Pid, (Pid, str, Reference), object, seal=2),
    word(GiveUp, Reference),
    word(Hop, Pid, Reference, str),
    word(Probe, (Pid, str), tuple, valid=_has_path),
    word(Link, Pid, Pid),
    word(Unlink, Pid, Pid, int),
    word(UnlinkAck, Pid, Pid, int),
    word(SendExit, Pid, (Pid, str), Reason, bool),
    word(Monitor, Pid, Reference, (Pid, str)),
    word(Demonitor, Pid, Reference, (Pid, str)),
    word(SendDown, Reference, Pid, _ITEM, Reason, valid=_has_item),
    kind(
        Request,
        ("reference", "method", "arguments", "time_left_s", "nested"),
        lambda asked: (
            asked.reference,
            asked.method,
            arguments_of(asked.args, asked.kwargs),
            asked.time_left_s,
            asked.nested,
        ),
        request_of,
        (Reference, _TEXT_OR_NONE, (list, tuple, Unreadable), (float, NoneType), (bool, NoneType)),
        seal=2,
        valid=_is_request,
    ),
    word(Deliver, Reference, object, (float, NoneType), seal=1, valid=_has_time_left),
    word(SystemAsk, Reference, (*(kind.cls for kind in _OPERATIONS), Unreadable), seal=1),
    *_OPERATIONS,
    kind(In, ("message",), lambda event: (_seen(event.message),), _in, (object,)),
    kind(Out, ("reply", "to"), lambda event: (_seen(event.reply), event.to), _out, (object, _PID_OR_NONE)),
    word(Statistics, (int, float), int, int),
    kind(
        Status,
        tuple(field.name for field in attrs.fields(Status)),
        _parts_of_status,
        _status,
        (
            Pid,
            _TEXT_OR_NONE,
            str,
            _PID_OR_NONE,
            bool,
            dict,
            object,
            (Reason, NoneType),
            tuple,
            (Statistics, NoneType),
            tuple,
        ),
    ),
    kind(
        Cast,
        ("method", "arguments"),
        lambda cast_: (cast_.method, arguments_of(cast_.args, cast_.kwargs)),
        cast_of,
        (_TEXT_OR_NONE, (list, tuple, Unreadable)),
        seal=1,
        valid=_has_keywords,
    ),
    FAILURE,
    *child_words.KINDS,
    word(NameConflict, str, Pid),
    word(Mesh, tuple, valid=_has_names),
    word(Tell, str, object, seal=1),
)


def _addresses(runtime: Runtime | None) -> tuple[Kind, ...]:
    """Typed references and names: they arrive as what they address, without the class, bound to the new node."""
    here = UNNAMED_NODE if runtime is None else runtime.node_name

    def reference(pid: Pid) -> ServerRef[Behaviour]:
        return ServerRef(pid, Behaviour, _runtime=runtime)

    def name(text: str, node: str) -> Name[Behaviour]:
        return Name(text, Behaviour, node)

    def global_(text: str) -> Global[Behaviour]:
        return Global(text, Behaviour)

    return (
        kind(ServerRef, ("pid",), lambda ref: (ref.pid,), reference, (Pid,)),
        kind(Global, ("name",), lambda name: (name.name,), global_, (str,)),
        kind(Name, ("name", "node"), lambda name: (name.name, name.node or here), name, (str, str)),
    )
