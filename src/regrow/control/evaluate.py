"""Evaluating an expression inside a node."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import traceback
from collections.abc import Iterable
from typing import Any

from .._pure.manifest import Manifest
from ..errors import ApplicationError
from ..node import Node
from ..reasons import Crash
from .protocol import ExitCode, Refused

SOURCE = "<rpc>"  # what tracebacks call it


class Namespace(dict[str, Any]):
    """The names an expression knows: all public ones of regrow, `node`, and the packages of applications.

    A package is imported when it is first named, and only if a manifest that the node can find names it, so that
    `job_center.statistics()` works on every node of a cluster. Nothing else is imported.
    """

    def __init__(self, node: Node) -> None:
        # The façade stands above every floor; to those who type expressions it is what they know of regrow.
        facade = importlib.import_module(__name__.partition(".")[0])
        super().__init__({name: getattr(facade, name) for name in facade.__all__}, node=node)
        self._node = node

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        modules = [module for module in _modules(self._node) if module.partition(".")[0] == name]
        if not modules:
            raise KeyError(name)
        for module in modules:
            importlib.import_module(module)
        package = self[name] = importlib.import_module(name)
        return package


def _modules(node: Node) -> Iterable[str]:
    """The modules that the manifests of this node's applications name; of a library, the package of its name."""
    loaded = node.applications.loaded
    for name in dict.fromkeys((*loaded, *node.manifests.names())):
        manifest = loaded[name].manifest if name in loaded else _found(node, name)
        if manifest is not None:
            yield from _modules_of(manifest)


def _found(node: Node, name: str) -> Manifest | None:
    try:
        return node.manifests.find_or_none(name)
    except ApplicationError:
        return None  # it is wrong, and nobody has asked for it


def _modules_of(manifest: Manifest) -> Iterable[str]:
    if manifest.module is None:
        yield manifest.name
    else:
        yield manifest.module.partition(":")[0]
    yield from manifest.portable


async def evaluate(node: Node, expression: str) -> object:
    """The value of a Python expression, which may await. Raises `Refused` with what it raised."""
    try:
        code = compile(expression, SOURCE, "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise Refused(str(Crash(error)), ExitCode.USAGE) from None
    try:
        value = eval(code, Namespace(node))
        if code.co_flags & inspect.CO_COROUTINE:
            return await value
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its outcome
        raise Refused(str(Crash(error)), detail=_printed(error)) from None
    if inspect.iscoroutine(value):
        value.close()
        raise Refused("the expression gives a coroutine: write `await` before it")
    return value


def _printed(error: BaseException) -> str:
    """The traceback from the expression on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != SOURCE:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
