"""Who runs a distributed application: start, failover, takeover, and the bad days of OTP, on either carrier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from regrow import (
    Application,
    ApplicationError,
    ChildSpec,
    Failover,
    GenServer,
    Kill,
    Node,
    NormalStart,
    ProcessExited,
    ServerRef,
    StartType,
    Supervisor,
    Takeover,
    application,
    child,
    current_node,
    disconnect,
    send_exit,
    start_link,
    whereis,
)
from regrow._pure.config import Distributed, NodeConfig
from regrow.application_controller import LoadedApplication
from regrow.testing import MemoryNetwork
from tests.harness import row

from .kit import reported
from .tcp_network import TcpNetwork

A, B, C = "a@localhost", "b@localhost", "c@localhost"
GROUPS = ((A,), (B, C))
WAIT_S = 0.3  # real time, like that of the carriers
LOG: list[tuple[str, str, StartType]] = []
"""Which application was started where, and how; in order."""
FAILS_AT: set[tuple[str, str]] = set()
"""Where an application cannot be started."""
COPIES: list[tuple[str, str]] = []
"""The instances that are up."""


class Worker(GenServer):
    pass


class Tree(Supervisor):
    intensity = 0

    def init(self) -> list[ChildSpec]:
        return [child(Worker)]


class App(Application):
    """Notes where it runs, and fails where it was told to."""

    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        self.place = (str(args[0]), current_node().name)
        if self.place in FAILS_AT:
            raise ValueError("it does not start here")
        LOG.append((*self.place, start_type))
        COPIES.append(self.place)
        return await start_link(child(Tree).named(f"{args[0]}_sup"))

    async def handoff(self) -> object:
        return f"what {self.place[1]} knew"

    async def stop(self) -> None:
        COPIES.remove(self.place)


class Cluster:
    """Nodes that share applications."""

    def __init__(self, folder: Path, network: MemoryNetwork | TcpNetwork) -> None:
        self._folder = folder
        self.network = network
        for name in ("one", "two"):
            (folder / name).mkdir()
            (folder / name / "application.toml").write_text(
                f'[application]\nname = "{name}"\nmodule = "{__name__}:App"\nargs = ["{name}"]\n'
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


@pytest.fixture(params=["memory", "tcp"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("REGROW_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.syspath_prepend(str(tmp_path))  # put back afterwards, with what the nodes add
    folder = tmp_path / "apps"
    folder.mkdir()
    LOG.clear()
    FAILS_AT.clear()
    yield Cluster(folder, MemoryNetwork() if request.param == "memory" else TcpNetwork())
    COPIES.clear()


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


async def started(*nodes: Node, name: str = "one") -> None:
    """Start it on all of these, all at once; returns when each start has."""
    await reported(lambda: known(*nodes))
    async with anyio.create_task_group() as group:
        for node in nodes:
            group.start_soon(start, node, name)


@row("DAP-001", "DAP-016")
async def test_started_everywhere_at_once_it_runs_on_the_first_alone(cluster: Cluster) -> None:
    """Every start returns; the others know who has it; nobody else runs it, not even for a moment."""
    async with cluster.node(C) as c, cluster.node(B) as b, cluster.node(A) as a:
        await started(c, b, a)
        await reported(lambda: [phase(n) for n in (a, b, c)] == ["running", "standby", "standby"])
        assert [seen(n).runs_at for n in (a, b, c)] == [A, A, A]
        assert [("one", A, NormalStart())] == LOG
        with b.current(), pytest.raises(ApplicationError, match="already_started"):
            await application.start("one")


@row("DAP-001")
async def test_a_start_on_a_lesser_node_waits_for_the_better_one(cluster: Cluster) -> None:
    """As in OTP: it blocks until it runs somewhere, and nothing else of the node does."""
    async with cluster.node(A) as a, cluster.node(B) as b, anyio.create_task_group() as group:
        await reported(lambda: known(a, b))
        group.start_soon(start, b)
        await anyio.wait_all_tasks_blocked()
        assert (phase(b), LOG) == ("starting", [])
        await start(a)
        await reported(lambda: phase(b) == "standby")
        assert [("one", A, NormalStart())] == LOG


@row(
    "DAP-003",
    "DAP-004",
    "DAP-009",
    deviation="the failover type is always given: who takes over after a crash has to know",
)
async def test_it_fails_over_to_the_next_and_to_the_one_after(cluster: Cluster) -> None:
    """The next by precedence starts it, told where it ran."""
    async with cluster.node(C) as c:
        async with cluster.node(B) as b:
            async with cluster.node(A) as a:
                await started(a, b, c)
            await reported(lambda: ("one", B, Failover(A)) in LOG)
            await reported(lambda: seen(c).runs_at == B)
        await reported(lambda: phase(c) == "running")
    assert [entry for entry in LOG if entry[0] == "one"] == [
        ("one", A, NormalStart()),
        ("one", B, Failover(A)),
        ("one", C, Failover(B)),
    ]


@row("DAP-005", "DAP-006", deviation="a takeover stops first, so that there are never two; overlap is an option")
async def test_the_better_node_takes_it_over_when_it_starts_it(cluster: Cluster) -> None:
    """What the old instance hands over arrives at the new one, which starts when the old one is gone."""
    async with cluster.node(B) as b:
        await start(b)
        async with cluster.node(A) as a:
            await reported(lambda: known(a, b))
            await start(a)
            assert [("one", B, NormalStart()), ("one", A, Takeover(B, f"what {B} knew"))] == LOG
            assert COPIES == [("one", A)]
            await reported(lambda: phase(b) == "standby")


@row("DAP-006", translated="with takeover = overlap the new instance is up before the old one stops")
async def test_with_overlap_the_new_instance_is_up_before_the_old_one_stops(cluster: Cluster) -> None:
    """OTP's order, for who asks for it."""
    async with cluster.node(B, takeover="overlap") as b:
        await start(b)
        async with cluster.node(A, takeover="overlap") as a:
            await reported(lambda: known(a, b))
            await start(a)
            assert LOG[-1] == ("one", A, Takeover(B, None))
            await reported(lambda: phase(b) == "standby")
            assert COPIES == [("one", A)]


