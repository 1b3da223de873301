"""Terms as bytes: they arrive as they were sent, or are refused; and no frame does any harm."""

from __future__ import annotations

import tracemalloc
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from terms import ATOMS, shape, terms

from regrow._pure.codec import (
    DEPTH_MAX,
    FRAME_BYTES_CAP,
    FRAME_BYTES_MAX,
    FRAME_ITEMS_MAX,
    ITEMS_MAX,
    TICK,
    BadFrame,
    Codec,
    Kind,
    NotPortable,
    Sealed,
    Unreadable,
    Vocabulary,
)
from regrow._pure.ids import Pid, Reference

MEMORY_MAX = 16 * FRAME_BYTES_MAX  # what reading a frame of the usual size may take for a moment, at the very most

EXT = msgpack.ExtType
LIST, TUPLE, SET, FROZENSET, DICT, PARTIAL, SEALED = range(7)


@attrs.frozen
class Point:
    x: object
    y: object


@attrs.frozen
class Even:
    number: int

    def __attrs_post_init__(self) -> None:
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


class Grumpy:
    """A class whose objects refuse to be compared or put into sets."""

    def __hash__(self) -> int:
        raise RuntimeError("no hash for you")


def add(*numbers: int) -> int:
    return sum(numbers)


def kind(name: str, cls: Any) -> Kind:
    names = tuple(field.name for field in attrs.fields(cls))
    return Kind(name, cls, lambda value: tuple(getattr(value, name) for name in names), cls, names)


KINDS = (kind("point", Point), kind("even", Even), Kind("grumpy", Grumpy, lambda _: (), Grumpy))
CODEC = Codec(Vocabulary.of(KINDS, {"add": add}, lambda value: value))
STRANGER = Codec(Vocabulary())
"""Of a node that knows no kinds and no functions."""

OBJECTS = st.builds(Point, ATOMS, ATOMS) | st.builds(Even, st.integers().map(lambda n: 2 * n))
NUMBERS = st.integers(0, 2**32 - 1)
IDENTITIES = st.builds(Pid, st.text("ab@"), NUMBERS, NUMBERS, NUMBERS) | st.builds(
    Reference, st.text("ab@"), NUMBERS, st.tuples(NUMBERS, NUMBERS, NUMBERS)
)
TERMS = terms(ATOMS | OBJECTS | IDENTITIES | st.just(add) | st.builds(partial, st.just(add), st.integers()))


def body_of(term: object, codec: Codec = CODEC) -> bytes:
    return codec.encode(term)[len(TICK) :]


def there_and_back(term: object) -> Any:
    return CODEC.decode(body_of(term))


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    term: Any = 0
    for _ in range(depth):
        term = wrap(term)
    return term


# -- there and back


@given(TERMS)
@example([1, True, 1.0, "1", b"1", None])
@example([(), [], {}, set(), frozenset()])
@example([float("nan"), -0.0, float("inf"), 2**64, -(2**64), 0])
@example({(1, 2): {frozenset({(3,)})}, "plain": 1, None: [], 2**70: 2})
@example("\x00 \ud7ff \ue000 \U0010ffff é e\u0301")
def test_a_term_arrives_as_it_was_sent(term: object) -> None:
    """Of the same types, in the same order, NaN and all."""
    assert shape(there_and_back(term)) == shape(term)


@given(TERMS)
def test_a_sealed_term_arrives_as_it_was_sent(term: object) -> None:
    """The seal is gone by then; one within it has none of its own."""
    assert shape(there_and_back((1, Sealed([Sealed(term)])))) == shape((1, [term]))


@given(TERMS)
def test_a_frame_is_its_length_and_its_body(term: object) -> None:
    """Four bytes, the most significant first."""
    frame = CODEC.encode(term)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4 > 0


@pytest.mark.parametrize("bits", [0, 1, 7, 8, 63, 64, 65, 127, 128, 10_000])
def test_an_integer_may_have_any_size(bits: int) -> None:
    """On both sides of each power of two."""
    for number in (2**bits - 1, 2**bits, 2**bits + 1):
        assert there_and_back([number, -number]) == [number, -number]


