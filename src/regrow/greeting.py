"""The handshake on a stream of bytes: what `_pure.handshake` decides, said and heard.

All of it has to be over in `within_s`: who is slower, or says nothing, is dropped. It is real time, whatever clock
the node has, since it is a real stranger who is slow.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ._pure import handshake
from ._pure.handshake import HANDSHAKE_S, MESSAGE_BYTES_MAX, HandshakeError, Identity, Verdict
from .transport import ByteStream

LENGTH_BYTES = 2


async def greet(
    stream: ByteStream, cookie: bytes, me: Identity, dialled: str, *, within_s: float = HANDSHAKE_S
) -> tuple[Identity, Verdict]:
    """As the one who connected: prove ourselves, and hear whether we are welcome.

    Raises `HandshakeError`, also for a stream that ends, and `TimeoutError`. The stream stays open.
    """
    messages = _Messages(stream)
    with anyio.fail_after(within_s):
        said = handshake.hello(cookie, me, dialled)
        await messages.send(said.message)
        proved = handshake.on_challenge(said.state, await messages.receive("instead of a challenge"))
        await messages.send(proved.message)
        # A stranger is told nothing, so this is how a wrong cookie looks from here.
        welcome = handshake.on_welcome(proved.state, await messages.receive("on our proof: our cookies may differ"))
    return welcome.peer, welcome.verdict


async def receive_greeting(
    stream: ByteStream,
    cookie: bytes,
    me: Identity,
    judge: Callable[[Identity], Verdict],
    *,
    within_s: float = HANDSHAKE_S,
) -> tuple[Identity, Verdict]:
    """As the one who was connected to: challenge them, and say whether they are welcome.

    `judge` is asked only about who has proved to know the cookie. Raises as `greet`.
    """
    messages = _Messages(stream)
    with anyio.fail_after(within_s):
        challenged = handshake.on_hello(cookie, me, await messages.receive("before it said hello"))
        await messages.send(challenged.message)
        proof = await messages.receive("on our challenge: it may not be meant for us, or have another cookie")
        judging = handshake.on_proof(challenged.state, proof)
        verdict = judge(judging.peer)
        await messages.send(handshake.judge(judging, verdict))
    return judging.peer, verdict


class _Messages:
    """Short messages, their length in two bytes before them. Nothing is read beyond the one that is wanted."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def send(self, message: bytes) -> None:
        try:
            await self._stream.send(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        except anyio.BrokenResourceError:
            raise HandshakeError("it hung up") from None

    async def receive(self, when: str) -> bytes:
        """The next message; `when` says what it means if there is none."""
        length = int.from_bytes(await self._exactly(LENGTH_BYTES, when), "big")
        if not 0 < length <= MESSAGE_BYTES_MAX:
            raise HandshakeError(f"its greeting announces {length} bytes: it speaks another protocol")
        return await self._exactly(length, when)

    async def _exactly(self, count: int, when: str) -> bytes:
        data = b""
        while len(data) < count:
            try:
                data += await self._stream.receive(count - len(data))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                raise HandshakeError(f"it hung up {when}") from None
        return data
