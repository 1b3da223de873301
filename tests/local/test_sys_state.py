"""Looking at the state of a process and replacing it; what its object lets others see; moving to another version."""

from __future__ import annotations

import gc
import weakref
from collections import UserDict
from typing import Any

import attrs
import pytest

from regrow import (
    Behaviour,
    CallbackFailed,
    CallingSelf,
    Crash,
    Custom,
    GenServer,
    Node,
    NoProcess,
    ServerExited,
    Stop,
    TypedChild,
    call,
    child,
    gen_call,
    inspect,
    self_pid,
    send,
    spawn,
    start,
    start_link,
    stop,
    sys,
    whereis,
)
from tests.harness import row

from .gen_server_kit import Counter, addresses, settled
from .process_kit import Broken, idle
from .sys_kit import Diary, every_behaviour

CRASH = ValueError("no")


class Account(GenServer):
    """Has something to hide."""

    def __init__(self, password: str = "secret") -> None:
        self.password = password
        self.tries = 0

    @call
    async def login(self, password: str) -> bool:
        self.tries += 1
        if not password:
            raise ValueError(f"empty, not {self.password}")
        return password == self.password

    def format_status(self, status: sys.Status) -> sys.Status:
        hidden = None if status.message is None else "a message"
        reason = None if status.reason is None else Custom("a reason")
        return attrs.evolve(status.hiding("password", "unknown"), message=hidden, reason=reason, log=())


# -- get_state, replace_state


@row("GEN-059")
@pytest.mark.parametrize("suspended", [True, False], ids=["suspended", "running"])
async def test_the_state_is_the_attributes_by_name(suspended: bool) -> None:
    """Whichever way the process is named, and also while it is suspended."""
    async with Node():
        ref = await start(child(Counter, 3).named("counter"))
        if suspended:
            await sys.suspend(ref)
        for dest in await addresses(ref, "counter"):
            assert await sys.get_state(dest) == {"value": 3}
            assert await sys.replace_state(dest, lambda state: state | {"value": 3}) == {"value": 3}


@row("GEN-059")
async def test_a_state_that_was_got_can_be_changed_without_harm() -> None:
    """Its lists are copies. What is meant to change the server goes through `replace_state`."""
    async with Node():
        ref = await start(Diary)
        Diary.write(ref, [1])
        state = await sys.get_state(ref)
        state["entries"][0].append(2)
        state["entries"].append(3)
        del state["trapping"]
        assert await Diary.read(ref) == [[1]]


@row("GEN-059", "SYS-007")
async def test_a_replaced_state_is_returned_and_used() -> None:
    """The server goes on with it; a coroutine function may make it too."""

    async def later(state: dict[str, Any]) -> dict[str, Any]:
        return {"value": state["value"] * 2}

    async with Node():
        ref = await start(Counter, 3)
        assert await sys.replace_state(ref, lambda state: {"value": state["value"] + 1}) == {"value": 4}
        assert await Counter.add(ref, 1) == 5
        assert await sys.replace_state(ref, later) == {"value": 10}
        assert await sys.get_state(ref) == {"value": 10}


@row("GEN-059", "SYS-007")
@pytest.mark.parametrize("suspended", [True, False], ids=["suspended", "running"])
async def test_a_function_that_fails_is_the_error_of_the_one_who_brought_it(suspended: bool) -> None:
    """`CallbackFailed`, with its exception; the state is what it was, even if the function had changed what it got."""

    def spoil(state: dict[str, Any]) -> dict[str, Any]:
        state["entries"].append("spoilt")
        raise CRASH

    async with Node() as node:
        ref = await start(Diary)
        if suspended:
            await sys.suspend(ref)
        with pytest.raises(CallbackFailed) as failed:
            await sys.replace_state(ref, spoil)
        assert failed.value.reason == Crash(CRASH)
        assert failed.value.__cause__ is CRASH
        assert await sys.get_state(ref) == {"entries": [], "trapping": False}
        assert not node.runtime.reports.crashes


@row("SYS-007")
@pytest.mark.parametrize("new", [None, 5, [("value", 1)], {1: 2}], ids=str)
async def test_what_is_no_state_is_refused(new: Any) -> None:
    """A state is the attributes by name; and a `Stop` in such a function stops nobody."""
    async with Node():
        ref = await start(Counter, 3)
        with pytest.raises(CallbackFailed):
            await sys.replace_state(ref, lambda _: new)

        def leave(_: object) -> Any:
            raise Stop

        with pytest.raises(CallbackFailed):
            await sys.replace_state(ref, leave)
        assert await sys.get_state(ref) == {"value": 3}


