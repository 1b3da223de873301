"""Terms as bytes: what may cross nodes, and nothing else.

msgpack, with two ways to say what it has no words for. An extension stands for a value by itself: a large
integer, a datetime, a function. A *mark*, an extension too, stands first in an array and says what the array
is: a tuple, a set, an object of a named kind; an array without one is a list. So a term is one msgpack document,
read in a single pass.

Which classes may cross is a table that the caller brings; a name that is not in it is refused, and nothing is
ever imported because of what a frame says. The limits hold while a frame is read, not after. The sender keeps
to the same limits: what one node lets out, another of its version lets in.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, Final

import attrs
import msgpack  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from .frames import FRAME_BYTES_CAP, FRAME_BYTES_MAX, LENGTH_BYTES, TICK, FrameReader, framed
from .lowering import (
    CONTAINER_ITEMS,
    DATETIME,
    DEPTH_MAX,
    DICT,
    FRAME_ITEMS_MAX,
    FROZENSET,
    FUNCTION,
    INTEGER,
    ITEMS_MAX,
    KIND,
    LEAVES,
    PARTIAL,
    SEALED,
    SET,
    SHAPE,
    SHAPES,
    TUPLE,
    Lowering,
    Means,
)
from .vocabulary import BadFrame, Kind, NotPortable, Sealed, SealsItself, Unreadable, Vocabulary

__all__ = [
    "CONTAINER_ITEMS",
    "DEPTH_MAX",
    "FRAME_BYTES_CAP",
    "FRAME_BYTES_MAX",
    "FRAME_ITEMS_MAX",
    "ITEMS_MAX",
    "LENGTH_BYTES",
    "TICK",
    "BadFrame",
    "Codec",
    "FrameReader",
    "Kind",
    "NotPortable",
    "Sealed",
    "SealsItself",
    "Unreadable",
    "Vocabulary",
]

SCAN_BYTES_MIN = 1024  # what a smaller frame can announce and not hold is little: a thousand lists of a thousand

# msgpack brings no types; these are all that is used of it.
_msgpack: Any = msgpack
_Ext: Callable[[int, bytes], Any] = _msgpack.ExtType
_unpackb: Callable[..., object] = _msgpack.unpackb


class Codec:
    """Turns terms into frames and back. For one thread."""

    def __init__(self, vocabulary: Vocabulary, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        if not 0 < frame_bytes_max <= FRAME_BYTES_CAP:
            raise ValueError(f"a frame may be limited to at most {FRAME_BYTES_CAP} bytes, not {frame_bytes_max}")
        self.frame_bytes_max: Final = frame_bytes_max
        self._vocabulary: Final = vocabulary
        self._kinds: Final = {name.encode(): _Mark(_maker(kind)) for name, kind in vocabulary.by_name.items()}
        packer: Any = _msgpack.Packer(default=_large_integer)
        self._means: Final = Means(
            vocabulary,
            packer.pack,
            _Ext,
            {shape: _Ext(SHAPE, shape) for shape in SHAPES},
            {kind.cls: _Ext(KIND, name.encode()) for name, kind in vocabulary.by_name.items()},
        )

    def encode(self, term: object) -> bytes:
        """One frame, its length in front. Raises `NotPortable`; also for what is larger than a frame may be."""
        try:
            body = self._means.pack(Lowering(self._means).lower(term, 1))
        except UnicodeEncodeError as error:
            Lowering(self._means, LEAVES - {str}).lower(term, 1)  # again, looking at each text: raises, with the place
            raise NotPortable(str(error)) from None
        except (ValueError, OverflowError) as error:
            raise NotPortable(f"{type(error).__name__}: {error}") from None  # larger than msgpack itself allows
        if len(body) > self.frame_bytes_max:
            raise NotPortable(f"a message of {len(body)} bytes is larger than a frame may be ({self.frame_bytes_max})")
        return framed(body)

    def decode(self, body: bytes) -> object:
        """The term of a frame's body. Raises `BadFrame`."""
        if len(body) > self.frame_bytes_max:
            raise BadFrame(f"a frame of {len(body)} bytes, more than {self.frame_bytes_max}")
        return _Reading(self._vocabulary, self._kinds, FRAME_ITEMS_MAX, sealed=False).read(body)


