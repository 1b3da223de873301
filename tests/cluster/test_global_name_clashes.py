"""Two processes under one global name, once their nodes meet: who keeps it, and what becomes of the other."""

from __future__ import annotations

import random

import pytest
from anyio.lowlevel import checkpoint

from regrow import Kill, NameConflict, Node, NotPortable, Pid, connect, current_node, global_name, send_exit, spawn
from regrow.global_name import Resolver
from tests.harness import row

from .kit import MemoryCluster, connected, idle, idle_on, running, until
from .test_global_names import A, B, C, register_on, seen_from

OLDER, YOUNGER = 0, 1
CLASHES: dict[str, tuple[Resolver | None, int | None, list[int], list[int]]] = {
    # what resolves it, who keeps the name, who is killed, who is told of the other
    "default": (None, OLDER, [YOUNGER], []),
    "kill_younger": (global_name.kill_younger, OLDER, [YOUNGER], []),
    "notify_younger": (global_name.notify_younger, OLDER, [], [YOUNGER]),
    "notify_both": (global_name.notify_both, None, [], [OLDER, YOUNGER]),
    "one's own": (lambda _name, _older, younger: younger, YOUNGER, [], []),
    "one's own that raises": (lambda _name, _older, _younger: 1 // 0, None, [], []),
    "one's own that gives it to a third": (lambda _name, older, _: Pid(older.node, 0, 0, 0), None, [], []),
}


async def split(memory: MemoryCluster, a: Node, b: Node, resolve: Resolver | None) -> list[Pid]:
    """Part the nodes, and register a process of each under one name: the older, then the younger."""
    memory.network.cut(A, B)
    await until(lambda: not connected(a) and not connected(b))
    return [await register_on(b, "x", resolve=resolve), await register_on(a, "x", resolve=resolve)]


async def meet(memory: MemoryCluster, a: Node) -> None:
    memory.network.heal(A, B)
    with a.current():
        assert await connect(B)


@row("GLB-008", translated="the default keeps the older, not one of both at random, and kills the other as OTP does")
@pytest.mark.parametrize("how", CLASHES)
async def test_a_clash_is_resolved_on_all_nodes_alike(memory: MemoryCluster, how: str) -> None:
    """As the resolver of the older registration says; which node is the greater does not matter."""
    resolve, keeper, killed, told = CLASHES[how]
    async with running(memory.node(A), memory.node(B)) as (a, b):
        pids = await split(memory, a, b, resolve)
        processes = [b.runtime.processes[pids[OLDER]], a.runtime.processes[pids[YOUNGER]]]
        await meet(memory, a)
        keeps = None if keeper is None else pids[keeper]
        await until(lambda: seen_from(a, b) == [keeps, keeps])
        await until(lambda: [n for n, process in enumerate(processes) if process.ended is not None] == killed)
        await until(lambda: [n for n, process in enumerate(processes) if process.mailbox.queue] == told)
        for number in told:
            assert list(processes[number].mailbox.queue) == [NameConflict("x", pids[1 - number])]
        assert [n for n, process in enumerate(processes) if process.held] == [n for n in (0, 1) if n == keeper]
        if keeper is None:
            await register_on(a, "x")


async def test_a_clash_is_put_to_the_resolver_once(memory: MemoryCluster) -> None:
    """On the node of the older, whose verbs it may use, with the older first."""
    asked: list[tuple[str, str, Pid, Pid]] = []

    def resolve(name: str, older: Pid, younger: Pid) -> Pid:
        asked.append((current_node().name, name, older, younger))
        return older

    async with running(memory.node(A), memory.node(B)) as (a, b):
        older, younger = await split(memory, a, b, resolve)
        await meet(memory, a)
        await until(lambda: seen_from(a, b) == [older, older])
        await until(lambda: not a.runtime.processes[younger].held)
        assert asked == [(B, "x", older, younger)]


@row("GLB-007")
async def test_a_holder_that_both_sides_knew_all_the_time_is_no_clash(memory: MemoryCluster) -> None:
    """It lives on a third node that both have stayed connected with."""
    asked: list[object] = []

    def resolve(*clash: object) -> None:
        asked.append(clash)

    async with running(memory.node(A), memory.node(B), memory.node(C)) as (a, b, c):
        pid = await register_on(c, "x", resolve=resolve)
        memory.network.cut(A, B)
        await until(lambda: B not in connected(a) and A not in connected(b))
        assert seen_from(a, b, c) == [pid] * 3
        await meet(memory, a)
        for node in (a, b):
            with node.current():
                await global_name.sync()
        assert (seen_from(a, b, c), asked) == ([pid] * 3, [])


@row("GLB-010")
async def test_a_name_unregistered_during_a_split_stays_gone(memory: MemoryCluster) -> None:
    """The other side forgot it when the connection was lost, and is not told of it again."""
    async with running(memory.node(A), memory.node(B)) as (a, b):
        await register_on(a, "x")
        memory.network.cut(A, B)
        await until(lambda: not connected(a) and not connected(b))
        with a.current():
            assert await global_name.unregister("x")
        await meet(memory, a)
        for node in (a, b):
            with node.current():
                await global_name.sync()
        assert seen_from(a, b) == [None, None]


@row("GLB-011")
@pytest.mark.parametrize("dies", [OLDER, YOUNGER], ids=["older", "younger"])
async def test_a_holder_that_dies_as_the_nodes_meet_leaves_nothing(memory: MemoryCluster, dies: int) -> None:
    """Whether or not the resolver has been asked by then: nobody believes in the dead."""
    async with running(memory.node(A), memory.node(B)) as (a, b):
        pids = await split(memory, a, b, lambda _name, older, _younger: older)
        node, pid = (b, a)[dies], pids[dies]
        await meet(memory, a)
        with node.current():
            send_exit(pid, Kill())
        await until(lambda: pid not in node.runtime.processes)
        for each in (a, b):
            with each.current():
                await global_name.sync()
        held = [
            one
            for one in pids
            if any(one in each.runtime.processes and each.runtime.processes[one].held for each in (a, b))
        ]
        assert seen_from(a, b) == [held[0] if held else None] * 2
        assert pid not in held


async def test_a_resolver_travels_with_a_registration_if_it_is_portable(memory: MemoryCluster) -> None:
    """The node of the process asks it; what is not portable is refused where it was given."""
    async with running(memory.node(A), memory.node(B), memory.node(C)) as (a, b, c):
        pid = idle_on(b)
        with c.current():
            with pytest.raises(NotPortable):
                await global_name.register("x", pid, resolve=lambda _name, older, _younger: older)
            assert await global_name.register("x", pid, resolve=global_name.notify_younger)
        memory.network.cut(A, B)
        memory.network.cut(A, C)
        await until(lambda: not connected(a))
        younger = await register_on(a, "x")
        await meet(memory, a)
        await until(lambda: seen_from(a, b) == [pid, pid])
        await until(lambda: list(a.runtime.processes[younger].mailbox.queue) == [NameConflict("x", pid)])


@row("GLB-009")
@pytest.mark.parametrize("seed", range(5))
async def test_after_splits_and_deaths_in_any_order_all_nodes_agree(memory: MemoryCluster, seed: int) -> None:
    """Real nodes, with whatever comes of it while they part and meet; many more histories are in `tests/sim`."""
    chance = random.Random(seed)
    async with running(*(memory.node(name) for name in (A, B, C))) as nodes:
        pairs = [(A, B), (B, C), (A, C)]
        for _ in range(60):
            await one_turn(memory, chance, nodes, *chance.choice(pairs))
        for one, other in pairs:
            memory.network.heal(one, other)
        for node in nodes:
            with node.current():
                await until_connected(nodes)
                await global_name.sync()
        await until(lambda: len({*seen_from(*nodes)}) == 1)
        [holder] = {*seen_from(*nodes)}
        processes = [process for node in nodes for process in node.runtime.processes.values()]
        await until(lambda: [process.pid for process in processes if process.held] == ([holder] if holder else []))


async def one_turn(memory: MemoryCluster, chance: random.Random, nodes: tuple[Node, ...], one: str, other: str) -> None:
    """Something happens, and others get their turn before the next."""
    node = chance.choice(nodes)
    with node.current():
        match chance.choice(("cut", "heal", "heal", "register", "register", "replace", "unregister", "die")):
            case "cut":
                memory.network.cut(one, other)
            case "heal":
                memory.network.heal(one, other)
                await connect(chance.choice((one, other)))
            case "register":
                await global_name.register("x", spawn(idle))
            case "replace":
                await global_name.re_register("x", spawn(idle))
            case "unregister":
                await global_name.unregister("x")
            case _:
                holder = global_name.whereis("x")
                if holder is not None:
                    send_exit(holder, Kill())
    for _ in range(chance.randrange(5)):
        await checkpoint()


async def until_connected(nodes: tuple[Node, ...]) -> None:
    """The current node is connected with all others."""
    for node in nodes:
        while not await connect(node.name):
            await checkpoint()
