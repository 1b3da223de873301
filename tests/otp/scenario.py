"""Scenarios that Erlang/OTP and regrow are both put through: a supervision tree, and what befalls it.

Plain data, so that both sides play the same one, and Hypothesis can make it shorter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st

SHUTDOWN_MS = 30  # what a child gets that is not going to stop
GHOST = "ghost"  # an id that nobody ever has


@attrs.frozen
class Worker:
    """A server that does as it is told."""

    id: str
    restart: str = "permanent"
    shutdown: int | str = 5000
    """In milliseconds, or a word."""
    significant: bool = False
    trap: bool = False
    terminate: str = "ok"
    """What `terminate` does: ok, crash, or hang (when told to shut down, until it is killed)."""
    outcomes: tuple[str, ...] = ()
    """How its starts go, one after the other: ok, fail, crash or ignore; ok after the last."""


@attrs.frozen
class Sup:
    """A supervisor. The period is so long that each restart counts for ever."""

    id: str
    children: tuple[Worker | Sup, ...]
    strategy: str = "one_for_one"
    intensity: int = 1
    auto_shutdown: str = "never"
    restart: str = "permanent"
    shutdown: int | str = "infinity"
    significant: bool = False


Child: TypeAlias = Worker | Sup
Step: TypeAlias = tuple[Any, ...]
"""The name of what is done, to whom, and how: `("exit", "w1", "kill")`."""


@attrs.frozen
class Scenario:
    """A tree, started by one process, and what that process does then; it waits for peace after each step."""

    tree: Sup
    steps: tuple[Step, ...]


def in_erlang(value: object) -> str:
    """The value as an Erlang term; words are atoms."""
    match value:
        case bool():
            return str(value).lower()
        case int() | str():
            return str(value)
        case tuple():
            return f"{{{','.join(map(in_erlang, value))}}}"
        case list():
            return f"[{','.join(map(in_erlang, value))}]"
        case Worker():
            return in_erlang(("worker", *attrs.astuple(value)[:-1], list(value.outcomes)))
        case Sup():
            own = (value.id, value.strategy, value.intensity, value.auto_shutdown, value.restart, value.shutdown)
            return in_erlang(("sup", *own, value.significant, list(value.children)))
        case Scenario():
            return in_erlang(("scenario", value.tree, list(value.steps)))
        case _:
            raise TypeError(f"{value!r} has no Erlang form")


def within(child: Child) -> Iterator[Child]:
    """The child and all below it."""
    yield child
    if isinstance(child, Sup):
        for below in child.children:
            yield from within(below)


# -- making them up

restarts = st.sampled_from(["permanent", "transient", "temporary"])
plans = st.one_of(
    st.just(()),
    st.just(()),
    st.lists(st.sampled_from(["ok", "ok", "fail", "crash", "ignore"]), min_size=2, max_size=5).map(
        lambda rest: ("ok", *rest[1:])
    ),
    st.lists(st.sampled_from(["ok", "fail", "crash", "ignore"]), min_size=1, max_size=3).map(tuple),
)


@st.composite
def workers(draw: st.DrawFn, id_: str, auto_shutdown: str) -> Worker:
    trap = draw(st.booleans())
    terminate = draw(st.sampled_from(["ok", "ok", "ok", "crash", "hang"])) if trap else "ok"
    patience: list[int | str] = [SHUTDOWN_MS] if terminate == "hang" else [5000, "infinity"]
    restart, significant = draw(_significance(auto_shutdown))
    return Worker(
        id_,
        restart,
        draw(st.sampled_from([*patience, "brutal_kill"])),
        significant,
        trap,
        terminate,
        draw(plans),
    )


@st.composite
def _significance(draw: st.DrawFn, auto_shutdown: str) -> tuple[str, bool]:
    restart = draw(restarts)
    return restart, auto_shutdown != "never" and restart != "permanent" and draw(st.booleans())


@st.composite
def sups(draw: st.DrawFn, ids: Iterator[int], depth: int, auto_shutdown: str = "never") -> Sup:
    mine = draw(st.sampled_from(["never", "never", "any_significant", "all_significant"]))
    id_ = f"s{next(ids)}"
    children: list[Child] = []
    for _ in range(draw(st.integers(0, 4))):
        if depth > 1 and draw(st.integers(0, 3)) == 0:
            children.append(draw(sups(ids, depth - 1, mine)))
        else:
            children.append(draw(workers(f"w{next(ids)}", mine)))
    restart, significant = draw(_significance(auto_shutdown))
    return Sup(
        id_,
        tuple(children),
        draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])),
        draw(st.integers(0, 4)),
        mine,
        restart,
        "infinity",
        significant,
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A tree of up to three levels and up to ten steps."""
    ids = iter(range(1000))
    tree = draw(sups(ids, 3))
    known = list(within(tree))
    steps: list[Step] = []
    for _ in range(draw(st.integers(0, 10))):
        step = draw(_steps(known, ids))
        if step[0] == "start_child":
            known.extend(within(step[2]))
        steps.append(step)
    return Scenario(tree, tuple(steps))


@st.composite
def _steps(draw: st.DrawFn, known: list[Child], ids: Iterator[int]) -> Step:
    supervisors = [child.id for child in known if isinstance(child, Sup)]
    hands = [child.id for child in known if isinstance(child, Worker)]
    worker = draw(st.sampled_from([*hands, GHOST] if hands else [GHOST]))
    supervisor = draw(st.sampled_from(supervisors))
    anybody = draw(st.sampled_from([child.id for child in known]))
    kind = draw(st.sampled_from(KINDS))
    match kind:
        case "cast":
            return (kind, worker, draw(st.sampled_from(["crash", "normal", "clean", "custom"])))
        case "call":
            return (kind, worker, draw(st.sampled_from(["get", "later", "crash", "stop", "stop_reply"])))
        case "exit":
            return (kind, worker, draw(st.sampled_from(["kill", "normal", "shutdown", "custom"])))
        case "stop":
            return (kind, anybody, draw(st.sampled_from(["normal", "clean", "custom"])))
        case "monitor" | "demonitor" | "link" | "unlink":
            return (kind, anybody)
        case "which" | "count":
            return (kind, supervisor)
        case "start_child":
            flags = {child.id: child.auto_shutdown for child in known if isinstance(child, Sup)}
            return (kind, supervisor, draw(workers(f"w{next(ids)}", flags[supervisor])))
        case _:
            return (kind, supervisor, draw(st.sampled_from([child.id for child in known] + [GHOST])))


KINDS = [
    *["cast", "cast", "call", "call", "exit", "exit", "stop", "monitor", "monitor", "demonitor", "link", "unlink"],
    *["which", "count", "start_child", "terminate_child", "terminate_child", "restart_child", "delete_child"],
]
