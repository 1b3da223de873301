"""Nodes that are started and stopped from code: up when they are said to be, never left behind, asked in between."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from regrow import (
    BootFailed,
    CalleeExited,
    CallTimeout,
    ChildSpec,
    Crash,
    Custom,
    Exit,
    Kill,
    Node,
    NotPortable,
    PeerDown,
    RemoteError,
    RpcRefused,
    ServerRef,
    StartFailed,
    Supervisor,
    child,
    peer,
    portable,
    receive,
    send_exit,
    spawn,
    start_link,
    stop,
    trap_exit,
)
from regrow._pure.codec import Codec
from regrow.local_nodes import live_nodes
from regrow.peer import Options, Peer, PeerServer, State
from regrow.peer_words import KINDS, Ask
from regrow.portable import Marked
from regrow.rpc_words import KINDS as RPC_KINDS
from regrow.rpc_words import Run
from regrow.wire import vocabulary
from tests.harness import row

from . import peer_kit as kit
from .nodes import PATIENCE_S, ROOT, Machine

A, B = "a@localhost", "b@localhost"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def options(machine: Machine, anyio_backend_name: Any) -> Options:
    """Those of a peer that runs on the same loop as the test, and knows the functions of the kit."""
    return Options(backend=anyio_backend_name, portable=[kit.__name__], environment=environment(machine))


def environment(machine: Machine) -> dict[str, str]:
    return {**machine.environment, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def running(machine: Machine) -> list[str]:
    """The nodes that run, as the machine knows them."""
    return [record.name for record in live_nodes(machine.runtime_directory)]


async def until(condition: Callable[[], object]) -> None:
    """Return when it holds. Only for what nobody announces."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await anyio.sleep(0.001)


async def gone(pidfd: int) -> None:
    """Return when the OS process is gone, whoever's child it is."""
    try:
        with anyio.fail_after(PATIENCE_S):
            await anyio.wait_readable(pidfd)
    finally:
        os.close(pidfd)


@portable
def known_here_only() -> str:
    return "the peer does not have this function"


# -- up and down


@row("PEE-001")
async def test_a_peer_is_up_in_the_block_and_gone_after_it(machine: Machine, options: Options) -> None:
    """Stopped in order, and when the block is left it is over."""
    async with peer.start("a", **options) as a:
        assert (a.name, a.state, a.exit_code) == (A, State.RUNNING, None)
        assert running(machine) == [A]
        assert await a.call(kit.where) == A
        assert os.getsid(a.os_pid) == a.os_pid, "Ctrl-C is for whoever has started it"
    assert (a.state, a.exit_code) == (State.DOWN, 0)
    assert running(machine) == []
    assert "a@localhost stops: whoever started it is gone, or said so" in a.output
    with pytest.raises(ProcessLookupError):
        os.kill(a.os_pid, 0)


@row("PEE-001")
async def test_a_stop_waits_for_the_end(machine: Machine, options: Options) -> None:
    """Again, it gives the same exit code at once."""
    async with peer.start(A, **options) as a:
        assert await a.stop() == 0
        assert (a.state, running(machine)) == (State.DOWN, [])
        assert await a.stop() == await a.down() == 0


async def test_a_peer_connects_with_those_that_were_given_the_same_cookie(options: Options) -> None:
    """It replaces that of the configuration, and neither command lines nor what the peer starts show it."""
    async with (
        peer.start(A, cookie="crumbs", **options) as a,
        peer.start(B, cookie="crumbs", **options) as b,
        peer.start("c", **options) as c,
    ):
        assert await a.call(kit.meet, b.name)
        assert not await a.call(kit.meet, c.name)
        assert await a.call(kit.variable, "REGROW_COOKIE") is None
        assert "crumbs" not in await anyio.Path(f"/proc/{a.os_pid}/cmdline").read_text()


async def test_a_peer_with_an_empty_cookie_does_not_come_up(options: Options) -> None:
    """It would let everybody in."""
    with pytest.raises(BootFailed, match="an empty cookie would let everybody in") as failed:
        async with peer.start(A, cookie="", **options):
            pass
    assert failed.value.exit_code == 2


async def test_what_does_not_stop_in_time_is_killed(options: Options) -> None:
    """Its loop is blocked: it hears nothing."""
    async with peer.start(A, **options, stop_timeout=0.2) as a:
        with pytest.raises(CallTimeout):
            await a.call(kit.block, timeout=0.2)
    assert a.exit_code == -signal.SIGKILL


async def test_what_the_block_raises_comes_out_as_it_was(machine: Machine, options: Options) -> None:
    """And the peer is stopped first; so it is when the block is cancelled."""
    with pytest.raises(LookupError, match="the test's own"):
        async with peer.start(A, **options) as a:
            raise LookupError("the test's own")
    assert a.exit_code == 0
    with anyio.CancelScope() as scope:
        async with peer.start(A, **options) as again:
            scope.cancel()
            await anyio.sleep_forever()
    assert (scope.cancelled_caught, again.exit_code, running(machine)) == (True, 0, [])


