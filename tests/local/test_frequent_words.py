"""What is said all the time, at one look: the same to the byte, and refused for the same reason, as part by part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product, starmap
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from terms import ATOMS, shape

from regrow import Pid, Reference
from regrow._pure.codec import (
    CONTAINER_ITEMS,
    DEPTH_MAX,
    FRAME_ITEMS_MAX,
    ITEMS_MAX,
    BadFrame,
    Codec,
    NotPortable,
    Sealed,
    Vocabulary,
)
from regrow.messages import Cast, Deliver, Down, Request
from regrow.portable import marked_in
from regrow.reasons import Kill
from regrow.signals import Send
from regrow.system_words import Suspend, SystemAsk
from regrow.wire import vocabulary
from tests.local import portable_kit as kit

PID, OTHER = Pid("ann@localhost", 1, 0, 7), Pid("ben@localhost", 2, 0, 8)
REF = Reference("ann@localhost", 7, (1, 2, 3))
WORDS = vocabulary(None, marked_in([kit]))
CODEC = Codec(WORDS)
PART_BY_PART = Codec(Vocabulary.of(WORDS.kinds.values(), WORDS.functions_by_name, WORDS.adapt))


def outcome(step: Callable[[Any], object], term: object) -> object:
    """What comes of it; nothing, if that is a bad frame, or why it is refused."""
    try:
        return shape(step(term))
    except BadFrame:
        return BadFrame
    except NotPortable as error:
        return str(error)


ODD: list[Any] = [None, True, 0, 1.5, -1.0, math.nan, "text", "\ud800", (1,), [2], {}, 2**70, Kill(), PID, object()]


def changed(parts: tuple[Any, ...], others: list[Any]) -> Iterator[tuple[Any, ...]]:
    """As they are, and with each of them replaced by each of the others."""
    yield parts
    for at, other in product(range(len(parts)), others):
        yield *parts[:at], other, *parts[at + 1 :]


NESTED: list[Any] = [
    *([1], (1, 2), {"a": [1, {2}]}, kit.Coin(3), [kit.Coin(3), object()], Sealed(1), ValueError("x"), [], [[]]),
    *(
        [0] * ITEMS_MAX,
        [0] * (ITEMS_MAX + 1),
        Down(REF, PID, Kill()),
        Deliver(REF, [1], 1.0),
        SystemAsk(REF, Suspend()),
    ),
]


def deep(depth: int, around: list[Any]) -> list[Any]:
    """A list in a list in a list; around it is what each of them begins with."""
    found = around
    for _ in range(depth - 1):
        found = [*around, found]
    return found


DEPTHS = range(DEPTH_MAX - 5, DEPTH_MAX + 2)
DEEP = [deep(depth, []) for depth in DEPTHS]


def frequent() -> Iterator[Send]:
    arguments = [(part,) for part in [*ODD, *NESTED]] + [(), (1, 2), (1, kit.Coin(3), 2)]
    arguments += [
        (0,) * ITEMS_MAX,
        (0,) * (ITEMS_MAX + 1),
        *((deep(depth, []),) for depth in range(DEPTH_MAX - 5, DEPTH_MAX + 2)),
    ]
    for args, kwargs in product(arguments, ({}, {"key": 1}, {"key": [kit.Coin(3)]}, {"key": object()}, {1: 2})):
        yield Send(PID, "name", Cast("add", args, kwargs))
        yield Send(PID, "name", Request(REF, "add", args, kwargs, 5.0, False))
    for method in ODD:
        yield Send(PID, "name", Cast(method, (1,), {}))
    for reference, method, left_s, nested in changed((REF, "add", 5.0, False), ODD):
        yield Send(PID, OTHER, Request(reference, method, (1,), {}, left_s, nested))
    messages = [
        *ODD,
        *NESTED,
        *DEEP,
        *((part,) for part in DEEP),
        Cast("add", (1,), {}),
        Request(REF, "add", (1,), {}),
    ]
    yield from starmap(Send, changed((PID, REF, "reply"), messages))


def test_the_limit_of_a_frame_is_the_same_at_one_look() -> None:
    """Each item counts, and what is around the user's own: else the receiver would take a frame for a bad one."""
    outcomes = list[bool]()
    for missing in range(15, 40):
        parts: list[list[int]] = [[0] * ITEMS_MAX, [0] * ITEMS_MAX, [0] * ITEMS_MAX]
        parts.append([0] * (FRAME_ITEMS_MAX - 3 * ITEMS_MAX - 4 * CONTAINER_ITEMS - missing))
        for message in (parts, Cast("put", tuple(parts), {}), Request(REF, "add", tuple(parts), {})):
            outcomes.append(refused := outcome(CODEC.encode, Send(PID, REF, message)).__class__ is str)
            assert refused is (outcome(PART_BY_PART.encode, Send(PID, REF, message)).__class__ is str)
    assert {*outcomes} == {True, False}


