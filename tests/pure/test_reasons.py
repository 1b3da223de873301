"""Exit reasons: the words they begin with, and what becomes one."""

from __future__ import annotations

import attrs
import pytest

from regrow.reasons import (
    Crash,
    Custom,
    Kill,
    Killed,
    NoConnection,
    NoProc,
    Normal,
    Reason,
    RemoteError,
    Shutdown,
    as_reason,
    interrupt_in,
    is_quiet,
    unwrapped,
)


class Mute(Exception):
    """Has no text to give."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Normal(), "normal"),
        (Shutdown(), "shutdown"),
        (Shutdown("moving"), "shutdown: moving"),
        (Kill(), "kill"),
        (Killed(), "killed"),
        (NoProc(), "noproc"),
        (NoConnection(), "noconnection"),
        (Crash(ValueError("bad value")), "ValueError: bad value"),
        (Crash(ValueError()), "ValueError"),
        (Crash(KeyError("k")), "KeyError: 'k'"),
        (Crash(RemoteError("ValueError", "bad value", "Traceback ...")), "ValueError: bad value"),
        (Crash(RemoteError("ValueError", "")), "ValueError"),
        (
            Crash(ExceptionGroup("two", [ValueError("a"), ExceptionGroup("one", [KeyError("b")])])),
            "ExceptionGroup: two (2 sub-exceptions): ValueError: a; KeyError: 'b'",
        ),
        (
            Crash(ExceptionGroup("many", [ValueError()] * 7)),
            "ExceptionGroup: many (7 sub-exceptions): ValueError; ValueError; ValueError; ValueError; ValueError; ...",
        ),
        (Custom("out of paper"), "out of paper"),
        (Custom(("a", 1)), "('a', 1)"),
        (Custom(None), "None"),
    ],
)
def test_a_reason_begins_with_the_word_otp_has_for_it(reason: Reason, text: str) -> None:
    """The same on every node: a crash reads as its exception, also where that has become data."""
    assert str(reason) == text


@pytest.mark.parametrize("reason", [Crash(Mute()), Custom(Mute()), Shutdown(Mute())])
def test_a_reason_can_always_be_printed(reason: Reason) -> None:
    """It is printed where a crash is being reported: nothing in there may fail."""
    assert "(Mute without a text)" in str(reason)


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("x")])
def test_normal_and_shutdown_are_quiet(reason: Reason) -> None:
    """They are how things are meant to end."""
    assert is_quiet(reason)


@pytest.mark.parametrize("reason", [Kill(), Killed(), NoProc(), NoConnection(), Crash(ValueError()), Custom("normal")])
def test_all_others_are_not(reason: Reason) -> None:
    """A custom reason is news, whatever it says."""
    assert not is_quiet(reason)


def test_what_becomes_a_reason() -> None:
    """A reason as it is, an exception as a crash, anything else as the user's own."""
    error = ValueError("x")
    assert as_reason(Shutdown("x")) == Shutdown("x")
    assert as_reason(error) == Crash(error)
    assert as_reason("why") == Custom("why")


def test_a_group_with_one_member_is_its_member() -> None:
    """However deep; a larger group says more than one of its members could."""
    error = ValueError("x")
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [error])])
    both = ExceptionGroup("both", [error, KeyError()])
    assert as_reason(group) == Crash(error)
    assert unwrapped(ExceptionGroup("outer", [both])) is both
    assert as_reason(both) == Crash(both)


def test_reasons_are_equal_by_value() -> None:
    """So that a test, or a `match`, can name the one it expects."""
    assert Shutdown("a") == Shutdown("a") != Shutdown("b")
    assert len({Normal(), Shutdown(), Kill(), Killed(), NoProc(), NoConnection()}) == 6
    assert RemoteError("E", "t", "tb") == RemoteError("E", "t", "tb")
    assert hash(RemoteError("E", "t")) == hash(RemoteError("E", "t"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Shutdown("a").detail = "b"  # type: ignore[misc]


def test_an_interrupt_is_found_in_whatever_groups_it_lies() -> None:
    """Ctrl-C is for the program; a task group that was hit by it holds other errors besides."""
    interrupt = KeyboardInterrupt()
    group = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [KeyError(), interrupt])])
    assert interrupt_in(group) is interrupt
    assert interrupt_in(interrupt) is interrupt
    assert interrupt_in(ExceptionGroup("", [ValueError(), KeyError()])) is None
    assert interrupt_in(ValueError()) is None
