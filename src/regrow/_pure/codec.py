"""Terms as bytes: what may cross nodes, and nothing else.

msgpack, with two ways to say what it has no words for. An extension stands for a value by itself: a large
integer, a datetime, a function. And each array says first what it is: a list, a tuple, a set, an object of a named
kind. So a term is one msgpack document. msgpack reads it, and what is nested in it is made into what it stands for
from the outside in; most of a message is plain, and done with one look at its types.

Which classes may cross is a table that the caller brings; a name that is not in it is refused, and nothing is
ever imported because of what a frame says. What a frame announces is checked before room is made for it. The sender
keeps to the same limits: what one node lets out, another of its version lets in.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from .extensions import (
    DATETIME,
    FUNCTION,
    INTEGER,
    PID,
    REFERENCE,
    data_of_integer,
    data_of_pid,
    data_of_reference,
    read_datetime,
    read_integer,
    read_pid,
    read_reference,
)
from .frames import FRAME_BYTES_CAP, FRAME_BYTES_MAX, LENGTH_BYTES, TICK, FrameReader, framed
from .ids import Pid, Reference
from .lowering import (
    CONTAINER_ITEMS,
    DEPTH_MAX,
    DICT,
    FRAME_ITEMS_MAX,
    FROZENSET,
    ITEMS_MAX,
    LEAVES,
    LEAVES_LOOKED_AT,
    LIST,
    PARTIAL,
    SEALED,
    SET,
    TUPLE,
    Lowering,
    Means,
)
from .vocabulary import (
    BadFrame,
    Kind,
    LowerNested,
    NotPortable,
    ReadNested,
    Sealed,
    SealsItself,
    Unreadable,
    Vocabulary,
)

__all__ = [
    "CONTAINER_ITEMS",
    "DEPTH_MAX",
    "FRAME_BYTES_CAP",
    "FRAME_BYTES_MAX",
    "FRAME_ITEMS_MAX",
    "ITEMS_MAX",
    "KEPT_MAX",
    "LEAVES",
    "LENGTH_BYTES",
    "LIST",
    "LowerNested",
    "TICK",
    "BadFrame",
    "Codec",
    "FrameReader",
    "Kind",
    "NotPortable",
    "ReadNested",
    "Sealed",
    "SealsItself",
    "Unreadable",
    "Vocabulary",
]

SCAN_BYTES_MIN = 1024  # what a smaller frame can announce and not hold is little: a thousand lists of a thousand
KEPT_MAX = 1024  # of pids, of which the same few cross again and again, and of references that are to come back
COUNT_BYTES_MIN = FRAME_ITEMS_MAX // (1 + CONTAINER_ITEMS)  # a smaller frame has no room for too many items

# msgpack brings no types; these are all that is used of it.
_msgpack: Any = msgpack
_Ext: Any = _msgpack.ExtType
_extension: Callable[[tuple[int, bytes]], Any] = partial(tuple.__new__, _Ext)  # pyright: ignore  # looks at nothing
_unpackb: Callable[..., Any] = _msgpack.unpackb


class Codec:
    """Turns terms into frames and back. For one thread."""

    def __init__(self, vocabulary: Vocabulary, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        if not 0 < frame_bytes_max <= FRAME_BYTES_CAP:
            raise ValueError(f"a frame may be limited to at most {FRAME_BYTES_CAP} bytes, not {frame_bytes_max}")
        self.frame_bytes_max: Final = frame_bytes_max
        self._vocabulary: Final = vocabulary
        self._extension_of_pid = lru_cache(KEPT_MAX)(_extension_of_pid)
        self._references: dict[bytes, Reference] = {}  # that were sent: most come back, once
        self._read_pid = lru_cache(KEPT_MAX)(read_pid)
        packer: Any = _msgpack.Packer(default=self._extension_of)
        self._pack: Callable[[object], bytes] = packer.pack
        self._means: Final = Means(vocabulary, _Ext)
        self._lower_frequent = vocabulary.lower_frequent
        self._read_frequent = vocabulary.read_frequent
        # Nothing in a small frame is as large as what is limited; this is `_unpack` without that.
        self._unpack_small = partial(
            _unpackb, object_pairs_hook=tuple, ext_hook=self._read_extension, strict_map_key=False
        )

    def encode(self, term: object) -> bytes:
        """One frame, its length in front. Raises `NotPortable`; also for what is larger than a frame may be."""
        try:
            lowered = self._lower_frequent(term, self._lower_nested)
            body = self._pack(Lowering(self._means).lower(term, 1) if lowered is None else lowered)
        except (NotPortable, UnicodeEncodeError) as error:
            # Again, looking at each leaf: raises, with the place.
            Lowering(self._means, LEAVES_LOOKED_AT).lower(term, 1)
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
        try:
            if len(body) > SCAN_BYTES_MIN:
                _scan(body)
                found = _unpack(body, tuple, self._read_extension)
            else:
                found = self._unpack_small(body)
            term = self._read_frequent(found, self._read_nested)
            return _Reading(self._vocabulary).term(found) if term is None else term
        except BadFrame:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            raise BadFrame(f"{type(error).__name__}: {error}"[:200]) from None

    # -- for what is said all the time

    def _lower_nested(self, value: object, depth: int, around: int) -> Any:
        return Lowering(self._means, around=around).lower(value, depth)

    def _read_nested(self, found: Any, depth: int) -> object:
        return _Reading(self._vocabulary).nested(found, depth)

    # -- asked by msgpack, as it comes to them

    def _extension_of(self, value: object) -> Any:
        """Of a leaf that it does not know, or finds too large: all other types are gone by then."""
        if type(value) is Pid:
            return self._extension_of_pid(value)
        if type(value) is Reference:
            data = data_of_reference(value)
            self._references[data] = value
            if len(self._references) > KEPT_MAX:
                del self._references[next(iter(self._references))]
            return _extension((REFERENCE, data))
        assert isinstance(value, int), "only plain data is packed"
        return _extension((INTEGER, data_of_integer(value)))

    def _read_extension(self, code: int, data: bytes) -> object:
        """The leaf that an extension stands for; others are left for later, as it depends on where they are."""
        if code == PID:
            return self._read_pid(data)
        if code == REFERENCE:
            return self._references.pop(data, None) or read_reference(data)
        return read_integer(data) if code == INTEGER else _Ext(code, data)


class _Unfit(BadFrame):
    """No rule is broken, but this node can't make anything of it. In a sealed part it ends there."""


