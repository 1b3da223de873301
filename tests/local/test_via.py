"""Names in a registry of one's own: what is asked of the registry, and what every verb makes of such a name."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from regrow import (
    AlreadyStarted,
    Crash,
    Down,
    Exit,
    GenServer,
    Kill,
    Killed,
    NameTaken,
    Node,
    NoProc,
    NoProcess,
    Normal,
    Pid,
    StartFailed,
    Via,
    call,
    child,
    gen_call,
    gen_cast,
    link,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    stop,
    trap_exit,
    unlink,
    whereis,
)
from regrow.inspect import find, processes
from tests.harness import row

from .gen_server_kit import Counter, Phonebook, settled
from .process_kit import ready, report_to, reported


class Ledger(Phonebook):
    """A registry that writes down what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def register(self, name: object, pid: Pid) -> bool:
        self.asked.append("register")
        return super().register(name, pid)

    def unregister(self, name: object) -> None:
        self.asked.append("unregister")
        super().unregister(name)

    def send(self, name: object, message: object) -> None:
        self.asked.append("send")
        super().send(name, message)


@row("REG-009")
async def test_any_object_with_the_four_verbs_is_a_registry() -> None:
    """A server started under its name is found by call, cast, send, stop, monitor and link."""
    ledger = Ledger()
    counter = Via(ledger, ("counter", 7), Counter)
    async with Node():
        trap_exit(True)
        ref = await start(child(Counter, 1).named(counter))
        assert whereis(counter) == ref.pid
        assert await Counter.add(counter, 2) == 3
        assert await gen_call(counter, "hello") == ("hello", 3)
        Counter.reset(counter)
        gen_cast(counter, "unknown, and the end of it")
        assert ledger.asked == ["register", "send", "send"]
        ended = monitor(counter)
        assert (await receive(Down)).ref == ended
        assert ledger.asked[3:] == ["unregister"]


@row("REG-009")
async def test_a_via_name_can_be_sent_to_linked_stopped_and_signalled() -> None:
    """The verbs of plain processes too."""
    ledger = Ledger()
    async with Node():
        trap_exit(True)
        pid = spawn(report_to, self_pid())
        await ready(pid)
        name = Via(ledger, "reporter", Counter)
        assert ledger.register("reporter", pid)
        send(name, "found you")
        assert await reported(pid) == "found you"
        assert ledger.asked == ["register", "send"]
        link(name)
        unlink(name)
        link(name)
        send_exit(name, Kill())
        assert await receive(Exit) == Exit(pid, Killed())
        ref = await start(child(Counter).named(Via(ledger, "counter", Counter)))
        await stop(Via(ledger, "counter", Counter))
        with pytest.raises(NoProcess):
            await Counter.add(ref, 1)


@row("REG-009", "REG-011")
async def test_a_via_name_that_nobody_has_is_nobody() -> None:
    """Each verb says so in its own way; the registry's own `send` says it too."""
    nobody = Via(Phonebook(), "nobody", Counter)
    async with Node():
        assert whereis(nobody) is None
        for ask in (Counter.add(nobody, 1), gen_call(nobody, "hello"), stop(nobody)):
            with pytest.raises(NoProcess, match="'nobody'"):
                await ask
        for verb in (lambda: send(nobody, "hello"), lambda: link(nobody), lambda: send_exit(nobody, Kill())):
            with pytest.raises(NoProcess):
                verb()
        Counter.reset(nobody)
        ref = monitor(nobody)
        assert await receive() == Down(ref, nobody, NoProc())


@row("REG-009")
async def test_a_start_under_a_name_that_was_taken_meanwhile_meets_its_holder() -> None:
    """The registry decides when the process asks; that somebody looked before means nothing."""

    class Slow(Phonebook):
        def whereis(self, name: object) -> Pid | None:
            found, self.pids[name] = self.pids.get(name), rival
            return found

    async with Node():
        rival = self_pid()
        built: list[object] = []
        with pytest.raises(AlreadyStarted) as caught:
            await start_link(child(Counter, built.append(1)).named(Via(Slow(), "counter", Counter)))
        assert caught.value.pid == rival


