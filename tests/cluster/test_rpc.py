"""Functions called on other nodes: what they return or raise, what may go wrong on the way, and who may."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from regrow import (
    CalleeExited,
    CallTimeout,
    Custom,
    Kill,
    Killed,
    MandatoryNodesMissing,
    NoConnection,
    Node,
    Normal,
    NotPortable,
    Pid,
    RemoteError,
    RequestCollection,
    RpcRefused,
    ServerExited,
    Shutdown,
    flush,
    gen_call,
    gen_cast,
    monitor,
    portable,
    receive,
    registered,
    rpc,
    self_pid,
    send,
    send_exit,
    whereis,
)
from regrow._pure.config import NodeConfig
from regrow.rpc_words import SERVER, Unknown
from regrow.testing import ManualClock
from tests.harness import row

from . import rpc_kit as kit
from .kit import Cluster, MemoryCluster, halt, running, until, warnings

A, B, C = "a@localhost", "b@localhost", "c@localhost"
KIT = [kit.__name__]


def one(cluster: Cluster) -> Node:
    """The node that calls: it allows nothing, and names no module."""
    return cluster.node(A)


def other(cluster: Cluster, name: str = B) -> Node:
    """A node that allows calls."""
    return cluster.node(name, portable=KIT, rpc="portable")


@portable
def known_here_only() -> str:
    return "nobody over there has this function"


# -- what comes of it


@row("RPC-001", translated="`RemoteError`; `CalleeExited`, which says whether a signal ended it; Python has no throw")
async def test_a_call_brings_what_the_function_returned(cluster: Cluster) -> None:
    """A plain one and an async one; it runs on the other node, in a process of its own."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current():
            assert await rpc.call(B, kit.multiply, 6, 7) == 42
            assert await rpc.call(B, partial(kit.multiply, 6), 7) == 42
            assert await rpc.call(B, partial(kit.keyed, 1, key=2), 3) == ((1, 3), {"key": 2})
            first, second = await rpc.call(B, kit.where), await rpc.call(B, kit.where)
            assert first[0] == B == first[1].node
            assert first[1] != second[1]


@row("RPC-001", translated="`RemoteError`; `CalleeExited`, which says whether a signal ended it; Python has no throw")
async def test_what_a_function_raises_comes_as_data(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback; it is the caller's news, and no crash of the node that ran it."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current(), pytest.raises(RemoteError) as raised:
            await rpc.call(B, kit.fail, "badly")
    assert (raised.value.type_name, raised.value.text) == ("Broken", "badly")
    assert "in fail" in raised.value.traceback
    assert not warnings(caplog, "Broken")


@row("RPC-001", translated="`RemoteError`; `CalleeExited`, which says whether a signal ended it; Python has no throw")
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Custom("enough")])
async def test_a_function_that_ends_its_process_is_told_from_one_that_returns(cluster: Cluster, reason: Any) -> None:
    """Also in order: nothing was returned."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current(), pytest.raises(CalleeExited) as ended:
            await rpc.call(B, kit.leave, reason)
    assert (ended.value.reason, ended.value.by_signal) == (reason, False)
    assert f"rpc_kit.leave on {B} ended before it returned: {reason}" in str(ended.value)


@row("RPC-001", translated="`RemoteError`; `CalleeExited`, which says whether a signal ended it; Python has no throw")
@pytest.mark.parametrize(("signal", "reason"), [(Kill(), Killed()), (Custom("enough"), Custom("enough"))])
async def test_an_exit_signal_that_ends_a_function_is_seen_at_once(cluster: Cluster, signal: Any, reason: Any) -> None:
    """Whatever the timeout."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current():
            request = rpc.send_request(B, kit.linger, self_pid())
            send_exit(await receive(Pid), signal)
            with pytest.raises(CalleeExited) as ended:
                await request.receive()
    assert (ended.value.reason, ended.value.by_signal) == (reason, True)