# -- get_status


@row("SYS-003", translated="an object with fields; an unlinked process has no parent, rather than itself")
@every_behaviour
async def test_the_status_says_who_it_is_and_how_it_does(spec: TypedChild[Behaviour]) -> None:
    """Its parent is who started it with a link."""
    async with Node():
        linked = await start_link(spec.named("linked"))
        await sys.suspend(linked)
        status = await sys.get_status(linked)
        assert (status.pid, status.name, status.label) == (linked.pid, "linked", linked.cls.__name__)
        assert (status.parent, status.suspended, status.debug, status.log) == (self_pid(), True, (), ())
        assert status.state == await sys.get_state(linked)
        await sys.resume(linked)
        assert not (await sys.get_status(linked)).suspended
        await stop(linked)
        alone = await start(spec)
        status = await sys.get_status(alone)
        assert (status.name, status.parent) == (None, None)


# -- format_status


@row("GEN-052")
async def test_the_object_decides_what_is_seen_of_it() -> None:
    """In `get_status` and to those who look from outside; `get_state` is for those who need all of it."""
    async with Node() as node:
        ref = await start(Account)
        process = node.runtime.processes[ref.pid]
        assert (await sys.get_status(ref)).state == {"password": "(hidden)", "tries": 0}
        assert await sys.get_state(ref) == {"password": "secret", "tries": 0}
        await sys.suspend(ref)
        send(ref, "a secret that waits")
        seen = inspect.state(node, process)
        assert seen.attributes == {"password": "'(hidden)'", "tries": "0"}
        assert seen.mailbox == ("'a message'",)
        assert seen.suspended
        await stop(ref)


@row("GEN-052", "GEN-051")
async def test_a_crash_report_shows_what_the_object_lets_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    """State, message, log and reason: what is hidden stands nowhere in it, nor in the lines of the log.

    The reason itself is no secret to those who are told of the end.
    """
    async with Node() as node:
        ref = await start(Account)
        await sys.log(ref)
        with pytest.raises(ServerExited) as ended:
            await Account.login(ref, "")
        assert str(ended.value.reason) == "ValueError: empty, not secret"
        (report,) = node.runtime.reports.crashes
        assert report.state == {"password": "'(hidden)'", "tries": "1"}
        assert (report.last_message, report.reason, report.log) == ("'a message'", Custom("a reason"), ())
        assert "secret" not in str(report) + repr(report) + caplog.text
        assert "secret" not in repr(inspect.crashes(node))


@row("GEN-052")
async def test_a_reason_that_is_taken_away_is_hidden() -> None:
    """A report without one would not say that there was one."""

    class Silent(GenServer):
        async def handle_info(self, message: object) -> None:
            raise CRASH

        def format_status(self, status: sys.Status) -> sys.Status:
            return attrs.evolve(status, reason=None)

    async with Node() as node:
        ref = await start(Silent)
        send(ref, "go")
        with pytest.raises(ServerExited):
            await gen_call(ref, "wait")
        (report,) = node.runtime.reports.crashes
        assert (str(report.reason), report.traceback) == ("(hidden)", "")


class Unwilling(UserDict[str, object]):
    """A mapping that cannot be read."""

    def items(self) -> Any:
        raise Broken


class Clumsy(Account):
    """Fails at showing itself."""

    def __init__(self, failure: Any) -> None:
        super().__init__()
        self.failure = failure

    async def handle_info(self, message: object) -> None:
        raise CRASH

    def format_status(self, status: sys.Status) -> sys.Status:
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure(status)


