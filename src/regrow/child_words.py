"""What supervisors are told and tell of children, as it travels.

The class of a child travels by name, and only one that both nodes know: of the user's own those marked `@portable`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import partial
from types import NoneType
from typing import Any, Final, get_origin

import attrs

from ._pure.bounds import Bounded, DropWord, OnFullWord
from ._pure.child_spec import UNSET, ChildSpec, ChildType
from ._pure.codec import Kind
from ._pure.ids import Pid
from .behaviour import TypedChild
from .children import ChildCounts, ChildInfo, FailedToStartChild
from .dynamic_supervisor import DynamicSupervisor
from .kinds import kind, word
from .partition_supervisor import PartitionSupervisor
from .reasons import Reason
from .supervisor import Supervisor

BEHAVIOURS: Final[Mapping[str, Callable[..., object]]] = {
    f"regrow.{cls.__name__}": cls for cls in (Supervisor, DynamicSupervisor, PartitionSupervisor)
}
"""Those that every node knows, by the names under which they travel."""

_OPTIONS = [(field.name, field.alias or field.name) for field in attrs.fields(ChildSpec) if field.kw_only]


def _parts_of_spec(spec: ChildSpec) -> tuple[object, ...]:
    """What to start, and what else is said about it, as far as it is."""
    options = {alias: _plain(getattr(spec, name)) for name, alias in _OPTIONS}
    given = {alias: value for alias, value in options.items() if value is not UNSET}
    return (get_origin(spec.cls) or spec.cls, spec.args, dict(spec.kwargs), given)


def _plain(value: object) -> object:
    return value.value if isinstance(value, enum.StrEnum) else value


def _spec(
    build: Callable[..., ChildSpec], cls: object, args: object, kwargs: object, given: dict[str, Any]
) -> ChildSpec:
    return build(cls, args, kwargs, **given)


def _info(id: str, pid: Pid | None, type: str, restarting: bool) -> ChildInfo:
    return ChildInfo(id, pid, ChildType(type), restarting)


def _bounded(size: int, on_full: OnFullWord, drop: DropWord) -> Bounded:
    return Bounded(size, on_full=on_full, drop=drop)


KINDS: tuple[Kind, ...] = (
    kind(
        ChildInfo,
        ("id", "pid", "type", "restarting"),
        lambda info: (info.id, info.pid, info.type.value, info.restarting),
        _info,
        (str, (Pid, NoneType), str, bool),
    ),
    word(ChildCounts, int, int, int, int),
    word(FailedToStartChild, str, Reason),
    *(
        kind(cls, ("cls", "args", "kwargs", "given"), _parts_of_spec, partial(_spec, cls), (object, tuple, dict, dict))
        for cls in (ChildSpec, TypedChild)
    ),
    kind(
        Bounded,
        ("size", "on_full", "drop"),
        lambda bound: (bound.size, bound.on_full.value, bound.drop.value),
        _bounded,
        (int, str, str),
    ),
)
