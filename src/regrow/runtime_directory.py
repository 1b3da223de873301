"""The directory in which the nodes of one user find each other: private, checked each time it is opened."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ENVIRONMENT = "REGROW_RUNTIME_DIR"
SOCKET_PATH_MAX = 103  # bytes of a Unix socket's address on the narrowest of systems


class RuntimeDirectoryError(OSError):
    """The directory for records and sockets cannot be used as it is; the text says which and why."""


def runtime_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """The directory of this user: `$REGROW_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/regrow`, else one in the temporary
    directory. Made if it is missing; nothing is checked of one that is there."""
    xdg = environment.get("XDG_RUNTIME_DIR")
    if chosen := environment.get(ENVIRONMENT):
        path = Path(chosen).absolute()
    elif xdg and Path(xdg).is_dir():
        path = Path(xdg).absolute() / "regrow"
    else:
        path = Path(tempfile.gettempdir()).absolute() / f"regrow-{os.getuid()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
    except OSError as error:
        raise RuntimeDirectoryError(f"{path} cannot be made: {error.strerror}") from None
    return path


@contextmanager
def opened(path: Path) -> Generator[int]:
    """The directory, opened, and checked to be one that nobody else can touch."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is a symbolic link" if path.is_symlink() else f"cannot be opened: {error.strerror}"
        raise RuntimeDirectoryError(f"{path} {what}; nodes keep their sockets in a directory of their own") from None
    try:
        _check(path, folder)
        yield folder
    finally:
        os.close(folder)


def _check(path: Path, folder: int) -> None:
    found = os.fstat(folder)
    if found.st_uid != os.getuid():
        raise RuntimeDirectoryError(f"{path} belongs to another user (id {found.st_uid})")
    if not found.st_mode & 0o077:
        return
    # An empty one was made for this, with the usual mode; one that holds other things is somebody's by mistake.
    if found.st_mode & stat.S_ISVTX or os.listdir(folder):
        raise RuntimeDirectoryError(f"others can get into {path}: its mode is {found.st_mode & 0o7777:04o}, not 0700")
    os.fchmod(folder, 0o700)


@contextmanager
def locked(path: Path) -> Generator[int]:
    """The directory, for this process alone."""
    with opened(path) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder


def address_of(path: Path, folder: int) -> str:
    """The path as the address of a socket: through the opened directory where it is too long for one."""
    address = str(path)
    if len(os.fsencode(address)) > SOCKET_PATH_MAX and sys.platform.startswith("linux"):
        address = f"/proc/self/fd/{folder}/{path.name}"
    if len(os.fsencode(address)) > SOCKET_PATH_MAX:
        raise RuntimeDirectoryError(f"{path} is too long for a socket; set {ENVIRONMENT} to a shorter directory")
    return address