@row("GEN-052")
@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (ValueError("secret"), "raised ValueError"),
        (Stop(), "raised Stop"),
        (lambda status: None, "returned NoneType"),
        (lambda status: attrs.evolve(status, state="secret"), "raised TypeError"),
        (lambda status: attrs.evolve(status, state=Unwilling()), "raised Broken"),
    ],
    ids=["raises", "stops", "returns nothing", "returns no state", "returns a state that fails"],
)
async def test_a_placeholder_is_seen_where_format_status_fails(
    failure: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server is not harmed, and nothing of what may have been a secret is seen."""
    async with Node() as node:
        ref = await start(Clumsy, failure)
        seen = f"format_status of Clumsy {why}"
        await sys.log(ref)
        assert not await Account.login(ref, "the secret password")  # type: ignore[arg-type]
        status = await sys.get_status(ref)
        assert (status.state, status.log) == ({"format_status": seen}, ())
        assert inspect.state(node, node.runtime.processes[ref.pid]).attributes == {"format_status": f"{seen!r}"}
        assert not node.runtime.reports.crashes
        send(ref, "a secret message")
        await settled()
        (report,) = node.runtime.reports.crashes
        assert (report.state, report.last_message) == ({"format_status": f"{seen!r}"}, f"{seen!r}")
        assert "secret" not in str(report) + repr(report) + caplog.text


async def test_a_report_keeps_nothing_of_the_server_alive(caplog: pytest.LogCaptureFixture) -> None:
    """It is kept for long; the server and what it held may be large."""

    class Large(GenServer):
        async def handle_info(self, message: object) -> None:
            raise ValueError("here")

    caplog.set_level("CRITICAL", "regrow")  # what is logged keeps the exception, and its frames
    async with Node() as node:
        ref = await start(Large)
        server = weakref.ref(node.runtime.processes[ref.pid].server)
        send(ref, "go")
        await settled()
        gc.collect()
        (report,) = node.runtime.reports.crashes
        assert "in handle_info" in report.traceback
        assert server() is None


# -- code_change


class Thermometer(GenServer):
    """Since its second version it counts in Celsius."""

    def __init__(self) -> None:
        self.fahrenheit = 212.0
        self.history = [32.0]

    async def code_change(self, old_version: object, extra: object) -> None:
        self.history.append(self.fahrenheit)
        self.celsius = (self.fahrenheit - 32) / 1.8
        del self.fahrenheit
        if extra == "fail":
            raise CRASH


@row("GEN-060")
async def test_a_server_turns_its_state_into_that_of_another_version() -> None:
    """Held meanwhile, so that nobody meets it half way."""
    async with Node():
        ref = await start(Thermometer)
        await sys.suspend(ref)
        await sys.change_code(ref, 1, "to celsius")
        await sys.resume(ref)
        assert await sys.get_state(ref) == {"celsius": 100.0, "history": [32.0, 212.0]}


@row("GEN-060")
async def test_a_change_that_fails_leaves_the_server_and_its_state() -> None:
    """Attributes it had removed are there again, lists it had changed are as they were."""
    async with Node() as node:
        ref = await start(Thermometer)
        await sys.suspend(ref)
        with pytest.raises(CallbackFailed) as failed:
            await sys.change_code(ref, 1, "fail")
        assert failed.value.reason == Crash(CRASH)
        await sys.resume(ref)
        assert await sys.get_state(ref) == {"fahrenheit": 212.0, "history": [32.0]}
        assert not node.runtime.reports.crashes


@row("GEN-060")
async def test_a_server_without_code_change_cannot_be_changed() -> None:
    """That is an error, as in OTP: a change that nobody wrote must not seem to have been made."""
    async with Node():
        ref = await start(Counter, 3)
        with pytest.raises(CallbackFailed, match="Counter has no handler for"):
            await sys.change_code(ref, 1)
        assert await Counter.add(ref, 1) == 4


async def test_a_change_may_be_to_another_class() -> None:
    """What a newly loaded module holds is a new class; the object becomes one of it, and its handlers count."""

    class Second(Counter):
        @call
        async def add(self, n: int) -> int:
            self.value += 10 * n
            return self.value

    class First(Counter):
        async def code_change(self, old_version: object, extra: Any) -> None:
            self.__class__ = extra

    async with Node():
        ref = await start(First, 1)
        await sys.change_code(ref, 1, Second)
        assert await First.add(ref, 1) == 11


# -- nobody there


@row("SYS-011")
async def test_whoever_looks_for_nobody_finds_no_process() -> None:
    """Each verb, by name and by pid; and nobody asks themselves."""
    async with Node():
        ref = await start(Diary)
        await stop(ref)

        def every(dest: Any) -> list[Any]:
            return [
                sys.get_state(dest), sys.replace_state(dest, dict), sys.get_status(dest), sys.change_code(dest, 1),
                sys.trace(dest), sys.log(dest), sys.get_log(dest), sys.statistics(dest), sys.get_statistics(dest),
                sys.install(dest, print), sys.remove(dest, print), sys.no_debug(dest),
            ]  # fmt: skip

        for dest in (ref, "nobody"):
            for asking in every(dest):
                with pytest.raises(NoProcess):
                    await asking
        for asking in every(self_pid()):
            with pytest.raises(CallingSelf):
                await asking


@row("GEN-059")
async def test_a_process_that_is_no_behaviour_does_not_answer() -> None:
    """It knows nothing of system messages unless its loop handles them; what asks gives up in its time."""
    async with Node():
        pid = spawn(idle)
        with pytest.raises(TimeoutError):
            await sys.get_state(pid, timeout=0)
        assert whereis("nobody") is None
