"""Who blocks the loop is named, with its stack, while it does; and nobody else ever is."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio import to_thread

from regrow import GenServer, Node, NodeNameTaken, Reason, cast, child, spawn, start
from regrow._pure.config import NodeConfig
from regrow.reports import LOGGER, BlockReport
from tests.local.process_kit import idle, run_in, settled

PATIENCE_S = 30.0  # of what blocks, for the report that is to come meanwhile
LIMIT_S = 0.05


class Reported(logging.Handler):
    """Keeps the reports of a block that is made here, and says so to whoever makes it.

    On a busy machine others come as well, with so short a limit: what starts a thread may wait for long enough.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[BlockReport] = []
        self.begun, self.over = threading.Event(), threading.Event()
        self._awaited = False  # from when a block is made until its end was reported

    def emit(self, record: logging.LogRecord) -> None:
        if vars(record).get("report") == "block":
            (report,) = record.args  # type: ignore[misc]
            assert isinstance(report, BlockReport)
            if self._awaited and (self.reports or not report.over):
                self._awaited = not report.over
                self.reports.append(report)
                (self.over if report.over else self.begun).set()

    def wait(self) -> None:
        """Block the loop until that was reported."""
        self._await()
        assert self.begun.wait(PATIENCE_S), "not reported while it blocks"

    def compute(self) -> None:
        """The same without ever sleeping."""
        self._await()
        while not self.begun.is_set():
            pass

    def _await(self) -> None:
        for news in (self.reports, self.begun, self.over):
            news.clear()
        self._awaited = True

    async def wait_over(self) -> None:
        """Wait until the end was reported."""
        await to_thread.run_sync(self.over.wait)

    async def only(self) -> BlockReport:
        """What was reported at the beginning of the block, once its end was reported too."""
        await self.wait_over()
        begun, over = self.reports
        assert (begun.over, over.over) == (False, True)
        assert LIMIT_S <= begun.blocked_s <= over.blocked_s
        assert (begun.pid, begun.stack) == (over.pid, over.stack)
        return begun


@pytest.fixture
def reported() -> Iterator[Reported]:
    handler = Reported()
    LOGGER.addHandler(handler)
    yield handler
    LOGGER.removeHandler(handler)


class Blocking(GenServer):
    def __init__(self, block: Callable[[], object]) -> None:
        self.block = block

    @cast
    async def run(self) -> None:
        self.block()

    async def terminate(self, reason: Reason) -> None:
        self.block()


@asynccontextmanager
async def watched() -> AsyncIterator[Node]:
    """A node that has come to rest: on a busy machine its start may have been a block."""
    async with Node("here@localhost", watchdog=LIMIT_S) as node:
        await anyio.sleep(2 * LIMIT_S)
        yield node


