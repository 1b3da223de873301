"""How much a mailbox may hold, and what becomes of messages that find it full."""

from __future__ import annotations

import enum
from typing import Any, Literal, TypeAlias

import attrs


class OnFull(enum.StrEnum):
    """What a full mailbox does to a call, and to a `send_wait`: to what somebody waits for."""

    FAIL = "fail"
    """It fails at once with `MailboxFull`."""
    WAIT = "wait"
    """It waits for room, in the order of arrival, until its own time is up."""


class Drop(enum.StrEnum):
    """Which message is dropped when one that nobody waits for, a cast or what `send` sent, finds the mailbox full."""

    NEWEST = "newest"
    """The one that comes."""
    OLDEST = "oldest"
    """The oldest of its kind in the mailbox, in whose place the new one is taken."""


OnFullWord: TypeAlias = Literal["fail", "wait"]
DropWord: TypeAlias = Literal["newest", "oldest"]


def _as_on_full(word: OnFull | OnFullWord) -> OnFull:
    return OnFull(word)


def _as_drop(word: Drop | DropWord) -> Drop:
    return Drop(word)


def _check_size(_instance: object, _attribute: object, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"the size of a mailbox is a whole number of at least 1, not {value!r}")


@attrs.frozen
class Bounded:
    """A bound for a mailbox: so many messages of users, and what becomes of those for which there is no room.

    Calls, casts and what `send` sent count; exit signals, `Exit`, `Down`, replies and system messages neither count nor
    are ever refused. Raises `ValueError` for a size below 1, and for a word that is none.
    """

    size: int = attrs.field(validator=_check_size)
    on_full: OnFull = attrs.field(default=OnFull.FAIL, converter=_as_on_full, kw_only=True)
    drop: Drop = attrs.field(default=Drop.NEWEST, converter=_as_drop, kw_only=True)


class Lane(enum.Enum):
    """What a bound may do to a message that lies in a mailbox."""

    SYSTEM = "system"
    """Nothing: it does not even count."""
    AWAITED = "awaited"
    """It counts, and is not dropped: its sender waits for the answer, or was told that it is there."""
    PLAIN = "plain"
    """It counts, and may be dropped."""


class Fate(enum.Enum):
    """What becomes of a message that arrives."""

    ENTERS = "enters"
    """There is room for it."""
    FAILS = "fails"
    """Its sender is told so at once."""
    WAITS = "waits"
    """It gets in when there is room."""
    REPLACES = "replaces"
    """The oldest that may be dropped makes room for it."""
    DROPPED = "dropped"
    """It is gone."""


def fate_of(lane: Lane, bound: Bounded, held: int, *, replaceable: bool) -> Fate:
    """What becomes of a message of this lane where so many are held that count.

    `replaceable` says whether one of those may be dropped for it: there is a plain one, and nothing waits for room.
    Else what waits, perhaps of the same sender, would be overtaken.
    """
    if lane is Lane.SYSTEM or held < bound.size:
        return Fate.ENTERS
    if lane is Lane.AWAITED:
        return Fate.FAILS if bound.on_full is OnFull.FAIL else Fate.WAITS
    return Fate.REPLACES if bound.drop is Drop.OLDEST and replaceable else Fate.DROPPED
