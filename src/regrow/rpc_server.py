"""What runs functions for other nodes, on a node that allows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import FunctionType

from ._pure.child_spec import ChildSpec
from ._pure.ids import Reference
from .behaviour import child
from .errors import NO_REPLY, exit_reason
from .gen_server import GenServer, reply
from .handlers import finish
from .messages import Down, From
from .process import spawn, spawn_monitor
from .reasons import Crash, RemoteError
from .rpc_words import SERVER, Exited, Outcome, Raised, Returned, Run, Unknown
from .runtime import this_process
from .supervisor import Supervisor


class RpcSupervisor(Supervisor):
    """Starts the server again, should it fail."""

    def __init__(self, functions: Mapping[str, FunctionType]) -> None:
        self._functions = functions

    def init(self) -> Iterable[ChildSpec]:
        return [child(RpcServer, self._functions).named(SERVER)]


class RpcServer(GenServer):
    """Runs each function in a process of its own, and sees to it that each caller gets an answer."""

    def __init__(self, functions: Mapping[str, FunctionType]) -> None:
        self._functions = functions
        self._callers: dict[Reference, From] = {}

    async def handle_call(self, request: object, from_: From) -> object:
        match request:
            case Run(name) if name in self._functions:
                _, ref = spawn_monitor(_answer, from_, self._functions[name], request)
                self._callers[ref] = from_
                return NO_REPLY
            case _:
                return Unknown()

    async def handle_cast(self, request: object) -> None:
        match request:
            case Run(name) if name in self._functions:
                spawn(_run, self._functions[name], request)
            case _:
                me = this_process("handle_cast")
                me.runtime.reports.warning(f"{me!r} can't run what is not portable here: {request!r:.500}", pid=me.pid)

    async def handle_info(self, message: object) -> None:
        match message:
            case Down(ref, _, reason) if ref in self._callers:
                reply(self._callers.pop(ref), Exited(reason, by_signal=True))  # the first answer counts
            case _:
                await super().handle_info(message)


async def _answer(caller: From, function: FunctionType, run: Run) -> None:
    reply(caller, await outcome_of(function, run))


async def outcome_of(function: FunctionType, run: Run) -> Outcome:
    """What comes of the function, run here; what ends its process otherwise is for others to see."""
    try:
        return Returned(await _run(function, run))
    except Exception as error:  # noqa: BLE001 - it is the caller's news, whatever it is
        reason = exit_reason(error)
        return (
            Raised(RemoteError.of(reason.exception)) if isinstance(reason, Crash) else Exited(reason, by_signal=False)
        )


async def _run(function: FunctionType, run: Run) -> object:
    return await finish(function(*run.args, **run.kwargs))
