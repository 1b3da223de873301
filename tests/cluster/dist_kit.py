"""What the tests of distributed applications share: applications that note where they run, and nodes to run them."""

from __future__ import annotations

from pathlib import Path

import anyio

from regrow import (
    Application,
    ChildSpec,
    GenServer,
    Kill,
    Node,
    ServerRef,
    StartType,
    Supervisor,
    application,
    child,
    current_node,
    send_exit,
    start_link,
    whereis,
)
from regrow._pure.config import Distributed, NodeConfig
from regrow.application_controller import LoadedApplication
from regrow.testing import MemoryNetwork

from .kit import reported
from .tcp_network import TcpNetwork

A, B, C = "a@localhost", "b@localhost", "c@localhost"
GROUPS = ((A,), (B, C))
WAIT_S = 0.3  # real time, like that of the carriers
LOG: list[tuple[str, str, StartType]] = []
"""Which application was started where, and how; in order."""
FAILS_AT: set[tuple[str, str]] = set()
"""Where an application cannot be started."""
SLOW_AT: dict[tuple[str, str], anyio.Event] = {}
"""Where a start takes until something happens."""
COPIES: list[tuple[str, str]] = []
"""The instances that are up."""


def forget() -> None:
    """Of what has happened, and of where it fails."""
    LOG.clear()
    FAILS_AT.clear()
    SLOW_AT.clear()
    COPIES.clear()


class Worker(GenServer):
    pass


class Tree(Supervisor):
    def __init__(self, name: str) -> None:
        self.name = name

    def init(self) -> list[ChildSpec]:
        return [child(Worker).named(f"{self.name}_worker")]


class App(Application):
    """Notes where it runs, and is slow or fails where it was told to."""

    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        self.place = (str(args[0]), current_node().name)
        if self.place in FAILS_AT:
            raise ValueError("it does not start here")
        if self.place in SLOW_AT:
            await SLOW_AT[self.place].wait()
        LOG.append((*self.place, start_type))
        COPIES.append(self.place)
        return await start_link(child(Tree, self.place[0]).named(f"{args[0]}_sup"))

    async def handoff(self) -> object:
        return f"what {self.place[1]} knew"

    async def stop(self) -> None:
        COPIES.remove(self.place)


class Sharing:
    """Nodes that share the applications `one` and `two`."""

    def __init__(self, folder: Path, network: MemoryNetwork | TcpNetwork) -> None:
        self._folder = folder
        self.network = network
        self.application("one")
        self.application("two")

    def application(self, name: str, *needs: str) -> None:
        """Let there be an application of that name, which needs others."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "application.toml").write_text(
            f'[application]\nname = "{name}"\nmodule = "{__name__}:App"\nargs = ["{name}"]\n'
            f"applications = {list(needs)}\n"
        )

    def node(
        self,
        name: str,
        groups: tuple[tuple[str, ...], ...] = GROUPS,
        *,
        two: tuple[tuple[str, ...], ...] = GROUPS,
        wait_s: float = WAIT_S,
        takeover: str = "stop_first",
        sync: tuple[str, ...] = (),
        mandatory: tuple[str, ...] = (),
        sync_s: float = 5.0,
    ) -> Node:
        config = NodeConfig(
            sync_nodes_optional=sync,
            sync_nodes_mandatory=mandatory,
            sync_nodes_timeout=sync_s if sync or mandatory else 0.0,
            distributed=(
                Distributed(application="one", groups=groups, wait=wait_s, takeover=takeover),
                Distributed(application="two", groups=two, wait=wait_s, takeover=takeover),
            ),
        )
        return Node(name, cookie="shared", path=[self._folder], config=config, carrier=self.network.of(name))


def seen(node: Node, name: str = "one") -> LoadedApplication:
    return node.applications.loaded[name]


def phase(node: Node, name: str = "one") -> str:
    loaded = node.applications.loaded.get(name)
    return "unknown" if loaded is None else loaded.phase.value


def known(*nodes: Node) -> bool:
    """Whether these nodes know each other's part in the application."""
    names = {node.name for node in nodes}
    controllers = [node.distribution for node in nodes]
    return all(
        c is not None and {p for p, _ in c.shared["one"].state.peers} >= names - {n.name}
        for c, n in zip(controllers, nodes, strict=True)
    )


async def start(node: Node, name: str = "one", restart: str = "temporary") -> None:
    with node.current():
        await application.start(name, restart)  # type: ignore[arg-type]


async def stop(node: Node, name: str = "one") -> None:
    with node.current():
        await application.stop(name)


async def take_over(node: Node, name: str = "one") -> None:
    with node.current():
        await application.takeover(name)


async def started(*nodes: Node, name: str = "one", restart: str = "temporary") -> None:
    """Start it on all of these, all at once; returns when each start has."""
    await reported(lambda: known(*nodes))
    async with anyio.create_task_group() as group:
        for node in nodes:
            group.start_soon(start, node, name, restart)


def kill(node: Node, name: str = "one_sup") -> None:
    """Kill a process of the node; by default the tree of `one`."""
    with node.current():
        pid = whereis(name)
        assert pid is not None
        send_exit(pid, Kill())
