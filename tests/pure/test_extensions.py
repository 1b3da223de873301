"""Pids and references as extensions: they arrive as they were sent, and no others leave or arrive."""

from __future__ import annotations

from typing import Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow._pure.codec import KEPT_MAX, BadFrame, Codec, NotPortable, Sealed, Vocabulary
from regrow._pure.ids import Pid, Reference

CODEC = Codec(Vocabulary())
NUMBERS = st.integers(0, 2**32 - 1)
NODES = st.text(st.characters(codec="utf-8"), max_size=63)  # as many characters as certainly fit
PIDS = st.builds(Pid, NODES, NUMBERS, NUMBERS, NUMBERS)
REFERENCES = st.builds(Reference, NODES, NUMBERS, st.tuples(NUMBERS, NUMBERS, NUMBERS))


@given(PIDS | REFERENCES)
def test_a_pid_or_reference_arrives_as_it_was_sent(identity: object) -> None:
    """By itself, as an item, as a key of a dict."""
    for term in (identity, [identity, identity], {identity: identity}):
        for _ in range(2):  # what becomes of a pid is kept
            assert CODEC.decode(CODEC.encode(term)[4:]) == term


def test_a_reference_that_comes_back_is_the_one_that_was_sent() -> None:
    """As that of a call does with the reply: it need not be made again. Of those that do not, few are kept."""
    sent = [Reference("a@h", 7, (number, 0, 0)) for number in range(2 * KEPT_MAX)]
    frames = [CODEC.encode(reference)[4:] for reference in sent]
    again = [*map(CODEC.decode, frames)]
    assert again == sent
    assert [mine is back for mine, back in zip(sent, again, strict=True)] == [False] * KEPT_MAX + [True] * KEPT_MAX
    assert [*map(CODEC.decode, frames)] == sent


MALFORMED = [
    Pid("a@h", -1, 0, 0),
    Pid("a@h", 2**32, 0, 0),
    Pid("a@h", 1, 0, cast(int, "7")),
    Pid(cast(str, 1), 1, 0, 0),
    Pid("\ud800@h", 1, 0, 0),
    Pid("a" * 256, 1, 0, 0),
    Reference("a@h", 1, cast(Any, (1, 2))),
    Reference("a@h", 1, (1, 2, 2**32)),
    Reference("a" * 256, 1, (1, 2, 3)),
]


@pytest.mark.parametrize("identity", MALFORMED, ids=[f"{type(each).__name__}{i}" for i, each in enumerate(MALFORMED)])
def test_one_that_no_node_has_made_is_refused_by_the_sender(identity: object) -> None:
    """With its place, as anything else; or what is to be said instead is said."""
    with pytest.raises(NotPortable, match=r"^a malformed (Pid|Reference) \(at \[0\]\)$"):
        CODEC.encode([identity])
    assert CODEC.decode(CODEC.encode(Sealed([identity], lambda: "somebody"))[4:]) == "somebody"


@pytest.mark.parametrize(
    ("code", "data"),
    [(3, bytes(11)), (3, bytes(12 + 256)), (3, bytes(12) + b"\xff"), (4, bytes(15)), (4, bytes(16 + 256))],
)
def test_one_of_the_wrong_make_is_a_bad_frame(code: int, data: bytes) -> None:
    """Also in a seal: it is no question of versions."""
    for term in (msgpack.ExtType(code, data), [6, msgpack.ExtType(code, data)]):
        with pytest.raises(BadFrame, match=r"malformed pid or reference|codec can't decode"):
            CODEC.decode(msgpack.packb(term))
