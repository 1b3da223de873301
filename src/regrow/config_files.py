"""The files of a node's configuration: one or several, of which each may include others, and later ones count."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ._pure.checks import DocumentError, Mistakes, Names, Table, is_text
from ._pure.config import ConfigError, NodeConfig, parse_config
from .manifests import Manifests, read_toml

ConfigFile: TypeAlias = str | os.PathLike[str]
ConfigFiles: TypeAlias = ConfigFile | Sequence[ConfigFile]

INCLUDE = "include"  # the key of a file that lists those it includes


def files_of(config: ConfigFiles | NodeConfig | None) -> tuple[ConfigFile, ...]:
    """The files that are to be read."""
    match config:
        case None | NodeConfig():
            return ()
        case str() | os.PathLike():
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
