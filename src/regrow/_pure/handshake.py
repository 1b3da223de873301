"""How two nodes prove to each other that they share a cookie, before either says anything else.

Each side sends a fresh challenge, and answers the other's with an HMAC over everything both have said: the
protocol's version, the role of the one who answers, both names, both incarnations, both challenges. So an
answer serves one connection, one direction and one pair of nodes only. The initiator answers first; the
acceptor tells nothing about its cookie to a stranger.

    initiator                                   acceptor
    Hello(name, creation, challenge)    ->
                                        <-      Challenge(name, creation, challenge)
    Proof(hmac as initiator)            ->
                                        <-      Welcome(verdict, hmac as acceptor)

Fixed layout, at most `MESSAGE_BYTES_MAX`, no msgpack: there is little in a stranger's message that can be wrong.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from typing import Generic, TypeVar

import attrs

from .config import NODE_NAME_MAX, is_node_name

PROTOCOL = b"regrow\x00"
VERSION = 2
MAGIC = PROTOCOL + bytes([VERSION])
CHALLENGE_BYTES = 32
PROOF_BYTES = 32
MESSAGE_BYTES_MAX = 1024
HANDSHAKE_S = 5.0  # for all of it; who is slower is nobody we want

State = TypeVar("State")

_NUMBERS = struct.Struct(">IB")


class HandshakeError(Exception):
    """The other side is not let in, or does not let us in; the text says why."""


class Verdict(enum.IntEnum):
    """What the acceptor says to one who has proved to know the cookie."""

    OK = 0
    """Welcome."""
    SIMULTANEOUS = 1
    """We are connecting to you at the same moment, and our attempt is the one that counts."""
    ALIVE = 2
    """There is a live connection to a node of your name already."""


@attrs.frozen
class Identity:
    """Who a node says it is."""

    name: str
    creation: int
    challenge: bytes


def encode_identity(identity: Identity) -> bytes:
    """`Hello` and `Challenge`: magic, creation, name, challenge."""
    name = identity.name.encode()
    if len(name) > NODE_NAME_MAX:
        raise HandshakeError(f"node name {identity.name!r} is longer than {NODE_NAME_MAX} bytes")
    return MAGIC + _NUMBERS.pack(identity.creation, len(name)) + name + identity.challenge


def decode_identity(message: bytes) -> Identity:
    """Raises `HandshakeError` for anything but what `encode_identity` makes."""
    if not message.startswith(PROTOCOL):
        raise HandshakeError("it speaks another protocol")
    fixed = len(MAGIC) + _NUMBERS.size
    if len(message) < fixed:
        raise HandshakeError("its greeting is cut short")
    if not message.startswith(MAGIC):
        raise HandshakeError(f"it speaks version {message[len(PROTOCOL)]} of the protocol, we speak version {VERSION}")
    creation, name_bytes = _NUMBERS.unpack(message[len(MAGIC) : fixed])
    if len(message) != fixed + name_bytes + CHALLENGE_BYTES:
        raise HandshakeError("its greeting has the wrong length")
    try:
        name = message[fixed : fixed + name_bytes].decode()
    except UnicodeDecodeError:
        raise HandshakeError("its name is no text") from None
    if not is_node_name(name):
        raise HandshakeError(f"{name!r} is no node name")
    return Identity(name, creation, message[fixed + name_bytes :])


class Role(enum.Enum):
    """Which side of the connection makes a proof."""

    INITIATOR = b"initiator"
    ACCEPTOR = b"acceptor"


def proof(cookie: bytes, role: Role, initiator: Identity, acceptor: Identity, verdict: Verdict = Verdict.OK) -> bytes:
    """What only who knows the cookie can say, in this role, in this conversation."""
    said = (role.value, encode_identity(initiator), encode_identity(acceptor), bytes([verdict]))
    lengths = b"".join(len(part).to_bytes(2, "big") for part in said)
    return hmac.new(cookie, lengths + b"".join(said), hashlib.sha256).digest()


# -- the initiator


@attrs.frozen
class AwaitChallenge:
    """The initiator has said hello to the node it dialled."""

    cookie: bytes = attrs.field(repr=False)
    me: Identity
    dialled: str


@attrs.frozen
class AwaitWelcome:
    """The initiator has proved itself."""

    cookie: bytes = attrs.field(repr=False)
    me: Identity
    peer: Identity


@attrs.frozen
class Reply(Generic[State]):
    """What to send now, and what to wait for then."""

    state: State
    message: bytes


def hello(cookie: bytes, me: Identity, dialled: str) -> Reply[AwaitChallenge]:
    """The initiator begins."""
    return Reply(AwaitChallenge(cookie, me, dialled), encode_identity(me))


def on_challenge(state: AwaitChallenge, message: bytes) -> Reply[AwaitWelcome]:
    """The acceptor said who it is: prove ourselves, if it is the one we dialled."""
    peer = decode_identity(message)
    if peer.name != state.dialled:
        raise HandshakeError(f"it is {peer.name}, not {state.dialled}")
    if hmac.compare_digest(peer.challenge, state.me.challenge):
        raise HandshakeError("it sent our own challenge back")
    return Reply(AwaitWelcome(state.cookie, state.me, peer), proof(state.cookie, Role.INITIATOR, state.me, peer))


@attrs.frozen
class Welcome:
    """The acceptor's verdict, proved."""

    peer: Identity
    verdict: Verdict


def on_welcome(state: AwaitWelcome, message: bytes) -> Welcome:
    """The acceptor answered. Raises `HandshakeError` if it does not know the cookie either."""
    if len(message) != 1 + PROOF_BYTES or message[0] not in list(Verdict):
        raise HandshakeError(f"the welcome of {state.peer.name} is malformed")
    verdict = Verdict(message[0])
    expected = proof(state.cookie, Role.ACCEPTOR, state.me, state.peer, verdict)
    if not hmac.compare_digest(expected, message[1:]):
        raise HandshakeError(f"{state.peer.name} has another cookie than we")
    return Welcome(state.peer, verdict)


# -- the acceptor


@attrs.frozen
class AwaitProof:
    """The acceptor has challenged somebody."""

    cookie: bytes = attrs.field(repr=False)
    me: Identity
    peer: Identity


@attrs.frozen
class Judging:
    """The initiator has proved itself; whether it is welcome is for the net kernel to say."""

    cookie: bytes = attrs.field(repr=False)
    me: Identity
    peer: Identity


def on_hello(cookie: bytes, me: Identity, message: bytes) -> Reply[AwaitProof]:
    """Somebody said hello: challenge them."""
    peer = decode_identity(message)
    if peer.name == me.name:
        raise HandshakeError(f"it has our own name, {me.name}")
    if hmac.compare_digest(peer.challenge, me.challenge):
        raise HandshakeError("it sent our own challenge back")
    return Reply(AwaitProof(cookie, me, peer), encode_identity(me))


def on_proof(state: AwaitProof, message: bytes) -> Judging:
    """They answered the challenge. Raises `HandshakeError` if they do not know the cookie."""
    expected = proof(state.cookie, Role.INITIATOR, state.peer, state.me)
    if not hmac.compare_digest(expected, message):
        raise HandshakeError(f"who calls itself {state.peer.name} has another cookie than we")
    return Judging(state.cookie, state.me, state.peer)


def judge(state: Judging, verdict: Verdict) -> bytes:
    """The welcome, or the refusal that comes with proof of who refuses."""
    return bytes([verdict]) + proof(state.cookie, Role.ACCEPTOR, state.peer, state.me, verdict)
