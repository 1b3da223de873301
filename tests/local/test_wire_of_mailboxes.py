"""The words between nodes that messages to full mailboxes need: they arrive as they were sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from regrow import MailboxFull, Pid, Reference
from regrow._pure.codec import Codec, Unreadable
from regrow.messages import Deliver, Failure
from regrow.portable import Marked, marked_in
from regrow.runtime import Runtime
from regrow.signals import Send
from regrow.wire import vocabulary
from tests.local import portable_kit as kit

ANN = cast(Runtime, SimpleNamespace(node_name="ann@localhost", processes={}))  # all that the vocabulary asks of a node
PLAIN = Codec(vocabulary(ANN, Marked((), {})))
CODEC = Codec(vocabulary(ANN, marked_in([kit])))

PID, OTHER = Pid("ann@localhost", 1, 0, 7), Pid("ben@localhost", 2, 0, 8)
REF = Reference("ann@localhost", 7, (1, 2, 3))


def there_and_back(term: object, reader: Codec = CODEC) -> Any:
    return reader.decode(CODEC.encode(term)[4:])


@pytest.mark.parametrize("time_left_s", [None, 0.0, 5.0])
def test_an_awaited_message_arrives_with_its_deadline(time_left_s: float | None) -> None:
    """And with whom to tell, also where nobody understands the message."""
    sent = Send(PID, OTHER, Deliver(REF, kit.Coin(3), time_left_s))
    found = there_and_back(sent).message
    assert (found.reference, found.message, found.time_left_s) == (REF, kit.Coin(3), time_left_s)
    found = there_and_back(sent, PLAIN).message
    assert (found.reference, found.time_left_s) == (REF, time_left_s)
    assert isinstance(found.message, Unreadable)


def test_a_full_mailbox_arrives_as_what_the_caller_may_catch() -> None:
    """With the process it belongs to."""
    full = there_and_back(Send(PID, REF, Failure(MailboxFull(OTHER)))).message.error
    assert isinstance(full, MailboxFull)
    assert (full.pid, str(full)) == (OTHER, str(MailboxFull(OTHER)))
