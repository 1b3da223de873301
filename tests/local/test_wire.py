"""The words between nodes: each arrives as it was sent, and none of the wrong make is sent or believed."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import attrs
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from terms import ATOMS, INTEGERS, shape, terms

import regrow
from regrow import (
    GenServer,
    Name,
    Node,
    NotPortable,
    Pid,
    Reference,
    ServerRef,
    gen_call,
    gen_cast,
    receive,
    register,
    send,
)
from regrow._pure.call_path import HOPS_MAX, Hop
from regrow._pure.codec import FRAME_BYTES_MAX, BadFrame, Codec, Unreadable
from regrow.errors import NoProcess, ServerExited
from regrow.kinds import TEXT_MAX
from regrow.messages import Cast, Deliver, Down, Exit, Failure, NodeDown, NodeUp, Request, Timeout, TimerFired
from regrow.portable import Marked, marked_in
from regrow.reasons import (
    Crash,
    Custom,
    Kill,
    Killed,
    NoConnection,
    NoProc,
    Normal,
    Reason,
    RemoteError,
    Shutdown,
)
from regrow.refs import Behaviour
from regrow.runtime import Runtime
from regrow.signals import Demonitor, GiveUp, Link, Monitor, Probe, Send, SendDown, SendExit, Unlink, UnlinkAck
from regrow.system_words import (
    ChangeCode,
    Count,
    GetStatus,
    In,
    Install,
    Log,
    NoDebug,
    Operation,
    Out,
    Remove,
    ReplaceState,
    Resume,
    Statistics,
    Status,
    Suspend,
    SystemAsk,
    Terminate,
    Trace,
)
from regrow.testing import MemoryNetwork
from regrow.wire import Mesh, Tell, encode_signal, origin_of, vocabulary
from tests.local import portable_kit as kit

ANN = cast(Runtime, SimpleNamespace(node_name="ann@localhost", processes={}))  # all that the vocabulary asks of a node
NOTHING = Marked((), {})
PLAIN = Codec(vocabulary(ANN, NOTHING))
CODEC = Codec(vocabulary(ANN, marked_in([kit])))

PID, OTHER = Pid("ann@localhost", 1, 0, 7), Pid("ben@localhost", 2, 0, 8)
REF = Reference("ann@localhost", 7, (1, 2, 3))


def there_and_back(term: object, reader: Codec = CODEC) -> Any:
    return reader.decode(CODEC.encode(term)[4:])


# -- there and back

NUMBERS = st.integers(0, 2**32 - 1)
NODES = st.from_regex(r"[a-z0-9_.-]{1,9}@[a-z0-9.-]{1,9}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
PIDS = st.builds(Pid, NODES, NUMBERS, NUMBERS, NUMBERS)
REFERENCES = st.builds(Reference, NODES, NUMBERS, st.tuples(NUMBERS, NUMBERS, NUMBERS))
ERRORS = st.builds(RemoteError, TEXTS, TEXTS, TEXTS)
PLAIN_REASONS = st.sampled_from([Normal(), Shutdown(), Kill(), Killed(), NoProc(), NoConnection()])
REASONS = PLAIN_REASONS | st.builds(Shutdown, ATOMS) | st.builds(Custom, terms()) | st.builds(Crash, ERRORS)
TARGETS = PIDS | TEXTS
HOPS = st.builds(Hop, PIDS, REFERENCES, st.text())
ITEMS = PIDS | st.tuples(TEXTS, NODES)
DELIVERED = (
    st.builds(Exit, PIDS, REASONS)
    | st.builds(Down, REFERENCES, ITEMS, REASONS)
    | st.builds(NodeUp, NODES)
    | st.builds(NodeDown, NODES, st.none() | TEXTS)
    | st.just(Timeout())
    | st.builds(TimerFired, REFERENCES, st.deferred(lambda: MESSAGES))
)
MESSAGES = terms(ATOMS | PIDS | REFERENCES | PLAIN_REASONS | ERRORS) | st.lists(REASONS | DELIVERED, max_size=3)
SIGNALS = (
    st.builds(Send, PIDS, TARGETS | REFERENCES, MESSAGES)
    | st.builds(Link, PIDS, PIDS)
    | st.builds(Unlink, PIDS, PIDS, INTEGERS)
    | st.builds(UnlinkAck, PIDS, PIDS, INTEGERS)
    | st.builds(SendExit, PIDS, TARGETS, REASONS, st.booleans())
    | st.builds(Monitor, PIDS, REFERENCES, TARGETS)
    | st.builds(Demonitor, PIDS, REFERENCES, TARGETS)
    | st.builds(GiveUp, REFERENCES)
    | st.builds(Probe, TARGETS, st.lists(HOPS, min_size=1, max_size=4).map(tuple))
    | st.builds(SendDown, REFERENCES, PIDS, ITEMS, REASONS)
)
WORDS = SIGNALS | st.builds(Mesh, st.lists(NODES).map(tuple)) | st.builds(Tell, TEXTS, MESSAGES)


@given(WORDS)
def test_a_word_arrives_as_it_was_sent(word: object) -> None:
    """With all that is in it: pids, references, reasons, exceptions, and the user's own."""
    assert shape(there_and_back(word)) == shape(word)


