"""The floors of the house: imports run downward only, and what is pure stays pure."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "regrow"

# From the ground up. A module imports from floors strictly below its own, under TYPE_CHECKING too. Inside a package it
# is free.
FLOORS = [
    "_pure",
    "tracebacks",
    "reasons",
    "errors",
    "messages",
    "signals system_words",
    "_backends",
    "clock debug mailbox registry stacks status",
    "reports timers relations",
    "process_timers bounded_mailbox refusals nest",
    "runtime",
    "refs children stopping call_cycles watchdog",
    "naming",
    "process gen timer",
    "sent_requests",
    "many_nodes",
    "calls",
    "behaviour",
    "handlers",
    "system",
    "sys in_place",
    "gen_server",
    "gen_statem task",
    "owner",
    "supervisor",
    "dynamic_supervisor partition_supervisor",
    "application_master",
    "environments manifests",
    "application_controller",
    "config_change config_files",
    "runtime_directory",
    "local_nodes",
    "cookie discovery",
    "transport",
    "portable clashes kinds",
    "child_words error_words frequent_words",
    "wire",
    "remote",
    "connection greeting",
    "net_kernel",
    "arbiters dist_words global_words questions",
    "dist_ac global_name_server lock_server",
    "rpc_words",
    "rpc_server rpc peer_words",
    "node",
    "application nodes global_name global_lock peer",
    "workers",
    "inspect",
    "control",
    "cli observer testing",
    "__main__",
    "__init__",
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names.split()}

# What decides may not know the time, chance, or the world.
IMPURE = set("asyncio socket ssl select selectors time random secrets threading logging subprocess os".split())
LOOPS = {"asyncio", "trio"}  # for _backends alone
OF_PURE = {"attrs", *sys.stdlib_module_names} - IMPURE
CODEC = "_pure.codec"  # the only one that knows msgpack
TESTS_ONLY = {"pytest", "hypothesis"}


def modules() -> Iterator[tuple[str, Path]]:
    """Each module, named from the package: `_pure.ids`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name, path


def imports(name: str, source: str) -> Iterator[tuple[int, str]]:
    """What a module imports, absolute, with the line it does it in."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(level=0, module=str(module)):
                yield node.lineno, module
            case ast.ImportFrom():
                yield from ((node.lineno, target) for target in _relative(name, node))


def _relative(name: str, node: ast.ImportFrom) -> Iterator[str]:
    base = ["regrow", *name.split(".")][: -node.level]
    if node.module is not None:
        yield ".".join([*base, node.module])
    else:  # from . import a, b
        yield from (".".join([*base, alias.name]) for alias in node.names)


def top(module: str) -> str:
    """The part of the package that a module belongs to: itself, or the folder it is in."""
    head, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__" if head == "regrow" else module.partition(".")[0]


def wrong_imports(name: str, source: str) -> list[str]:
    """What a module imports that it may not, in words."""
    part = name.partition(".")[0]
    return [f"{name}:{line}: {why}" for line, module in imports(name, source) if (why := _why_not(name, part, module))]


def _why_not(name: str, part: str, module: str) -> str | None:
    external = module.partition(".")[0]
    if external == "regrow":
        target = top(module)
        if target not in FLOOR:
            return f"{target} is on no floor"
        return (
            None
            if target == part or FLOOR[target] < FLOOR[part]
            else f"{part} may not import {target}, it is not below"
        )
    if external in TESTS_ONLY:
        return f"{external} is for tests"
    if external in LOOPS and part != "_backends":
        return f"{external} is imported in _backends only"
    if external == "msgpack":
        return None if name == CODEC else "msgpack is for the codec"
    if part == "_pure" and external not in OF_PURE:
        return f"_pure may not know {external}"
    return None


@pytest.mark.parametrize(("name", "path"), [pytest.param(*found, id=found[0]) for found in modules()])
def test_a_module_imports_only_from_below(name: str, path: Path) -> None:
    """Whoever reads the house from the ground up never meets a word before its definition."""
    assert name.partition(".")[0] in FLOOR, f"put {name} on a floor"
    assert not wrong_imports(name, path.read_text(encoding="utf-8"))


def test_the_page_on_design_shows_the_whole_house() -> None:
    """Each module once, from the ground up."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| floor | modules in `src/regrow/` |")
    rows = [re.findall(r"`(\w+)`", line.split("|")[2]) for line in table.partition("\n\n")[0].splitlines()[2:]]
    there = {name.partition(".")[0] for name, _ in modules()} - {"__main__"}
    assert sorted(chain(*rows)) == sorted(there)
    floors = [[FLOOR[name] for name in row] for row in rows]
    assert all(max(below) < min(above) for below, above in pairwise(floors))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("errors", "from .node import Node"),
        ("errors", "from . import node"),
        ("reasons", "import regrow.errors"),
        ("registry", "from .mailbox import Mailbox"),
        ("_pure.ids", "from ..reasons import Reason"),
        ("_pure.ids", "import anyio.abc"),
        ("_pure.ids", "from time import monotonic"),
        ("_pure.ids", "import msgpack"),
        ("runtime", "if TYPE_CHECKING:\n    from .process import spawn"),
        ("node", "import asyncio"),
        ("gen_server", "def later():\n    from trio.lowlevel import Task"),
        ("node", "from regrow import spawn"),
        ("testing.clock", "import pytest"),
        ("node", "from .attic import thing"),
    ],
)
def test_an_import_that_runs_upward_is_found(name: str, source: str) -> None:
    """Wherever in the module it stands, and whatever form it has."""
    assert len(wrong_imports(name, source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("node", "from .errors import CallError\nimport anyio"),
        ("_pure.restart", "from .ids import Pid\nimport attrs\nfrom collections import deque"),
        ("_pure.codec", "import msgpack"),
        ("_backends._asyncio", "import asyncio\nfrom ..messages import Promise"),
        ("__init__", "from .node import Node as Node"),
    ],
)
def test_an_import_from_below_is_fine(name: str, source: str) -> None:
    """The rule forbids no more than it says."""
    assert wrong_imports(name, source) == []
