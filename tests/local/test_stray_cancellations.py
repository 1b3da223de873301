"""Only regrow's own cancel means "stop": a cancellation or a timeout that comes from elsewhere is a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    ChildSpec,
    Crash,
    Down,
    GenServer,
    Kill,
    Killed,
    Node,
    Normal,
    Reason,
    ServerExited,
    ServerRef,
    StartFailed,
    Stop,
    Supervisor,
    call,
    cast,
    child,
    gen_call,
    gen_cast,
    monitor,
    receive,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    start_monitor,
    stop,
    trap_exit,
)
from tests.local.process_kit import (
    end_of,
    leaves_a_scope_open,
    lets_a_cancellation_out,
    lets_a_timeout_out,
    settled,
)

Action = Callable[[], Awaitable[object]]


# -- what may go wrong in user code


async def lets_a_timeout_out_of_groups() -> None:
    """Two of them, each of which makes a group of one exception of it."""
    async with anyio.create_task_group() as outer, anyio.create_task_group():
        outer.start_soon(lets_a_timeout_out)


async def leaves_scopes_open_in_scopes() -> None:
    for shield in (True, False, True):
        anyio.CancelScope(shield=shield).__enter__()
    await leaves_a_scope_open()


async def leaves_an_iterator_in_the_middle() -> None:
    """The timeout around its `yield` goes on."""
    iterator = _with_a_timeout()
    await anext(iterator)
    kept.append(iterator)
    await anyio.sleep_forever()


async def _with_a_timeout() -> AsyncIterator[int]:
    with anyio.fail_after(0.01):
        yield 1


kept: list[object] = []  # what is not collected does not close itself


async def is_cancelled_by_asyncios_own_means() -> None:
    task = asyncio.current_task()
    assert task is not None, "in a task"
    task.cancel()
    await anyio.sleep_forever()


ON_BOTH = [
    lets_a_cancellation_out,
    lets_a_timeout_out,
    lets_a_timeout_out_of_groups,
    leaves_a_scope_open,
    leaves_scopes_open_in_scopes,
    leaves_an_iterator_in_the_middle,
]
ON_ASYNCIO = [*ON_BOTH, is_cancelled_by_asyncios_own_means]
strays = pytest.mark.parametrize(
    ("anyio_backend", "stray"),
    [("asyncio", stray) for stray in ON_ASYNCIO] + [("trio", stray) for stray in ON_BOTH],
    ids=lambda value: getattr(value, "__name__", value),
)


@pytest.fixture(autouse=True)
async def _collected() -> AsyncIterator[None]:
    yield
    kept.clear()


# -- where it may go wrong


class Anywhere(GenServer):
    """Does in one of its callbacks what it is given."""

    def __init__(self, where: str, action: Action, log: list[Any]) -> None:
        self.where, self.action, self.log = where, action, log

    async def _at(self, where: str) -> None:
        if where == self.where:
            await self.action()

    async def init(self) -> None:
        await self._at("init")

    @call
    async def ask(self) -> str:
        await self._at("call")
        return "still here"

    @cast
    async def tell(self) -> None:
        await self._at("cast")

    async def handle_call(self, request: object, from_: object) -> object:
        await self._at("handle_call")
        return request

    async def handle_cast(self, request: object) -> None:
        await self._at("handle_cast")

    async def handle_info(self, message: object) -> None:
        await self._at("handle_info")
        self.continue_with(message)

    async def handle_continue(self, token: object) -> None:
        await self._at("handle_continue")

    async def terminate(self, reason: Reason) -> None:
        self.log.append(reason)
        await self._at("terminate")


async def provoke(ref: ServerRef[Anywhere]) -> None:
    """Have each of its callbacks run, unless it has ended by then."""
    Anywhere.tell(ref)
    gen_cast(ref, "cast")
    send(ref, "info")
    for ask in (Anywhere.ask(ref), gen_call(ref, "call"), stop(ref)):
        try:
            await ask
        except (ServerExited, LookupError):
            continue


def is_stray(reason: Reason) -> bool:
    errors = (TimeoutError, anyio.get_cancelled_exc_class())
    return isinstance(reason, Crash) and isinstance(reason.exception, errors)


CALLBACKS = ["call", "cast", "handle_call", "handle_cast", "handle_info", "handle_continue", "terminate"]


@strays
@pytest.mark.parametrize("where", CALLBACKS)
async def test_in_a_callback_it_is_a_crash_of_the_server(stray: Action, where: str) -> None:
    """With one report that shows where it came from, and `terminate`; nobody else is harmed."""
    log: list[Reason] = []
    async with Node() as node:
        neighbour = await start(Anywhere, "nowhere", stray, [])
        ref, _ = await start_monitor(Anywhere, where, stray, log)
        await provoke(ref)
        down = await receive(Down)
        assert is_stray(down.reason)
        assert log == [Normal() if where == "terminate" else down.reason]
        (report,) = [report for report in node.runtime.reports.crashes if report.pid == ref.pid]
        assert str(report.reason) == str(down.reason)
        assert stray.__name__.removesuffix("_of_groups") in report.traceback
        assert await Anywhere.ask(neighbour) == "still here"


@strays
async def test_in_init_it_is_a_failed_start(stray: Action) -> None:
    """As any other error there: the starter gets it, and goes on."""
    async with Node() as node:
        with pytest.raises(StartFailed) as failed:
            await start_link(Anywhere, "init", stray, [])
        assert is_stray(failed.value.reason)
        assert list(node.runtime.processes.values()) == [node.runtime.body]
        assert not node.runtime.reports.crashes


@strays
async def test_in_a_plain_process_it_is_a_crash(stray: Action) -> None:
    """There is no callback around it, and no other border."""
    async with Node() as node:
        neighbour = await start(Anywhere, "nowhere", stray, [])
        assert is_stray(await end_of(spawn(stray)))
        assert len(node.runtime.reports.crashes) == 1
        assert await Anywhere.ask(neighbour) == "still here"


@strays
async def test_its_supervisor_restarts_who_crashed_so(stray: Action) -> None:
    """The mistake of one child is not the end of the tree."""

    class Top(Supervisor):
        intensity = 3

        def init(self) -> Iterable[ChildSpec]:
            yield child(Anywhere, "handle_info", stray, []).named("anywhere")
            yield child(Anywhere, "nowhere", stray, []).named("neighbour")

    async with Node() as node:
        top = await start_link(Top)
        before = {info.id: info.pid for info in await Supervisor.which_children(top)}
        send("anywhere", "info")
        monitor("anywhere")
        assert is_stray((await receive(Down)).reason)
        after = {info.id: info.pid for info in await Supervisor.which_children(top)}
        assert after["neighbour"] == before["neighbour"]
        assert after["anywhere"] not in (before["anywhere"], None)
        assert len(node.runtime.reports.restarts) == 1


# -- supervisors


async def test_a_supervisors_init_that_lets_a_cancellation_out_fails_its_start() -> None:
    """Those it had started are gone."""
    caught: list[BaseException] = []
    try:
        await lets_a_cancellation_out()
    except BaseException as error:  # noqa: BLE001 - what is tried here
        caught.append(error)

    class Broken(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            raise caught[0]

    async with Node() as node:
        with pytest.raises(StartFailed) as failed:
            await start_link(Broken)
        assert failed.value.reason == Crash(caught[0])
        assert list(node.runtime.processes.values()) == [node.runtime.body]


async def test_a_supervisors_init_may_leave_a_scope_open() -> None:
    """Its end is in order all the same, and harms nobody else."""

    class Careless(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            anyio.CancelScope().__enter__()
            return [child(Anywhere, "nowhere", anyio.sleep_forever, []).named("below")]

    async with Node():
        neighbour = await start(Anywhere, "nowhere", anyio.sleep_forever, [])
        top = await start(Careless)
        below = monitor("below")
        await stop(top)
        assert (await receive(Down)).ref == below
        assert await Anywhere.ask(neighbour) == "still here"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_supervisor_whose_task_is_cancelled_crashes_and_leaves_no_orphans() -> None:
    """It is buried in order, and its own supervisor starts it again."""
    log: list[Reason] = []
    done = anyio.Event()

    class Careful(Anywhere):
        async def init(self) -> None:
            trap_exit(True)

    class Below(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            return [child(Careful, "terminate", done.wait, log).named("careful")]

    class Top(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            return [child(Below).named("below")]

    async with Node() as node:
        top = await start_link(Top)
        (before,) = await Supervisor.which_children(top)
        gone = monitor("below")
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"Below {before.pid}"]
        task.cancel()
        await settled()
        for _ in range(3):
            task.cancel()  # while it waits for its child
            await settled()
        assert not task.done()
        done.set()
        while not task.done():
            task.cancel()  # and while it waits for the last step of the task of that
            await checkpoint()
        down = await receive(Down)
        assert (down.ref, is_stray(down.reason)) == (gone, True)
        assert log == [down.reason]
        (after,) = await Supervisor.which_children(top)
        assert after.pid not in (before.pid, None)
        assert [report.pid for report in node.runtime.reports.crashes] == [before.pid]


# -- what a process holds open


async def test_a_server_may_hold_a_task_group_from_init_to_terminate() -> None:
    """All its callbacks run in one task, so that works; and if one of the tasks fails, the server crashes of that."""
    broken = ValueError("broken")

    class Holding(GenServer):
        async def init(self) -> None:
            self.group = anyio.create_task_group()
            await self.group.__aenter__()

        @cast
        async def run(self, action: Action) -> None:
            self.group.start_soon(action)

        async def terminate(self, reason: Reason) -> None:
            self.group.cancel_scope.cancel()
            await self.group.__aexit__(None, None, None)

    async def fails() -> None:
        raise broken

    async with Node():
        ref = await start(Holding)
        Holding.run(ref, anyio.sleep_forever)
        await stop(ref)
        ref, _ = await start_monitor(Holding)
        Holding.run(ref, fails)
        assert (await receive(Down)).reason == Crash(broken)


async def test_who_is_killed_while_it_holds_a_task_group_harms_nobody_and_leaves_no_task() -> None:
    """It had no chance to leave it. What ran in there has ended before its own end is news."""
    ended: list[str] = []

    async def runs(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            ended.append(name)

    async def holds() -> None:
        for name in "ab":
            group = anyio.create_task_group()
            await group.__aenter__()
            group.start_soon(runs, name)
        await anyio.sleep_forever()

    async with Node():
        neighbour = await start(Anywhere, "nowhere", holds, [])
        pid = spawn(holds)
        monitor(pid)
        await settled()
        send_exit(pid, Kill())
        assert (await receive(Down)).reason == Killed()
        assert sorted(ended) == ["a", "b"]
        assert await Anywhere.ask(neighbour) == "still here"


async def test_who_ends_with_a_scope_open_has_crashed_unless_it_says_otherwise() -> None:
    """It is a mistake, and would be one without regrow as well."""

    async def ends() -> None:
        anyio.CancelScope().__enter__()

    async def stops() -> None:
        anyio.CancelScope().__enter__()
        raise Stop

    async with Node():
        reason = await end_of(spawn(ends))
        assert isinstance(reason, Crash)
        assert isinstance(reason.exception, RuntimeError)
        assert await end_of(spawn(stops)) == Normal()


# -- the node


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelling_every_task_there_is_ends_the_node_in_order() -> None:
    """As a service does that was not written for regrow. The body ends of it, and the node stops what is left."""
    log: list[Reason] = []

    class Top(Supervisor):
        def init(self) -> Iterable[ChildSpec]:
            yield child(Anywhere, "nowhere", anyio.sleep_forever, log).named("quick")
            yield child(Anywhere, "terminate", anyio.sleep_forever, log).with_(id="stuck", shutdown=0.01)

    async def serves() -> None:
        async with Node() as node:
            await start_link(Top)
            nodes.append(node)
            await anyio.sleep_forever()

    nodes: list[Node] = []
    service = asyncio.create_task(serves())
    while not nodes:
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if not task.get_coro().__qualname__.startswith("TestRunner."):  # type: ignore[union-attr]
            task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service
    assert nodes[0].runtime.leftovers() == ()
    assert all(map(is_stray, log))