@row("DAP-007", "DAP-015")
async def test_a_node_of_the_same_group_stands_by(cluster: Cluster) -> None:
    """Inside a group nobody is better: nothing moves."""
    async with cluster.node(C) as c:
        await start(c)
        async with cluster.node(B) as b:
            await reported(lambda: known(b, c))
            await start(b)
            assert (phase(b), seen(b).runs_at) == ("standby", C)
            assert [("one", C, NormalStart())] == LOG


@row("DAP-012")
async def test_a_node_that_is_back_in_time_prevents_the_failover(cluster: Cluster) -> None:
    """It starts it as if for the first time."""
    async with cluster.node(B, wait_s=30.0) as b:
        async with cluster.node(A, wait_s=30.0) as a:
            await started(a, b)
        async with cluster.node(A, wait_s=30.0) as a:
            await start(a)
            await reported(lambda: seen(b).runs_at == A and phase(b) == "standby")
            assert [("one", A, NormalStart()), ("one", A, NormalStart())] == LOG


@row("DAP-013")
async def test_boot_waits_for_the_nodes_it_is_told_to_wait_for(cluster: Cluster) -> None:
    """For all that are listed, and no longer than the time for it; a mandatory one that is missing ends the boot."""
    async with cluster.node(B) as b, cluster.node(A, sync=(B,), sync_s=30.0) as a:
        assert a.net_kernel is not None and a.net_kernel.connected() == [B] and b.name == B
    with pytest.raises(Exception, match=r"mandatory nodes missing after 0\.1 s: b@localhost"):
        async with cluster.node(A, mandatory=(B,), sync_s=0.1):
            pass


@row("DAP-008")
async def test_in_a_group_the_node_that_runs_less_gets_it(cluster: Cluster) -> None:
    """Load first, then the name."""
    async with cluster.node(B, ((B, C),), two=((B,),)) as b, cluster.node(C, ((B, C),), two=((B,),)) as c:
        await reported(lambda: known(b, c))
        await start(b, "two")
        await started(b, c)
        assert LOG[-1] == ("one", C, NormalStart())


@row("DAP-010")
async def test_an_operator_moves_it_by_hand_and_it_stays_there(cluster: Cluster) -> None:
    """Whatever the precedence says; the better node does not take it back by itself."""
    async with cluster.node(A) as a, cluster.node(B) as b:
        await started(a, b)
        with b.current():
            await application.takeover("one")
        assert LOG[-1] == ("one", B, Takeover(A, f"what {A} knew"))
        await reported(lambda: (phase(a), seen(a).runs_at) == ("standby", B))
        with b.current(), pytest.raises(ApplicationError, match="already_running_locally"):
            await application.takeover("one")


@row("DAP-017", "DAP-018", "DAP-019")
async def test_a_permission_moves_it(cluster: Cluster) -> None:
    """Forbidden where it runs, it goes to the next; permitted on a better node again, it comes back."""
    async with cluster.node(A) as a, cluster.node(B) as b:
        await started(a, b)
        with a.current():
            await application.permit("one", False)
        await reported(lambda: phase(b) == "running")
        with b.current():
            await application.permit("one", False)
        await reported(lambda: COPIES == [])
        with a.current():
            await application.permit("one", True)
        await reported(lambda: COPIES == [("one", A)])


@row("DAP-022")
async def test_a_stop_ends_it_everywhere_and_every_standby_knows(cluster: Cluster) -> None:
    """Also one that is asked for on a standby; afterwards it can be started again."""
    async with cluster.node(A) as a, cluster.node(B) as b:
        await started(a, b)
        with b.current():
            await application.stop("one")
        assert COPIES == []
        await reported(lambda: (phase(a), phase(b)) == ("loaded", "loaded"))
        await started(a, b)
        assert COPIES == [("one", A)]


