"""What `@portable` marks travels as what it was, where a node names its module; nothing else does."""

from __future__ import annotations

import enum
from functools import partial
from types import ModuleType
from typing import Any

import attrs
import pytest

from regrow import Node, NotInNode, NotPortable, check_portable, portable, self_pid
from regrow._pure.codec import BadFrame, Codec, Vocabulary
from regrow.portable import marked_in
from regrow.testing import MemoryNetwork
from tests.local import portable_kit as kit

MARKED = marked_in([kit])
CODEC = Codec(Vocabulary.of(MARKED.kinds, MARKED.functions, lambda value: value))


def there_and_back(term: object) -> Any:
    return CODEC.decode(CODEC.encode(term)[4:])


def module(**contents: Any) -> ModuleType:
    """A module that defines these."""
    made = ModuleType("made")
    for name, value in contents.items():
        value.__module__ = made.__name__
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "value",
    [
        kit.Job("a"),
        kit.Job("a", (1, [kit.Job("b")]), priority=3),
        kit.Order([1, 2], "3"),  # type: ignore[arg-type]
        kit.Coin(5, kept=True),
        kit.Colour.GREEN,
        kit.Colour.ALSO_RED,
        kit.Access.READ,
        kit.Access.READ | kit.Access.WRITE,
        kit.Access(0),
        {kit.Coin(1): {kit.Colour.RED}},
        kit.double,
        kit.triple,
    ],
    ids=str,
)
def test_what_is_marked_arrives_as_it_was(value: object) -> None:
    """Private, keyword-only and converted fields, aliases and combinations of members."""
    assert there_and_back(value) == value
    assert type(there_and_back(value)) is type(value)


def test_it_travels_under_its_qualified_name_or_a_stable_one() -> None:
    """A stable name outlives a move to another module."""
    names = {kind.name for kind in MARKED.kinds} | set(MARKED.functions)
    assert names == {
        *(f"{kit.__name__}.{name}" for name in ("Job", "Coin", "Colour", "Access", "double")),
        "kit.order",
        "kit.triple",
    }
    assert b"kit.order" in CODEC.encode(kit.Order([]))
    assert b"Order" not in CODEC.encode(kit.Order([]))


def test_a_function_travels_with_its_arguments() -> None:
    """As a job for another node; nothing of its code does."""
    job = there_and_back(partial(kit.double, number=4))
    assert job() == 8
    assert job.func is kit.double


@pytest.mark.parametrize(
    "value",
    [kit.Unmarked("a"), kit.Subclass("a"), kit.PlainSubclass([]), kit.unmarked, kit.Job, partial(kit.unmarked, 1)],
    ids=str,
)
def test_what_is_not_marked_does_not_travel(value: object) -> None:
    """A subclass needs a mark of its own; a class is not its objects."""
    with pytest.raises(NotPortable, match=r"(Unmarked|Subclass|unmarked|kit\.Job) can't leave this node"):
        CODEC.encode(value)


def test_the_mark_registers_nothing() -> None:
    """Only a node that names the module lets it through."""
    nobody = Codec(Vocabulary())
    with pytest.raises(NotPortable, match="not among those named as portable"):
        nobody.encode(kit.Job("a"))
    with pytest.raises(BadFrame, match=r"nothing portable here is called .*portable_kit\.Coin"):
        nobody.decode(CODEC.encode(kit.Coin(1))[4:])


def test_a_field_that_the_constructor_does_not_take_is_made_anew() -> None:
    """It is the object's own business, not its data."""
    job = kit.Job("a")
    object.__setattr__(job, "runs", 7)
    assert there_and_back(job).runs == 0


def test_validators_see_what_arrives() -> None:
    """A class has the last word on its objects, wherever they come from."""
    forged = object.__new__(kit.Coin)
    object.__setattr__(forged, "cents", -1)
    object.__setattr__(forged, "kept", False)
    with pytest.raises(BadFrame, match="ValueError: less than nothing"):
        there_and_back(forged)


def test_a_place_in_an_object_is_written_with_its_fields() -> None:
    """As one would write it in Python."""
    with pytest.raises(NotPortable, match=r"\(at name\[2\]\)"):
        CODEC.encode(kit.Job([0, 1, object()]))  # type: ignore[arg-type]
    with pytest.raises(NotPortable, match=r"\(at lines\[0\]\._steps\[1\]\)"):
        CODEC.encode(kit.Order([kit.Job("a", (1, object()))]))


def test_only_what_a_module_defines_itself_is_taken_from_it() -> None:
    """And a module that is named twice counts once."""
    other = ModuleType("other")
    vars(other).update(vars(kit), __name__="other")
    assert marked_in([other]) == marked_in([])
    assert len(marked_in([kit, kit]).kinds) == len(MARKED.kinds)


def test_a_mark_on_what_cannot_travel_is_an_error() -> None:
    """Found when the node starts, not when the first one is sent."""

    @portable
    class Plain:
        pass

    with pytest.raises(
        TypeError, match=r"Plain cannot be portable: it is no attrs class, dataclass, enum, behaviour or function"
    ):
        marked_in([module(Plain=Plain)])


def test_two_things_of_one_name_are_an_error() -> None:
    """One of them would arrive as the other."""

    @portable("same")
    def function() -> None: ...

    @portable("same")
    class Members(enum.Enum):
        ONE = 1

    with pytest.raises(ValueError, match="two portable things of the name same; the second is in made"):
        marked_in([module(function=function, Members=Members)])


def test_a_mark_keeps_what_it_marks() -> None:
    """It is the same function and the same class."""

    def function() -> None: ...

    @attrs.frozen
    class Thing:
        pass

    assert portable(function) is function
    assert portable("name")(Thing) is Thing


# -- asking beforehand


@pytest.mark.parametrize("name", [None, "a@localhost"])
async def test_one_can_ask_whether_something_could_cross_before_it_has_to(name: str | None) -> None:
    """On any node, also one without a name: what its modules mark, and plain data."""
    carrier = None if name is None else MemoryNetwork().of(name)
    async with Node(name, cookie="cookie", carrier=carrier, portable=[kit.__name__]):
        check_portable(partial(kit.double, 1))
        check_portable({"jobs": [kit.Job("a"), self_pid()]})
        check_portable(ValueError("as data"))
        with pytest.raises(NotPortable) as refused:
            check_portable({"jobs": [kit.Job("a"), kit.Job("b", (1, object()))]})
        assert refused.value.place == "['jobs'][1]._steps[1]"
        with pytest.raises(NotPortable, match="larger than a frame may be"):
            check_portable("a" * 2**20)


async def test_what_no_module_of_the_node_marks_could_not_cross() -> None:
    """The mark alone does nothing, here as on the wire."""
    async with Node():
        with pytest.raises(NotPortable, match="double can't leave this node"):
            check_portable(kit.double)


def test_without_a_node_nobody_can_say_what_could_cross() -> None:
    """It is for each node to say."""
    with pytest.raises(NotInNode):
        check_portable(1)
