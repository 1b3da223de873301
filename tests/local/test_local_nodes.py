"""The records of the nodes of one user: private, locked, and gone with the process that held them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from regrow.local_nodes import NodeNameTaken, Record, claim, connect, live_nodes
from regrow.runtime_directory import RuntimeDirectoryError, runtime_directory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory for records, private as it has to be."""
    path = tmp_path / "nodes"
    path.mkdir(mode=0o700)
    return path


# -- names


def test_a_claimed_name_is_listed_until_it_is_released(folder: Path) -> None:
    """The record says who holds it."""
    with claim("a@h", folder) as held:
        held.update(creation=7, port=9100)
        assert live_nodes(folder) == [Record("a@h", os.getpid(), port=9100, creation=7)] == [held.record]
    assert live_nodes(folder) == []
    assert list(folder.iterdir()) == []


def test_nodes_are_listed_by_name(folder: Path) -> None:
    """In one order, whoever came first."""
    with claim("b@h", folder), claim("a@h", folder), claim("c@h", folder):
        assert [node.name for node in live_nodes(folder)] == ["a@h", "b@h", "c@h"]


def test_a_taken_name_tells_which_os_process_has_it(folder: Path) -> None:
    """So that one knows whom to stop."""
    with claim("a@h", folder) as held:
        with pytest.raises(NodeNameTaken, match=f"a@h is in use by OS process {os.getpid()}") as taken:
            claim("a@h", folder)
        assert taken.value.os_pid == os.getpid()
        assert live_nodes(folder) == [held.record]
    claim("a@h", folder).release()


def test_a_name_can_be_released_twice(folder: Path) -> None:
    """And the second time harms nobody who took it in between."""
    first = claim("a@h", folder)
    first.release()
    with claim("a@h", folder) as second:
        first.release()
        assert live_nodes(folder) == [second.record]


@pytest.mark.parametrize("name", ["", "a", "../a@h", "a@h/b", "a b@h", f"{'a' * 300}@h"])
def test_what_is_no_node_name_is_refused(folder: Path, name: str) -> None:
    """It would be the name of a file."""
    with pytest.raises(ValueError, match="is no node name"):
        claim(name, folder)
    assert list(folder.iterdir()) == []


HOLD = """
import sys
from pathlib import Path
from regrow.local_nodes import claim
held = claim("a@h", Path(sys.argv[1]))
held.listen()
print("held", flush=True)
sys.stdin.read()
"""


def test_what_a_dead_process_left_is_removed(folder: Path) -> None:
    """The lock went with it, however suddenly it died; the name is free at once."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(NodeNameTaken, match=str(other.pid)):
            claim("a@h", folder)
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert {path.name for path in folder.iterdir()} == {"a@h.json", "a@h.sock"}
    assert live_nodes(folder) == []
    assert list(folder.iterdir()) == []
    claim("a@h", folder).release()


def test_a_record_of_a_dead_process_does_not_keep_its_name(folder: Path) -> None:
    """Also if nobody has listed the nodes in between."""
    (folder / "a@h.json").write_text(json.dumps({"name": "a@h", "os_pid": 1}))
    (folder / "a@h.sock").write_text("")
    with claim("a@h", folder) as held:
        held.listen().close()
        assert live_nodes(folder) == [held.record]


def test_what_is_no_record_is_left_alone(folder: Path) -> None:
    """Nothing is removed but files that nodes write, and no link is followed."""
    (folder / "notes.txt").write_text("mine")
    (folder / "a@h.json").symlink_to(folder / "notes.txt")
    (folder / "b@h.json").mkdir()
    assert live_nodes(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == ["a@h.json", "b@h.json", "notes.txt"]
    with pytest.raises(RuntimeDirectoryError, match=r"a@h\.json cannot be written: .*symbolic link"):
        claim("a@h", folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_record_that_was_written_over_is_no_node(folder: Path) -> None:
    """It is locked, so it stays, but there is nothing to be read of it."""
    with claim("a@h", folder):
        (folder / "a@h.json").write_text("{")
        assert live_nodes(folder) == []
        with pytest.raises(NodeNameTaken, match="unknown"):
            claim("a@h", folder)


# -- sockets


def test_the_socket_of_a_node_is_reached_through_its_record(folder: Path) -> None:
    """And is nobody else's."""
    with claim("a@h", folder) as held, held.listen() as listener:
        (record,) = live_nodes(folder)
        assert record.socket == str(folder / "a@h.sock")
        assert os.stat(record.socket).st_mode & 0o777 == 0o600
        with connect(record, 5.0) as client:
            listener.setblocking(True)
            server, _ = listener.accept()
            with server:
                client.sendall(b"hello")
                assert server.recv(5) == b"hello"


