"""Terms on their way out: what becomes of them before msgpack packs them, and what may not leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from types import FunctionType, NoneType
from typing import Any, Final

import attrs

from .vocabulary import Kind, NotPortable, Sealed, Vocabulary

DEPTH_MAX = 64  # printing, comparing and copying what arrived recurse as deep as it is nested
ITEMS_MAX = 65_535  # of one list, tuple, set or dict
FRAME_ITEMS_MAX = 262_144  # of all containers of a frame together, each of which counts besides
CONTAINER_ITEMS = 4  # as how many items it counts: an empty one is a byte on the wire, but takes as long to make

LEAVES: Final[frozenset[type[object]]] = frozenset(
    {NoneType, bool, int, float, str, bytes}
)  # what msgpack knows by itself

# The extensions; those with a negative number are msgpack's own, and not used.
INTEGER, SHAPE, KIND, DATETIME, FUNCTION, SEALED = range(6)

# What an array can be that is marked with a shape.
SHAPES = (TUPLE, SET, FROZENSET, DICT, PARTIAL) = (b"t", b"s", b"f", b"d", b"p")


@attrs.frozen
class Means:
    """What a codec has for the lowering of terms."""

    vocabulary: Vocabulary
    pack: Callable[[object], bytes]
    extension: Callable[[int, bytes], Any]
    """Makes what msgpack packs as an extension."""
    shapes: Mapping[bytes, Any]
    """The marks of shapes."""
    kinds: Mapping[type, Any]
    """The marks of kinds."""


class Lowering:
    """One term on its way to plain data with marks and extensions."""

    def __init__(self, means: Means, leaves: frozenset[type[Any]] = LEAVES) -> None:
        self._vocabulary = means.vocabulary
        self._means = means
        self._leaves = leaves
        self._items_left = FRAME_ITEMS_MAX
        self._in_seal = False

    def lower(self, value: object, depth: int) -> Any:
        """The value as msgpack takes it; `depth` is how deep it is nested, if it is a container."""
        cls = type(value)
        if cls in self._leaves:
            return value
        kind = self._vocabulary.kinds.get(cls)
        if kind is not None:
            return self._lower_object(kind, value, depth)
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
        return self._each(value, depth, "[{}]".format)

    def lower_tuple(self, value: Collection[object], depth: int) -> list[Any]:
        return [self._means.shapes[TUPLE], *self._each(value, depth, "[{}]".format)]

    def lower_set(self, value: Collection[object], depth: int) -> list[Any]:
        return [self._means.shapes[SET], *self._each(value, depth, "{{...}}".format)]

    def lower_frozenset(self, value: Collection[object], depth: int) -> list[Any]:
        return [self._means.shapes[FROZENSET], *self._each(value, depth, "{{...}}".format)]

    def lower_dict(self, value: dict[Any, Any], depth: int) -> Any:
        """A map if its keys are plain; else its keys and its values: msgpack's maps take no arrays as keys."""
        keys = list(value)

        def at_key(index: int) -> str:
            return f"[{_key(keys[index])}]"

        if LEAVES.issuperset(map(type, keys)) and self._leaves is LEAVES:
            return dict(zip(keys, self._each(value.values(), depth, at_key), strict=True))
        self._spend(2, depth)
        return [
            self._means.shapes[DICT],
            self._each(keys, depth + 1, at_key),
            self._each(value.values(), depth + 1, at_key),
        ]

    def lower_partial(self, value: partial[object], depth: int) -> list[Any]:
        parts = (value.func, [*value.args], value.keywords)
        return [self._means.shapes[PARTIAL], *self._fields(parts, ("func", "args", "keywords"), depth)]

    def lower_datetime(self, value: datetime, _depth: int) -> Any:
        return self._means.extension(DATETIME, bytes([value.fold]) + value.isoformat().encode())

    def lower_sealed(self, value: Sealed, depth: int) -> Any:
        if self._in_seal:
            return self.lower(value.content, depth)
        self._in_seal = True
        items_left = self._items_left
        try:
            content = self._means.pack(self.lower(value.content, depth))
        except (NotPortable, UnicodeEncodeError):
            if value.otherwise is None:
                raise
            self._items_left = items_left
            content = self._means.pack(value.otherwise().encode(errors="backslashreplace").decode())
        self._in_seal = False
        return self._means.extension(SEALED, content)

    def lower_str(self, value: str, _depth: int) -> str:
        """Reached only in the search for a text that can't be encoded: else texts are leaves."""
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise NotPortable(f"a str that is no text: {error}") from None
        return value

    def _lower_object(self, kind: Kind, value: object, depth: int) -> list[Any]:
        try:
            parts = kind.take_apart(value)
        except AttributeError as error:
            raise NotPortable(f"{kind.name} without its field {error.name!r}") from None
        return [self._means.kinds[kind.cls], *self._fields(parts, kind.fields, depth)]

    def _fields(self, parts: Collection[object], names: tuple[str, ...], depth: int) -> list[Any]:
        return self._each(parts, depth, lambda index: f".{names[index]}" if index < len(names) else f"[{index}]")

    def _each(self, items: Collection[Any], depth: int, step: Callable[[int], str]) -> list[Any]:
        """Each item lowered; `step` is how a place inside the item of that index is written."""
        self._spend(len(items), depth)
        leaves = self._leaves
        if leaves.issuperset(map(type, items)):
            return list(items)
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