async def test_one_that_dies_by_itself_moves_to_the_next_and_ends_after_the_last(cluster: Cluster) -> None:
    """B1, B2: one attempt a node; then it is stopped everywhere, and its restart type applies."""
    async with cluster.node(A) as a, cluster.node(B) as b:
        await started(a, b)
        kill_tree(a)
        await reported(lambda: phase(b) == "running")
        assert LOG[-1] == ("one", B, Failover(A))
        await reported(lambda: seen(a).runs_at == B)
        kill_tree(b)
        await reported(lambda: (phase(a), phase(b)) == ("loaded", "loaded"))
        assert str(seen(b).reason) == "killed"
        await start(a)
        assert LOG[-1] == ("one", A, NormalStart())


async def test_a_permanent_one_takes_its_node_down_only_after_the_last_attempt(cluster: Cluster) -> None:
    """B1: no node dies while another can run it."""
    with pytest.raises(ProcessExited, match="application_terminated: one"):  # noqa: PT012 - the body is what ends
        async with cluster.node(B) as b:
            await start(b, restart="permanent")
            async with cluster.node(A) as a:
                await reported(lambda: known(a, b))
                await start(a)
                kill_tree(a)
                await reported(lambda: LOG[-1] == ("one", B, Failover(A)))
            kill_tree(b)
            await anyio.sleep_forever()


def kill_tree(node: Node) -> None:
    with node.current():
        pid = whereis("one_sup")
        assert pid is not None
        send_exit(pid, Kill())


async def test_a_node_where_it_does_not_start_is_passed_over(cluster: Cluster) -> None:
    """B3, B4, B5: at the first start, and at a failover."""
    FAILS_AT.update({("one", A), ("one", B)})
    async with cluster.node(A) as a, cluster.node(B) as b, cluster.node(C) as c:
        await started(a, b, c)
        assert [("one", C, NormalStart())] == LOG
        await reported(lambda: (seen(a).runs_at, seen(b).runs_at) == (C, C))
        assert str(seen(a).reason) == "ValueError: it does not start here"


async def test_two_applications_started_crosswise_both_start(cluster: Cluster) -> None:
    """B6, B7: opposite precedence, opposite order; all four starts return."""
    async with (
        cluster.node(A, ((A,), (B,)), two=((B,), (A,))) as a,
        cluster.node(B, ((A,), (B,)), two=((B,), (A,))) as b,
        anyio.create_task_group() as group,
    ):
        await reported(lambda: known(a, b))
        _start_both(group, b, "one", "two")
        _start_both(group, a, "two", "one")
        await reported(lambda: sorted(COPIES) == [("one", A), ("two", B)])


def _start_both(group: TaskGroup, node: Node, *names: str) -> None:
    for name in names:
        group.start_soon(start, node, name)


async def test_nodes_that_meet_late_keep_the_better_copy(cluster: Cluster) -> None:
    """B8, B10: started apart, they find two copies; the better one stays, the other is stopped in order."""
    async with cluster.node(A) as a, cluster.node(B) as b:
        await started(a, b)
        cluster.network.cut(A, B)
        await reported(lambda: sorted(COPIES) == [("one", A), ("one", B)])
        cluster.network.heal(A, B)
        await reported(lambda: COPIES == [("one", A)])
        await reported(lambda: (phase(b), seen(b).runs_at) == ("standby", A))


async def test_a_blip_of_the_connection_starts_nothing(cluster: Cluster) -> None:
    """B10: back before the wait is over, the one that runs goes on, and it is the only one."""
    async with cluster.node(A, wait_s=30.0) as a, cluster.node(B, wait_s=30.0) as b:
        await started(a, b)
        with a.current():
            disconnect(B)
        await reported(lambda: not known(a, b))
        await reported(lambda: known(a, b))
        assert b.distribution is not None
        await reported(lambda: not b.distribution.shared["one"].state.waiting)  # type: ignore[union-attr]
        assert COPIES == [("one", A)]


async def test_a_failed_takeover_leaves_a_healthy_copy(cluster: Cluster) -> None:
    """B9: the old node runs it again, with what it had handed over."""
    FAILS_AT.add(("one", A))
    async with cluster.node(B) as b, cluster.node(A) as a:
        await reported(lambda: known(a, b))
        with a.current():
            await application.permit("one", False)
        await start(b)
        with a.current():
            await application.permit("one", True)
        await start(a)
        await reported(lambda: COPIES == [("one", B)])
        assert LOG[-1] == ("one", B, Takeover(A, f"what {B} knew"))
        await reported(lambda: seen(a).runs_at == B)


@row("DAP-021")
async def test_different_lists_are_an_error_with_both_in_it(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """And no node dies of it."""
    async with cluster.node(A) as a, cluster.node(B, ((B,), (A,))) as b:
        await reported(lambda: "configured differently" in caplog.text)
        for node in (a, b):
            await reported(lambda node=node: bool(node.distribution.shared["one"].mismatches))  # type: ignore[union-attr,misc]
            with pytest.raises(ApplicationError, match="distribution_mismatch") as refused:
                await start(node, restart="permanent")
            assert f"'{A}'" in str(refused.value) and f"'{B}'" in str(refused.value)
