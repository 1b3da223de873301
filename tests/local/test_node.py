"""Nodes: several of them side by side, and a body that is a process."""

from __future__ import annotations

import anyio
import pytest

from regrow import (
    Crash,
    Custom,
    Down,
    Exit,
    GenServer,
    Kill,
    Killed,
    Name,
    Node,
    NoProc,
    Normal,
    NotInNode,
    Pid,
    ProcessExited,
    Reason,
    ServerExited,
    Shutdown,
    Stop,
    call,
    current_node,
    flush,
    gen_call,
    link,
    monitor,
    receive,
    register,
    registered,
    self_pid,
    send,
    send_exit,
    spawn,
    spawn_link,
    start,
    start_link,
    trap_exit,
    whereis,
)
from regrow.testing import ManualClock

from .process_kit import Broken, crash, end_with, idle, ready, report_to, run_in, settled, start_outsider


class Echo(GenServer):
    """Says what it is told."""

    @call
    async def say(self, what: object) -> object:
        return what


# -- the body is a process


async def test_the_body_can_do_what_processes_do() -> None:
    """Receive, link, monitor, trap, have a name, and be the parent of servers."""
    async with Node() as node:
        me = self_pid()
        register("body", me)
        send("body", "hello")
        assert await receive() == "hello"
        trap_exit(True)
        pid = spawn_link(idle)
        ref = monitor(pid)
        send_exit(pid, Kill())
        assert await receive(Exit, timeout=5.0) == Exit(pid, Killed())
        assert await receive(Down, timeout=5.0) == Down(ref, pid, Killed())
        echo = await start_link(Echo)
        assert node.runtime.processes[echo.pid].parent == me
        assert await Echo.say(echo, 1) == 1


async def test_an_unnamed_node_prints_as_otps() -> None:
    """It is named like a node that has not been distributed."""
    node = Node()
    assert node.name == "nonode@nohost"
    async with node:
        assert str(self_pid()) == "<0.1.0>"
    async with Node("a@h"):
        assert str(self_pid()) == "<a@h.1.0>"


async def test_a_crash_of_a_linked_process_ends_the_body() -> None:
    """`async with` raises what ended it, with the exception that was the cause."""
    error = Broken("in the process")
    went_on: list[str] = []

    async def body() -> None:
        spawn_link(crash, error)
        await anyio.sleep_forever()
        went_on.append("beyond the await")

    with pytest.raises(ProcessExited, match="Broken: in the process") as ended:
        await run_in(Node(), body)
    assert ended.value.reason == Crash(error)
    assert ended.value.__cause__ is error
    assert not went_on


async def test_a_body_that_signals_itself_is_ended_even_without_another_await() -> None:
    """The reason was settled, whatever the rest of the code did."""

    async def body() -> None:
        send_exit(self_pid(), Custom("enough"))

    with pytest.raises(ProcessExited) as ended:
        await run_in(Node(), body)
    assert ended.value.reason == Custom("enough")


async def test_a_kill_ends_a_body_that_traps() -> None:
    """As any process."""

    async def body() -> None:
        trap_exit(True)
        send_exit(self_pid(), Kill())
        await anyio.sleep_forever()

    with pytest.raises(ProcessExited) as ended:
        await run_in(Node(), body)
    assert ended.value.reason == Killed()


async def test_a_normal_signal_to_itself_ends_the_body_in_peace() -> None:
    """There is nothing to raise for a normal end."""
    went_on = False
    async with Node():
        send_exit(self_pid(), Normal())
        await anyio.sleep_forever()
        went_on = True
    assert not went_on


async def test_an_exception_of_the_body_passes_unchanged() -> None:
    """The very object, in no group, with the node stopped behind it."""
    error = Broken("mine")
    node = Node()

    async def body() -> None:
        await start_link(Echo)
        spawn(idle)
        raise error

    with pytest.raises(Broken) as raised:
        await run_in(node, body)
    assert raised.value is error
    assert node.runtime.leftovers() == ()


