"""Starts that are interrupted: by signals to the new process, by the end of its starter, by itself."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from regrow import (
    Custom,
    Down,
    Exit,
    GenServer,
    Ignore,
    Kill,
    Killed,
    Node,
    NotAProcess,
    NotInNode,
    Pid,
    Reason,
    Shutdown,
    StartFailed,
    child,
    flush,
    link,
    monitor,
    receive,
    self_pid,
    send_exit,
    spawn,
    start,
    start_link,
    start_monitor,
    whereis,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import Attempt, Counter, Scripted, observer, settled, starters, styles


class NeverReady(GenServer):
    """Its init does not come to an end."""

    def __init__(self, observed_by: Pid) -> None:
        self.observed_by = observed_by

    async def init(self) -> None:
        link(self.observed_by)
        await anyio.sleep_forever()


@row("PLB-002")
@starters
@pytest.mark.parametrize(
    ("signal", "reason"),
    [(Kill(), Killed()), (Custom("enough"), Custom("enough")), (Shutdown(), Shutdown())],
    ids=["kill", "custom", "shutdown"],
)
async def test_a_signal_that_ends_the_new_process_fails_the_start(starter: Any, signal: Reason, reason: Reason) -> None:
    """However init ends, its starter never hangs."""
    async with Node(), anyio.create_task_group() as group:
        watcher = await observer()
        attempt = Attempt(group, starter(child(NeverReady, watcher).named("never")))
        await settled()
        pid = whereis("never")
        assert pid is not None
        send_exit(pid, signal)
        with pytest.raises(StartFailed) as caught:
            await attempt.result()
        assert (caught.value.reason, whereis("never")) == (reason, None)
        assert await receive() == Exit(pid, reason)
        assert flush() == []


@row("PLB-002")
@starters
@styles
@pytest.mark.parametrize(
    ("signal", "reason"), [(Kill(), Killed()), (Custom("enough"), Custom("enough"))], ids=["kill", "custom"]
)
async def test_an_init_that_signals_itself_fails_the_start(
    style: Any, starter: Any, signal: Reason, reason: Reason
) -> None:
    """Even if init then returns without an await: OTP's process would have ended on the spot."""
    async with Node():
        with pytest.raises(StartFailed) as caught:
            await starter(child(style(Scripted), [], lambda: send_exit(self_pid(), signal)).named("suicidal"))
        assert (caught.value.reason, whereis("suicidal"), flush()) == (reason, None, [])


@starters
async def test_an_init_that_answers_its_kill_with_ignore_was_killed(starter: Any) -> None:
    """The first reason counts, whatever the code raises while it is taken down."""

    class Evasive(GenServer):
        async def init(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise Ignore()

    async with Node(), anyio.create_task_group() as group:
        attempt = Attempt(group, starter(child(Evasive).named("evasive")))
        await settled()
        send_exit("evasive", Kill())
        with pytest.raises(StartFailed) as caught:
            await attempt.result()
        assert caught.value.reason == Killed()


@pytest.mark.parametrize("linked", [True, False], ids=["start_link", "start"])
async def test_the_end_of_a_starter_that_waits_reaches_what_it_linked(linked: bool) -> None:
    """The parent may end in the middle of a start; without a link the new process knows nothing of it."""

    async def starter(watcher: Pid) -> None:
        await (start_link if linked else start)(child(NeverReady, watcher).named("never"))

    async with Node():
        watcher = await observer()
        pid = spawn(starter, watcher)
        await settled()
        started = whereis("never")
        assert started is not None
        send_exit(pid, Kill())
        await settled()
        if linked:
            assert await receive() == Exit(started, Killed())
            assert whereis("never") is None
        else:
            assert (flush(), whereis("never")) == ([], started)
            send_exit(started, Kill())


async def test_a_starter_cancelled_while_it_waits_leaves_no_monitor_behind() -> None:
    """`start_monitor` under the caller's own time limit: what was started lives on, unwatched."""
    async with Node():
        watcher = await observer()
        with anyio.move_on_after(0):
            await start_monitor(child(NeverReady, watcher).named("never"))
        await settled()
        send_exit("never", Kill())
        assert (await receive(Exit)).reason == Killed()
        assert flush() == []


async def test_the_parent_may_end_its_child_with_its_own_start_timeout_running() -> None:
    """The timer of a start goes with the start, whichever way that ends."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        watcher = await observer()
        attempt = Attempt(group, start_link(child(NeverReady, watcher).named("never").with_(start_timeout=5.0)))
        await settled()
        send_exit("never", Kill())
        with pytest.raises(StartFailed):
            await attempt.result()
        assert len(node.runtime.timers) == 0


async def test_an_outsider_can_start_but_not_link_or_monitor() -> None:
    """Code beside the node has no mailbox and no fate to share."""

    async def outside(node: Node) -> int:
        with node.current():
            ref = await start(Counter, 5)
            for refused in (start_link, start_monitor):
                with pytest.raises(NotAProcess):
                    await refused(Counter)
            return await Counter.add(ref, 1)

    async with anyio.create_task_group() as group:
        ready = anyio.Event()
        nodes: list[Node] = []

        async def inside() -> None:
            async with Node() as node:
                nodes.append(node)
                ready.set()
                await anyio.sleep_forever()

        group.start_soon(inside)
        await ready.wait()
        assert await outside(nodes[0]) == 6
        group.cancel_scope.cancel()


async def test_without_a_node_nothing_starts() -> None:
    """There is no default node."""
    with pytest.raises(NotInNode):
        await start(Counter)


async def test_what_was_started_unlinked_outlives_its_starter() -> None:
    """`start` is for servers that belong to nobody."""
    refs: list[Any] = []

    async def starter() -> None:
        refs.append(await start(Counter, 5))

    async with Node():
        ended = monitor(spawn(starter))
        assert (await receive(Down)).ref == ended
        assert await Counter.add(refs[0], 1) == 6