def test_a_time_keeps_its_offset_and_not_the_name_of_its_zone() -> None:
    """The receiver may not have the zone; the moment is the same, and on which side of a change of clocks."""
    first = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    found = there_and_back([first, first.replace(fold=1)])
    assert [time.utcoffset() for time in found] == [timedelta(hours=2), timedelta(hours=1)]
    assert [time.tzinfo for time in found] == [timezone(timedelta(hours=2)), timezone(timedelta(hours=1))]


def test_a_function_arrives_as_the_function_of_that_name() -> None:
    """And with the arguments that were bound to it."""
    assert there_and_back(add) is add
    job = there_and_back(partial(partial(add, 1), 2))
    assert job(3) == 6
    assert shape(job) == shape(partial(add, 1, 2))


@pytest.mark.parametrize("wrap", [lambda t: [t], lambda t: (t,), lambda t: {0: t}, lambda t: Point(t, 0), Sealed])
def test_terms_may_be_nested_up_to_the_limit(wrap: Callable[[Any], Any]) -> None:
    """What the sender lets out the receiver lets in, at the very edge."""
    deepest = [nested(DEPTH_MAX - 2, lambda t: [t]), wrap(1)]
    there_and_back([deepest] if wrap is not Sealed else [Sealed(deepest)])
    there_and_back(nested(DEPTH_MAX, wrap) if wrap is not Sealed else Sealed(nested(DEPTH_MAX, lambda t: [t])))


