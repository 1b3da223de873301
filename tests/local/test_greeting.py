"""The handshake on streams: however they cut its messages, and whoever is slow, silent or no node at all."""

from __future__ import annotations

import anyio
import attrs
import pytest

from regrow._pure import handshake
from regrow._pure.handshake import MESSAGE_BYTES_MAX, HandshakeError, Identity, Verdict
from regrow.greeting import greet, receive_greeting
from regrow.testing.network import MemoryNetwork, MemoryStream

COOKIE = b"secret"
ANN = Identity("ann@localhost", 1, bytes([1]) * 32)
BEN = Identity("ben@localhost", 2, bytes([2]) * 32)
SOON_S = 0.05  # what a slow one gets in these tests


def pair() -> tuple[MemoryStream, MemoryStream]:
    """Two ends of a connection."""
    network = MemoryNetwork()
    near, far = MemoryStream(network, ANN.name, BEN.name), MemoryStream(network, BEN.name, ANN.name)
    near.peer, far.peer = far, near
    return near, far


class Drops:
    """A stream of which each end sees one byte at a time."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream

    async def send(self, item: bytes) -> None:
        for byte in item:
            await self._stream.send(bytes([byte]))

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(min(1, max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


def welcome(_peer: Identity) -> Verdict:
    return Verdict.OK


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


HELLO = framed(handshake.encode_identity(ANN))


@attrs.define
class Met:
    """What each side made of the other."""

    initiator: object = None
    acceptor: object = None


async def meet(
    *,
    cookies: tuple[bytes, bytes] = (COOKIE, COOKIE),
    verdict: Verdict = Verdict.OK,
    dialled: str = BEN.name,
    drops: bool = False,
) -> Met:
    near, far = pair()
    met = Met()

    async def initiate() -> None:
        try:
            met.initiator = await greet(Drops(near) if drops else near, cookies[0], ANN, dialled)
        except HandshakeError as error:
            met.initiator = str(error)
        await near.aclose()

    async def accept() -> None:
        try:
            met.acceptor = await receive_greeting(Drops(far) if drops else far, cookies[1], BEN, lambda _: verdict)
        except HandshakeError as error:
            met.acceptor = str(error)
        await far.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(initiate)
        group.start_soon(accept)
    return met


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("drops", [False, True])
async def test_two_nodes_meet(verdict: Verdict, drops: bool) -> None:
    """Even if the stream brings one byte at a time; and both know the verdict."""
    assert await meet(verdict=verdict, drops=drops) == Met((BEN, verdict), (ANN, verdict))


async def test_a_wrong_cookie_is_a_clear_word_on_both_sides() -> None:
    """The one who connects is told nothing, but can guess; the other knows who it was that tried."""
    met = await meet(cookies=(b"wrong", COOKIE))
    assert met.initiator == "it hung up on our proof: our cookies may differ"
    assert met.acceptor == "who calls itself ann@localhost has another cookie than we"


async def test_a_node_that_is_not_the_one_that_was_dialled_is_left() -> None:
    """Both say so."""
    met = await meet(dialled="cat@localhost")
    assert met.initiator == "it is ben@localhost, not cat@localhost"
    assert met.acceptor == "it hung up on our challenge: it may not be meant for us, or have another cookie"


async def test_the_judge_is_asked_about_nobody_who_has_not_proved_the_cookie() -> None:
    """A stranger must not be able to end a connection in another's name."""
    near, far = pair()
    await near.send(framed(handshake.encode_identity(ANN)) + framed(bytes(32)))

    def judge(_peer: Identity) -> Verdict:
        raise AssertionError("judged")

    with pytest.raises(HandshakeError, match="another cookie"):
        await receive_greeting(far, COOKIE, BEN, judge)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "it hung up before it said hello"),
        (b"\0", "it hung up before it said hello"),
        (b"\0\x40regrow", "it hung up before it said hello"),
        (b"\0\0", "its greeting announces 0 bytes: it speaks another protocol"),
        (b"GET / HTTP/1.1\r\n\r\n", "its greeting announces 18245 bytes: it speaks another protocol"),
        ((MESSAGE_BYTES_MAX + 1).to_bytes(2, "big"), "its greeting announces 1025 bytes"),
        (framed(b"hello"), "it speaks another protocol"),
        (framed(handshake.encode_identity(BEN)), "it has our own name, ben@localhost"),
        (HELLO, "it hung up on our challenge"),
        (HELLO + framed(b""), "its greeting announces 0 bytes"),
        (HELLO + framed(b"x"), "who calls itself ann@localhost has another cookie"),
    ],
)
async def test_who_says_something_else_is_refused(said: bytes, why: str) -> None:
    """With a reason for the log of the one who refuses."""
    near, far = pair()

    async def say() -> None:
        if said:
            await near.send(said)
        if said.startswith(HELLO):
            await near.receive()
        await near.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(say)
        with pytest.raises(HandshakeError) as refused:
            await receive_greeting(far, COOKIE, BEN, welcome)
        await far.aclose()
    assert str(refused.value).startswith(why)


async def test_who_answers_something_else_is_left() -> None:
    """Any server may listen on the port that a node once had."""
    near, far = pair()
    await far.send(b"SSH-2.0-OpenSSH\r\n")
    with pytest.raises(HandshakeError, match="its greeting announces 21331 bytes: it speaks another protocol"):
        await greet(near, COOKIE, ANN, BEN.name)


async def test_who_hangs_up_instead_of_answering_is_no_node() -> None:
    """Before it has said who it is."""
    near, far = pair()
    async with anyio.create_task_group() as group:
        group.start_soon(far.aclose)
        with pytest.raises(HandshakeError, match="it hung up"):
            await greet(near, COOKIE, ANN, BEN.name)


@pytest.mark.parametrize("said", [b"", b"\0", b"\0\x10regr", HELLO])
async def test_who_connects_and_falls_silent_is_dropped(said: bytes) -> None:
    """Whatever they had said before: they hold a place that others may need."""
    near, far = pair()
    if said:
        await near.send(said)
    with pytest.raises(TimeoutError):
        await receive_greeting(far, COOKIE, BEN, welcome, within_s=SOON_S)


async def test_who_says_a_byte_now_and_then_is_dropped() -> None:
    """The time is for all of the greeting, not for each byte of it."""
    near, far = pair()

    async def drip() -> None:
        for byte in framed(bytes(MESSAGE_BYTES_MAX)):
            await near.send(bytes([byte]))
            await anyio.sleep(SOON_S / 10)

    async with anyio.create_task_group() as group:
        group.start_soon(drip)
        with pytest.raises(TimeoutError):
            await receive_greeting(far, COOKIE, BEN, welcome, within_s=SOON_S)
        group.cancel_scope.cancel()


async def test_who_is_dialled_and_says_nothing_is_left() -> None:
    """A process that is stopped keeps its port open."""
    near, _far = pair()
    with pytest.raises(TimeoutError):
        await greet(near, COOKIE, ANN, BEN.name, within_s=SOON_S)


async def test_nothing_is_read_beyond_the_greeting() -> None:
    """What follows at once is for the connection."""
    near, far = pair()
    begun = handshake.hello(COOKIE, ANN, BEN.name)
    await near.send(framed(begun.message))
    async with anyio.create_task_group() as group:
        group.start_soon(receive_greeting, far, COOKIE, BEN, welcome)
        length = int.from_bytes(await near.receive(2), "big")
        proved = handshake.on_challenge(begun.state, await near.receive(length))
        await near.send(framed(proved.message) + b"the first frame")
    assert await far.receive() == b"the first frame"
