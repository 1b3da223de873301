"""Tracebacks as data: printed later, they say what they would have said at once, and they keep nothing alive."""

from __future__ import annotations

import copy
import gc
import linecache
import pickle
import sys
import weakref
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any

import pytest

from regrow._pure.codec import Codec
from regrow.portable import Marked
from regrow.reasons import Crash, Reason, RemoteError, as_data
from regrow.tracebacks import FRAMES_MAX, Traceback, traceback_of
from regrow.wire import vocabulary
from tests.local.counting import counted_calls

Raise = Callable[[], object]


def caught(raise_it: Raise) -> BaseException:
    try:
        raise_it()
    except BaseException as error:  # noqa: BLE001 - whatever is raised is looked at
        return error
    raise AssertionError("it raises")


def plain() -> None:
    raise ValueError("no")


def over_several_lines() -> object:
    return [
        len("a"),
        len(
            1 / 0  # type: ignore[arg-type]
        ),
    ]


def with_a_cause() -> None:
    try:
        plain()
    except ValueError as error:
        raise KeyError("k") from error


def in_a_handler() -> None:
    try:
        with_a_cause()
    except KeyError:
        over_several_lines()


def from_none() -> None:
    try:
        plain()
    except ValueError:
        raise KeyError("k") from None


def with_cause_and_context() -> None:
    try:
        in_a_handler()
    except ZeroDivisionError:
        raise LookupError from caught(with_a_cause)


def in_a_circle() -> None:
    error = caught(plain)
    error.__cause__ = other = caught(with_a_cause)
    other.__context__ = error
    raise error


def with_notes() -> None:
    error = ValueError("no")
    error.add_note("Some words\nin two lines")
    error.add_note("")
    raise error


def bad_syntax() -> None:
    compile("if x\n  pass", "<words>", "exec")


def in_words() -> None:
    exec("def run():\n    raise ValueError\nrun()")


def bad_name() -> object:
    return recursoin  # type: ignore[name-defined] # noqa: F821 # pyright: ignore


def bad_attribute() -> object:
    return [].appendd  # type: ignore[attr-defined] # pyright: ignore


def bad_import() -> None:
    from collections import Countre  # type: ignore[attr-defined] # noqa: F401 # pyright: ignore


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def mute() -> None:
    raise Mute


def never_raised() -> object:
    raise AssertionError from ValueError("only made")


def recursion() -> None:
    recursion()


def recursion_of_two() -> None:
    lambda_ = lambda: recursion_of_two()  # noqa: E731
    lambda_()


def recursion_with_causes() -> None:
    try:
        recursion()
    except RecursionError as error:
        raise ValueError("too deep") from error


def many_in_a_row(length: int = FRAMES_MAX) -> None:
    try:
        plain() if length == 0 else many_in_a_row(length - 1)
    except ValueError as error:
        raise ValueError(length) from error


def group() -> None:
    raise ExceptionGroup("several", [caught(plain), caught(with_notes), ExceptionGroup("in it", [caught(mute)])])


def caused_by_a_group() -> None:
    raise KeyError from caught(group)


def many() -> None:
    raise ExceptionGroup("many", [caught(plain)] * 100)


def not_begun() -> None:
    error = caught(plain)
    traceback = error.__traceback__
    assert traceback is not None
    raise error.with_traceback(TracebackType(None, traceback.tb_frame, -1, 7))


RAISED: list[Raise] = [
    plain,
    over_several_lines,
    with_a_cause,
    in_a_handler,
    from_none,
    with_cause_and_context,
    in_a_circle,
    with_notes,
    bad_syntax,
    in_words,
    bad_name,
    bad_attribute,
    bad_import,
    mute,
    never_raised,
    recursion,
    recursion_of_two,
    recursion_with_causes,
    many_in_a_row,
    group,
    caused_by_a_group,
    many,
    not_begun,
]


