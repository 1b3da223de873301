"""What tools show of dynamic supervisors: their children in the tree, and what comes of a kill."""

from __future__ import annotations

from pathlib import Path

from regrow import DynamicSupervisor, Kill, Node, Normal, child, inspect, monitor, spawn, start_link, trap_exit
from regrow.cli import output
from regrow.inspect import TreeNode, as_json
from tests.harness import row
from tests.local.control_kit import controlled
from tests.local.dynamic_kit import ENDLESS, Pool, add, pids, start_pool
from tests.local.supervisor_kit import Script, end, ended, settled


@row("SUP-103", translated="as the label in the tree and in the list of processes")
async def test_the_tree_shows_dynamic_children_with_their_class_and_restarts() -> None:
    """The supervisor is named with its class; its children follow, oldest first, also the one between two tries."""
    script = Script()
    async with Node("a@h") as node:
        trap_exit(True)
        pool = await start_link(child(Pool, intensity=ENDLESS, period=60.0).named("pool"))
        a, b = await add(pool, script, "a", restart="transient"), await add(pool, script, "b")
        await end(a.pid, Kill())
        script.broken.add("b")
        await end(b.pid, Kill())
        again = (await pids(pool))["a"]
        assert again is not None
        gate = script.gate("c")
        starting = monitor(spawn(add, pool, script, "c"))
        await settled()  # it starts c, and will try b again after that
        (tree,) = [each for each in inspect.tree(node) if each.name == "pool"]
        assert (tree.name, tree.pid, tree.type, tree.label) == ("pool", pool.pid, "supervisor", "Pool")
        assert tree.supervision is not None
        assert (tree.supervision.strategy, tree.supervision.intensity) == ("one_for_one", ENDLESS)
        first, starts, second = tree.children
        assert (starts.name, starts.status) == ("c", "running")
        assert (first.name, first.pid, first.restarts, first.restart) == ("a", again, 1, "transient")
        assert second == TreeNode("b", None, "worker", 0, status="restarting", restart="permanent")
        printed = output.tree(as_json([tree]))
        assert f"├─ a {again}  Worker" in printed
        assert "└─ b restarting" in printed
        gate.set()
        assert await ended(starting) == Normal()
        labels = {each.pid: each.label for each in inspect.processes(node)}
        assert (labels[pool.pid], labels[again]) == ("Pool", "Worker")


async def test_the_supervisor_of_a_dynamic_child_is_found() -> None:
    """By the child's process, without a walk through all trees; a process that it has not started has none."""
    script = Script()
    async with Node("a@h") as node:
        pool = await start_pool()
        a = await add(pool, script, "a")
        found = inspect.supervisor_of(node, node.runtime.processes[a.pid])
        assert found is not None
        assert (found[0].pid, found[1].spec.id) == (pool.pid, "a")
        assert inspect.supervisor_of(node, found[0]) is None


async def test_a_killed_dynamic_child_is_followed_among_others_of_its_id(tmp_path: Path) -> None:
    """Its twin is between two tries all the time: that must not be taken for its own fate."""
    script = Script()
    async with controlled(tmp_path) as node:
        pool = await start_pool(intensity=ENDLESS)
        twin, a = await add(pool, script, "twin"), await add(pool, script, "a")
        script.broken.add("twin")
        await end(twin.pid, Kill())
        told = await node.ask("kill", process=str(a.pid))
        assert told["outcome"] == "restarted"
        assert told["restarted_as"] == str((await pids(pool))["a"])
        await DynamicSupervisor.terminate_child(pool, twin)
        await settled()
        assert list(await pids(pool)) == ["a"]
