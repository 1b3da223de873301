"""Scenarios that Erlang/OTP and regrow are both put through: a supervision tree, and what befalls it.

Plain data, so that both sides play the same one, and Hypothesis can make it shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st

SHUTDOWN_MS = 30  # what a child gets that is not going to stop
GHOST = "ghost"  # an id that nobody ever has
POOL = "simple_one_for_one"

REASONS = ("normal", "shutdown", "clean", "custom", "killed", "kill")
"""Why somebody ends, or is to: `clean` is a shutdown with a detail, `custom` a word of its own."""

ACTIONS: Mapping[str, tuple[str | tuple[str, ...], ...]] = {
    # requests and messages
    "cast": ("worker", ("bump", "bump", "crash", *REASONS)),
    "call": ("worker", ("get", "get", "later", "crash", "stop", "stop_reply")),
    "ask": ("worker", "worker"),  # the first calls the second
    "send": ("anybody",),
    "trap": ("worker", ("true", "false")),
    # ends
    "exit": ("anybody", (*REASONS, "kill")),
    "exit_from": ("worker", "worker", REASONS),  # the first sends it to the second
    "stop": ("anybody", REASONS),
    # relations: of the driver with somebody, then of two workers
    "monitor": ("anybody",),
    "demonitor": ("anybody",),
    "link": ("anybody",),
    "unlink": ("anybody",),
    "tie": ("worker", "worker"),
    "untie": ("worker", "worker"),
    # administration
    "which": ("owner",),
    "count": ("owner",),
    "start_child": ("owner", "spec"),
    "terminate_child": ("owner", "child"),
    "restart_child": ("supervisor", "child"),
    "delete_child": ("supervisor", "child"),
}
"""What may be done, and to what: who it is, or one of several words."""
OFTEN = ("cast", "call", "exit", "exit", "monitor", "start_child", "terminate_child")


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
    """What `terminate` does: ok, crash, or hang (when it ends with a shutdown, until it is killed)."""
    outcomes: tuple[str, ...] = ()
    """How its starts go, one after the other: ok, fail, crash or ignore; ok after the last."""


@attrs.frozen
class Sup:
    """A supervisor. The period is so long that each restart counts for ever."""

    id: str
    children: tuple[Worker | Sup, ...]
    """In a pool, as in OTP, the one that all of its workers are made by: they differ in what is not the pool's."""
    strategy: str = "one_for_one"
    intensity: int = 1
    auto_shutdown: str = "never"
    restart: str = "permanent"
    shutdown: int | str = "infinity"
    significant: bool = False
    outcomes: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[Worker | Sup, ...]:
        """Whom it starts by itself."""
        return () if self.strategy == POOL else self.children


Child: TypeAlias = Worker | Sup
Step: TypeAlias = tuple[Any, ...]
"""The name of what is done, to whom, and how: `("exit", "w1", "kill")`."""


@attrs.frozen
class Scenario:
    """A tree, started by one process, and what that process does then; it waits for peace after each step."""

    tree: Sup
    steps: tuple[Step, ...]

    @property
    def hurried(self) -> bool:
        """Whether somebody has so little time that a machine which stands still for a moment takes it up."""
        told = (child for children in Known.of(self).everybody.values() for child in children)
        return any(isinstance(child, Worker) and child.terminate == "hang" for child in told)


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
            return in_erlang(("sup", *own, value.significant, list(value.outcomes), list(value.children)))
        case Scenario():
            return in_erlang(("scenario", value.tree, list(value.steps)))
        case _:
            raise TypeError(f"{value!r} has no Erlang form")


def within(child: Child) -> Iterator[Child]:
    """The child and all below it."""
    yield child
    if isinstance(child, Sup):
        for below in child.members:
            yield from within(below)