@given(MESSAGES)
def test_what_the_core_delivers_is_data_like_any_other(message: object) -> None:
    """A `Down` or a reason can be told on to others."""
    assert shape(there_and_back([message])) == shape([message])


@pytest.mark.parametrize("method", [None, "add"])
def test_a_call_and_a_cast_arrive_with_their_arguments(method: str | None) -> None:
    """In the typed form and in OTP's."""
    args, kwargs = (1, [2], kit.Coin(3)), {"key": {"deep": (4,)}}
    for sent in (Request(REF, method, args, kwargs), Cast(method, args, kwargs)):
        for carried in (sent, Send(PID, OTHER, sent)):
            found = there_and_back(carried)
            found = found.message if isinstance(found, Send) else found
            assert (type(found), found.method, found.args, found.kwargs) == (type(sent), method, args, kwargs)


OPERATIONS: list[Operation] = [
    Terminate(Shutdown(("why", 1))),
    Suspend(),
    Resume(),
    GetStatus(True),
    ReplaceState(kit.double),  # type: ignore[arg-type]
    ChangeCode(1, kit.Coin(3)),
    Trace(False),
    Log(5),
    Count(True),
    Install(kit.double, "id", [1]),
    Install(kit.double, None, None),
    Remove(kit.double),
    Remove("id"),
    NoDebug(),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_a_system_message_arrives_with_what_is_asked(operation: Operation) -> None:
    """And with whom to answer, even where nobody understands the rest."""
    sent = Send(PID, OTHER, SystemAsk(REF, operation))
    found = there_and_back(sent).message
    assert (found.reference, found.operation) == (REF, operation)
    if isinstance(operation, ReplaceState | Install | ChangeCode) or operation == Remove(kit.double):
        found = there_and_back(sent, PLAIN).message
        assert found.reference == REF
        assert isinstance(found.operation, Unreadable)


def a_status(**changes: Any) -> Status:
    status = Status(PID, "name", "Label", None, True, {"a": 1}, None, None, (In(1), Out([2], PID), Out(3, None)))
    return attrs.evolve(status, **{"statistics": Statistics(1.5, 2, 3), "debug": ("log",)} | changes)


def test_a_status_arrives_part_by_part() -> None:
    """What can't leave goes as it prints, what is not known over there says so; the rest is unharmed."""
    assert there_and_back(a_status()) == a_status()
    assert there_and_back(Send(PID, REF, a_status())).message == a_status()
    odd = {"coin": kit.Coin(3), "odd": kit.Unmarked("x"), "text": "\udce9", "deep": [{"odd": kit.Unmarked}]}
    sent = a_status(state=odd, message=kit.Unmarked("m"), log=(In(kit.Unmarked("i")), Out(kit.Coin(4), None)))
    found = there_and_back(Send(PID, REF, sent)).message
    assert found.state["coin"] == kit.Coin(3)
    assert found.state["odd"] == "Unmarked(name='x')"
    assert found.state["text"] == "'\\udce9'"
    assert found.state["deep"].startswith("[{'odd': <class")
    assert (found.message, found.log) == ("Unmarked(name='m')", (In("Unmarked(name='i')"), Out(kit.Coin(4), None)))
    found = there_and_back(Send(PID, REF, sent), PLAIN).message
    assert found.state["coin"].startswith("(unreadable: ")
    assert found.log[1].reply.startswith("(unreadable: ")
    assert found.state["odd"] == "Unmarked(name='x')"


def test_a_status_of_the_wrong_make_is_not_believed() -> None:
    """A log of what are no events, watchers without a name."""
    for wrong in ({"log": (5,)}, {"debug": (5,)}):
        with pytest.raises(BadFrame):
            there_and_back(a_status(**wrong))


def test_failures_arrive_as_what_the_caller_may_catch() -> None:
    """The errors of calls as themselves, any other exception as data."""
    ended = there_and_back(Failure(ServerExited(Custom("tired")))).error
    assert isinstance(ended, ServerExited)
    assert ended.reason == Custom("tired")
    absent = there_and_back(Failure(NoProcess("counter"))).error
    assert isinstance(absent, NoProcess)
    assert str(absent) == str(NoProcess("counter"))
    raised = there_and_back(Failure(ZeroDivisionError("by nothing"))).error
    assert str(raised) == "ZeroDivisionError: by nothing"
    assert isinstance(raised, RemoteError)


def raised(error: BaseException) -> BaseException:
    """The exception with a traceback."""
    try:
        raise error
    except type(error) as caught:
        return caught


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a text"), "ValueError: a text"),
        (KeyError("key"), "KeyError: 'key'"),
        (ValueError(), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (OSError("no \udce9t\udce9"), "OSError: no \\udce9t\\udce9"),
        (Unspeakable(), "Unspeakable: (Unspeakable without a text)"),
        (
            ExceptionGroup("two", [ValueError(1), KeyError(2)]),
            "ExceptionGroup: two (2 sub-exceptions): ValueError: 1; KeyError: 2",
        ),
    ],
)
def test_an_exception_arrives_as_data_that_reads_the_same(error: BaseException, text: str) -> None:
    """Its type may not exist over there; its traceback says where it was raised here."""
    for found in (there_and_back(raised(error)), there_and_back(Crash(raised(error))).exception):
        assert isinstance(found, RemoteError)
        assert str(found) == text
        assert "in raised" in found.traceback
        assert there_and_back(found) == found


