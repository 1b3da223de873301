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
    args = sent.args
    if sent.kwargs or type(sent.method) not in _METHODS or not LEAVES.issuperset(map(type, args)):
        return None
    return None if len(args) > ITEMS_MAX else ["regrow.Cast", sent.method, [LIST, *args]]


def _lower_request(asked: Request) -> list[Any] | None:
    args, left_s = asked.args, asked.time_left_s
    if asked.kwargs or type(args) is not tuple or not LEAVES.issuperset(map(type, args)):
        return None
    if len(args) > ITEMS_MAX or not _is_request(asked.reference, asked.method, left_s, asked.nested):
        return None
    return ["regrow.Request", asked.reference, asked.method, [LIST, *args], left_s, asked.nested]


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
        case ["regrow.Cast", method, [mark, *args]] if type(method) in _METHODS:
            message: Cast | Request = Cast(method, tuple(args), NO_KWARGS)
        case ["regrow.Request", reference, method, [mark, *args], left_s, nested] if _is_request(
            reference, method, left_s, nested
        ):
            message = Request(reference, method, tuple(args), NO_KWARGS, left_s, nested)
        case _:
            return None
    return message if type(mark) is int and mark == LIST and LEAVES.issuperset(map(type, args)) else None


def _is_request(reference: object, method: object, left_s: Any, nested: object) -> bool:
    return (
        type(reference) is Reference
        and type(method) in _METHODS
        and type(left_s) in _TIMES
        and (left_s is None or left_s >= 0)
        and type(nested) in _FLAGS
    )
