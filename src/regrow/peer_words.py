"""What a node and whoever started it say to each other, on its standard input and output."""

from __future__ import annotations

from functools import partial

import attrs

from ._pure.codec import Unreadable
from .kinds import word
from .messages import Failure
from .rpc_words import Exited, Outcome, Raised, Returned, Run, Unknown


@attrs.frozen
class Ask:
    """To the node: run this function, and answer under this number."""

    number: int
    run: Run | Unreadable


@attrs.frozen
class Answer:
    """From the node: what came of it."""

    number: int
    outcome: Outcome | Failure | Unreadable


_word = partial(word, prefix="regrow.peer")

KINDS = (
    _word(Ask, int, (Run, Unreadable), seal=1),
    _word(Answer, int, (Returned, Raised, Exited, Unknown, Failure, Unreadable), seal=1),
)


def up_line(node: str) -> str:
    """The first line on the standard output of a node that has booted; what `Answer`s there are come after it."""
    return f"{node} up"