def test_references_and_names_arrive_as_addresses() -> None:
    """Without the class, which need not be known there; a name means the node it was sent from, if it said none."""
    ref = there_and_back(ServerRef(OTHER, GenServer))
    assert (type(ref), ref.pid, ref.cls, ref.runtime) == (ServerRef, OTHER, Behaviour, ANN)
    assert there_and_back(Name("x", GenServer)) == Name("x", Behaviour, "ann@localhost")
    assert there_and_back(Name("x", GenServer).at("cat@localhost")) == Name("x", Behaviour, "cat@localhost")


def test_names_that_differ_by_their_class_alone_are_the_same_over_there() -> None:
    """In a dict one of them would be lost without a word: so the message is unreadable, which says so."""
    twice = {Name("x", GenServer): 1, Name("x", Behaviour): 2}
    found = there_and_back(Send(PID, OTHER, twice)).message
    assert isinstance(found, Unreadable)
    assert found.why == "a key is given twice"


def test_where_a_signal_comes_from() -> None:
    """A node checks that its peer speaks for its own processes."""
    signals = [
        Send(PID, OTHER, 1),
        Link(PID, OTHER),
        Unlink(PID, OTHER, 1),
        UnlinkAck(PID, OTHER, 1),
        SendExit(PID, OTHER, Kill(), False),
        Monitor(PID, REF, OTHER),
        Demonitor(PID, REF, OTHER),
        Probe("name", (Hop(OTHER, REF, ""), Hop(PID, REF, ""))),
    ]
    assert [origin_of(signal) for signal in signals] == [PID] * len(signals)
    assert [origin_of(term) for term in (SendDown(REF, PID, OTHER, Normal()), GiveUp(REF), Mesh(()), PID)] == [None] * 4


# -- the wrong make

WRONG = [
    Down(REF, cast(Any, ("name",)), Normal()),
    Down(REF, cast(Any, ("name", 1)), Normal()),
    Exit(PID, cast(Reason, "normal")),
    Exit(cast(Pid, "name"), Normal()),
    NodeUp(cast(str, None)),
    Crash(cast(BaseException, "ValueError")),
    Request(REF, "add", (1,), cast(Any, {1: 2})),
    Probe("name", ()),
    Probe("name", (cast(Hop, PID),)),
    Probe("name", (Hop(PID, REF, ""),) * (2 * HOPS_MAX + 1)),
    Hop(PID, cast(Reference, PID), ""),
    Request(REF, "add", (1,), {}, -1.0),
    Request(REF, "add", (1,), {}, math.nan),
    Deliver(REF, "message", -1.0),
    Cast("add", (1,), cast(Any, {1: 2})),
    Link(PID, cast(Pid, "name")),
    Monitor(PID, cast(Reference, PID), OTHER),
    Mesh(cast(Any, ["a@h"])),
    Mesh(("not a name",)),
    Mesh((cast(str, []),)),
]