async def test_a_registry_that_refuses_a_free_name_fails_the_start() -> None:
    """There is no holder to tell of."""

    class Closed(Phonebook):
        def register(self, name: object, pid: Pid) -> bool:
            return False

    async with Node() as node:
        with pytest.raises(StartFailed) as caught:
            await start(child(Counter).named(Via(Closed(), "counter", Counter)))
        assert isinstance(caught.value.reason, Crash)
        assert isinstance(caught.value.reason.exception, NameTaken)
        assert set(node.runtime.processes) == {self_pid()}


@row("PRC-015")
async def test_a_via_name_is_free_before_the_news_of_the_end() -> None:
    """Whoever hears of an end may start anew under the name at once, a hundred times."""
    counter = Via(Phonebook(), "counter", Counter)
    async with Node():
        for _ in range(100):
            ref = await start(child(Counter).named(counter))
            ended = monitor(ref)
            send_exit(ref, Kill())
            assert await receive() == Down(ended, ref.pid, Killed())
            assert whereis(counter) is None


async def test_a_name_that_was_given_away_is_not_taken_from_its_new_holder() -> None:
    """The end of a process frees what it still has."""
    phonebook = Phonebook()
    counter = Via(phonebook, "counter", Counter)
    async with Node():
        ref = await start(child(Counter).named(counter))
        phonebook.pids["counter"] = self_pid()
        await stop(ref)
        assert whereis(counter) == self_pid()


async def test_a_registry_that_raises_does_not_keep_a_process_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    """The end goes on, the others hear of it, and the log says what happened."""

    class Broken(Phonebook):
        def unregister(self, name: object) -> None:
            raise ZeroDivisionError("in the registry")

    async with Node():
        ref = await start(child(Counter).named(Via(Broken(), "counter", Counter)))
        ended = monitor(ref)
        await stop(ref)
        assert await receive() == Down(ended, ref.pid, Normal())
    assert "in the registry" in caplog.text


@row("REG-010")
@pytest.mark.parametrize(("registry", "missing"), [("book", "register, unregister, whereis"), ({}, "send")])
async def test_what_is_no_registry_is_refused_before_anything_is_spawned(registry: Any, missing: str) -> None:
    """The error names the value and what it lacks."""
    async with Node() as node:
        with pytest.raises(TypeError, match=f"{registry!r} has no .*{missing}"):
            await start_link(child(Counter).named(Via(registry, "counter", Counter)))
        assert set(node.runtime.processes) == {self_pid()}


async def test_a_via_name_is_equal_by_registry_and_name_and_is_never_copied() -> None:
    """It may be a key, and stand in a state that is copied."""
    phonebook = Phonebook()
    one, other = Via(phonebook, "counter", Counter), Via(Phonebook(), "counter", Counter)
    assert one == Via(phonebook, "counter", Counter) != other
    assert len({one, Via(phonebook, "counter", Counter), other}) == 2
    assert copy.deepcopy([one])[0] is one


async def test_a_process_is_shown_under_its_via_name() -> None:
    """In tools, and where its crash is told."""

    class Fragile(GenServer):
        @call
        async def crash(self) -> None:
            raise ValueError("no")

    fragile = Via(Phonebook(), "fragile", Fragile)
    async with Node() as node:
        ref = await start(child(Fragile).named(fragile))
        assert [info.name for info in processes(node) if info.pid == ref.pid] == ["via fragile"]
        assert find(node, "via fragile") is node.runtime.processes[ref.pid]
        with pytest.raises(Exception, match="no"):
            await Fragile.crash(fragile)
        await settled()
        assert [report.name for report in node.runtime.reports.crashes] == ["via fragile"]