async def test_an_exception_of_the_body_wins_over_a_signal_that_came_before() -> None:
    """What the body raises is more than that it was told to end; nothing of it may be lost."""

    async def body() -> None:
        send_exit(self_pid(), Custom("x"))
        try:
            await anyio.sleep_forever()
        finally:
            raise Broken("while it was ended")

    with pytest.raises(Broken):
        await run_in(Node(), body)


async def test_a_group_of_the_body_keeps_what_is_not_the_cancellation() -> None:
    """A signal cancels the body's tasks, and one of them fails of it: the failure comes out, the node is stopped."""
    node = Node()

    async def fail() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise Broken("in a task of the body")

    async def body() -> None:
        spawn(idle)
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            group.start_soon(anyio.sleep_forever)
            await settled()
            send_exit(self_pid(), Custom("x"))
            await anyio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as raised:
        await run_in(node, body)
    assert raised.group_contains(Broken)
    assert not raised.group_contains(anyio.get_cancelled_exc_class())
    assert node.runtime.leftovers() == ()


async def test_processes_that_end_while_the_node_stops_do_not_end_the_body_again() -> None:
    """The body was done; that its links are killed after it is no news."""
    async with Node():
        spawn_link(idle)
        await start_link(Echo)
        await settled()


async def test_a_keyboard_interrupt_in_a_process_is_raised_where_the_node_is_left() -> None:
    """Ctrl-C is for the program, whichever task it happened to hit; it is no crash to be restarted."""
    node = Node()

    async def body() -> None:
        spawn(crash, KeyboardInterrupt())
        await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        await run_in(node, body)
    assert node.runtime.leftovers() == ()
    assert not node.runtime.reports.crashes


async def test_a_keyboard_interrupt_among_other_errors_is_raised_and_the_others_are_reported() -> None:
    """As of a task group that it hit: neither may hide the other."""
    node, interrupt = Node(), KeyboardInterrupt()
    group = BaseExceptionGroup("", [ValueError("another"), BaseExceptionGroup("", [interrupt])])

    async def body() -> None:
        spawn(crash, group)
        await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        await run_in(node, body)
    assert [str(report.reason) for report in node.runtime.reports.crashes] == [str(Crash(group))]


# -- several nodes


async def test_two_nodes_have_processes_and_names_of_their_own() -> None:
    """Being in one interpreter does not connect them, and neither does having no name."""
    async with Node() as first:
        register("body", self_pid())
        outer = self_pid()
        async with Node() as second:
            assert current_node() is second
            register("body", self_pid())
            assert whereis("body") == self_pid() != outer
            send(outer, "from a stranger")
            ref = monitor(outer)
            assert await receive(timeout=5.0) == Down(ref, outer, NoProc())
            send_exit(outer, Kill())
            with pytest.raises(LookupError):
                link(outer)
        assert current_node() is first
        assert whereis("body") == outer
        assert flush() == []
    with pytest.raises(NotInNode):
        current_node()


async def test_many_nodes_in_one_interpreter() -> None:
    """Ten of them, each with a server of the same name."""
    replies: list[object] = []

    async def one(number: int) -> None:
        async with Node(f"n{number}@h"):
            register("echo", (await start(Echo)).pid)
            replies.append((number, await Echo.say(Name("echo", Echo), current_node().name)))

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(one, number)
    assert sorted(replies, key=repr) == [(number, f"n{number}@h") for number in range(10)]


async def test_a_reference_works_from_a_process_of_another_node() -> None:
    """It keeps the node it was made on, as for any outsider."""
    async with Node("a@h"):
        echo = await start(Echo)
        async with Node("b@h"):
            assert await Echo.say(echo, "across") == "across"
            assert registered() == []


async def test_each_node_follows_its_own_clock() -> None:
    """To turn one is nothing to the other."""
    clocks = ManualClock(), ManualClock()
    timed_out: list[str] = []

    async def wait() -> None:
        name = current_node().name
        with pytest.raises(TimeoutError):
            await receive(timeout=1.0)
        timed_out.append(name)

    async with Node("a@h", clock=clocks[0]):
        spawn(wait)
        async with Node("b@h", clock=clocks[1]):
            spawn(wait)
            await settled()
            clocks[1].advance(1.0)
            await settled()
            assert timed_out == ["b@h"]
        clocks[0].advance(1.0)
        await settled()
        assert timed_out == ["b@h", "a@h"]


