"""A module of portable things, as a user would write it."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import attrs

from regrow import portable


@portable
@attrs.frozen
class Job:
    name: str
    _steps: tuple[object, ...] = ()
    priority: int = attrs.field(default=0, kw_only=True)
    runs: int = attrs.field(default=0, init=False)


@attrs.define
@portable("kit.order")
class Order:
    lines: list[object]
    total: int = attrs.field(converter=int, default=0)


@portable
@dataclasses.dataclass(frozen=True, slots=True)
class Coin:
    cents: int
    kept: bool = dataclasses.field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.cents < 0:
            raise ValueError("less than nothing")


@portable
class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"
    ALSO_RED = RED


@portable
class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


@portable
def double(number: int) -> int:
    return 2 * number


@portable("kit.triple")
async def triple(number: int) -> int:
    return 3 * number


@attrs.frozen
class Unmarked:
    name: str


@attrs.frozen
class Subclass(Job):
    """What is special about it would not arrive."""


class PlainSubclass(Order):
    """Nor that it is one."""


def unmarked(number: int) -> int:
    return number


ALIAS = Job
AGAIN = double
ANYTHING: Any = {"portable": portable}
