"""What distributed application controllers say to each other, as it travels."""

from __future__ import annotations

from typing import Any

import attrs

from ._pure.dist_app import Claim, Deny, Grant, Phase, Status, StopAll, Tell, Withdraw
from ._pure.vocabulary import Kind, Sealed


@attrs.frozen
class Meet:
    """To a controller just met: each application we share, its terms, and our status.

    It is answered with the same; so two meet whichever of them was there first.
    """

    about: dict[str, tuple[tuple[object, ...], Status]]
    answer: bool


@attrs.frozen
class About:
    """One message of the election of one application."""

    application: str
    message: object


def _word(cls: type, *types: Any, sealed: str | None = None) -> Kind:
    """An attrs class whose fields travel in order, and must be of these types."""
    fields = tuple(field.name for field in attrs.fields(cls))

    def take_apart(value: object) -> tuple[object, ...]:
        return tuple(Sealed(getattr(value, field)) if field == sealed else getattr(value, field) for field in fields)

    def build(*parts: object) -> object:
        if len(parts) != len(types) or not all(map(isinstance, parts, types)):
            raise TypeError(f"{cls.__name__} of {', '.join(type(part).__name__ for part in parts)}")
        return cls(*parts)

    return Kind(f"regrow.dist_ac.{cls.__name__}", cls, take_apart, build, fields)


def _phase(phase: Phase) -> tuple[object, ...]:
    return (phase.value,)


TEXT = (str, type(None))
KINDS = (
    Kind("regrow.dist_ac.Phase", Phase, _phase, Phase, ("phase",)),
    _word(Status, bool, bool, Phase, TEXT, int, bool, bool),
    _word(Tell, Status),
    _word(Claim, int, tuple, TEXT),
    _word(Grant, int, object, sealed="handoff"),
    _word(Deny, int),
    _word(Withdraw, int),
    _word(StopAll),
    _word(Meet, dict, bool),
    _word(About, str, (Tell, Claim, Grant, Deny, Withdraw, StopAll)),
)