def test_a_socket_in_a_long_path_works_too(tmp_path: Path) -> None:
    """The system's limit on the length of addresses is not the user's problem."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir(mode=0o700)
    with claim("a@h", folder) as held, held.listen(), connect(held.record, 5.0) as client:
        assert client.family == socket.AF_UNIX


def test_nobody_listens_without_a_socket(folder: Path) -> None:
    """Neither before it is opened nor after the node has gone."""
    with claim("a@h", folder) as held:
        with pytest.raises(ConnectionRefusedError, match="still starting"):
            connect(held.record)
        held.listen().close()
        with pytest.raises(ConnectionRefusedError):
            connect(held.record)
    with pytest.raises(ConnectionRefusedError, match="does not listen any more"):
        connect(held.record)


def test_a_socket_of_another_user_is_not_talked_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever directory it lies in: what is sent through it would be theirs."""
    with claim("a@h", folder) as held, held.listen():
        monkeypatch.setattr("regrow.local_nodes.is_own_user", lambda _connection: False)
        with pytest.raises(ConnectionRefusedError, match="belongs to another user"):
            connect(held.record)


# -- the directory


def test_the_directory_is_the_one_that_was_chosen(tmp_path: Path) -> None:
    """`REGROW_RUNTIME_DIR` comes first, made with all that leads to it."""
    chosen = tmp_path / "a" / "b"
    environment = {"REGROW_RUNTIME_DIR": str(chosen), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert runtime_directory(environment) == chosen
    assert chosen.stat().st_mode & 0o7777 == 0o700


def test_the_directory_lies_in_that_of_the_session(tmp_path: Path) -> None:
    """Where the system gives its users one."""
    assert runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "regrow"
    assert (tmp_path / "regrow").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("environment", [{}, {"XDG_RUNTIME_DIR": "/nowhere/at/all"}, {"REGROW_RUNTIME_DIR": ""}])
def test_the_directory_is_a_private_one_among_the_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """Where it does not; one for each user."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = runtime_directory(environment)
    assert path == tmp_path / f"regrow-{os.getuid()}"
    assert path.stat().st_mode & 0o7777 == 0o700
    assert runtime_directory(environment) == path


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """With the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeDirectoryError, match="file/nodes cannot be made"):
        runtime_directory({"REGROW_RUNTIME_DIR": str(tmp_path / "file" / "nodes")})


def test_a_symbolic_link_is_refused(tmp_path: Path, folder: Path) -> None:
    """Somebody else may have laid it."""
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(RuntimeDirectoryError, match="link is a symbolic link"):
        live_nodes(link)
    with pytest.raises(RuntimeDirectoryError, match="link is a symbolic link"):
        claim("a@h", link)


def test_a_directory_that_others_can_get_into_is_refused(folder: Path) -> None:
    """What lies in it may be theirs."""
    (folder / "something").write_text("")
    folder.chmod(0o755)
    with pytest.raises(RuntimeDirectoryError, match=r"others can get into .*nodes: its mode is 0755, not 0700"):
        claim("a@h", folder)
    assert folder.stat().st_mode & 0o7777 == 0o755


def test_an_empty_directory_that_others_can_get_into_is_closed(folder: Path) -> None:
    """It was made for this, by hand, with the usual mode."""
    folder.chmod(0o755)
    claim("a@h", folder).release()
    assert folder.stat().st_mode & 0o7777 == 0o700


def test_a_directory_for_everybody_stays_as_it_is(folder: Path) -> None:
    """Even if it is empty: closing the temporary directory of the machine would be worse than any refusal."""
    folder.chmod(0o1777)
    with pytest.raises(RuntimeDirectoryError, match="1777"):
        claim("a@h", folder)
    assert folder.stat().st_mode & 0o7777 == 0o1777


def test_a_directory_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may have got there first."""
    me = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: me + 1)
    with pytest.raises(RuntimeDirectoryError, match=f"belongs to another user \\(id {me}\\)"):
        live_nodes(folder)