def _large_integer(value: object) -> Any:
    """What msgpack finds too large. It asks for nothing else: all other types are gone by then."""
    assert isinstance(value, int), "only plain data is packed"
    return _Ext(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


class _Unfit(BadFrame):
    """No rule is broken, but this node can't make anything of it. In a sealed part it ends there."""


@attrs.frozen(eq=False)
class _Mark:
    """What an array stands for that begins with it."""

    make: Callable[[list[Any]], object]


# What msgpack makes by itself and we never sent; and a mark anywhere but in front of an array.
_STRAY: Final = frozenset({_Mark, _msgpack.Timestamp})


class _Reading:
    """One frame, or a sealed part of one, being read within its budget of items.

    msgpack reads from the inside out, so what is known of a container when it is complete is how high the
    containers in it are stacked: the last entries of `_heights`, one for each of them.
    """

    def __init__(self, vocabulary: Vocabulary, kinds: Mapping[bytes, _Mark], items_left: int, *, sealed: bool) -> None:
        self._items_left = items_left
        self._vocabulary = vocabulary
        self._kinds = kinds
        self._in_seal = sealed
        self._heights: list[int] = []

    def read(self, body: bytes) -> Any:
        if len(body) > SCAN_BYTES_MIN:
            _scan(body)
        count_max = min(len(body), 1 + ITEMS_MAX)  # with its mark
        try:
            term = _unpackb(
                body,
                ext_hook=self._extension,
                list_hook=self._array,
                object_pairs_hook=self._map,
                strict_map_key=False,
                max_array_len=count_max,
                max_map_len=count_max,
            )
        except BadFrame:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            raise BadFrame(f"{type(error).__name__}: {error}"[:200]) from None
        self._refuse_stray(type(term))
        return term

    def _array(self, items: list[Any]) -> object:
        mark: _Mark | None = None
        if items and type(items[0]) is _Mark:
            mark = items.pop(0)
        if len(items) > ITEMS_MAX:
            raise BadFrame(f"{len(items)} items in one container")
        height = self._height(items, len(items))
        return self._made(items if mark is None else mark.make(items), height)

    def _map(self, pairs: list[tuple[Any, Any]]) -> object:
        height = self._height([*chain.from_iterable(pairs)], len(pairs))
        if any(type(key) not in LEAVES for key, _ in pairs):
            raise BadFrame("a key of a map that is not plain")
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BadFrame("a key is given twice")
        return self._made(found, height)

    def _extension(self, code: int, data: bytes) -> object:
        read = _EXTENSIONS.get(code)
        if read is None:
            raise BadFrame(f"unknown extension type {code}")
        return read(self, data)

    def read_integer(self, data: bytes) -> int:
        return int.from_bytes(data, "big", signed=True)

    def read_shape(self, data: bytes) -> object:
        mark = _SHAPES.get(data)
        if mark is None:
            raise BadFrame(f"an array marked {data!r:.20}")
        return mark

    def read_kind(self, data: bytes) -> object:
        mark = self._kinds.get(data)
        if mark is None:
            raise _Unfit(f"nothing portable here is called {data.decode()!r:.100}")
        return mark

    def read_datetime(self, data: bytes) -> object:
        """Only as `isoformat` writes it."""
        text = data[1:].decode()
        found = datetime.fromisoformat(text).replace(fold=data[0])
        if found.isoformat() != text:
            raise BadFrame("a malformed datetime")
        return self._made(found, 0)

    def read_function(self, data: bytes) -> object:
        name = data.decode()
        function = self._vocabulary.functions_by_name.get(name)
        if function is None:
            raise _Unfit(f"no portable function here is called {name!r:.100}")
        return self._made(function, 0)

    def read_sealed(self, data: bytes) -> object:
        if self._in_seal:
            raise BadFrame("a seal within a seal")
        inside = _Reading(self._vocabulary, self._kinds, self._items_left, sealed=True)
        height = 0
        try:
            term = inside.read(data)
            height = max(inside._heights, default=0)
        except _Unfit as error:
            term = Unreadable(str(error))
        self._items_left = inside._items_left
        return self._made(term, height)

    def _height(self, items: list[Any], count: int) -> int:
        """How high a container of these is stacked, 1 if nothing is in it but plain values."""
        self._items_left -= CONTAINER_ITEMS + count
        if self._items_left < 0:
            raise BadFrame(f"more than {FRAME_ITEMS_MAX} items and containers")
        if LEAVES.issuperset(map(type, items)):
            return 1
        inner: list[type[Any]] = [cls for cls in map(type, items) if cls not in LEAVES]
        for cls in inner:
            self._refuse_stray(cls)
        height = 1 + max(self._heights[-len(inner) :])
        del self._heights[-len(inner) :]
        if height > DEPTH_MAX:
            raise BadFrame(f"nested more than {DEPTH_MAX} deep")
        return height

    def _made(self, value: object, height: int) -> object:
        if type(value) not in LEAVES:
            self._heights.append(height)
        return value

    def _refuse_stray(self, cls: type[Any]) -> None:
        if cls in _STRAY:
            raise BadFrame(f"a {cls.__name__.strip('_')} where none can be")


def _scan(body: bytes) -> None:
    """Whether all is there that is announced, before room is made for it: then it is no more than was sent.

    Raises what msgpack raises for a document that is cut short or malformed.
    """
    scanner: Any = _msgpack.Unpacker(max_buffer_size=len(body))
    scanner.feed(body)
    try:
        scanner.skip()
    except (ValueError, _msgpack.OutOfData) as error:
        raise BadFrame(f"{type(error).__name__}: {error}"[:200]) from None


def _said(error: Exception) -> str:
    return "".join(traceback.format_exception_only(error)).strip()[:200]


def _fit(what: str, make: Callable[..., Any], *parts: object) -> Any:
    """What comes of calling code that is not ours: users' constructors, validators, `__eq__` and `__hash__`."""
    try:
        return make(*parts)
    except BadFrame:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it raises, it means that the parts do not fit
        raise _Unfit(f"{what} cannot be made: {_said(error)}") from None


def _maker(kind: Kind) -> Callable[[list[Any]], object]:
    return lambda parts: _fit(kind.name, kind.build, *parts)


def _collection(make: Callable[[list[Any]], Collection[object]], parts: list[Any]) -> object:
    """A set of some sort. What differed over there may be equal here, but not if it is plain."""
    plain = LEAVES.issuperset(map(type, parts))
    found = make(parts) if plain else _fit("a set", make, parts)
    if len(found) != len(parts):
        raise (BadFrame if plain else _Unfit)("an item of a set is given twice")
    return found


def _dict(parts: list[Any]) -> object:
    keys, values = _shaped("dict", parts, list, list)
    if len(keys) != len(values):
        raise BadFrame("not as many values as keys")
    found = _fit("a dict", lambda: dict(zip(keys, values, strict=True)))
    if len(found) != len(keys):
        raise _Unfit("a key is given twice")
    return found


def _partial(parts: list[Any]) -> object:
    function, args, keywords = _shaped("partial function", parts, object, list, dict)
    if not callable(function) or not all(isinstance(key, str) for key in keywords):
        raise BadFrame("a malformed partial function")
    return partial(function, *args, **keywords)


def _shaped(what: str, parts: list[Any], *types: type) -> list[Any]:
    if len(parts) != len(types) or not all(map(isinstance, parts, types)):
        raise BadFrame(f"a malformed {what}")
    return parts


_SHAPES: Mapping[bytes, _Mark] = {
    TUPLE: _Mark(tuple),
    SET: _Mark(partial(_collection, set)),
    FROZENSET: _Mark(partial(_collection, frozenset)),
    DICT: _Mark(_dict),
    PARTIAL: _Mark(_partial),
}

_EXTENSIONS: Mapping[int, Callable[[_Reading, bytes], object]] = {
    INTEGER: _Reading.read_integer,
    SHAPE: _Reading.read_shape,
    KIND: _Reading.read_kind,
    DATETIME: _Reading.read_datetime,
    FUNCTION: _Reading.read_function,
    SEALED: _Reading.read_sealed,
}
