"""What is said all the time, written and read at one look: messages, calls, casts and replies.

What surrounds the user's own in them has few forms, and of the user's own most is plain. That comes out here as it
would part by part, in a third of the time. What is of another form, and that includes all that is malformed, is left
to be done part by part; and so is the user's own, where it is nested.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, cast

from ._pure.codec import (
    CONTAINER_ITEMS,
    ITEMS_MAX,
    LEAVES,
    LIST,
    BadFrame,
    LowerNested,
    ReadNested,
    Sealed,
    SealsItself,
    Unreadable,
)
from ._pure.ids import Pid, Reference
from .messages import NO_KWARGS, Cast, Request
from .signals import Send

_ADDRESSES: Final = frozenset({Pid, str, Reference})
_METHODS: Final = frozenset({str, NoneType})
_TIMES: Final = frozenset({float, NoneType})
_FLAGS: Final = frozenset({bool, NoneType})
_ARGUMENTS: Final = frozenset({list, tuple, Unreadable})

# What there is around the user's own, as a frame counts it: containers and their items.
_SEND_ITEMS: Final = CONTAINER_ITEMS + 3
_CAST_ITEMS: Final = _SEND_ITEMS + CONTAINER_ITEMS + 2
_REQUEST_ITEMS: Final = _SEND_ITEMS + CONTAINER_ITEMS + 5


# -- arguments


def arguments_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    """How they travel: a list of them; if there are keywords, that and these."""
    return ([*args], dict(kwargs)) if kwargs else [*args]


def are_keywords(found: object) -> bool:
    return isinstance(found, dict) and {*map(type, cast("dict[object, Any]", found))} <= {str}


def request_of(
    reference: Reference, method: str | None, arguments: object, time_left_s: float | None, nested: bool | None
) -> Request:
    """What can't be read stands in place of the arguments."""
    if isinstance(arguments, Unreadable):
        return Request(reference, method, arguments, NO_KWARGS, time_left_s, nested)
    return Request(reference, method, *_args_and_kwargs(arguments), time_left_s, nested)


def cast_of(method: str | None, arguments: object) -> Cast | Unreadable:
    """What can't be read is nothing to anybody: there is nobody to answer."""
    return arguments if isinstance(arguments, Unreadable) else Cast(method, *_args_and_kwargs(arguments))


def _args_and_kwargs(arguments: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if not isinstance(arguments, tuple):
        return (*arguments,), NO_KWARGS
    args, kwargs = cast("tuple[object, Any]", arguments)
    if not isinstance(args, list) or not are_keywords(kwargs):
        raise TypeError("with malformed arguments")
    return (*cast("list[object]", args),), kwargs


# -- on their way out


def lower_frequent(term: object, lower: LowerNested) -> list[Any] | None:
    """What is packed of a signal; `None` if it has to be looked at part by part."""
    if type(term) is not Send or type(term.sender) is not Pid or type(term.to) not in _ADDRESSES:
        return None
    message = term.message
    if type(message) in LEAVES:
        return ["regrow.Send", term.sender, term.to, message]
    if type(message) is Cast:
        lowered = _lower_cast(message, lower)
    elif type(message) is Request:
        lowered = _lower_request(message, lower)
    elif isinstance(message, SealsItself):
        return None
    else:
        lowered = _lower_own(message, lower)
    return None if lowered is None else ["regrow.Send", term.sender, term.to, lowered]


def _lower_cast(sent: Cast, lower: LowerNested) -> list[Any] | None:
    if type(sent.method) not in _METHODS:
        return None
    arguments = _lower_arguments(sent.args, sent.kwargs, _CAST_ITEMS, lower)
    return None if arguments is None else ["regrow.Cast", sent.method, arguments]


def _lower_request(asked: Request, lower: LowerNested) -> list[Any] | None:
    args, left_s = asked.args, asked.time_left_s
    if isinstance(args, Unreadable) or not _is_request(asked.reference, asked.method, left_s, asked.nested):
        return None
    arguments = _lower_arguments(args, asked.kwargs, _REQUEST_ITEMS, lower)
    if arguments is None:
        return None
    return ["regrow.Request", asked.reference, asked.method, arguments, left_s, asked.nested]


def _lower_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any], around: int, lower: LowerNested) -> Any:
    if not kwargs and LEAVES.issuperset(map(type, args)) and len(args) <= ITEMS_MAX:
        return [LIST, *args]
    if kwargs and not are_keywords(kwargs):
        return None
    return lower(Sealed(arguments_of(args, kwargs)), 3, around)


def _lower_own(message: object, lower: LowerNested) -> Any:
    """What is the user's own, sealed if anything in it could be unknown."""
    if type(message) is not list:
        return lower(Sealed(message), 2, _SEND_ITEMS)
    items = cast("list[object]", message)
    if LEAVES.issuperset(map(type, items)) and len(items) <= ITEMS_MAX:
        return [LIST, *items]
    return lower(Sealed(items), 2, _SEND_ITEMS)


# -- on their way in


def read_frequent(found: Any, read: ReadNested) -> Send | None:
    """The signal of what msgpack has found; `None` if that has to be looked at part by part."""
    match found:
        case ["regrow.Send", sender, to, message] if type(sender) is Pid and type(to) in _ADDRESSES:
            return Send(sender, to, message if type(message) in LEAVES else _read_message(message, read))
        case _:
            return None


def _read_message(found: Any, read: ReadNested) -> object:
    match found:
        case ["regrow.Cast", method, [mark, *args]] if type(method) in _METHODS:
            if _are_plain(mark, args):
                return Cast(method, tuple(args), NO_KWARGS)
            return cast_of(method, _read_arguments(found[2], read))
        case ["regrow.Request", reference, method, [mark, *args], left_s, nested] if _is_request(
            reference, method, left_s, nested
        ):
            if _are_plain(mark, args):
                return Request(reference, method, tuple(args), NO_KWARGS, left_s, nested)
            return request_of(reference, method, _read_arguments(found[3], read), left_s, nested)
        case _:
            return read(found, 2)


def _are_plain(mark: object, args: list[Any]) -> bool:
    return type(mark) is int and mark == LIST and LEAVES.issuperset(map(type, args))


def _read_arguments(found: Any, read: ReadNested) -> object:
    arguments = read(found, 3)
    if type(arguments) not in _ARGUMENTS:
        raise BadFrame("with malformed arguments")
    return arguments


def _is_request(reference: object, method: object, left_s: Any, nested: object) -> bool:
    return (
        type(reference) is Reference
        and type(method) in _METHODS
        and type(left_s) in _TIMES
        and (left_s is None or left_s >= 0)
        and type(nested) in _FLAGS
    )
