"""`regrow run`: a node in the foreground, from its start to its orderly stop."""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from types import FrameType

import anyio
from anyio.abc import TaskGroup

from .._pure.child_spec import Restart
from .._pure.config import ConfigError
from ..application_master import ApplicationEnded
from ..control import ExitCode, Refused, check_known, refusal_of, serve
from ..cookie import CookieError
from ..errors import ApplicationError, MandatoryNodesMissing, ProcessExited
from ..local_nodes import NodeNameTaken
from ..node import Node
from ..reasons import Custom, Reason
from ..reports import LOGGER
from ..runtime_directory import RuntimeDirectoryError
from .commands import RESTARTS, Command, Options, argument, say

BACKENDS = ("asyncio", "trio")
LEVELS = ("debug", "info", "warning", "error")
GRACE_S = 10.0  # after the shutdown budget, for what the node kills then


def run(options: Options) -> None:
    """Run a node until it is told to stop. Raises `Refused`."""
    if options.backend == "trio" and importlib.util.find_spec("trio") is None:
        raise Refused("trio is not installed: pip install 'regrow[trio]'", ExitCode.USAGE)
    _log_to_stderr(options.log.upper())
    with _signals_end_it_at_once():
        node = _node(options)
        failure = anyio.run(_run, node, options.start, Restart(options.type), backend=options.backend)
    if failure is not None:
        raise failure


def _node(options: Options) -> Node:
    """The node, once nothing that was written down for it is wrong."""
    try:
        node = Node(options.sname, config=options.config, path=options.path)
    except ConfigError as error:
        raise _mistaken(error.mistakes) from None
    except ValueError as error:
        raise Refused(str(error), ExitCode.USAGE) from None
    if mistakes := node.manifests.mistakes():  # nobody has looked, where there is no configuration
        raise _mistaken(mistakes)
    return node


def _mistaken(mistakes: Iterable[str]) -> Refused:
    return Refused("\n".join(mistakes), ExitCode.USAGE)


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler])


async def _run(node: Node, start: Sequence[str], restart: Restart) -> Refused | None:
    return await _Foreground(node, start, restart).run()


class _Foreground:
    """One node as an OS process of its own: what starts it, and what ends it."""

    def __init__(self, node: Node, start: Sequence[str], restart: Restart) -> None:
        self._node = node
        self._start = start
        self._restart = restart
        self._life = anyio.CancelScope()  # cancelled to stop the node
        self._stopping = False
        self._failure: Refused | None = None
        budget_s = node.config.shutdown_timeout
        patience_s = min(budget_s + GRACE_S, threading.TIMEOUT_MAX)
        self._overdue = threading.Timer(patience_s, self._end_by_force, [budget_s])
        self._overdue.daemon = True

    async def run(self) -> Refused | None:
        """The whole of it; what it failed with, if it did."""
        with (
            anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
            _second_interrupt_kills(lambda: self._stopping),
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(self._obey, signals)
                with self._life:
                    await self._live(group)
                group.cancel_scope.cancel()
        self._overdue.cancel()
        return self._failure

    async def _live(self, group: TaskGroup) -> None:
        try:
            async with self._node as node:
                assert node.claim is not None, "a node with a name has one"
                await group.start(serve, node, node.claim.listen(), self._halt)
                say(f"{node.name} up")
                if await self._start_applications():
                    await anyio.sleep_forever()
        except ProcessExited as ended:
            self._failure = Refused(f"{self._node.name} ended: {_why(ended.reason)}")
        except RuntimeDirectoryError as error:
            self._failure = Refused(str(error), ExitCode.USAGE)
        except ConfigError as error:
            self._failure = _mistaken(error.mistakes)
        except (NodeNameTaken, CookieError, MandatoryNodesMissing, OSError) as error:
            self._failure = Refused(f"{self._node.name} cannot start: {error}")

    async def _start_applications(self) -> bool:
        """Start what was asked for; whether all of it did."""
        try:
            for name in self._start:
                check_known(self._node, name)
                await self._node.applications.ensure_all_started(name, self._restart)
        except Refused as unknown:
            self._failure = unknown
        except ApplicationError as error:
            self._failure = refusal_of(error)
        return self._failure is None

    # -- being told to stop

    async def _obey(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            self._stop("Ctrl-C" if number == signal.SIGINT else number.name)

    def _halt(self, hard: bool) -> None:
        if hard:
            os._exit(ExitCode.DONE)
        self._stop("regrow halt")

    def _stop(self, why: str) -> None:
        if not self._stopping:
            self._stopping = True
            LOGGER.info("%s stops: %s", self._node.name, why)
            self._overdue.start()
            self._life.cancel()

    def _end_by_force(self, budget_s: float) -> None:
        """In a thread of its own, for a loop that something blocks, and a process that refuses to end."""
        left = ", ".join(map(repr, list(self._node.runtime.processes.values())))
        LOGGER.error(
            "%s has not stopped %g s after its %g s were over, and exits as it is; left: %s; its threads are at",
            self._node.name, GRACE_S, budget_s, left,
        )  # fmt: skip
        faulthandler.dump_traceback()
        os._exit(ExitCode.REFUSED)


def _why(reason: Reason) -> str:
    match reason:
        case Custom(ApplicationEnded(name, because, started)):
            return f"application {name} {'ended' if started else 'did not start'}: {because}"
        case _:
            return str(reason)


@contextmanager
def _signals_end_it_at_once() -> Generator[None]:
    """Until the node listens for them: there is nothing yet to be stopped in order."""
    before = {number: signal.signal(number, _end_at_once) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    os._exit(ExitCode.DONE)


@contextmanager
def _second_interrupt_kills(stopping: Callable[[], bool]) -> Generator[None]:
    """A Ctrl-C that comes while the node stops ends the OS process at once, even if something blocks the loop."""
    first = signal.getsignal(signal.SIGINT)
    interrupts = 0

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1 or stopping():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        elif callable(first):
            first(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, first)


def _directory(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no directory")
    return text


RUN = Command(
    "run",
    "run a node in the foreground",
    run,
    (
        argument("--sname", metavar="NAME", required=True, help="the name of the node, such as jc1@localhost"),
        argument("--config", metavar="FILE", help="the configuration of the cluster"),
        argument(
            "--path", metavar="DIR", type=_directory, action="append", default=[],
            help="find applications in this directory and the folders in it; may be repeated",
        ),
        argument(
            "--start", metavar="APP", action="append", default=[],
            help="start this application and all it needs; may be repeated",
        ),
        argument(
            "--type", choices=RESTARTS, default="temporary",
            help="what the end of an application that was started here means for the node",
        ),
        argument("--backend", choices=BACKENDS, default="asyncio", help="the event loop"),
        argument("--log", choices=LEVELS, default="info", help="what is logged to standard error"),
    ),
)  # fmt: skip