def test_containers_may_be_as_large_as_the_limit() -> None:
    """Each kind of container counts its own items."""
    numbers = range(ITEMS_MAX)
    for container in (list, tuple, set, frozenset, dict.fromkeys):
        assert there_and_back(container(numbers)) == container(numbers)
    keys = [(number,) for number in range(ITEMS_MAX // 2)]
    assert there_and_back(dict.fromkeys(keys)) == dict.fromkeys(keys)


# -- what may not leave


def refusal(term: object) -> str:
    with pytest.raises(NotPortable) as refused:
        CODEC.encode(term)
    return str(refused.value)


class Text(str):
    """A subclass of what is portable."""


Pair = namedtuple("Pair", "a b")

UNPORTABLE = [
    object(),
    Text("x"),
    Pair(1, 2),
    OrderedDict(),
    bytearray(b"x"),
    memoryview(b"x"),
    date(2024, 1, 1),
    timedelta(1),
    1j,
    range(3),
    len,
    lambda: 0,
    Point,
    Grumpy.__hash__,
    Point(1, 2).__eq__,
    (n for n in ()),
    ...,
    ValueError("x"),
    msgpack.ExtType(3, b""),
    msgpack.Timestamp(0),
]


@pytest.mark.parametrize("value", UNPORTABLE, ids=[type(value).__name__ + str(i) for i, value in enumerate(UNPORTABLE)])
def test_anything_else_is_refused_by_the_sender(value: object) -> None:
    """By its exact type: what a subclass adds would be lost."""
    assert "can't leave this node: it is not @portable" in refusal(value)


@pytest.mark.parametrize(
    ("term", "place"),
    [
        ([0, object()], "[1]"),
        ((0, [1, {"jobs": object()}]), "[1][1]['jobs']"),
        ({3: Point(1, [object()])}, "[3].y[0]"),
        ({(1, 2): object()}, "[tuple]"),
        ({object(): 1}, "[object]"),
        ({2**90: object()}, "[int]"),
        ({"k" * 50: object()}, f"['{'k' * 40}']"),
        ([{1, object()}], "[0]{...}"),
        (partial(add, 1, object()), "args[1]"),
        (partial(add, a=object()), "keywords['a']"),
        (partial(len), "func"),
        (Sealed([object()]), "[0]"),
        (["fine", {"name": "\ud800"}], "[1]['name']"),
        (Sealed(("\ud800",)), "[0]"),
    ],
)
def test_a_refusal_says_what_and_where(term: object, place: str) -> None:
    """In a large message the one wrong thing is hard to find."""
    said = refusal(term)
    assert said.endswith(f" (at {place})")
    assert "builtins.object" in said or "builtin_function" in said or "surrogates not allowed" in said


def test_a_refusal_names_a_function_as_a_function() -> None:
    """Its type says little."""
    assert refusal(nested).startswith(f"{nested.__module__}.nested can't leave this node")


def test_an_object_that_lacks_a_field_is_refused() -> None:
    """It can't be taken apart; who made it half is told which."""
    assert refusal([Point.__new__(Point)]) == "point without its field 'x' (at [0])"


def test_what_is_nested_too_deep_is_refused() -> None:
    """Or holds itself."""
    for wrap in (lambda t: [t], lambda t: (t,), lambda t: {0: t}, lambda t: Point(t, 0)):
        assert f"nested more than {DEPTH_MAX} deep" in refusal(nested(DEPTH_MAX + 1, wrap))
    loop: list[Any] = []
    loop.append(loop)
    assert f"nested more than {DEPTH_MAX} deep" in refusal(loop)


def test_what_is_too_much_is_refused() -> None:
    """Of items, of bytes, and of what a few shared lists become when each of them is written out."""
    assert f"{ITEMS_MAX + 1} items in one container" in refusal([0] * (ITEMS_MAX + 1))
    assert f"more than {FRAME_ITEMS_MAX} items" in refusal([[0] * ITEMS_MAX] * 5)
    assert f"more than {FRAME_ITEMS_MAX} items" in refusal(nested(40, lambda t: [t, t]))
    assert f"larger than a frame may be ({FRAME_BYTES_MAX})" in refusal(b"x" * FRAME_BYTES_MAX)


@pytest.mark.parametrize("frame_bytes_max", [0, -1, FRAME_BYTES_CAP + 1])
def test_the_limit_of_a_frame_has_limits(frame_bytes_max: int) -> None:
    """A frame blocks everything else while it is read."""
    with pytest.raises(ValueError, match=f"at most {FRAME_BYTES_CAP} bytes"):
        Codec(Vocabulary(), frame_bytes_max)


def test_a_name_stands_for_one_thing() -> None:
    """Which of two it is nobody could tell."""
    twice = [*KINDS, kind("point", Even), kind("add", Even)]
    with pytest.raises(ValueError, match="must be different: add, point"):
        Vocabulary.of(twice, {"add": add}, lambda value: value)


# -- what does not fit the receiver


@pytest.mark.parametrize("term", [Point(1, 2), add, partial(add, 1), [{"deep": (Point(1, 2),)}]])
def test_what_is_unknown_makes_its_sealed_part_unreadable_and_nothing_else(term: object) -> None:
    """The other node may be of another version: that is no reason to lose the connection."""
    frame = body_of([1, Sealed(term), (2,), Sealed([3])])
    first, unreadable, second, third = STRANGER.decode(frame)  # type: ignore[misc]
    assert (first, second, third) == (1, (2,), [3])
    assert isinstance(unreadable, Unreadable)
    assert "portable" in unreadable.why
    with pytest.raises(BadFrame, match="portable"):
        STRANGER.decode(body_of(term))


SEAL = b"\x92" + msgpack.packb(SEALED)  # what it seals comes next


def unfit(name: str, *fields: object) -> bytes:
    """An object as another version would send it."""
    return msgpack.packb([name, *fields])


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (unfit("even", 3), "even cannot be made: ValueError: 3 is odd"),
        (unfit("even"), "even cannot be made: TypeError"),
        (unfit("point", 1, 2, 3), "point cannot be made: TypeError"),
        (unfit("nobody"), "nothing portable here is called 'nobody'"),
        (msgpack.packb([SET, ["x"]]), "called 'x'"),
        (msgpack.packb([SET, ["grumpy"]]), "RuntimeError: no hash for you"),
    ],
)
def test_fields_that_do_not_fit_are_unreadable(part: bytes, why: str) -> None:
    """Whatever the code that judges them raises."""
    sealed = b"\x93" + msgpack.packb(LIST) + SEAL + part + msgpack.packb("rest")
    found, rest = CODEC.decode(sealed)  # type: ignore[misc]
    assert isinstance(found, Unreadable)
    assert why in found.why
    assert rest == "rest"
    assert str(found) == f"(unreadable: {found.why})"
    with pytest.raises(BadFrame):
        CODEC.decode(part)


