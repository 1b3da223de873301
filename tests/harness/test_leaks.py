"""The leak fixture sees what it is there to see."""

from __future__ import annotations

import socket
import threading

import anyio
import pytest

from regrow import Node, register, self_pid, spawn

from .leaks import Watch, name_of, tasks


def test_an_open_socket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of regrow's may keep a descriptor."""
    watch = Watch(monkeypatch)
    one, other = socket.socketpair()
    assert [what.split()[2].split(":")[0] for what in watch.left()] == ["socket", "socket"]
    one.close()
    other.close()
    assert watch.left() == []


def test_a_living_thread_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that goes when told is no leak, one that stays is."""
    watch = Watch(monkeypatch)
    go = threading.Event()
    monkeypatch.setattr("tests.harness.leaks.THREAD_GRACE_S", 0.01)
    thread = threading.Thread(target=go.wait, name="stubborn")
    thread.start()
    assert watch.left() == ["thread stubborn"]
    go.set()
    thread.join()
    assert watch.left() == []


async def test_what_a_running_node_holds_is_named_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node itself says what it still holds; after its end it must hold nothing."""
    watch = Watch(monkeypatch)
    async with Node("leaky@localhost"):
        spawn(anyio.sleep_forever)
        register("here", self_pid())
        left = [what for what in watch.left() if what.endswith("on node leaky@localhost")]
        assert sum(what.startswith("process") for what in left) == 2, left
        assert "name here on node leaky@localhost" in left
    assert watch.left() == []


async def test_a_running_task_is_named(anyio_backend_name: str) -> None:
    """Tasks outside of any node count as well."""
    before = tasks(anyio_backend_name)
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever, name="straggler")
        await anyio.lowlevel.checkpoint()
        assert [name_of(task) for task in tasks(anyio_backend_name) - before] == ["straggler"]
        group.cancel_scope.cancel()
    assert tasks(anyio_backend_name) == before