@attrs.define
class Known:
    """Who has been heard of, by their ids, and which children a supervisor ever had."""

    everybody: dict[str, list[Child]] = attrs.field(factory=dict[str, list[Child]])
    """What was ever told of an id, as a rule once."""
    children: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])
    linked: bool = False
    """Whether workers have been linked with each other."""

    @classmethod
    def of(cls, scenario: Scenario) -> Known:
        """All who occur in it."""
        known = cls()
        known.meet(scenario.tree)
        for step in scenario.steps:
            known.see(step)
        return known

    def see(self, step: Step) -> None:
        match step:
            case ("tie", *_):
                self.linked = True
            case ("start_child", owner, child):
                self.meet(child)
                self.children[owner].append(child.id)
            case _:
                pass

    def meet(self, child: Child) -> None:
        for one in within(child):
            self.everybody.setdefault(one.id, []).append(one)
            if isinstance(one, Sup):
                self.children.setdefault(one.id, []).extend(below.id for below in one.members)

    def called(self, *letters: str) -> list[str]:
        """The ids that begin with one of these: w for workers, s for supervisors, p for pools."""
        return [id_ for id_ in self.everybody if id_.startswith(letters)]

    def hangs(self, id_: str) -> bool:
        """Whether it hangs when it ends with a shutdown."""
        return any(isinstance(told, Worker) and told.terminate == "hang" for told in self.everybody.get(id_, []))

    def any_brutal(self, owner: str) -> bool:
        """Whether a child of its own is to be killed without a word."""
        return any(told.shutdown == "brutal_kill" for child in self.children[owner] for told in self.everybody[child])

    def family(self, id_: str) -> set[str]:
        """It and all that may ever have been below it."""
        found: set[str] = set()
        left = [id_]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += self.children.get(one, [])
        return found


# -- making them up: what is first or last in a list comes up more often than the others


restarts = st.sampled_from(["permanent", "transient", "temporary"])
times: st.SearchStrategy[int | str] = st.sampled_from(["infinity", "infinity", 5000])
autos = st.sampled_from(["never", "never", "any_significant", "all_significant"])
later = st.lists(st.sampled_from(["ok", "ok", "fail", "crash", "ignore"]), min_size=1, max_size=4).map(
    lambda outcomes: ("ok", *outcomes)
)
first = st.lists(st.sampled_from(["ok", "fail", "crash", "ignore"]), min_size=1, max_size=3).map(tuple)
plans = st.integers(0, 11).flatmap(lambda kind: first if kind == 5 else later if kind > 6 else st.just(()))
sup_plans = st.sampled_from([()] * 6 + [("ok", "ignore"), ("ok", "crash"), ("ignore",), ("crash",)] + [()] * 6)


@st.composite
def workers(draw: st.DrawFn, id_: str, auto_shutdown: str) -> Worker:
    trap = draw(st.booleans())
    terminate = draw(st.sampled_from(["ok", "ok", "ok", "crash", "hang"])) if trap else "ok"
    patience: list[int | str] = [SHUTDOWN_MS] if terminate == "hang" else [5000, "infinity"]
    restart, significant = draw(_significance(auto_shutdown))
    return Worker(
        id_,
        restart,
        draw(st.sampled_from([*patience, "brutal_kill", *patience])),
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
    """A supervisor with so many levels below it."""
    mine = draw(autos)
    id_ = f"s{next(ids)}"
    children: list[Child] = []
    for sort in draw(st.lists(st.sampled_from("wpwwsspw"), min_size=depth - 1, max_size=4)):
        match sort:
            case "s" if depth > 1:
                children.append(draw(sups(ids, depth - 1, mine)))
            case "p" if depth > 1:
                children.append(draw(pools(ids, mine)))
            case _:
                children.append(draw(workers(f"w{next(ids)}", mine)))
    strategy = draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]))
    return draw(_owners(id_, children, strategy, mine, auto_shutdown))


@st.composite
def pools(draw: st.DrawFn, ids: Iterator[int], auto_shutdown: str = "never") -> Sup:
    mine = draw(autos)
    id_ = f"p{next(ids)}"
    return draw(_owners(id_, [draw(workers(f"w{next(ids)}", mine))], POOL, mine, auto_shutdown))


