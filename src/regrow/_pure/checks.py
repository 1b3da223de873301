"""Reading data that people wrote by hand: every mistake is noted with its place, and none stops the reading."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeGuard, TypeVar, cast

T = TypeVar("T")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_MAX = 120  # characters of a wrong value; more would hide what is said about it


class DocumentError(ValueError):
    """A document is wrong; `mistakes` lists all that is, each with its place."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Mistakes:
    """The mistakes found so far in one document; `origins` say of some places which other file they are from."""

    def __init__(self, where: str, origins: Mapping[str, str] = MappingProxyType({})) -> None:
        self._where = where
        self._origins = origins
        self.found: list[str] = []

    def add(self, place: str, text: str) -> None:
        """Note a mistake at a place such as `kernel.sync_nodes_timeout`."""
        around = [known for known in self._origins if f"{place}.".startswith((f"{known}.", f"{known}["))]
        where = self._origins[max(around, key=len)] if around else self._where
        self.found.append(f"{where}: {place}: {text}" if place else f"{where}: {text}")


class Names:
    """Names of one kind that may be listed once, in one list or in several."""

    def __init__(self, fits: Callable[[object], TypeGuard[str]], expected: str) -> None:
        self._fits = fits
        self._expected = expected
        self._first: dict[str, str] = {}  # where each was listed

    def read(self, table: Table, key: str, inside: str, entry: object) -> tuple[str, ...]:
        """The entry at a place inside of a key's value, such as `[2]`; none if it is a mistake."""
        if not self._fits(entry):
            table.mistake(key, f"must be {self._expected}, not {shown(entry)}", inside)
            return ()
        if entry in self._first:
            table.mistake(key, f"{entry!r} is listed twice, first at {self._first[entry]}", inside)
            return ()
        self._first[entry] = table.at(key) + inside
        return (entry,)


class Table:
    """One table of a document, read key by key."""

    def __init__(self, mistakes: Mistakes, place: str, data: object) -> None:
        self._mistakes = mistakes
        self._place = place
        self._wrong: set[str] = set()
        self.data: Mapping[str, Any] = {}
        self._is_table = isinstance(data, Mapping)
        if isinstance(data, Mapping):
            self.data = data
        else:
            mistakes.add(place, f"must be a table, not {shown(data)}")

    def only(self, *known: str) -> None:
        """Note each key that is not among the known ones, with the known one it resembles."""
        for key in self.data:
            if key not in known:
                self.mistake(key, f"unknown key{hint(key, known)}")

    def at(self, key: str) -> str:
        """The place of a key, written as in TOML."""
        return _at(self._place, key)

    def mistake(self, key: str, text: str, inside: str = "") -> None:
        """Note a mistake in a key's value, or at a place inside of it such as `[2]`."""
        self._wrong.add(key)
        self._mistakes.add(self.at(key) + inside, text)

    def sound(self, *keys: str) -> bool:
        """Whether no mistake was noted in these keys, so that their values can be compared with others."""
        return self._wrong.isdisjoint(keys)

    def required(self, *keys: str) -> None:
        for key in keys:
            if key not in self.data and self._is_table:
                self.mistake(key, "is missing")

    def get(self, key: str, fits: Callable[[Any], bool], expected: str, default: T) -> T:
        """The value of a key if it is fit, else the default; a value that is not fit is noted."""
        if key not in self.data:
            return default
        value: T = self.data[key]
        if fits(value):
            return value
        self.mistake(key, f"must be {expected}, not {shown(value)}")
        return default

    def text(self, key: str, default: str) -> str:
        return self.get(key, is_text, "a non-empty string", default)

    def word(self, key: str, words: Collection[str], default: str) -> str:
        return self.get(key, words.__contains__, " or ".join(map(repr, words)), default)

    def seconds(self, key: str, default: float, *, least: float = 0.0, forever: bool = True) -> float:
        """A number of seconds, at least so many; infinite only if that makes sense for the key."""

        def fits(value: object) -> bool:
            # What is "not a number" is not at least anything.
            return is_number(value) and value >= least and (forever or value != float("inf"))

        expected = f"seconds, at least {least:g}{', or inf' if forever else ''}"
        return float(self.get(key, fits, expected, default))

    def entries(self, key: str, expected: str = "a list") -> list[object]:
        return self.get(key, lambda value: isinstance(value, list), expected, list[object]())

    def names(self, key: str, names: Names) -> tuple[str, ...]:
        """A list of names, those left out that are a mistake."""
        entries = enumerate(self.entries(key))
        return tuple(name for index, entry in entries for name in names.read(self, key, f"[{index}]", entry))

    def table(self, key: str) -> Table:
        """The table that a key holds; an empty one if the key is absent or a mistake."""
        return Table(self._mistakes, self.at(key), self.data.get(key, {}))

    def tables(self, key: str) -> Iterator[Table]:
        """The tables that a key lists, one after the other, so that mistakes come in their order."""
        for index, entry in enumerate(self.entries(key, f"a list of tables, as [[{self.at(key)}]] gives")):
            yield Table(self._mistakes, f"{self.at(key)}[{index}]", entry)


def layered(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[dict[str, Any], dict[str, str]]:
    """One document of several, and the file that each place is from: later ones replace single keys of tables."""
    whole: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for where, document in documents:
        for name, value in document.items():
            top = _at("", name)
            origins[top] = where
            if isinstance(value, Mapping):
                table = cast("Mapping[str, Any]", value)
                origins |= {_at(top, key): where for key in table}
                whole[name] = {**(whole[name] if isinstance(whole.get(name), Mapping) else {}), **table}
            else:
                whole[name] = value
    return whole, origins


def _at(place: str, key: str) -> str:
    part = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{place}.{part}" if place else part


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a float, or a whole number that a float can hold."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= sys.float_info.max)


def hint(word: str, known: Collection[str]) -> str:
    """What to say after naming an unknown word: the one that was meant, else all there are."""
    near = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"


def shown(value: object) -> str:
    """The `repr` of a value, in one line, cut to size."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of too many digits, lists too deep in lists
        return f"what is too long to show, of type {type(value).__name__}"
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def read_only(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy that its holder cannot change."""
    return MappingProxyType(dict(values))
