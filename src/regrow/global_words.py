"""What the name servers of two nodes say to each other, as it travels."""

from __future__ import annotations

from functools import partial
from typing import cast

import attrs

from ._pure.global_names import Drop, Echo, Entry, Lost, Meet, Probe, Put
from ._pure.ids import Pid
from ._pure.vocabulary import Unreadable
from .kinds import word
from .registry import Resolver


@attrs.frozen
class Register:
    """To the node of a process: register it."""

    name: str
    pid: Pid
    replace: bool
    several: bool
    resolve: Resolver | Unreadable | None


@attrs.frozen
class Unregister:
    """To the node of a process that has the name: free it."""

    name: str


def _is_stamp(value: object) -> bool:
    return isinstance(value, tuple) and [*map(type, cast("tuple[object, ...]", value))] == [int, str]


def _is_entry(entry: Entry) -> bool:
    return bool(entry.name) and all(map(_is_stamp, (entry.stamp, *entry.replaces)))


def _has_stamp(message: Drop | Lost) -> bool:
    return _is_stamp(message.stamp)


def _has_entries(meet: Meet) -> bool:
    return all(isinstance(entry, Entry) for entry in cast("tuple[object, ...]", meet.entries))


_word = partial(word, prefix="regrow.global")

KINDS = (
    _word(Entry, str, Pid, tuple, tuple, bool, valid=_is_entry),
    _word(Meet, tuple, valid=_has_entries),
    _word(Put, Entry),
    _word(Drop, str, tuple, valid=_has_stamp),
    _word(Lost, str, tuple, valid=_has_stamp),
    _word(Probe, int),
    _word(Echo, int),
    _word(Register, str, Pid, bool, bool, object, seal=4),
    _word(Unregister, str),
)