@st.composite
def _owners(draw: st.DrawFn, id_: str, children: list[Child], strategy: str, mine: str, auto_shutdown: str) -> Sup:
    restart, significant = draw(_significance(auto_shutdown))
    return Sup(
        id_,
        tuple(children),
        strategy,
        draw(st.integers(0, 6)),
        mine,
        restart,
        draw(times),
        significant,
        draw(sup_plans),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A tree of up to three levels and up to fourteen steps.

    When workers have been linked with each other no supervisor is killed any more: what becomes of the tree of one
    that was killed has no order, and links would carry the disorder into others.
    """
    ids = count()
    tree = attrs.evolve(draw(sups(ids, 3)), intensity=draw(st.sampled_from([9, 3, 1, 0, 9])), outcomes=())
    known = Known()
    known.meet(tree)
    steps: list[Step] = []
    for kind in draw(st.lists(st.sampled_from([*ACTIONS, *OFTEN]), min_size=5, max_size=14)):
        step = _possible(draw(_step(kind, known, ids)), known)
        known.see(step)
        steps.append(step)
    return Scenario(tree, tuple(steps))


def _possible(step: Step, known: Known) -> Step:
    """The step, or what is done in its place because it cannot be compared."""
    match step:
        case ("exit", who, "kill") if who in known.children and (known.linked or known.any_brutal(who)):
            return ("exit", who, "killed")  # its children have their shutdown time in regrow: such as these have none
        case ("exit_from", one, another, _) if one == another:
            return ("send", one)  # in regrow it would end at its next await
        case ("stop" | "cast", who, "shutdown") if known.hangs(who):
            return (step[0], who, "clean")  # nobody would ever kill it
        case _:
            return step


@st.composite
def _step(draw: st.DrawFn, kind: str, known: Known, ids: Iterator[int]) -> Step:
    step: list[Any] = [kind]
    for what in ACTIONS[kind]:
        choice: st.SearchStrategy[Any]
        match what:
            case "worker":
                choice = st.sampled_from([*known.called("w") * 2, GHOST, *known.called("w") * 3])
            case "supervisor":
                choice = st.sampled_from(known.called("s"))
            case "owner":
                choice = st.sampled_from([*known.called("p"), *known.called("s"), *known.called("p")])
            case "anybody":
                top, *others = known.everybody  # without its top nothing is left to play with
                choice = st.sampled_from([*others, top, GHOST, *others, *others])
            case "child":
                own = known.children[step[1]]
                choice = st.sampled_from([*own, *own, GHOST, *known.everybody, *own])
            case "spec":
                choice = _added(known, step[1], ids)
            case _:
                choice = st.sampled_from(what)
        step.append(draw(choice))
    return tuple(step)


@st.composite
def _added(draw: st.DrawFn, known: Known, owner: str, ids: Iterator[int]) -> Child:
    """A child to be added, once in a while under an id that somebody has or had."""
    above = known.everybody[owner][0]
    assert isinstance(above, Sup)
    pool = above.strategy == POOL
    child: Child
    match draw(st.sampled_from("w" if pool else "wwwwwspw")):
        case "s":
            child = draw(sups(ids, 1, above.auto_shutdown))
        case "p":
            child = draw(pools(ids, above.auto_shutdown))
        case _:
            child = draw(workers(f"w{next(ids)}", above.auto_shutdown))
    again = draw(st.integers(0, 4)) == 2
    if again:
        child = attrs.evolve(child, id=draw(st.sampled_from([*known.called(child.id[0]), child.id])))
    if isinstance(child, Worker) and child.terminate == "hang" and (again or pool):
        child = attrs.evolve(child, terminate="ok")  # another one may have all the time in the world
    if pool:
        model = above.children[0]
        child = attrs.evolve(child, restart=model.restart, shutdown=model.shutdown, significant=model.significant)
    return child
