"""Peers that know the cookie and break the rules: their connection is closed, and nobody else notices."""

from __future__ import annotations

import pytest

from regrow import (
    Custom,
    Down,
    NoConnection,
    Node,
    Pid,
    Reference,
    ServerRef,
    flush,
    link,
    monitor,
    receive,
    self_pid,
    send,
    spawn,
    trap_exit,
)
from regrow._pure.call_path import Hop
from regrow.connection import BACKLOG_BYTES_MAX
from regrow.messages import Request
from regrow.signals import Demonitor, Link, Monitor, Probe, Send, SendDown, SendExit, Unlink
from tests.harness import row

from .kit import Cluster, Echo, Stranger, connected, echo_of, idle_on, reported, running, stranger, until, warnings

A, B, ODD = "a@localhost", "b@localhost", "odd@localhost"


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


BAD_FRAMES = {
    "too long": (2**31).to_bytes(4, "big"),
    "not msgpack": frame(b"\xc1"),
    "cut short": frame(b"\x93\x01"),
    "trailing bytes": frame(b"\x01\x02"),
    "no signal": frame(b"\xa5hello"),
    "unknown extension": frame(b"\xd4\x63\x00"),
    "an array of millions": frame(b"\xdd\xff\xff\xff\xff"),
    "nested without end": frame(b"\x91" * 5000 + b"\x90"),
    "bad text": frame(b"\xa2\xff\xfe"),
}


async def is_unharmed(a: Node, b: Node, caplog: pytest.LogCaptureFixture) -> None:
    """The stranger is gone, with one line; the others are together."""
    await reported(lambda: connected(a) == [B])
    assert connected(b) == [A]
    with a.current():
        assert not [message for message in flush() if isinstance(message, BaseException)]
    [line] = warnings(caplog, "")
    assert line.startswith(f"connection to {ODD} closed: it sent a bad frame: ")


@row("DST-007")
@pytest.mark.parametrize("what", BAD_FRAMES)
async def test_a_bad_frame_closes_that_connection_with_one_line(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """Whatever is wrong with it."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b), stranger(cluster, a) as odd:
        await odd.stream.send(BAD_FRAMES[what])
        await odd.hung_up_on()
        await is_unharmed(a, b, caplog)


FORGERIES = 11


def forgeries(odd: Stranger, victim: Pid) -> list[object]:
    """What a peer may not say."""
    other = Pid(B, 1, 0, 1)
    earlier = Pid(odd.pid.node, 1, 0, odd.pid.creation ^ 1)
    ref = odd_ref(odd)
    return [
        Send(other, victim, "hello"),
        Send(earlier, victim, "hello"),
        SendExit(other, victim, Custom("x"), False),
        SendExit(other, victim, Custom("x"), True),
        Link(other, victim),
        Link(earlier, victim),
        Unlink(other, victim, 1),
        Monitor(other, ref, victim),
        Demonitor(other, ref, victim),
        Probe(victim, (Hop(odd.pid, ref, "odd"), Hop(other, ref, "other"))),
        odd.pid,
    ]


def odd_ref(odd: Stranger) -> Reference:
    return Reference(odd.pid.node, odd.pid.creation, (1, 2, 3))


@row("DST-007")
async def test_a_forged_signal_closes_that_connection_with_one_line(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """A node speaks for its own processes, in its own life, and for nobody else."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        with a.current():
            trap_exit(True)
            for number in range(FORGERIES):
                caplog.clear()
                async with stranger(cluster, a) as odd:
                    await odd.say(forgeries(odd, self_pid())[number])
                    await odd.hung_up_on()
                    await is_unharmed(a, b, caplog)
                    assert flush() == []


@row("DST-007")
async def test_what_is_not_addressed_to_anybody_here_changes_nothing(cluster: Cluster) -> None:
    """Downs for monitors of others, replies to calls of others, signals for pids of others."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b), stranger(cluster, a) as odd:
        pid, echo = idle_on(b), await echo_of(b)
        with a.current():
            trap_exit(True)
            me = self_pid()
            ref = monitor(pid)
            link(pid)
            asked = odd_ref(odd)
            await odd.say(SendDown(ref, me, pid, Custom("forged")))
            await odd.say(SendDown(ref, pid, pid, Custom("forged")))
            await odd.say(SendExit(odd.pid, me, Custom("forged"), True))
            await odd.say(SendExit(odd.pid, pid, Custom("not to be passed on"), False))
            await odd.say(Send(odd.pid, asked, "a reply to nothing"))
            await odd.say(Send(odd.pid, pid, "not to be passed on"))
            await odd.say(Link(odd.pid, pid))
            await odd.say(Send(odd.pid, me, "the last"))
            assert await receive() == "the last"
            assert flush() == []
            assert await Echo.say(ServerRef(echo, Echo), 1) == 1
            assert pid in b.runtime.processes
            assert sorted(connected(a)) == [B, ODD]


async def test_a_reply_counts_only_if_it_comes_from_where_the_call_went(cluster: Cluster) -> None:
    """However well the reference was guessed."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b), stranger(cluster, a) as odd:
        echo = await echo_of(b)
        with a.current():
            home = self_pid()

            async def ask() -> None:
                send(home, await Echo.wait(ServerRef(echo, Echo)))

            spawn(ask)
            await until(lambda: a.runtime.aliases)
            [alias] = a.runtime.aliases
            await odd.say(Send(odd.pid, alias, "forged"))
            await odd.say(Send(odd.pid, home, "the last"))
            assert await receive() == "the last"
            await Echo.answer_all(ServerRef(echo, Echo))
            assert await receive() == "late"


async def test_a_call_that_cannot_be_read_is_answered_so(cluster: Cluster) -> None:
    """The peer may have another version of a module: no rule is broken."""
    async with running(cluster.node(A), cluster.node(B)) as (a, _b), stranger(cluster, a) as odd:
        await odd.say(Send(odd.pid, "nobody", Request(odd_ref(odd), "say", (1,), {})))
        answer = await odd.stream.receive()
        while b"NoProcess" not in answer:
            answer += await odd.stream.receive()


async def test_a_peer_that_takes_nothing_is_given_up(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """What is kept for it has a limit; the others are served."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b), stranger(cluster, a) as deaf:
        await reported(lambda: ODD in connected(a))
        echo = await echo_of(b)
        with a.current():
            ref = monitor(deaf.pid)
            for _ in range(BACKLOG_BYTES_MAX // 1_000_000 + 10):
                send(deaf.pid, b"x" * 1_000_000)
            assert await receive() == Down(ref, deaf.pid, NoConnection())
            assert connected(a) == [B]
            assert await Echo.say(ServerRef(echo, Echo), 1) == 1
    [line] = warnings(caplog, "")
    assert line == f"connection to {ODD} closed: more than {BACKLOG_BYTES_MAX} bytes wait to be sent to it"


async def test_a_peer_that_hangs_up_in_the_middle_of_a_frame_is_lost(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a frame is none."""
    async with running(cluster.node(A), cluster.node(B)) as (a, b):
        async with stranger(cluster, a) as odd:
            await reported(lambda: ODD in connected(a))
            await odd.stream.send(b"\x00\x00\x10\x00only so much")
        await reported(lambda: connected(a) == [B])
        assert connected(b) == [A]
    assert not warnings(caplog, "")