def test_a_frequent_word_is_written_at_one_look_as_part_by_part() -> None:
    """To the byte; and what may not leave is refused, for the same reason."""
    for signal in frequent():
        assert outcome(CODEC.encode, signal) == outcome(PART_BY_PART.encode, signal)


EXT = msgpack.ExtType
FOUND: list[Any] = [
    *(None, True, 0, 1.5, -1.0, math.nan, "text", 2**64 - 1, [], [0], [0, 1, "x", None], [0, 1, [0]], [False, 1]),
    *([1, 2], [6, [0, 1]], [6, 5], {"key": 1}, ["regrow.Normal"], EXT(3, bytes(12) + b"a@h"), EXT(3, b"")),
    *(EXT(4, bytes(16)), EXT(0, bytes(9)), EXT(2, b"kit"), EXT(9, b""), EXT(1, b"\x002024-01-01T00:00:00")),
    *([6, [0, [0, 1]]], [6, ["nobody"]], [0, ["nobody"]], [6, [6, 1]], [1, [0, 5], {"k": 1}], [1, [0], {1: 2}]),
    *([6, [1, [0, 5], {"k": 2}]], [6, [1, [0, ["nobody"]], {}]], [1, [0]], [2, 1], [3], [4, [0], [0]], [7]),
    *(["regrow.Cast", "put", [0]], ["regrow.Exit", EXT(3, bytes(12)), ["regrow.Kill"]], [6, ["regrow.Kill"]]),
]


def received() -> Iterator[list[Any]]:
    address, reference = EXT(3, bytes(12)), EXT(4, bytes(16))
    messages = [
        *changed(("regrow.Cast", "add", [0, 1]), FOUND),
        *changed(("regrow.Request", reference, "add", [0, 1], 5.0, False), FOUND),
    ]
    for message in [*messages, *(message[:-1] for message in messages), *((*message, 1) for message in messages)]:
        yield ["regrow.Send", address, "name", message]
    for depth in range(DEPTH_MAX - 5, DEPTH_MAX + 2):
        arguments = deep(depth, [0])
        for message in (
            arguments,
            ["regrow.Cast", "add", arguments],
            [6, arguments],
            ["regrow.Cast", "add", [6, arguments]],
        ):
            yield ["regrow.Send", address, "name", message]
        yield ["regrow.Send", address, "name", ["regrow.Request", reference, "add", arguments, 5.0, False]]
    for parts in changed((address, "name", "message"), FOUND):
        yield ["regrow.Send", *parts]
        yield ["regrow.Send", *parts[:-1]]
        yield ["regrow.Send", *parts, None]


def test_a_frequent_word_is_read_at_one_look_as_part_by_part() -> None:
    """Whatever is wrong with it: what the sender's look lets out is what the receiver's lets in."""
    for body in map(msgpack.packb, received()):
        assert outcome(CODEC.decode, body) == outcome(PART_BY_PART.decode, body)


SIGNALS = st.builds(
    Send,
    st.just(PID),
    st.sampled_from([PID, REF, "name"]),
    ATOMS
    | st.builds(Cast, st.text("a"), st.tuples(ATOMS), st.just({}))
    | st.builds(Request, st.just(REF), st.text("a"), st.tuples(ATOMS), st.just({}), st.floats(0), st.booleans()),
)


@given(SIGNALS, st.data())
def test_a_mutated_signal_is_read_at_one_look_as_part_by_part(signal: Send, data: st.DataObject) -> None:
    """Whichever byte is another one."""
    body = bytearray(CODEC.encode(signal)[4:])
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(CODEC.decode, bytes(body)) == outcome(PART_BY_PART.decode, bytes(body))
