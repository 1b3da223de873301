"""What the tests of GenServer share: servers, ways to start them, and watching from outside."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from regrow import (
    GenServer,
    Global,
    Name,
    NoProcess,
    Pid,
    ServerRef,
    TypedChild,
    Via,
    call,
    cast,
    child,
    current_node,
    global_name,
    link,
    receive,
    self_pid,
    send,
    spawn,
    start,
    start_link,
    start_monitor,
    trap_exit,
    whereis,
)
from regrow.in_place import plain

S = TypeVar("S", bound=GenServer)


# -- one test, several forms


def as_written(cls: type[S]) -> type[S]:
    return cls


def plainly(cls: type[S]) -> type[S]:
    """The same class with a plain `def` for each `async def`, none of which may suspend."""
    written = {name: getattr(value, "handler", value) for name, value in vars(cls).items()}
    plain = {name: _plain(value) for name, value in written.items() if inspect.iscoroutinefunction(value)}
    return type(cls.__name__, (cls,), plain)


def _plain(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            function(*args, **kwargs).send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError(f"{function} suspended")

    return run


SUSPENDING = {"GET_AWAITABLE", "GET_AITER", "BEFORE_ASYNC_WITH"}  # what a coroutine that may suspend is made of


def with_plain_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, plain functions take the place of all handlers that cannot suspend, in classes old and new."""
    init_subclass = GenServer.__init_subclass__.__func__  # type: ignore[attr-defined]

    def changed(cls: type[GenServer], **kwargs: Any) -> None:
        init_subclass(cls, **kwargs)
        for name, value in _plain_tables(cls).items():
            setattr(cls, name, value)

    monkeypatch.setattr(GenServer, "__init_subclass__", classmethod(changed))
    for cls in _subclasses(GenServer):
        for name, value in _plain_tables(cls).items():
            monkeypatch.setattr(cls, name, value)


def _plain_tables(cls: type[GenServer]) -> dict[str, Any]:
    otp_form = {name: _plain_if_it_can_be(getattr(cls, name)) for name in ("handle_call", "handle_cast")}
    calls = {name: _plain_if_it_can_be(handler) for name, handler in cls.call_handlers.items()}
    casts = {name: _plain_if_it_can_be(handler) for name, handler in cls.cast_handlers.items()}
    found = plain((otp_form["handle_call"], calls), (otp_form["handle_cast"], casts)) if cls.in_place else None
    return {**otp_form, "call_handlers": calls, "cast_handlers": casts, "plain_handlers": found}


def _plain_if_it_can_be(function: Callable[..., Any]) -> Callable[..., Any]:
    if not inspect.iscoroutinefunction(function) or any(step.opname in SUSPENDING for step in dis.Bytecode(function)):
        return function
    return _plain(function)


def _subclasses(cls: type[S]) -> Iterator[type[S]]:
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)


styles = pytest.mark.parametrize("style", [as_written, plainly], ids=["async_def", "def"])


async def by_start(what: Any, *args: Any) -> ServerRef[Any]:
    return await start(what, *args)


async def by_start_link(what: Any, *args: Any) -> ServerRef[Any]:
    return await start_link(what, *args)


async def by_start_monitor(what: Any, *args: Any) -> ServerRef[Any]:
    ref, _ = await start_monitor(what, *args)
    return ref


starters = pytest.mark.parametrize(
    "starter", [by_start, by_start_link, by_start_monitor], ids=["start", "start_link", "start_monitor"]
)


# -- servers


