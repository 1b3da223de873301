"""The cookie: what the nodes of one cluster share, and strangers do not."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

COOKIE_VARIABLE = "REGROW_COOKIE"  # of the environment of `regrow run`: the cookie itself
COOKIE_BYTES = 32  # of randomness in a new cookie, written in hexadecimal
FILE_BYTES_MAX = 4096  # a cookie file that is larger is another file


class CookieError(Exception):
    """The cookie file cannot be used; the text says which and why."""


def read_cookie(file: str | os.PathLike[str]) -> bytes:
    """The cookie in a file; a file that is not there is made, with a random cookie, for its owner to read.

    Of nodes that make it at the same time one does, and all get the same cookie. Raises `CookieError` for a file
    that others can read, or that holds no cookie.
    """
    try:
        path = Path(file).expanduser()
    except RuntimeError as error:
        raise CookieError(f"cookie file {file}: {error}") from None
    try:
        if not os.path.lexists(path):
            _make(path)
    except OSError as error:
        raise CookieError(f"cookie file {path} cannot be made: {error.strerror}") from None
    try:
        return _read(path)
    except OSError as error:
        raise CookieError(f"cookie file {path} cannot be read: {error.strerror}") from None


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not hold us up
    try:
        _check(path, os.fstat(descriptor))
        cookie = os.read(descriptor, FILE_BYTES_MAX + 1).strip()
    finally:
        os.close(descriptor)
    if not cookie:
        raise CookieError(f"cookie file {path} is empty")
    if len(cookie) > FILE_BYTES_MAX:
        raise CookieError(f"{path} is no cookie file: it is larger than {FILE_BYTES_MAX} bytes")
    return cookie


def _check(path: Path, found: os.stat_result) -> None:
    """Looked at once it is open, so it is the file that is read, wherever a symbolic link led."""
    if not stat.S_ISREG(found.st_mode):
        raise CookieError(f"cookie file {path} is no file")
    if found.st_uid not in (os.geteuid(), 0):
        raise CookieError(f"others can read cookie file {path}: it belongs to another user (id {found.st_uid})")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CookieError(f"others can read cookie file {path}: its mode is {found.st_mode & 0o777:04o}, not 0400")


def _make(path: Path) -> None:
    """In one step, so that nobody ever reads half a cookie."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_hex(COOKIE_BYTES).encode())
        with suppress(FileExistsError):  # another node of ours was faster
            os.link(draft, path)
    finally:
        draft.unlink()
