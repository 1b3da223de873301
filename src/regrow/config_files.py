"""What a node's configuration is read from: files, which may include others, and single settings; later ones count."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from ._pure.checks import DocumentError, Mistakes, Names, Table, is_text
from ._pure.config import ConfigError, NodeConfig, parse_config
from .manifests import Manifests, read_toml


@attrs.frozen
class Setting:
    """A setting that stands in no file: `shop.greeting = "hi"`, in TOML, as the command line has it."""

    text: str

    def __str__(self) -> str:
        return f"--set {self.text}"


ConfigFile: TypeAlias = str | os.PathLike[str] | Setting
ConfigFiles: TypeAlias = ConfigFile | Sequence[ConfigFile]

INCLUDE = "include"  # the key of a file that lists those it includes


def files_of(config: ConfigFiles | NodeConfig | None) -> tuple[ConfigFile, ...]:
    """The files that are to be read."""
    match config:
        case None | NodeConfig():
            return ()
        case str() | os.PathLike() | Setting():
            return (config,)
        case _:
            return tuple(config)


def read_config(files: Sequence[ConfigFile], manifests: Manifests) -> NodeConfig:
    """Read a node's configuration. Raises `ConfigError` with all mistakes, those of manifests included."""
    found: list[tuple[str, dict[str, Any]]] = []
    mistakes: list[str] = []
    for file in files:
        for read in _documents(file, ()):
            match read:
                case DocumentError(mistakes=wrong):
                    mistakes += wrong
                case document:
                    found.append(document)
    try:
        config = parse_config(found, manifests.names())
    except DocumentError as error:
        mistakes += error.mistakes
        config = NodeConfig()
    mistakes += manifests.mistakes()
    if mistakes:
        raise ConfigError(mistakes)
    return config


def _documents(file: ConfigFile, within: tuple[Path, ...]) -> Iterator[tuple[str, dict[str, Any]] | DocumentError]:
    """What a file holds, after what it includes; or what is wrong about it. `within` are those that include it."""
    if isinstance(file, Setting):
        yield _setting(file)
        return
    where, path = os.fspath(file), Path(file).resolve()
    if path in within:
        yield DocumentError([f"{where}: includes itself, directly or through others"])
        return
    try:
        document = read_toml(file)
    except DocumentError as error:
        yield error
        return
    mistakes = Mistakes(where)
    for name in Table(mistakes, "", document).names(INCLUDE, Names(is_text, "the name of a file")):
        yield from _documents(Path(file).parent / os.path.expanduser(name), (*within, path))
    if mistakes.found:
        yield DocumentError(mistakes.found)
    yield where, {key: value for key, value in document.items() if key != INCLUDE}


def _setting(setting: Setting) -> tuple[str, dict[str, Any]] | DocumentError:
    try:
        document = tomllib.loads(setting.text)
    except ValueError as error:
        return DocumentError([f"{setting}: {error}; it is to be TOML, where a text has quotes: shop.greeting='hi'"])
    return str(setting), document
