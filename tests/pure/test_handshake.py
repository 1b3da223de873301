"""Two nodes prove to each other that they share a cookie; nobody else gets in, whatever they say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow._pure.config import NODE_NAME_MAX
from regrow._pure.handshake import (
    CHALLENGE_BYTES,
    MAGIC,
    MESSAGE_BYTES_MAX,
    PROOF_BYTES,
    HandshakeError,
    Identity,
    Role,
    Verdict,
    decode_identity,
    encode_identity,
    hello,
    judge,
    on_challenge,
    on_hello,
    on_proof,
    on_welcome,
    proof,
)

COOKIE, OTHER_COOKIE = b"correct horse battery staple", b"correct horse battery stapler"
NAMES = st.from_regex(r"[a-z0-9_.-]{1,20}@[a-z0-9.-]{1,20}", fullmatch=True)
IDENTITIES = st.builds(Identity, NAMES, st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))


def challenge(number: int) -> bytes:
    return bytes([number]) * CHALLENGE_BYTES


ANN = Identity("ann@localhost", 17, challenge(1))
BEN = Identity("ben@localhost", 4_000_000_000, challenge(2))
EVE = Identity("eve@localhost", 3, challenge(3))

Tamper = Callable[[int, bytes], bytes]
"""What becomes of the message of that number on its way."""


def untouched(_number: int, message: bytes) -> bytes:
    return message


@attrs.frozen
class Outcome:
    """Whom each side believes to have met; `None` for nobody."""

    initiator: Identity | None
    acceptor: Identity | None
    verdict: Verdict | None
    messages: tuple[bytes, ...]


def meet(
    initiator: Identity = ANN,
    acceptor: Identity = BEN,
    *,
    cookies: tuple[bytes, bytes] = (COOKIE, COOKIE),
    dialled: str = BEN.name,
    verdict: Verdict = Verdict.OK,
    tamper: Tamper = untouched,
) -> Outcome:
    """A whole handshake. Both sides hang up at the first thing they do not like."""
    said: list[bytes] = []
    met: Identity | None = None

    def carried(message: bytes) -> bytes:
        said.append(message)
        return tamper(len(said) - 1, message)

    try:
        begun = hello(cookies[0], initiator, dialled)
        challenged = on_hello(cookies[1], acceptor, carried(begun.message))
        proved = on_challenge(begun.state, carried(challenged.message))
        judging = on_proof(challenged.state, carried(proved.message))
        met = judging.peer
        welcome = on_welcome(proved.state, carried(judge(judging, verdict)))
    except HandshakeError:
        return Outcome(None, met, None, tuple(said))
    return Outcome(welcome.peer, met, welcome.verdict, tuple(said))


@given(IDENTITIES, IDENTITIES, st.binary(min_size=1), st.sampled_from(Verdict))
def test_two_nodes_with_one_cookie_meet(ann: Identity, ben: Identity, cookie: bytes, verdict: Verdict) -> None:
    """Each knows then who the other is, and the initiator whether it is welcome."""
    if ann.name == ben.name or ann.challenge == ben.challenge:
        return
    found = meet(ann, ben, cookies=(cookie, cookie), dialled=ben.name, verdict=verdict)
    assert (found.initiator, found.acceptor, found.verdict) == (ben, ann, verdict)
    assert max(map(len, found.messages)) <= MESSAGE_BYTES_MAX


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_nodes_with_different_cookies_do_not_meet(mine: bytes, theirs: bytes) -> None:
    """On either side; and the acceptor does not even answer the proof."""
    # An HMAC pads its key with zeros: those at the end make no difference.
    if mine.rstrip(b"\0") == theirs.rstrip(b"\0"):
        return
    found = meet(cookies=(mine, theirs))
    assert (found.initiator, found.acceptor) == (None, None)
    assert len(found.messages) == 3


def test_an_acceptor_that_does_not_know_the_cookie_is_found_out() -> None:
    """It can say hello and take a proof for what it likes, but it can make none."""
    begun = hello(COOKIE, ANN, BEN.name)
    proved = on_challenge(begun.state, encode_identity(BEN))
    for fake in (proof(OTHER_COOKIE, Role.ACCEPTOR, ANN, BEN), proved.message, bytes(PROOF_BYTES)):
        with pytest.raises(HandshakeError, match="ben@localhost has another cookie than we"):
            on_welcome(proved.state, bytes([Verdict.OK]) + fake)


def test_the_proofs_of_one_conversation_are_all_different() -> None:
    """Of either role, for every verdict, and with every name, incarnation and challenge."""
    people = [ANN, BEN, EVE, attrs.evolve(ANN, creation=18), attrs.evolve(ANN, challenge=challenge(9))]
    pairs = [(one, other) for one, other in product(people, people) if one != other]
    proofs = [proof(COOKIE, role, *pair, verdict) for role, pair, verdict in product(Role, pairs, Verdict)]
    assert len(set(proofs)) == len(proofs) == 2 * 20 * 3


def test_names_do_not_run_into_each_other() -> None:
    """What is proved tells where each part of it ends."""
    proofs = {proof(COOKIE, Role.INITIATOR, attrs.evolve(ANN, name="a" * n + "@h"), BEN) for n in range(1, 50)}
    assert len(proofs) == 49


# -- on the way


@pytest.mark.parametrize("number", range(4))
def test_a_message_that_is_cut_short_or_longer_is_never_accepted(number: int) -> None:
    """At every byte."""
    whole = meet().messages[number]
    versions = [whole[:length] for length in range(len(whole))] + [whole + b"\0", whole + whole]
    for version in versions:
        assert_nobody_met_wrongly(number, version)


@pytest.mark.parametrize("number", range(4))
def test_a_message_with_any_other_byte_is_never_accepted(number: int) -> None:
    """Every byte of it matters: whoever changes one has changed what was proved."""
    whole = meet().messages[number]
    for at in range(len(whole)):
        for change in (1, 0x80, 0xFF):
            assert_nobody_met_wrongly(number, whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])


@given(st.integers(0, 3), st.binary(max_size=MESSAGE_BYTES_MAX))
def test_an_arbitrary_message_is_never_accepted(number: int, message: bytes) -> None:
    """Nor does it raise anything but the error of this protocol."""
    assert_nobody_met_wrongly(number, message)


def assert_nobody_met_wrongly(number: int, message: bytes) -> None:
    """With one message replaced. The last one only the initiator hears: the acceptor has met it by then, rightly."""
    found = meet(tamper=lambda at, original: message if at == number else original)
    assert found.initiator is None
    assert found.acceptor is None or (number == 3 and found.acceptor == ANN)


@pytest.mark.parametrize("number", range(4))
def test_messages_of_an_earlier_conversation_are_no_use(number: int) -> None:
    """The challenges are fresh; so is the incarnation of a node that was restarted."""
    for ann in (attrs.evolve(ANN, challenge=challenge(8)), attrs.evolve(ANN, creation=18)):
        if number != 1:  # what the acceptor is called and challenges with does not depend on who calls
            assert_nobody_met_wrongly(number, meet(ann).messages[number])
    for ben in (attrs.evolve(BEN, challenge=challenge(8)), attrs.evolve(BEN, creation=1)):
        old = meet(acceptor=ben).messages[number]
        if number > 0:  # hello does not depend on whom one says it to
            assert_nobody_met_wrongly(number, old)


def test_a_whole_conversation_cannot_be_played_again() -> None:
    """Neither to the acceptor nor to the initiator: each has a new challenge."""
    heard = meet().messages
    challenged = on_hello(COOKIE, attrs.evolve(BEN, challenge=challenge(7)), heard[0])
    with pytest.raises(HandshakeError, match="another cookie"):
        on_proof(challenged.state, heard[2])
    begun = hello(COOKIE, attrs.evolve(ANN, challenge=challenge(7)), BEN.name)
    proved = on_challenge(begun.state, heard[1])
    with pytest.raises(HandshakeError, match="another cookie"):
        on_welcome(proved.state, heard[3])


@pytest.mark.parametrize("number", range(1, 4))
def test_messages_that_come_back_are_refused(number: int) -> None:
    """A mirror knows no cookie, and neither do two conversations that are crossed."""
    for earlier in range(number):
        assert_nobody_met_wrongly(number, meet().messages[earlier])


def test_a_node_does_not_answer_its_own_challenge() -> None:
    """Who sends it back wants to have it answered."""
    with pytest.raises(HandshakeError, match="our own challenge"):
        on_challenge(hello(COOKIE, ANN, BEN.name).state, encode_identity(attrs.evolve(BEN, challenge=ANN.challenge)))
    with pytest.raises(HandshakeError, match="our own challenge"):
        on_hello(COOKIE, BEN, encode_identity(attrs.evolve(ANN, challenge=BEN.challenge)))


def test_the_roles_cannot_be_swapped() -> None:
    """A node that is made to connect proves itself as one that connects; that opens nothing as an acceptor."""
    # Eve is dialled by Ann, and at the same time dials Ben in Ann's name, passing on what both say.
    assert meet(ANN, BEN, dialled=EVE.name).initiator is None
    begun = hello(COOKIE, ANN, BEN.name)
    proved = on_challenge(begun.state, encode_identity(BEN))
    with pytest.raises(HandshakeError, match="another cookie"):
        on_welcome(proved.state, bytes([Verdict.OK]) + proof(COOKIE, Role.INITIATOR, ANN, BEN))
    challenged = on_hello(COOKIE, BEN, encode_identity(ANN))
    with pytest.raises(HandshakeError, match="another cookie"):
        on_proof(challenged.state, proof(COOKIE, Role.ACCEPTOR, ANN, BEN))


def test_a_verdict_cannot_be_turned_into_another() -> None:
    """Or strangers could keep nodes apart, or let one believe it is connected."""
    for verdict, other in [*pairwise(Verdict), (Verdict.ALIVE, Verdict.OK)]:
        welcome = meet(verdict=verdict).messages[3]
        assert_nobody_met_wrongly(3, bytes([other]) + welcome[1:])


# -- who is who


def test_who_is_not_who_was_dialled_is_refused() -> None:
    """Its port may be another node's by now."""
    assert meet(dialled=EVE.name).initiator is None
    with pytest.raises(HandshakeError, match="it is ben@localhost, not eve@localhost"):
        on_challenge(hello(COOKIE, ANN, EVE.name).state, encode_identity(BEN))


