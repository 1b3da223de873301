"""Terms on their way out: what becomes of them before msgpack packs them, and what may not leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from types import FunctionType, NoneType
from typing import Any, Final

import attrs

from .extensions import DATETIME, FUNCTION, PID, REFERENCE, data_of_datetime, data_of_pid, data_of_reference
from .ids import Pid, Reference
from .vocabulary import NotPortable, Sealed, Vocabulary

DEPTH_MAX = 64  # printing, comparing and copying what arrived recurse as deep as it is nested
ITEMS_MAX = 65_535  # of one list, tuple, set or dict
FRAME_ITEMS_MAX = 262_144  # of all containers of a frame together, each of which counts besides
CONTAINER_ITEMS = 4  # as how many items it counts: an empty one is a byte on the wire, but takes as long to make

LEAVES: Final[frozenset[type[object]]] = frozenset(
    {NoneType, bool, int, float, str, bytes, Pid, Reference}
)  # what msgpack knows by itself, or has made into an extension as it comes to it
LEAVES_LOOKED_AT: Final = LEAVES - {str, Pid, Reference}  # where each of these is looked at, as to whether it can go

# What stands first in an array that is no object of a kind: then it is the name of the kind.
LIST, TUPLE, SET, FROZENSET, DICT, PARTIAL, SEALED = range(7)


@attrs.frozen
class Means:
    """What a codec has for the lowering of terms."""

    vocabulary: Vocabulary
    extension: Callable[[int, bytes], Any]
    """Makes what msgpack packs as an extension."""


class Lowering:
    """One term on its way to plain data, in which each array says first what it is, and extensions."""

    def __init__(self, means: Means, leaves: frozenset[type[Any]] = LEAVES, around: int = 0) -> None:
        """`around` is how many items and containers there are around it."""
        self._vocabulary = means.vocabulary
        self._kinds = means.vocabulary.kinds
        self._means = means
        self._leaves = leaves
        self._items_left = FRAME_ITEMS_MAX - around
        self._in_seal = False

    def lower(self, value: object, depth: int) -> Any:
        """The value as msgpack takes it; `depth` is how deep it is nested, if it is a container."""
        cls = type(value)
        if cls in self._leaves:
            return value
        kind = self._kinds.get(cls)
        if kind is not None:
            return [kind.name, *self._each(kind.parts_of(value), depth, kind.step)]
        lower = _LOWER.get(cls)
        if lower is not None:
            return lower(self, value, depth)
        adapted = self._vocabulary.adapt(value)
        if adapted is not value:
            return self.lower(adapted, depth)
        name = _function_name(self._vocabulary, value)
        if name is None:
            raise NotPortable(_refusal(value))
        return self._means.extension(FUNCTION, name.encode())

    def lower_list(self, value: Collection[object], depth: int) -> list[Any]:
        return [LIST, *self._each(value, depth, "[{}]".format)]

    def lower_tuple(self, value: Collection[object], depth: int) -> list[Any]:
        return [TUPLE, *self._each(value, depth, "[{}]".format)]

    def lower_set(self, value: Collection[object], depth: int) -> list[Any]:
        return [SET, *self._each(value, depth, "{{...}}".format)]

    def lower_frozenset(self, value: Collection[object], depth: int) -> list[Any]:
        return [FROZENSET, *self._each(value, depth, "{{...}}".format)]

    def lower_dict(self, value: dict[Any, Any], depth: int) -> Any:
        """A map if its keys are plain; else its keys and its values: msgpack's maps take no arrays as keys."""
        values = value.values()

        def at_key(index: int) -> str:
            return f"[{_key([*value][index])}]"

        if self._leaves.issuperset(map(type, value)):
            lowered = self._each(values, depth, at_key)
            return value if lowered is values else dict(zip(value, lowered, strict=True))
        self._spend(2, depth)
        keys, lowered = self._each(value.keys(), depth + 1, at_key), self._each(values, depth + 1, at_key)
        return [DICT, [LIST, *keys], [LIST, *lowered]]

    def lower_partial(self, value: partial[object], depth: int) -> list[Any]:
        parts = (value.func, [*value.args], value.keywords)
        return [PARTIAL, *self._each(parts, depth, lambda index: (".func", ".args", ".keywords")[index])]

    def lower_datetime(self, value: datetime, _depth: int) -> Any:
        return self._means.extension(DATETIME, data_of_datetime(value))

    def lower_sealed(self, value: Sealed, depth: int) -> Any:
        if self._in_seal:
            return self.lower(value.content, depth)
        self._in_seal = True
        self._spend(1, depth)
        if value.otherwise is None:
            content = self.lower(value.content, depth)
        else:
            content = self._lower_or(value.content, value.otherwise, depth)
        self._in_seal = False
        return [SEALED, content]

    def _lower_or(self, value: object, otherwise: Callable[[], str], depth: int) -> Any:
        leaves, items_left = self._leaves, self._items_left
        self._leaves = LEAVES_LOOKED_AT  # now or never: what is packed later is packed as a whole
        try:
            return self.lower(value, depth)
        except NotPortable:
            self._items_left = items_left
            return otherwise().encode(errors="backslashreplace").decode()
        finally:
            self._leaves = leaves

    # -- reached only where leaves are looked at

    def lower_pid(self, value: Pid, _depth: int) -> Any:
        return self._means.extension(PID, data_of_pid(value))

    def lower_reference(self, value: Reference, _depth: int) -> Any:
        return self._means.extension(REFERENCE, data_of_reference(value))

    def lower_str(self, value: str, _depth: int) -> str:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise NotPortable(f"a str that is no text: {error}") from None
        return value

    # -- what all containers need

    def _each(self, items: Collection[Any], depth: int, step: Callable[[int], str]) -> Collection[Any]:
        """Each item lowered; `step` is how a place inside the item of that index is written."""
        self._spend(len(items), depth)
        leaves = self._leaves
        if leaves.issuperset(map(type, items)):
            return items
        done: list[Any] = []
        try:
            for item in items:
                done.append(item if type(item) in leaves else self.lower(item, depth + 1))
        except NotPortable as error:
            raise error.within(step(len(done))) from None
        return done

    def _spend(self, items: int, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise NotPortable(f"nested more than {DEPTH_MAX} deep")
        if items > ITEMS_MAX:
            raise NotPortable(f"{items} items in one container, more than {ITEMS_MAX}")
        self._items_left -= CONTAINER_ITEMS + items
        if self._items_left < 0:
            raise NotPortable(f"more than {FRAME_ITEMS_MAX} items and containers in one message")


_LOWER: Mapping[type, Callable[[Lowering, Any, int], Any]] = {
    list: Lowering.lower_list,
    tuple: Lowering.lower_tuple,
    set: Lowering.lower_set,
    frozenset: Lowering.lower_frozenset,
    dict: Lowering.lower_dict,
    partial: Lowering.lower_partial,
    datetime: Lowering.lower_datetime,
    Sealed: Lowering.lower_sealed,
    Pid: Lowering.lower_pid,
    Reference: Lowering.lower_reference,
    str: Lowering.lower_str,
}


def _key(key: object) -> str:
    """A key as a person would write it, if that is short and certain not to fail."""
    if isinstance(key, str | bytes):
        return repr(key[:40])
    return repr(key) if key is None or isinstance(key, bool | float) or _is_small(key) else type(key).__name__


def _is_small(key: object) -> bool:
    return type(key) is int and key.bit_length() <= 64


def _function_name(vocabulary: Vocabulary, value: object) -> str | None:
    if not callable(value):
        return None
    try:
        return vocabulary.functions.get(value)
    except TypeError:
        return None  # an unhashable callable is certainly not a registered function


def _refusal(value: object) -> str:
    named = value if isinstance(value, FunctionType | type) else type(value)
    what = f"{'' if named is value else 'an object of '}{named.__module__}.{named.__qualname__}"
    return f"{what} can't leave this node: it is not @portable, or its module is not among those named as portable"