class _Reading:
    """One frame, being made into the term it stands for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._in_seal = False

    def term(self, found: object) -> object:
        """What stands for what msgpack found, if that is not plain and stands for itself."""
        return found if type(found) in LEAVES else self.nested(found, 1)

    def nested(self, found: object, depth: int) -> object:
        """`depth` is how deep it is nested, if it is a container."""
        read = _READ.get(type(found))
        if read is None:
            raise BadFrame(f"a {type(found).__name__} where none can be")
        return read(self, found, depth)

    def read_array(self, items: list[Any], depth: int) -> object:
        mark = items[0] if items else None
        if type(mark) is int and mark == SEALED:
            return self._read_sealed(items, depth)
        if depth > DEPTH_MAX:
            raise BadFrame(f"nested more than {DEPTH_MAX} deep")
        if not LEAVES.issuperset(map(type, items)):
            for index, item in enumerate(items):
                if type(item) not in LEAVES:
                    items[index] = self.nested(item, depth + 1)  # in its place, so that it is not held twice
        if type(mark) is str:
            return self._object(mark, items)
        make = _SHAPES.get(mark) if type(mark) is int else None
        if make is None:
            raise BadFrame(f"an array that begins with {mark!r:.20}")
        return make(items[1:])

    def _object(self, name: str, items: list[Any]) -> object:
        kind = self._vocabulary.by_name.get(name)
        if kind is None:
            raise _Unfit(f"nothing portable here is called {name!r:.100}")
        return _fit(name, kind.build, *items[1:])

    def _read_sealed(self, items: list[Any], depth: int) -> object:
        if self._in_seal:
            raise BadFrame("a seal within a seal")
        if len(items) != 2:
            raise BadFrame("a malformed seal")
        content = items[1]
        self._in_seal = True
        try:
            return content if type(content) in LEAVES else self.nested(content, depth)
        except _Unfit as error:
            return Unreadable(str(error))
        finally:
            self._in_seal = False

    def read_map(self, pairs: tuple[tuple[Any, Any], ...], depth: int) -> object:
        if depth > DEPTH_MAX:
            raise BadFrame(f"nested more than {DEPTH_MAX} deep")
        found = {self._read_key(key): value for key, value in pairs}
        if len(found) != len(pairs):
            raise BadFrame("a key is given twice")
        if not LEAVES.issuperset(map(type, found.values())):
            for key, value in found.items():
                if type(value) not in LEAVES:
                    found[key] = self.nested(value, depth + 1)
        return found

    def _read_key(self, key: Any) -> object:
        if type(key) not in LEAVES:
            raise BadFrame("a key of a map that is not plain")
        return key

    def read_extension(self, found: Any, _depth: int) -> object:
        if found.code == FUNCTION:
            return self._read_function(found.data.decode())
        if found.code == DATETIME:
            return read_datetime(found.data)
        raise BadFrame(f"unknown extension type {found.code}")

    def _read_function(self, name: str) -> object:
        function = self._vocabulary.functions_by_name.get(name)
        if function is None:
            raise _Unfit(f"no portable function here is called {name!r:.100}")
        return function


_READ: Mapping[type, Callable[[_Reading, Any, int], object]] = {
    list: _Reading.read_array,
    tuple: _Reading.read_map,
    _Ext: _Reading.read_extension,
}


def _extension_of_pid(pid: Pid) -> Any:
    return _extension((PID, data_of_pid(pid)))


def _unpack(
    body: bytes,
    make_map: Callable[[Any], Any],
    make_extension: Callable[[int, bytes], Any] = _Ext,
    make_list: Callable[[Any], Any] | None = None,
) -> Any:
    """What msgpack finds; a map as its pairs, so that a key that is given twice is seen."""
    count_max = min(len(body), 1 + ITEMS_MAX)  # with its mark
    return _unpackb(
        body,
        list_hook=make_list,
        object_pairs_hook=make_map,
        ext_hook=make_extension,
        strict_map_key=False,
        max_array_len=count_max,
        max_map_len=count_max,
    )


def _scan(body: bytes) -> None:
    """Whether all is there that is announced, before room is made for it, and not too much of it for what it holds."""
    scanner: Any = _msgpack.Unpacker(max_buffer_size=len(body))
    scanner.feed(body)
    try:
        scanner.skip()
    except _msgpack.OutOfData as error:
        raise BadFrame(f"{type(error).__name__}: {error}"[:200]) from None
    if len(body) > COUNT_BYTES_MIN:
        items_left = FRAME_ITEMS_MAX

        def count(items: list[Any]) -> None:
            nonlocal items_left
            items_left -= CONTAINER_ITEMS + len(items) - 1  # without the mark
            if items_left < 0:
                raise BadFrame(f"more than {FRAME_ITEMS_MAX} items and containers")

        _unpack(body, count, make_list=count)


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


_SHAPES: Mapping[int, Callable[[list[Any]], object]] = {
    LIST: list,
    TUPLE: tuple,
    SET: partial(_collection, set),
    FROZENSET: partial(_collection, frozenset),
    DICT: _dict,
    PARTIAL: _partial,
}
