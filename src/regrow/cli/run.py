"""`regrow run`: a node in the foreground, from its start to its orderly stop."""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import cast

import anyio
from anyio.abc import TaskGroup

from .. import workers
from .._pure.child_spec import Restart
from .._pure.config import UNIX_WORDS, ConfigError
from ..application_master import ApplicationEnded
from ..calls import stop
from ..config_files import Setting
from ..control import Channel, ExitCode, Refused, check_known, refusal_of, serve
from ..cookie import COOKIE_VARIABLE, CookieError
from ..errors import ApplicationError, CallError, MandatoryNodesMissing, ProcessExited
from ..local_nodes import NodeNameTaken
from ..node import Node
from ..peer import BOOT_TIMEOUT_S
from ..peer import Options as PeerOptions
from ..peer_words import up_line
from ..reasons import Custom, Reason, Shutdown
from ..reports import LOGGER
from ..runtime_directory import RuntimeDirectoryError
from .commands import RESTARTS, Command, Options, argument, say

BACKENDS = ("asyncio", "trio")
LOOPS = ("asyncio", "uvloop")
LEVELS = ("debug", "info", "warning", "error")
GRACE_S = 10.0  # after the shutdown budget, for what the node kills then


def run(options: Options) -> None:
    """Run a node until it is told to stop. Raises `Refused`."""
    _check_loop(options)
    channel = Channel.of_this_process() if options.peer else None
    _log_to_stderr(options)
    with _signals_end_it_at_once():
        node = _node(options)
        failure = anyio.run(
            _run, node, options, channel,
            backend=options.backend, backend_options={"use_uvloop": True} if options.loop == "uvloop" else {},
        )  # fmt: skip
    if failure is not None:
        raise failure


def _check_loop(options: Options) -> None:
    if options.backend == "trio" and options.loop is not None:
        raise Refused(f"--loop {options.loop} is a loop for --backend asyncio: trio brings its own", ExitCode.USAGE)
    for extra in (options.backend, options.loop):
        if extra in ("trio", "uvloop") and importlib.util.find_spec(extra) is None:
            raise Refused(f"{extra} is not installed: pip install 'regrow[{extra}]'", ExitCode.USAGE)


def _node(options: Options) -> Node:
    """The node, once nothing that was written down for it is wrong."""
    cookie = os.environ.pop(COOKIE_VARIABLE, None)  # so that what the node starts itself is not told it
    try:
        node = Node(
            options.sname,
            config=_config(options),
            cookie=cookie,
            path=options.path,
            portable=options.portable,
            unix=options.unix,
        )
    except ConfigError as error:
        raise _mistaken(error.mistakes) from None
    except ValueError as error:
        raise Refused(str(error), ExitCode.USAGE) from None
    if options.workers is not None and options.unix is None and node.unix == "off":
        node.unix = "also"  # they are one service on one machine, and no cluster that is only tried out here
    if mistakes := node.manifests.mistakes():  # nobody has looked, where there is no configuration
        raise _mistaken(mistakes)
    return node


def _config(options: Options) -> list[str | Setting]:
    """The files, and after them what the command line says itself."""
    return [*options.config, *map(Setting, options.set)]


def _mistaken(mistakes: Iterable[str]) -> Refused:
    return Refused("\n".join(mistakes), ExitCode.USAGE)


def _log_to_stderr(options: Options) -> None:
    """A peer's lines may stand among those of others, and say whose they are."""
    who = f"{options.sname}: " if options.peer else ""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(asctime)s.%(msecs)03d %(levelname)-7s {who}%(message)s", "%H:%M:%S"))
    logging.basicConfig(level=options.log.upper(), handlers=[handler])


async def _run(node: Node, options: Options, channel: Channel | None) -> Refused | None:
    return await _Foreground(node, options, channel).run()


