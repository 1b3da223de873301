"""Starting servers: what the starter gets, and what a start that failed leaves behind (nothing)."""

from __future__ import annotations

from itertools import product
from typing import Any

import anyio
import pytest

from regrow import (
    AlreadyStarted,
    Crash,
    Custom,
    Down,
    Exit,
    GenServer,
    Ignore,
    Ignored,
    Kill,
    Killed,
    Node,
    Normal,
    Pid,
    Reason,
    Shutdown,
    StartFailed,
    StartTimeout,
    Stop,
    child,
    flush,
    gen_cast,
    link,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn_monitor,
    start,
    start_link,
    start_monitor,
    stop,
    trap_exit,
    whereis,
)
from regrow.testing import ManualClock
from tests.harness import row

from .gen_server_kit import (
    NAMES,
    Attempt,
    Counter,
    Scripted,
    as_written,
    both,
    by_start,
    by_start_link,
    by_start_monitor,
    given_names,
    holder_of,
    linked_with,
    names,
    observer,
    plainly,
    raising,
    settled,
    spec_of,
    starters,
    styles,
)

CRASH = ValueError("no")

failures = pytest.mark.parametrize(
    ("raised", "error", "reason"),
    [
        pytest.param(Ignore(), Ignored, Normal(), id="ignore"),
        pytest.param(Stop(Custom("no")), StartFailed, Custom("no"), id="stop"),
        pytest.param(Stop(), StartFailed, Normal(), id="stop_normal"),
        pytest.param(Stop(Shutdown("full")), StartFailed, Shutdown("full"), id="stop_shutdown"),
        pytest.param(CRASH, StartFailed, Crash(CRASH), id="crash"),
        pytest.param(ExceptionGroup("from a task group", [Ignore()]), Ignored, Normal(), id="ignore_in_group"),
        pytest.param(ExceptionGroup("", [Stop(Custom("no"))]), StartFailed, Custom("no"), id="stop_in_group"),
    ],
)


class FailsToBuild(GenServer):
    """Raises in its constructor."""

    def __init__(self, observed_by: Pid, raised: BaseException) -> None:
        link(observed_by)
        raise raised


class NeverReady(GenServer):
    """Its init does not come to an end."""

    def __init__(self, observed_by: Pid | None = None) -> None:
        self.observed_by = observed_by

    async def init(self) -> None:
        if self.observed_by is not None:
            link(self.observed_by)
        await anyio.sleep_forever()


@row("GEN-001", "PLB-001")
@names
@styles
async def test_start_gives_a_server_that_is_not_linked(style: Any, name: Any) -> None:
    """OTP's `start`: neither end of it reaches the starter."""
    async with Node():
        ref = await start(spec_of(name, style(Counter), 5))
        assert await Counter.add(ref, 1) == 6
        assert holder_of(name) == (ref.pid if name else None)
        ended = monitor(ref)
        send_exit(ref, Kill())
        assert await receive() == Down(ended, ref.pid, Killed())
        assert flush() == []


@row("GEN-001", "PLB-001")
@names
@styles
async def test_start_link_gives_a_server_that_is_linked(style: Any, name: Any) -> None:
    """The end of the server is an exit signal for its starter, and the other way round."""
    async with Node():
        trap_exit(True)
        ref = await start_link(spec_of(name, style(Counter), 5))
        assert await Counter.add(name or ref, 1) == 6
        send_exit(ref, Kill())
        assert await receive() == Exit(ref.pid, Killed())


@row("GEN-001", "PLB-001")
@names
@styles
async def test_start_monitor_gives_a_server_and_later_its_down(style: Any, name: Any) -> None:
    """The monitor is there from the first moment, and there is no link."""
    async with Node():
        ref, ended = await start_monitor(spec_of(name, style(Counter), 5))
        assert await Counter.add(ref, 1) == 6
        await stop(ref)
        assert flush() == [Down(ended, ref.pid, Normal())]


