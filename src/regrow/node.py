"""A node: the runtime of some processes, entered with `async with`."""

from __future__ import annotations

import enum
import math
import secrets
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import Token
from functools import cached_property
from importlib import import_module
from os import PathLike
from types import FunctionType, ModuleType, TracebackType
from typing import Self

import anyio
import attrs
from anyio import CancelScope, create_task_group, get_cancelled_exc_class
from anyio.abc import TaskGroup

from . import dist_words, global_words, lock_server, peer_words, questions, rpc_words
from ._backends import Backend, Home, insist, running_backend
from ._pure.codec import Codec
from ._pure.config import (
    RPC_WORDS,
    UNIX_WORDS,
    WATCHDOG_LEAST_S,
    ConfigError,
    NodeConfig,
    RpcWord,
    UnixWord,
    is_node_name,
)
from ._pure.ids import UNNAMED_NODE
from .application_controller import ApplicationController
from .behaviour import child, start_process
from .clock import Clock, MonotonicClock
from .config_change import change_config
from .config_files import ConfigFiles, files_of, read_config
from .cookie import read_cookie
from .discovery import Discovery
from .dist_ac import DistributionController
from .environments import Environments
from .errors import MandatoryNodesMissing, ProcessExited, exit_reason, short
from .global_name_server import GlobalNameServer
from .local_nodes import Claim, claim
from .lock_server import LockServer
from .manifests import Manifests
from .net_kernel import NetKernel
from .portable import Marked, marked_in
from .reasons import Crash, Killed, Normal, Reason
from .rpc_server import RpcSupervisor
from .runtime import WORD, Here, Outsider, Process, Runtime, current, here
from .stopping import kill_late, stop_in_order, time_limit
from .transport import Carrier, SocketCarrier
from .watchdog import Watchdog
from .wire import vocabulary

# What the services of nodes say to each other.
_WORDS = (dist_words, global_words, lock_server, questions, rpc_words, peer_words)
_KINDS = tuple(kind for words in _WORDS for kind in words.KINDS)


class Configured(enum.Enum):
    """The type of `CONFIGURED`."""

    CONFIGURED = "as the configuration says"


CONFIGURED = Configured.CONFIGURED


