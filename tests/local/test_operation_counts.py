"""What must not grow does not: shown by counting the functions of regrow that are called, never by timing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import anyio
import attrs
import pytest

from regrow import (
    Down,
    DynamicSupervisor,
    GenServer,
    Kill,
    Name,
    Node,
    ServerRef,
    Shutdown,
    call,
    cast,
    child,
    connect,
    demonitor,
    link,
    monitor,
    receive,
    send,
    send_exit,
    spawn,
    start,
    stop,
    sys,
    unlink,
    whereis,
)
from regrow.refusals import REFUSAL_S
from regrow.testing import ManualClock, MemoryNetwork
from tests.local.counting import counted_calls, of_regrow
from tests.local.dynamic_kit import ENDLESS, Pool, add_all, living, start_pool
from tests.local.supervisor_kit import STRATEGIES, Script, ended, pid_of, settled, start_tree, worker

FEW, MANY = 3, 1500


def quiet_node() -> Node:
    """A node on which nothing happens but what the test does: no time passes, and nobody looks at the loop."""
    return Node(clock=ManualClock(), watchdog=None)


class Idle(GenServer):
    """Has nothing to do."""


class Register(GenServer):
    """Keeps the last number, and says what it was before."""

    def __init__(self) -> None:
        self.value = 0

    @call
    async def put(self, n: int) -> int:
        before, self.value = self.value, n
        return before

    @cast
    async def set(self, n: int) -> None:
        self.value = n

    @call
    def put_at_once(self, n: int) -> int:
        before, self.value = self.value, n
        return before

    async def handle_info(self, message: object) -> None:
        self.value += 1


NAMED = Name("register", Register)


@attrs.frozen
class World:
    """What an operation works on."""

    ref: ServerRef[Register]
    pool: ServerRef[Pool]


async def by_reference(world: World) -> None:
    assert await Register.put(world.ref, 1) is not None


async def by_name(world: World) -> None:
    assert await Register.put(NAMED, 1) is not None


async def plain_handler(world: World) -> None:
    assert await Register.put_at_once(world.ref, 1) is not None


async def one_way(world: World) -> None:
    Register.set(world.ref, 1)
    send(world.ref, "any")
    assert await Register.put(world.ref, 1) == 2


async def watching(world: World) -> None:
    link(world.ref)
    unlink(world.ref)
    assert demonitor(monitor(world.ref))


async def life_of_a_server(world: World) -> None:
    await stop(await start(child(Idle).named("short")))
    assert whereis("short") is None


async def life_of_a_process(world: World) -> None:
    gone = monitor(spawn(nothing))
    assert (await receive(Down)).ref == gone


async def restart(world: World) -> None:
    [info] = await DynamicSupervisor.which_children(world.pool)
    assert info.pid is not None
    send_exit(info.pid, Kill())
    await settled()
    [after] = await DynamicSupervisor.which_children(world.pool)
    assert after.pid not in (None, info.pid)


async def nothing() -> None:
    """Ends at once."""


Operation = Callable[[World], Awaitable[None]]
OPERATIONS: list[Operation] = [
    by_reference,
    by_name,
    plain_handler,
    one_way,
    watching,
    life_of_a_server,
    life_of_a_process,
    restart,
]


async def world() -> World:
    pool = await start_pool(intensity=ENDLESS)
    await DynamicSupervisor.start_child(pool, child(Idle))
    return World(await start(child(Register).named("register")), pool)


async def work_of(operation: Operation, on: World) -> Counter[str]:
    """Once everything has been made that is made when it is first needed."""
    await operation(on)
    await settled()
    with counted_calls() as count:
        await operation(on)
        await settled()
    return of_regrow(count)


# -- what others there are


async def test_an_operation_does_the_same_work_however_many_others_idle() -> None:
    """To the call: with a few other servers on the node, and with a great many."""
    work: dict[int, dict[str, Counter[str]]] = {}
    for others in (FEW, MANY):
        async with quiet_node():
            on = await world()
            for _ in range(others):
                await start(Idle)
            work[others] = {operation.__name__: await work_of(operation, on) for operation in OPERATIONS}
    assert all(work[FEW].values())
    assert work[MANY] == work[FEW]


async def test_to_try_a_node_that_is_absent_does_the_same_work_however_many_idle() -> None:
    """A node that shares an application with it tries it twice a second for as long as it is absent."""
    work: dict[int, Counter[str]] = {}
    for others in (FEW, MANY):
        network = MemoryNetwork()
        async with Node(
            "a@localhost", cookie="c", carrier=network.of("a@localhost"), clock=ManualClock(), watchdog=None
        ):
            for _ in range(others):
                await start(Idle)
            assert not await connect("absent@localhost")
            with counted_calls() as count:
                assert not await connect("absent@localhost")
            work[others] = of_regrow(count)
    assert work[FEW]
    assert work[MANY] == work[FEW]


# -- hooks


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_hook_runs_when_nobody_listens(operation: Operation) -> None:
    """Nothing of what watches messages is entered, and to have been watched leaves nothing behind."""
    work: dict[bool, Counter[str]] = {}
    for watched_before in (False, True):
        async with quiet_node():
            on = await world()
            if watched_before:
                await sys.trace(on.ref)
                await sys.install(on.ref, lambda state, event, _: state, None)
                await sys.no_debug(on.ref)
            work[watched_before] = await work_of(operation, on)
    assert hooks(work[False]) == Counter()
    assert work[True] == work[False]


@pytest.mark.parametrize("operation", [by_reference, by_name, plain_handler, one_way])
async def test_a_hook_is_seen_in_the_count_when_somebody_listens(operation: Operation) -> None:
    """Or else that none is seen would say nothing."""
    async with quiet_node():
        on = await world()
        await sys.statistics(on.ref)
        assert hooks(await work_of(operation, on))


def hooks(count: Counter[str]) -> Counter[str]:
    """What was done for those who watch messages."""
    return Counter({name: times for name, times in count.items() if name.startswith(("regrow.debug.", "regrow.sys."))})


# -- children


async def work_of_a_restart(strategy: str, held: int, crashing: int) -> tuple[Counter[str], int]:
    """How much it is, and how many children it touches: the last but so many of those held crashes."""
    script = Script()
    async with quiet_node():
        sup = await start_tree(*(worker(script, str(i)) for i in range(held)), strategy=strategy, intensity=ENDLESS)
        for _ in range(2):
            pid = await pid_of(sup, str(held - crashing))
            script.news()
            with counted_calls() as count:
                send_exit(pid, Kill())
                await settled()
        started = [event for event in script.news() if event.startswith("+")]
    return of_regrow(count), len(started)


@pytest.mark.parametrize(("strategy", "touched"), [("one_for_one", 1), ("rest_for_one", 3)])
async def test_a_restart_touches_what_its_strategy_says_whatever_else_is_held(strategy: str, touched: int) -> None:
    """One, or it and those after it: the work is the same among a few siblings and among hundreds."""
    few, many = [await work_of_a_restart(strategy, held, crashing=3) for held in (4, 400)]
    assert (few[1], many[1]) == (touched, touched)
    assert many[0] == few[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_restart_does_the_same_work_for_each_child_that_it_touches(strategy: str) -> None:
    """Where the first of all crashes: with `one_for_all` and `rest_for_one` that is the work of one, times all."""
    work = {held: (await work_of_a_restart(strategy, held, crashing=held))[0] for held in (20, 40, 60)}
    assert difference(work[60], work[40]) == difference(work[40], work[20])


async def test_stopping_dynamic_children_does_the_same_work_for_each() -> None:
    """As many again are as much work again, to the call."""
    work: dict[int, Counter[str]] = {}
    for number in (50, 100, 150):
        script = Script()
        async with quiet_node() as node:
            pool = await start_pool(intensity=ENDLESS)
            await add_all(pool, script, [str(i) for i in range(number)])
            gone = monitor(pool)
            await settled()
            with counted_calls() as count:
                send_exit(pool, Shutdown())
                assert await ended(gone) == Shutdown()
            assert living(node.runtime) == {}
        work[number] = of_regrow(count)
    assert difference(work[150], work[100]) == difference(work[100], work[50])


async def test_those_that_refuse_to_end_are_found_in_one_look(caplog: pytest.LogCaptureFixture) -> None:
    """However many there are: it was each for itself once, and a node with many of them looked for ever."""
    work: dict[int, Counter[str]] = {}
    for number in (20, 40, 60):
        clock, done = ManualClock(), anyio.Event()
        caplog.clear()
        async with Node(clock=clock, watchdog=None):
            killed = [spawn(shielded, done) for _ in range(number)]
            await settled()
            for pid in killed:
                send_exit(pid, Kill())
            await settled()
            with counted_calls() as count:
                clock.advance(REFUSAL_S)
                await settled()
            assert len(caplog.records) == number
            done.set()
        work[number] = of_regrow(count)
    assert difference(work[60], work[40]) == difference(work[40], work[20])


async def shielded(done: anyio.Event) -> None:
    with anyio.CancelScope(shield=True):
        await done.wait()


def difference(more: Counter[str], less: Counter[str]) -> dict[str, int]:
    """By how much each function was called more often."""
    return {name: more[name] - less[name] for name in sorted(more.keys() | less.keys())}
