"""The manifest of an application, the .app file: what it is, what it needs, how it starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

import attrs

from .checks import DocumentError, Mistakes, Names, Table, is_text, read_only, shown

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
RESERVED = ("node", "kernel")  # their tables in a node's configuration are no application's


class ManifestError(DocumentError):
    """A manifest is wrong; `mistakes` lists all that is."""


@attrs.frozen
class Manifest:
    """One application, as its `application.toml` describes it."""

    name: str
    description: str = ""
    version: str = ""
    module: str | None = None
    """`package.module:Class`; `None` for a library application, which has no process."""
    args: tuple[object, ...] = ()
    """What its class's `start` gets."""
    registered: tuple[str, ...] = ()
    """The names that its processes register."""
    applications: tuple[str, ...] = ()
    """Started before this one."""
    optional_applications: tuple[str, ...] = ()
    """Those of `applications` that may be absent."""
    included_applications: tuple[str, ...] = ()
    """Loaded with this one, which starts what it wants of them itself."""
    start_phases: tuple[tuple[str, object], ...] = ()
    """Names and arguments; the argument is `None` where none is given."""
    portable: tuple[str, ...] = ()
    """Modules whose portable types and functions may cross nodes."""
    env: Mapping[str, object] = attrs.field(factory=dict[str, object], converter=read_only)


_KEYS = tuple(field.name for field in attrs.fields(Manifest))


def parse_manifest(document: Mapping[str, object], where: str) -> Manifest:
    """Read the parsed TOML of a manifest; `where` names the file. Raises `ManifestError` with all mistakes."""
    mistakes = Mistakes(where)
    top = Table(mistakes, "", document)
    top.only("application")
    top.required("application")
    table = top.table("application")
    table.only(*_KEYS)
    if "application" in document:
        table.required("name")
    manifest = Manifest(
        name=_name(table),
        description=table.get("description", _is_string, "a string", ""),
        version=table.get("version", _is_string, "a string", ""),
        module=table.get("module", _is_class_path, "of the form 'package.module:Class'", None),
        args=tuple(table.entries("args")),
        registered=table.names("registered", Names(is_text, "a name")),
        applications=_applications(table, "applications"),
        optional_applications=_applications(table, "optional_applications"),
        included_applications=_applications(table, "included_applications"),
        start_phases=_start_phases(table),
        portable=table.names("portable", Names(_is_module, "the name of a module")),
        env=table.get("env", lambda value: isinstance(value, Mapping), "a table", dict[str, object]()),
    )
    _check_relations(table, manifest)
    if mistakes.found:
        raise ManifestError(mistakes.found)
    return manifest


def manifest_name(document: Mapping[str, Any]) -> str | None:
    """The name in a manifest that may be wrong otherwise; `None` if that is wrong too."""
    match document:
        case {"application": {"name": name}} if _is_name(name):
            return name
        case _:
            return None


def _name(table: Table) -> str:
    name = table.get("name", _is_name, "a name", "")
    if name in RESERVED:
        table.mistake("name", f"{name!r} is taken by a table of the node configuration")
    return name


def _applications(table: Table, key: str) -> tuple[str, ...]:
    return table.names(key, Names(_is_name, "the name of an application"))


def _start_phases(table: Table) -> tuple[tuple[str, object], ...]:
    """`["init", "go"]`, or `[["init", {}], ["go", [1]]]` where a phase has an argument."""
    found: list[tuple[str, object]] = []
    entries: list[Any] = table.entries("start_phases")
    for index, entry in enumerate(entries):
        match entry:
            case str() if entry:
                found.append((entry, None))
            case [str() as phase, args] if phase:
                found.append((phase, args))
            case _:
                text = f"must be a name, or a list of a name and an argument, not {shown(entry)}"
                table.mistake("start_phases", text, f"[{index}]")
    return tuple(found)


def _check_relations(table: Table, manifest: Manifest) -> None:
    for key, names in (
        ("applications", manifest.applications),
        ("included_applications", manifest.included_applications),
    ):
        if manifest.name in names:
            table.mistake(key, f"{manifest.name!r} cannot need itself")
    for name in manifest.optional_applications:
        if name not in manifest.applications and table.sound("applications"):
            table.mistake("optional_applications", f"{name!r} must be listed in applications as well")
    for name in manifest.included_applications:
        if name in manifest.applications:
            table.mistake("included_applications", f"{name!r} is listed in applications as well")


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_module(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and all(part.isidentifier() for part in value.split("."))


def _is_class_path(value: object) -> bool:
    if not isinstance(value, str):
        return False
    module, _, name = value.partition(":")
    return _is_module(module) and name.isidentifier()