@row("GEN-002", translated="no hibernation; the idle timeout and the continuation are asked for, not returned")
@names
@styles
@pytest.mark.parametrize(
    "on_init",
    [
        pytest.param(None, id="nothing"),
        pytest.param(lambda: this().idle_timeout(60.0), id="idle_timeout"),
        pytest.param(lambda: this().continue_with("go on"), id="continue"),
    ],
)
async def test_every_way_of_leaving_init_gives_a_server(style: Any, name: Any, on_init: Any) -> None:
    """What init asks for besides being ready makes no difference to the starter."""
    async with Node():
        log: list[object] = []
        ref = await start_link(spec_of(name, style(Scripted), log, on_init))
        assert await Scripted.run(ref, lambda server: server.log) is log


def this() -> GenServer:
    """Any server: what it asks for goes to the server whose callback runs."""
    return Counter()


@row("GEN-003", "GEN-006", "PLB-002", "PLB-004")
@row("GEN-004", deviation="a failed start_link does not kill a starter that does not trap: one failure, one place")
@row("GEN-005", translated="`raise Stop(reason)` for both: the process ends with the reason, and there is no report")
@starters
@failures
async def test_a_failed_init_is_the_starters_exception_and_leaves_nothing(
    starter: Any, raised: Exception, error: type[Exception], reason: Reason
) -> None:
    """When the exception arrives the process is gone with its reason, the name is free, the mailbox empty."""
    for name, style, trapping in product((None, *NAMES.values()), (as_written, plainly), (False, True)):
        async with Node() as node:
            trap_exit(trapping)
            on_init = both(linked_with(await observer()), raising(raised))
            with pytest.raises(error) as caught:
                await starter(spec_of(name, style(Scripted), [], on_init))
            assert holder_of(name) is None
            assert getattr(caught.value, "reason", reason) == reason
            assert ((await receive(Exit)).reason, flush()) == (reason, [])
            assert list(node.runtime.reports.crashes) == []


@row("GEN-004", "GEN-006")
@failures
async def test_a_failing_constructor_is_a_failing_init(
    raised: Exception, error: type[Exception], reason: Reason
) -> None:
    """`__init__` runs in the new process as well."""
    for name, starter in product((None, *NAMES.values()), (by_start, by_start_link, by_start_monitor)):
        async with Node():
            with pytest.raises(error) as caught:
                await starter(spec_of(name, FailsToBuild, await observer(), raised))
            assert holder_of(name) is None
            assert getattr(caught.value, "reason", reason) == reason
            assert ((await receive(Exit)).reason, flush()) == (reason, [])


@row("GEN-008")
@row("PLB-003", deviation="the monitor of a start that failed is gone with it: the exception is the only news")
@names
@starters
async def test_an_init_that_is_too_slow_is_killed(name: Any, starter: Any) -> None:
    """The start raises once the process is really gone, its name is free, and nothing is in the mailbox."""
    clock = ManualClock()
    async with Node(clock=clock), anyio.create_task_group() as group:
        watcher = await observer()
        attempt = Attempt(group, starter(spec_of(name, NeverReady, watcher).with_(start_timeout=2.0)))
        await settled()
        clock.advance(1.9)
        await settled()
        assert not attempt.over
        clock.advance(0.1)
        with pytest.raises(StartTimeout) as caught:
            await attempt.result()
        assert isinstance(caught.value, TimeoutError)
        assert holder_of(name) is None
        seen = await receive(Exit)
        assert (seen.reason, flush()) == (Killed(), [])


async def test_an_init_that_is_quick_enough_stops_the_clock() -> None:
    """The start timeout has no power over a server that runs."""
    clock = ManualClock()
    async with Node(clock=clock) as node:
        ref = await start_link(child(Counter).with_(start_timeout=2.0))
        assert len(node.runtime.timers) == 0
        clock.advance(10.0)
        await settled()
        assert await Counter.add(ref, 1) == 1