async def has_done(work: Callable[[], Awaitable[object]]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(work)


def watchdogs() -> list[str]:
    """The threads that there are."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("watchdog of ")]


@pytest.mark.parametrize("way", ["wait", "compute"])
async def test_a_handler_that_blocks_the_loop_is_named_with_its_stack_while_it_does(
    way: str, reported: Reported
) -> None:
    """Whether it sleeps or computes: it goes on only when it has been reported."""
    async with watched():
        ref = await start(child(Blocking, getattr(reported, way)).named("blocking"))
        Blocking.run(ref)
        report = await reported.only()
        assert (report.node, report.pid, report.name, report.label) == (
            "here@localhost",
            ref.pid,
            "blocking",
            "Blocking",
        )
        assert "in run\n    self.block()" in report.stack
        assert f"in {way}" in report.stack
        assert "asyncio" not in report.stack
        assert str(report).startswith(f"blocking {ref.pid} blocks here@localhost, for ")


async def test_a_handler_that_blocks_where_it_was_called_is_the_servers(reported: Reported) -> None:
    """In place, in the task of its caller, who has done nothing wrong."""

    class Plain(Blocking):
        @cast
        def run_here(self) -> None:
            self.block()

    async with watched():
        ref = await start(Plain, reported.wait)
        await settled()
        Plain.run_here(ref)
        report = await reported.only()
        assert (report.pid, report.label) == (ref.pid, "Plain")
        assert "in run_here\n    self.block()" in report.stack


async def test_one_block_is_reported_once_and_the_next_again(reported: Reported) -> None:
    """However long it lasts: its end tells."""
    async with watched():

        def blocks_on() -> None:
            reported.wait()
            reported.begun.clear()
            assert not reported.begun.wait(10 * LIMIT_S)

        ref = await start(Blocking, blocks_on)
        for _ in range(2):
            Blocking.run(ref)
            await reported.wait_over()
            begun, over = reported.reports
            assert str(begun).startswith(f"Blocking {ref.pid} blocks here@localhost, for ")
            done = f"Blocking {ref.pid} does not block here@localhost any more; it did for {over.blocked_s:.1f} s"
            assert str(over) == done
            reported.over.clear()


async def test_a_task_that_a_process_has_started_blocks_in_its_name(reported: Reported) -> None:
    """It is part of the process."""

    async def blocks() -> None:
        reported.wait()

    async with watched():
        pid = spawn(has_done, blocks)
        report = await reported.only()
        assert (report.pid, report.label) == (pid, "has_done")
        assert "in blocks\n" in report.stack


async def test_the_body_of_a_node_is_named_too(reported: Reported) -> None:
    """It has no task of its own, but one it runs in."""
    async with watched() as node:
        reported.wait()
        report = await reported.only()
        assert node.runtime.body is not None
        assert (report.pid, report.label) == (node.runtime.body.pid, "node body")
        assert "in test_the_body_of_a_node_is_named_too" in report.stack


async def test_what_is_no_process_is_shown_by_its_stack(reported: Reported) -> None:
    """A web handler in the same loop, say."""

    async def stranger() -> None:
        await entered.wait()
        reported.wait()

    entered = anyio.Event()
    async with anyio.create_task_group() as outside:
        outside.start_soon(stranger)
        async with watched():
            entered.set()
            report = await reported.only()
            assert (report.pid, report.name, report.label) == (None, None, "something outside of the processes")
            assert "in stranger" in report.stack
            assert str(report).startswith("something outside of the processes blocks here@localhost, for ")


async def test_who_blocks_the_end_of_its_node_is_named_too(reported: Reported) -> None:
    """The watch ends last."""
    async with watched():
        ref = await start(Blocking, reported.wait)
        assert watchdogs() == ["watchdog of here@localhost"]
    assert reported.reports[0].pid == ref.pid
    assert "in terminate" in reported.reports[0].stack
    assert watchdogs() == []


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_idle_node_is_not_woken(loop: str) -> None:
    """The watch looks, and asks nothing of a loop that sleeps. (In tests, trio runs as a guest, and cannot be seen.)"""
    assert anyio.run(_asked_while_asleep, backend=loop) == 0


async def _asked_while_asleep() -> int:
    looks, asked = [0], [0]
    enough = threading.Event()
    async with watched() as node:
        backend: Any = node.runtime.backend
        is_asleep, call_from_thread = backend.is_asleep, backend.call_from_thread

        def look(frames: Any) -> bool:
            asleep = is_asleep(frames)
            looks[0] += looks[0] > 0 or asleep  # from when it went to sleep
            if looks[0] == 10:
                enough.set()
            return asleep

        def ask(callback: Callable[[], None]) -> bool:
            asked[0] += 0 < looks[0] <= 10
            return call_from_thread(callback)

        backend.is_asleep, backend.call_from_thread = look, ask
        await to_thread.run_sync(enough.wait)
        return asked[0]


async def test_there_may_be_no_watchdog() -> None:
    """The thread is all there is of it."""
    config = NodeConfig(watchdog=float("inf"))
    for node in (Node(watchdog=None), Node(watchdog=float("inf")), Node(config=config)):
        async with node:
            assert watchdogs() == []


async def test_a_watchdog_of_no_time_is_a_mistake() -> None:
    """It would name everybody."""
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="a watchdog takes at least"):
            Node(watchdog=seconds)


async def test_a_node_that_cannot_be_entered_leaves_no_thread() -> None:
    """Nor does one that was entered and left."""
    async with watched():
        with pytest.raises(NodeNameTaken):
            await run_in(Node("here@localhost", watchdog=LIMIT_S), idle)
        assert len(watchdogs()) == 1
    assert watchdogs() == []


SUSPENDED = """
import anyio, logging, signal, sys
from regrow import Node

reports = []

class Keeping(logging.Handler):
    def emit(self, record):
        reports.append(record.getMessage())

logging.getLogger("regrow").addHandler(Keeping())

async def main():
    async with Node(watchdog=0.2):
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            print("ready", flush=True)
            reports.clear()
            async for _ in signals:
                await anyio.sleep(1.0)  # in which whatever is to be reported is
                print(reports, flush=True)
                return

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_os_process_that_was_suspended_has_blocked_nothing(loop: str) -> None:
    """As by Ctrl-Z, or on a machine that sleeps: its clock went on, and it did not."""
    command = [sys.executable, "-c", SUSPENDED, loop]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as suspended:
        assert suspended.stdout is not None
        assert suspended.stdout.readline() == "ready\n"
        os.kill(suspended.pid, signal.SIGSTOP)
        os.waitpid(suspended.pid, os.WUNTRACED)
        threading.Event().wait(1.0)
        os.kill(suspended.pid, signal.SIGCONT)
        os.kill(suspended.pid, signal.SIGUSR1)
        assert suspended.stdout.read() == "[]\n"
    assert suspended.returncode == 0
