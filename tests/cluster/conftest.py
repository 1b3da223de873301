"""Every test of nodes runs in memory, over TCP, and over Unix sockets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.testing import MemoryNetwork

from . import dist_kit
from .dist_kit import Sharing
from .kit import Cluster, MemoryCluster, TcpCluster, UnixCluster
from .tcp_network import TcpNetwork


@pytest.fixture(autouse=True)
def _nodes_report_what_they_do(caplog: pytest.LogCaptureFixture) -> None:
    """And not only what goes wrong: `reported` listens to it."""
    caplog.set_level(logging.INFO, "regrow")


@pytest.fixture(params=["memory", "tcp", "unix"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A place for nodes, in memory or on this machine."""
    if request.param == "memory":
        memory = MemoryCluster()
        yield memory
        assert memory.network.connections() == [], "a connection outlived its nodes"
    else:
        monkeypatch.setenv("REGROW_RUNTIME_DIR", str(tmp_path))
        yield TcpCluster() if request.param == "tcp" else UnixCluster()


@pytest.fixture
def memory() -> Iterator[MemoryCluster]:
    """For what only a network can do that a test has in its hand: to fall silent."""
    cluster = MemoryCluster()
    yield cluster
    assert cluster.network.connections() == [], "a connection outlived its nodes"


@pytest.fixture(params=["memory", "tcp"])
def sharing(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sharing]:
    """Nodes that share applications, on a network whose cables can be cut."""
    monkeypatch.setenv("REGROW_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.syspath_prepend(str(tmp_path))  # put back afterwards, with what the nodes add
    yield Sharing(tmp_path / "apps", MemoryNetwork() if request.param == "memory" else TcpNetwork())
    dist_kit.forget()
