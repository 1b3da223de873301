"""What is read here, and what an expression gives, in the terms of JSON."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping, Set
from datetime import date
from typing import Any, TypeAlias, cast

import attrs

from ..errors import short

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

DEPTH_MAX = 50  # what is nested deeper, in a circle perhaps, is printed
REPR_MAX = 100_000


def as_json(value: object, depth: int = DEPTH_MAX) -> Json:
    """The value as JSON: classes of attrs and dataclasses as objects, sets as lists, what JSON has no form for as
    it prints (a date in ISO's form)."""
    match value:
        case enum.Enum():
            return as_json(cast(object, value.value), depth)
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case date():
            return value.isoformat()
        case _ if depth == 0:
            return short(value, REPR_MAX)
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {_key(key): as_json(each, depth - 1) for key, each in items}
        case list() | tuple() | Set():
            return [as_json(each, depth - 1) for each in cast("list[object]", value)]
        case _:
            return _object(value, depth)


def _key(key: object) -> str:
    return key if isinstance(key, str) else short(key, REPR_MAX)


def _object(value: Any, depth: int) -> Json:
    cls = cast("type[Any]", value.__class__)
    fields: tuple[Any, ...] = ()
    if cls.__repr__ is cls.__str__:  # a value with one printed form, such as a pid
        return short(value, REPR_MAX)
    if attrs.has(cls):
        fields = attrs.fields(cls)
    elif dataclasses.is_dataclass(cls):
        fields = dataclasses.fields(cls)
    if not fields:
        return short(value, REPR_MAX)
    return {field.name: as_json(getattr(value, field.name, None), depth - 1) for field in fields}