async def test_a_node_calls_itself_as_it_calls_others(cluster: Cluster) -> None:
    """What works there works here: in a process of its own, and what it raises is data."""
    async with other(cluster) as b:
        with b.current():
            name, pid = await rpc.call(B, kit.where)
            assert (name, pid != self_pid()) == (B, True)
            with pytest.raises(RemoteError, match="Broken: badly"):
                await rpc.call(B, kit.fail, "badly")


# -- what goes wrong on the way


@row("RPC-002", translated="as `CallTimeout`, `ServerExited(NoConnection())`, `RpcRefused` and `NotPortable`")
async def test_errors_of_the_way_are_not_those_of_the_function(cluster: Cluster) -> None:
    """Even where the function meets the very same."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current():
            with pytest.raises(RemoteError, match="CallTimeout: no reply from something else"):
                await rpc.call(B, kit.out_of_time)
            with pytest.raises(CalleeExited) as ended:
                await rpc.call(B, kit.leave, NoConnection())
            assert ended.value.reason == NoConnection()
            with pytest.raises(ServerExited) as lost:
                await rpc.call("nowhere@localhost", kit.multiply, 1, 1)
            assert lost.value.reason == NoConnection()


@row("RPC-002", translated="as `CallTimeout`, `ServerExited(NoConnection())`, `RpcRefused` and `NotPortable`")
async def test_what_cannot_cross_is_not_portable(cluster: Cluster) -> None:
    """The function, its arguments, and what it returns, wherever that is found out."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current():
            for unfit in (kit.unmarked, lambda: 1, print, partial(kit.unmarked), Node):
                with pytest.raises(NotPortable, match="no function that is marked @portable"):
                    await rpc.call(B, unfit)
                with pytest.raises(NotPortable, match="no function that is marked @portable"):
                    rpc.cast(B, unfit)
            with pytest.raises(NotPortable):
                await rpc.call(B, kit.tell, self_pid(), object())
            with pytest.raises(NotPortable, match="object"):
                await rpc.call(B, kit.opaque)
            assert await rpc.call(B, kit.multiply, 6, 7) == 42


@row("RPC-003")
async def test_the_timeout_holds_if_the_other_node_is_stuck(memory: MemoryCluster) -> None:
    """And what comes late reaches nobody. The function may still run, once: the call can't know."""
    clock = ManualClock()
    async with running(memory.node(A, clock=clock), other(memory)) as (a, _):
        with a.current():
            memory.network.stall(A, B)
            async with anyio.create_task_group() as group:

                async def call() -> None:
                    with pytest.raises(CallTimeout, match=r"tell\(.*\) within 2.0 s"):
                        await rpc.call(B, kit.tell, home, "late", timeout=2.0)

                home = self_pid()
                group.start_soon(call)
                await anyio.wait_all_tasks_blocked()
                clock.advance(2.0)
            memory.network.heal(A, B)
            assert await receive(timeout=None) == "late"
            assert await rpc.call(B, kit.multiply, 6, 7) == 42
            assert flush() == []


@row("RPC-003")
async def test_a_late_result_vanishes(cluster: Cluster) -> None:
    """The function runs on; its process is not ended because nobody waits."""
    clock = ManualClock()
    async with running(cluster.node(A, clock=clock), other(cluster)) as (a, b):
        with a.current():
            async with anyio.create_task_group() as group:

                async def call() -> None:
                    with pytest.raises(CallTimeout):
                        await rpc.call(B, kit.linger, home, timeout=2.0)

                home = self_pid()
                group.start_soon(call)
                callee = await receive(Pid)
                clock.advance(2.0)
            assert callee in b.runtime.processes
            send_exit(callee, Kill())
            assert await rpc.call(B, kit.multiply, 6, 7) == 42
            assert flush() == []


