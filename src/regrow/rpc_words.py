"""What is said when a function is called on another node, as it travels."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Generic, TypeAlias, TypeVar

import attrs

from .kinds import word
from .messages import describe
from .reasons import Reason, RemoteError

V_co = TypeVar("V_co", covariant=True)

SERVER: Final = "regrow.rpc"  # what the server of a node that allows calls is registered as


@attrs.frozen(repr=False)
class Run:
    """What is asked for: a function by its portable name, and its arguments."""

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        return describe(self.function, self.args, self.kwargs)


@attrs.frozen
class Returned(Generic[V_co]):
    """What a function returned."""

    value: V_co


@attrs.frozen
class Raised:
    """The function raised this."""

    error: RemoteError


@attrs.frozen
class Exited:
    """The process of the function ended: it raised `Stop`, or an exit signal ended it."""

    reason: Reason
    by_signal: bool


@attrs.frozen
class Unknown:
    """The node has no portable function of that name."""


Outcome: TypeAlias = Returned[Any] | Raised | Exited | Unknown

_word = partial(word, prefix="regrow.rpc")

KINDS = (
    _word(Run, str, tuple, dict),
    _word(Returned, object, seal=0),
    _word(Raised, RemoteError),
    _word(Exited, Reason, bool),
    _word(Unknown),
)
