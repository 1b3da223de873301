"""In which order applications start, over all small graphs of what needs what."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping

import pytest
from exhaustive import Exhaustive

from regrow._pure.manifest import Manifest
from regrow._pure.start_order import OrderError, start_order

NAMES = ("a", "b", "c", "d")
Graph = Mapping[str, tuple[str, ...]]


def finder(graph: Graph, optional: tuple[str, ...] = ()) -> Callable[[str], Manifest | None]:
    """What can be found: the applications of a graph, each with what it needs."""
    manifests = {
        name: Manifest(name, applications=needed, optional_applications=tuple(n for n in needed if n in optional))
        for name, needed in graph.items()
    }
    return manifests.get


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [tuple(n for bit, n in enumerate(names) if mask >> bit & 1) for mask in range(2 ** len(names))]


def graphs() -> Iterator[Graph]:
    """All graphs of four applications none of which needs itself: 4096."""
    for _ in (every := Exhaustive()).runs():
        yield {name: every.choose(subsets(tuple(n for n in NAMES if n != name))) for name in NAMES}


def reachable(graph: Graph, name: str) -> set[str]:
    """What an application needs, directly or not; with itself only if it is in a cycle."""
    found: set[str] = set()
    while more := {n for each in (name, *found) for n in graph[each]} - found:
        found |= more
    return found


def outcome(name: str, find: Callable[[str], Manifest | None]) -> tuple[str, ...] | OrderError:
    """The order, or why there is none."""
    try:
        return start_order(name, find)
    except OrderError as error:
        return error


def named_cycle(error: OrderError) -> list[str]:
    match = re.fullmatch(r"applications wait for each other: (.+)", str(error))
    assert match is not None, str(error)
    return match.group(1).split(" -> ")


def test_dependencies_come_first_and_a_cycle_is_found_and_named_in_every_graph() -> None:
    """An order exists exactly if no application that is needed needs itself, however indirectly."""
    orders = cycles = 0
    for graph in graphs():
        needed = reachable(graph, "a")
        cyclic = any(name in reachable(graph, name) for name in {"a", *needed})
        result = outcome("a", finder(graph))
        if isinstance(result, OrderError):
            cycles += 1
            assert cyclic, graph
            cycle = named_cycle(result)
            assert cycle[0] == cycle[-1] == result.application
            assert len(cycle) > 2
            assert len(set(cycle)) == len(cycle) - 1
            assert all(after in graph[before] for before, after in itertools.pairwise(cycle))
        else:
            orders += 1
            assert not cyclic, graph
            assert sorted(result) == sorted({"a", *needed})
            assert all(result.index(n) < result.index(name) for name in result for n in graph[name])
    assert orders + cycles == 2 ** (4 * 3)
    assert orders > 500
    assert cycles > 500


def test_what_is_absent_is_left_out_if_optional_and_an_error_if_not() -> None:
    """In all graphs of three, with each set of them absent and each set of them optional."""
    names = NAMES[:3]
    for _ in (every := Exhaustive()).runs():
        present = ("a", *every.choose(subsets(names[1:])))
        optional = every.choose(subsets(names[1:]))
        graph = {name: every.choose(subsets(tuple(n for n in names if n > name))) for name in present}
        needed, missing = {"a"}, set[str]()
        for name in present:  # in the order of their letters, which no need in these graphs runs against
            if name in needed:
                needed |= {n for n in graph[name] if n in present}
                missing |= {n for n in graph[name] if n not in present and n not in optional}
        result = outcome("a", finder(graph, optional))
        if isinstance(result, OrderError):
            assert result.application in missing
        else:
            assert set(result) == needed
            assert not missing


def test_what_is_listed_first_starts_first() -> None:
    """The order is the one people wrote, depth first, wherever their dependencies leave the choice (APP-006)."""
    graph = {"a": ("d", "b"), "b": (), "c": (), "d": ("c",)}
    assert start_order("a", finder(graph)) == ("c", "d", "b", "a")
    assert start_order("a", finder({**graph, "a": ("b", "d")})) == ("b", "c", "d", "a")


def test_an_application_that_needs_nothing_is_an_order_of_its_own() -> None:
    """The most common case."""
    assert start_order("a", finder({"a": ()})) == ("a",)


def test_a_missing_one_is_named_with_the_one_that_needs_it() -> None:
    """Otherwise somebody would search all manifests for the name."""
    with pytest.raises(OrderError, match=r"^no such application: c, which b needs$") as caught:
        start_order("a", finder({"a": ("b",), "b": ("c",)}))
    assert caught.value.application == "c"
    with pytest.raises(OrderError, match=r"^no such application: a$"):
        start_order("a", finder({}))


def test_a_cycle_is_named_without_the_way_that_led_to_it() -> None:
    """Who reads it wants to know what to cut; real OTP would look for an order for ever."""
    with pytest.raises(OrderError, match=r"^applications wait for each other: b -> c -> b$"):
        start_order("a", finder({"a": ("b",), "b": ("c",), "c": ("b",)}))
    with pytest.raises(OrderError, match=r"^applications wait for each other: a -> a$"):
        start_order("a", finder({"a": ("a",)}))


def test_an_optional_application_that_is_there_takes_part_in_cycles() -> None:
    """It would be started first like any other."""
    with pytest.raises(OrderError, match="a -> b -> a"):
        start_order("a", finder({"a": ("b",), "b": ("a",)}, optional=("b",)))
