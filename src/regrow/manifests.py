"""Finding applications: their manifests on the node's path, and in installed distributions."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import attrs

from ._pure.checks import DocumentError
from ._pure.manifest import Manifest, ManifestError, manifest_name, parse_manifest
from .errors import ApplicationError
from .reasons import Crash, Custom

MANIFEST_FILE = "application.toml"
ENTRY_POINTS = "regrow.applications"
INSTALLED = "what is installed"  # where manifests are looked for after the directories of the path


@attrs.frozen
class _Content:
    """What a manifest file holds."""

    name: str | None
    """The application's name; `None` if the file does not tell."""
    manifest: Manifest | None
    mistakes: tuple[str, ...] = ()


@attrs.frozen
class _Found:
    """One manifest that was found."""

    source: str
    """The directory of the path that led to it, or `INSTALLED`."""
    where: str
    content: _Content


class Manifests:
    """The applications that a node can find.

    In each directory of the path, and in each folder directly in it, may lie the `application.toml` of one
    application; the directory becomes importable, and stays so. Installed distributions name theirs as entry points
    of the group `regrow.applications`, whose value is the package that holds the file.

    Of two of one name the first on the path counts, and the path counts before what is installed; two in one
    directory of the path are a mistake. A file that has changed is read again.
    """

    def __init__(self, path: Iterable[str | os.PathLike[str]] = ()) -> None:
        if isinstance(path, str | os.PathLike):
            raise TypeError(f"the path must be a list of directories, not {path!r}")
        self._directories = tuple(dict.fromkeys(Path(directory).resolve() for directory in path))
        self._contents: dict[Path, tuple[object, _Content]] = {}  # with the file's stamp when it was read
        self._entry_points: tuple[EntryPoint, ...] | None = None
        for directory in reversed(self._directories):  # so that modules too are looked for in the first one first
            if str(directory) not in sys.path:
                sys.path.insert(0, str(directory))

    def find(self, name: str) -> Manifest:
        """The manifest of an application. Raises `ApplicationError` if there is none, or it is wrong."""
        found = self.find_or_none(name)
        if found is None:
            looked = [f"{top}{'' if top.is_dir() else ' (no directory)'}" for top in self._directories]
            raise ApplicationError(name, Custom(f"no such application; looked in {', '.join([*looked, INSTALLED])}"))
        return found

    def find_or_none(self, name: str) -> Manifest | None:
        """The manifest of an application, `None` if there is none. Raises `ApplicationError` if it is wrong.

        If no file has this name, one whose name cannot be read may be the one: its mistakes are raised then.
        """
        every = list(self._every())
        candidates = [found for found in every if found.content.name == name]
        if candidates:
            candidates = [found for found in candidates if found.source == candidates[0].source]
        else:
            candidates = [found for found in every if found.content.name is None]
        if mistakes := _mistakes_of(candidates):
            raise ApplicationError(name, Crash(ManifestError(mistakes)))
        return candidates[0].content.manifest if candidates else None

    def portable(self) -> tuple[str, ...]:
        """The modules that the applications on the path say to hold portable types; wrong manifests say nothing."""
        found = [found.content.manifest for found in self._every()]
        return tuple(name for content in found if isinstance(content, Manifest) for name in content.portable)

    def names(self) -> tuple[str, ...]:
        """The names of all applications that can be found, those whose manifests are wrong included."""
        names = [found.content.name for found in self._every()]
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def mistakes(self) -> tuple[str, ...]:
        """All mistakes in all manifests that can be found, and in how they are found."""
        return _mistakes_of(self._every())

    def _every(self) -> Iterator[_Found]:
        """Every manifest, each file once, those first that count first."""
        seen: set[Path] = set()
        for directory in self._directories:
            for file in _manifest_files(directory):
                if file not in seen:
                    seen.add(file)
                    yield _Found(str(directory), str(file), self._content(file))
        for point in self._installed():
            installed = _manifest_of(point)
            if installed is None:
                yield _Found(INSTALLED, f"entry point {point.name}", _no_manifest(point))
            elif installed not in seen:
                seen.add(installed)
                yield _Found(INSTALLED, str(installed), self._content(installed))

    def _installed(self) -> tuple[EntryPoint, ...]:
        # Once: it means looking into every distribution, and those of a running interpreter do not change.
        if self._entry_points is None:
            self._entry_points = tuple(entry_points(group=ENTRY_POINTS))
        return self._entry_points

    def _content(self, file: Path) -> _Content:
        """What the file holds; it is not read again if it has not changed."""
        stamp = _stamp(file)
        known = self._contents.get(file)
        if known is None or known[0] != stamp:
            known = self._contents[file] = stamp, _read_manifest(file)
        return known[1]


def _mistakes_of(every: Iterable[_Found]) -> tuple[str, ...]:
    """The mistakes in manifests, and the names that two of one source have."""
    mistakes: list[str] = []
    first: dict[tuple[str, str], str] = {}
    for found in every:
        mistakes += found.content.mistakes
        name = found.content.name
        if name is not None:
            other = first.setdefault((found.source, name), found.where)
            if other != found.where:
                mistakes.append(f"{found.where}: application.name: {name!r} is the name of {other} too")
    return tuple(mistakes)


def _manifest_files(directory: Path) -> list[Path]:
    """Those in a directory and in the folders directly in it."""
    candidates = [folder / MANIFEST_FILE for folder in (directory, *sorted(directory.glob("*/")))]
    return [file.resolve() for file in candidates if os.path.isfile(file)]


def _manifest_of(point: EntryPoint) -> Path | None:
    """The manifest in the package that an entry point names. Nothing of the package is imported to find it."""
    top, *inner = point.value.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    folders = spec.submodule_search_locations if spec is not None else None
    candidates = [Path(folder, *inner, MANIFEST_FILE) for folder in folders or ()]
    return next((file.resolve() for file in candidates if os.path.isfile(file)), None)


def _no_manifest(point: EntryPoint) -> _Content:
    text = f"entry point {point.name} of {ENTRY_POINTS}: there is no package {point.value!r} with an {MANIFEST_FILE}"
    return _Content(point.name, None, (text,))


def _stamp(file: Path) -> object:
    """What is different once a file has been changed."""
    try:
        status = file.stat()
    except OSError as error:
        return error.errno
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read_manifest(file: Path) -> _Content:
    name = None
    try:
        document = read_toml(file)
        name = manifest_name(document)
        return _Content(name, parse_manifest(document, str(file)))
    except DocumentError as error:
        return _Content(name, None, error.mistakes)


def read_toml(file: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file holds. Raises `DocumentError` that says why it cannot be read."""
    where = os.fspath(file)
    try:
        return tomllib.loads(Path(file).read_text("utf-8"))
    except OSError as error:
        text = error.strerror or str(error)
    except UnicodeDecodeError as error:
        text = f"not UTF-8, as TOML must be: {error}"
    except ValueError as error:  # a mistake of form, or an integer of too many digits
        text = str(error)
    except RecursionError:
        text = "lists or tables too deep in each other"
    raise DocumentError((f"{where}: {text}",))