def test_a_node_does_not_meet_its_own_name() -> None:
    """It would be itself, or one that can't be told from it."""
    with pytest.raises(HandshakeError, match="our own name, ben@localhost"):
        on_hello(COOKIE, BEN, encode_identity(attrs.evolve(BEN, challenge=challenge(5))))


@given(IDENTITIES)
def test_an_identity_arrives_as_it_was_sent(identity: Identity) -> None:
    """In a fixed layout."""
    assert decode_identity(encode_identity(identity)) == identity


GREETING = encode_identity(ANN)
NAME_AT = len(MAGIC) + 4


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "speaks another protocol"),
        (b"GET / HTTP/1.1\r\n\r\n", "speaks another protocol"),
        (MAGIC[:-1] + b"\x01" + GREETING[len(MAGIC) :], "speaks version 1 of the protocol, we speak version 2"),
        (MAGIC, "cut short"),
        (GREETING[:-1], "wrong length"),
        (GREETING + b"x", "wrong length"),
        (GREETING[:NAME_AT] + b"\xff" + GREETING[NAME_AT + 1 :], "wrong length"),
        (GREETING.replace(b"ann@localhost", b"annalocalhost"), "no node name"),
        (GREETING.replace(b"ann@localhost", b"an\n@localhost"), "no node name"),
        (GREETING.replace(b"ann@localhost", b"an\xff@localhost"), "no text"),
        (GREETING.replace(b"ann@localhost", "an\N{ZERO WIDTH SPACE}@localho".encode()), "no node name"),
    ],
)
def test_a_greeting_that_is_none_says_why(message: bytes, why: str) -> None:
    """In the log of who refuses it; a stranger hears nothing."""
    with pytest.raises(HandshakeError, match=why):
        decode_identity(message)


def test_a_name_has_a_length() -> None:
    """The longest that fits arrives; the next does not leave."""
    longest = attrs.evolve(ANN, name="a" * (NODE_NAME_MAX - 2) + "@h")
    assert decode_identity(encode_identity(longest)) == longest
    assert len(encode_identity(longest)) <= MESSAGE_BYTES_MAX
    with pytest.raises(HandshakeError, match="longer than 200 bytes"):
        encode_identity(attrs.evolve(longest, name="a" + longest.name))


def test_no_state_shows_the_cookie() -> None:
    """It would stand in a log some day."""
    begun = hello(COOKIE, ANN, BEN.name)
    challenged = on_hello(COOKIE, BEN, begun.message)
    proved = on_challenge(begun.state, challenged.message)
    judging = on_proof(challenged.state, proved.message)
    assert "horse" not in f"{begun.state!r} {challenged.state!r} {proved.state!r} {judging!r}"