@pytest.mark.parametrize("raise_it", RAISED)
def test_what_is_printed_later_is_what_would_have_been_printed_at_once(raise_it: Raise) -> None:
    """To the letter, and however often, whatever else the exception became meanwhile."""
    error = caught(raise_it)
    expected = "".join(format_exception(error))
    taken = traceback_of(error)
    error.__cause__, error.__traceback__ = RuntimeError("later"), None
    assert str(taken) == expected
    assert str(taken) == expected


def test_what_never_was_raised_has_its_last_line() -> None:
    """As in a reason that somebody made."""
    assert str(traceback_of(ValueError("no"))) == "ValueError: no\n"


def is_printed(raise_it: Raise) -> bool:
    return isinstance(traceback_of(caught(raise_it)), str)


def test_what_is_kept_is_bounded() -> None:
    """Of a long traceback, and of a group with its many parts, the text is smaller than what it is made from."""
    assert [raise_it.__name__ for raise_it in RAISED if is_printed(raise_it)] == [
        "recursion",
        "recursion_of_two",
        "recursion_with_causes",
        "many_in_a_row",
        "group",
        "caused_by_a_group",
        "many",
    ]


class Held:
    """Something that was there in a frame."""


class Known(ValueError):
    """Unlike a `ValueError` itself, it can be watched."""


class Told(RemoteError):
    """An exception that is data already, and is raised."""


@pytest.mark.parametrize("kind", [Known, Told])
def test_neither_the_exception_nor_its_frames_live_on(kind: type[Exception]) -> None:
    """A report would keep the state of a server that is long gone."""

    def data_of(held: Held, error: Exception) -> Reason:
        def crash(_held: Held) -> None:
            raise error

        return as_data(Crash(caught(lambda: crash(held))))

    held, error = Held(), kind("ValueError", "no")
    gone = weakref.ref(held), weakref.ref(error)
    data = data_of(held, error)
    del held, error
    gc.collect()
    assert [there() for there in gone] == [None, None]
    assert isinstance(data, Crash)
    assert isinstance(data.exception, RemoteError)


def test_lines_of_source_are_read_when_somebody_looks(tmp_path: Path) -> None:
    """Once; so whoever changes a file under a running node sees the new line at the old place, as in any traceback."""
    file = tmp_path / "changing.py"
    file.write_text("def run():\n    raise ValueError  # as it ran\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    data = RemoteError.of(caught(names["run"]))
    file.write_text("def run():\n    raise ValueError  # as it is\n\n\n")
    assert "# as it is" in data.traceback
    file.write_text("")
    linecache.clearcache()
    assert "# as it is" in data.traceback


def test_a_module_without_a_file_is_asked_for_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one in an archive, also when nothing of it but the traceback is left."""
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("packed_module.py", "def run():\n    raise ValueError  # in the archive\n")
    monkeypatch.syspath_prepend(tmp_path / "packed.zip")
    data = RemoteError.of(caught(import_module("packed_module").run))
    del sys.modules["packed_module"]
    gc.collect()
    assert "# in the archive" in data.traceback


def test_all_who_ask_for_a_crash_as_data_share_one_print() -> None:
    """Its reports, and each node that is told."""
    crash, codec = Crash(caught(plain)), Codec(vocabulary(None, Marked((), {})))
    with counted_calls() as count:
        reported = [as_data(crash) for _ in range(3)]
    assert count["traceback.StackSummary.format"] == 0
    with counted_calls() as count:
        told = [codec.decode(codec.encode(crash)[4:]) for _ in range(3)]
        assert told == reported
    assert count["traceback.StackSummary.format"] == 1


def test_an_exception_as_data_can_be_copied_and_pickled() -> None:
    """In print: what it is printed from is of no use elsewhere."""
    error = caught(plain)
    for other in (copy.deepcopy(RemoteError.of(error)), pickle.loads(pickle.dumps(RemoteError.of(error)))):
        assert other == RemoteError.of(error)
        assert other.traceback == "".join(format_exception(error))
    assert isinstance(traceback_of(error), Traceback)