@row("RPC-004")
async def test_the_loss_of_the_node_is_noticed_at_once(cluster: Cluster) -> None:
    """Though the call would wait for ever."""
    async with running(one(cluster), other(cluster)) as (a, b):
        with a.current():
            request = rpc.send_request(B, kit.linger, self_pid())
            await receive(Pid)
            halt(b)
            with pytest.raises(ServerExited) as lost:
                await request.receive()
            assert lost.value.reason == NoConnection()


async def test_a_call_does_not_outlive_the_node_that_carries_it_out(cluster: Cluster) -> None:
    """It stops in order; its callers are told."""
    async with one(cluster) as a:
        async with other(cluster):
            with a.current():
                request = rpc.send_request(B, kit.linger, self_pid())
                await receive(Pid)
        with a.current(), pytest.raises(ServerExited) as ended:
            await request.receive()
    assert ended.value.reason in (Shutdown(), NoConnection())


# -- the other forms


@row("RPC-005")
async def test_a_cast_is_silent_whatever_happens(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """A node that is not there, one that allows nothing, a function it does not have, one that fails."""
    async with running(one(cluster), other(cluster), cluster.node(C)) as (a, _, _):
        with a.current():
            for node in ("nowhere@localhost", C, A):
                rpc.cast(node, kit.tell, self_pid(), "never")
            rpc.cast(B, known_here_only)
            rpc.cast(B, kit.fail, "badly")
            rpc.cast(B, kit.tell, self_pid(), "done")
            assert await receive(timeout=5.0) == "done"
            await until(lambda: warnings(caplog, "Broken: badly"))
    assert warnings(caplog, "can't run what is not portable here: tests.cluster.test_rpc.known_here_only()")


@row("RPC-006", translated="as `Returned(value)` and `Failed(error)`, whose error is what `call` would have raised")
async def test_a_multicall_gives_a_result_for_each_node_in_their_order(cluster: Cluster) -> None:
    """Whatever became of it."""
    async with running(one(cluster), other(cluster), other(cluster, C)) as (a, _, _):
        with a.current():
            results = await rpc.multicall([C, "nowhere@localhost", B, A], kit.multiply, 6, 7)
            assert [results[0], results[2]] == [rpc.Returned(42)] * 2
            lost, refused = results[1], results[3]
            assert isinstance(lost, rpc.Failed)
            assert isinstance(lost.error, ServerExited)
            assert isinstance(refused, rpc.Failed)
            assert isinstance(refused.error, RpcRefused)
            [raised] = await rpc.multicall([B], kit.fail, "badly")
            assert isinstance(raised, rpc.Failed)
            assert isinstance(raised.error, RemoteError)
            with pytest.raises(NotPortable):
                await rpc.multicall([B, C], kit.unmarked)


@row("RPC-006")
async def test_a_multicall_takes_as_long_as_one_call(memory: MemoryCluster) -> None:
    """All are asked before any is waited for, and one deadline holds for all."""
    clock = ManualClock()
    async with running(memory.node(A, clock=clock), other(memory), other(memory, C)) as (a, _, _):
        with a.current():
            memory.network.stall(A, B)
            async with anyio.create_task_group() as group:

                async def multicall() -> None:
                    stuck, quick = await rpc.multicall([B, C], kit.multiply, 6, 7, timeout=2.0)
                    assert isinstance(stuck, rpc.Failed)
                    assert isinstance(stuck.error, CallTimeout)
                    assert quick == rpc.Returned(42)

                group.start_soon(multicall)
                await anyio.wait_all_tasks_blocked()
                clock.advance(2.0)
            memory.network.heal(A, B)


@row("RPC-007", translated="as a `SentRequest`, the same that a server is asked with")
async def test_a_result_can_be_waited_for_later_or_given_up(cluster: Cluster) -> None:
    """In a collection too; what went wrong is raised where it is waited for."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current():
            requests = RequestCollection[Any, str]()
            requests.add(rpc.send_request(B, kit.multiply, 6, 7), "product")
            request, label = await requests.receive(5.0)
            assert (label, await request.wait()) == ("product", 42)
            failing = rpc.send_request(B, kit.fail, "badly")
            for _ in range(2):
                with pytest.raises(RemoteError, match="Broken: badly"):
                    await failing.wait(5.0)
            slow = rpc.send_request(B, kit.linger, self_pid())
            await receive(Pid)
            with pytest.raises(CallTimeout):
                await slow.wait(0)
            slow.abandon()
            with pytest.raises(RuntimeError, match="never comes"):
                await slow.wait()


# -- who may


@row("RPC-008", translated="there is one kind of rpc, and what goes wrong is raised")
async def test_a_node_runs_nothing_for_others_unless_it_says_so(cluster: Cluster) -> None:
    """Naming a module is not enough: it only says what may cross."""
    async with running(one(cluster), cluster.node(B, portable=KIT)) as (a, b):
        with a.current():
            with pytest.raises(RpcRefused, match=f'{B} runs nothing for others: .*rpc = "portable"'):
                await rpc.call(B, kit.tell, self_pid(), "never")
            with pytest.raises(RpcRefused, match=f"{A} runs nothing"):
                await rpc.call(A, kit.tell, self_pid(), "never")
            assert flush() == []
        with b.current():
            assert registered() == []


async def test_only_functions_of_modules_that_the_node_names_itself_are_run(cluster: Cluster) -> None:
    """The caller can name what it likes."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current(), pytest.raises(RpcRefused, match=r"has no portable function .*known_here_only"):
            await rpc.call(B, known_here_only)


async def test_the_configuration_says_so_too() -> None:
    """And the program has the last word."""
    on = NodeConfig(rpc="portable")
    assert Node(config=on).rpc == "portable"
    assert Node(config=on, rpc="off").rpc == Node().rpc == "off"
    with pytest.raises(ValueError, match="rpc is one of 'off', 'portable', not 'all'"):
        Node(rpc="all")  # type: ignore[arg-type]
    async with Node(config=on, portable=KIT) as node:
        assert await rpc.call(node.name, kit.multiply, 6, 7) == 42


# -- the server


async def test_a_server_that_was_killed_is_started_again(cluster: Cluster) -> None:
    """What it had in hand is lost, as with any server."""
    async with running(one(cluster), other(cluster)) as (a, b):
        with a.current():
            request = rpc.send_request(B, kit.linger, self_pid())
            await receive(Pid)
            with b.current():
                server = whereis(SERVER)
                assert server is not None
                send_exit(server, Kill())
                await until(lambda: whereis(SERVER) not in (None, server))
            with pytest.raises(ServerExited) as ended:
                await request.receive()
            assert ended.value.reason == Killed()
            assert await rpc.call(B, kit.multiply, 6, 7) == 42


async def test_nonsense_does_not_harm_the_server(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Everybody who has the cookie can send it anything."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current():
            monitor((SERVER, B))
            assert await gen_call((SERVER, B), "nonsense") == Unknown()
            gen_cast((SERVER, B), "nonsense")
            send((SERVER, B), "nonsense")
            assert await rpc.call(B, kit.multiply, 6, 7) == 42
            assert flush() == []
    assert warnings(caplog, "can't run what is not portable here: 'nonsense'")


async def test_arguments_that_do_not_fit_are_the_function_s_error(cluster: Cluster) -> None:
    """As if it had been called with them here."""
    async with running(one(cluster), other(cluster)) as (a, _):
        with a.current(), pytest.raises(RemoteError, match="TypeError"):
            await rpc.call(B, kit.multiply, 1, 2, 3)  # type: ignore[call-overload]


async def test_a_node_that_cannot_start_leaves_no_server(memory: MemoryCluster) -> None:
    """It was there already, so that nobody who could connect was refused."""
    config = NodeConfig(rpc="portable", sync_nodes_mandatory=(B,), sync_nodes_timeout=0.01)
    node = Node(A, cookie="secret", config=config, carrier=memory.network.of(A))
    with pytest.raises(MandatoryNodesMissing):
        await node.__aenter__()
