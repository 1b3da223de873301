"""Kills and signals that come while a callback is waiting."""

from __future__ import annotations

import anyio
import pytest

from regrow import (
    Custom,
    Down,
    GenServer,
    Kill,
    Killed,
    Node,
    Reason,
    ServerExited,
    ServerRef,
    Shutdown,
    Stop,
    call,
    current_node,
    flush,
    receive,
    send_exit,
    start_link,
    start_monitor,
    stop,
    trap_exit,
)
from regrow.reasons import unwrapped
from regrow.testing import ManualClock

from .gen_server_kit import Attempt, settled


class Stubborn(GenServer):
    """Notes what happens while it is taken down."""

    def __init__(self, log: list[object], trapping: bool = False) -> None:
        trap_exit(trapping)
        self.log = log
        self.let_go = anyio.Event()

    @call
    async def wait(self) -> str:
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("finally")
        raise AssertionError

    @call
    async def swallow(self) -> str:
        try:
            await anyio.sleep_forever()
        except BaseException:  # noqa: BLE001 - what it is about
            self.log.append("swallowed")
        await anyio.sleep_forever()
        raise AssertionError

    @call
    async def stop_instead(self) -> str:
        try:
            await anyio.sleep_forever()
        finally:
            raise Stop(Custom("instead"), reply="never seen")

    async def terminate(self, reason: Reason) -> None:
        self.log.append(("terminate", reason))
        try:
            await self.let_go.wait()
        finally:
            self.log.append("terminated")


def let_go(ref: ServerRef[Stubborn]) -> None:
    """Let `terminate` come to its end."""
    server = current_node().runtime.processes[ref.pid].server
    assert isinstance(server, Stubborn)
    server.let_go.set()


@pytest.mark.parametrize(("method", "seen"), [("wait", ["finally"]), ("swallow", ["swallowed"]), ("stop_instead", [])])
@pytest.mark.parametrize("trapping", [True, False], ids=["trapping", "not_trapping"])
async def test_a_kill_ends_a_handler_at_its_await(method: str, seen: list[object], trapping: bool) -> None:
    """`finally` runs, `terminate` does not, and neither a swallowed cancellation nor a `Stop` changes the end."""
    async with Node(clock=ManualClock()), anyio.create_task_group() as group:
        log: list[object] = []
        ref, ended = await start_monitor(Stubborn, log, trapping)
        attempt = Attempt(group, getattr(Stubborn, method)(ref))
        await settled()
        send_exit(ref, Kill())
        with pytest.raises(ServerExited) as caught:
            await attempt.result()
        assert caught.value.reason == Killed()
        assert await receive() == Down(ended, ref.pid, Killed())
        assert log == seen


async def test_a_kill_cuts_terminate_short() -> None:
    """Also one in the middle of an orderly end."""
    async with Node(clock=ManualClock()), anyio.create_task_group() as group:
        log: list[object] = []
        ref, ended = await start_monitor(Stubborn, log, True)
        stopping = Attempt(group, stop(ref, Shutdown()))
        await settled()
        send_exit(ref, Kill())
        with pytest.raises(ServerExited) as caught:
            await stopping.result()
        assert caught.value.reason == Killed()
        assert flush() == [Down(ended, ref.pid, Killed())]
        assert log == [("terminate", Shutdown()), "terminated"]


async def test_a_server_that_traps_finishes_terminate_under_signals_of_others() -> None:
    """Only a kill can cut it short; without trapping any signal can."""
    async with Node(clock=ManualClock()), anyio.create_task_group() as group:
        for trapping in (True, False):
            log: list[object] = []
            ref, ended = await start_monitor(Stubborn, log, trapping)
            stopping = Attempt(group, stop(ref, Shutdown()))
            await settled()
            send_exit(ref, Custom("hurry"))
            if trapping:
                let_go(ref)
                await stopping.result()
                assert await receive() == Down(ended, ref.pid, Shutdown())
            else:
                with pytest.raises(ServerExited):
                    await stopping.result()
                assert await receive() == Down(ended, ref.pid, Custom("hurry"))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_interrupt_in_a_callback_is_for_the_program(backend: str) -> None:
    """Ctrl-C hits whatever runs: the server ends as after any crash, and the program gets its interrupt."""
    log: list[object] = []

    class Hit(GenServer):
        @call
        async def work(self) -> None:
            raise KeyboardInterrupt

        async def terminate(self, reason: Reason) -> None:
            log.append(str(reason))

    async def program() -> None:
        async with Node():
            await Hit.work(await start_link(Hit))

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - trio wraps it into groups
        anyio.run(program, backend=backend)
    assert isinstance(unwrapped(caught.value), KeyboardInterrupt)
    assert log == ["KeyboardInterrupt"]
