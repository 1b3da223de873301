"""Typed calls at run time: arguments, decorated handlers, subclasses, generic and attrs classes as servers."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
import pytest

from regrow import (
    Crash,
    Down,
    GenServer,
    Name,
    Node,
    ServerExited,
    UnknownRequest,
    call,
    cast,
    child,
    receive,
    start,
    start_link,
    start_monitor,
)

from .gen_server_kit import Counter, Gate, styles

T = TypeVar("T")


def logged(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as people write them."""

    @functools.wraps(handler)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await handler(*args, **kwargs)

    return wrapper


def nameless(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that forgets `functools.wraps`."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await handler(*args, **kwargs)

    return wrapper


class Till(GenServer):
    """Handlers of all kinds."""

    def __init__(self) -> None:
        self.total = 0

    @call
    async def pay(self, amount: int, tip: int = 0, *, currency: str = "EUR") -> str:
        self.total += amount + tip
        return f"{self.total} {currency}"

    @call
    def pay_plainly(self, amount: int, tip: int = 0, *, currency: str = "EUR") -> str:
        self.total += amount + tip
        return f"{self.total} {currency}"

    @call
    @logged
    async def pay_logged(self, amount: int, tip: int = 0, *, currency: str = "EUR") -> str:
        return await self.pay(amount, tip, currency=currency)

    @call
    async def broken(self, amount: int) -> int:
        return amount + None  # type: ignore[operator]

    @call
    def broken_plainly(self, amount: int) -> int:
        return len(amount)  # type: ignore[arg-type]

    @call
    @logged
    async def broken_logged(self, amount: int) -> int:
        return amount + None  # type: ignore[operator]

    @call
    @nameless
    async def first(self) -> str:
        return "first"

    @call
    @nameless
    async def second(self) -> str:
        return "second"

    @call
    async def named_like_ours(self, server: int, message: int, ref: int, method: int) -> int:
        return server + message + ref + method

    @cast
    async def add(self, amount: int) -> None:
        self.total += amount

    @cast
    def add_plainly(self, amount: int) -> None:
        self.total += amount

    @cast
    @logged
    async def add_logged(self, amount: int) -> None:
        self.total += amount


PAYING: list[Any] = [Till.pay, Till.pay_plainly, Till.pay_logged]


async def test_arguments_may_be_given_by_place_and_by_keyword() -> None:
    """As to the method itself, defaults and keyword-only ones included."""
    async with Node():
        ref = await start_link(Till)
        for pay in PAYING:
            ref = await start_link(Till)
            assert await pay(ref, 1) == "1 EUR"
            assert await pay(ref, amount=1) == "2 EUR"
            assert await pay(ref, 1, 1) == "4 EUR"
            assert await pay(ref, tip=1, amount=1, currency="CHF") == "6 CHF"
        assert await Till.named_like_ours(ref, server=1, message=2, ref=3, method=4) == 10


@pytest.mark.parametrize("pay", PAYING, ids=["async_def", "def", "decorated"])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"amount": 1}), ((1,), {"self": 1}), ((1,), {"tipp": 1})],
    ids=["missing", "too_many", "twice", "self", "misspelt"],
)
async def test_arguments_that_do_not_fit_are_the_callers_type_error(
    pay: Any, args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    """And no more: the server lives, with its state. A decorated handler is judged by the signature it shows."""
    async with Node() as node:
        ref = await start_link(Till)
        with pytest.raises(TypeError):
            await pay(ref, *args, **kwargs)
        assert await Till.pay(ref, 1) == "1 EUR"
        assert list(node.runtime.reports.crashes) == []


@pytest.mark.parametrize("broken", [Till.broken, Till.broken_plainly, Till.broken_logged])
async def test_a_type_error_inside_a_handler_is_a_crash(broken: Any) -> None:
    """It is the server's, though it looks the same."""
    async with Node():
        ref = await start(Till)
        with pytest.raises(ServerExited, match="TypeError"):
            await broken(ref, 1)


@pytest.mark.parametrize("add", [Till.add, Till.add_plainly, Till.add_logged], ids=["async_def", "def", "decorated"])
async def test_a_cast_whose_arguments_do_not_fit_is_dropped_with_a_warning(
    add: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits who could be told."""
    async with Node():
        ref = await start_link(Till)
        with caplog.at_level(logging.WARNING, "regrow"):
            add(ref, "a", "b")
            add(ref, 2)
            assert await Till.pay(ref, 1) == "3 EUR"
        (record,) = caplog.records
        assert "dropped Cast(add" in record.getMessage()


@styles
async def test_a_method_the_server_does_not_have_is_the_callers_error(
    style: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A reference was given a wrong class, or the class has changed since: the server lives."""
    async with Node():
        ref: Any = await start_link(style(Counter))
        with caplog.at_level(logging.WARNING, "regrow"):
            with pytest.raises(UnknownRequest, match="Counter has no handler for Call"):
                await Gate.enter(ref)
            with pytest.raises(UnknownRequest):
                await Gate.count(ref)
            Till.add(ref, 1)
            assert await Counter.add(ref, 1) == 1
        (record,) = caplog.records
        assert "Counter has no handler for Cast(add(1))" in record.getMessage()


async def test_only_marked_methods_can_be_called_from_outside() -> None:
    """What is not marked is nobody's business."""

    class Other(GenServer):
        @call
        async def secret(self) -> str:
            return "asked"

    class Private(GenServer):
        async def secret(self) -> str:
            return "told"

    async with Node():
        ref: Any = await start_link(Private)
        with pytest.raises(UnknownRequest):
            await Other.secret(ref)


async def test_a_handler_is_known_by_the_name_of_its_attribute() -> None:
    """A decorator that gives every function the same name makes no difference."""
    async with Node():
        ref = await start_link(Till)
        assert await Till.first(ref) == "first"
        assert await Till.second(ref) == "second"


class Base(GenServer):
    """What subclasses change."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @call
    async def greet(self, name: str) -> str:
        return f"hello {name}"

    @cast
    async def note(self, text: str) -> None:
        self.log.append(text)

    @call
    async def notes(self) -> list[str]:
        return self.log


class Marked(Base):
    """Overrides with the mark."""

    @call(timeout=None)
    async def greet(self, name: str) -> str:
        return f"{await super().greet(name)}, and welcome"

    @cast
    async def note(self, text: str) -> None:
        await super().note(text.upper())


class Unmarked(Base):
    """Overrides without it."""

    async def greet(self, name: str) -> str:  # type: ignore[override]
        return f"{await super().greet(name)}, and welcome"

    def note(self, text: str) -> None:  # type: ignore[override]
        self.log.append(text.upper())


@pytest.mark.parametrize("cls", [Marked, Unmarked])
async def test_a_subclass_overrides_a_handler(cls: Any) -> None:
    """With the mark or without: it is the subclass's that runs, and its parent's can be called from it."""
    async with Node():
        ref = await start_link(cls)
        assert await Base.greet(ref, "Ada") == "hello Ada, and welcome"
        Base.note(ref, "quiet")
        assert await Base.notes(ref) == ["QUIET"]


async def test_handlers_may_come_from_a_mixin() -> None:
    """One that is no server itself."""

    class Pinged:
        @call  # type: ignore[arg-type]
        async def ping(self) -> str:
            return f"pong from {type(self).__name__}"

    class Both(Pinged, Counter):
        pass

    async with Node():
        ref = await start_link(Both)
        assert await Both.ping(ref) == "pong from Both"  # type: ignore[call-overload]
        assert await Both.add(ref, 1) == 1


class Cell(GenServer, Generic[T]):
    """A server of any type."""

    def __init__(self, value: T) -> None:
        self.value = value

    @call
    async def get(self) -> T:
        return self.value

    @cast
    async def put(self, value: T) -> None:
        self.value = value


async def test_a_generic_server_is_started_and_called_with_its_parameter() -> None:
    """`Cell[int]` wherever a class is expected."""
    async with Node():
        for ref in (await start_link(Cell[int], 1), await start_link(child(Cell[int], 1).named("cell"))):
            assert ref.cls is Cell
            Cell.put(ref, 2)
            assert await Cell.get(ref) == 2
            assert await Cell[int].get(ref) == 2
        assert await Cell.get(Name("cell", Cell[int])) == 2


@attrs.define
class Account(GenServer):
    """attrs writes the constructor, and makes the class anew, with slots."""

    owner: str
    balance: int = 0

    @call
    async def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    @call
    def name(self) -> str:
        return self.owner


@attrs.define
class Savings(Account):
    """`super()` without arguments finds its class also in a handler of a class that attrs made anew."""

    rate: int = 2

    @call
    async def deposit(self, amount: int) -> int:
        return await super().deposit(amount * self.rate)


@attrs.define
class Emptied(Account):
    """The same for a cast; apart, because the methods of one class share what attrs mends."""

    @cast
    async def drop(self) -> None:
        await super().deposit(-self.balance)


class Greets:
    """A class that is no behaviour, to be mixed into one."""

    greeting = "hello"

    @call
    def greet(self, name: str = "you") -> str:
        """Says hello."""
        return f"{self.greeting} {name}"


class Host(Greets, GenServer):
    greeting = "welcome"


async def test_a_marked_method_looks_like_itself_and_is_itself_on_an_object() -> None:
    """Whoever tests a class, or asks for help with it, need not know that it may be a server."""
    looked_at: Any = Till.pay
    assert str(inspect.signature(looked_at)).startswith("(self, amount: 'int', tip: 'int' = 0, *, currency")
    greets: Any = Greets
    greet = greets.greet
    assert (greet.__name__, greet.__doc__) == ("greet", "Says hello.")
    plain = greets()
    assert (plain.greet(), plain.greet(name="me")) == ("hello you", "hello me")
    assert Account("Ann").name() == "Ann", "attrs has made the class anew"
    async with Node():
        host: Any = await start_link(Host)
        assert await greet(host, "you all") == "welcome you all"
        assert await greet.with_timeout(1.0)(host) == "welcome you"


@attrs.frozen
class Constant(GenServer):
    """A server without a changing state."""

    value: int

    @call
    async def get(self) -> int:
        return self.value

    @call
    async def put(self, value: int) -> None:
        self.value = value  # type: ignore[misc]


async def test_attrs_classes_are_servers() -> None:
    """With slots, with defaults, with subclasses; none of them calls `super().__init__()`."""
    async with Node():
        account = await start_link(Account, "Ada", balance=10)
        assert await Account.deposit(account, 5) == 15
        assert await Account.name(account) == "Ada"
        savings = await start_link(Savings, "Bob")
        assert await Savings.deposit(savings, 5) == 10
        assert await Account.deposit(savings, 5) == 20
        emptied = await start_link(Emptied, "Cem", 10)
        Emptied.drop(emptied)
        assert await Account.deposit(emptied, 1) == 1


async def test_frozen_attrs_classes_are_servers() -> None:
    """regrow writes nothing into a server; who does crashes it."""
    async with Node():
        ref, ended = await start_monitor(Constant, 42)
        assert await Constant.get(ref) == 42
        with pytest.raises(ServerExited):
            await Constant.put(ref, 43)
        down = await receive(Down)
        assert down.ref == ended
        assert isinstance(down.reason, Crash)
        assert isinstance(down.reason.exception, attrs.exceptions.FrozenInstanceError)


async def test_a_server_without_a_constructor_needs_none() -> None:
    """Nor does a subclass have to call one of ours."""

    class Bare(GenServer):
        @call
        async def ping(self) -> str:
            return "pong"

    async with Node():
        assert await Bare.ping(await start_link(Bare)) == "pong"
