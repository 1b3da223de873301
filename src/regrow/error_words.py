"""Errors that callers catch, as they travel: each as the one part that it is made of. Any other goes as data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from ._pure.codec import Kind
from ._pure.ids import Pid
from .errors import (
    AlreadyPresent,
    AlreadyStarted,
    CallbackFailed,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    Ignored,
    MailboxFull,
    MaxChildren,
    NoProcess,
    ServerExited,
    StartFailed,
    StartTimeout,
)
from .kinds import kind, text_of
from .messages import Failure
from .reasons import Reason, RemoteError


@attrs.frozen
class _Told:
    """One class of errors: what is told of it, of which type that is, and how it is made anew."""

    cls: type[BaseException]
    part: type
    take: Callable[[Any], object]
    build: Callable[[Any], BaseException]


def _with_reason(cls: type[ServerExited | CallbackFailed | StartFailed]) -> _Told:
    return _Told(cls, Reason, lambda error: error.reason, cls)


def _with_pid(cls: type[MailboxFull | AlreadyStarted]) -> _Told:
    return _Told(cls, Pid, lambda error: error.pid, cls)


def _with_text(cls: type[BaseException]) -> _Told:
    """What it says is all there is to it."""
    return _Told(cls, str, text_of, partial(_saying, cls))


def _saying(cls: type[BaseException], text: str) -> BaseException:
    error = cls.__new__(cls)
    error.args = (text,)
    return error


_TOLD = {
    told.cls: told
    for told in (
        *map(_with_reason, (ServerExited, CallbackFailed, StartFailed)),
        _with_pid(MailboxFull),
        _with_pid(AlreadyStarted),
        *map(_with_text, (StartTimeout, Ignored, AlreadyPresent, MaxChildren)),
        *map(_with_text, (ChildNotFound, ChildRunning, ChildRestarting)),
        _Told(NoProcess, str, text_of, NoProcess.saying),
        _Told(RemoteError, RemoteError, lambda error: error, lambda error: error),
    )
}
_BY_NAME = {cls.__name__: told for cls, told in _TOLD.items()}


def _parts(failure: Failure) -> tuple[str, object]:
    error = failure.error if type(failure.error) in _TOLD else RemoteError.of(failure.error)
    return type(error).__name__, _TOLD[type(error)].take(error)


def _failure(what: str, part: object) -> Failure:
    told = _BY_NAME.get(what)
    if told is None or not isinstance(part, told.part):
        raise TypeError(f"an unknown failure {what!r:.40}")
    return Failure(told.build(part))


FAILURE: Kind = kind(Failure, ("what", "error"), _parts, _failure, (str, object))
