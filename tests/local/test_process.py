"""Processes: how they end by themselves, in which order one hears of it, and who is none."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regrow import (
    Crash,
    Custom,
    Down,
    Exit,
    GenServer,
    Kill,
    Name,
    Node,
    NoProc,
    NoProcess,
    Normal,
    NotAProcess,
    NotInNode,
    Pid,
    ServerRef,
    Shutdown,
    Stop,
    call,
    cast,
    current_node,
    demonitor,
    flush,
    link,
    make_ref,
    monitor,
    receive,
    register,
    registered,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_link,
    spawn_monitor,
    start,
    trap_exit,
    unlink,
    unregister,
    whereis,
)
from tests.harness import row

from .process_kit import Broken, crash, end_of, end_with, idle, ready, report_to, reported, settled, start_outsider


class Scale(GenServer):
    """A server for outsiders to talk to."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @call
    async def weigh(self) -> list[object]:
        return self.seen

    @cast
    async def put(self, what: object) -> None:
        self.seen.append(what)

    async def handle_info(self, message: object) -> None:
        self.seen.append(message)


# -- how a process ends by itself


@row("PRC-001")
async def test_a_process_whose_function_returns_ends_with_normal() -> None:
    """What a function returns is not a reason: links and monitors see the same `Normal`."""

    async def work() -> str:
        return "ignored"

    async with Node():
        trap_exit(True)
        pid = spawn_link(work)
        ref = monitor(pid)
        assert await receive(Exit) == Exit(pid, Normal())
        assert await receive(Down) == Down(ref, pid, Normal())


@row("PRC-011", translated="an exception is the error and its trace in one; there is no other kind of throw")
async def test_an_uncaught_exception_is_the_reason_with_its_traceback() -> None:
    """Who hears of a crash sees the very exception, so that its type and its place can be told."""
    error = Broken("broken")
    async with Node() as node:
        reason = await end_of(spawn(crash, error))
        assert reason == Crash(error)
        assert str(reason) == "Broken: broken"
        report = node.runtime.reports.crashes[-1]
        assert str(report.reason) == str(reason)
        assert "in crash" in report.traceback


@row("PRC-011")
async def test_a_reason_given_with_stop_is_the_plain_reason() -> None:
    """`raise Stop(reason)` is OTP's `exit(Reason)`: no crash, nothing wrapped around it."""
    async with Node():
        assert await end_of(spawn(end_with, Custom("out of paper"))) == Custom("out of paper")
        assert await end_of(spawn(end_with, Shutdown("moving"))) == Shutdown("moving")


async def test_a_stop_that_a_task_group_has_wrapped_is_still_a_stop() -> None:
    """A task group wraps whatever is raised in it; a process may use one and end with a reason all the same."""

    async def work() -> None:
        async with anyio.create_task_group():
            raise Stop(Custom("enough"))

    async with Node() as node:
        assert await end_of(spawn(work)) == Custom("enough")
        assert len(node.runtime.reports.crashes) == 1


async def test_a_group_with_one_exception_is_unwrapped_and_a_larger_one_is_kept() -> None:
    """The reason should be what went wrong, not how it travelled; two failures are two."""
    error = Broken("inner")
    both = ExceptionGroup("two", [Broken("a"), Broken("b")])
    async with Node():
        assert await end_of(spawn(crash, ExceptionGroup("one", [ExceptionGroup("deeper", [error])]))) == Crash(error)
        assert await end_of(spawn(crash, both)) == Crash(both)


async def test_every_crash_leaves_one_report_and_those_it_takes_down_leave_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One cause, one report: the rest of the links would only hide it."""
    async with Node() as node:
        victim = spawn(report_to, self_pid(), trap=False)
        await ready(victim)

        async def fail() -> None:
            link(victim)
            raise Broken("once")

        first = spawn(fail)
        assert isinstance(await end_of(victim), Crash)
        assert [report.pid for report in node.runtime.reports.crashes] == [first]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "Broken: once" in caplog.text


async def test_quiet_ends_leave_no_report(caplog: pytest.LogCaptureFixture) -> None:
    """`Normal` and `Shutdown` are how things are meant to end."""
    async with Node() as node:
        await end_of(spawn(end_with, Normal()))
        await end_of(spawn(end_with, Shutdown("done")))
        assert not node.runtime.reports.crashes
        assert not caplog.records


async def test_an_exception_without_a_printable_text_harms_nobody_else() -> None:
    """A failing `__str__` must not turn the crash of one process into the end of the node."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async with Node():
        reason = await end_of(spawn(crash, Mute()))
        assert str(reason) == "Mute: (Mute without a text)"
        assert await end_of(spawn(end_with, Custom(Mute()))) != Normal()
        assert whereis("anybody") is None


async def test_a_function_that_is_not_async_is_a_crash() -> None:
    """What cannot be awaited is found out in the new process, where it is reported."""

    def plain() -> None:
        return None

    async with Node():
        reason = await end_of(spawn(plain))  # type: ignore[arg-type]
        assert isinstance(reason, Crash)
        assert isinstance(reason.exception, TypeError)