def test_a_seal_is_no_way_to_nest_deeper() -> None:
    """What is in it is as deep as if it were not sealed."""
    lists = DEPTH_MAX - 3  # around a list, which has a list
    inner = SEAL + msgpack.packb([LIST, [LIST]])
    assert repr(CODEC.decode(b"\x92\x00" * (lists + 1) + inner)).count("[") == DEPTH_MAX
    assert "nested more than" in bad(b"\x92\x00" * (lists + 2) + inner)


# -- what no well-behaved node sends


def bad(body: bytes, codec: Codec = CODEC) -> str:
    with pytest.raises(BadFrame) as refused:
        codec.decode(body)
    return str(refused.value)


STAMP = b"\xd6\xff" + bytes(4)  # msgpack's own extension, for moments
GOOD = body_of([1, "text", (2.5, {"a": {3}}), Point(2**70, None), Sealed(add)])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_term_or_a_bad_frame(body: bytes) -> None:
    """And nothing else, whatever msgpack makes of them."""
    decodes_or_is_bad(body)


@given(TERMS, st.data())
def test_a_mutated_frame_is_a_term_or_a_bad_frame(term: object, data: st.DataObject) -> None:
    """Bytes changed, lost, doubled or added."""
    body = body_of([term, Sealed(term)])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        until = data.draw(st.integers(at, min(len(body), at + 4)))
        body = body[:at] + data.draw(st.binary(max_size=4)) + body[until:]
    decodes_or_is_bad(body)


def decodes_or_is_bad(body: bytes) -> None:
    for codec in (CODEC, STRANGER):
        with suppress(BadFrame):
            codec.decode(body)


