"""The words between nodes about the children of supervisors: they arrive as they were sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from regrow import (
    AlreadyPresent,
    AlreadyStarted,
    Bounded,
    ChildCounts,
    ChildInfo,
    ChildNotFound,
    ChildSpec,
    Custom,
    DynamicSupervisor,
    GenServer,
    Ignored,
    MaxChildren,
    PartitionSupervisor,
    Pid,
    Reference,
    Supervisor,
    child,
)
from regrow._pure.child_spec import ChildType
from regrow._pure.codec import Codec, Unreadable
from regrow.children import FailedToStartChild
from regrow.error_words import FAILURE
from regrow.errors import ChildRestarting, ChildRunning, StartFailed, StartTimeout
from regrow.messages import Failure
from regrow.portable import Marked
from regrow.runtime import Runtime
from regrow.signals import Send
from regrow.wire import vocabulary

ANN = cast(Runtime, SimpleNamespace(node_name="ann@localhost"))  # all that the vocabulary asks of a node
PID, OTHER = Pid("ann@localhost", 1, 0, 7), Pid("ben@localhost", 2, 0, 8)
REF = Reference("ann@localhost", 7, (1, 2, 3))


class Shop(GenServer):
    """Known to both."""


CODEC = Codec(vocabulary(ANN, Marked((), {}, {"shop": Shop})))
PLAIN = Codec(vocabulary(ANN, Marked((), {})))


def there_and_back(term: object, reader: Codec = CODEC) -> Any:
    return reader.decode(CODEC.encode(term)[4:])


@pytest.mark.parametrize(
    "told",
    [
        ChildInfo("a", PID, ChildType.WORKER, False),
        ChildInfo("b", None, ChildType.SUPERVISOR, True),
        ChildCounts(4, 3, 2, 1),
        FailedToStartChild("a", Custom(("no", 1))),
        Bounded(3, on_full="wait", drop="oldest"),
    ],
    ids=str,
)
def test_what_is_told_of_children_arrives_as_it_was(told: object) -> None:
    """Down to the members of enumerations."""
    assert there_and_back(told) == told
    assert repr(there_and_back(told)) == repr(told)


@pytest.mark.parametrize(
    "spec",
    [
        child(Shop),
        child(Shop).named("shop"),
        child(Shop).with_(id="a", restart="temporary", shutdown=2.0, type="supervisor", significant=True),
        child(Shop).with_(start_timeout=0.5, mailbox=None, shutdown="infinity"),
        child(Shop).with_(mailbox=Bounded(3)),
        child(DynamicSupervisor).named("pool"),
        child(Supervisor),
        child(PartitionSupervisor, child(Shop), partitions=3),
        ChildSpec(Shop, [1], {"a": 2}),
    ],
    ids=str,
)
def test_a_specification_arrives_as_it_was(spec: ChildSpec) -> None:
    """What was left to the class is still left to it."""
    found = there_and_back(spec)
    assert (type(found), found.args, found.kwargs) == (type(spec), spec.args, spec.kwargs)
    assert found == spec
    assert repr(found) == repr(spec)


def test_a_parametrised_class_arrives_without_its_parameters() -> None:
    """They are for type checkers only."""
    assert there_and_back(child(PartitionSupervisor[Shop], child(Shop))).cls is PartitionSupervisor


@pytest.mark.parametrize(
    "error",
    [
        StartFailed(Custom("rain")),
        AlreadyStarted(OTHER),
        StartTimeout("Shop", 0.5),
        Ignored("Shop"),
        AlreadyPresent("a"),
        MaxChildren(7),
        ChildNotFound("a"),
        ChildRunning("a"),
        ChildRestarting("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_arrives_as_what_the_caller_may_catch(error: Exception) -> None:
    """With what it says, and the reason or the pid that it has."""
    found = there_and_back(Failure(error)).error
    assert (type(found), str(found)) == (type(error), str(error))
    assert vars(found) == vars(error)


def test_a_specification_that_nothing_fits_here_is_unreadable() -> None:
    """Its class is not known, or it says what this version does not know: whoever sent it is told so."""
    assert isinstance(there_and_back(Send(PID, REF, child(Shop)), PLAIN).message, Unreadable)
    newer = CODEC.encode(Send(PID, REF, child(Shop)))[4:].replace(b"restart", b"rewinds")
    assert isinstance(cast(Send, CODEC.decode(newer)).message, Unreadable)


@pytest.mark.parametrize("parts", [("Nonsense", "text"), ("AlreadyStarted", "text"), ("StartFailed", PID)])
def test_a_refusal_of_the_wrong_make_is_not_believed(parts: tuple[str, object]) -> None:
    """No such error, or nothing that it could be made of."""
    with pytest.raises(TypeError, match=f"an unknown failure '{parts[0]}'"):
        FAILURE.build(*parts)