async def test_a_process_may_be_spawned_with_keywords() -> None:
    """The arguments go to the function as they are written."""

    async def work(home: Pid, *, word: str) -> None:
        send(home, word)

    async with Node():
        spawn(work, self_pid(), word="hello")
        assert await receive(str, timeout=5.0) == "hello"


@row("PRC-016")
async def test_a_big_reason_reaches_links_and_monitors_unmodified() -> None:
    """A reason is data like any other; nothing on its way cuts it."""
    term = ("x" * 128_000, {"nested": [tuple(range(1000))]})
    async with Node():
        trap_exit(True)
        pid = spawn_link(end_with, Custom(term))
        monitor(pid)
        assert (await receive(Exit, timeout=5.0)).reason == Custom(term)
        assert (await receive(Down, timeout=5.0)).reason == Custom(term)


# -- order


@row("PRC-012")
async def test_messages_and_the_news_of_an_end_arrive_in_the_order_they_were_sent() -> None:
    """The last message of a process comes before the news of its death, or no protocol could end with a result."""

    async def work(home: Pid) -> None:
        for number in range(100):
            send(home, number)
        raise Stop(Custom("done"))

    async with Node():
        trap_exit(True)
        pid = spawn_link(work, self_pid())
        await settled()
        assert flush() == [*range(100), Exit(pid, Custom("done"))]


@row("PRC-012")
async def test_an_exit_signal_does_not_overtake_messages_to_one_who_traps() -> None:
    """To a process that traps, an exit signal is one more message of its sender."""
    async with Node():
        pid = spawn(report_to, self_pid())
        await ready(pid)
        send(pid, 1)
        send_exit(pid, Custom("now"))
        send(pid, 2)
        assert [await reported(pid) for _ in range(3)] == [1, Exit(self_pid(), Custom("now")), 2]


@row("PRC-013", translated="each sender's messages are in order; nothing is asserted between senders")
async def test_each_sender_keeps_its_order_whatever_the_others_do() -> None:
    """Between different pairs of processes nothing is promised; within a pair everything is."""

    async def work(home: Pid, name: str) -> None:
        for number in range(20):
            send(home, (name, number))
            await checkpoint()

    async with Node():
        for name in "abc":
            spawn(work, self_pid(), name)
        await settled()
        messages = flush()
        for name in "abc":
            assert [m for m in messages if isinstance(m, tuple) and m[0] == name] == [(name, n) for n in range(20)]


@row("PRC-014")
async def test_sending_to_the_dead_is_silent() -> None:
    """Whether somebody just died is a race that no sender can win, so it is no error."""
    async with Node():
        pid = spawn(end_with, Normal())
        await end_of(pid)
        send(pid, "anybody there?")
        send_exit(pid, Custom("too late"))
        send(("nobody", current_node().name), "by name and node")
        send(("nobody", "other@host"), "to a node that cannot be reached")


@row("PRC-015")
async def test_the_name_is_free_before_the_news_arrives() -> None:
    """Otherwise a supervisor that restarts a named server at once would find the name taken."""
    async with Node():
        trap_exit(True)
        for kind in (Exit, Down):
            pid = spawn_link(idle) if kind is Exit else spawn_monitor(idle)[0]
            register("holder", pid)
            send_exit(pid, Kill())
            await receive(kind, timeout=5.0)
            assert whereis("holder") is None
            register("holder", self_pid())
            assert whereis("holder") == self_pid()
            unregister("holder")


# -- who a process is


async def test_a_process_has_a_pid_of_its_own_and_so_has_the_body() -> None:
    """The body of `async with Node()` is a process like any other."""

    async def work(home: Pid) -> None:
        send(home, self_pid())

    async with Node():
        pid = spawn(work, self_pid())
        assert await receive(timeout=5.0) == pid
        assert pid != self_pid()


async def test_what_is_known_of_a_process_is_known_until_it_ends() -> None:
    """The table is what every tool will read: links, monitors, name, mailbox; and nothing of the dead."""
    async with Node() as node:
        pid, ref = spawn_monitor(idle)
        link(pid)
        register("idler", pid)
        send(pid, "unread")
        process = node.runtime.processes[pid]
        assert (list(process.links), process.label) == ([self_pid()], "idle")
        assert list(process.watchers) == [ref]
        assert node.runtime.processes[self_pid()].monitors == {ref: pid}
        assert node.runtime.registry.name_of(pid) == "idler"
        assert list(process.mailbox.queue) == ["unread"]
        assert process.ancestors == (self_pid(),)
        unlink(pid)
        send_exit(pid, Kill())
        await receive(Down, timeout=5.0)
        assert pid not in node.runtime.processes


async def test_context_variables_are_inherited_at_spawn() -> None:
    """What a process is part of (its node, its application, a trace) is known to all it starts."""
    flavour: ContextVar[str] = ContextVar("flavour", default="none")

    async def work(home: Pid, depth: int) -> None:
        if depth:
            spawn(work, home, depth - 1)
        else:
            send(home, (flavour.get(), current_node()))
        flavour.set(f"of depth {depth}")

    async with Node() as node:
        flavour.set("vanilla")
        spawn(work, self_pid(), 2)
        assert await receive(timeout=5.0) == ("vanilla", node)
        assert flavour.get() == "vanilla"


