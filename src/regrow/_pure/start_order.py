"""In which order applications start: what an application needs comes before it."""

from __future__ import annotations

from collections.abc import Callable

from .manifest import Manifest


class OrderError(ValueError):
    """No order exists: an application is missing, or several wait for each other."""

    def __init__(self, application: str, text: str) -> None:
        super().__init__(text)
        self.application = application


def start_order(name: str, find: Callable[[str], Manifest | None]) -> tuple[str, ...]:
    """The application and all it needs, each once, dependencies first, in the order they are listed in.

    Optional ones that are not found are left out. Raises `OrderError` for a missing one and for a cycle, which
    it names.
    """
    order: dict[str, None] = {}
    _visit(name, find, (), order)
    return tuple(order)


def _visit(name: str, find: Callable[[str], Manifest | None], path: tuple[str, ...], order: dict[str, None]) -> None:
    if name in path:
        cycle = " -> ".join((*path[path.index(name) :], name))
        raise OrderError(name, f"applications wait for each other: {cycle}")
    if name in order:
        return
    manifest = find(name)
    if manifest is None:
        needed_by = f", which {path[-1]} needs" if path else ""
        raise OrderError(name, f"no such application: {name}{needed_by}")
    for needed in manifest.applications:
        if needed not in manifest.optional_applications or find(needed) is not None:
            _visit(needed, find, (*path, name), order)
    order[name] = None
