"""Requests whose replies are waited for later, with a timeout, or not at all. OTP's `send_request`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from .call_cycles import waiting
from .errors import CallTimeout, NoProcess
from .gen import check_timeout, give_up, post_far
from .messages import Call, Failure, describe, result_of
from .refs import Dest, item_of, runtime_for
from .runtime import Process, Runtime, current
from .signals import Item

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
L = TypeVar("L")


class _Nothing:
    """The type of `NOTHING`."""


NOTHING: Final = _Nothing()  # no answer yet, where an answer may be anything


class Outcome:
    """The promise of a request for which perhaps nobody waits: it keeps the answer."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: object = NOTHING

    def done(self) -> bool:
        return self.value is not NOTHING

    def settle(self, value: Any = None, /) -> None:
        if self.value is NOTHING:
            self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        raise TypeError("a request that was sent is waited for with `wait` or `receive`")


class SentCall(Call):
    """A call that its caller may never wait for. Once it is over nobody knows it any more, and who waits is woken."""

    __slots__ = ("_runtime", "_sender", "at", "item", "outcome", "wakers")

    def __init__(
        self,
        runtime: Runtime,
        sender: Process | None,
        method: str | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self.outcome = Outcome()
        super().__init__(None if sender is None else sender.pid, self.outcome, method, args, kwargs)
        self.wakers: list[Callable[[], None]] = []
        self._runtime = runtime
        self.item: Item | None = None  # where it went
        self.at: Process | Item | None = None  # and who that is, if it is on this node
        self._sender = sender

    def under_way(self) -> None:
        """It is given up when its sender ends."""
        if self._sender is not None:
            self._sender.sent[self] = None

    def withdraw(self) -> bool:
        was_open = super().withdraw()
        self._over()
        return was_open

    def answer(self, value: object) -> None:
        super().answer(value)
        self._over()

    def _over(self) -> None:
        if self._sender is not None:
            self._sender.sent.pop(self, None)
        if self.reference is not None:
            self._runtime.aliases.pop(self.reference, None)
        _wake_all(self.wakers)

    def abandon(self) -> None:
        """Nobody waits for the reply any more."""
        if self.item is None:
            self.withdraw()
        else:
            give_up(self._runtime, self.item, self)

    def release(self, _process: Process) -> None:
        self.abandon()


class SentRequest(Generic[R_co]):
    """A request that is under way: wait for its reply later, or give it up.

    Made by `Counter.add.send_request(ref, 3)` and `gen_send_request`, which never wait. A reply that has come is
    kept here, not in the mailbox. When the process that sent the request ends, the request is given up.
    """

    def __init__(self, runtime: Runtime, call: SentCall, read: Callable[[object], Any] = result_of) -> None:
        self.runtime = runtime
        self._call = call
        self._read = read

    def read_with(self, read: Callable[[object], Any]) -> SentRequest[Any]:
        """The same request; what `read` makes of its answer, a value or a `Failure`, is what one gets for it."""
        return SentRequest(self.runtime, self._call, read)

    def __repr__(self) -> str:
        state = "done" if self.done else "under way" if self._call.is_open else "given up"
        return f"<SentRequest {self._described()}, {state}>"

    @property
    def done(self) -> bool:
        """Whether the answer is here: a reply, or the news that there will be none."""
        return self._call.outcome.done()

    async def wait(self, timeout: float | None = None) -> R_co:
        """The reply, once it has come; after that at once, as often as it is asked for.

        Raises what the call would have raised: `NoProcess`, `ServerExited`, or what the server failed the reply with.
        `CallTimeout` if no answer comes within `timeout` seconds: the request lives on and can be waited for again.
        """
        check_timeout(timeout)
        if self._call.is_open:
            with waiting(self.runtime, self._call, self._call.at):
                await _woken(self.runtime, self._call.wakers, timeout)
        if self.done:
            return self._read(self._call.outcome.value)  # type: ignore[no-any-return]
        if self._call.is_open:
            raise CallTimeout(self._described(), timeout)
        raise RuntimeError(f"{self!r}: its reply never comes")

    async def receive(self, timeout: float | None = None) -> R_co:
        """The same, but a request whose time is up is given up, as by a call."""
        try:
            return await self.wait(timeout)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give the request up: no reply comes any more, and the server can see that. Does nothing if it is done."""
        self._call.abandon()

    def when_over(self, tell: Callable[[], None]) -> None:
        """Have this called once the request is done or given up, at once if it is."""
        self._call.wakers.append(tell)
        if not self._call.is_open:
            _wake_all(self._call.wakers)

    def _described(self) -> str:
        return describe(self._call.method, self._call.args, self._call.kwargs)


class RequestCollection(Generic[R, L]):
    """Requests under way, each with a label of yours; their answers come out in the order of their arrival."""

    def __init__(self) -> None:
        self._labels: dict[SentRequest[R], L] = {}
        self._over: deque[SentRequest[R]] = deque()
        self._wakers: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[tuple[SentRequest[R], L]]:
        return iter(self._labels.items())

    def add(self, request: SentRequest[R], label: L) -> None:
        """Add a request. Raises `ValueError` if it is there already."""
        if request in self._labels:
            raise ValueError(f"{request!r} is in the collection already")
        self._labels[request] = label
        request.when_over(lambda: self._is_over(request))

    async def wait(self, timeout: float | None = None) -> tuple[SentRequest[R], L]:
        """The next request that is done, or was given up, and its label; it leaves the collection.

        Raises `LookupError` if there is none in it, and `CallTimeout` if none is done within `timeout` seconds: the
        requests live on.
        """
        check_timeout(timeout)
        while not self._over:
            if not self._labels:
                raise LookupError("there is no request in the collection")
            runtime = next(iter(self._labels)).runtime
            if not await _woken(runtime, self._wakers, timeout):
                raise CallTimeout(f"any of {len(self)} requests", timeout)
        request = self._over.popleft()
        return request, self._labels.pop(request)

    async def receive(self, timeout: float | None = None) -> tuple[SentRequest[R], L]:
        """The same, but when the time is up, all that are left are given up."""
        try:
            return await self.wait(timeout)
        except CallTimeout:
            for request in self._labels:
                request.abandon()
            raise

    def _is_over(self, request: SentRequest[R]) -> None:
        self._over.append(request)
        _wake_all(self._wakers)


def _wake_all(wakers: list[Callable[[], None]]) -> None:
    waiting = tuple(wakers)
    wakers.clear()
    for wake in waiting:
        wake()


async def _woken(runtime: Runtime, wakers: list[Callable[[], None]], timeout_s: float | None) -> bool:
    """Wait among those who are to be woken; whether that came before the time was up."""
    promise = runtime.backend.promise()

    def wake() -> None:
        promise.settle()

    wakers.append(wake)
    timer = None if timeout_s is None else runtime.timers.after(timeout_s, wake)
    try:
        await promise
        return wake not in wakers
    finally:
        if timer is not None:
            timer.cancel()
        if wake in wakers:
            wakers.remove(wake)


def send_request(
    dest: Dest, method: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout_s: float | None = None
) -> SentRequest[Any]:
    """Send a request and return at once; after `timeout_s` it fails by itself. Raises `NotPortable`."""
    me = current.get(None)
    runtime = runtime_for(dest)
    call = SentCall(runtime, me if isinstance(me, Process) else None, method, args, kwargs)
    try:
        _post(runtime, dest, call, timeout_s)
    except NoProcess as error:
        call.answer(Failure(error))
    return SentRequest(runtime, call)


def _post(runtime: Runtime, dest: Dest, call: SentCall, timeout_s: float | None) -> None:
    item = call.item = item_of(dest, runtime)
    server = runtime.lookup(item)
    call.under_way()
    if server is None:
        call.at = item
        post_far(runtime, item, call, timeout_s)
    else:
        call.at = server
        if server.exiting is not None:
            call.keep_in(server.requests)  # its mailbox takes nothing any more: the answer is that it has ended
        call.enter(server.mailbox)
    if timeout_s is not None:
        runtime.timers.expire_after(timeout_s, call)