@row("PRC-020")
async def test_a_pid_of_an_earlier_incarnation_never_reaches_a_process_of_a_later_one() -> None:
    """The same numbers, another creation: a message meant for the dead must not find a stranger."""
    node = Node("again@host")
    async with node:
        before = spawn(idle)
    async with node:
        trap_exit(True)
        now = spawn(report_to, self_pid())
        await ready(now)
        assert (before.node, before.id, before.serial) == (now.node, now.id, now.serial)
        ref = monitor(before)
        assert await receive(Down, timeout=5.0) == Down(ref, before, NoProc())
        link(before)
        assert await receive(Exit, timeout=5.0) == Exit(before, NoProc())
        send(before, "for the dead")
        send_exit(before, Kill())
        await settled()
        assert flush() == []
        assert now in node.runtime.processes


async def test_references_are_unique() -> None:
    """A reference names one event; two nodes, or two incarnations of one, never make the same."""
    async with Node() as node, Node() as other:
        refs = [make_ref() for _ in range(3)]
        with node.current():
            refs += [make_ref() for _ in range(3)]
        assert len(set(refs)) == 6
        assert other is current_node()


# -- outsiders: code that runs beside the processes


async def test_an_outsider_may_call_cast_and_send() -> None:
    """A web handler needs to talk to servers; it has a reference, and no process of its own."""
    seen: list[object] = []

    async def outside(ref: ServerRef[Scale]) -> None:
        Scale.put(ref, 1)
        send(ref, 2)
        seen.extend(await Scale.weigh(ref))

    async with anyio.create_task_group() as outer, Node():
        scale = await start(Scale)
        start_outsider(outer, outside, scale)
        await settled()
        assert seen == [1, 2]


async def test_an_outsider_that_was_lent_the_node_may_use_names_spawn_and_start() -> None:
    """`with node.current()` makes names mean this node's."""
    seen: list[object] = []

    async def outside(node: Node) -> None:
        with node.current():
            send("scale", "by name")
            Scale.put(Name("scale", Scale), "typed")
            seen.extend(await Scale.weigh(Name("scale", Scale)))
            seen.append(registered())
            pid = spawn(idle)
            other = await start(Scale)
            assert {pid, other.pid} < set(node.runtime.processes)
            assert current_node() is node
            send_exit(pid, Kill())
            with pytest.raises(NoProcess):
                send("nobody", "hello")

    async with anyio.create_task_group() as outer, Node() as node:
        register("scale", (await start(Scale)).pid)
        start_outsider(outer, outside, node)
        await settled()
        assert seen == ["by name", "typed", ["scale"]]


async def test_an_outsider_has_no_mailbox_to_receive_link_or_monitor_with() -> None:
    """What needs a mailbox says so at once, naming the verb that was tried."""
    tried: list[str] = []

    async def outside(node: Node, pid: Pid) -> None:
        with node.current():
            tries: list[Callable[[], object]] = [
                self_pid,
                flush,
                lambda: link(pid),
                lambda: unlink(pid),
                lambda: monitor(pid),
                lambda: demonitor(make_ref()),
                lambda: spawn_link(idle),
                lambda: spawn_monitor(idle),
                lambda: trap_exit(True),
            ]
            for attempt in tries:
                with pytest.raises(NotAProcess) as refused:
                    attempt()
                tried.append(str(refused.value).split()[0])
            with pytest.raises(NotAProcess, match="receive"):
                await receive()
            tried.append("receive")

    async with anyio.create_task_group() as outer, Node() as node:
        start_outsider(outer, outside, node, spawn(idle))
        await settled()
        assert tried == [
            "self_pid",
            "flush",
            "link",
            "unlink",
            "monitor",
            "demonitor",
            "spawn_link",
            "spawn_monitor",
            "trap_exit",
            "receive",
        ]


async def test_without_a_node_everything_says_so() -> None:
    """Nothing is global: outside of any node there is no node to mean."""
    with pytest.raises(NotInNode):
        spawn(idle)
    with pytest.raises(NotInNode):
        whereis("x")
    with pytest.raises(NotInNode):
        current_node()
    with pytest.raises(NotInNode):
        send("x", 1)
    with pytest.raises(NotAProcess):
        await receive()


async def test_a_process_stays_one_where_its_own_node_is_lent() -> None:
    """A library may lend the node to whoever calls it; a process must not lose its mailbox by that."""

    async def work(node: Node, home: Pid) -> None:
        with node.current():
            send(home, self_pid())

    async with Node() as node:
        pid = spawn(work, node, self_pid())
        assert await receive(timeout=5.0) == pid


async def test_a_destination_that_is_none_is_a_type_error() -> None:
    """A mistake in the program is not the same as an absent process."""
    async with Node():
        wrong: Any = 17
        for attempt in (monitor, link, lambda dest: send(dest, 1), lambda dest: send_exit(dest, Kill())):
            with pytest.raises(TypeError, match="no process address"):
                attempt(wrong)
