"""What may cross between nodes, by name, and what is said when something may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import attrs


class NotPortable(TypeError):
    """The value can't leave this node: its type, or one inside of it, is not marked or not registered as portable.

    `what` says what is wrong, `place` where in the message: `['jobs'][2].owner`. It is also raised for what is too
    large or nested too deep.
    """

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(f"{what} (at {place.removeprefix('.')})" if place else what)
        self.what = what
        self.place = place

    def within(self, step: str) -> NotPortable:
        """The same, seen from one level further out."""
        return NotPortable(self.what, step + self.place)


class BadFrame(ValueError):
    """A peer sent what no well-behaved node sends; the connection is closed."""


@attrs.frozen
class Sealed:
    """A part of a term that is read by itself: what this node does not know in it arrives as `Unreadable`.

    The rest is unharmed. It breaks no rule to know more than the other node: only its version may differ. A seal
    within a seal is none.
    """

    content: object
    otherwise: Callable[[], str] | None = None
    """What is sent in its place if it is not portable; without this, that is an error of the sender."""


class SealsItself:
    """A term that seals what is the user's own in it, so that the rest arrives whatever that is."""

    __slots__ = ()


@attrs.frozen
class Unreadable:
    """What arrives in place of a sealed part that this node can't read, a kind it does not know for example."""

    why: str

    def __str__(self) -> str:
        return f"(unreadable: {self.why})"


@attrs.frozen
class Kind:
    """How objects of one class, and of no subclass, travel: as the name of the kind and a tuple of fields."""

    name: str
    cls: type
    take_apart: Callable[[Any], tuple[object, ...]]
    """May raise `NotPortable`."""
    build: Callable[..., object]
    """Gets the fields. Whatever it raises means that they do not fit."""
    fields: tuple[str, ...] = ()
    """Their names, for messages of errors."""

    def parts_of(self, value: object) -> tuple[object, ...]:
        """The fields of an object. Raises `NotPortable`."""
        try:
            return self.take_apart(value)
        except AttributeError as error:
            raise NotPortable(f"{self.name} without its field {error.name!r}") from None

    def step(self, index: int) -> str:
        """How the place of a field is written."""
        return f".{self.fields[index]}" if index < len(self.fields) else f"[{index}]"


LowerNested: TypeAlias = Callable[[object, int, int], Any]
"""Lowers a part that is so deep in a term, with so many items and containers around it. Raises `NotPortable`."""

ReadNested: TypeAlias = Callable[[Any, int], object]
"""Reads a part that is so deep in what msgpack has found. Raises `BadFrame`."""


@attrs.frozen
class Vocabulary:
    """What may cross, besides plain data: kinds of objects, and functions by name."""

    kinds: Mapping[type, Kind] = attrs.field(factory=dict[type, Kind])
    by_name: Mapping[str, Kind] = attrs.field(factory=dict[str, Kind])
    functions: Mapping[Callable[..., object], str] = attrs.field(factory=dict[Callable[..., object], str])
    functions_by_name: Mapping[str, Callable[..., object]] = attrs.field(factory=dict[str, Callable[..., object]])
    adapt: Callable[[object], object] = attrs.field(default=lambda value: value)
    """Turns a value of no known kind into one of a known kind, if it can; else returns it as it is."""
    lower_frequent: Callable[[object, LowerNested], list[Any] | None] = attrs.field(default=lambda _term, _lower: None)
    """For what is said all the time: what msgpack packs of it, if its form is to be seen at one look, else `None`.

    It is the same as what comes of its parts, one by one.
    """
    read_frequent: Callable[[Any, ReadNested], object | None] = attrs.field(default=lambda _found, _read: None)
    """The term that stands for what msgpack has found, likewise. What it has read a part of, it reads to the end."""

    @classmethod
    def of(
        cls,
        kinds: Iterable[Kind],
        functions: Mapping[str, Callable[..., object]],
        adapt: Callable[[object], object],
    ) -> Vocabulary:
        """A vocabulary of these kinds and named functions. Raises `ValueError` if a name is given twice."""
        kinds = tuple(kinds)
        names = Counter([*(kind.name for kind in kinds), *functions])
        twice = sorted(name for name, times in names.items() if times > 1)
        if twice:
            raise ValueError(f"portable names must be different: {', '.join(twice)}")
        return cls(
            {kind.cls: kind for kind in kinds},
            {kind.name: kind for kind in kinds},
            {function: name for name, function in functions.items()},
            dict(functions),
            adapt,
        )
