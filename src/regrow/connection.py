"""One connection to another node, once both have proved who they are: frames out, frames in, ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio
from anyio import CancelScope, create_task_group

from ._pure.codec import TICK, BadFrame, Codec, FrameReader
from ._pure.handshake import Identity
from ._pure.membership import Ticker
from .messages import Promise
from .runtime import Runtime
from .timers import Timer
from .transport import ByteStream, PromptStream

ALONE_S = 50e-6  # a frame that comes so long after the one before is alone
ENOUGH_BYTES = 4 * 1024  # for a write that waits for no more: so the peer works on it while the rest is made
BATCH_BYTES = 256 * 1024  # what one write takes of what waits to be sent
BACKLOG_BYTES_MAX = 64 * 1024 * 1024  # a peer that is this far behind is given up
DRAIN_MAX = 256  # frames handled in a row before the other tasks get a turn

CLOSED_BY_PEER = "connection_closed"
TICK_TIMEOUT = "net_tick_timeout"
DISCONNECTED = "disconnect"
RESTARTED = "node_restarted"
BAD_FRAME = "bad_frame"
BACKLOG = "send_backlog"


class Connection:
    """Frames in order, both ways, until it is closed, lost, or silent for too long."""

    def __init__(self, runtime: Runtime, peer: Identity, stream: ByteStream, codec: Codec, tick_time_s: float) -> None:
        self.node = peer.name
        self.creation = peer.creation
        self.closed_because: str | None = None
        self._runtime = runtime
        self._stream = stream
        self._prompt = stream if isinstance(stream, PromptStream) else None
        self._codec = codec
        self._frames = FrameReader(codec.frame_bytes_max)
        self._tick_time_s = tick_time_s
        self._now = runtime.clock.now
        self._heard_at = self._sent_at = self._now()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._writer: Promise | None = None  # it waits for something to send
        self._is_held_up = self._prompt is None  # the stream takes nothing at once; so until the writer is through
        self._finishing = False
        self._scope = CancelScope()
        self._timer: Timer
        self._receive: Callable[[object], None]
        self.ended = anyio.Event()
        """Set when this node has heard of the end."""

    def send(self, frame: bytes) -> None:
        """Queue one frame. Never waits; a peer that takes nothing for too long is given up."""
        if self.closed_because is not None:
            return
        earlier, self._sent_at = self._sent_at, self._now()
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        # One that is alone goes at once; those that come close behind it go together.
        is_alone = self._writer is not None and self._sent_at - earlier > ALONE_S
        if (is_alone or self._waiting_bytes >= ENOUGH_BYTES) and not self._is_held_up:
            self._send_now()
        if self._waiting_bytes > BACKLOG_BYTES_MAX:
            self._runtime.reports.warning(
                f"connection to {self.node} closed: more than {BACKLOG_BYTES_MAX} bytes wait to be sent to it"
            )
            self.close(BACKLOG)
        if self._waiting:
            self._wake_writer()

    def close(self, reason: str) -> None:
        """End the connection now, with what is still queued."""
        if self.closed_because is None:
            self.closed_because = reason
        self._scope.cancel()

    def finish(self) -> None:
        """Send what is queued, say that this was all, and end the connection when the peer has heard that."""
        self._finishing = True
        self._wake_writer()

    async def run(self, receive: Callable[[object], None]) -> str:
        """Live until the end; what ended it, in a word. `receive` gets each term that comes."""
        self._receive = receive
        self._look_again()
        try:
            with self._scope:
                async with create_task_group() as group:
                    group.start_soon(self._write)
                    await self._read()
                    group.cancel_scope.cancel()
        except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # lost, which the reason says
        finally:
            self.closed_because = self.closed_because or CLOSED_BY_PEER
            self._timer.cancel()
            with CancelScope(shield=True):
                await self._stream.aclose()
        return self.closed_because

    async def _read(self) -> None:
        if self._prompt is not None:
            self._prompt.hand_to(self._take, self._runtime.backend)
        try:
            while True:
                data = await self._stream.receive()
                while not self._take(data):
                    data = b""
                    await self._runtime.backend.checkpoint()
        except anyio.EndOfStream:
            pass
        except BadFrame as error:
            self._runtime.reports.warning(f"connection to {self.node} closed: it sent a bad frame: {error}")
            self.closed_because = BAD_FRAME

    def _take(self, data: bytes) -> bool:
        """Handle the frames that have come, if they are not too many at once; whether all are done."""
        self._heard_at = self._now()
        left = DRAIN_MAX
        for body in self._frames.feed(data):
            if self.closed_because is not None:
                break  # its end was the last that was heard of it
            if body:
                self._receive(self._codec.decode(body))
            left -= 1
            if not left:
                return False
        return True

    async def _write(self) -> None:
        while self._waiting or not self._finishing:
            if not self._waiting:
                self._writer = self._runtime.backend.promise()
                await self._writer
                continue
            batch = bytearray()
            while self._waiting and len(batch) < BATCH_BYTES:
                batch += self._waiting.popleft()
            self._waiting_bytes -= len(batch)
            await self._stream.send(bytes(batch))
            self._sent_at = self._now()
            self._is_held_up = self._prompt is None
        # Not closed yet: closing with something unread would make the peer lose what it has not read itself.
        await self._stream.send_eof()

    def _send_now(self) -> None:
        """Send of what waits as much as can be sent at once."""
        assert self._prompt is not None, "else it is held up"
        rest = self._prompt.send_now(b"".join(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = len(rest)
        if rest:
            self._waiting.append(rest)
            self._is_held_up = True

    def _wake_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.settle()

    def _look(self) -> None:
        """Four times in the tick time: is a tick due, is the peer lost?"""
        beat = self._ticker().look(self._now())
        if beat.lost:
            self.close(TICK_TIMEOUT)
            return
        if beat.send_tick and not self._waiting:
            self.send(TICK)
        self._look_again()

    def _look_again(self) -> None:
        self._timer = self._runtime.timers.after(self._ticker().interval_s, self._look)

    def _ticker(self) -> Ticker:
        return Ticker(self._tick_time_s, self._heard_at, self._sent_at)
