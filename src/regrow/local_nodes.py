"""Which nodes of this user run on this machine: one locked record for each, in a directory of the user's own.

The lock is what counts: it goes with the process that holds it, however that ends, so a record that can be locked
is one of a dead node and is removed. Whoever reads or changes records holds the lock of the directory meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from ._pure.config import is_node_name
from .runtime_directory import RuntimeDirectoryError, address_of, locked, opened, runtime_directory

RECORD, SOCKET, LINK = ".json", ".sock", ".link"  # what the files of a node end with
RECORD_BYTES_MAX = 64 * 1024
BACKLOG = 64


class NodeNameTaken(Exception):
    """A node of this name runs on this machine; `os_pid` is its operating-system process, if it could be read."""

    def __init__(self, name: str, os_pid: int | None) -> None:
        self.name = name
        self.os_pid = os_pid
        super().__init__(f"the name {name} is in use by OS process {'(unknown)' if os_pid is None else os_pid}")


@attrs.frozen
class Record:
    """One live node: where it runs, and how it is reached."""

    name: str
    os_pid: int
    port: int | None = None
    """Where it accepts other nodes."""
    creation: int | None = None
    """Its incarnation, once it has one."""
    socket: str | None = None
    """The path of its control socket, once it listens."""
    link: str | None = None
    """The path of the socket on which it accepts other nodes of this user, if it has one."""


def live_nodes(directory: Path | None = None) -> list[Record]:
    """The nodes that run, by name. Removes what dead ones left. Raises `RuntimeDirectoryError`."""
    with locked(directory or runtime_directory()) as folder:
        names = sorted(name.removesuffix(RECORD) for name in os.listdir(folder) if name.endswith(RECORD))
        return [record for name in names if (record := _live(folder, name)) is not None]


def claim(name: str, directory: Path | None = None) -> Claim:
    """Take a name for a node of this OS process, until it is released or the process ends.

    Raises `NodeNameTaken`, `RuntimeDirectoryError`, or `ValueError` for what is no node's name.
    """
    if not is_node_name(name):
        raise ValueError(f"{name!r} is no node name, such as jc1@localhost")
    path = directory or runtime_directory()
    with locked(path) as folder:
        fd = _open_record(path, folder, name + RECORD)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            claimed = Claim(path, fd, Record(name, os.getpid()))
            claimed.write()
        except BlockingIOError:
            holder = _read(fd)
            os.close(fd)
            raise NodeNameTaken(name, None if holder is None else holder.os_pid) from None
        except BaseException:
            os.close(fd)
            raise
    return claimed


class Claim:
    """A name that is held, and its record. Leaving the block releases it."""

    def __init__(self, directory: Path, fd: int, record: Record) -> None:
        self.record = record
        self._directory = directory
        self._fd: int | None = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.release()

    def update(self, *, creation: int, port: int | None = None) -> None:
        """Add to the record what is known once the node is up."""
        self.record = attrs.evolve(self.record, creation=creation, port=port)
        with locked(self._directory):
            self.write()

    def write(self) -> None:
        """Write the record. The directory is to be locked."""
        assert self._fd is not None, "not released"
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(attrs.asdict(self.record)).encode(), 0)

    def listen(self) -> socket.socket:
        """Open the node's control socket and enter it into the record. Raises `RuntimeDirectoryError`."""
        path = self._directory / (self.record.name + SOCKET)
        return self._listen(path, attrs.evolve(self.record, socket=str(path)))

    def listen_for_nodes(self) -> socket.socket:
        """Open a socket for other nodes and enter it into the record. Raises `RuntimeDirectoryError`."""
        path = self._directory / (self.record.name + LINK)
        return self._listen(path, attrs.evolve(self.record, link=str(path)))

    def _listen(self, path: Path, record: Record) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with locked(self._directory) as folder:
                _unlink(folder, path.name)
                listener.bind(address_of(path, folder))
                os.chmod(path.name, 0o600, dir_fd=folder)
                listener.listen(BACKLOG)
                listener.setblocking(False)
                self.record = record
                self.write()
        except BaseException:
            listener.close()
            raise
        return listener

    def release(self) -> None:
        """Give the name back and remove the files; a second time does nothing."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            with suppress(FileNotFoundError), locked(self._directory) as folder:  # or the files are gone with it
                _unlink_all(folder, self.record.name)
        finally:
            os.close(fd)


def connect(record: Record, timeout_s: float | None = None) -> socket.socket:
    """A connection to a node's control socket.

    Raises `ConnectionError` if nobody listens there or it is somebody else's, `TimeoutError`, `RuntimeDirectoryError`.
    """
    if record.socket is None:
        raise ConnectionRefusedError("it is still starting, and does not listen yet")
    path = Path(record.socket)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        with opened(path.parent) as folder:
            connection.connect(address_of(path, folder))
        if not is_own_user(connection):
            raise ConnectionRefusedError("its socket belongs to another user")
    except FileNotFoundError:
        connection.close()
        raise ConnectionRefusedError("it does not listen any more") from None
    except BaseException:
        connection.close()
        raise
    return connection


def is_own_user(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as this user; where the system does not tell, the directory's mode
    has to be enough."""
    if not sys.platform.startswith("linux"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, uid, gid: three ints
    return int.from_bytes(credentials[4:8], sys.byteorder) == os.getuid()


def _open_record(path: Path, folder: int, name: str) -> int:
    try:
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError as error:
        raise RuntimeDirectoryError(f"{path / name} cannot be written: {error.strerror}") from None


def _live(folder: int, name: str) -> Record | None:
    """The record of a node that runs; of one that does not, the files are removed."""
    try:
        fd = os.open(name + RECORD, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None  # no record of ours: those are files
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(fd)
    else:
        _unlink_all(folder, name)
        return None
    finally:
        os.close(fd)


def _read(fd: int) -> Record | None:
    if os.fstat(fd).st_uid != os.getuid():
        return None
    try:
        data: dict[str, Any] = json.loads(os.pread(fd, RECORD_BYTES_MAX, 0))
        return Record(**{field.name: data[field.name] for field in attrs.fields(Record)})
    except (ValueError, KeyError, TypeError):
        return None  # written by hand


def _unlink_all(folder: int, node: str) -> None:
    for ending in (SOCKET, LINK, RECORD):
        _unlink(folder, node + ending)


def _unlink(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
