"""Nodes of one machine that listen on Unix sockets, beside their ports or instead of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.abc import SocketAttribute

from regrow import NoConnection, Node, NodeDown, ServerExited, connect, monitor_nodes, nodes, receive
from regrow._pure.config import Listen, NodeConfig, UnixWord
from regrow.discovery import Discovery
from regrow.local_nodes import claim, live_nodes
from regrow.transport import SocketCarrier

from .kit import COOKIE, ECHO, Echo, echo_on

A, B, C = "a@localhost", "b@localhost", "c@localhost"
ANY_PORT = NodeConfig(listen=Listen(port_min=0, port_max=0))


@pytest.fixture(params=["short", "long"])
def _folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also where the path of a socket is too long for an address."""
    folder = tmp_path / ("x" * (100 if request.param == "long" else 1))
    monkeypatch.setenv("REGROW_RUNTIME_DIR", str(folder))
    yield
    assert list(folder.iterdir()) == []


def node(name: str, unix: UnixWord) -> Node:
    return Node(name, cookie=COOKIE, config=ANY_PORT, unix=unix)


async def family_of_the_way_to(name: str) -> socket.AddressFamily:
    """How a node reaches another."""
    with claim(C) as claimed:
        stream = await SocketCarrier(Listen(), Discovery(claimed, {})).connect(name)
        connection: socket.socket = stream.extra(SocketAttribute.raw_socket)  # type: ignore[attr-defined]
        family = connection.family
        await stream.aclose()
    return socket.AddressFamily(family)


@pytest.mark.usefixtures("_folder")
@pytest.mark.parametrize(
    ("unix", "family"), [("off", socket.AF_INET), ("also", socket.AF_UNIX), ("only", socket.AF_UNIX)]
)
async def test_a_node_is_reached_through_its_socket_if_it_has_one(unix: UnixWord, family: socket.AddressFamily) -> None:
    """It has a port as well unless it is to have none."""
    async with node(A, unix):
        assert await family_of_the_way_to(A) == family
        [record] = live_nodes()
        assert (record.port is None, record.link is None) == (unix == "only", unix == "off")


@pytest.mark.usefixtures("_folder")
@pytest.mark.parametrize("unix", ["off", "also", "only"])
async def test_nodes_meet_whatever_either_of_them_listens_on(unix: UnixWord) -> None:
    """How one is reached is its own affair; and what is lost when it goes is the same."""
    async with node(A, "off") as a:
        with a.current():
            monitor_nodes()
        async with node(B, unix) as b:
            await echo_on(b)
            with b.current():
                assert await connect(A)
                assert nodes() == [A]
            with a.current():
                assert nodes() == [B]
                assert await Echo.say(ECHO.at(B), "hello") == "hello"
                assert (await receive()).node == B
        with a.current():
            assert await receive(NodeDown) == NodeDown(B, "connection_closed")
            with pytest.raises(ServerExited) as gone:
                await Echo.say(ECHO.at(B), "hello?")
            assert gone.value.reason == NoConnection()


def test_the_word_of_the_node_counts_more_than_that_of_the_configuration() -> None:
    """One file serves all nodes; and a misspelt word would otherwise open what was to stay closed."""
    only = NodeConfig(listen=Listen(unix="only"))
    assert Node(A, config=only).unix == "only"
    assert Node(A, config=only, unix="off").unix == Node(A).unix == "off"
    with pytest.raises(ValueError, match="unix is one of 'off', 'also', 'only', not 'yes'"):
        Node(A, unix="yes")  # type: ignore[arg-type]
