"""What distributed application controllers say to each other, as it travels."""

from __future__ import annotations

from functools import partial
from types import NoneType

import attrs

from ._pure.codec import SealsItself
from ._pure.dist_app import Claim, Deny, Grant, Phase, Status, StopAll, Tell, Withdraw
from ._pure.vocabulary import Kind
from .kinds import word


@attrs.frozen
class Meet:
    """To a controller just met: each application we share, its terms, and our status.

    It is answered with the same; so two meet whichever of them was there first.
    """

    about: dict[str, tuple[tuple[object, ...], Status]]
    answer: bool


@attrs.frozen
class About(SealsItself):
    """One message of the election of one application. What is handed over with a grant is sealed."""

    application: str
    message: object


def _phase(phase: Phase) -> tuple[object, ...]:
    return (phase.value,)


_PREFIX = "regrow.dist_ac"
_word = partial(word, prefix=_PREFIX)
_TEXT_OR_NONE = (str, NoneType)

KINDS = (
    Kind(f"{_PREFIX}.Phase", Phase, _phase, Phase, ("phase",)),
    _word(Status, bool, bool, Phase, _TEXT_OR_NONE, int, int, bool, bool),
    _word(Tell, Status),
    _word(Claim, int, tuple, _TEXT_OR_NONE),
    _word(Grant, int, object, seal=1),
    _word(Deny, int),
    _word(Withdraw, int),
    _word(StopAll, int),
    _word(Meet, dict, bool),
    _word(About, str, (Tell, Claim, Grant, Deny, Withdraw, StopAll)),
)
