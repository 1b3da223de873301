"""otpylib: a gen_server of its module system, called and cast from a process; a supervisor."""

from __future__ import annotations

import asyncio
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from otpylib import gen_server, process, supervisor
from otpylib.gen_server import NoReply, Reply
from otpylib.module import GEN_SERVER, SUPERVISOR, OTPModule
from otpylib.runtime import set_runtime
from otpylib.runtime.backends.asyncio_backend.backend import AsyncIOBackend

from benchmarks.speed.rounds import CALLERS, run, serve

CRASH = "crash"


class Counter(metaclass=OTPModule, behavior=GEN_SERVER, version="1.0.0"):
    async def init(self, _arg: Any) -> int:
        return 0

    async def handle_call(self, request: int, _from: Any, state: int) -> Any:
        return Reply(payload=state + request), state + request

    async def handle_cast(self, request: int | str, _state: int) -> Any:
        if request == CRASH:
            raise ValueError("on purpose")
        return NoReply(), request

    async def handle_info(self, _message: Any, state: int) -> Any:
        return NoReply(), state

    async def terminate(self, _reason: Any, _state: int) -> None: ...


class Counters(metaclass=OTPModule, behavior=SUPERVISOR, version="1.0.0"):
    async def init(self, _arg: Any) -> Any:
        children = [supervisor.child_spec(id="crashing", module=Counter, name="crashing")]
        return children, supervisor.options(max_restarts=1_000_000)

    async def terminate(self, _reason: Any, _state: Any) -> None: ...


class Works:
    def __init__(self, server: str) -> None:
        self.server = server
        self.kept: list[Any] = []

    async def call(self, count: int) -> None:
        for number in range(count):
            await gen_server.call(self.server, number, timeout=5.0)

    async def callers(self, count: int) -> None:
        done: asyncio.Queue[None] = asyncio.Queue()

        async def caller() -> None:
            await self.call(count // CALLERS)
            done.put_nowait(None)

        for _ in range(CALLERS):
            await process.spawn(caller, mailbox=True)
        for _ in range(CALLERS):
            await done.get()

    async def cast(self, count: int) -> None:
        for number in range(count):
            await gen_server.cast(self.server, number)
        await self.call(1)

    async def start(self, count: int) -> None:
        self.kept = [await gen_server.start(Counter) for _ in range(count)]

    async def crash(self, count: int) -> None:
        """Who is to answer has the name of the one that crashed, once it is another."""
        crashing = process.whereis("crashing")
        with redirect_stdout(StringIO()):  # where it prints every crash
            for _ in range(count):
                await gen_server.cast("crashing", CRASH)
                while process.whereis("crashing") in (None, crashing):
                    await asyncio.sleep(0)
                crashing = process.whereis("crashing")
                await gen_server.call("crashing", 1, timeout=5.0)


async def main() -> None:
    backend = AsyncIOBackend()
    await backend.initialize()
    set_runtime(backend)
    over = asyncio.Event()

    async def body() -> None:
        await gen_server.start(Counter, name="counter")
        await supervisor.start_link(Counters)
        works = Works("counter")  # its calls find a server by name alone
        await serve(
            {
                "call": works.call,
                "callers": works.callers,
                "cast": works.cast,
                "start": works.start,
                "crash": works.crash,
            }
        )
        over.set()

    await process.spawn(body, mailbox=True)
    await over.wait()
    await backend.shutdown()


if __name__ == "__main__":
    run(main)
