"""Functions called on other nodes, each in a process of its own there. OTP's `erpc`.

Used with its module: `from regrow import rpc`, then `await rpc.call("b@localhost", multiply, 2, 3)`. A node runs
nothing for others unless its configuration says so (`rpc = "portable"`), and then only functions marked `@portable` in
the modules that it names itself. What they raise comes back as data.

The time that a call has holds whatever the other node does, and its loss is noticed at once. What went wrong on the way
can be told from what the function did:

| raised | what happened |
| --- | --- |
| `RemoteError` | the function raised an exception; this is what is known of it here |
| `CalleeExited` | the function's process ended before it returned |
| `RpcRefused` | the node does not run this function for others; it has not run |
| `CallTimeout` | no answer came in time; the function may have run, or may still |
| `ServerExited` | the node is lost, or can't be reached: `NoConnection()` |
| `NotPortable` | the function or its arguments can't go there, or its result can't come here |
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeAlias, TypeVar, TypeVarTuple, overload

import attrs

from ._pure.codec import NotPortable
from .calls import CALL_TIMEOUT_S, gen_cast
from .errors import CalleeExited, NoProcess, RpcRefused
from .gen import check_timeout
from .messages import NO_KWARGS, Failure
from .portable import portable_name
from .reasons import RemoteError
from .rpc_words import SERVER, Exited, Raised, Returned, Run, Unknown
from .sent_requests import SentRequest
from .sent_requests import send_request as _send_request

Ts = TypeVarTuple("Ts")
R = TypeVar("R")


@attrs.frozen
class Failed:
    """Why a function gave no value: what `call` would have raised."""

    error: Exception


Result: TypeAlias = Returned[R] | Failed

__all__ = ["Failed", "Result", "Returned", "call", "cast", "multicall", "send_request"]


@overload
async def call(
    node: str, fn: Callable[[*Ts], Coroutine[Any, Any, R]], /, *args: *Ts, timeout: float | None = CALL_TIMEOUT_S
) -> R: ...
@overload
async def call(node: str, fn: Callable[[*Ts], R], /, *args: *Ts, timeout: float | None = CALL_TIMEOUT_S) -> R: ...
async def call(node: str, fn: Callable[[*Ts], Any], /, *args: *Ts, timeout: float | None = CALL_TIMEOUT_S) -> Any:
    """Call a function on a node and wait for what it returns; `functools.partial` brings keywords.

    `None` waits for ever. What it raises is said at the head of the module.
    """
    check_timeout(timeout)
    return await _send(node, run_of(fn, args), timeout).receive()


@overload
def send_request(node: str, fn: Callable[[*Ts], Coroutine[Any, Any, R]], /, *args: *Ts) -> SentRequest[R]: ...
@overload
def send_request(node: str, fn: Callable[[*Ts], R], /, *args: *Ts) -> SentRequest[R]: ...
def send_request(node: str, fn: Callable[[*Ts], Any], /, *args: *Ts) -> SentRequest[Any]:
    """Call a function on a node and return at once; its result can be waited for later, with a timeout, or given up.

    Raises `NotPortable`; all else is raised where the result is waited for.
    """
    return _send(node, run_of(fn, args), None)


def cast(node: str, fn: Callable[[*Ts], object], /, *args: *Ts) -> None:
    """Have a node run a function. Never waits, and whatever becomes of it is no news here.

    Raises `NotPortable`.
    """
    gen_cast((SERVER, node), run_of(fn, args))


@overload
async def multicall(
    nodes: Iterable[str], fn: Callable[[*Ts], Coroutine[Any, Any, R]], /, *args: *Ts, timeout: float | None = ...
) -> list[Result[R]]: ...
@overload
async def multicall(
    nodes: Iterable[str], fn: Callable[[*Ts], R], /, *args: *Ts, timeout: float | None = ...
) -> list[Result[R]]: ...
async def multicall(
    nodes: Iterable[str], fn: Callable[[*Ts], Any], /, *args: *Ts, timeout: float | None = CALL_TIMEOUT_S
) -> list[Result[Any]]:
    """Call a function on several nodes at a time: one result for each, in the order of the nodes.

    Raises `NotPortable`, if none of them can be asked.
    """
    check_timeout(timeout)
    run = run_of(fn, args)
    requests = [_send(node, run, timeout) for node in nodes]
    try:
        return [await _result(request) for request in requests]
    finally:
        for request in requests:
            request.abandon()


async def _result(request: SentRequest[R]) -> Result[R]:
    try:
        return Returned(await request.wait())
    except Exception as error:  # noqa: BLE001 - whatever kept it from its value is its result
        return Failed(error)


def run_of(fn: Callable[..., object], args: tuple[Any, ...]) -> Run:
    """The call as it travels. Raises `NotPortable`."""
    if isinstance(fn, partial):
        return Run(portable_name(fn.func), (*fn.args, *args), fn.keywords)
    return Run(portable_name(fn), args, {})


def _send(node: str, run: Run, timeout_s: float | None) -> SentRequest[Any]:
    request = _send_request((SERVER, node), None, (run,), NO_KWARGS, timeout_s)
    return request.read_with(lambda answer: value_of(node, run.function, answer))


def value_of(node: str, function: str, answer: Any) -> Any:
    """What the function returned; raises what stands in its place."""
    match answer:
        case Returned():
            return answer.value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        case Raised(error):
            raise error
        case Exited(reason, by_signal):
            raise CalleeExited(node, function, reason, by_signal)
        case Unknown():
            raise RpcRefused(f"{node} has no portable function {function}")
        case Failure(NoProcess()):
            raise RpcRefused(f'{node} runs nothing for others: its configuration has no rpc = "portable"')
        case Failure(RemoteError() as error):  # what a function raises is no failure of its call
            raise NotPortable(error.text)
        case Failure(error):
            raise error
        case _:
            raise RpcRefused(f"{node} gave an answer that nobody here understands: {answer!r:.80}")
