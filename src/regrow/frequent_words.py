"""What is said all the time, written and read at one look: messages, calls, casts and replies that are plain.

In most of them all that is in the envelope is a leaf. Those come out here as they would part by part, in a third of
the time. What is not seen to be so, and that includes all that is malformed, is left to be done part by part.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Final

from ._pure.codec import ITEMS_MAX, LEAVES, LIST
from ._pure.ids import Pid, Reference
from .messages import NO_KWARGS, Cast, Request
from .signals import Send

_ADDRESSES: Final = frozenset({Pid, str, Reference})
_METHODS: Final = frozenset({str, NoneType})
_TIMES: Final = frozenset({float, NoneType})
_FLAGS: Final = frozenset({bool, NoneType})


def lower_plain(term: object) -> list[Any] | None:
    """What is packed of a signal that is plain."""
    if type(term) is not Send or type(term.sender) is not Pid or type(term.to) not in _ADDRESSES:
        return None
    message = term.message
    if type(message) is Cast:
        lowered: object = _lower_cast(message)
    elif type(message) is Request:
        lowered = _lower_request(message)
    elif type(message) in LEAVES:
        return ["regrow.Send", term.sender, term.to, message]
    else:
        return None
    return None if lowered is None else ["regrow.Send", term.sender, term.to, lowered]


def _lower_cast(sent: Cast) -> list[Any] | None:
    if sent.kwargs or not _are_plain(sent.args) or type(sent.method) not in _METHODS:
        return None
    return ["regrow.Cast", sent.method, [LIST, *sent.args]]


def _lower_request(asked: Request) -> list[Any] | None:
    args, left_s = asked.args, asked.time_left_s
    if asked.kwargs or type(args) is not tuple or not _are_plain(args):
        return None
    if not _is_request(asked.reference, asked.method, left_s, asked.nested):
        return None
    return ["regrow.Request", asked.reference, asked.method, [LIST, *args], left_s, asked.nested]


def _are_plain(args: tuple[Any, ...]) -> bool:
    return LEAVES.issuperset(map(type, args)) and len(args) <= ITEMS_MAX


def read_plain(found: Any) -> Send | None:
    """The signal of what msgpack has found, if that is plain."""
    match found:
        case ["regrow.Send", sender, to, message] if type(sender) is Pid and type(to) in _ADDRESSES:
            if type(message) not in LEAVES:
                message = _read_message(message)
                if message is None:
                    return None
            return Send(sender, to, message)
        case _:
            return None


def _read_message(found: Any) -> Cast | Request | None:
    match found:
        case ["regrow.Cast", method, [mark, *args]]:
            if _are_arguments(mark, args) and type(method) in _METHODS:
                return Cast(method, tuple(args), NO_KWARGS)
        case ["regrow.Request", reference, method, [mark, *args], left_s, nested]:
            if _are_arguments(mark, args) and _is_request(reference, method, left_s, nested):
                return Request(reference, method, tuple(args), NO_KWARGS, left_s, nested)
        case _:
            pass
    return None


def _are_arguments(mark: object, args: list[Any]) -> bool:
    return type(mark) is int and mark == LIST and LEAVES.issuperset(map(type, args))


def _is_request(reference: object, method: object, left_s: Any, nested: object) -> bool:
    return (
        type(reference) is Reference
        and type(method) in _METHODS
        and type(left_s) in _TIMES
        and (left_s is None or left_s >= 0)
        and type(nested) in _FLAGS
    )