@row("PEE-002", translated="as `State`, and the exit code of the operating-system process")
async def test_a_peer_that_is_not_waited_for_boots_meanwhile(machine: Machine, options: Options) -> None:
    """So two can wait for each other as they boot."""
    text = f"[kernel]\nsync_nodes_mandatory = ['{A}', '{B}']\nsync_nodes_timeout = {PATIENCE_S}\n"
    config = machine.config(text)
    async with (
        peer.start(A, wait=False, config=config, **options) as a,
        peer.start(B, wait=False, config=config, **options) as b,
    ):
        assert (a.state, b.state) == (State.BOOTING, State.BOOTING)
        assert await a.call(kit.met) == [B]
        await b.up()
        assert (a.state, b.state) == (State.RUNNING, State.RUNNING)
    assert (a.state, b.state) == (State.DOWN, State.DOWN)


@row("PEE-002", translated="as `BootFailed`, with what the node wrote")
async def test_a_peer_that_does_not_boot_says_why(machine: Machine, options: Options) -> None:
    """A mistake in its configuration, or time that is up."""
    config = machine.config("kernel.sync_nodes_timout = 1.0\n")
    with pytest.raises(BootFailed, match=r"a@localhost did not come up, it exited with 2:\n.*unknown key") as failed:
        async with peer.start(A, config=config, **options):
            raise AssertionError("it is up")
    assert "sync_nodes_timout" in failed.value.output
    config = machine.config(f"[kernel]\nsync_nodes_mandatory = ['{B}']\nsync_nodes_timeout = inf\n")
    async with peer.start(A, wait=False, config=config, boot_timeout=0.5, **options) as a:
        with pytest.raises(BootFailed):
            await a.call(kit.where)
        assert a.exit_code == -signal.SIGKILL


async def test_output_may_go_where_ours_goes(options: Options, capfd: pytest.CaptureFixture[str]) -> None:
    """A worker logs where its master logs."""
    async with peer.start(A, **options, capture=False) as a:
        await a.call(kit.shout, "to everybody")
    assert a.output == ""
    assert "to everybody\n" in capfd.readouterr().err


# -- the end of either side


@row("PEE-002", translated="in a block: the peer is down, and calls say so")
async def test_a_peer_that_dies_is_down_and_the_block_goes_on(options: Options) -> None:
    """What was asked of it fails at once, whatever its timeout."""
    async with peer.start(A, **options) as a:

        async def ask() -> None:
            with pytest.raises(PeerDown) as lost:
                await a.call(kit.linger, timeout=None)
            assert lost.value.exit_code == -signal.SIGKILL

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await until(lambda: "lingering" in a.output)
            os.kill(a.os_pid, signal.SIGKILL)
        assert (a.state, await a.down()) == (State.DOWN, -signal.SIGKILL)
        with pytest.raises(PeerDown, match="a@localhost is down, it exited with -9"):
            await a.call(kit.where)
        with pytest.raises(PeerDown):
            await a.up()


CONTROLLER = f"""
import anyio
from regrow import peer
from tests.system import peer_kit as kit

async def main():
    async with peer.start("{A}", portable=[kit.__name__]) as a:
        print(a.os_pid, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@row("PEE-001")
def test_a_peer_does_not_outlive_the_os_process_that_started_it(machine: Machine) -> None:
    """Though that was killed, and could say nothing."""
    command = [sys.executable, "-c", CONTROLLER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(machine), cwd=ROOT) as controller:
        assert controller.stdout is not None
        pidfd = os.pidfd_open(int(controller.stdout.readline()))
        assert running(machine) == [A]
        controller.kill()
        assert select.select([pidfd], [], [], PATIENCE_S)[0] == [pidfd]
        os.close(pidfd)
    assert running(machine) == []


BLOCKED = f"""
import sys
from regrow.cli import main, run

run.GRACE_S = 0.1
sys.exit(main(["run", "--sname", "{A}", "--portable", "{kit.__name__}", "--peer", "--config", sys.argv[1]]))
"""


def test_a_peer_that_is_blocked_does_not_outlive_it_either(machine: Machine) -> None:
    """Its loop can't see that the input has ended; after its time to stop it exits as it is."""
    config = machine.config("kernel.shutdown_timeout = 0.1\n")
    command, pipe = [sys.executable, "-c", BLOCKED, config], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment(machine), cwd=ROOT) as blocked:
        assert blocked.stdin is not None
        assert blocked.stdout is not None
        assert blocked.stderr is not None
        assert blocked.stdout.readline() == b"a@localhost up\n"
        codec = Codec(vocabulary(None, Marked((*KINDS, *RPC_KINDS), {})))
        blocked.stdin.write(codec.encode(Ask(1, Run(f"{kit.__name__}.block", (), {}))))
        blocked.stdin.flush()
        assert blocked.stderr.readline() == b"blocking\n"
        blocked.stdin.close()
        assert blocked.wait(PATIENCE_S) == 1
        assert b"exits as it is" in blocked.stderr.read()


# -- a server that holds one


