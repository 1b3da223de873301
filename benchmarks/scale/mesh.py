"""Real nodes in one interpreter, connected in memory, on a clock that is turned: who says how much, and when.

It runs on trio, which can say when nobody has anything to do any more: then what was to be counted is over.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
from trio.testing import wait_all_tasks_blocked

from regrow import Node, application, global_name, self_pid, spawn
from regrow._pure.config import Distributed, NodeConfig
from regrow.testing import ManualClock

from .counted import CountedNetwork
from .said import Occasion

TICK_TIME_S = 60.0
LISTED = 3  # nodes of the application that does not run just anywhere
FEW, ALL = "on_few", "on_all"
STARTS_ON_FEW = f"an application starts, listed on {LISTED} nodes"
FAILS_OVER_ON_FEW = "its node dies: failover"
STARTS_ON_ALL = "another starts, listed and wanted on all"
FAILS_OVER_ON_ALL = "its node dies: failover"
APPS = Path(__file__).parent / "apps"


class Mesh:
    """Nodes that are all connected with each other."""

    def __init__(self, names: Sequence[str], network: CountedNetwork, folder: Path, stack: AsyncExitStack) -> None:
        self.names = list(names)
        self.network = network
        self.clock = ManualClock()
        self._nodes: dict[str, Node] = {}
        self._lost: set[str] = set()
        self._folder = folder
        self._stack = stack
        best = names[LISTED]  # where the other application does not run
        everywhere = (best,), tuple(name for name in names if name != best)
        groups = {FEW: ((names[0],), tuple(names[1:LISTED])), ALL: everywhere}
        self._config = NodeConfig(
            net_tick_time=TICK_TIME_S,
            distributed=tuple(Distributed(application=name, groups=groups[name]) for name in (FEW, ALL)),
        )

    async def add(self, name: str) -> None:
        """Start a node; returns when everybody has said what there is to say about that."""
        node = Node(
            name,
            config=self._config,
            cookie="counted",
            path=[APPS, self._folder],
            clock=self.clock,
            carrier=self.network.of(name),
            watchdog=None,
        )
        self._nodes[name] = await self._stack.enter_async_context(node)
        await wait_all_tasks_blocked()

    @property
    def up(self) -> int:
        """How many nodes there are."""
        return len(self._nodes) - len(self._lost)

    def connections(self) -> int:
        """How many all nodes have, each counted at both ends."""
        return sum(len(node.net_kernel.connected()) for node in self._nodes.values() if node.net_kernel is not None)

    async def idle(self) -> None:
        """A minute passes."""
        for _ in range(4):
            self.clock.advance(TICK_TIME_S / 4)
            await wait_all_tasks_blocked()

    async def start(self, name: str, on: Sequence[str]) -> None:
        """Start an application on these nodes, which all want it at the same time."""
        for node in on:
            with self._nodes[node].current():
                spawn(application.start, name)
        await wait_all_tasks_blocked()

    async def register(self, name: str) -> None:
        """A process of the node gets a global name."""
        with self._nodes[name].current():
            spawn(_with_a_global_name)
        await wait_all_tasks_blocked()

    async def lose(self, name: str) -> None:
        """A node falls off the network, as if its machine were switched off."""
        net = self._nodes[name].net_kernel
        assert net is not None, "it has a name"
        net.abort()
        self._lost.add(name)
        await wait_all_tasks_blocked()

    def runs(self, name: str) -> list[str]:
        """Where an application runs."""
        return [node.name for node in self._nodes.values() if name in node.applications.running]


async def _with_a_global_name() -> None:
    await global_name.register("counted", self_pid())
    await anyio.sleep_forever()


@asynccontextmanager
async def mesh(names: Sequence[str]) -> AsyncGenerator[Mesh]:
    """A mesh that has no nodes yet, but knows all that are to come."""
    with tempfile.TemporaryDirectory(prefix="regrow-") as folder:
        for name in (FEW, ALL):
            manifest = Path(folder) / name / "application.toml"
            manifest.parent.mkdir()
            manifest.write_text(f'[application]\nname = "{name}"\nmodule = "standing:Standing"\n')
        async with Node() as observer, AsyncExitStack() as stack:
            yield Mesh(names, CountedNetwork(observer.codec), Path(folder), stack)


async def mesh_of(count: int) -> list[Occasion]:
    """What happens in a mesh of so many nodes: the last one comes, and three go in the course of it."""
    names = [f"n{number}@localhost" for number in range(1, count + 1)]
    first, second, last = names[0], names[LISTED], names[-1]
    found: list[Occasion] = []
    async with mesh(names) as nodes:

        def happened(what: str) -> None:
            found.append(Occasion(what, nodes.up, nodes.network.news()))

        for name in names[:-1]:
            await nodes.add(name)
        nodes.network.news()
        await nodes.add(last)
        happened("a node comes")
        assert nodes.connections() == count * (count - 1), "a full mesh"
        await nodes.idle()
        happened("a minute passes")
        await nodes.register(last)
        happened("a global name is registered")
        await nodes.lose(last)
        happened("a node dies that runs nothing")
        await nodes.start(FEW, names[:LISTED])
        happened(STARTS_ON_FEW)
        await nodes.lose(first)
        happened(FAILS_OVER_ON_FEW)
        await nodes.start(ALL, names[1:-1])
        happened(STARTS_ON_ALL)
        assert nodes.runs(ALL) == [second], "its best node"
        await nodes.lose(second)
        happened(FAILS_OVER_ON_ALL)
    return found
