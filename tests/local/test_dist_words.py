"""The words of the election: what is handed over with a grant may be unknown, the grant itself never is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest

from regrow import NotPortable
from regrow._pure.codec import BadFrame, Codec, Unreadable
from regrow._pure.dist_app import Claim, Deny, Grant, Phase, Status, StopAll, Withdraw
from regrow._pure.dist_app import Tell as TellStatus
from regrow.dist_words import KINDS, About, Meet
from regrow.portable import Marked, marked_in
from regrow.runtime import Runtime
from regrow.wire import Tell, vocabulary
from tests.local import portable_kit as kit

ANN = cast(Runtime, SimpleNamespace(node_name="ann@localhost"))  # all that the vocabulary asks of a node
MARKED = marked_in([kit])
PLAIN = Codec(vocabulary(ANN, Marked(KINDS, {})))
CODEC = Codec(vocabulary(ANN, attrs.evolve(MARKED, kinds=(*KINDS, *MARKED.kinds))))
STATUS = Status(phase=Phase.RUNNING, failed="ValueError: no", weight=2)


def there_and_back(message: object, reader: Codec = CODEC) -> Any:
    return cast(Tell, reader.decode(CODEC.encode(Tell("dist_ac", message))[4:])).message


@pytest.mark.parametrize(
    "message",
    [
        Meet({"one": (((("a@h",), ("b@h", "c@h")), 1.0), STATUS)}, answer=True),
        About("one", TellStatus(STATUS)),
        About("one", Claim(1, (False, True, 0, 2, "a@h"), None)),
        About("one", Grant(1, kit.Job("a"))),
        About("one", Deny(1)),
        About("one", Withdraw(1)),
        About("one", StopAll(1)),
    ],
    ids=str,
)
def test_a_word_of_the_election_arrives_as_it_was_sent(message: object) -> None:
    """With all that is in it."""
    assert there_and_back(message) == message


def test_a_grant_arrives_whatever_is_handed_over_with_it() -> None:
    """A node of another version loses what it does not know, and not the grant: it would wait for that for ever."""
    found = there_and_back(About("one", Grant(1, kit.Job("a"))), PLAIN)
    assert (found.application, found.message.number) == ("one", 1)
    assert isinstance(found.message.handoff, Unreadable)


@pytest.mark.parametrize("message", [About("one", Deny("1")), About("one", "deny"), Meet([], answer=True)], ids=str)  # type: ignore[arg-type]
def test_a_malformed_word_is_not_sent(message: object) -> None:
    """The other node would close the connection for it."""
    with pytest.raises(NotPortable, match="malformed"):
        there_and_back(message)


def test_an_unknown_word_is_a_bad_frame() -> None:
    """Nodes that elect by different rules must not elect together."""
    frame = CODEC.encode(Tell("dist_ac", About("one", Deny(1)))).replace(b"Deny", b"Mono")
    with pytest.raises(BadFrame):
        CODEC.decode(frame[4:])
