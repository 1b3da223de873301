"""The state of a process: the attributes of its object, read, replaced, copied and printed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, cast

import attrs

from .errors import short
from .system_words import Status

PRINTED_MAX = 2000  # characters of one attribute or message
DEPTH_MAX = 50  # of containers in containers that are copied
ITEMS_PRINTED = 100  # of a container: it may be large, and whoever looks at it must not hold up its node

_CONTAINERS: frozenset[type[Any]] = frozenset({dict, list, deque, set, frozenset, tuple})


def attributes_of(server: object) -> dict[str, Any]:
    """The attributes of an object as they are; also those in slots."""
    values = dict(getattr(server, "__dict__", {}))
    for cls in reversed(type(server).__mro__):
        slots = cls.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(server, name):
                values[name] = getattr(server, name)
    return values


def replace_attributes(server: object, new: Mapping[str, object]) -> None:
    """Give an object these attributes and no others, all or none. Raises `AttributeError` for one it cannot have."""
    old = attributes_of(server)
    try:
        _set_attributes(server, new)
    except BaseException:
        _set_attributes(server, old)
        raise


def _set_attributes(server: object, new: Mapping[str, object]) -> None:
    # Past the object's own `__setattr__`: a frozen class is a server like any other.
    for name in attributes_of(server).keys() - new.keys():
        object.__delattr__(server, name)
    for name, value in new.items():
        object.__setattr__(server, name, value)


def isolated(value: Any) -> Any:
    """The value with copies of the containers in it; objects of other classes are shared.

    So whoever appends to a list of it does not append to that of the server, and no code of the user's runs.
    """
    return _isolated(value, {}, DEPTH_MAX)


def _isolated(value: Any, done: dict[int, Any], depth: int) -> Any:
    cls = cast(Any, type(value))
    if cls not in _CONTAINERS or depth == 0:
        return value
    key = id(value)
    if key in done:  # met before; it may even be around this
        return done[key]
    if cls is dict:
        copied = done[key] = dict[Any, Any]()
        copied.update((name, _isolated(each, done, depth - 1)) for name, each in value.items())
    elif cls is list or cls is deque:
        copied = done[key] = value.copy()
        copied.clear()
        copied.extend(_isolated(each, done, depth - 1) for each in value)
    else:
        copied = done[key] = cls(_isolated(each, done, depth - 1) for each in value)
    return copied


def printed(value: object) -> str:
    """The value as it prints, cut to size; never raises."""
    if type(value) in _CONTAINERS:
        container = cast("list[Any]", value)
        if len(container) > ITEMS_PRINTED:
            items = cast("Any", value).items() if isinstance(value, dict) else container
            head = type(container)(islice(items, ITEMS_PRINTED))
            return f"{short(head, PRINTED_MAX)} and {len(container) - ITEMS_PRINTED} more"
    return short(value, PRINTED_MAX)


def formatted(server: object, status: Status) -> Status:
    """The status as the object of the process wants it seen; a placeholder if it fails at that."""
    format_status: Callable[[Status], object] | None = getattr(server, "format_status", None)
    if format_status is None:
        return status
    try:
        seen = format_status(status)
        if seen is status:  # as those return it who hide nothing
            return status
        if isinstance(seen, Status):
            return attrs.evolve(seen, state={str(name): value for name, value in seen.state.items()})
        why = f"returned {type(seen).__name__}"
    except Exception as error:  # noqa: BLE001 - whoever looks must not bring down what they look at
        why = f"raised {type(error).__name__}"  # and no more: its text may hold what was to be hidden
    placeholder = f"format_status of {type(server).__name__} {why}"
    message = None if status.message is None else placeholder
    return attrs.evolve(status, state={"format_status": placeholder}, message=message, log=())