async def test_the_processes_of_a_node_know_it_as_the_current_one() -> None:
    """The node is inherited at spawn, however deep."""

    async def tell(home: Pid, depth: int) -> None:
        if depth:
            spawn(tell, home, depth - 1)
        else:
            send(home, current_node())

    async with Node("a@h") as a:
        body = self_pid()
        async with Node("b@h"):
            with a.current():
                spawn(tell, body, 3)
        assert await receive(timeout=5.0) is a


# -- lending a node


async def test_lending_ends_with_the_block() -> None:
    """And gives back what was current before."""
    async with Node("a@h") as a, Node("b@h") as b:
        with a.current():
            assert current_node() is a
            with b.current():
                assert current_node() is b
            assert current_node() is a
        assert current_node() is b


async def test_the_body_is_lent_in_its_own_task_and_nowhere_else() -> None:
    """Only that task is the body's; in others one is an outsider, even if they inherited from it."""
    outsiders: list[bool] = []

    async def other(node: Node) -> None:
        with node.current():
            try:
                self_pid()
            except RuntimeError:
                outsiders.append(True)

    async with Node("a@h") as a:
        body = self_pid()
        async with Node("b@h"):
            with a.current():
                assert self_pid() == body
        async with anyio.create_task_group() as group:
            group.start_soon(other, a)
            start_outsider(group, other, a)
    assert outsiders == [True, True]


async def test_a_node_that_was_not_entered_says_so() -> None:
    """Nothing to look at, nothing to lend."""
    node = Node("a@h")
    with pytest.raises(RuntimeError, match="a@h is not running"):
        _ = node.runtime
    with pytest.raises(RuntimeError, match="a@h is not running"), node.current():
        pass


async def test_a_node_cannot_be_entered_twice_but_again() -> None:
    """One object is one node at a time; afterwards it is a new incarnation."""
    node = Node("a@h")
    pids = set[Pid]()
    for _ in range(2):
        async with node:
            pids.add(self_pid())
            with pytest.raises(RuntimeError, match="running already"):
                async with node:
                    pass
    assert len(pids) == 2


async def test_nothing_can_be_started_on_a_node_that_has_stopped() -> None:
    """A web handler may come too late; it is told so, and leaves nothing behind."""
    async with Node("a@h") as node:
        echo = await start(Echo)
    with node.current():
        with pytest.raises(NotInNode, match="a@h has stopped"):
            spawn(idle)
        with pytest.raises(NotInNode, match="a@h has stopped"):
            await start(Echo)
    with pytest.raises(LookupError):
        await Echo.say(echo, 1)
    send(echo, "silently")
    assert node.runtime.leftovers() == ()


async def test_a_caller_outside_is_answered_when_the_node_stops() -> None:
    """Nobody is left waiting for a server that is gone."""
    errors: list[Reason] = []

    class Mute(GenServer):
        async def handle_call(self, request: object, from_: object) -> object:
            await anyio.sleep_forever()
            return None

    async with anyio.create_task_group() as outer, Node():
        mute = await start_link(Mute)

        async def ask() -> None:
            with pytest.raises(ServerExited) as failed:
                await gen_call(mute, "x", timeout=None)
            errors.append(failed.value.reason)

        start_outsider(outer, ask)
        await settled()
    assert errors == [Shutdown()]


async def test_a_body_that_raises_stop_says_what_it_was() -> None:
    """There is no process around the node that would take `Stop` for its reason: it passes like any exception."""
    with pytest.raises(Stop) as raised:
        await run_in(Node(), lambda: end_with(Custom("x")))
    assert raised.value.reason == Custom("x")


async def test_the_end_of_a_process_nobody_is_linked_to_leaves_the_body_alone() -> None:
    """`spawn` ties nothing."""
    async with Node():
        spawn(end_with, Custom("x"))
        other = spawn(report_to, self_pid())
        await ready(other)
        await settled()
        assert flush() == []


def test_an_empty_cookie_is_refused() -> None:
    """It would be no secret at all."""
    with pytest.raises(ValueError, match="let everybody in"):
        Node("a@localhost", cookie="")