class _Foreground:
    """One node as an OS process of its own: what starts it, and what ends it."""

    def __init__(self, node: Node, options: Options, channel: Channel | None) -> None:
        self._node = node
        self._options = options
        self._start: Sequence[str] = options.start
        self._channel = channel
        self._life = anyio.CancelScope()  # cancelled to stop the node
        self._stopping = False
        self._failure: Refused | None = None
        self._budget_s = node.config.shutdown_timeout
        grace_s = GRACE_S if options.workers is None else 2 * GRACE_S  # those first, then the node itself
        self._patience_s = min(self._budget_s + grace_s, threading.TIMEOUT_MAX)
        self._overdue = threading.Timer(self._patience_s, self._end_by_force)
        self._overdue.daemon = True

    async def run(self) -> Refused | None:
        """The whole of it; what it failed with, if it did."""
        with (
            anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
            _second_interrupt_kills(lambda: self._stopping),
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(self._obey, signals)
                if self._channel is not None:
                    group.start_soon(self._obey_channel, self._channel)
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
                self._say_up(node)
                if self._options.workers is not None:
                    await self._live_with_workers(self._options.workers)
                elif await self._start_applications():
                    await anyio.sleep_forever()
        except ProcessExited as ended:
            self._failure = Refused(f"{self._node.name} ended: {self._why(ended.reason)}")
        except RuntimeDirectoryError as error:
            self._failure = Refused(str(error), ExitCode.USAGE)
        except ConfigError as error:
            self._failure = _mistaken(error.mistakes)
        except ImportError as error:
            self._failure = Refused(f"portable: {error}", ExitCode.USAGE)
        except (NodeNameTaken, CookieError, MandatoryNodesMissing, OSError) as error:
            self._failure = Refused(f"{self._node.name} cannot start: {error}")

    def _say_up(self, node: Node) -> None:
        if self._channel is None:
            say(up_line(node.name))
        else:
            self._channel.up(node)

    async def _live_with_workers(self, count: int) -> None:
        """Have workers run what was asked for. They are stopped before the node, within a time of their own."""
        try:
            for name in self._start:
                check_known(self._node, name)
        except Refused as unknown:
            self._failure = unknown
            return
        supervisor = await workers.start_link(count, **_worker_options(self._options, self._node))
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True), suppress(CallError):  # it may be what ended the node
                await stop(supervisor)

    async def _start_applications(self) -> bool:
        """Start what was asked for; whether all of it did."""
        restart = Restart(self._options.type or "temporary")
        try:
            for name in self._start:
                check_known(self._node, name)
                await self._node.applications.ensure_all_started(name, restart)
        except Refused as unknown:
            self._failure = unknown
        except ApplicationError as error:
            self._failure = refusal_of(error)
        return self._failure is None

    def _why(self, reason: Reason) -> str:
        match reason:
            case Custom(ApplicationEnded(name, because, started)):
                return f"application {name} {'ended' if started else 'did not start'}: {because}"
            case Shutdown() if self._options.workers is not None:
                return "its workers do not stay up"
            case _:
                return str(reason)

    # -- being told to stop

    async def _obey(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            self._stop("Ctrl-C" if number == signal.SIGINT else number.name)

    async def _obey_channel(self, channel: Channel) -> None:
        threading.Thread(target=self._outlive_nobody, args=[channel.reading], daemon=True).start()
        await channel.serve()
        self._stop("whoever started it is gone, or said so")

    def _outlive_nobody(self, reading: int) -> None:
        """In a thread of its own, for a loop that something blocks: it does not see that its input has ended."""
        hung_up = select.poll()
        hung_up.register(reading, 0)
        hung_up.poll()
        threading.Event().wait(self._patience_s)
        self._end_by_force()

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

    def _end_by_force(self) -> None:
        """In a thread of its own, for a loop that something blocks, and a process that refuses to end."""
        try:
            left = ", ".join(map(repr, list(self._node.runtime.processes.values())))
            LOGGER.error(
                "%s has not stopped %g s after its %g s were over, and exits as it is; left: %s; its threads are at",
                self._node.name, GRACE_S, self._budget_s, left,
            )  # fmt: skip
            faulthandler.dump_traceback()
        finally:  # whatever it can still say
            os._exit(ExitCode.REFUSED)


def _worker_options(options: Options, node: Node) -> PeerOptions:
    """What the node was told is what its workers are told, with what the end of their applications means to them."""
    given = {name: getattr(options, name) for name in ("path", "start", "portable", "backend", "loop", "log")}
    given["config"] = _config(options)
    budget_s = node.config.shutdown_timeout + GRACE_S
    patience = {"boot_timeout": BOOT_TIMEOUT_S + node.config.sync_nodes_timeout, "stop_timeout": budget_s}
    if node.cookie is not None:
        given["cookie"] = node.cookie.decode()
    given = {name: value for name, value in given.items() if value is not None}
    return cast(PeerOptions, {**given, **patience, "type": options.type or "permanent", "unix": node.unix})


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


def _number_of_workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number, at least 1, not {text!r}")
    return int(text)


RUN = Command(
    "run",
    "run a node in the foreground",
    run,
    (
        argument("--sname", metavar="NAME", required=True, help="the name of the node, such as jc1@localhost"),
        argument(
            "--config", metavar="FILE", action="append", default=[],
            help="the configuration of the cluster; may be repeated, and what is said later counts",
        ),
        argument(
            "--set", metavar="TABLE.KEY=VALUE", action="append", default=[],
            help="one setting, in TOML, which counts more than those of the configuration; may be repeated",
        ),
        argument(
            "--path", metavar="DIR", type=_directory, action="append", default=[],
            help="find applications in this directory and the folders in it; may be repeated",
        ),
        argument(
            "--portable", metavar="MODULE", action="append", default=[],
            help="let what this module marks as portable cross nodes, besides what manifests name; may be repeated",
        ),
        argument(
            "--start", metavar="APP", action="append", default=[],
            help="start this application and all it needs; may be repeated",
        ),
        argument(
            "--type", choices=RESTARTS,
            help="what the end of an application that was started here means for the node: temporary unless said, "
            "and permanent for workers",
        ),
        argument(
            "--workers", metavar="N", type=_number_of_workers,
            help="have so many nodes run what is to be started, each on a core of its own, and start them again",
        ),
        argument("--backend", choices=BACKENDS, default="asyncio", help="the event loop"),
        argument("--loop", choices=LOOPS, help="what runs asyncio: its own loop, or uvloop"),
        argument(
            "--unix", choices=UNIX_WORDS,
            help="whether nodes of this machine come through a Unix socket, instead of what the configuration says",
        ),
        argument("--log", choices=LEVELS, default="info", help="what is logged to standard error"),
        argument(
            "--peer", action="store_true",
            help="obey whoever starts it, through its standard input and output, and stop when the input ends",
        ),
    ),
)  # fmt: skip