@row("GEN-009")
@given_names
@starters
@pytest.mark.parametrize("raised", [Ignore(), Stop(Custom("no")), CRASH], ids=["ignore", "stop", "crash"])
async def test_a_name_can_be_tried_a_hundred_times(name: Any, starter: Any, raised: Exception) -> None:
    """The name is free when the start raises, not a moment later."""
    async with Node() as node:
        for _ in range(100):
            with pytest.raises((Ignored, StartFailed)):
                await starter(child(Scripted, [], raising(raised)).named(name))
        ref = await starter(child(Counter).named(name))
        assert whereis(name) == ref.pid
        assert (len(node.runtime.processes), flush()) == (2, [])


@row("GEN-009")
@given_names
async def test_a_name_can_be_tried_a_hundred_times_by_slow_servers(name: Any) -> None:
    """A killed half-started process keeps its name no longer than the start itself."""
    clock = ManualClock()
    async with Node(clock=clock) as node, anyio.create_task_group() as group:
        for _ in range(100):
            attempt = Attempt(group, start_link(child(NeverReady).named(name).with_(start_timeout=2.0)))
            await settled()
            clock.advance(2.0)
            with pytest.raises(StartTimeout):
                await attempt.result()
        ref = await start_link(child(Counter).named(name))
        assert whereis(name) == ref.pid
        assert (len(node.runtime.processes), flush()) == (2, [])


@row("GEN-010")
@given_names
@starters
@styles
async def test_a_taken_name_is_refused_and_its_holder_left_alone(style: Any, starter: Any, name: Any) -> None:
    """The loser is neither linked with the holder nor monitors it, and nothing was built."""
    async with Node():
        holder = await start(child(style(Counter), 1).named(name))
        built: list[object] = []
        with pytest.raises(AlreadyStarted) as caught:
            await starter(child(style(Scripted), built, lambda: built.append("init")).named(name))
        assert caught.value.pid == holder.pid
        assert await Counter.add(holder, 1) == 2
        ended = monitor(holder)
        send_exit(holder, Custom("loud"))
        assert await receive() == Down(ended, holder.pid, Custom("loud"))
        assert (flush(), built) == ([], [])


@row("GEN-010")
@starters
async def test_the_end_of_who_met_a_taken_name_does_not_reach_the_holder(starter: Any) -> None:
    """Nor does it matter what the holder is: here a plain process that traps exits, and would tell."""

    async def loser() -> None:
        with pytest.raises(AlreadyStarted) as caught:
            await starter(child(Counter).named("holder"))
        assert caught.value.pid == whereis("holder")
        raise Stop(Custom("the loser ends"))

    async with Node():
        holder = await observer()
        register("holder", holder)
        pid, ended = spawn_monitor(loser)
        assert await receive() == Down(ended, pid, Custom("the loser ends"))
        send(holder, "the last word")
        assert await receive() == "the last word"


@row("GEN-011")
@given_names
@styles
async def test_a_server_has_its_name_before_it_is_built(style: Any, name: Any) -> None:
    """Constructor and init may hand the name out, and what is sent to it then waits its turn."""
    seen: list[object] = []

    class Early(GenServer):
        def __init__(self) -> None:
            seen.append(whereis(name) == self_pid())
            gen_cast(name, "sent by __init__")

        async def init(self) -> None:
            seen.append(whereis(name) == self_pid())
            gen_cast(name, "sent by init")

        async def handle_cast(self, request: object) -> None:
            seen.append(request)

    async with Node():
        ref = await start_link(child(style(Early)).named(name))
        await stop(ref)
    assert seen == [True, True, "sent by __init__", "sent by init"]


@row("GEN-012", "PLB-001")
@starters
async def test_a_start_returns_when_init_has(starter: Any) -> None:
    """So whoever gets the reference can call at once."""
    go = anyio.Event()

    class Slow(Counter):
        async def init(self) -> None:
            await go.wait()

    async with Node(), anyio.create_task_group() as group:
        attempt = Attempt(group, starter(child(Slow, 5).named("slow")))
        await settled()
        assert (attempt.over, whereis("slow") is None) == (False, False)
        go.set()
        assert await Counter.add(await attempt.result(), 1) == 6