def forged(word: Any) -> bytes:
    """The word as a node would send it that does not check: plain values stand for themselves."""
    kind = type(word)
    parts = (
        (word.reference, word.method, ([*word.args], word.kwargs), word.time_left_s, word.nested)
        if kind is Request
        else (word.method, ([*word.args], word.kwargs))
        if kind is Cast
        else attrs.astuple(word, recurse=False)
    )
    return bytes([0x91 + len(parts)]) + msgpack.packb(f"regrow.{kind.__name__}") + b"".join(map(good, parts))


def good(part: object) -> bytes:
    return PLAIN.encode(part)[4:]


@pytest.mark.parametrize("word", WRONG, ids=[f"{type(word).__name__}{i}" for i, word in enumerate(WRONG)])
def test_a_word_of_the_wrong_make_is_refused_by_sender_and_receiver(word: object) -> None:
    """A program that made it by mistake hears of it; it must not cost the connection. From a peer it does."""
    with pytest.raises(NotPortable):
        PLAIN.encode(word)
    with pytest.raises(BadFrame, match=r"cannot be made: \w+Error|malformed"):
        PLAIN.decode(forged(word))


def test_a_forged_word_of_the_right_make_is_believed() -> None:
    """That the one above is refused for the right reason."""
    for word in (Down(REF, ("name", "a@h"), Normal()), Mesh(("a@h",)), NodeUp("a@h")):
        assert PLAIN.decode(forged(word)) == word
    assert PLAIN.decode(forged(Cast("add", (1,), {"a": 2}))).args == (1,)  # type: ignore[attr-defined]
    assert PLAIN.decode(forged(Request(REF, "add", (1,), {"a": 2}))).kwargs == {"a": 2}  # type: ignore[attr-defined]


