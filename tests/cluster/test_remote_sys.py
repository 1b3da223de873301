"""System messages to processes of other nodes."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
import pytest
from anyio import create_task_group

from regrow import (
    CallbackFailed,
    CallTimeout,
    Custom,
    GenServer,
    Name,
    NoConnection,
    Node,
    NoProcess,
    NotPortable,
    Pid,
    RemoteError,
    ServerExited,
    Supervisor,
    call,
    child,
    portable,
    send,
    start,
    sys,
)
from tests.harness import row
from tests.local.gen_server_kit import Attempt

from .kit import ECHO, Cluster, Echo, echo_on, running, until

A, B, NOBODY = "a@localhost", "b@localhost", "nobody@localhost"


@row("SYS-001", "SYS-002", "SYS-008", "SYS-011")
async def test_a_process_of_another_node_is_held_and_ended(cluster: Cluster) -> None:
    """By pid, by name, and by name and node, as one of the own node."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        ref = await echo_on(b)
        with a.current():
            for dest in (ref.pid, ECHO.at(B), ("echo", B)):
                await sys.suspend(dest)
                with pytest.raises(CallTimeout):
                    await Echo.say.with_timeout(0)(ECHO.at(B), "in vain")
                async with create_task_group() as group:
                    later = Attempt(group, Echo.say(ECHO.at(B), "later"))
                    await until(lambda: len(b.runtime.processes[ref.pid].mailbox.queue) == 2)
                    await sys.resume(dest)
                    assert await later.result() == "later"
            await sys.suspend(ref.pid)
            await sys.terminate(ECHO.at(B), Custom("enough"))
            for dest in (ref.pid, ECHO.at(B)):
                with pytest.raises(NoProcess):
                    await sys.suspend(dest)


@row("SYS-011")
async def test_a_node_that_cannot_be_reached_is_a_server_that_exited(cluster: Cluster) -> None:
    """At once, whatever the timeout."""
    async with cluster.node(A) as a:
        with a.current():
            for verb in (sys.suspend, sys.resume, sys.terminate):
                with pytest.raises(ServerExited) as lost:
                    await verb(Name("echo", Echo).at(NOBODY), timeout=None)
                assert lost.value.reason == NoConnection()


# -- state

HERE = [__name__]


@portable
@attrs.frozen
class Goods:
    """Portable, for nodes that know it."""

    pieces: int


@portable
def double(state: dict[str, Any]) -> dict[str, Any]:
    return state | {"goods": Goods(state["goods"].pieces * 2)}


