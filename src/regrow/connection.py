"""One connection to another node, once both have proved who they are: frames out, frames in, ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio
from anyio import CancelScope, create_task_group

from ._pure.codec import TICK, BadFrame, Codec, FrameReader
from ._pure.handshake import Identity
from ._pure.membership import Ticker
from .messages import Promise, settle
from .runtime import Runtime
from .timers import Timer
from .transport import ByteStream, PromptStream

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
        now = runtime.clock.now()
        self._ticker = Ticker(tick_time_s, heard_at=now, sent_at=now)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._writer: Promise | None = None
        self._finishing = False
        self._scope = CancelScope()
        self._timer: Timer
        self.ended = anyio.Event()
        """Set when this node has heard of the end."""

    def send(self, frame: bytes) -> None:
        """Queue one frame. Never waits; a peer that takes nothing for too long is given up."""
        if self.closed_because is not None:
            return
        if self._writer is not None and self._prompt is not None and self._prompt.send_now(frame):
            # One that is alone goes at once. Those that come before the writer has had its turn go together, then.
            self._ticker = self._ticker.sent(self._runtime.clock.now())
            self._wake_writer()
            return
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > BACKLOG_BYTES_MAX:
            self._runtime.reports.warning(
                f"connection to {self.node} closed: more than {BACKLOG_BYTES_MAX} bytes wait to be sent to it"
            )
            self.close(BACKLOG)
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
        self._look_again()
        try:
            with self._scope:
                async with create_task_group() as group:
                    group.start_soon(self._write)
                    await self._read(receive)
                    group.cancel_scope.cancel()
        except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # lost, which the reason says
        finally:
            self.closed_because = self.closed_because or CLOSED_BY_PEER
            self._timer.cancel()
            with CancelScope(shield=True):
                await self._stream.aclose()
        return self.closed_because

    async def _read(self, receive: Callable[[object], None]) -> None:
        frames = FrameReader(self._codec.frame_bytes_max)
        handled = 0
        while True:
            try:
                data = await self._stream.receive()
            except anyio.EndOfStream:
                return
            self._ticker = self._ticker.heard(self._runtime.clock.now())
            try:
                for body in frames.feed(data):
                    if body:
                        receive(self._codec.decode(body))
                    handled += 1
                    if handled % DRAIN_MAX == 0:
                        await self._runtime.backend.checkpoint()
            except BadFrame as error:
                self._runtime.reports.warning(f"connection to {self.node} closed: it sent a bad frame: {error}")
                self.closed_because = BAD_FRAME
                return

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
            self._ticker = self._ticker.sent(self._runtime.clock.now())
        # Not closed yet: closing with something unread would make the peer lose what it has not read itself.
        await self._stream.send_eof()

    def _wake_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            settle(writer)

    def _look(self) -> None:
        """Four times in the tick time: is a tick due, is the peer lost?"""
        beat = self._ticker.look(self._runtime.clock.now())
        if beat.lost:
            self.close(TICK_TIMEOUT)
            return
        if beat.send_tick and not self._waiting:
            self.send(TICK)
        self._look_again()

    def _look_again(self) -> None:
        self._timer = self._runtime.timers.after(self._ticker.interval_s, self._look)
