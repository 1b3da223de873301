"""Monitors of processes on other nodes."""

from __future__ import annotations

import pytest

from regrow import (
    Crash,
    Custom,
    Down,
    Kill,
    Killed,
    NoConnection,
    NoProc,
    Normal,
    Pid,
    Reason,
    RemoteError,
    ServerRef,
    Shutdown,
    Stop,
    demonitor,
    flush,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
)
from tests.harness import row

from .kit import Broken, Cluster, Echo, connected, echo_of, halt, idle, idle_on, reported, running, until

A, B, NOBODY = "a@localhost", "b@localhost", "nobody@localhost"


async def end_as_told() -> None:
    reason = await receive()
    if isinstance(reason, Reason):
        raise Stop(reason)
    raise Broken("badly")


class Unspeakable:
    """Can't leave its node, and says nothing about itself."""

    def __repr__(self) -> str:
        raise Broken("no repr")

    __str__ = __repr__


@row("MON-012")
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Custom(("out of", ["paper"])), Killed()])
async def test_a_down_tells_the_reason_by_pid_and_by_name(cluster: Cluster, reason: Reason) -> None:
    """Each with what was monitored, in the order of the monitors."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            pid = spawn(end_as_told)
            register("doomed", pid)
        with a.current():
            first, second = monitor(pid), monitor(("doomed", B))
            send(("doomed", B), reason)
            assert await receive() == Down(first, pid, reason)
            assert await receive() == Down(second, ("doomed", B), reason)


@row("MON-012")
async def test_monitoring_a_name_nobody_has_or_a_process_that_has_ended_is_a_down(cluster: Cluster) -> None:
    """With `NoProc`, as on one's own node."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = idle_on(b)
        with b.current():
            send_exit(pid, Kill())
            ref = monitor(pid)
            assert (await receive(Down)).ref == ref
        with a.current():
            by_pid, by_name = monitor(pid), monitor(("nobody", B))
            assert await receive() == Down(by_pid, pid, NoProc())
            assert await receive() == Down(by_name, ("nobody", B), NoProc())


@row("MON-011", "MON-013")
@row("MON-012")
async def test_monitoring_on_a_node_that_is_lost_or_was_never_there_is_a_down(cluster: Cluster) -> None:
    """It never raises; and again when asked again."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = idle_on(b)
        with a.current():
            ref = monitor(pid)
            halt(b)
            assert await receive() == Down(ref, pid, NoConnection())
            for item in (pid, ("any", B), ("any", NOBODY)):
                ref = monitor(item)
                assert await receive() == Down(ref, item, NoConnection())


async def test_the_reason_of_a_crash_is_data_and_reads_the_same(cluster: Cluster) -> None:
    """However it looked at home."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            pid = spawn(end_as_told)
        with a.current():
            monitor(pid)
            send(pid, "crash")
            reason = (await receive(Down)).reason
            assert str(reason) == "Broken: badly"
            assert isinstance(reason, Crash)
            assert isinstance(reason.exception, RemoteError)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Custom(Unspeakable()), Custom("(Unspeakable without a text)")),
        (lambda: Custom(object), Custom("<class 'object'>")),
        (lambda: Shutdown(object), Shutdown("<class 'object'>")),
        (lambda: Custom("x" * 2_000_000), Custom("x" * 10_000)),
        (lambda: Custom("half \ud800"), Custom("half \\ud800")),
        (lambda: Crash(Broken("x" * 2_000_000)), Crash(RemoteError("Broken", "x" * 10_000))),
    ],
    ids=["unspeakable", "a class", "a detail", "too long", "no text", "a long crash"],
)
async def test_a_reason_that_cannot_leave_its_node_is_told_as_text(
    cluster: Cluster, make: object, told: Reason
) -> None:
    """The end of a process is told to everybody, whatever it died of."""
    assert callable(make)

    async def end() -> None:
        await receive()
        raise Stop(make())

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with b.current():
            pid = spawn(end)
            here = monitor(pid)
        with a.current():
            there = monitor(pid)
            send(pid, "now")
            assert await receive() == Down(there, pid, told)
        with b.current():
            assert (await receive(Down)).ref == here


@row("MON-016")
async def test_nothing_is_left_of_monitors_on_either_side(cluster: Cluster) -> None:
    """Neither of those that fired, nor of those taken back, nor of those whose owner ended."""

    async def watch(pid: Pid, home: Pid) -> None:
        monitor(pid)
        send(home, "watching")
        await receive()

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        pid = idle_on(b)
        watchers = b.runtime.processes[pid].watchers
        with a.current():
            me = a.runtime.processes[self_pid()]
            kept, taken_back = monitor(pid), monitor(pid)
            owner = spawn(watch, pid, self_pid())
            assert await receive() == "watching"
            await until(lambda: len(watchers) == 3)
            assert demonitor(taken_back)
            assert not demonitor(taken_back)
            send(owner, "end")
            await until(lambda: list(watchers) == [kept])
            send_exit(pid, Custom("over"))
            assert await receive() == Down(kept, pid, Custom("over"))
            assert not me.monitors
            left = monitor(idle_on(b))
            await until(lambda: any(process.watchers for process in b.runtime.processes.values()))
            halt(a)
            assert (await receive(Down)).ref == left
            assert not me.monitors
        await reported(lambda: not connected(b))
        assert not [process for process in b.runtime.processes.values() if process.watchers]


async def test_after_a_demonitor_no_down_comes(cluster: Cluster) -> None:
    """Whatever was under way."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        echo = await echo_of(b)
        with a.current():
            for _ in range(20):
                pid = idle_on(b)
                ref = monitor(pid)
                send_exit(pid, Kill())
                assert demonitor(ref)
                assert await Echo.say(ServerRef(echo, Echo), 1) == 1
                assert flush() == []


@row("MON-018")
async def test_news_is_not_lost_when_the_line_is_busy(cluster: Cluster) -> None:
    """Behind some megabytes, every process's end still arrives, in its place."""

    async def talk_and_end(home: Pid) -> None:
        await receive()
        for number in range(10):
            send(home, (number, b"x" * 50_000))

    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            home = self_pid()
        with b.current():
            pids = [spawn(talk_and_end, home) for _ in range(10)]
        with a.current():
            refs = {monitor(pid): pid for pid in pids}
            gone = [idle_on(b) for _ in range(10)]
            for pid in pids:
                send(pid, "begin")
            for ref in [monitor(pid) for pid in gone]:
                demonitor(ref)
            for ref, pid in refs.items():
                assert await receive(lambda m, ref=ref: isinstance(m, Down) and m.ref == ref) == Down(
                    ref, pid, Normal()
                )
            assert len(flush()) == 100
        await until(lambda: not [p for p in b.runtime.processes.values() if p.watchers])


async def test_a_process_that_monitors_here_and_there_hears_of_each(cluster: Cluster) -> None:
    """References of two nodes do not meet."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            near, far = spawn(idle), idle_on(b)
            refs = {monitor(near): near, monitor(far): far}
            send_exit(near, Kill())
            send_exit(far, Kill())
            downs = [await receive(Down) for _ in range(2)]
            assert {down.ref: down.item for down in downs} == refs
