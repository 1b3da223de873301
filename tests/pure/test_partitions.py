"""Where keys lead: whole numbers by themselves, everything else by a hash that never changes (PAR-002)."""

from __future__ import annotations

import enum
import math
from collections import Counter
from fractions import Fraction
from typing import Any

import attrs
import pytest

from regrow._pure.ids import Pid, Reference
from regrow._pure.partitions import partition_of


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Word(enum.StrEnum):
    USER = "user-1"


@attrs.frozen
class Account:
    number: int
    note: str = attrs.field(default="", eq=False)


@pytest.mark.parametrize(("key", "partition"), [(0, 0), (1, 1), (2, 2), (3, 0), (-1, 1), (-2, 2), (-3, 0), (10**30, 1)])
def test_a_whole_number_belongs_to_its_absolute_value_modulo_the_partitions(key: int, partition: int) -> None:
    """So numbers given out one after the other are spread evenly, and one can say beforehand where they go."""
    assert partition_of(key, 3) == partition


KNOWN: list[tuple[object, int]] = [
    ("user-1", 66),
    (b"x", 249),
    (None, 592),
    (1.5, 623),
    (("a", 1), 689),
    (Pid("a@h", 1, 0, 3), 39),
]


@pytest.mark.parametrize(("key", "partition"), KNOWN)
def test_other_keys_lead_to_the_same_partition_in_every_run_on_every_node(key: object, partition: int) -> None:
    """Written down here once and for all: what a partition has stored must be found there by the next version too."""
    assert partition_of(key, 1000) == partition


EQUAL: list[tuple[object, object]] = [
    (1, True),
    (0, -0.0),
    (7, 7.0),
    ((1, ("a",)), (True, ("a",))),
    ((2.0, "x"), (2, "x")),
    ("user-1", Word.USER),
    (Account(1, "a"), Account(1, "b")),
    (Reference("a@h", 1, (1, 2, 3)), Reference("a@h", 1, (1, 2, 3))),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_keys_belong_together(one: object, other: object) -> None:
    """As in a dict: who asks with one form must find what was put there with the other."""
    assert one == other
    assert [partition_of(one, n) for n in range(1, 50)] == [partition_of(other, n) for n in range(1, 50)]


DIFFERENT: list[tuple[object, object]] = [
    (("a", "bc"), ("ab", "c")),
    (("a",), "a"),
    ("a", b"a"),
    ("1", 1),
    (("1",), (1,)),
    ("None", None),
    ((), None),
    (((), ()), ((),)),
    (Colour.RED, Colour.GREEN),
    (Colour.RED, ("Colour", "RED")),
    (Account(1), Account(2)),
    (1.5, -1.5),
    ("\ud800", "\ud801"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_keys_that_are_not_equal_go_their_own_ways(one: object, other: object) -> None:
    """Two that only look alike are not lumped together."""
    assert partition_of(one, 2**63) != partition_of(other, 2**63)


@pytest.mark.parametrize("partitions", [1, 2, 3, 8, 100])
def test_keys_are_spread_over_all_partitions(partitions: int) -> None:
    """No partition has a tenth more or less than its share of many similar keys."""
    share = 4000
    counts = Counter(partition_of(f"user-{i}", partitions) for i in range(share * partitions))
    assert set(counts) == set(range(partitions))
    assert all(0.9 * share < count < 1.1 * share for count in counts.values())


@pytest.mark.parametrize("key", [[1], {"a": 1}, {1}, object(), Fraction(1, 2), 1j, ("a", [1]), Account])
def test_a_key_without_a_lasting_hash_is_refused(key: Any) -> None:
    """Its `hash` or `repr` may be another in the next run: it would lead elsewhere then."""
    with pytest.raises(TypeError, match="a partition has no key such as"):
        partition_of(key, 3)


@pytest.mark.parametrize("key", [math.inf, -math.inf, math.nan])
def test_numbers_that_are_none_have_a_place_as_well(key: float) -> None:
    """They are keys like others, if odd ones."""
    assert partition_of(key, 3) == partition_of(key, 3) < 3
