"""The state of a server: its attributes, read, replaced, copied and printed."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs
import pytest

from regrow.status import ITEMS_PRINTED, PRINTED_MAX, attributes_of, isolated, printed, replace_attributes

from .process_kit import Broken


class Plain:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


@attrs.define
class Slotted:
    a: int = 1


@attrs.define
class Derived(Slotted):
    b: str = "two"


@attrs.frozen
class Frozen:
    a: int = 1


class Single:
    __slots__ = "only"


def test_attributes_are_seen_wherever_they_are_kept() -> None:
    """In the object's dictionary, in slots, in those of a base; what has none has none."""
    assert attributes_of(Plain(value=3)) == {"value": 3}
    assert attributes_of(Derived()) == {"a": 1, "b": "two"}
    assert attributes_of(Single()) == {}
    assert attributes_of(None) == {}


@pytest.mark.parametrize("server", [Plain(a=1, b=2), Derived(), Frozen()], ids=["plain", "slots", "frozen"])
def test_attributes_are_replaced_wherever_they_are_kept(server: object) -> None:
    """All of them: what is not among the new ones is gone."""
    replace_attributes(server, {"a": 5})
    assert attributes_of(server) == {"a": 5}


@pytest.mark.parametrize("new", [{"a": 5, "c": 1}, {"a": 5, 7: 1}])
def test_what_cannot_be_replaced_whole_is_not_replaced_at_all(new: dict[Any, Any]) -> None:
    """An attribute that the object cannot have leaves the others as they were."""
    server = Derived()
    with pytest.raises((AttributeError, TypeError)):
        replace_attributes(server, new)
    assert server == Derived()


def test_containers_are_copied_however_deep_and_other_objects_are_not() -> None:
    """Whoever changes what they got changes nothing of the server's; and no code of an object runs."""

    class Own(list[int]):
        """Of the user's, and so the user's business."""

    inner, thing, own = [1], Plain(), Own([1])
    value = {"list": [inner, {"deep": deque([inner], maxlen=3)}], "tuple": (inner, {2}), "thing": thing, "own": own}
    copied = isolated(value)
    assert copied == value
    assert copied["thing"] is thing
    assert copied["own"] is own
    assert copied["list"][1]["deep"].maxlen == 3
    copied["list"][0].append(2)
    copied["tuple"][1].add(3)
    copied["list"][1]["deep"].append(4)
    assert inner == [1]
    assert value["tuple"][1] == {2}  # type: ignore[index]
    assert len(value["list"][1]["deep"]) == 1  # type: ignore[index]
    assert copied["list"][0] is copied["tuple"][0]


def test_what_goes_round_in_circles_is_copied_too() -> None:
    """Also through a tuple; and what is nested too deep for a copy is shared."""
    circle: list[Any] = [1]
    circle.append((circle, {"again": circle}))
    copied = isolated(circle)
    assert copied is not circle
    assert copied[1][1]["again"] is copied
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert isolated(deep) is not deep
    while deep:  # bit by bit: it is too deep to be thrown away at once
        deep = deep.pop()


def test_what_is_printed_is_cut_to_size_whatever_it_is() -> None:
    """Of a large container only the beginning is looked at; what cannot be printed is named by its class."""

    class Hostile:
        def __repr__(self) -> str:
            raise Broken

    assert printed([1, "a"]) == "[1, 'a']"
    assert "whose repr raised Broken" in printed(Hostile())
    assert len(printed("x" * 10 * PRINTED_MAX)) == PRINTED_MAX
    many = ITEMS_PRINTED + 5
    for large in (range(many), dict.fromkeys(range(many)), set(range(many)), deque(range(many), maxlen=many)):
        container = list(large) if isinstance(large, range) else large
        assert printed(container).endswith(" and 5 more")