class Counter(GenServer):
    """The server of the documentation."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    @call
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @cast
    async def reset(self) -> None:
        self.value = 0

    async def handle_call(self, request: object, from_: object) -> object:
        return request, self.value


class Gate(GenServer):
    """Answers calls of `enter` only once its event is set."""

    def __init__(self) -> None:
        self.entered = 0
        self.open = anyio.Event()
        self.arrived = anyio.Event()

    @call
    async def enter(self) -> int:
        self.entered += 1
        self.arrived.set()
        await self.open.wait()
        return self.entered

    @call
    async def count(self) -> int:
        return self.entered


class Scripted(GenServer):
    """Does in each of its callbacks what it is given, and logs what else comes."""

    def __init__(
        self, log: list[Any], on_init: Callable[[], Any] | None = None, on_terminate: Callable[[], Any] | None = None
    ) -> None:
        self.log = log
        self.on_init = on_init
        self.on_terminate = on_terminate

    async def init(self) -> None:
        if self.on_init is not None:
            self.on_init()

    @call
    async def run(self, action: Callable[[Any], Any]) -> Any:
        return action(self)

    @cast
    async def do(self, action: Callable[[Any], Any]) -> None:
        action(self)

    async def handle_call(self, request: Any, from_: object) -> object:
        return request(self)

    async def handle_cast(self, request: Any) -> None:
        request(self)

    async def handle_info(self, message: object) -> None:
        if callable(message):
            message(self)
        else:
            self.log.append(message)

    async def handle_continue(self, token: object) -> None:
        if callable(token):
            token(self)
        else:
            self.log.append(("continue", token))

    async def terminate(self, reason: object) -> None:
        self.log.append(("terminate", reason))
        if self.on_terminate is not None:
            self.on_terminate()


def raising(error: BaseException) -> Callable[..., Any]:
    """An action that raises."""

    def action(*_: Any) -> Any:
        raise error

    return action


def both(first: Callable[..., Any], then: Callable[..., Any]) -> Callable[..., Any]:
    """Two actions, one after the other."""

    def action(*given: Any) -> Any:
        first(*given)
        return then(*given)

    return action


# -- names


class Phonebook:
    """A registry of one's own, for `Via`."""

    def __init__(self) -> None:
        self.pids: dict[object, Pid] = {}

    def register(self, name: object, pid: Pid) -> bool:
        return self.pids.setdefault(name, pid) == pid

    def unregister(self, name: object) -> None:
        del self.pids[name]

    def whereis(self, name: object) -> Pid | None:
        return self.pids.get(name)

    def send(self, name: object, message: object) -> None:
        if name not in self.pids:
            raise NoProcess(name)
        send(self.pids[name], message)


NAMES: dict[str, Any] = {
    "local_name": "counter",
    "via": Via(Phonebook(), ("counter", 1), Counter),
    "global": Global("counter", Counter),
}
given_names = pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
names = pytest.mark.parametrize("name", [None, *NAMES.values()], ids=["anonymous", *NAMES])


def spec_of(name: Any, cls: type[S], *args: Any) -> TypedChild[S]:
    spec = child(cls, *args)
    return spec if name is None else spec.named(name)


def holder_of(name: Any) -> Pid | None:
    """Who has the name, if it is one."""
    return None if name is None else whereis(name)


# -- watching


async def addresses(ref: ServerRef[Any], name: str) -> list[Any]:
    """All the ways to name one local process, which is registered under this name on its node."""
    await global_name.register(name, ref)
    node = current_node().name
    phonebook = Phonebook()
    phonebook.register(name, ref.pid)
    via = Via(phonebook, name, ref.cls)
    typed = Name(name, ref.cls)
    return [ref, ref.pid, name, typed, typed.at(node), (name, node), via, Global(name, ref.cls)]


def gates(ref: ServerRef[Any]) -> Gate:
    """The object behind a reference: only tests look at it."""
    server = current_node().runtime.processes[ref.pid].server
    assert isinstance(server, Gate)
    return server


async def settled() -> None:
    """Return when whatever was set going has come to where it waits: no chain in these tests is this long."""
    for _ in range(50):
        await checkpoint()


class Attempt:
    """Something awaited in a task of its own, to be looked at while it waits."""

    def __init__(self, group: TaskGroup, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.outcome: Any = None
        self.error: BaseException | None = None
        self._over = anyio.Event()
        self._coroutine = coroutine
        group.start_soon(self._run)

    async def _run(self) -> None:
        try:
            self.outcome = await self._coroutine
        except Exception as error:  # noqa: BLE001 - kept for `result`
            self.error = error
        self._over.set()

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def result(self) -> Any:
        await self._over.wait()
        if self.error is not None:
            raise self.error
        return self.outcome


async def _watch(observed_for: Pid) -> None:
    trap_exit(True)
    send(observed_for, "watching")
    while True:
        send(observed_for, await receive())


async def observer() -> Pid:
    """A process that traps exits and sends on to this one what it gets; link with it to have an end seen."""
    pid = spawn(_watch, self_pid())
    await receive(lambda message: message == "watching")
    return pid


def linked_with(pid: Pid) -> Callable[..., None]:
    """An action that links the server with the process."""
    return lambda *_: link(pid)


__all__ = [
    "Attempt",
    "Counter",
    "Gate",
    "Phonebook",
    "Scripted",
    "addresses",
    "as_written",
    "both",
    "by_start",
    "by_start_link",
    "by_start_monitor",
    "gates",
    "given_names",
    "holder_of",
    "linked_with",
    "names",
    "observer",
    "plainly",
    "raising",
    "settled",
    "spec_of",
    "starters",
    "styles",
]