@given(TERMS)
def test_a_frame_that_is_cut_short_is_bad(term: object) -> None:
    """At every byte."""
    body = body_of([term])
    for length in range(len(body)):
        bad(body[:length])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", ""),
        (GOOD + b"\xc0", "extra data"),
        (b"\xc1", "FormatError"),
        (b"\xa2\xc3\x28", "codec can't decode"),
        (msgpack.packb(EXT(9, b"")), "unknown extension type 9"),
        (STAMP, "a Timestamp where none can be"),
        (b"\x92\x00" + STAMP, "a Timestamp where none can be"),
        (b"\x81\x01" + STAMP, "a Timestamp where none can be"),
        (b"\xc7\x00\xff", "ValueError"),
        (b"\x82\x01\x02\x01\x03", "a key is given twice"),
        (b"\x82\x01\x02\xc3\x03", "a key is given twice"),
        (b"\x81\x90\x01", "a key of a map that is not plain"),
        (b"\x81\x91\x01\x01", "a key of a map that is not plain"),
        (msgpack.packb([SET, 1, 1]), "an item of a set is given twice"),
        (msgpack.packb([SET, [LIST]]), "unhashable"),
        (msgpack.packb([FROZENSET, {}]), "unhashable"),
        (msgpack.packb([DICT, [LIST, 1, 1], [LIST, 2, 3]]), "a key is given twice"),
        (msgpack.packb([DICT, [LIST, 1], [LIST]]), "not as many values as keys"),
        (msgpack.packb([DICT, [LIST, [LIST]], [LIST, 1]]), "unhashable"),
        (msgpack.packb([DICT, 1, 2]), "a malformed dict"),
        (msgpack.packb([DICT]), "a malformed dict"),
        (msgpack.packb([PARTIAL, EXT(2, b"add"), [LIST], {1: 2}]), "a malformed partial function"),
        (msgpack.packb([PARTIAL, "add", [LIST], {}]), "a malformed partial function"),
        (msgpack.packb([PARTIAL, EXT(2, b"add")]), "a malformed partial function"),
        (msgpack.packb([7, 1]), "an array that begins with 7"),
        (msgpack.packb([]), "an array that begins with None"),
        (msgpack.packb([True, 1]), "an array that begins with True"),
        (msgpack.packb([1.0, 1]), "an array that begins with 1.0"),
        (msgpack.packb([[LIST], 1]), "an array that begins with ["),
        (msgpack.packb([EXT(2, b"add"), 1]), "an array that begins with "),
        (msgpack.packb(EXT(2, b"\xff")), "codec can't decode"),
        (msgpack.packb(EXT(1, b"")), "ValueError"),
        (msgpack.packb(EXT(1, b"\x022024-01-01T00:00:00")), "fold"),
        (msgpack.packb(EXT(1, b"\x002024-01-01")), "a malformed datetime"),
        (msgpack.packb(EXT(1, b"\x00yesterday")), "ValueError"),
        (msgpack.packb(EXT(2, b"os.system")), "no portable function here is called 'os.system'"),
        (msgpack.packb([SEALED]), "a malformed seal"),
        (msgpack.packb([SEALED, 1, 1]), "a malformed seal"),
        (SEAL + b"\x82\x01\x02\x01\x03", "a key is given twice"),
        (SEAL + SEAL + b"\x01", "a seal within a seal"),
        (b"\x92\x00" * (DEPTH_MAX + 1) + b"\x01", f"nested more than {DEPTH_MAX} deep"),
        (b"\x91" * 100_000 + b"\x01", "StackError"),
        (b"\x81\x01" * 900 + b"\x01", f"nested more than {DEPTH_MAX} deep"),
        (msgpack.packb([0] * (ITEMS_MAX + 2)), "max_array_len"),
        (msgpack.packb(dict.fromkeys(range(ITEMS_MAX + 2))), "max_map_len"),
    ],
)
def test_a_frame_that_breaks_a_rule_is_bad(body: bytes, why: str) -> None:
    """And says which, for the log; a seal protects nobody from that, other than from what is unknown."""
    assert why.lower() in bad(body).lower()


def test_a_frame_that_is_too_long_is_bad() -> None:
    """Even if it has got this far."""
    assert "101 bytes, more than 100" in bad(bytes(101), Codec(Vocabulary(), 100))


ARRAY = b"\xdc\xff\xff"  # announces 65,535 items
FORGERIES = {
    "more items than anybody has": b"\xdd\xff\xff\xff\xff",
    "a larger map than anybody has": b"\xdf\xff\xff\xff\xff",
    "a long text that is not there": b"\xdb\xff\xff\xff\xff",
    "long bytes that are not there": b"\xc6\xff\xff\xff\xff",
    "a long extension that is not there": b"\xc9\xff\xff\xff\xff\x01",
    "arrays in arrays": ARRAY * 300_000,
    "arrays in arrays, with some items": ARRAY * 1000 + bytes(900_000),
    "maps in maps": b"\xde\xff\xff" * 1000 + bytes(900_000),
    "arrays in arrays, in little": b"\xdc\x03\xff" * 341,
    "nothing but empty lists": b"\x9f" + (ARRAY + b"\x91\x00" * ITEMS_MAX) * 7,
    "nothing but empty maps": b"\x9f" + (ARRAY + b"\x80" * ITEMS_MAX) * 15,
    "nothing but empty sets": b"\x94" + (b"\xdc\xf0\x00" + b"\x91\x02" * 0xF000) * 4,
    "a sealed forgery": SEAL + ARRAY * 1000 + bytes(900_000),
    "seals in seals": SEAL * 500_000,
}


@pytest.mark.parametrize("body", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_frame_takes_little_memory(body: bytes) -> None:
    """What is announced and not there, or there and out of proportion, is not made room for."""
    assert len(body) <= FRAME_BYTES_MAX
    tracemalloc.start()
    try:
        bad(body)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()
