"""What of a user's own may cross nodes: types and functions marked `@portable`, in modules that a node names."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, TypeVar, cast, overload

import attrs

from ._pure.codec import Kind, NotPortable
from .refs import Behaviour

T = TypeVar("T", bound=Callable[..., Any])

_MARK = "__portable__"  # on the type or function; its value is the stable name, or None for the qualified one


@overload
def portable(marked: T, /) -> T: ...
@overload
def portable(name: str, /) -> Callable[[T], T]: ...
def portable(marked: Any, /) -> Any:
    """Mark an attrs class, a dataclass, an enum, a behaviour or a function as fit to cross nodes.

    The mark registers nothing: a node carries what is marked in the modules that `Node(portable=[...])` or the
    manifest of an application names. It travels under its module and name, or under a stable name that is given:
    `@portable("billing.invoice")`. Of an object those fields travel that its constructor takes, and it is made
    anew on the other node, validators and all. Of a behaviour the class itself travels, for a supervisor there to
    start it, and never an object. A subclass needs a mark of its own.
    """
    if isinstance(marked, str):
        return partial(_mark, name=marked)
    return _mark(marked)


def portable_name(function: Callable[..., object]) -> str:
    """What a marked function is called on every node. Raises `NotPortable` for any other."""
    if not isinstance(function, FunctionType) or _MARK not in vars(function):
        raise NotPortable(f"{function!r} is no function that is marked @portable")
    return _name(function)


def _mark(target: Any, *, name: str | None = None) -> Any:
    setattr(target, _MARK, name)
    return target


@attrs.frozen
class Marked:
    """What a node's modules have marked."""

    kinds: tuple[Kind, ...]
    functions: dict[str, FunctionType]
    behaviours: dict[str, type[Behaviour]] = attrs.field(factory=dict[str, type[Behaviour]])


def marked_in(modules: Iterable[ModuleType]) -> Marked:
    """Collect what the modules mark. Raises `TypeError` for a mark on what can't travel, `ValueError` if two marks
    give the same name."""
    kinds: dict[str, Kind] = {}
    functions: dict[str, FunctionType] = {}
    behaviours: dict[str, type[Behaviour]] = {}
    for module in dict.fromkeys(modules):
        for value in _marked_values(module):
            name = _name(value)
            if name in kinds or name in functions or name in behaviours:
                raise ValueError(f"two portable things of the name {name}; the second is in {module.__name__}")
            if isinstance(value, FunctionType):
                functions[name] = value
            elif issubclass(value, Behaviour):
                behaviours[name] = value  # the class itself, for others to start: its objects stay where they are
            else:
                kinds[name] = _kind(name, value)
    return Marked(tuple(kinds.values()), functions, behaviours)


def _marked_values(module: ModuleType) -> list[Any]:
    """In order of definition, each once, and only what the module itself defines."""
    mine = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    found = [value for value in mine if inspect.isclass(value) or isinstance(value, FunctionType)]
    return [value for value in dict.fromkeys(found) if _MARK in vars(value)]


def _name(marked: Any) -> str:
    stable = cast(object, vars(marked)[_MARK])
    return stable if isinstance(stable, str) else f"{marked.__module__}.{marked.__qualname__}"


def _kind(name: str, cls: Any) -> Kind:
    if issubclass(cls, enum.Flag):
        return Kind(name, cls, lambda member: (member.value,), cls, ("value",))  # a combination need not have a name
    if issubclass(cls, enum.Enum):
        return Kind(name, cls, lambda member: (member.name,), cls.__getitem__, ("name",))
    if attrs.has(cls):
        fields = [(field.name, field.alias or field.name) for field in attrs.fields(cls) if field.init]
    elif dataclasses.is_dataclass(cls):
        fields = [(field.name, field.name) for field in dataclasses.fields(cls) if field.init]
    else:
        raise TypeError(f"{name} cannot be portable: it is no attrs class, dataclass, enum, behaviour or function")
    return _kind_of_fields(name, cls, tuple(name for name, _ in fields), tuple(alias for _, alias in fields))


def _kind_of_fields(name: str, cls: Any, attributes: tuple[str, ...], parameters: tuple[str, ...]) -> Kind:
    def take_apart(value: object) -> tuple[object, ...]:
        return tuple([getattr(value, attribute) for attribute in attributes])

    def build(*values: object) -> object:
        return cls(**dict(zip(parameters, values, strict=True)))

    return Kind(name, cls, take_apart, build, attributes)
