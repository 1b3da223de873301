"""How classes of the core travel: under which name, as which parts, and of which types these are.

The sender refuses to send others, so a frame that holds them is a bad frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, cast

import attrs

from ._pure.codec import LEAVES, Kind, NotPortable, Sealed, SealsItself

TEXT_MAX = 10_000  # characters of a reason or an exception that can't travel as it is


def word(
    cls: type[attrs.AttrsInstance],
    *types: Any,
    seal: int | None = None,
    valid: Callable[[Any], bool] | None = None,
    prefix: str = "regrow",
) -> Kind:
    """An attrs class whose fields travel in order, each of its type; `seal` is the number of the one that the user
    fills."""
    names = tuple(field.name for field in attrs.fields(cls))
    return kind(cls, names, _getter(names), cls, types, seal, valid, prefix)


def kind(
    cls: type,
    names: tuple[str, ...],
    take_apart: Callable[[Any], tuple[Any, ...]],
    build: Callable[..., Any],
    types: tuple[Any, ...],
    seal: int | None = None,
    valid: Callable[[Any], bool] | None = None,
    prefix: str = "regrow",
) -> Kind:
    """A class that travels as these parts, of these types; `seal` as for `word`."""
    name = f"{prefix}.{cls.__name__}"

    def apart(value: object) -> tuple[object, ...]:
        parts = take_apart(value)
        if not _are(parts, types) or (valid is not None and not valid(value)):
            raise NotPortable(f"a malformed {cls.__name__}")
        return parts if seal is None else (*parts[:seal], _sealed(parts[seal]), *parts[seal + 1 :])

    def together(*parts: object) -> object:
        if not _are(parts, types):
            raise TypeError(f"made of {', '.join(type(part).__name__ for part in parts)}")
        value = build(*parts)
        if valid is not None and not valid(value):
            raise ValueError("with values that it can't have")
        return value

    return Kind(name, cls, apart, together, names)


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """What gets these fields of an object."""
    match names:
        case ():
            return lambda _value: ()
        case (name,):
            return lambda value: (getattr(value, name),)
        case _:
            return attrgetter(*names)


def _are(parts: tuple[object, ...], types: tuple[Any, ...]) -> bool:
    return len(parts) == len(types) and all(map(isinstance, parts, types))


def _sealed(part: object) -> object:
    """Nothing can be unknown in what is plain; and some words have a seal of their own, as a request has."""
    return part if _is_plain(part) or isinstance(part, SealsItself) else Sealed(part)


def _is_plain(part: object) -> bool:
    """Or a list of that, as most arguments are."""
    items: Sequence[object] = cast("list[object]", part) if type(part) is list else (part,)
    return LEAVES.issuperset(map(type, items))


def text_of(value: object, length_max: int | None = TEXT_MAX) -> str:
    """What a value says, cut to size, and fit to travel."""
    try:
        text = str(value)[:length_max]
    except Exception as failure:  # noqa: BLE001 - what has no text still has to travel
        return f"<unprintable: {type(failure).__name__}>"
    return _encodable(text)


def _encodable(text: str) -> str:
    """The text without what UTF-8 has no bytes for, such as the undecodable parts of a file's name."""
    return text.encode(errors="backslashreplace").decode()