@row("PEE-001")
async def test_a_server_holds_a_peer_for_as_long_as_it_lives(machine: Machine, options: Options) -> None:
    """Up when it has started, gone when it has stopped; also when it was killed."""
    async with Node():
        server = await peer.start_link(A, **options)
        a = await PeerServer.peer(server)
        assert await a.call(kit.where) == A
        await stop(server)
        assert (a.exit_code, running(machine)) == (0, [])

        trap_exit(True)
        server = await peer.start_link(A, **options)
        pidfd = os.pidfd_open((await PeerServer.peer(server)).os_pid)
        send_exit(server, Kill())
        await receive(Exit, timeout=PATIENCE_S)
        await gone(pidfd)


@row("PEE-002", translated="as `StartFailed`, whose reason is the crash with `BootFailed`")
async def test_a_server_whose_peer_does_not_boot_fails_to_start(machine: Machine, options: Options) -> None:
    """And leaves nothing."""
    async with Node():
        with pytest.raises(StartFailed) as failed:
            await peer.start_link(A, config=machine.config("wrong = 1\n"), **options)
    assert isinstance(failed.value.reason, Crash)
    assert isinstance(failed.value.reason.exception, BootFailed)


async def test_a_server_whose_starter_ends_while_it_boots_stops_the_peer(machine: Machine, options: Options) -> None:
    """It is linked with it from the first moment, and its peer with it."""
    config = machine.config(f"[kernel]\nsync_nodes_mandatory = ['{B}']\nsync_nodes_timeout = inf\n")

    async def starts() -> None:
        await peer.start_link(A, config=config, **options)

    async with Node():
        starter = spawn(starts)
        await until(lambda: machine.runtime_directory.exists() and running(machine) == [A])
        [record] = live_nodes(machine.runtime_directory)
        pidfd = os.pidfd_open(record.os_pid)
        send_exit(starter, Kill())
        await gone(pidfd)
        assert running(machine) == []


class Workers(Supervisor):
    """Owns peers, as `regrow run` might own workers."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def init(self) -> Iterable[ChildSpec]:
        return [child(PeerServer, A, **self.options)]


async def worker_of(workers: ServerRef[Workers], before: Peer | None = None) -> Peer:
    """The peer of the only worker there is, once it is another one than before."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            [info] = await Supervisor.which_children(workers)
            if info.pid is not None:
                worker = await PeerServer.peer(ServerRef(info.pid, PeerServer))
                if worker is not before:
                    return worker
            await anyio.sleep(0.01)


@row("PEE-002", translated="as a crash with `PeerDown`")
async def test_a_supervisor_starts_a_peer_again_that_died(machine: Machine, options: Options) -> None:
    """Its server crashes with it; a new server starts a new one."""
    async with Node():
        workers = await start_link(Workers, options)
        first = await worker_of(workers)
        first.kill()
        second = await worker_of(workers, first)
        assert (first.exit_code, second.state) == (-signal.SIGKILL, State.RUNNING)
        assert await second.call(kit.where) == A
        await stop(workers)
        assert running(machine) == []


# -- asking it


@row("PEE-003", translated="over the peer's standard input and output")
async def test_peers_are_driven_whether_or_not_nodes_are_connected(options: Options) -> None:
    """Also from a program that is no node at all."""
    async with peer.start(A, **options) as a, peer.start(B, **options) as b:
        assert [await a.call(kit.met), await b.call(kit.met)] == [[], []]
        assert await a.call(kit.meet, B)
        assert [await a.call(kit.met), await b.call(kit.met)] == [[B], [A]]
        assert await b.call(kit.part, A)
        assert await b.call(kit.met) == []
        with anyio.fail_after(PATIENCE_S):
            while await a.call(kit.met):
                await anyio.sleep(0.001)
        assert await a.call(kit.meet, B)


async def test_what_a_function_raises_comes_back_as_from_rpc(options: Options) -> None:
    """The same errors, for the same reasons."""
    async with peer.start(A, **options) as a:
        with pytest.raises(RemoteError, match="LookupError: not there"):
            await a.call(kit.fail, "not there")
        with pytest.raises(CalleeExited) as left:
            await a.call(kit.leave, Custom("enough"))
        assert (left.value.reason, left.value.by_signal) == (Custom("enough"), False)
        with pytest.raises(CallTimeout, match=r"peer_kit.linger\(\) on a@localhost within 0 s"):
            await a.call(kit.linger, timeout=0)
        with pytest.raises(RpcRefused, match="has no portable function"):
            await a.call(known_here_only)
        with pytest.raises(NotPortable):
            await a.call(kit.echo, object())
        with pytest.raises(NotPortable):
            await a.call(kit.opaque)
        with pytest.raises(NotPortable):
            await a.call(test_what_a_function_raises_comes_back_as_from_rpc)


async def test_much_may_be_asked_at_a_time(options: Options) -> None:
    """More than a pipe holds, in both directions; and what is printed there does not come in between."""
    big = b"x" * 500_000
    async with peer.start(A, **options) as a, anyio.create_task_group() as group:

        async def ask(n: int) -> None:
            assert await a.call(kit.echo, (n, big)) == (n, big)
            await a.call(kit.shout, f"number {n}")

        for n in range(10):
            group.start_soon(ask, n)
    assert [f"number {n}\n" in a.output for n in range(10)] == [True] * 10