class Node:
    """A node of its own in this interpreter. The body of `async with Node()` is a process of it.

    Leaving the body stops everything in order, the newest first: applications; then other supervisors and
    servers, which are told `Shutdown` and get their shutdown time one after the other; then other processes
    are killed, and whatever was not done within the `shutdown_timeout` of the configuration. Several nodes may live
    side by side.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        config: ConfigFiles | NodeConfig | None = None,
        cookie: str | bytes | None = None,
        path: Iterable[str | PathLike[str]] = (),
        portable: Iterable[str] = (),
        clock: Clock | None = None,
        carrier: Carrier | None = None,
        rpc: RpcWord | None = None,
        unix: UnixWord | None = None,
        watchdog: float | Configured | None = CONFIGURED,
    ) -> None:
        """A node with its configuration, and the directories to find applications in.

        The configuration is a file, or several, of which later ones count; or has been read already.

        A node that has a name, such as `jc1@localhost`, can be reached by others that share its cookie: the one
        given, else that of the configured file. `portable` names modules whose `@portable` types and functions
        may cross nodes, besides those that the manifests on the path name. `carrier` replaces all sockets. Instead of
        the configuration, `rpc` says whether other nodes may call those functions, `"portable"` or `"off"`; `unix`
        whether nodes of this machine come through a Unix socket, `"also"`, `"only"` or `"off"`; and `watchdog` how
        many seconds something may block the loop before it is named, `None` for no watchdog.

        Raises `ConfigError` that lists all mistakes of the configuration; entering the node raises what keeps
        it from being reached, `NodeNameTaken`, `CookieError`, `OSError`, or `MandatoryNodesMissing`.
        """
        self.name = UNNAMED_NODE if name is None else full_name(name)
        self.cookie = cookie.encode() if isinstance(cookie, str) else cookie
        if self.cookie == b"":
            raise ValueError("an empty cookie would let everybody in")
        self.portable = tuple(portable)
        self.carrier = carrier
        self.clock = MonotonicClock() if clock is None else clock
        self.manifests = Manifests(path)
        self._config_files = files_of(config)
        self.config = config if isinstance(config, NodeConfig) else self._read_config()
        self.rpc = _word("rpc", rpc, RPC_WORDS, self.config.rpc)
        self.unix = _word("unix", unix, UNIX_WORDS, self.config.listen.unix)
        self.watchdog_s = _watchdog_s(watchdog, self.config)
        self._running: _Running | None = None

    @property
    def runtime(self) -> Runtime:
        """The node's table of processes. Raises `RuntimeError` before the node was entered."""
        return self._entered().runtime

    @property
    def applications(self) -> ApplicationController:
        """The node's application controller. Raises `RuntimeError` before the node was entered."""
        return self._entered().applications

    @property
    def codec(self) -> Codec:
        """What may leave the node, and how; also that of a node without a name, for those who ask beforehand."""
        return self._entered().codec

    @property
    def portable_functions(self) -> Mapping[str, FunctionType]:
        """The functions that others may name, by their portable names."""
        return self._entered().marked.functions

    @property
    def net_kernel(self) -> NetKernel | None:
        """The node among others; `None` for one without a name."""
        return self._entered().net_kernel

    @property
    def distribution(self) -> DistributionController | None:
        """The node's part in deciding who runs what; `None` if nothing is distributed."""
        return self._entered().distribution

    @property
    def global_names(self) -> GlobalNameServer:
        """The names that it shares with the nodes it is connected with."""
        return self._entered().global_names

    @property
    def locks(self) -> LockServer:
        """The locks that it gives, and those that its processes have."""
        return self._entered().locks

    @property
    def claim(self) -> Claim | None:
        """The node's name on this machine, while it is entered; `None` for one that is not found through it."""
        return self._entered().claim

    async def reload_config(self) -> list[str]:
        """Read the configuration files again, and tell each application that runs what is different for it.

        Returns the names of those that were told, in the order of their start. Only the environments of applications
        change while a node runs; what else is different is a warning, and waits for the next start of the node.
        Raises `ConfigError` with all mistakes, and leaves all as it was; `ApplicationError` if a `config_change`
        failed, once all have been told.
        """
        running = self._entered()
        if not self._config_files:
            raise ConfigError([f"node {self.name} was given no configuration file that could be read again"])
        config = self._read_config()
        if attrs.evolve(config, env=self.config.env) != self.config:
            running.runtime.reports.warning(
                f"{', '.join(map(str, self._config_files))}: what has changed under [node] and [kernel] "
                f"waits for the next start of {self.name}"
            )
        self.config = attrs.evolve(self.config, env=config.env)
        with self.current():
            return await change_config(running.applications, config.env)

    def _read_config(self) -> NodeConfig:
        return read_config(self._config_files, self.manifests) if self._config_files else NodeConfig()

    def _entered(self) -> _Running:
        if self._running is None:
            raise RuntimeError(f"node {self.name} is not running: enter it with `async with`")
        return self._running

    async def __aenter__(self) -> Self:
        if self._running is not None and not self._running.stopped:
            raise RuntimeError(f"node {self.name} is running already")
        self._running = await _Running.start(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._running is not None, "entered before it is left"
        return await self._running.leave(kind, error, trace)

    @contextmanager
    def current(self) -> Generator[None]:
        """Lend the node to code that is no process of it: names mean this node's, `spawn` and `start` start here.

        In the task that entered the node it is the body's process that is lent; a process of the node stays one.
        Raises `RuntimeError` before the node was entered.
        """
        token = current.set(self._entered().lend())
        try:
            yield
        finally:
            current.reset(token)


def full_name(name: str) -> str:
    """The name of a node with its host, which is this machine if none is said. Raises `ValueError` for no name."""
    whole = name if "@" in name else f"{name}@localhost"
    if not is_node_name(whole):
        raise ValueError(f"{short(name)} is no node name, such as jc1@localhost")
    return whole


def _word(name: str, given: str | None, words: Sequence[str], configured: str) -> str:
    if given is not None and given not in words:
        raise ValueError(f"{name} is one of {', '.join(map(repr, words))}, not {given!r}")
    return configured if given is None else given


def _watchdog_s(given: float | Configured | None, config: NodeConfig) -> float:
    if given is None:
        return math.inf
    seconds = config.watchdog if given is CONFIGURED else given
    if not seconds >= WATCHDOG_LEAST_S:  # so put, it catches NaN as well
        raise ValueError(f"a watchdog takes at least {WATCHDOG_LEAST_S} s, not {given!r}; None is for no watchdog")
    return seconds


def current_node() -> Node:
    """The node this runs on. Raises `NotInNode` outside of any."""
    node = here().runtime.node
    assert isinstance(node, Node)
    return node


class _Running:
    """What exists from entering a node to leaving it."""

    def __init__(self, node: Node, backend: Backend, home: Home, group: TaskGroup, open_: AsyncExitStack) -> None:
        self.node = node
        self.runtime = Runtime(node.name, secrets.randbelow(WORD - 1) + 1, backend, node.clock, home)
        self.runtime.node = node
        self.body = self.runtime.body = self.runtime.adopt(_body_has_no_task, "node body", None)
        self.applications = ApplicationController(self.runtime, node.manifests, Environments(node.config.env))
        self.global_names = GlobalNameServer(self.runtime)
        self.locks = LockServer(self.runtime)
        self.net_kernel: NetKernel | None = None
        self.distribution: DistributionController | None = None
        self.claim: Claim | None = None
        self.stopped = False
        self._shutdown_timeout_s = node.config.shutdown_timeout
        self._group = group  # what serves the node, and is no process
        self._open = open_  # this group, and the home of the processes around it
        self._task_id = anyio.get_current_task().id
        self._watchdog = None if math.isinf(node.watchdog_s) else Watchdog(self.runtime, node.watchdog_s)
        self._ticker = CancelScope(shield=True)
        self._scope = CancelScope()  # not shielded: the body belongs to the code around it as well
        self._token: Token[Here] | None = None

    @classmethod
    async def start(cls, node: Node) -> _Running:
        backend, open_ = running_backend(), AsyncExitStack()
        home = await open_.enter_async_context(backend.home())
        group = await open_.enter_async_context(create_task_group())
        self = cls(node, backend, home, group, open_)
        group.start_soon(self._tick, name=f"timers of {node.name}")
        if self._watchdog is not None:
            self._watchdog.start()
        try:
            if node.rpc == "portable":  # before anybody can connect, and call
                await start_process(self.runtime, child(RpcSupervisor, self.marked.functions), None, link=False)
            if node.name != UNNAMED_NODE:
                await self._join(node)
                await self._synchronise(node)
        except BaseException as error:
            await self._stop(self.body.settle(exit_reason(error)))
            await open_.aclose()
            raise
        self.body.attach(self._scope.__enter__(), self._task_id)
        self._token = current.set(self.body)
        return self

    async def _join(self, node: Node) -> None:
        """Be reachable by other nodes."""
        cookie = read_cookie(node.config.cookie_file) if node.cookie is None else node.cookie
        carrier = node.carrier
        if carrier is None:
            self.claim = claim(node.name)
            listen = attrs.evolve(node.config.listen, unix=node.unix)
            carrier = SocketCarrier(listen, Discovery(self.claim, node.config.peers, host=listen.host))
        net = NetKernel(self.runtime, carrier, self.codec, cookie, node.config.net_tick_time)
        self.global_names.join(net)
        self.locks.join(net)
        ready = self.runtime.backend.promise()

        def listens(error: BaseException | None) -> None:
            ready.settle(error)

        self._group.start_soon(net.run, listens, name=f"net kernel of {node.name}")
        try:
            error: BaseException | None = await ready
            if error is not None:
                raise error
        except BaseException:
            net.abort()
            self._release()
            raise
        self.net_kernel = net
        self.runtime.route = net

    async def _synchronise(self, node: Node) -> None:
        """Take part in deciding who runs what, and wait for the other nodes of the configuration."""
        assert self.net_kernel is not None, "joined"
        config = node.config
        mandatory = [name for name in config.sync_nodes_mandatory if name != node.name]
        optional = [name for name in config.sync_nodes_optional if name != node.name]
        if config.distributed:
            self.distribution = DistributionController(
                self.runtime, self.applications, self.net_kernel, config.distributed
            )
            self.distribution.start()
        if config.sync_nodes_timeout > 0:
            await self.net_kernel.wait_for((*mandatory, *optional), config.sync_nodes_timeout)
        missing = [name for name in mandatory if name not in self.net_kernel.connected()]
        if missing and config.sync_nodes_timeout > 0:
            raise MandatoryNodesMissing(missing, config.sync_nodes_timeout)

    @cached_property
    def codec(self) -> Codec:
        """Made when it is first needed, which is at once in a node that has a name."""
        kinds = (*_KINDS, *self.marked.kinds)
        return Codec(vocabulary(self.runtime, attrs.evolve(self.marked, kinds=kinds)))

    @cached_property
    def marked(self) -> Marked:
        try:
            return marked_in(self._portable_modules())
        except (TypeError, ValueError) as error:
            raise ConfigError([f"portable: {error}"]) from error

    def _portable_modules(self) -> list[ModuleType]:
        """Those named for the node, which must be there; and those of the applications on its path, which may not."""
        modules = [import_module(name) for name in self.node.portable]
        for name in self.node.manifests.portable():
            try:
                modules.append(import_module(name))
            except Exception as error:  # noqa: BLE001 - of a module that is not ours; the node can do without it
                self.runtime.reports.warning(f"nothing of module {name} is portable: {Crash(error)}")
        return modules

    async def _leave_net(self) -> None:
        if self.distribution is not None:
            self.distribution.stop()
        with CancelScope(shield=True):
            if self.net_kernel is not None:
                await self.net_kernel.stop()
        self._release()

    def _release(self) -> None:
        if self.claim is None:
            return
        try:
            self.claim.release()
        except OSError as error:  # the name is free all the same, as the lock on the record is
            self.runtime.reports.warning(f"the record of {self.runtime.node_name} stays where it is: {error}")

    def lend(self) -> Here:
        mine = current.get(None)
        if isinstance(mine, Process) and mine.runtime is self.runtime and mine is not self.body:
            return mine
        return self.body if anyio.get_current_task().id == self._task_id else Outsider(self.runtime)

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Stop everything, then end the body's process; what ended the body goes on, or is raised here."""
        swallowed = False
        remaining: BaseException | None = None
        try:
            swallowed = bool(self._scope.__exit__(kind, error, trace))
        except BaseException as left:  # noqa: BLE001 - of a group, without the cancellations that were ours
            remaining = error = left
        killed_by = self.body.exiting
        reason = self.body.settle(Normal() if error is None else exit_reason(error))
        # In a task of its own: a second cancellation of this one, as by Ctrl-C, must not cut the stop short.
        self._group.start_soon(self._stop, reason, name=f"stop of {self.runtime.node_name}")
        try:
            await self._open.aclose()
        finally:
            assert self._token is not None, "entered before it is left"
            current.reset(self._token)
            self.stopped = True
        if self.runtime.interrupt is not None:
            raise self.runtime.interrupt
        if remaining is not None:
            raise remaining
        if killed_by is not None and not isinstance(killed_by, Normal) and (swallowed or error is None):
            raise ProcessExited(killed_by)
        return swallowed

    async def _tick(self) -> None:
        current.set(Outsider(self.runtime))  # what is done for a timer is done here, whoever entered the node
        with self._ticker:
            while True:
                try:
                    await self.runtime.timers.run()
                except get_cancelled_exc_class():  # a stray one must not stop the node's clock
                    if self._ticker.cancel_called:
                        raise

    async def _stop(self, reason: Reason) -> None:
        """Stop all processes, then end the body's."""
        with CancelScope(shield=True):
            await insist(self._stop_processes)
        self.runtime.closed = True
        self.body.end(reason)
        self.runtime.process_timers.cancel_all()
        try:
            await self._leave_net()
        finally:
            self._ticker.cancel()
            if self._watchdog is not None:
                self._watchdog.stop()

    async def _stop_processes(self) -> None:
        """Stop those that have an orderly end, then kill what is left until nobody is."""
        if self.distribution is not None:
            self.distribution.stop()
        ends_at = self.runtime.clock.now() + self._shutdown_timeout_s
        await self.applications.stop_all(self._shutdown_timeout_s)
        await self._stop_servers(ends_at - self.runtime.clock.now())
        while others := self._others():
            for process in others:
                process.die(Killed())
            for process in others:
                await process.wait_ended()

    async def _stop_servers(self, timeout_s: float) -> None:
        """Stop supervisors and servers one after the other, the newest first; kill those that are not done in time."""
        node = self.runtime.node_name
        with time_limit(self.runtime.timers, timeout_s) as limit:
            for process in reversed(self._servers()):
                await stop_in_order(process, process.parent, node)
        if limit.cancelled_caught:
            late = {process: process.name or process.label for process in self._servers()}
            kill_late(late, node, self._shutdown_timeout_s)

    def _servers(self) -> list[Process]:
        return [process for process in self._others() if process.runner is not None and process.at_home]

    def _others(self) -> list[Process]:
        return [process for process in self.runtime.processes.values() if process is not self.body]


async def _body_has_no_task(_process: Process) -> None:
    """The node's body runs in the task that entered the node, not in one of its own."""