@portable
def spoil(state: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("no")


@portable
def keep(seen: list[str] | None, event: sys.Event, attributes: dict[str, Any]) -> list[str]:
    seen = [*(seen or []), str(event)]
    attributes["seen"][:] = seen
    return seen


class Shop(GenServer):
    """Has some that can travel, and some that cannot."""

    def __init__(self) -> None:
        self.goods = Goods(3)
        self.open = anyio.Event()
        self.odd = "\udce9"
        self.seen: list[str] = []

    @call
    async def count(self) -> int:
        return self.goods.pieces

    def format_status(self, status: sys.Status) -> sys.Status:
        return status.hiding("goods")

    async def code_change(self, old_version: object, extra: int) -> None:
        self.goods = Goods(1 * extra)


SHOP = Name("shop", Shop).at(B)


async def open_shop(node: Node) -> Pid:
    with node.current():
        return (await start(child(Shop).named("shop"))).pid


@row("GEN-059", "SYS-003")
async def test_the_state_of_a_process_of_another_node_comes_as_far_as_it_can(cluster: Cluster) -> None:
    """What is portable as itself, anything else as it prints."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        pid = await open_shop(b)
        with a.current():
            for dest in (pid, SHOP, ("shop", B)):
                state = await sys.get_state(dest)
                assert state.pop("open").startswith("<anyio.")
                assert state == {"goods": Goods(3), "odd": "'\\udce9'", "seen": []}
            status = await sys.get_status(SHOP)
            assert (status.pid, status.name, status.label, status.suspended) == (pid, "shop", "Shop", False)
            assert status.state["goods"] == "(hidden)"


async def test_a_state_with_names_that_are_none_harms_no_connection(cluster: Cluster) -> None:
    """They are told as they print."""

    class Odd(GenServer):
        def __init__(self) -> None:
            self.__dict__[5] = "five"  # type: ignore[index]

        def format_status(self, status: sys.Status) -> sys.Status:
            return attrs.evolve(status, state={6: "six"})

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            pid = (await start(Odd)).pid
        with a.current():
            assert await sys.get_state(pid) == {"5": "five"}
            assert (await sys.get_status(pid)).state == {"6": "six"}


async def test_what_the_own_node_does_not_know_is_said_to_be_unreadable(cluster: Cluster) -> None:
    """The rest of the state is there all the same."""
    async with running(cluster.node(A), cluster.node(B, portable=HERE)) as (a, b):
        await open_shop(b)
        with a.current():
            state = await sys.get_state(SHOP)
            assert state["goods"].startswith("(unreadable: nothing portable here is called")
            assert state["seen"] == []


@row("GEN-059", "SYS-007")
async def test_the_state_of_a_process_of_another_node_is_replaced_there(cluster: Cluster) -> None:
    """By a function that both nodes know; what it raises is the caller's error."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        await open_shop(b)
        with a.current():
            assert (await sys.replace_state(SHOP, double))["goods"] == Goods(6)
            with pytest.raises(CallbackFailed) as failed:
                await sys.replace_state(SHOP, spoil)
            assert str(failed.value.reason) == "ValueError: no"
            with pytest.raises(NotPortable):
                await sys.replace_state(SHOP, lambda state: state)
            assert await Shop.count(SHOP) == 6


async def test_an_operation_that_the_other_node_cannot_read_is_answered_with_that(cluster: Cluster) -> None:
    """It does not know the function; nobody waits for an answer that will not come."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B)) as (a, b):
        await open_shop(b)
        with a.current():
            with pytest.raises(RemoteError, match="cannot read the arguments"):
                await sys.replace_state(SHOP, double, timeout=None)
            assert await Shop.count(SHOP) == 3


@row("GEN-060", "SUP-102")
async def test_a_process_of_another_node_is_moved_to_another_version(cluster: Cluster) -> None:
    """A server by its `code_change`; and a supervisor looks at its flags and children again."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        await open_shop(b)
        with b.current():
            sup = (await start(Supervisor)).pid
        with a.current():
            await sys.suspend(SHOP)
            await sys.change_code(SHOP, 1, 20)
            await sys.resume(SHOP)
            assert await Shop.count(SHOP) == 20
            with pytest.raises(CallbackFailed):
                await sys.change_code(SHOP, 1, None)
            await sys.change_code(sup, 1)


# -- watching


@row("SYS-005", "SYS-006")
async def test_a_process_of_another_node_is_watched(cluster: Cluster) -> None:
    """Its log and its counts come over; a function is installed there."""
    async with running(cluster.node(A, portable=HERE), cluster.node(B, portable=HERE)) as (a, b):
        pid = await open_shop(b)
        with a.current():
            await sys.log(SHOP, 5)
            await sys.statistics(SHOP)
            await sys.install(SHOP, keep, "kept")
            await sys.trace(SHOP, False)
            assert await Shop.count(SHOP) == 3
            send(pid, Goods(1))
            asked, replied, sent = await sys.get_log(SHOP)
            assert isinstance(asked, sys.In)
            assert str(asked.message).startswith("Call(count()")
            assert isinstance(replied, sys.Out)
            assert (replied.reply, sent) == (3, sys.In(Goods(1)))
            counted = await sys.get_statistics(SHOP)
            assert counted is not None
            assert (counted.messages_in, counted.messages_out) == (2, 1)
            assert len((await sys.get_state(SHOP))["seen"]) == 3
            status = await sys.get_status(SHOP)
            assert (status.debug, len(status.log)) == (("log", "statistics", "kept"), 3)
            await sys.remove(SHOP, "kept")
            await sys.no_debug(SHOP)
            assert (await sys.get_status(SHOP)).debug == ()