@given(SIGNALS, st.data())
def test_a_mutated_signal_is_some_word_or_a_bad_frame(signal: Any, data: st.DataObject) -> None:
    """Whatever arrives, nothing else comes of it."""
    body = bytearray(CODEC.encode(signal)[4:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for codec in (CODEC, PLAIN):
        with suppress(BadFrame):
            codec.decode(bytes(body))


# -- what can't leave


@pytest.mark.parametrize(
    ("term", "place"),
    [
        (Send(PID, OTHER, {"jobs": [object()]}), "message['jobs'][0]"),
        (Send(PID, OTHER, Request(REF, "add", (1, [object()]), {})), "message.arguments[1][0]"),
        (Send(PID, OTHER, Cast("add", (1,), {"by": object()})), "message.arguments[1]['by']"),
        (Send(PID, OTHER, Custom(kit.Job("a", (object(),)))), "message.term._steps[0]"),
        (Send(PID, Pid("a@h", -1, 0, 0), "x"), "to"),
        (Tell("service", [object()]), "message[0]"),
    ],
)
def test_a_refusal_says_where_in_the_message(term: object, place: str) -> None:
    """As the sender wrote it, with the envelope around it."""
    with pytest.raises(NotPortable, match=r"\(at (.+)\)$") as refused:
        CODEC.encode(term)
    assert str(refused.value).endswith(f"(at {place})")


HUGE = "x" * (FRAME_BYTES_MAX + 1)


@pytest.mark.parametrize(
    ("reason", "arrives"),
    [
        (Custom(("why", 1)), Custom(("why", 1))),
        (Custom(3 + 4j), Custom("(3+4j)")),
        (Shutdown([3 + 4j]), Shutdown("[(3+4j)]")),
        (Custom(HUGE), Custom("x" * TEXT_MAX)),
        (Shutdown(HUGE), Shutdown("x" * TEXT_MAX)),
        (Crash(RemoteError("E", HUGE)), Crash(RemoteError("E", "x" * TEXT_MAX))),
        (Custom(Unreadable("unknown")), Custom("(unreadable: unknown)")),
        (Custom("\ud800"), Custom("\\ud800")),
    ],
    ids=str,
)
def test_the_reason_of_an_exit_always_gets_through(reason: Reason, arrives: Reason) -> None:
    """As text if it must: that a process has ended is never lost."""
    for signal in (SendExit(PID, OTHER, reason, True), SendDown(REF, OTHER, PID, reason)):
        found = cast(Any, CODEC.decode(encode_signal(CODEC, signal)[4:]))
        assert found.reason == arrives


def test_the_message_of_a_send_does_not_get_through_as_text() -> None:
    """Who sends it hears that it can't be."""
    with pytest.raises(NotPortable):
        encode_signal(CODEC, Send(PID, OTHER, 3 + 4j))


# -- what the receiver does not know


@pytest.mark.parametrize(
    "part", [kit.Job("a"), kit.double, partial(kit.double, 1), [{"deep": kit.Colour.RED}]], ids=str
)
def test_what_the_receiver_does_not_know_costs_no_more_than_itself(part: object) -> None:
    """Nodes of two versions stay connected, and exits and calls still come through."""
    assert isinstance(there_and_back(Send(PID, OTHER, part), PLAIN).message, Unreadable)
    assert isinstance(there_and_back(Send(PID, OTHER, Cast("add", (part,), {})), PLAIN).message, Unreadable)
    assert isinstance(there_and_back(Tell("service", part), PLAIN).message, Unreadable)
    request = there_and_back(Send(PID, OTHER, Request(REF, "add", (part,), {})), PLAIN).message
    assert (request.reference, request.method, request.kwargs) == (REF, "add", {})
    assert isinstance(request.args, Unreadable)
    for reason in (Custom(part), Shutdown(part)):
        found = there_and_back(SendExit(PID, OTHER, reason, True), PLAIN)
        assert (found.sender, type(found.reason)) == (PID, type(reason))
        assert "unreadable: " in str(found.reason)


class Echo(GenServer):
    """Says what it is told."""

    @regrow.call
    async def say(self, what: object) -> object:
        return what

    @regrow.call
    async def job(self) -> object:
        return kit.Job("theirs")


@asynccontextmanager
async def two_versions() -> AsyncGenerator[tuple[Node, Node]]:
    """A node that knows the kit, and one that does not, with an echo on each."""
    network = MemoryNetwork()
    new = Node("new@localhost", cookie="x", carrier=network.of("new@localhost"), portable=[kit.__name__])
    old = Node("old@localhost", cookie="x", carrier=network.of("old@localhost"))
    async with new, old:
        for node in (new, old):
            with node.current():
                await regrow.start(regrow.child(Echo).named("echo"))
        yield new, old


async def test_a_request_with_unreadable_arguments_is_answered() -> None:
    """At once, with the reason: its caller would wait for ever else. The server never sees it."""
    async with two_versions() as (new, _):
        there = Name("echo", Echo).at("old@localhost")
        with new.current():
            for asked in (Echo.say(there, kit.Job("ours")), gen_call(("echo", "old@localhost"), kit.Job("ours"))):
                with pytest.raises(RemoteError, match=r"old@localhost cannot read the arguments: .*called .*\.Job"):
                    await asked
            assert await Echo.say(there, "plain") == "plain"


async def test_an_unreadable_reply_is_an_error_of_the_caller() -> None:
    """The other side has done its work and will not say it again."""
    async with two_versions() as (_, old):
        with old.current():
            there = Name("echo", Echo).at("new@localhost")
            with pytest.raises(RemoteError, match=r"old@localhost cannot read the reply: .*\.Job"):
                await Echo.job(there)
            assert await Echo.say(there, "plain") == "plain"


async def test_an_unreadable_message_is_dropped_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The next one arrives, over the same connection."""
    async with two_versions() as (new, old):
        with old.current():
            register("body", old.runtime.body.pid)
        with new.current():
            send(("body", "old@localhost"), kit.Job("ours"))
            gen_cast(("body", "old@localhost"), kit.Job("ours"))
            send(("body", "old@localhost"), ["plain"])
        with old.current():
            assert await receive(timeout=5.0) == ["plain"]
            assert regrow.nodes() == ["new@localhost"]
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 2
    assert all("a message from new@localhost was dropped, this node cannot read it" in line for line in lines)
